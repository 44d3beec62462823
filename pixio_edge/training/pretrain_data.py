"""What a masked autoencoder is trained on: crops of plain images, with the blocks that it sees.

Crops are those of Pixio and MAE (torchvision's RandomResizedCrop): a fifth to all of an image's area, sides at a ratio
of 3:4 to 4:3, resized to a square. No mirror and no change of colour, as in Pixio: the mask is augmentation enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixio_edge.errors import InputError
from pixio_edge.training.curation import Curation
from pixio_edge.training.data import normalise
from pixio_edge.training.masking import BLOCK_PATCHES, block_grid, draw_visible
from pixio_edge.training.photos import open_photos
from pixio_edge.training.pool import ScenePool
from pixio_edge.training.sources import HELD_BACK_SHARE

# Of a crop, over the image; and least and most width over height (torchvision's defaults, kept by MAE and Pixio, with
# MAE's 0.2 for the least area).
CROP_AREA = (0.2, 1.0)
CROP_RATIO = (3 / 4, 4 / 3)
# A crop that does not fit is drawn again, so many times before the middle of the image is taken (torchvision's).
CROP_TRIES = 10


class ImageSource(Protocol):
    """Images by number, read from several threads at once."""

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def read(self, index: int, /) -> NDArray[np.uint8]:
        """Read one as RGB (H, W, 3).

        Raises:
            InputError: A file is missing or unusable.
        """
        ...


class PhotoImages:
    """Photos of folders and shards.

    Args:
        sources: As `open_photos` takes them.

    Raises:
        InputError: There is no image, or a shard is damaged.
    """

    def __init__(self, *sources: str) -> None:
        self._photos = open_photos(sources)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._photos)

    def read(self, index: int) -> NDArray[np.uint8]:
        """Read one as RGB."""
        return self._photos.read(index).rgb


class PoolImages:
    """The colours of rendered scenes, as many as there are now.

    Args:
        folder: Pool of `render_pool`.

    Raises:
        InputError: The folder has no finished shard.
    """

    def __init__(self, folder: Path) -> None:
        self._pool = ScenePool(folder)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._pool)

    def read(self, index: int) -> NDArray[np.uint8]:
        """One as RGB."""
        return self._pool.read(index)[0]


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Parts of several sources under one numbering.

    Attributes:
        parts: (source, numbers in it) in order.
    """

    parts: tuple[tuple[ImageSource, range], ...]

    def __len__(self) -> int:
        """Return the number of images."""
        return sum(len(numbers) for _, numbers in self.parts)

    def read(self, index: int) -> NDArray[np.uint8]:
        """Read one as RGB.

        Raises:
            IndexError: There is none of that number.
        """
        for source, numbers in self.parts:
            if index < len(numbers):
                return source.read(numbers[index])
            index -= len(numbers)
        raise IndexError(index)


def hold_back_images(sources: Sequence[ImageSource]) -> tuple[ImageSet, ImageSet]:
    """What is trained on and what is measured on: the last tenth of each source, which is at least one image.

    Raises:
        InputError: A source has fewer than two images.
    """
    trained: list[tuple[ImageSource, range]] = []
    held_back: list[tuple[ImageSource, range]] = []
    for source in sources:
        count = len(source)
        if count < 2:
            raise InputError(
                f"pretraining: got {count} image in a source, expected at least 2, of which one is held back. "
                "Fix: add images"
            )
        kept = count - max(1, round(count * HELD_BACK_SHARE))
        trained.append((source, range(kept)))
        held_back.append((source, range(kept, count)))
    return ImageSet(tuple(trained)), ImageSet(tuple(held_back))


@dataclass(frozen=True, slots=True)
class PretrainItem:
    """One crop.

    Attributes:
        step: Step that it is for.
        index: Number of the image.
        colour: RGB in [0, 1], float32 (H, W, 3).
        blocks: Numbers of the blocks that are seen, int64 (K,).
    """

    step: int
    index: int
    colour: NDArray[np.float32]
    blocks: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PretrainBatch:
    """Crops of one size.

    Attributes:
        step: Step that they are for.
        index: Numbers of the images, int64 (B,).
        image: float32 (B, 3, H, W), ImageNet-normalised, channels last in memory.
        blocks: Numbers of the blocks that are seen, int64 (B, K).
    """

    step: int
    index: Tensor
    image: Tensor
    blocks: Tensor

    def to(self, device: torch.device) -> PretrainBatch:
        """The batch on a device."""
        return PretrainBatch(self.step, self.index.to(device), self.image.to(device), self.blocks.to(device))


class PretrainRows:
    """Rows of batches: image, crop and mask depend on the seed, the step, the row, and what curation knows by then.

    Args:
        images: What to draw from.
        curation: Which to draw.
        pixels_of: About how many pixels a crop of a step has.
        seed: Seed of everything that is drawn.
        patch: Side of a patch of the model in pixels.
    """

    def __init__(
        self, images: ImageSet, curation: Curation, *, pixels_of: Callable[[int], int], seed: int, patch: int
    ) -> None:
        self.images, self.curation = images, curation
        self._pixels_of, self._seed, self._patch = pixels_of, seed, patch

    def make(self, step: int, row: int) -> PretrainItem:
        """One crop of a batch."""
        # From 1, as in `DepthRows`.
        rng = np.random.default_rng([self._seed, step, row + 1])
        index = self.curation.draw(step, rng)
        side = square_side(self._pixels_of(step), self._patch)
        colour = random_resized_crop(self.images.read(index), side, rng)
        patches = side // self._patch
        return PretrainItem(step, index, colour, draw_visible(block_grid(patches, patches), rng))

    def collate(self, items: list[PretrainItem]) -> PretrainBatch:
        """Items of one step as a batch."""
        return PretrainBatch(
            items[0].step,
            torch.tensor([item.index for item in items]),
            normalise(torch.from_numpy(np.stack([item.colour for item in items]))),
            torch.from_numpy(np.stack([item.blocks for item in items])),
        )

    def facts(self) -> dict[str, Any]:
        """Number of images that are drawn from."""
        return {"pool": len(self.images)}


def square_side(pixels: int, patch: int) -> int:
    """Side of the square nearest to an area whose sides are whole blocks of 4 patches."""
    multiple = BLOCK_PATCHES * patch
    return max(1, round(math.sqrt(pixels) / multiple)) * multiple


def random_resized_crop(rgb: NDArray[np.uint8], side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A window of random area, ratio and place, as a square of RGB in [0, 1], float32 (side, side, 3).

    Bicubic where it grows, the mean over each pixel's area where it shrinks (which is what torchvision's antialiasing
    is for).
    """
    top, left, high, wide = draw_window((rgb.shape[0], rgb.shape[1]), rng)
    window = rgb[top : top + high, left : left + wide]
    method = cv2.INTER_AREA if side * side < high * wide else cv2.INTER_CUBIC
    resized = cv2.resize(window, (side, side), interpolation=method)
    return np.asarray(resized, dtype=np.float32) * np.float32(1 / 255)


def draw_window(size: tuple[int, int], rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, height and width of a crop, as torchvision's RandomResizedCrop draws them (Szegedy et al. 2014).

    Args:
        size: Height and width of the image.
        rng: Its state goes on.
    """
    height, width = size
    for _ in range(CROP_TRIES):
        area = height * width * rng.uniform(*CROP_AREA)
        ratio = np.exp(rng.uniform(*np.log(CROP_RATIO)))
        wide, high = round(float(np.sqrt(area * ratio))), round(float(np.sqrt(area / ratio)))
        if 0 < wide <= width and 0 < high <= height:
            return int(rng.integers(height - high + 1)), int(rng.integers(width - wide + 1)), high, wide
    # The largest window in the middle whose ratio is allowed.
    wide = min(width, max(1, round(height * CROP_RATIO[1])))
    high = min(height, max(1, round(width / CROP_RATIO[0])))
    return (height - high) // 2, (width - wide) // 2, high, wide
