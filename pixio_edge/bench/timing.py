"""Timed loops: one request after the other, or several in flight."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import itemgetter
from threading import Barrier, BrokenBarrierError
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.bench.plan import MIN_RUNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from pixio_edge.bench.plan import BenchPlan

BARRIER_TIMEOUT_S = 60.0
"""For the other requests in flight to finish their warm-up; one that failed breaks the barrier at once."""


@dataclass(frozen=True, slots=True)
class Timed:
    """One timed loop.

    Attributes:
        rows: float64 (runs, columns), milliseconds, in the order they ended.
        seconds: From the start of the first run to the end of the last.
    """

    rows: NDArray[np.float64]
    seconds: float

    @property
    def per_second(self) -> float:
        """Runs in a second."""
        return len(self.rows) / self.seconds


def repeat(step: Callable[[], tuple[float, ...]], plan: BenchPlan) -> Timed:
    """Run one after the other; `step` gives the milliseconds of one run, part by part."""
    for _ in range(plan.warmup):
        step()
    start = perf_counter()
    rows = list(_until_enough(step, plan, start + plan.budget_s, count=plan.runs))
    return Timed(np.asarray(rows, np.float64), perf_counter() - start)


def repeat_together(steps: Sequence[Callable[[], tuple[float, ...]]], plan: BenchPlan) -> Timed:
    """Run each step in a thread of its own, all at once, each taking its next run from a common supply.

    The supply has `plan.runs` for each step; a slower step takes less of it, so that none works alone at the end.

    Raises:
        PixioEdgeError: Of the first step that failed.
    """
    barrier = Barrier(len(steps))
    supply = iter(range(plan.runs * len(steps)))

    def work(step: Callable[[], tuple[float, ...]]) -> list[tuple[float, float, tuple[float, ...]]]:
        try:
            for _ in range(plan.warmup):
                step()
        except BaseException:
            barrier.abort()
            raise
        barrier.wait(BARRIER_TIMEOUT_S)
        end = perf_counter() + plan.budget_s
        rows: list[tuple[float, float, tuple[float, ...]]] = []
        # `next` of this iterator holds the interpreter's lock, so no two threads get the same run.
        while (len(rows) < MIN_RUNS or perf_counter() < end) and next(supply, None) is not None:
            start = perf_counter()
            row = step()
            rows.append((start, perf_counter(), row))
        return rows

    with ThreadPoolExecutor(len(steps)) as pool:
        futures = [pool.submit(work, step) for step in steps]
    for error in [future.exception() for future in futures]:
        if error is not None and not isinstance(error, BrokenBarrierError):
            raise error
    runs = sorted((row for future in futures for row in future.result()), key=itemgetter(1))
    rows = np.asarray([row for _, _, row in runs], np.float64)
    return Timed(rows, runs[-1][1] - min(start for start, _, _ in runs))


def _until_enough(
    step: Callable[[], tuple[float, ...]], plan: BenchPlan, end: float, *, count: int
) -> Iterator[tuple[float, ...]]:
    for done in range(count):
        if done >= MIN_RUNS and perf_counter() >= end:
            return
        yield step()
