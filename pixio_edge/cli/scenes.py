"""`pixio-edge scenes`: rendered scenes as a small data set to look at and to evaluate on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixio_edge.cli.console import Meter, print_json
from pixio_edge.cli.extras import needs_extra
from pixio_edge.cli.options import (
    JsonOption,
    LayoutOption,
    OutputFolder,
    RenderersOption,
    examples,
    parse_layouts,
    parse_size,
)
from pixio_edge.cli.stopping import term_interrupts
from pixio_edge.errors import InputError

EXAMPLES = examples(
    "pixio-edge scenes --count 16 -o scenes",
    "pixio-edge scenes --textures path/to/textures --layout street --size 384x512",
    "pixio-edge scenes --count 4096 --layout tabletop:3 --layout shelf -o arm",
    "pixio-edge scenes --models seat --count 20 -o seats",
    "pixio-edge evaluate nano --data scenes",
)

DEFAULT_SIZE = "192x256"
# With less to render, another process takes longer to start than it saves.
IMAGES_PER_PROCESS = 64


def scenes(
    output: OutputFolder = Path("scenes"),
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Images to render, four of each scene.")] = 12,
    textures: Annotated[
        Path | None,
        typer.Option("--textures", help="Folder of images to render with. Default: procedural noise alone."),
    ] = None,
    layout: LayoutOption = None,
    models: Annotated[
        str | None,
        typer.Option("--models", metavar="NAME", help="Instead of scenes, things of this category or name alone."),
    ] = None,
    size: Annotated[str, typer.Option("--size", "-s", metavar="HxW", help="Size of the images.")] = DEFAULT_SIZE,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the scenes.")] = 0,
    effects: Annotated[bool, typer.Option("--effects/--no-effects", help="Blur, noise and the like.")] = True,
    renderers: RenderersOption = None,
    json: JsonOption = False,
) -> None:
    """Render training scenes: <name>.png, exact depth as <name>.depth.png (16-bit, mm), index.csv, contact_sheet.png.

    The folder is a data set that `pixio-edge evaluate` takes; index.csv has the intrinsics. Ctrl-C leaves one of what
    is there by then. Whatever the seeds, no run trains on these scenes. The sheet shows the first images.
    """
    with needs_extra("train", "pixio-edge scenes"):
        from pixio_edge.host import usable_cores
        from pixio_edge.scenes.preview import INDEX_NAME, SHEET_NAME, write_models, write_scenes
    if models is not None and layout is not None:
        raise InputError("--models: got --layout as well, expected one of them. Fix: leave out --layout")
    chosen, layouts = parse_size(size) or (0, 0), parse_layouts(layout)
    processes = min(renderers or usable_cores(), -(-count // IMAGES_PER_PROCESS))
    with term_interrupts(), Meter("scenes") as meter:
        if models is not None:
            names = write_models(
                output, models, count=count, size=chosen, seed=seed, textures=textures, progress=meter.update
            )
        else:
            names = write_scenes(
                output,
                range(count),
                size=chosen,
                seed=seed,
                textures=textures,
                layouts=layouts,
                effects=effects,
                renderers=processes,
                progress=meter.update,
            )
    if json:
        print_json({"folder": str(output), "seed": seed, "size": list(chosen), "names": names})
    else:
        print(f"{output}: {len(names)} images, {INDEX_NAME}, {SHEET_NAME}")
