"""A pool of scenes that costs nothing to make: floors and walls with a box, whose depth shows in the colours."""

from __future__ import annotations

import json
from pathlib import Path

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
    (folder / "pool.json").write_text(json.dumps({"size": SIZE, "seed": seed, "textures": "noise"}))
