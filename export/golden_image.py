"""The image of golden outputs: made by formula, so that no photo and its licence travels with a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pixio_edge.sizes import Size

NOISE_SEED = 20
NOISE_LEVEL = 0.04
HORIZON = 0.45


def make_golden_image(size: Size) -> NDArray[np.uint8]:
    """A sky over a tiled floor in perspective, a ball, and a little noise, so that all layers have work to do.

    Args:
        size: Height and width in pixels.

    Returns:
        uint8 RGB (1, H, W, 3), the same on every machine up to the rounding of single pixels.
    """
    height, width = size
    rows = (np.arange(height, dtype=np.float64)[:, None] + 0.5) / height
    columns = (np.arange(width, dtype=np.float64)[None, :] + 0.5) / width
    sky = np.stack(np.broadcast_arrays(0.35 + 0.3 * rows, 0.5 + 0.3 * rows, 0.85 + 0.0 * rows), axis=-1)
    distance = 0.3 / np.maximum(rows - HORIZON, 1e-3)
    tiles = (np.floor(distance * 4) + np.floor((columns - 0.5) * distance * 12)) % 2
    floor = (0.25 + 0.4 * tiles)[..., None] * np.array([1.0, 0.85, 0.6])
    image = np.where((rows > HORIZON)[..., None], floor, sky)
    radius = np.hypot(rows - 0.6, (columns - 0.4) * width / height) / 0.22
    shade = np.sqrt(np.clip(1.0 - radius**2, 0.0, 1.0))
    image = np.where((radius < 1.0)[..., None], shade[..., None] * np.array([0.9, 0.25, 0.2]), image)
    noise = np.random.default_rng(NOISE_SEED).normal(scale=NOISE_LEVEL, size=(*size, 3))
    return np.clip((image + noise) * 255.0, 0.0, 255.0).astype(np.uint8)[None]
