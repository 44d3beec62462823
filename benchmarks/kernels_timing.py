"""Time on a GPU as events see it, and how fast the GPU can be, measured on itself."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

Work = Callable[[], Any]

WARM_UP = 3
ROUNDS = 30
# Runs in one graph: an event has a resolution of about half a microsecond, and the shortest kernels take two.
REPEATS = 20
MODEL_REPEATS = 1
COPY_BYTES = 1 << 30  # several times the second-level cache of any GPU
PRODUCT_SIDE = 8192


@dataclass(frozen=True, slots=True)
class Times:
    """Of one piece of work.

    Args:
        median_ms: Of one run.
        mad_ms: Median distance from it.
        rounds: Measurements.
    """

    median_ms: float
    mad_ms: float
    rounds: int


@dataclass(frozen=True, slots=True)
class Peaks:
    """What this GPU was seen to do: not what a data sheet says.

    Args:
        bytes_per_s: Read and written by a copy of 1 GiB.
        half_per_s: Operations (two for each multiply-add) of a large product in float16.
        int8_per_s: The same in int8; None where torch has no such product.
    """

    bytes_per_s: float
    half_per_s: float
    int8_per_s: float | None

    def shortest_ms(self, *, moved: float, half: float = 0, int8: float = 0) -> float:
        """Milliseconds below which nothing can be on this GPU: memory and arithmetic at once, each at its peak."""
        arithmetic = half / self.half_per_s + int8 / (self.int8_per_s or 2 * self.half_per_s)
        return 1e3 * max(moved / self.bytes_per_s, arithmetic)


class Clock:
    """Measures work on a GPU, or on the CPU for a dry run.

    Args:
        device: "cuda" or "cpu".
        rounds: Measurements of each.
    """

    def __init__(self, device: str, *, rounds: int = ROUNDS) -> None:
        self.device = device
        self.rounds = rounds

    def in_graph(self, work: Work, *, repeats: int = REPEATS) -> Times:
        """Time on the GPU alone: the work is recorded several times in a CUDA graph, which is started and timed."""
        if self.device == "cpu":
            return self.by_wall(work)
        stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                work()
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            for _ in range(repeats):
                work()
        return self._by_events(graph.replay, runs=repeats)

    def as_called(self, work: Work) -> Times:
        """Time from the start of the first kernel to the end of the last, with whatever Python adds between them."""
        if self.device == "cpu":
            return self.by_wall(work)
        for _ in range(WARM_UP):
            work()
        torch.cuda.synchronize()
        return self._by_events(work, runs=1)

    def by_wall(self, work: Work) -> Times:
        """Time of a caller that waits for the result."""
        for _ in range(WARM_UP):
            work()
        times = []
        for _ in range(self.rounds):
            start = time.perf_counter()
            work()
            if self.device != "cpu":
                torch.cuda.synchronize()
            times.append((time.perf_counter() - start) * 1e3)
        return _summary(times)

    def peaks(self, *, copy_bytes: int = COPY_BYTES, side: int = PRODUCT_SIDE) -> Peaks:
        """Measure what this GPU can do."""
        dtype = torch.float16 if self.device != "cpu" else torch.float32
        source = torch.zeros(copy_bytes, dtype=torch.uint8, device=self.device)
        target = torch.empty_like(source)
        copy = self.in_graph(lambda: target.copy_(source), repeats=2)
        a, b = (torch.randn(side, side, device=self.device).to(dtype) for _ in range(2))
        product = self.in_graph(lambda: a @ b, repeats=2)
        operations = 2 * side**3
        return Peaks(2 * copy_bytes / copy.median_ms * 1e3, operations / product.median_ms * 1e3, self._int8_peak(side))

    def _int8_peak(self, side: int) -> float | None:
        a, b = (torch.ones(side, side, dtype=torch.int8, device=self.device) for _ in range(2))
        try:
            times = self.in_graph(lambda: torch._int_mm(a, b.t()), repeats=2)
        except RuntimeError:
            return None
        return 2 * side**3 / times.median_ms * 1e3

    def _by_events(self, work: Work, *, runs: int) -> Times:
        event: Any = partial(torch.cuda.Event, enable_timing=True)
        pairs = [(event(), event()) for _ in range(self.rounds)]
        for start, end in pairs:
            start.record()
            work()
            end.record()
        torch.cuda.synchronize()
        return _summary([start.elapsed_time(end) / runs for start, end in pairs])


def _summary(times: list[float]) -> Times:
    median = statistics.median(times)
    return Times(median, statistics.median(abs(value - median) for value in times), len(times))
