"""Timed loops: one request after the other, or several in flight."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from operator import itemgetter
from threading import Barrier, BrokenBarrierError
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.bench.plan import MIN_RUNS, MOST_RUNS, WARMUP_SHARE

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


def repeat(step: Callable[[], tuple[float, ...]], plan: BenchPlan, *, is_warm: bool = False) -> Timed:
    """Run one after the other; `step` gives the milliseconds of one run, part by part.

    Args:
        step: One run.
        plan: How often and how long.
        is_warm: Whether another loop went before, so that `warmup_s` has passed already.
    """
    _warm_up(step, plan, 0.0 if is_warm else plan.warmup_s)
    start = perf_counter()
    rows = list(_until_enough(step, plan, start))
    return Timed(np.asarray(rows, np.float64), perf_counter() - start)


def repeat_together(steps: Sequence[Callable[[], tuple[float, ...]]], plan: BenchPlan) -> Timed:
    """Run each step in a thread of its own, all at once, each taking its next run from a common supply.

    The supply has `plan.runs` for each step, and lasts for `plan.timed_s` at least; a slower step takes less of it, so
    that none works alone at the end.

    Raises:
        PixioEdgeError: Of the first step that failed.
    """
    barrier = Barrier(len(steps))
    supply = count()

    def work(step: Callable[[], tuple[float, ...]]) -> list[tuple[float, float, tuple[float, ...]]]:
        try:
            _warm_up(step, plan, plan.warmup_s)
        except BaseException:
            barrier.abort()
            raise
        barrier.wait(BARRIER_TIMEOUT_S)
        begin = perf_counter()
        rows: list[tuple[float, float, tuple[float, ...]]] = []
        # `next` of this iterator holds the interpreter's lock, so no two threads get the same run.
        while _goes_on(plan, next(supply), len(rows), perf_counter() - begin, requests=len(steps)):
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


def _warm_up(step: Callable[[], tuple[float, ...]], plan: BenchPlan, seconds: float) -> None:
    """As many runs and as long as the plan says, but no longer than a share of its budget once there was one run."""
    start = perf_counter()
    done = 0
    while done < plan.warmup or perf_counter() - start < seconds:
        step()
        done += 1
        if perf_counter() - start >= WARMUP_SHARE * plan.budget_s:
            return


def _until_enough(step: Callable[[], tuple[float, ...]], plan: BenchPlan, start: float) -> Iterator[tuple[float, ...]]:
    done = 0
    while _goes_on(plan, done, done, perf_counter() - start):
        yield step()
        done += 1


def _goes_on(plan: BenchPlan, taken: int, own: int, seconds: float, *, requests: int = 1) -> bool:
    """Whether another run is started.

    Args:
        plan: What is enough.
        taken: Runs that were started before it, of all requests.
        own: Those of this request.
        seconds: Since the first.
        requests: In flight.
    """
    if own >= MIN_RUNS and seconds >= plan.budget_s:
        return False
    return taken < plan.runs * requests or (seconds < plan.timed_s and taken < MOST_RUNS)
