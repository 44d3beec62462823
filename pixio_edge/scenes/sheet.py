"""Contact sheet of rendered scenes: colour over inverse depth.

python -m pixio_edge.scenes.sheet OUT.png --layout NAME --count 12 --seed 0 --textures FOLDER --size 192x256
python -m pixio_edge.scenes.sheet OUT.png --models CATEGORY    # each model of a category or name by itself
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixio_edge.colormap import colorize_inverse
from pixio_edge.image import write_image
from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.library import build_library
from pixio_edge.scenes.light import daylight
from pixio_edge.scenes.mesh import Look
from pixio_edge.scenes.render import Rendered, join, render, render_scene
from pixio_edge.scenes.scene import Camera, Scene
from pixio_edge.scenes.shapes import box
from pixio_edge.scenes.textures import load_atlas

COLUMNS = 4


def sheet(rendered: Rendered) -> NDArray[np.uint8]:
    """All images in a grid, each above its coloured inverse depth, RGB (H, W, 3)."""
    cells = [
        np.concatenate([image, colorize_inverse(1.0 / depth, colormap="inferno", low=2.0, high=98.0)])
        for image, depth in zip(rendered.rgb, rendered.depth, strict=True)
    ]
    columns = min(COLUMNS, len(cells))
    cells += [np.zeros_like(cells[0])] * (-len(cells) % columns)
    rows = [np.concatenate(cells[first : first + columns], axis=1) for first in range(0, len(cells), columns)]
    return np.concatenate(rows)


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


def main() -> None:
    """Render and write a sheet."""
    parser = argparse.ArgumentParser(prog="python -m pixio_edge.scenes.sheet", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--layout", default=None)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--textures", type=Path, default=None)
    parser.add_argument("--models", default=None, help="category or name of models to show instead of a layout")
    parser.add_argument("--size", default="192x256")
    parser.add_argument("--plain", action="store_true", help="no camera effects")
    options = parser.parse_args()
    height, width = (int(side) for side in options.size.split("x"))
    atlas, library = load_atlas(options.textures), build_library()
    if options.models is not None:
        kit = Kit(np.random.default_rng(options.seed), atlas, library)
        scenes = [showcase(kit, index) for index in library.of(options.models)[: options.count]]
        size = (height, width)
        parts = [render_scene(scene, library, atlas, size, seed=0, effects=False) for scene in scenes]
        write_image(options.out, sheet(join(parts)))
        return
    started = time.perf_counter()
    rendered = render(
        options.seed,
        range(options.count),
        (height, width),
        atlas,
        library,
        layout=options.layout,
        effects=not options.plain,
    )
    write_image(options.out, sheet(rendered))
    sys.stdout.write(f"{options.out}: {options.count} images in {time.perf_counter() - started:.1f} s\n")


if __name__ == "__main__":
    main()
