"""Which row of a sweep to use when a frame may take so many milliseconds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from pixio_edge.bench.accuracy import MEASURED
from pixio_edge.bench.record import OK
from pixio_edge.bench.verdicts import PRECISION_ORDER
from pixio_edge.sizes import choose_size, size_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pixio_edge.bench.record import BenchRecord

SAME_DELTA1 = 0.001
"""Differences of delta1 below a tenth of a point are less than what another choice of images changes."""

LAST_PART = 10
"""The last tenth of the stretches of a sustained run tells what is left when warm: six of sixty, so that one disturbed
stretch does not decide."""


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

    After a sustained run, that much longer as inferences of its last tenth were slower than those that were timed
    before: the run itself may begin on a device that is throttled already.
    """
    if record.predict_p90_ms is None:
        return None
    long = record.sustained
    if long is None or not record.p50_ms:
        return record.predict_p90_ms
    last = long.buckets[-max(1, len(long.buckets) // LAST_PART) :]
    return record.predict_p90_ms * max(1.0, median(bucket.p50_ms for bucket in last) / record.p50_ms)


def choose(records: Sequence[BenchRecord], target_ms: float, *, any_shape: bool = False) -> Choice:
    """The most accurate row whose frames are within the target; if none is, the fastest.

    Rows count when their status is "ok", they have one request in flight, and their input has the shape that
    `DepthEstimator` takes for such frames (`sizes.choose_size`): into another shape a frame would be squeezed.
    Accuracies are compared only where they are from the same data, and the fastest of the equally accurate wins. Rows
    without one come after those with one, the larger model and input first, as it is probably the better, then the
    more exact precision, then the faster.

    Args:
        records: Of one sweep, those that were not timed as well: they tell which sizes there are.
        target_ms: Milliseconds for a whole frame.
        any_shape: Whether inputs of another shape than the frame's count, as when somebody asked for them; never those
            with an accuracy that a manifest states.
    """
    timed = [(record, time) for record in records if record.status == OK and (time := frame_ms(record)) is not None]
    if not timed:
        return Choice(None, fits=False, reason="no row was timed")
    where = f"{size_label(timed[0][0].frame)} frames"
    timed = [pair for pair in timed if _suits_frame(pair[0], records, any_shape=any_shape)]
    if not any_shape:
        where += " at the size that suits them"
    if not timed:
        return Choice(None, fits=False, reason=f"no row was timed for {where}")
    within = [(record, time) for record, time in timed if time <= target_ms]
    if not within:
        fastest, time = min(timed, key=lambda pair: pair[1])
        reason = f"nothing keeps {target_ms:g} ms for a whole frame; the fastest takes {time:.1f} ms (p90), for {where}"
        return Choice(fastest, fits=False, reason=reason)
    return _most_accurate([record for record, _ in within], f"{len(within)} rows within {target_ms:g} ms for {where}")


def _most_accurate(within: Sequence[BenchRecord], which: str) -> Choice:
    measured = _comparable(within)
    if measured:
        best = max(record.accuracy.delta1 or 0.0 for record in measured if record.accuracy)
        pool = [r for r in measured if r.accuracy and best - (r.accuracy.delta1 or 0.0) < SAME_DELTA1]
        why = f"the most accurate (delta1 {best:.3f}, {_source(pool[0])}) of {which}"
        equals = "the fastest"
    else:
        pool = list(within)
        why = (
            f"the largest model and input of {which}, taken to be the most accurate "
            "as no accuracy is known; give --data to measure it"
        )
        equals = "the larger model and input, then the more exact precision, then the faster"
    chosen = min(pool, key=lambda record: _order(record, by_model=not measured))
    if len(pool) > 1:
        why += f"; of {len(pool)} equal in that, {equals}"
    noisy = ", on a noisy machine" if chosen.noise is not None and chosen.noise.noisy else ""
    hot = ", throttled in the sustained run" if chosen.sustained is not None and chosen.sustained.throttled else ""
    return Choice(chosen, fits=True, reason=f"{why}; {frame_ms(chosen) or 0.0:.1f} ms for a frame (p90){noisy}{hot}")


def _suits_frame(record: BenchRecord, records: Sequence[BenchRecord], *, any_shape: bool) -> bool:
    """Whether an input is of the shape that is taken for the row's frames, out of those of its bundle and runtime.

    Where the accuracy is what a manifest states, it has to be that very size: it was measured with each image at the
    size that `choose_size` takes for it, and says nothing of a smaller one of the same shape.
    """
    own = {other.size for other in records if (other.bundle, other.runtime) == (record.bundle, record.runtime)}
    taken = choose_size(own, record.frame)
    if record.accuracy is not None and record.accuracy.source != MEASURED:
        return record.size == taken
    return any_shape or record.size[0] * taken[1] == record.size[1] * taken[0]


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
    if not by_model:
        return (frame_ms(record) or 0.0,)
    exactness = PRECISION_ORDER.index(record.precision)
    return (-(record.parameters or 0), -(record.tokens or 0), exactness, frame_ms(record) or 0.0)
