"""Ranges of activations, observed one array at a time in constant memory.

Besides the plain minimum and maximum, every method clips: it chooses a magnitude a, and the range is the one seen,
clipped to [-a, a]. INT8 rounds the values inside to 255 steps, so a smaller a means finer steps for most values and an
error for those beyond it. Ranges need not contain zero; quantisation parameters are made from ranges that do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pixio_edge.calibration.histogram import HALF_BINS, Histogram, require_finite

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pixio_edge.calibration.config import ActivationMethod, CalibrationConfig

Range = tuple[float, float]

# Weight of the newest image: an average over about the last ten.
MOVING_AVERAGE_WEIGHT = 0.1
# Steps for each sign of symmetric INT8.
INT8_STEPS = 127
# Magnitudes that the mean squared error is computed for: amax * 2 ** (-i / 16), down to 1 / 128 of it, where a step of
# INT8 would be finer than any that was ever worth clipping for.
MSE_CANDIDATES = 2.0 ** (-np.arange(113) / 16)
# Kullback-Leibler divergence compares with this many levels, the magnitudes of INT8, and tries every eighth bin.
ENTROPY_LEVELS = 128
ENTROPY_STRIDE = 8
# Share of a bin that is taken where a candidate has no value at all, so that the divergence stays finite.
ENTROPY_FLOOR = 1e-4


class Observer(Protocol):
    """What sees arrays one after the other and tells a range."""

    def observe(self, values: NDArray[Any]) -> None:
        """Take an array of any shape into account.

        Raises:
            InputError: A value is NaN or infinite.
        """

    def range(self) -> Range:
        """(low, high), low <= high; (0, 0) if nothing was observed."""


class MinMax:
    """Smallest and largest value."""

    def __init__(self) -> None:
        self._low, self._high = np.inf, -np.inf

    def observe(self, values: NDArray[Any]) -> None:
        """See `Observer`."""
        if values.size:
            low, high = float(values.min()), float(values.max())
            require_finite(low, high)
            self._low, self._high = min(self._low, low), max(self._high, high)

    def range(self) -> Range:
        """See `Observer`."""
        return (self._low, self._high) if self._low <= self._high else (0.0, 0.0)


class ChannelMinMax:
    """Smallest and largest value of each channel.

    Args:
        axis: The axis that counts channels.
    """

    def __init__(self, axis: int) -> None:
        self._axis = axis
        self._low: NDArray[np.float32] | None = None
        self._high: NDArray[np.float32] | None = None

    def observe(self, values: NDArray[Any]) -> None:
        """Take an array into account; its number of channels must stay the same.

        Raises:
            InputError: A value is NaN or infinite.
        """
        others = tuple(axis for axis in range(values.ndim) if axis != self._axis % values.ndim)
        low, high = values.min(axis=others), values.max(axis=others)
        require_finite(float(low.min()), float(high.max()))
        self._low = low if self._low is None else np.minimum(self._low, low)
        self._high = high if self._high is None else np.maximum(self._high, high)

    def ranges(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(low, high), each float32 (channels,); empty if nothing was observed."""
        if self._low is None or self._high is None:
            return np.zeros(0, np.float32), np.zeros(0, np.float32)
        return self._low, self._high


class MovingAverage:
    """Exponential moving average of the smallest and of the largest value of each array; depends on their order."""

    def __init__(self, weight: float = MOVING_AVERAGE_WEIGHT) -> None:
        self._weight = weight
        self._range: Range | None = None

    def observe(self, values: NDArray[Any]) -> None:
        """See `Observer`."""
        if values.size:
            self.observe_range(float(values.min()), float(values.max()))

    def observe_range(self, low: float, high: float) -> None:
        """Take an array into account whose smallest and largest value are known already.

        Raises:
            InputError: One is NaN or infinite.
        """
        require_finite(low, high)
        old = self._range or (low, high)
        self._range = (old[0] + self._weight * (low - old[0]), old[1] + self._weight * (high - old[1]))

    def range(self) -> Range:
        """See `Observer`."""
        return self._range or (0.0, 0.0)


class _HistogramObserver:
    """Chooses a magnitude from a histogram.

    Args:
        histogram: Shared with other observers, of which then one alone observes; a new one by default.
    """

    def __init__(self, histogram: Histogram | None = None) -> None:
        self.histogram = histogram or Histogram()

    def observe(self, values: NDArray[Any]) -> None:
        """See `Observer`."""
        self.histogram.add(values)

    def range(self) -> Range:
        """See `Observer`."""
        seen = self.histogram
        if not seen.total:
            return 0.0, 0.0
        if seen.low == seen.high:
            return seen.low, seen.high
        limit = min(self._limit(), seen.amax)
        return max(min(seen.low, limit), -limit), max(min(seen.high, limit), -limit)

    def _limit(self) -> float:
        raise NotImplementedError


class Percentile(_HistogramObserver):
    """Magnitude below which a percentage of the values lies.

    Values that are exactly zero do not count, as they are exact in any range: a sparse tensor after a ReLU would
    otherwise be clipped to almost nothing. Rounded up to the next edge of a bin, so at least that share is inside.

    Args:
        percentile: In (0, 100].
        histogram: See `Mse`.
    """

    def __init__(self, percentile: float, histogram: Histogram | None = None) -> None:
        super().__init__(histogram)
        self._percentile = percentile

    def _limit(self) -> float:
        below = np.cumsum(self.histogram.magnitudes())
        position = int(np.searchsorted(below, self._percentile / 100 * below[-1]))
        return float((position + 1) * self.histogram.width)


class Mse(_HistogramObserver):
    """Magnitude that minimises the mean squared error of symmetric INT8 over the observed values.

    Args:
        histogram: Shared with other observers, of which then one alone observes; a new one by default.
    """

    def _limit(self) -> float:
        candidates = self.histogram.amax * MSE_CANDIDATES
        errors = [clipping_error(self.histogram, float(limit)) for limit in candidates]
        return float(candidates[int(np.argmin(errors))])


class Entropy(_HistogramObserver):
    """Magnitude whose 128 levels keep most of the information about the distribution.

    Minimises the Kullback-Leibler divergence between the histogram clipped to a magnitude, the values beyond it counted
    in its last bin, and the same with its bins merged to 128 levels. Source: Migacz, "8-bit inference with TensorRT",
    GPU Technology Conference 2017.

    Args:
        histogram: See `Mse`.
    """

    def _limit(self) -> float:
        counts = self.histogram.magnitudes().astype(np.float64)
        used = int(self.histogram.amax / self.histogram.width) + 1
        sizes = [*range(ENTROPY_LEVELS, used, ENTROPY_STRIDE), used]
        divergences = [_divergence(counts, size) for size in sizes]
        return float(sizes[int(np.argmin(divergences))] * self.histogram.width)


def clipping_error(histogram: Histogram, limit: float) -> float:
    """Sum of squared errors when the values are rounded to whole multiples of limit / 127 and clipped to the limit.

    Values are taken as spread evenly within their bins, over which the squared error is integrated exactly, so the
    result also holds where steps are narrower than bins; exact zeros have no error.
    """
    step = limit / INT8_STEPS
    edges = np.arange(HALF_BINS + 1) * histogram.width
    level = np.minimum(np.rint(edges / step), INT8_STEPS)
    # Integral of (t - step * round(t / step)) ** 2 from 0 to the edge: full cells, then the part of the last one.
    integral = level * step**3 / 12 + (edges - level * step) ** 3 / 3
    return float(np.diff(integral) @ histogram.magnitudes()) / histogram.width


def activation_range(
    method: ActivationMethod, histogram: Histogram, moving_average: MovingAverage, config: CalibrationConfig
) -> Range:
    """Range of a tensor by one method, from what was observed for all of them."""
    if method == "minmax":
        return (histogram.low, histogram.high) if histogram.total else (0.0, 0.0)
    if method == "moving_average":
        return moving_average.range()
    if method == "percentile":
        return Percentile(config.percentile, histogram).range()
    return (Mse(histogram) if method == "mse" else Entropy(histogram)).range()


def _divergence(counts: NDArray[np.float64], size: int) -> float:
    """Kullback-Leibler divergence of the first `size` bins from their merger to 128 levels."""
    inside = counts[:size]
    if not inside.any():  # all values clipped to one would keep their distribution perfectly
        return np.inf
    reference = inside.copy()
    reference[-1] += counts[size:].sum()
    starts = np.arange(ENTROPY_LEVELS) * size // ENTROPY_LEVELS
    is_filled = inside > 0
    filled = np.add.reduceat(is_filled, starts, dtype=np.float64)
    level = np.divide(np.add.reduceat(inside, starts), filled, out=np.zeros(ENTROPY_LEVELS), where=filled > 0)
    merged = np.repeat(level, np.diff(starts, append=size)) * is_filled
    merged = np.maximum(merged, ENTROPY_FLOOR * (reference > 0))
    p, q = reference / reference.sum(), merged / merged.sum()
    terms = p > 0
    return float(np.sum(p[terms] * np.log(p[terms] / q[terms])))
