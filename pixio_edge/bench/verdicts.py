"""Rows of a sweep against the float one of the same settings: is it faster, and is it right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixio_edge.bench.accuracy import MEASURED, lost_accuracy
from pixio_edge.bench.record import OK, SLOWER, WRONG, BenchRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

# From the most to the least exact: a float artifact is measured before what has to be faster than it.
PRECISION_ORDER = ("fp32", "bf16", "fp16", "int8")

SAME_SPEED = 1.03
"""Medians of two processes differ by up to 3 % on a quiet host without any reason, so that is no slower."""


def find_reference(timed: Sequence[BenchRecord], precision: str) -> BenchRecord | None:
    """The most exact of the rows that are more exact than a precision; None if there is none."""
    rank = PRECISION_ORDER.index
    exact = [record for record in timed if rank(record.precision) < rank(precision) and record.precision != "int8"]
    return min(exact, key=lambda record: rank(record.precision), default=None)


def judge(record: BenchRecord, reference: BenchRecord | None) -> BenchRecord:
    """The record with the status that it deserves beside the float one, whatever it was said to be beside another.

    Args:
        record: Just measured, or from a file.
        reference: Of the same settings; without one the record stays as it is.
    """
    if reference is None or record.status not in (OK, SLOWER):
        return record
    lost = _lost(record, reference)
    if lost is not None:
        return record.model_copy(update={"status": WRONG, "reason": lost})
    return against_float(record.model_copy(update={"status": OK, "reason": None}), reference)


def against_float(record: BenchRecord, reference: BenchRecord | None) -> BenchRecord:
    """The record, with status `slower_than_float` if it is certainly slower than the float one.

    Between noisy rows nothing is certain.
    """
    if reference is None or reference.p50_ms is None or record.p50_ms is None:
        return record
    if is_noisy(record) or is_noisy(reference) or record.p50_ms <= SAME_SPEED * reference.p50_ms:
        return record
    reason = f"p50 {record.p50_ms:.2f} ms, {reference.precision} {reference.p50_ms:.2f} ms"
    return record.model_copy(update={"status": SLOWER, "reason": reason})


def is_noisy(record: BenchRecord) -> bool:
    """Whether its times are not to be trusted."""
    return record.noise is not None and record.noise.noisy


def _lost(record: BenchRecord, reference: BenchRecord) -> str | None:
    found, exact = record.accuracy, reference.accuracy
    if found is None or exact is None or found.source != MEASURED:
        return None
    return lost_accuracy(found, exact)
