"""Procedural images for those who have no texture folder: surfaces and skies."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def noise_texture(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """One procedural texture, RGB (side, side, 3): fractal noise, stripes, bricks, checks or speckles in two colours.

    Args:
        rng: Chooses the kind and all that belongs to it.
        side: Height and width in pixels, a multiple of 32.
    """
    kind = rng.integers(5)
    field = _fractal(rng, side, float(rng.uniform(0.3, 0.9)))
    v, u = np.mgrid[0:side, 0:side] / side
    periods = int(rng.integers(2, 12))
    if kind == 1:
        field = 0.5 + 0.5 * np.sin(2 * np.pi * (periods * u + 0.3 * field))
    elif kind == 2:
        row = np.floor(v * periods)
        brick_u = (u * periods / 2 + 0.5 * (row % 2)) % 1.0
        joint = (brick_u < 0.06) | ((v * periods) % 1.0 < 0.1)
        field = np.where(joint, 0.0, 0.4 + 0.6 * field)
    elif kind == 3:
        field = 0.25 * field + 0.75 * ((np.floor(u * periods) + np.floor(v * periods)) % 2)
    elif kind == 4:
        field = (field > rng.uniform(0.4, 0.7)).astype(np.float64)
    colours = rng.uniform(0.05, 0.95, (2, 3))
    if rng.random() < 0.5:
        colours = colours.mean(axis=1, keepdims=True) + 0.25 * (colours - 0.5)  # mostly grey, as buildings are
    image = colours[0] + (colours[1] - colours[0]) * field[..., None] + 0.04 * rng.standard_normal((side, side, 1))
    return _to_bytes(image)


def noise_backdrop(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.uint8]:
    """One procedural panorama, RGB (height, width, 3): a sky from horizon to zenith with clouds above, ground below.

    Args:
        rng: Chooses colours and clouds.
        size: (height, width) in pixels.
    """
    height, width = size
    zenith = rng.uniform([0.15, 0.3, 0.5], [0.6, 0.7, 1.0])
    horizon, ground = rng.uniform(0.6, 1.0, 3), rng.uniform(0.1, 0.6, 3)
    up = np.clip(1 - np.arange(height) / (height / 2), 0, 1)[:, None, None]
    clouds = cv2.resize(_fractal(rng, 256, 0.6), (width, height))[..., None]
    sky = horizon + (zenith - horizon) * up**0.6
    sky = sky + (1 - sky) * np.clip((clouds - rng.uniform(0.3, 0.9)) * 2, 0, 1)
    image = np.where(np.arange(height)[:, None, None] < height / 2, sky, ground * (0.7 + 0.3 * clouds))
    return _to_bytes(image)


def _fractal(rng: np.random.Generator, size: int, persistence: float) -> NDArray[np.float64]:
    """Tileable value noise in [0, 1], five octaves."""
    total, amplitude = np.zeros((size, size)), 1.0
    for octave in range(1, 6):
        cells = 2**octave
        coarse = rng.random((cells, cells))
        wrapped = np.pad(coarse, 2, mode="wrap")
        fine = cv2.resize(wrapped, None, fx=size / cells, fy=size / cells, interpolation=cv2.INTER_CUBIC)
        edge = 2 * size // cells
        total += amplitude * fine[edge : edge + size, edge : edge + size]
        amplitude *= persistence
    low, high = total.min(), total.max()
    scaled: NDArray[np.float64] = (total - low) / (high - low)
    return scaled


def _to_bytes(image: NDArray[np.float64]) -> NDArray[np.uint8]:
    """RGB in [0, 1] to bytes."""
    return np.asarray(np.clip(image, 0, 1) * 255, dtype=np.uint8)
