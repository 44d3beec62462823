"""Training batches from a pool of rendered scenes: crops, mirrors, colour changes; deterministic by step."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixio_edge.models.depth_model import IMAGE_MEAN, IMAGE_STD
from pixio_edge.training.pool import ScenePool

# Height and width ratios of batches: the shapes of the exported ladder, landscape more often than portrait.
SHAPE_RATIOS = ((1.0, 1.0), (3.0, 4.0), (3.0, 4.0), (9.0, 16.0), (4.0, 3.0), (1.0, 3.0))
MIN_CROP_AREA = 0.45
PREFETCH = 3


def shape_near(pixels: int, ratio: tuple[float, float]) -> tuple[int, int]:
    """Height and width, multiples of 16 and at least 48, with about this area and ratio of height to width."""
    scale = (pixels / (ratio[0] * ratio[1])) ** 0.5
    return max(3, round(ratio[0] * scale / 16)) * 16, max(3, round(ratio[1] * scale / 16)) * 16


def batches(
    pool: ScenePool, *, batch: int, pixels_at: dict[int, int], steps: range, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches for a range of steps, prepared ahead on one thread.

    Args:
        pool: Rendered scenes; a pool that still grows is used as far as it has come.
        batch: Images per batch.
        pixels_at: From which step on a batch has how many pixels per image.
        steps: Steps to make batches for; the batch of a step depends only on the seed, the step and the pool.
        seed: Seed of crops and order.

    Yields:
        Image float32 (B, 3, H, W), ImageNet-normalised, and inverse depth float32 (B, H, W) in 1/m, 0 for sky.
    """

    def make(step: int) -> tuple[Tensor, Tensor]:
        pixels = pixels_at[max(start for start in pixels_at if start <= step)]
        return make_batch(pool, batch=batch, pixels=pixels, rng=np.random.default_rng([seed, step]))

    with ThreadPoolExecutor(max_workers=1) as worker:
        pending = [worker.submit(make, step) for step in steps[:PREFETCH]]
        for step in steps:
            ready = pending.pop(0).result()
            if step + PREFETCH < steps.stop:
                pending.append(worker.submit(make, step + PREFETCH))
            yield ready


def make_batch(pool: ScenePool, *, batch: int, pixels: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """One batch; all images share a shape, which varies from batch to batch.

    Args:
        pool: Rendered scenes, all of them as far as it has grown.
        batch: Images.
        pixels: About this many per image.
        rng: Chooses shape, images, crops, mirrors and colours.

    Returns:
        Image float32 (B, 3, H, W), ImageNet-normalised, and inverse depth float32 (B, H, W) in 1/m, 0 for sky.
    """
    height, width = shape_near(pixels, SHAPE_RATIOS[int(rng.integers(len(SHAPE_RATIOS)))])
    count = pool.refresh()
    colours = np.empty((batch, height, width, 3), dtype=np.float32)
    inverses = np.empty((batch, height, width), dtype=np.float32)
    for row in range(batch):
        rgb, inverse = pool.read(int(rng.integers(count)))
        colour, target = _crop(rgb, inverse, (height, width), rng)
        if rng.random() < 0.5:
            colour, target = colour[:, ::-1], target[:, ::-1]
        colours[row], inverses[row] = _recolour(colour, rng), target
    return normalise(torch.from_numpy(colours)), torch.from_numpy(inverses)


def normalise(colour: Tensor) -> Tensor:
    """RGB in [0, 1], (B, H, W, 3), to the models' input (B, 3, H, W), channels last in memory."""
    mean, std = torch.tensor(IMAGE_MEAN), torch.tensor(IMAGE_STD)
    return ((colour - mean) / std).permute(0, 3, 1, 2)


def _crop(
    rgb: NDArray[np.uint8], inverse: NDArray[np.float16], size: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A random window of nearly the target's aspect ratio, resized to `size`."""
    full_height, full_width = inverse.shape
    ratio = size[1] / size[0] * float(np.exp(rng.uniform(-0.12, 0.12)))
    largest = min(full_width, full_height * ratio)
    crop_width = largest * float(rng.uniform(MIN_CROP_AREA, 1.0)) ** 0.5
    crop_height = crop_width / ratio
    wide, high = max(16, min(full_width, round(crop_width))), max(16, min(full_height, round(crop_height)))
    top, left = int(rng.integers(full_height - high + 1)), int(rng.integers(full_width - wide + 1))
    window = (slice(top, top + high), slice(left, left + wide))
    shrinks = size[0] * size[1] < wide * high
    colour = cv2.resize(rgb[window], (size[1], size[0]), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    # INTER_NEAREST_EXACT takes the pixel under the centre; INTER_NEAREST lags the colours by up to half a pixel.
    picked = cv2.INTER_NEAREST_EXACT
    target = cv2.resize(inverse[window].astype(np.float32), (size[1], size[0]), interpolation=picked)
    return np.asarray(colour, dtype=np.uint8), np.asarray(target, dtype=np.float32)


def _recolour(colour: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """Random gain per channel, contrast, saturation and gamma; RGB in [0, 1]."""
    image = colour.astype(np.float32) * np.float32(1 / 255)
    grey = image.mean(axis=-1, keepdims=True)
    saturation = 0.0 if rng.random() < 0.06 else float(rng.uniform(0.3, 1.4))
    image = grey + saturation * (image - grey)
    gain = (float(rng.uniform(0.75, 1.3)) * rng.uniform(0.9, 1.1, 3)).astype(np.float32)
    contrast = float(rng.uniform(0.75, 1.3))
    image = np.clip((image * gain - 0.45) * contrast + 0.45, 0.0, 1.0)
    return np.asarray(image ** np.float32(rng.uniform(0.8, 1.25)), dtype=np.float32)
