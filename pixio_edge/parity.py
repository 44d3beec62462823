"""Comparison of a candidate output with a reference, against a stated tolerance."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from pixio_edge.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

# A tolerance suggested in a message leaves this much room above what was measured: kernels differ between CPUs.
SUGGESTED_HEADROOM = 2.0


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Upper limits on a difference; limits left at None are not checked, and at least one is set.

    Args:
        max_abs: Largest absolute difference, in the unit of the output.
        max_rel: Largest absolute difference divided by the largest magnitude in the reference. Not elementwise, because
            depth maps reach zero and an elementwise ratio says nothing there.
        rel_l2: Norm of the difference divided by the norm of the reference.
        min_sqnr_db: Smallest signal to quantisation noise ratio, in dB; the one lower limit.
    """

    max_abs: float | None = None
    max_rel: float | None = None
    rel_l2: float | None = None
    min_sqnr_db: float | None = None

    __pydantic_config__ = {"extra": "forbid", "strict": True}  # noqa: RUF012 - read by pydantic when a manifest is parsed

    def __post_init__(self) -> None:
        limits = [value for value in asdict(self).values() if value is not None]
        if not limits or not all(math.isfinite(limit) for limit in limits):
            raise SpecError(
                f"tolerance {asdict(self)}: got no finite limit, expected at least one. "
                "Fix: set max_abs, max_rel, rel_l2 or min_sqnr_db"
            )


@dataclass(frozen=True, slots=True)
class ParityReport:
    """What was measured between two outputs; true when every limit holds.

    Args:
        max_abs: Largest absolute difference, in the unit of the output.
        max_rel: `max_abs` divided by the largest magnitude in the reference.
        rel_l2: Norm of the difference divided by the norm of the reference.
        sqnr_db: Signal to noise ratio in dB; infinite when the outputs are equal.
        margin: Worst ratio of measured to allowed over the limits; at most 1 passes. For `min_sqnr_db` the ratio is
            that of the noise amplitudes, so it compares with the others.
        tolerance: The limits that were applied.
    """

    max_abs: float
    max_rel: float
    rel_l2: float
    sqnr_db: float
    margin: float
    tolerance: Tolerance

    def __bool__(self) -> bool:
        return self.margin <= 1.0

    @property
    def message(self) -> str:
        """One line: verdict, measured values, and the tolerance that would have passed."""
        needed = ", ".join(f"{name}={value:.3g}" for name, value in self._needed())
        return (
            f"parity {'holds' if self else 'fails'}: max_abs {self.max_abs:.3g}, max_rel {self.max_rel:.3g}, "
            f"rel_l2 {self.rel_l2:.3g}, sqnr {self.sqnr_db:.1f} dB, margin {self.margin:.3g} of 1; "
            f"a tolerance that passes with room: Tolerance({needed})"
        )

    def to_json(self) -> dict[str, Any]:
        """Measured values without the limits, infinities as None since JSON has none."""
        measured = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "tolerance"}
        return {name: value if math.isfinite(value) else None for name, value in measured.items()}

    def _needed(self) -> list[tuple[str, float]]:
        measured = {"max_abs": self.max_abs, "max_rel": self.max_rel, "rel_l2": self.rel_l2}
        limits = [
            (name, value * SUGGESTED_HEADROOM)
            for name, value in measured.items()
            if getattr(self.tolerance, name) is not None
        ]
        if self.tolerance.min_sqnr_db is not None:
            limits.append(("min_sqnr_db", self.sqnr_db - 20.0 * math.log10(SUGGESTED_HEADROOM)))
        return limits


def compare(reference: NDArray[Any], candidate: NDArray[Any], tolerance: Tolerance) -> ParityReport:
    """Measure the difference of two arrays in float64.

    A value that is not finite on either side makes every measure infinite, so the report is false.

    Args:
        reference: The trusted output, any shape.
        candidate: The output under test, same shape.
        tolerance: The limits.

    Raises:
        SpecError: The shapes differ or the arrays are empty.
    """
    if reference.shape != candidate.shape or reference.size == 0:
        raise SpecError(
            f"parity: got candidate {candidate.shape}, expected {reference.shape} and not empty. "
            "Fix: compare outputs of the same artifact size"
        )
    wanted = reference.astype(np.float64)
    got = candidate.astype(np.float64)
    if not (np.isfinite(wanted).all() and np.isfinite(got).all()):
        return ParityReport(math.inf, math.inf, math.inf, -math.inf, math.inf, tolerance)
    error = got - wanted
    max_abs = float(np.abs(error).max())
    max_rel = _ratio(max_abs, float(np.abs(wanted).max()))
    rel_l2 = _ratio(float(np.linalg.norm(error)), float(np.linalg.norm(wanted)))
    sqnr_db = math.inf if rel_l2 == 0.0 else (-math.inf if math.isinf(rel_l2) else -20.0 * math.log10(rel_l2))
    margin = _margin(max_abs, max_rel, rel_l2, tolerance)
    return ParityReport(max_abs, max_rel, rel_l2, sqnr_db, margin, tolerance)


def margin_of(measured: Mapping[str, object], tolerance: Tolerance) -> float:
    """Worst ratio of stored measures to limits, which may be others than those of the time; infinite if one is missing.

    Args:
        measured: From `ParityReport.to_json`.
        tolerance: The limits.
    """
    found = [measured.get(name) for name in ("max_abs", "max_rel", "rel_l2")]
    max_abs, max_rel, rel_l2 = [value if isinstance(value, (int, float)) else math.inf for value in found]
    return _margin(max_abs, max_rel, rel_l2, tolerance)


def _margin(max_abs: float, max_rel: float, rel_l2: float, tolerance: Tolerance) -> float:
    pairs = [(max_abs, tolerance.max_abs), (max_rel, tolerance.max_rel), (rel_l2, tolerance.rel_l2)]
    if tolerance.min_sqnr_db is not None:
        pairs.append((rel_l2, 10.0 ** (-tolerance.min_sqnr_db / 20.0)))
    return max(_ratio(measured, limit) for measured, limit in pairs if limit is not None)


def _ratio(value: float, scale: float) -> float:
    """`value / scale`, where nothing over nothing is no difference."""
    if scale == 0.0:
        return 0.0 if value == 0.0 else math.inf
    return value / scale
