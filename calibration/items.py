"""One image of a calibration set: where it is, and how it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pixio_edge.image import read_image
from pixio_edge.sizes import Size
from pixio_edge.video import VideoReader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class CalibrationItem:
    """One chosen image: its name and digest, its place in the order of sampling, where it is, and its shape.

    `width_to_height` is that of the file; `crop` is that of the part that is taken out of its middle, if not all of it.
    """

    name: str
    digest: str
    rank: int
    path: Path
    width_to_height: float
    frame: int | None = None
    crop: float | None = None

    @property
    def shape(self) -> float:
        """Width over height of what is calibrated on."""
        return self.crop or self.width_to_height


def read_items(items: Sequence[CalibrationItem], crop: float | None) -> Iterator[NDArray[np.uint8]]:
    """Images of one file each, or of one video, cut to one shape."""
    frames = [item.frame for item in items if item.frame is not None]
    images = read_frames(items[0].path, frames) if frames else (read_image(item.path) for item in items)
    return images if crop is None else (_cut(image, crop) for image in images)


def _cut(image: NDArray[np.uint8], width_to_height: float) -> NDArray[np.uint8]:
    """The largest part of a shape around the middle."""
    height, width = image.shape[:2]
    high, wide = min(height, round(width / width_to_height)), min(width, round(height * width_to_height))
    top, left = (height - max(high, 1)) // 2, (width - max(wide, 1)) // 2
    return image[top : top + max(high, 1), left : left + max(wide, 1)]


def in_order(items: Sequence[CalibrationItem]) -> list[CalibrationItem]:
    """Frames of a video by time, as they can be read in that order alone; other images as they are."""
    return sorted(items, key=lambda item: -1 if item.frame is None else item.frame)


def read_frames(path: Path, indices: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
    """Frames of a video, by ascending index."""
    wanted = frozenset(indices)
    with VideoReader(path) as reader:
        for index, frame in enumerate(reader):
            if index in wanted:
                yield frame
            if index == indices[-1]:
                return


def as_size(width_to_height: float) -> Size:
    """A size of that shape."""
    return 1000, max(1, round(1000 * width_to_height))
