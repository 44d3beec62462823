"""Random degradations of rendered colours, so that a student cannot lean on how renderings look.

Rendered scenes are cleaner and sharper than photos. A student that sees only them learns cues that photos lack: its
loss on held-back scenes falls while its accuracy on photos falls too (docs/training.md). Each degradation keeps shapes
and shading, which photos share, and changes what they do not share: local texture (random convolution, Xu et al.
2021), sharpness, noise, local brightness, and colour.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# How often each degradation is applied; several may meet on one image.
FILTER_SHARE, BLUR_SHARE, NOISE_SHARE, SHADE_SHARE, SWAP_SHARE = 0.4, 0.4, 0.25, 0.3, 0.1
FILTER_SIDES = (1, 3, 5)
LARGEST_SHRINK = 3.0
LARGEST_NOISE = 0.06
SHADE_LOG_DEVIATION = 0.35


def degrade(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Apply a random selection.

    Args:
        image: RGB in [0, 1], (H, W, 3); not changed.
        rng: Chooses what and how strongly.

    Returns:
        RGB in [0, 1], (H, W, 3).
    """
    chosen = rng.random(5)
    if chosen[0] < FILTER_SHARE:
        image = _filter(image, rng)
    if chosen[1] < BLUR_SHARE:
        image = _blur(image, float(rng.uniform(1.2, LARGEST_SHRINK)))
    if chosen[2] < SHADE_SHARE:
        image = _shade(image, rng)
    if chosen[3] < SWAP_SHARE:
        image = np.ascontiguousarray(image[..., rng.permutation(3)])
    if chosen[4] < NOISE_SHARE:
        level = float(rng.uniform(0.01, LARGEST_NOISE))
        image = image + level * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(image, 0.0, 1.0).astype(np.float32, copy=False)


def _filter(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Mix with a random linear filter of the neighbourhood and the channels, at the contrast of the original."""
    side = int(rng.choice(FILTER_SIDES))
    mixing = rng.standard_normal((3, 3)).astype(np.float32)
    kernel = rng.standard_normal((side, side)).astype(np.float32)
    mean, deviation = image.mean(axis=(0, 1)), image.std(axis=(0, 1)) + 1e-3
    filtered = cv2.filter2D((image - mean) @ mixing, -1, kernel, borderType=cv2.BORDER_REFLECT)
    filtered = filtered * (deviation / (filtered.std(axis=(0, 1)) + 1e-6)) + mean
    share = np.float32(rng.uniform(0.0, 1.0))
    return np.asarray(share * filtered + (1 - share) * image, dtype=np.float32)


def _blur(image: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Shrink and enlarge again, as a small sensor or a strong compression does."""
    height, width = image.shape[:2]
    small = (max(8, round(width / factor)), max(8, round(height / factor)))
    shrunk = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _shade(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Brighten and darken parts, as lamps, shadows of unseen things and reflections do."""
    height, width = image.shape[:2]
    nodes = rng.standard_normal((int(rng.integers(2, 6)), int(rng.integers(2, 6)))).astype(np.float32)
    field = cv2.resize(nodes * SHADE_LOG_DEVIATION, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(image * np.exp(field)[..., None], dtype=np.float32)
