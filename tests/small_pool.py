"""A pool of scenes that costs nothing to make: floors and walls with a box, whose depth shows in the colours."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np

SIZE = (48, 64)


def write_small_pool(folder: Path, *, images: int = 24, seed: int = 0) -> None:
    """One finished shard in the format of `render_pool`; brightness falls with distance, and a third has sky."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    rgb = np.empty((images, *SIZE, 3), dtype=np.uint8)
    inverse = np.empty((images, *SIZE), dtype=np.float16)
    for index in range(images):
        depth = np.broadcast_to(np.linspace(*rng.uniform([0.05, 0.2], [0.1, 1.0]), SIZE[0])[:, None], SIZE).copy()
        top, left = rng.integers(8, 30), rng.integers(4, 40)
        depth[top : top + 14, left : left + 18] = rng.uniform(0.3, 1.2)
        if index % 3 == 0:
            depth[:8] = 0.0
        colour = rng.uniform(0.6, 1.0, 3)
        rgb[index] = np.clip(255 * (0.15 + 0.7 * depth[..., None]) * colour, 0, 255)
        inverse[index] = depth
    np.save(folder / "rgb-00000.npy", rgb)
    np.save(folder / "inverse-00000.npy", inverse)
    record = {"size": SIZE, "seed": seed, "textures": "noise", "renderer": 2}  # as an older release wrote it
    (folder / "pool.json").write_text(json.dumps(record))


def write_index_folder(folder: Path, *, images: int = 1, **cells: str) -> Path:
    """A folder with `index.csv`: images of 20 x 30 pixels at 2 m, a column without depth and one at 20 m."""
    folder.mkdir(parents=True)
    stored = np.full((20, 30), 2000, dtype=np.uint16)
    stored[:, 0], stored[:, 1] = 0, 20_000
    lines = [{"rgb": f"{i}.png", "depth": f"{i}.depth.png", "scale": "1000", **cells} for i in range(images)]
    for line in lines:
        assert cv2.imwrite(str(folder / line["rgb"]), np.full((20, 30, 3), 7, dtype=np.uint8))
        assert cv2.imwrite(str(folder / line["depth"]), stored)
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return folder
