"""What every data set yields: an image with its true depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pixio_edge.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from pixio_edge.point_cloud import Intrinsics


@dataclass(frozen=True, slots=True)
class DepthSample:
    """One image with ground truth.

    Attributes:
        name: Unique inside its set, e.g. the path of the image.
        rgb: uint8 (H, W, 3).
        depth_gt: float32 (H, W); metres when `unit` is "m", else 1/disparity (1/px), known only up to the scale
            and shift of its inverse. Arbitrary where not valid.
        valid: bool (H, W); pixels that count.
        unit: "m", or None when the absolute scale is unknown.
        intrinsics: Of the stored size, None when unknown.
    """

    name: str
    rgb: NDArray[np.uint8]
    depth_gt: NDArray[np.float32]
    valid: NDArray[np.bool_]
    unit: str | None
    intrinsics: Intrinsics | None = None

    def __post_init__(self) -> None:
        size = self.rgb.shape[:2]
        if self.depth_gt.shape != size or self.valid.shape != size:
            raise InputError(
                f"{self.name}: got depth of {_size_text(self.depth_gt.shape)} for an image of {_size_text(size)} "
                "(height x width), expected one size. Fix: store the depth at the size of its image"
            )


class DepthDataset(Protocol):
    """A named set of samples, read one by one."""

    @property
    def name(self) -> str:
        """Short name, used as the key in reports."""
        ...

    @property
    def note(self) -> str:
        """One line for reports: split, crop and range that were used."""
        ...

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def __iter__(self) -> Iterator[DepthSample]:
        """Read the samples in a fixed order."""
        ...


@dataclass(frozen=True, slots=True)
class LoadedDataset:
    """A set held in memory, for callers that evaluate many times, such as a training loop."""

    name: str
    note: str
    samples: tuple[DepthSample, ...]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.samples)

    def __iter__(self) -> Iterator[DepthSample]:
        """Yield the samples; arrays are shared, not copied."""
        return iter(self.samples)


def preload(datasets: Iterable[DepthDataset]) -> list[LoadedDataset]:
    """Read whole sets into memory: about 2.5 MB for each 640 x 480 image.

    Raises:
        InputError: A file is missing or unusable.
    """
    return [LoadedDataset(dataset.name, dataset.note, tuple(dataset)) for dataset in datasets]


def _size_text(shape: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in shape)
