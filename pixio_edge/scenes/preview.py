"""Rendered scenes as files to look at, in the plain format of an RGB-D data set."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from pixio_edge.colormap import colorize_inverse
from pixio_edge.errors import InputError, OutputError
from pixio_edge.files import create_folder, write_bytes_atomic, write_text_atomic
from pixio_edge.image import write_image
from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.library import build_library
from pixio_edge.scenes.light import daylight
from pixio_edge.scenes.mesh import Look
from pixio_edge.scenes.render import Rendered, check_size, render_scene
from pixio_edge.scenes.scene import Camera, Scene
from pixio_edge.scenes.selection import Purpose, check_layouts, scene_seed
from pixio_edge.scenes.shapes import box
from pixio_edge.scenes.studio import Studio
from pixio_edge.scenes.textures import load_atlas

if TYPE_CHECKING:
    from typing_extensions import Self

# Stored value over metres: millimetres, so that 16 bits reach 65.5 m. Beyond that, and for sky, 0: not known.
DEPTH_SCALE = 1000
COLUMNS = ("rgb", "depth", "scale", "fx", "fy", "cx", "cy", "kind", "note")
SHEET_COLUMNS = 4
# More of them nobody looks at, and memory would grow with the data set.
SHEET_IMAGES = 48
SHEET_NAME, INDEX_NAME = "contact_sheet.png", "index.csv"


def write_scenes(
    folder: Path,
    indices: Sequence[int],
    *,
    size: tuple[int, int] = (192, 256),
    seed: int = 0,
    textures: Path | None = None,
    layouts: Mapping[str, float] | None = None,
    effects: bool = True,
    renderers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[str]:
    """Render images of scenes and write them to a `PreviewFolder` as they come.

    Args:
        folder: Created if missing.
        indices: Numbers of the images; `scene.VIEWS` after another are views of one scene.
        size: (height, width) in pixels.
        seed: Seed of the scenes; none of them is ever trained on or measured on by a run (`selection.Purpose`).
        textures: Texture folder; None: procedural noise.
        layouts: Only these layouts, with their weights.
        effects: Add camera effects.
        renderers: Processes that render.
        progress: Called with the number of images done and that of all.

    Returns:
        Names of the images: layout and number.

    Raises:
        CheckFailedError: A rendering process died.
        InputError: There is no such layout or texture folder, or the folder holds a data set.
        OutputError: The folder cannot be written.
        SpecError: A side is shorter than 16 pixels.
    """
    check_size(size)
    check_layouts(layouts or {})
    names: list[str] = []
    with PreviewFolder(folder) as preview, Studio(textures, workers=renderers) as studio:
        seed = scene_seed(seed, Purpose.PREVIEW)
        for part in studio.render(seed, indices, size, layouts=layouts, effects=effects):
            numbers = indices[len(names) : len(names) + len(part.kinds)]
            new = [f"{kind}_{index:04d}" for kind, index in zip(part.kinds, numbers, strict=True)]
            preview.add(part, new)
            names += new
            progress(len(names), len(indices))
    return names


def write_models(
    folder: Path,
    key: str,
    *,
    count: int,
    size: tuple[int, int] = (192, 256),
    seed: int = 0,
    textures: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[str]:
    """Render things by themselves, each on a floor in sunlight, and write them to a `PreviewFolder` as they come.

    Args:
        folder: Created if missing.
        key: Category or name of models.
        count: No more than so many of them.
        size: (height, width) in pixels.
        seed: Seed of what they are made of.
        textures: Texture folder; None: procedural noise.
        progress: Called with the number of images done and that of all.

    Returns:
        Names of the images: model and number in the library.

    Raises:
        InputError: There is no such category or name, or no such texture folder, or the folder holds a data set.
        OutputError: The folder cannot be written.
        SpecError: A side is shorter than 16 pixels.
    """
    check_size(size)
    library = build_library()
    chosen = library.of(key)[:count]
    names = [f"{library.names[index]}_{index:04d}" for index in chosen]
    with PreviewFolder(folder) as preview:
        atlas = load_atlas(textures)
        for done, (index, name) in enumerate(zip(chosen, names, strict=True), start=1):
            scene = showcase(Kit(np.random.default_rng([seed, index]), atlas, library), index)
            preview.add(render_scene(scene, library, atlas, size, seed=0, effects=False), [name])
            progress(done, len(chosen))
    return names


def showcase(kit: Kit, index: int) -> Scene:
    """A model on a floor, in sunlight, seen from its front and a little above."""
    scene = Scene("model")
    kit.add(scene, box((80.0, 80.0, 0.1), at=(0.0, 0.0, -0.1)), [kit.surface(Look("floor"))])
    daylight(kit, scene, clear=1.0)
    low, high = kit.library.lows[index], kit.library.highs[index]
    kit.place(scene, index, (0.0, 0.0, 0.0), kit.uniform(-0.9, 0.9))
    distance, pitch = 2.6 * max(0.05, math.dist(low, high) / 2), 0.35
    height = (high[2] + low[2]) / 2 + distance * math.sin(pitch)
    scene.cameras.append(Camera((0.0, -distance * math.cos(pitch), height), pitch=pitch, fov=0.9))
    return scene


class PreviewFolder:
    """A data set that grows: `<name>.png`, `<name>.depth.png` (16-bit, millimetres), `index.csv`, a contact sheet.

    A context manager. `index.csv`, with intrinsics, and the sheet of the first `SHEET_IMAGES` are written at its end,
    also when that is an exception such as Ctrl-C: what is there by then is a data set. Of nothing, no folder stays.

    Args:
        folder: Created if missing; `pixio-edge evaluate` takes it as a data set.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: list[tuple[object, ...]] = []
        self._cells: list[NDArray[np.uint8]] = []
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        """Create the folder.

        Raises:
            InputError: It holds a data set already, whose index would be lost.
            OutputError: It cannot be created.
        """
        index = self._folder / INDEX_NAME
        if index.exists():
            raise InputError(
                f"'{self._folder}': got a data set, expected none. Fix: delete it or choose another folder"
            )
        self._made = [level for level in (self._folder, *self._folder.parents) if not level.exists()]
        create_folder(self._folder)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._rows and kind is None:
            self._finish()
        elif self._rows:
            with suppress(OutputError):  # such as of a full disk, which the first error tells
                self._finish()
        else:
            for level in self._made:
                with suppress(OSError):
                    level.rmdir()

    def add(self, batch: Rendered, names: Sequence[str]) -> None:
        """Write images.

        Args:
            batch: Rendered images.
            names: One per image, none of which is there.

        Raises:
            OutputError: They cannot be written.
        """
        height, width = batch.depth.shape[1:]
        # The centre of the image, where the centre of the first pixel is 0 (see `Intrinsics`).
        centre = ((width - 1) / 2, (height - 1) / 2)
        parts = zip(names, batch.rgb, batch.depth, batch.focal_px, batch.kinds, strict=True)
        for name, image, depth, focal, kind in parts:
            self._write(name, image, depth)
            focal_px = f"{float(focal):.3f}"
            files = (f"{name}.png", f"{name}.depth.png", DEPTH_SCALE)
            self._rows.append((*files, focal_px, focal_px, *centre, "depth", f"rendered {kind}"))
            if len(self._cells) < SHEET_IMAGES:
                self._cells.append(sheet_cell(image, depth))

    def _write(self, name: str, image: NDArray[np.uint8], depth: NDArray[np.float32]) -> None:
        colour, depth_file = self._folder / f"{name}.png", self._folder / f"{name}.depth.png"
        try:
            write_image(colour, image)
            write_bytes_atomic(depth_file, encode_millimetres(depth))
        except BaseException:  # Ctrl-C as well: no image without its depth
            for path in (colour, depth_file):
                with suppress(OSError):
                    path.unlink()
            raise

    def _finish(self) -> None:
        table = io.StringIO()
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows(self._rows)
        write_image(self._folder / SHEET_NAME, contact_sheet(self._cells))
        write_text_atomic(self._folder / INDEX_NAME, table.getvalue())


def encode_millimetres(depth_m: NDArray[np.float32]) -> bytes:
    """A 16-bit grey PNG of depth in millimetres, 0 for sky and for what is too far to be stored."""
    stored = np.round(np.where(np.isfinite(depth_m), depth_m, 0.0) * DEPTH_SCALE)
    stored[stored > np.iinfo(np.uint16).max] = 0
    return bytes(cv2.imencode(".png", stored.astype(np.uint16))[1])


def sheet_cell(image: NDArray[np.uint8], depth_m: NDArray[np.float32]) -> NDArray[np.uint8]:
    """An image above its coloured inverse depth, RGB (2 H, W, 3)."""
    return np.concatenate([image, colorize_inverse(1.0 / depth_m, colormap="inferno", low=2.0, high=98.0)])


def contact_sheet(cells: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pictures of one size in a grid, RGB (H, W, 3)."""
    columns = min(SHEET_COLUMNS, len(cells))
    filled = [*cells, *[np.zeros_like(cells[0])] * (-len(cells) % columns)]
    rows = [np.concatenate(filled[first : first + columns], axis=1) for first in range(0, len(filled), columns)]
    return np.concatenate(rows)
