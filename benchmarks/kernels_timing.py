"""Time on a GPU as events see it, and how fast the GPU can be, measured on itself.

Contenders take turns, round by round, on a GPU that has been busy for a while: neither an idle clock nor the heat of
the one before favours anybody.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

Work = Callable[[], Any]
Replay = Callable[[], Any]

WARM_UP = 3
ROUNDS = 30
# An idle H200 was seen at 345 MHz and at 1980 after some work: a GPU is kept busy for this long before the first event.
HEAT_S = 0.1
COPY_BYTES = 1 << 30  # several times the second-level cache of any GPU
PRODUCT_SIDE = 8192


@dataclass(frozen=True, slots=True)
class Times:
    """Of one run of one piece of work.

    Args:
        median_ms: Of one run.
        mad_ms: Median distance from it.
        rounds: Measurements.
    """

    median_ms: float
    mad_ms: float
    rounds: int


@dataclass(frozen=True, slots=True)
class Least:
    """What a piece of work cannot do without.

    Args:
        moved: Bytes, each read or written once.
        half: Operations in float16 or bfloat16, two for each multiply-add.
        int8: The same in int8.
    """

    moved: float
    half: float = 0
    int8: float = 0


@dataclass(frozen=True, slots=True)
class Peaks:
    """What this GPU was seen to do: not what a data sheet says, and so a yardstick rather than a wall.

    Args:
        bytes_per_s: Read and written by a copy of 1 GiB in memory.
        cache_bytes_per_s: The same by a copy that stays in the second-level cache.
        cache_bytes: Size of that cache.
        half_per_s: Operations (two for each multiply-add) of a large product in float16.
        int8_per_s: The same in int8; None where torch has no such product, and twice float16 is taken.
    """

    bytes_per_s: float
    cache_bytes_per_s: float
    cache_bytes: int
    half_per_s: float
    int8_per_s: float | None

    def shortest(self, least: Least, *, cold: bool) -> tuple[float, str]:
        """Milliseconds that the work takes at these rates, and what decides: "memory", "cache" or "arithmetic".

        Cold, every byte comes from memory or goes there. Warm, bytes pass through the cache, and only those that it
        cannot hold come from memory.
        """
        arithmetic = least.half / self.half_per_s + least.int8 / (self.int8_per_s or 2 * self.half_per_s)
        from_memory = least.moved if cold else max(0.0, least.moved - self.cache_bytes)
        limits = {"memory": from_memory / self.bytes_per_s, "arithmetic": arithmetic}
        if not cold:
            limits["cache"] = least.moved / self.cache_bytes_per_s
        name = max(limits, key=lambda one: limits[one])
        return 1e3 * limits[name], name


class Clock:
    """Measures work on a GPU, or on the CPU for a dry run, where nothing is recorded in graphs.

    Args:
        device: "cuda" or "cpu".
        rounds: Measurements of each.
        heat_s: Seconds of work before the first measurement.
    """

    def __init__(self, device: str, *, rounds: int = ROUNDS, heat_s: float = HEAT_S) -> None:
        self.device = device
        self.rounds = rounds
        self.heat_s = heat_s

    def record(self, works: Sequence[Work], *, passes: int = 1) -> Replay:
        """Put the works into one CUDA graph, several times over; results live as long as the graph.

        Every result has memory of its own, so that writing it is not writing over the one before in the cache.
        """
        if self.device == "cpu":
            return lambda: [work() for _ in range(passes) for work in works]
        stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                works[0]()
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        kept = []
        with torch.cuda.graph(graph, stream=stream):
            for turn in range(passes):
                results = [work() for work in works]
                kept += results if turn == 0 else []
        return partial(_replay, graph, kept)

    def compare(self, replays: Mapping[str, Replay], *, runs: int) -> dict[str, Times]:
        """GPU time of one run of each; a replay makes `runs` of them. They take turns, and the order moves on."""
        if self.device == "cpu":
            return self.by_wall(replays, runs=runs)
        self._heat(replays)
        event: Any = partial(torch.cuda.Event, enable_timing=True)
        pairs: dict[str, list[Any]] = {name: [] for name in replays}
        for turn in range(self.rounds):
            for name in _turned(replays, turn):
                start, end = event(), event()
                start.record()
                replays[name]()
                end.record()
                pairs[name].append((start, end))
        torch.cuda.synchronize()
        return {name: _summary([a.elapsed_time(b) / runs for a, b in found]) for name, found in pairs.items()}

    def by_wall(self, works: Mapping[str, Work], *, runs: int = 1) -> dict[str, Times]:
        """Time of a caller that waits for the result; they take turns."""
        self._heat(works)
        times: dict[str, list[float]] = {name: [] for name in works}
        for turn in range(self.rounds):
            for name in _turned(works, turn):
                start = time.perf_counter()
                works[name]()
                self.wait()
                times[name].append((time.perf_counter() - start) * 1e3 / runs)
        return {name: _summary(found) for name, found in times.items()}

    def wait(self) -> None:
        """Until the GPU has done everything."""
        if self.device != "cpu":
            torch.cuda.synchronize()

    def peaks(self, *, copy_bytes: int = COPY_BYTES, side: int = PRODUCT_SIDE) -> Peaks:
        """Measure what this GPU can do, on random numbers: zeros are quicker on some."""
        cache = torch.cuda.get_device_properties(0).L2_cache_size if self.device != "cpu" else copy_bytes
        dtype = torch.float16 if self.device != "cpu" else torch.float32
        a, b = (torch.randn(side, side, device=self.device).to(dtype) for _ in range(2))
        product = self._only(lambda: a @ b)
        operations = 2 * side**3
        # A quarter, so that source and target fit beside whatever else is in the cache.
        return Peaks(
            self._copied(copy_bytes, passes=1),
            self._copied(cache // 4, passes=50),
            cache,
            operations / product * 1e3,
            self._int8_peak(side),
        )

    def _copied(self, size: int, *, passes: int) -> float:
        source = torch.randint(0, 256, (size,), dtype=torch.uint8, device=self.device)
        target = torch.empty_like(source)
        return 2 * size / self._only(lambda: target.copy_(source), passes=passes) * 1e3

    def _int8_peak(self, side: int) -> float | None:
        a, b = (torch.randint(-127, 128, (side, side), dtype=torch.int8, device=self.device) for _ in range(2))
        try:
            return 2 * side**3 / self._only(lambda: torch._int_mm(a, b.t())) * 1e3
        except RuntimeError:
            return None

    def _only(self, work: Work, *, passes: int = 2) -> float:
        return self.compare({"": self.record([work], passes=passes)}, runs=passes)[""].median_ms

    def _heat(self, works: Mapping[str, Work]) -> None:
        end = time.perf_counter() + self.heat_s
        while True:
            for work in works.values():
                work()
            self.wait()
            if time.perf_counter() >= end:
                return


def _replay(graph: torch.cuda.CUDAGraph, kept: list[Any]) -> list[Any]:
    graph.replay()
    return kept


def _turned(works: Mapping[str, Work], turn: int) -> list[str]:
    names = list(works)
    first = turn % len(names)
    return names[first:] + names[:first]


def _summary(times: list[float]) -> Times:
    median = statistics.median(times)
    return Times(median, statistics.median(abs(value - median) for value in times), len(times))
