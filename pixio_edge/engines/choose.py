"""Which of the engines of one size is to run: INT8 only where it is measured to be faster and inside the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MIN_SPEEDUP = 1.05
"""Medians of a GPU whose clock is not locked repeat to some percent: less is no gain, and INT8 costs accuracy."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An engine that was built.

    Args:
        name: Of its artifact.
        precision: Of its artifact.
        ms: Median latency, measured in turns with the other candidates; None if it was not timed.
        problem: Why it may not run: it failed its checks, or is outside the budget; None if it may.
    """

    name: str
    precision: str
    ms: float | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """What runs, and why.

    Args:
        name: Artifact of the engine to run; None if none may.
        reasons: One sentence for every candidate, by name.
    """

    name: str | None
    reasons: Mapping[str, str]


def choose(candidates: Sequence[Candidate]) -> Choice:
    """Choose among the engines of one size on one GPU.

    The fastest float engine runs, unless an INT8 engine is at least `MIN_SPEEDUP` times as fast. Without times, and
    without a float engine beside it, INT8 runs only where nothing else may.

    Args:
        candidates: All that were built.
    """
    usable = [item for item in candidates if item.problem is None]
    best_float = min((item for item in usable if item.precision != "int8"), key=_ms, default=None)
    best_int8 = min((item for item in usable if item.precision == "int8"), key=_ms, default=None)
    winner = best_int8 if best_int8 is not None and _is_worth_it(best_int8, best_float) else best_float
    return Choice(
        None if winner is None else winner.name,
        {item.name: item.problem or _reason(item, winner, usable) for item in candidates},
    )


def _is_worth_it(int8: Candidate, best_float: Candidate | None) -> bool:
    if best_float is None:
        return True
    return int8.ms is not None and best_float.ms is not None and int8.ms * MIN_SPEEDUP <= best_float.ms


def _reason(item: Candidate, winner: Candidate | None, usable: Sequence[Candidate]) -> str:
    if item is winner:
        return _why_it_runs(item, [other for other in usable if other is not item])
    if winner is None or item.ms is None or winner.ms is None:
        return f"not timed beside {winner.precision if winner is not None else 'another'}"
    if item.precision == "int8":
        return f"{_times(winner.ms / item.ms)} {winner.precision}, and {MIN_SPEEDUP:g} times is asked for"
    return f"{winner.precision} is {winner_gain(item.ms, winner.ms)}"


def _why_it_runs(winner: Candidate, others: Sequence[Candidate]) -> str:
    """Against the fastest of the others, which may be faster: INT8 that gains too little."""
    if not others:
        return "the only engine of this size that may run"
    rival = min(others, key=_ms)
    if winner.ms is None or rival.ms is None:
        return f"taken without a comparison, as nothing was timed beside {' and '.join(i.precision for i in others)}"
    if rival.ms < winner.ms:
        return f"{rival.precision} is only {winner_gain(winner.ms, rival.ms)}, and {MIN_SPEEDUP:g} times is asked for"
    return f"{_times(rival.ms / winner.ms)} {rival.precision} ({winner.ms:.2f} against {rival.ms:.2f} ms)"


def winner_gain(ms: float, winner_ms: float) -> str:
    """How much faster the winner is, as text."""
    return f"{ms / winner_ms:.2f} times as fast"


def _times(ratio: float) -> str:
    return f"{ratio:.2f} times as fast as"


def _ms(item: Candidate) -> float:
    return float("inf") if item.ms is None else item.ms
