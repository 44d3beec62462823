"""Whether what an engine gives is right: finite, near the golden depth, and for INT8 inside the budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pixio_edge.calibration.agreement import Agreement, compare_depth
from pixio_edge.golden import read_golden, tolerance_for
from pixio_edge.parity import ParityReport, compare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from pixio_edge.bundle import Bundle
    from pixio_edge.calibration.budget import Budget
    from pixio_edge.engine_cache import EngineRecord
    from pixio_edge.manifest import ArtifactEntry


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was measured of one output.

    Args:
        finite: Whether every value is.
        parity: Against the golden depth.
        agreement: Of the depths, for INT8 with a finite output.
    """

    finite: bool
    parity: ParityReport
    agreement: Agreement | None

    def __bool__(self) -> bool:
        return self.finite and bool(self.parity)

    @property
    def problem(self) -> str | None:
        """What is wrong, in a few words; None if nothing is."""
        if not self.finite:
            return "its output is not finite"
        if not self.parity:
            tolerance = self.parity.tolerance
            limit = next(v for v in (tolerance.rel_l2, tolerance.max_rel, tolerance.max_abs, np.nan) if v is not None)
            return f"it is {self.parity.margin:.1f} times as far from the golden depth as allowed ({limit:.2g})"
        return None


def judge(bundle: Bundle, artifact: ArtifactEntry, depth: NDArray[Any]) -> Verdict:
    """Compare the output of an engine with the golden depth.

    Args:
        bundle: Has it.
        artifact: What the engine was built from.
        depth: Output on the golden image, (1, h, w).

    Raises:
        BundleError: The bundle has none, or it is damaged.
        InputError: The golden depth is constant, so that the accuracy of INT8 cannot be judged.
    """
    golden = read_golden(bundle, artifact)[1]
    finite = bool(np.isfinite(depth).all())
    parity = compare(golden, depth, tolerance_for(artifact, artifact.precision))
    is_measured = finite and artifact.precision == "int8"
    agreement = compare_depth(golden, depth, bundle.manifest.output.kind) if is_measured else None
    return Verdict(finite, parity, agreement)


def against_budget(record: EngineRecord, budget: Budget) -> str | None:
    """Why an engine may not run, by what its record says; None if it may."""
    if not record.passed:
        return record.reason or "it failed its checks"
    if record.precision != "int8":
        return None
    if record.layers and not record.layers.get("int8"):
        return "no matrix product or convolution of it runs in INT8"
    return None if record.agreement is None else budget.against(_agreement(record.agreement))


def _agreement(values: Mapping[str, Any]) -> Agreement:
    """As it was stored: an infinite ratio is None."""
    return Agreement(**{name: float("inf") if value is None else float(value) for name, value in values.items()})
