"""Each contender of a case: checked first, then timed warm and cold, with its share of what this GPU could do."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from kernels_cases import Case
from kernels_timing import Clock, Least, Peaks, Replay, Times, Work
from torch import Tensor

from pixio_edge.kernels.launch import record_starts

Record = dict[str, Any]

# Starting a graph takes some microseconds; in half a millisecond of work they are lost.
GRAPH_MS = 0.5
MOST_RUNS = 200
# Cold, inputs and results of this many caches' size are gone through before the first ones come again.
CACHES = 2
MOST_SETS = 256
# What torch says of a backend that it has not or that does not take a shape, and of a missing compiler.
MISSING = ("No available kernel", "Cannot find a working triton")
SHOWN_CHARACTERS = 300


def measure(case: Case, clock: Clock, peaks: Peaks) -> list[Record]:
    """One record for each contender, with what failed where something did."""
    works, expected = case.make()
    checked = {name: check(case, name, work, expected) for name, work in works.items()}
    good = [name for name, record in checked.items() if record["status"] == "ok"]
    largest = max(case.least(name).moved for name in works)
    count = sets_needed(largest, peaks.cache_bytes)
    # The sets live until the cold times are taken; the first is the one that was checked.
    others = [case.make()[0] for _ in range(count - 1)]
    for cold in (False, True):
        sets = {name: [works[name], *(other[name] for other in others)] if cold else [works[name]] for name in good}
        for name, found in time_all(case, sets, clock, peaks, cold=cold).items():
            checked[name] |= found
    return [{"operator": case.operator, **case.shape, "contender": name, **checked[name]} for name in works]


def check(case: Case, name: str, work: Work, expected: Callable[[], Tensor]) -> Record:
    """Run a contender once and hold it against float32."""
    tolerance = case.tolerance(name)
    try:
        with record_starts() as started, warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            result = work()
        if tolerance is None:
            return {"status": "ok"}
        exact = expected().float()
        error = float((case.value(result).float() - exact).abs().max() / exact.abs().max())
    except Exception as failure:  # a backend that does not take a shape must not end the run
        return failed(failure, [str(one.message) for one in said])
    entries = {"entries": [one.entry for one in started]} if started else {}
    status = "ok" if error <= tolerance else "wrong"
    return {"status": status, "error": error if math.isfinite(error) else None, **entries}


def time_all(case: Case, sets: dict[str, list[Work]], clock: Clock, peaks: Peaks, *, cold: bool) -> dict[str, Record]:
    """Time of one run of each by turns, and its share; of what cannot be recorded in a graph, why."""
    mode = "cold" if cold else "warm"
    if not sets:
        return {}
    shortest = min(peaks.shortest(case.least(name), cold=cold)[0] for name in sets)
    inputs = len(next(iter(sets.values())))
    runs = min(MOST_RUNS, math.ceil(GRAPH_MS / shortest)) if clock.device != "cpu" else 1  # there without graphs
    passes = max(1, runs // inputs)
    replays: dict[str, Replay] = {}
    found: dict[str, Record] = {}
    for name, works in sets.items():
        try:
            replays[name] = clock.record(works, passes=passes)
        except Exception as failure:  # what cannot be recorded must not take the others with it
            found[name] = failed(failure, [])
    times = clock.compare(replays, runs=passes * inputs) if replays else {}
    return found | {name: timed(one, case.least(name), peaks, mode) for name, one in times.items()}


def timed(times: Times, least: Least, peaks: Peaks, mode: str) -> Record:
    """Fields of one time: the share of what these peaks allow, by which of them, and why it is above 1 if it is."""
    shortest, limit = peaks.shortest(least, cold=mode == "cold")
    share = shortest / times.median_ms
    fields: Record = {"median_ms": times.median_ms, "mad_ms": times.mad_ms, "rounds": times.rounds}
    fields |= {"least_ms": shortest, "limit": limit, "roofline": share}
    if share > 1:
        fields["above_1"] = ABOVE[limit]
    return {mode: fields}


ABOVE = {
    "memory": "results may have stayed in the cache, or this work writes less than the copy that gave the peak",
    "cache": "the copy that gave the peak also writes, and reads far parts of the cache; registers or L1 served some",
    "arithmetic": "the long product that gave the peak ran at a lower clock than this short work",
}


def sets_needed(moved: float, cache_bytes: int) -> int:
    """Sets of inputs that together push each other out of the cache."""
    return min(MOST_SETS, 1 + math.ceil(CACHES * cache_bytes / max(moved, 1)))


def failed(failure: Exception, warned: list[str]) -> Record:
    """Why, in one line; "missing" where this torch has no such thing, with what it says about it."""
    first = (str(failure).splitlines() or [""])[0] or type(failure).__name__
    status = "missing" if any(word in str(failure) for word in MISSING) else "failed"
    reasons = dict.fromkeys(line.split(" (Triggered")[0] for line in warned)
    said = "; ".join([first, *reasons]) if status == "missing" else first
    return {"status": status, "reason": said[:SHOWN_CHARACTERS]}
