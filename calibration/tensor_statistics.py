"""What was measured of the tensors of a graph: ranges, channels, and tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pixio_edge.calibration.histogram import Histogram, require_finite
from pixio_edge.calibration.observers import MovingAverage, activation_range
from pixio_edge.calibration.table import ActivationRange
from pixio_edge.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from pixio_edge.calibration.config import ActivationMethod, CalibrationConfig

TensorKind = Literal["tokens", "map", "vector"]

# More tokens than patches by up to this many are class tokens or registers (Pixio has 8, the most that we know is 16);
# any other number of rows is no sequence of tokens of the image.
MAX_CLASS_TOKENS = 32


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """Of each channel over all images: axis 1 of maps (1, C, H, W), the last axis of everything else.

    Empty if their number depends on the size of the image, as for the scores of an attention.

    Attributes:
        low: Smallest value, float32 (C,).
        high: Largest value, float32 (C,).
        mean: Mean over all values of all images, each value weighing the same, float64 (C,).
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    mean: NDArray[np.float64]

    @property
    def absmax(self) -> NDArray[np.float32]:
        """Largest magnitude of each channel, float32 (C,)."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


@dataclass(frozen=True, slots=True)
class TokenStatistics:
    """Magnitudes of the tokens of a tensor (1, N, C): of each token its largest over the channels.

    Attributes:
        class_absmax: Of each class token (or register), the largest over all images; float32, empty without any.
        patch_absmax: Largest over all patches of all images.
        patch_median: Median over the patches of an image, averaged over the images.
    """

    class_absmax: NDArray[np.float32]
    patch_absmax: float
    patch_median: float


@dataclass(frozen=True, slots=True)
class TensorStatistics:
    """Of one tensor over all images.

    Attributes:
        name: Name of the tensor.
        kind: "tokens" (1, N, C), "map" (1, C, H, W), or "vector" for any other shape.
        channels: Of each channel.
        tokens: Of class tokens and patches; None where the rows are not the tokens of the image.
        histogram: All values.
        moving_average: Average range of the images.
    """

    name: str
    kind: TensorKind
    channels: ChannelStatistics
    tokens: TokenStatistics | None
    histogram: Histogram
    moving_average: MovingAverage


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of all tensors that were asked for.

    Attributes:
        tensors: By name, in the order asked for.
        images: Number of images.
        config: What they were collected with.
    """

    tensors: Mapping[str, TensorStatistics]
    images: int
    config: CalibrationConfig

    def __getitem__(self, tensor: str) -> TensorStatistics:
        """Statistics of one tensor.

        Raises:
            SpecError: None were collected for it.
        """
        if tensor not in self.tensors:
            raise SpecError(
                f"statistics: got none of tensor '{tensor}', expected it among the {len(self.tensors)} that were "
                "collected. Fix: name it in `tensors` when collecting"
            )
        return self.tensors[tensor]

    def range(self, tensor: str, method: ActivationMethod | None = None) -> ActivationRange:
        """Range of a tensor.

        Args:
            tensor: Its name.
            method: How it is chosen; by default that of `config`.

        Raises:
            SpecError: No statistics of it were collected.
        """
        found = self[tensor]
        method = method or self.config.activation_method
        low, high = activation_range(method, found.histogram, found.moving_average, self.config)
        return ActivationRange(low=low, high=high, seen_low=found.histogram.low, seen_high=found.histogram.high)


class TensorAccumulator:
    """Takes one tensor of one image after the other.

    Args:
        name: Name of the tensor.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._kind: TensorKind = "vector"
        self._histogram = Histogram()
        self._moving_average = MovingAverage()
        self._low: NDArray[np.float32] = np.zeros(0, np.float32)
        self._high: NDArray[np.float32] = np.zeros(0, np.float32)
        self._sum: NDArray[np.float64] = np.zeros(0)
        self._rows = 0
        self._images = 0
        self._is_tokens = True
        self._class_absmax: NDArray[np.float32] = np.zeros(0, np.float32)
        self._patch_absmax = 0.0
        self._patch_median_sum = 0.0

    def add(self, values: NDArray[Any], *, patches: int) -> None:
        """Take the tensor of one image.

        Args:
            values: As the runtime gave it.
            patches: Number of patches of the image.

        Raises:
            InputError: A value is NaN or infinite.
        """
        values = np.asarray(values, np.float32)
        self._kind = "map" if values.ndim == 4 else "tokens" if values.ndim == 3 else "vector"
        self._add_channels(values)
        self._moving_average.observe_range(float(values.min()), float(values.max()))
        self._histogram.add(values)
        if self._is_tokens:
            self._add_tokens(values.reshape(-1, values.shape[-1]), patches)
        self._images += 1

    def finish(self) -> TensorStatistics:
        """What was measured."""
        tokens = None
        if self._is_tokens and self._images:
            tokens = TokenStatistics(self._class_absmax, self._patch_absmax, self._patch_median_sum / self._images)
        channels = ChannelStatistics(self._low, self._high, self._sum / max(self._rows, 1))
        return TensorStatistics(self._name, self._kind, channels, tokens, self._histogram, self._moving_average)

    def _add_channels(self, values: NDArray[np.float32]) -> None:
        axis = 1 if self._kind == "map" else values.ndim - 1
        others = tuple(index for index in range(values.ndim) if index != axis)
        low, high = values.min(axis=others), values.max(axis=others)
        require_finite(float(low.min()), float(high.max()))
        total = values.sum(axis=others).astype(np.float64)
        if not self._images:
            self._low, self._high, self._sum = low, high, total
        elif low.size == self._low.size:
            self._low, self._high = np.minimum(self._low, low), np.maximum(self._high, high)
            self._sum = self._sum + total
        else:  # nothing is as small, so it stays empty
            self._low = self._high = np.zeros(0, np.float32)
            self._sum = np.zeros(0)
        self._rows += values.size // values.shape[axis]

    def _add_tokens(self, rows: NDArray[np.float32], patches: int) -> None:
        class_tokens = len(rows) - patches
        is_first = not self._images
        expected = class_tokens if is_first else self._class_absmax.size
        if self._kind != "tokens" or class_tokens != expected or not 0 <= class_tokens <= MAX_CLASS_TOKENS:
            self._is_tokens = False
            return
        absmax = np.abs(rows).max(axis=1)
        of_class, of_patches = absmax[:class_tokens], absmax[class_tokens:]
        self._class_absmax = of_class if is_first else np.maximum(self._class_absmax, of_class)
        self._patch_absmax = max(self._patch_absmax, float(of_patches.max()))
        self._patch_median_sum += float(np.median(of_patches))
