"""Rendered scenes as files to look at, in the plain format of an RGB-D data set."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pixio_edge.colormap import colorize_inverse
from pixio_edge.files import create_folder, write_bytes_atomic, write_text_atomic
from pixio_edge.image import write_image
from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.library import build_library
from pixio_edge.scenes.light import daylight
from pixio_edge.scenes.mesh import Look
from pixio_edge.scenes.render import Rendered, check_size, join, render, render_scene
from pixio_edge.scenes.scene import Camera, Scene
from pixio_edge.scenes.shapes import box
from pixio_edge.scenes.studio import TASK_IMAGES
from pixio_edge.scenes.textures import load_atlas

# Stored value over metres: millimetres, so that 16 bits reach 65.5 m. Beyond that, and for sky, 0: not known.
DEPTH_SCALE = 1000
COLUMNS = ("rgb", "depth", "scale", "fx", "fy", "cx", "cy", "kind", "note")
SHEET_COLUMNS = 4
SHEET_NAME, INDEX_NAME = "contact_sheet.png", "index.csv"


def write_scenes(
    folder: Path,
    indices: Sequence[int],
    *,
    size: tuple[int, int] = (192, 256),
    seed: int = 0,
    textures: Path | None = None,
    layout: str | None = None,
    effects: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[str]:
    """Render images of scenes and write them with `write_preview`.

    Args:
        folder: Created if missing.
        indices: Numbers of the images; `scene.VIEWS` after another are views of one scene.
        size: (height, width) in pixels.
        seed: Seed of the scenes.
        textures: Texture folder; None: procedural noise.
        layout: Only this layout.
        effects: Add camera effects.
        progress: Called with the number of images done and that of all.

    Returns:
        Names of the images: layout and number.

    Raises:
        InputError: There is no such layout or texture folder.
        OutputError: The folder cannot be written.
        SpecError: A side is shorter than 16 pixels.
    """
    check_size(size)
    atlas, library = load_atlas(textures), build_library()
    parts = []
    for first in range(0, len(indices), TASK_IMAGES):
        part = indices[first : first + TASK_IMAGES]
        parts.append(
            render(seed, part, size, atlas, library, layouts={layout: 1.0} if layout else None, effects=effects)
        )
        progress(first + len(part), len(indices))
    batch = join(parts)
    names = [f"{kind}_{index:04d}" for kind, index in zip(batch.kinds, indices, strict=True)]
    write_preview(folder, batch, names)
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
    """Render things by themselves, each on a floor in sunlight, and write them with `write_preview`.

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
        InputError: There is no such category or name, or no such texture folder.
        OutputError: The folder cannot be written.
        SpecError: A side is shorter than 16 pixels.
    """
    check_size(size)
    atlas, library = load_atlas(textures), build_library()
    chosen = library.of(key)[:count]
    parts = []
    for index in chosen:
        scene = showcase(Kit(np.random.default_rng([seed, index]), atlas, library), index)
        parts.append(render_scene(scene, library, atlas, size, seed=0, effects=False))
        progress(len(parts), len(chosen))
    names = [f"{library.names[index]}_{index:04d}" for index in chosen]
    write_preview(folder, join(parts), names)
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


def write_preview(folder: Path, batch: Rendered, names: Sequence[str]) -> None:
    """Write `<name>.png`, `<name>.depth.png` (16-bit, millimetres), a contact sheet, and `index.csv` with intrinsics.

    Args:
        folder: Created if missing; `pixio-edge evaluate` takes it as a data set.
        batch: Rendered images.
        names: One per image.

    Raises:
        OutputError: The folder cannot be written.
    """
    create_folder(folder)
    images, depths = batch.rgb, batch.depth
    height, width = depths.shape[1:]
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(COLUMNS)
    for name, image, depth, focal, kind in zip(names, images, depths, batch.focal_px, batch.kinds, strict=True):
        write_image(folder / f"{name}.png", image)
        write_bytes_atomic(folder / f"{name}.depth.png", encode_millimetres(depth))
        focal_px = f"{float(focal):.3f}"
        files = (f"{name}.png", f"{name}.depth.png", DEPTH_SCALE)
        # The centre of the image, where the centre of the first pixel is 0 (see `Intrinsics`).
        centre = ((width - 1) / 2, (height - 1) / 2)
        rows.writerow((*files, focal_px, focal_px, *centre, "depth", f"rendered {kind}"))
    write_image(folder / SHEET_NAME, contact_sheet(images, depths))
    write_text_atomic(folder / INDEX_NAME, table.getvalue())


def encode_millimetres(depth_m: NDArray[np.float32]) -> bytes:
    """A 16-bit grey PNG of depth in millimetres, 0 for sky and for what is too far to be stored."""
    stored = np.round(np.where(np.isfinite(depth_m), depth_m, 0.0) * DEPTH_SCALE)
    stored[stored > np.iinfo(np.uint16).max] = 0
    return bytes(cv2.imencode(".png", stored.astype(np.uint16))[1])


def contact_sheet(images: NDArray[np.uint8], depths_m: NDArray[np.float32]) -> NDArray[np.uint8]:
    """All images in a grid, each above its coloured inverse depth, RGB (H, W, 3)."""
    cells = [
        np.concatenate([image, colorize_inverse(1.0 / depth, colormap="inferno", low=2.0, high=98.0)])
        for image, depth in zip(images, depths_m, strict=True)
    ]
    columns = min(SHEET_COLUMNS, len(cells))
    cells += [np.zeros_like(cells[0])] * (-len(cells) % columns)
    rows = [np.concatenate(cells[first : first + columns], axis=1) for first in range(0, len(cells), columns)]
    return np.concatenate(rows)
