"""Whether the machine was quiet while it was measured, and by which limits that is judged."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.bench.record_parts import Noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SPREAD = 0.05
"""Median absolute deviation over the median. With normal noise that is a standard deviation of 7 %, and two medians of
100 runs then differ by 1.3 % (one standard deviation): less than the differences that a sweep is made for."""

MAX_OTHER_CORES = 0.1
"""Cores that others may keep busy. A tenth of a core takes up to a tenth of the time of a thread."""

MAX_SWITCHES_PER_S = 20.0
"""Involuntary context switches in a second, of each thread. Linux hands a contended core on every 2 to 4 ms, so a
thread that shares its core all the time is interrupted more than a hundred times a second."""

MAX_LOAD = 0.5
"""Load average above which others are taken to work, where the system does not tell how much they really do."""

MIN_WINDOW_S = 0.5
"""Processor time is counted in ticks of 10 ms, so in shorter windows the share of others is unknown."""

STAT = "proc/stat"
# Fields of a line of /proc/stat after its name: user nice system idle iowait irq softirq steal (proc(5)).
BUSY_FIELDS = (0, 1, 2, 5, 6, 7)


@dataclass(frozen=True, slots=True)
class Usage:
    """Counters at one moment.

    Attributes:
        seconds: Of a clock that only differences of make sense.
        busy_s: Processor time spent on the usable processors by everyone, steal included; None if not told.
        own_s: Processor time of this process.
        switches: Involuntary context switches of this process; None if not told.
    """

    seconds: float
    busy_s: float | None
    own_s: float
    switches: int | None


def read_usage(root: Path = Path("/")) -> Usage:
    """Counters of now; `root` is where /proc is looked for."""
    times = os.times()
    return Usage(perf_counter(), _busy_seconds(root), times.user + times.system, _switches())


def judge_noise(
    times: NDArray[np.float64], before: Usage, after: Usage, *, load_average: float | None, threads: int
) -> Noise:
    """Compare with the limits of this module.

    Args:
        times: Timed inferences, milliseconds.
        before: Counters when the timed loops began.
        after: Counters when they ended.
        load_average: Of the system, before anything was measured.
        threads: Threads that worked.
    """
    median = float(np.median(times))
    mad = float(np.median(np.abs(times - median)))
    others = _other_cores(before, after)
    switches = None if before.switches is None or after.switches is None else after.switches - before.switches
    reasons = []
    if mad > MAX_SPREAD * median:
        reasons.append(f"median absolute deviation is {mad / median:.1%} of the median, more than {MAX_SPREAD:.0%}")
    if others is not None and others > MAX_OTHER_CORES:
        reasons.append(f"others kept {others:.2f} cores busy, more than {MAX_OTHER_CORES:g}")
    if before.busy_s is None and load_average is not None and load_average > MAX_LOAD:
        reasons.append(f"load average was {load_average:.2f} before, more than {MAX_LOAD:g}")
    seconds = after.seconds - before.seconds
    if switches is not None and seconds >= MIN_WINDOW_S and switches > MAX_SWITCHES_PER_S * seconds * threads:
        rate = switches / (seconds * threads)
        reasons.append(f"{rate:.0f} involuntary context switches a second and thread, more than {MAX_SWITCHES_PER_S:g}")
    return Noise(
        mad_ms=round(mad, 4),
        load_average=load_average,
        other_cpu_cores=None if others is None else round(others, 3),
        involuntary_switches=switches,
        noisy=bool(reasons),
        reasons=tuple(reasons),
    )


def load_average() -> float | None:
    """Of the last minute; None where the system has none."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _other_cores(before: Usage, after: Usage) -> float | None:
    seconds = after.seconds - before.seconds
    if before.busy_s is None or after.busy_s is None or seconds < MIN_WINDOW_S:
        return None
    return max(0.0, (after.busy_s - before.busy_s) - (after.own_s - before.own_s)) / seconds


def _busy_seconds(root: Path) -> float | None:
    """Of the processors that this process may use, for on a large machine the work on others disturbs little."""
    if sys.platform != "linux":
        return None
    try:
        lines = (root / STAT).read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    usable = {f"cpu{index}" for index in os.sched_getaffinity(0)}
    rows = [line.split() for line in lines if line.partition(" ")[0] in usable]
    ticks = sum(int(row[1 + field]) for row in rows for field in BUSY_FIELDS if len(row) > 1 + field)
    return ticks / os.sysconf("SC_CLK_TCK") if rows else None


def _switches() -> int | None:
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - POSIX only

    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
