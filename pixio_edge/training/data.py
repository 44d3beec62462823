"""Training batches from labelled images: crops, mirrors, colour changes; deterministic by step and row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixio_edge.models.depth_model import IMAGE_MEAN, IMAGE_STD
from pixio_edge.training.degrade import degrade
from pixio_edge.training.sources import DepthSource, LabelledImage

# Height and width ratios of batches: the shapes of the exported ladder, landscape more often than portrait.
SHAPE_RATIOS = ((1.0, 1.0), (3.0, 4.0), (3.0, 4.0), (9.0, 16.0), (4.0, 3.0), (1.0, 3.0))
MIN_CROP_AREA = 0.45
# Of a window, in pixels of the source.
MIN_CROP_SIDE = 16
# Fewest patches along a side of a batch.
MIN_PATCHES = 3


@dataclass(frozen=True, slots=True)
class DepthItem:
    """One image of a batch.

    Attributes:
        colour: RGB in [0, 1], float32 (H, W, 3).
        inverse: Inverse depth float32 (H, W), 0 for sky.
        valid: bool (H, W), pixels that have a label; None: all.
    """

    colour: NDArray[np.float32]
    inverse: NDArray[np.float32]
    valid: NDArray[np.bool_] | None


@dataclass(frozen=True, slots=True)
class DepthBatch:
    """Images of one shape with their labels.

    Attributes:
        image: float32 (B, 3, H, W), ImageNet-normalised, channels last in memory.
        inverse: Inverse depth float32 (B, H, W) in 1/m, 0 for sky.
        valid: bool (B, H, W), pixels that have a label; None: all.
    """

    image: Tensor
    inverse: Tensor
    valid: Tensor | None = None

    def to(self, device: torch.device) -> DepthBatch:
        """The batch on a device."""
        valid = None if self.valid is None else self.valid.to(device)
        return DepthBatch(self.image.to(device), self.inverse.to(device), valid)


class DepthRows:
    """Rows of batches drawn from one or several sources.

    All images of a step share a shape, which varies from step to step; shape, source, image, window, mirror and colours
    of a row depend on the seed, the step and the row alone (and on how far a pool has grown).

    Args:
        sources: What to draw from, with the weight of each.
        pixels_of: About how many pixels an image of a step has.
        seed: Seed of everything that is drawn.
        multiple: Sides of images are multiples of it: the patch size of the model.
        degraded: Degrade colours at random, see `degrade`.
    """

    def __init__(
        self,
        sources: Sequence[tuple[DepthSource, float]],
        *,
        pixels_of: Callable[[int], int],
        seed: int,
        multiple: int = 16,
        degraded: bool = False,
    ) -> None:
        self.sources = tuple(source for source, _ in sources)
        weights = np.array([weight for _, weight in sources])
        self._bounds = np.cumsum(weights / weights.sum())
        self._pixels_of, self._seed, self._multiple, self._degraded = pixels_of, seed, multiple, degraded

    def size(self, step: int) -> tuple[int, int]:
        """Height and width of the images of a step."""
        ratio = SHAPE_RATIOS[int(np.random.default_rng([self._seed, step]).integers(len(SHAPE_RATIOS)))]
        return shape_near(self._pixels_of(step), ratio, self._multiple)

    def make(self, step: int, row: int) -> DepthItem:
        """One image of a batch."""
        # From 1: a trailing 0 would be the generator of the shape.
        rng = np.random.default_rng([self._seed, step, row + 1])
        chosen = int(np.searchsorted(self._bounds[:-1], rng.random(), side="right")) if len(self.sources) > 1 else 0
        source = self.sources[chosen]
        rgb, inverse, valid = _crop(source.read(int(rng.integers(source.refresh()))), self.size(step), rng)
        if rng.random() < 0.5:
            rgb, inverse = rgb[:, ::-1], inverse[:, ::-1]
            valid = None if valid is None else valid[:, ::-1]
        colour = recolour(rgb, rng)
        # Last, so that everything else of a row is the same with it and without.
        return DepthItem(degrade(colour, rng) if self._degraded else colour, inverse, valid)

    def collate(self, items: list[DepthItem]) -> DepthBatch:
        """Items of one step as a batch; without mask where every pixel has a label."""
        colours = torch.from_numpy(np.stack([item.colour for item in items]))
        inverse = torch.from_numpy(np.stack([item.inverse for item in items]))
        if all(item.valid is None for item in items):
            return DepthBatch(normalise(colours), inverse)
        masks = [np.ones(item.inverse.shape, np.bool_) if item.valid is None else item.valid for item in items]
        return DepthBatch(normalise(colours), inverse, torch.from_numpy(np.stack(masks)))

    def facts(self) -> dict[str, Any]:
        """Number of images that are drawn from."""
        return {"pool": sum(source.refresh() for source in self.sources)}


def shape_near(pixels: int, ratio: tuple[float, float], multiple: int = 16) -> tuple[int, int]:
    """Height and width, multiples of a patch and at least three, with about this area and ratio of height to width."""
    scale = (pixels / (ratio[0] * ratio[1])) ** 0.5
    height, width = (max(MIN_PATCHES, round(side * scale / multiple)) * multiple for side in ratio)
    return height, width


def normalise(colour: Tensor) -> Tensor:
    """RGB in [0, 1], (B, H, W, 3), to the models' input (B, 3, H, W), channels last in memory."""
    mean, std = torch.tensor(IMAGE_MEAN), torch.tensor(IMAGE_STD)
    return ((colour - mean) / std).permute(0, 3, 1, 2)


def window_of(
    full: tuple[int, int], size: tuple[int, int], rng: np.random.Generator, min_area: float = MIN_CROP_AREA
) -> tuple[int, int, int, int]:
    """A random window of nearly the target's aspect ratio.

    Args:
        full: Height and width of the image.
        size: Height and width that the window is resized to.
        rng: Chooses ratio, area and place.
        min_area: Smallest area over that of the largest window of the ratio.

    Returns:
        Top, left, height and width in pixels of the image.
    """
    full_height, full_width = full
    ratio = size[1] / size[0] * float(np.exp(rng.uniform(-0.12, 0.12)))
    largest = min(full_width, full_height * ratio)
    crop_width = largest * float(rng.uniform(min_area, 1.0)) ** 0.5
    wide = min(full_width, max(MIN_CROP_SIDE, round(crop_width)))
    high = min(full_height, max(MIN_CROP_SIDE, round(crop_width / ratio)))
    return int(rng.integers(full_height - high + 1)), int(rng.integers(full_width - wide + 1)), high, wide


def _crop(
    image: LabelledImage, size: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_] | None]:
    """A random window of nearly the target's aspect ratio, resized to `size`."""
    top, left, high, wide = window_of(image.inverse.shape, size, rng)
    window = (slice(top, top + high), slice(left, left + wide))
    shape = (size[1], size[0])
    shrinks = size[0] * size[1] < wide * high
    colour = cv2.resize(image.rgb[window], shape, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    # INTER_NEAREST_EXACT takes the pixel under the centre; INTER_NEAREST lags the colours by up to half a pixel.
    picked = cv2.INTER_NEAREST_EXACT
    inverse = cv2.resize(image.inverse[window].astype(np.float32), shape, interpolation=picked)
    valid = None
    if image.valid is not None:
        valid = cv2.resize(image.valid[window].view(np.uint8), shape, interpolation=picked).view(np.bool_)
    return np.asarray(colour, dtype=np.uint8), np.asarray(inverse, dtype=np.float32), valid


def recolour(colour: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """Random gain per channel, contrast, saturation and gamma; RGB in [0, 1]."""
    image = colour.astype(np.float32) * np.float32(1 / 255)
    grey = image.mean(axis=-1, keepdims=True)
    saturation = 0.0 if rng.random() < 0.06 else float(rng.uniform(0.3, 1.4))
    image = grey + saturation * (image - grey)
    gain = (float(rng.uniform(0.75, 1.3)) * rng.uniform(0.9, 1.1, 3)).astype(np.float32)
    contrast = float(rng.uniform(0.75, 1.3))
    image = np.clip((image * gain - 0.45) * contrast + 0.45, 0.0, 1.0)
    return np.asarray(image ** np.float32(rng.uniform(0.8, 1.25)), dtype=np.float32)
