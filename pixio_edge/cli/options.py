"""Options that several verbs share, so that they are spelled and explained once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixio_edge.errors import InputError

if TYPE_CHECKING:
    from pixio_edge.manifest import Precision

BundleArgument = Annotated[str, typer.Argument(help="Embedded bundle (nano) or path of a bundle folder.")]
BundleOption = Annotated[str, typer.Option("--bundle", "-b", help="Embedded bundle (nano) or path of a bundle folder.")]
OutputFolder = Annotated[Path, typer.Option("--output", "-o", help="Folder for the results; created when missing.")]
RuntimeOption = Annotated[
    str | None,
    typer.Option(
        "--runtime", "-r", help="ort, openvino, tensorrt, … Default: the best usable one; see `pixio-edge doctor`."
    ),
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        "--precision",
        "-p",
        help="fp32, bf16, fp16, int8. Default: int8 where the bundle measured that it wins on such a processor, else "
        "fp32; of engines, what `pixio-edge build` chose.",
    ),
]
SizeOption = Annotated[
    str | None,
    typer.Option(
        "--size",
        "-s",
        metavar="HxW",
        help="One of the bundle's input sizes. Default: the nearest in shape to the image.",
    ),
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", "-t", min=1, help="Threads of the runtime. Default: one per usable core.")
]
PinCoresOption = Annotated[
    str | None, typer.Option("--pin-cores", metavar="LIST", help="Run on these cores only, such as 0,1 or 4-7.")
]
ProviderOption = Annotated[
    str | None,
    typer.Option(
        "--provider",
        help="Where the runtime executes: cuda (ort), GPU (openvino), cuda:1 (tensorrt), … Default: the CPU, or the "
        "first GPU of a runtime that has no other.",
    ),
]
UnverifiedOption = Annotated[
    bool, typer.Option("--allow-unverified", help="Also take artifacts that never ran on hardware of their kind.")
]
ColormapOption = Annotated[str, typer.Option("--colormap", "-c", help="Colours: inferno, turbo, magma, viridis, …")]
LayoutOption = Annotated[
    list[str] | None,
    typer.Option(
        "--layout",
        metavar="NAME[:WEIGHT]",
        help="Only scenes of this kind; repeat to mix by weight. room, kitchen, tabletop, still_life, shelf, corridor, "
        "hall, street, country, park, square, yard, building, forest. Default: all of them.",
    ),
]
RenderersOption = Annotated[
    int | None,
    typer.Option("--renderers", min=1, help="Processes that render scenes. Default: one for each usable core."),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print results as JSON, and nothing else, on standard output.")
]

# Relative depth has no unit: for a cloud to look at, the nearest and the farthest pixel are put at these distances.
VIEWING_RANGE_M = (1.0, 10.0)


def examples(*lines: str) -> str:
    """Text for the end of a verb's help; every line stays a line."""
    return "\n\n".join(("Examples:", *lines))


def parse_size(text: str | None, *, option: str = "--size") -> tuple[int, int] | None:
    """Read `HxW` (or one number for a square) as (height, width).

    Raises:
        InputError: The text is not a size.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)(?:[x×](\d+))?", text.strip().lower())
    if match is None or int(match[1]) == 0 or match[2] == "0":
        raise InputError(f"{option}: got '{text}', expected HEIGHTxWIDTH in pixels. Fix: {option} 256x256")
    return int(match[1]), int(match[2] or match[1])


def parse_layouts(texts: list[str] | None) -> dict[str, float]:
    """Read `NAME[:WEIGHT]` of layouts of scenes.

    Raises:
        InputError: A text is no layout with its weight, or there is none of that name, or it is named twice.
    """
    from pixio_edge.scenes.selection import check_layouts

    weights: dict[str, float] = {}
    for text in texts or ():
        match = re.fullmatch(r"([^:]+)(?::(\d+\.?\d*|\.\d+))?", text.strip())
        if match is None:
            raise InputError(f"--layout: got '{text}', expected NAME or NAME:WEIGHT. Fix: --layout tabletop:2")
        if match[1] in weights:
            raise InputError(f"--layout: got {match[1]} twice, expected it once. Fix: give it a larger weight")
        weights[match[1]] = float(match[2] or 1)
    check_layouts(weights)
    return weights


def parse_precision(text: str | None) -> Precision | None:
    """Read a precision.

    Raises:
        InputError: There is none of that name.
    """
    known: tuple[Precision, ...] = ("fp32", "fp16", "bf16", "int8")
    if text is None:
        return None
    for precision in known:
        if precision == text.lower():
            return precision
    raise InputError(f"--precision: got '{text}', expected one of {', '.join(known)}. Fix: choose one of these")


def check_colormap(name: str) -> str:
    """Return the name if there is such a colormap; before any work, so that a typo leaves nothing behind.

    Raises:
        InputError: There is none of that name.
    """
    from pixio_edge.colormap import COLORMAPS

    if name not in COLORMAPS:
        raise InputError(f"--colormap: got '{name}', expected one of {', '.join(COLORMAPS)}. Fix: choose one of these")
    return name


def parse_cores(text: str | None) -> tuple[int, ...] | None:
    """Read a list of cores such as `0,2` or `4-7`.

    Raises:
        InputError: The text is not such a list.
    """
    if text is None:
        return None
    cores: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise InputError(f"--pin-cores: got '{text}', expected core numbers or ranges. Fix: --pin-cores 0,1")
        cores.extend(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(dict.fromkeys(cores))
