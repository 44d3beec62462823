"""What is measured between the stored output and one run."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pixio_edge.calibration.agreement import compare_depth
from pixio_edge.errors import InputError
from pixio_edge.parity import ParityReport, Tolerance, compare

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pixio_edge.manifest import DepthKind


@dataclass(frozen=True, slots=True)
class Measured:
    """A comparison; true when it is inside the limits.

    Args:
        parity: Differences of the raw outputs, and the limits.
        mean_rel: Mean absolute difference over the largest magnitude of the reference; infinite if a value is not
            finite.
        delta1: Agreement of the depths after alignment, 0..1; None for a reference that does not vary, or a candidate
            with values that are not finite.
    """

    parity: ParityReport
    mean_rel: float
    delta1: float | None

    def __bool__(self) -> bool:
        return bool(self.parity)


def measure(reference: NDArray[np.float32], candidate: NDArray[Any], tolerance: Tolerance, kind: DepthKind) -> Measured:
    """Compare two outputs of one size.

    Args:
        reference: The stored depth, float32 (1, h, w).
        candidate: The same shape, any float type.
        tolerance: The limits.
        kind: What the outputs mean.

    Raises:
        SpecError: The shapes differ or are empty.
    """
    parity = compare(reference, candidate, tolerance)
    try:
        delta1 = compare_depth(reference, candidate, kind).delta1
    except InputError:
        delta1 = None
    return Measured(parity, relative_mean(reference, candidate), delta1)


def relative_mean(reference: NDArray[Any], candidate: NDArray[Any]) -> float:
    """Mean absolute difference over the largest magnitude of the reference; 0 for equal arrays, else maybe infinite."""
    return _relative(reference, candidate, np.mean)


def relative_max(reference: NDArray[Any], candidate: NDArray[Any]) -> float:
    """As `relative_mean`, of the largest difference."""
    return _relative(reference, candidate, np.max)


def _relative(reference: NDArray[Any], candidate: NDArray[Any], reduce: Callable[[NDArray[Any]], Any]) -> float:
    wanted, got = reference.astype(np.float64), candidate.astype(np.float64)
    if not (np.isfinite(wanted).all() and np.isfinite(got).all()):
        return math.inf
    difference = float(reduce(np.abs(got - wanted)))
    largest = float(np.abs(wanted).max())
    if largest == 0.0:
        return 0.0 if difference == 0.0 else math.inf
    return difference / largest


def limits(tolerance: Tolerance) -> dict[str, float]:
    """The limits of a tolerance that are set, by name."""
    return {name: value for name, value in asdict(tolerance).items() if value is not None}
