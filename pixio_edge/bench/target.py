"""Which row of a sweep to use when a frame may take so many milliseconds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixio_edge.bench.accuracy import MEASURED
from pixio_edge.bench.record import OK
from pixio_edge.bench.sweep import PRECISION_ORDER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pixio_edge.bench.record import BenchRecord

SAME_DELTA1 = 0.001
"""Differences of delta1 below a tenth of a point are less than what another choice of images changes."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, and why.

    Attributes:
        record: The row; None if none was timed.
        fits: Whether it is within the target.
        reason: One sentence.
    """

    record: BenchRecord | None
    fits: bool
    reason: str


def frame_ms(record: BenchRecord) -> float | None:
    """Time of a whole frame that nine in ten keep: resizing, inference, restoring; None if it was not measured.

    After a sustained run, that much longer as its last stretch was slower than its first.
    """
    if record.predict_p90_ms is None:
        return None
    long = record.sustained
    return record.predict_p90_ms * (1.0 if long is None else max(1.0, long.last_p50_ms / long.first_p50_ms))


def choose(records: Sequence[BenchRecord], target_ms: float) -> Choice:
    """The most accurate row whose frames are within the target; if none is, the fastest.

    Rows count when their status is "ok" and they have one request in flight. Accuracies are compared only where they
    are from the same data; rows without one come after those with one, the larger model and input first, as it is
    probably the better. Among equals the more exact precision wins, then the larger input, then the faster.

    Args:
        records: Of one sweep.
        target_ms: Milliseconds for a whole frame.
    """
    timed = [(record, time) for record in records if record.status == OK and (time := frame_ms(record)) is not None]
    if not timed:
        return Choice(None, fits=False, reason="no row was timed")
    within = [(record, time) for record, time in timed if time <= target_ms]
    if not within:
        fastest, time = min(timed, key=lambda pair: pair[1])
        return Choice(
            fastest,
            fits=False,
            reason=f"nothing keeps {target_ms:g} ms for a whole frame; the fastest takes {time:.1f} ms (p90)",
        )
    measured = _comparable([record for record, _ in within])
    if measured:
        best = max(record.accuracy.delta1 or 0.0 for record in measured if record.accuracy)
        pool = [r for r in measured if r.accuracy and best - (r.accuracy.delta1 or 0.0) < SAME_DELTA1]
        why = f"the most accurate (delta1 {best:.3f}, {_source(pool[0])}) of {len(within)} rows within {target_ms:g} ms"
    else:
        pool = [record for record, _ in within]
        why = (
            f"the largest model and input of {len(within)} rows within {target_ms:g} ms, taken to be the most accurate "
            "as no accuracy is known; give --data to measure it"
        )
    chosen = min(pool, key=lambda record: _order(record, by_model=not measured))
    if len(pool) > 1:
        why += f"; of {len(pool)} equal in that, the more exact precision, then the larger input, then the faster"
    noisy = ", on a noisy machine" if chosen.noise is not None and chosen.noise.noisy else ""
    return Choice(chosen, fits=True, reason=f"{why}; {frame_ms(chosen) or 0.0:.1f} ms for a frame (p90){noisy}")


def _comparable(records: Sequence[BenchRecord]) -> list[BenchRecord]:
    """Those with an accuracy from the same data: measured in the sweep if any was, else what most manifests state."""
    known = [record for record in records if record.accuracy is not None and record.accuracy.delta1 is not None]
    own = [record for record in known if record.accuracy is not None and record.accuracy.source == MEASURED]
    pool = own or known
    if not pool:
        return []
    common = Counter(map(_sets, pool)).most_common(1)[0][0]
    return [record for record in pool if _sets(record) == common]


def _sets(record: BenchRecord) -> tuple[str, ...]:
    return () if record.accuracy is None else tuple(sorted(record.accuracy.sets))


def _source(record: BenchRecord) -> str:
    return "measured" if record.accuracy is not None and record.accuracy.source == MEASURED else "as its manifest says"


def _order(record: BenchRecord, *, by_model: bool) -> tuple[float, ...]:
    """Ascending: what comes first is chosen."""
    size = (-(record.parameters or 0), -(record.tokens or 0)) if by_model else ()
    exactness = PRECISION_ORDER.index(record.precision)
    return (*size, exactness, -(record.tokens or 0), frame_ms(record) or 0.0)
