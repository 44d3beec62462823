"""What `soak.py` keeps of a long run, in memory that is taken before it begins and does not grow."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Iterable

import numpy as np
import psutil  # type: ignore[import-untyped]
from numpy.typing import NDArray

GROWTH_LIMIT_MIB = 2.0
"""What 30 minutes of frames may add: less than one depth map of 1280x720 (3.5 MiB), so that one that is kept shows."""

LIMIT_SECONDS = 1800.0
"""Growth is that in so much time at the rate that was measured, however long the measurement."""

# Resident memory is judged over the second half, malloc after this share.
WARM_UP_SHARE, MALLOC_WARM_UP_SHARE = 0.5, 0.2
# And resident memory after so many frames. OpenVINO 2026.4, two threads, several INT8 graphs in turns: it grows by 5
# to 30 KiB a frame at first, and by nothing after some 1,200 frames, while the bytes that malloc has given out stay the
# same to 0.01 MiB. It is memory that was taken at the start and is touched for the first time when its scheduler hands
# a part to another thread: with one thread, or one graph, nothing grows from the first frame on.
WARM_UP_FRAMES = 2000
# Bins 1 % apart from 0.1 ms to 100 s: no percentile is wrong by more than that.
FIRST_MS, LAST_MS, BIN_RATIO = 0.1, 1e5, 1.01
BINS = math.ceil(math.log(LAST_MS / FIRST_MS) / math.log(BIN_RATIO))
# Of the samples that a record keeps, for a plot.
KEPT_SAMPLES = 120
MIN_SAMPLES = 3


class LatencyCounts:
    """A histogram of times. One thread adds to it."""

    def __init__(self) -> None:
        self.bins = np.zeros(BINS, np.int64)
        self.count = 0
        self.largest_ms = 0.0

    def add(self, seconds: float) -> None:
        """Count one time."""
        milliseconds = seconds * 1e3
        at = math.log(max(milliseconds, FIRST_MS) / FIRST_MS) / math.log(BIN_RATIO)
        self.bins[min(int(at), BINS - 1)] += 1
        self.count += 1
        self.largest_ms = max(self.largest_ms, milliseconds)

    def percentiles(self) -> dict[str, float | None]:
        """Median, 99th percentile and largest in milliseconds; None where nothing was counted."""
        largest = self.largest_ms if self.count else None
        return {"p50_ms": self._percentile(0.5), "p99_ms": self._percentile(0.99), "max_ms": largest}

    @classmethod
    def summed(cls, parts: Iterable[LatencyCounts]) -> LatencyCounts:
        """One histogram of the times of several threads."""
        total = cls()
        for part in parts:
            total.bins += part.bins
            total.count += part.count
            total.largest_ms = max(total.largest_ms, part.largest_ms)
        return total

    def _percentile(self, share: float) -> float | None:
        if not self.count:
            return None
        at = int(np.searchsorted(np.cumsum(self.bins), share * self.count))
        return float(FIRST_MS * BIN_RATIO ** (at + 0.5))


class MemorySamples:
    """Memory of this process over time: rows of (seconds, resident MiB, frames so far, MiB that malloc gave out)."""

    def __init__(self, seconds: float, interval_s: float) -> None:
        self._rows = np.zeros((math.ceil(seconds / interval_s) + 1, 4), np.float64)
        self._seconds = seconds
        self._count = 0
        self._process = psutil.Process()

    @property
    def last_mib(self) -> float:
        """The newest sample; 0 before the first."""
        return float(self._rows[self._count - 1, 1]) if self._count else 0.0

    def sample(self, seconds: float, frames: int) -> None:
        """Take one sample; does nothing when there is no room."""
        if self._count < len(self._rows):
            resident = self._process.memory_info().rss / 2**20
            self._rows[self._count] = seconds, resident, frames, allocated_mib()
            self._count += 1

    def after_warm_up(self) -> NDArray[np.float64]:
        """Samples (N, 2) of seconds and resident MiB that count; none where there were too few frames."""
        rows = self._rows[: self._count]
        return rows[(rows[:, 0] >= WARM_UP_SHARE * self._seconds) & (rows[:, 2] >= WARM_UP_FRAMES), :2]

    def allocated(self) -> NDArray[np.float64]:
        """Samples (N, 2) of seconds and MiB that malloc gave out, after the first share of the time; NaN if unknown."""
        rows = self._rows[: self._count]
        return rows[rows[:, 0] >= MALLOC_WARM_UP_SHARE * self._seconds][:, [0, 3]]

    def stages(self) -> dict[str, float | None]:
        """Resident MiB at the first sample, with all graphs loaded, and at the first of the second half."""
        rows = self._rows[: self._count]
        late = rows[rows[:, 0] >= WARM_UP_SHARE * self._seconds, 1]
        first, half = (float(part[0]) if len(part) else None for part in (rows[:, 1], late))
        return {"rss_loaded_mib": first, "rss_half_mib": half}

    def thinned(self) -> NDArray[np.float64]:
        """At most `KEPT_SAMPLES` of all samples, evenly spread: seconds and MiB."""
        rows = self._rows[: self._count, :2]
        return rows[:: max(1, math.ceil(len(rows) / KEPT_SAMPLES))]


class _Mallinfo(ctypes.Structure):
    """`struct mallinfo2` of glibc, all of `size_t`."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "used", "free", "keepcost")
    ]


def allocated_mib() -> float:
    """What malloc has given out and not got back, in MiB; NaN where the C library does not tell."""
    mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None) if sys.platform == "linux" else None
    if mallinfo2 is None:
        return math.nan
    mallinfo2.restype = _Mallinfo
    found = mallinfo2()
    return float(found.used + found.hblkhd) / 2**20


def growth_mib(samples: NDArray[np.float64]) -> float | None:
    """Growth in `LIMIT_SECONDS` by the straight line that fits the samples best; None with too few to fit one.

    Args:
        samples: (N, 2) rows of seconds and MiB.
    """
    if len(samples) < MIN_SAMPLES or not np.isfinite(samples).all():
        return None
    seconds, memory = samples.T
    slope, _ = np.polyfit(seconds - seconds.mean(), memory, 1)
    return float(slope * LIMIT_SECONDS)
