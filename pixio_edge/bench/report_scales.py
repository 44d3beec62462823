"""From values to places in a figure, with ticks at round numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Values that are further apart than this are drawn by their logarithm: on a linear axis the small ones fall together.
LOG_FACTOR = 8.0
# Room between the outermost values and the edge, of what the values span.
MARGIN = 0.06
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
# More labels than this touch each other in the width of a phone.
MOST_TICKS = 7


@dataclass(frozen=True, slots=True)
class Scale:
    """One axis.

    Args:
        low: Value at `start`.
        high: Value at `end`.
        start: Place of `low` in pixels.
        end: Place of `high` in pixels; above `start` for an axis that grows upwards.
        log: Whether places are in proportion to logarithms.
        ticks: Values that get a label.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Place of a value in pixels; one beyond an end is put at that end."""
        clipped = min(max(value, self.low), self.high)
        if self.log:
            part = math.log(clipped / self.low) / math.log(self.high / self.low)
        else:
            part = (clipped - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)


def spread_scale(values: Sequence[float], start: float, end: float) -> Scale:
    """For sizes such as latency: from 0, or logarithmic when the values are far apart.

    Args:
        values: Finite and above 0; one at least.
        start: Place of the low end in pixels.
        end: Place of the high end in pixels.
    """
    if max(values) / min(values) >= LOG_FACTOR:
        return log_scale(values, start, end)
    return linear_scale((0.0, *values), start, end)


def log_scale(values: Sequence[float], start: float, end: float, ticks: Sequence[float] | None = None) -> Scale:
    """Logarithmic, with room beside the outermost values.

    Args:
        values: Finite and above 0; one at least.
        start: Place of the low end in pixels.
        end: Place of the high end in pixels.
        ticks: Values that get a label; None takes round ones.
    """
    span = max(max(values) / min(values), 1.5) ** MARGIN
    low, high = min(values) / span, max(values) * span
    chosen = log_ticks(low, high) if ticks is None else tuple(ticks)
    return Scale(low, high, start, end, True, chosen)


def linear_scale(values: Sequence[float], start: float, end: float, least_span: float = 0.0) -> Scale:
    """Linear, between round numbers.

    Args:
        values: Finite; one at least.
        start: Place of the low end in pixels.
        end: Place of the high end in pixels.
        least_span: The axis spans so much at least, so that differences that mean nothing do not look like some.
    """
    room = max(0.0, least_span - (max(values) - min(values))) / 2
    ticks = linear_ticks(min(values) - room, max(values) + room)
    return Scale(ticks[0], ticks[-1], start, end, False, ticks)


def linear_ticks(low: float, high: float) -> tuple[float, ...]:
    """Round numbers at equal distances, the first at or below `low` and the last at or above `high`."""
    span = (high - low) or abs(high) * 0.1 or 1.0
    rough = span / (MOST_TICKS - 2)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in STEPS if step * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(index * step, 12) for index in range(first, max(last, first + 1) + 1))


def log_ticks(low: float, high: float) -> tuple[float, ...]:
    """Round numbers between two values: 1, 2, 5, or every digit of a short range, or tens of a long one."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)

    def inside(digits: Iterable[float]) -> tuple[float, ...]:
        candidates = (digit * 10.0**exponent for exponent in exponents for digit in digits)
        return tuple(float(f"{value:.6g}") for value in candidates if low <= value <= high)

    found = inside((1, 2, 5))
    if len(found) > MOST_TICKS:
        tens = inside((1,))
        return tens[:: math.ceil(len(tens) / MOST_TICKS)]
    if len(found) < 3:
        found = inside((1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9))
    return found if len(found) > 1 else (low, high)


def apart(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move labels apart along one direction, each as little as the others allow.

    Args:
        places: Wanted places, in any order.
        gap: Smallest distance between two.
        low: No label is put below.
        high: No label is put above, unless all of them do not fit.

    Returns:
        Places in the order of the labels.
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = [0.0] * len(places)
    for rank, index in enumerate(order):
        moved[index] = max(places[index], low if rank == 0 else moved[order[rank - 1]] + gap)
    limit = high
    for index in reversed(order):
        moved[index] = min(moved[index], limit)
        limit = moved[index] - gap
    shift = max(0.0, low - min(moved, default=low))
    return [place + shift for place in moved]
