"""How much accuracy INT8 may lose."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixio_edge.errors import InputError

if TYPE_CHECKING:
    from pixio_edge.calibration.agreement import Agreement
    from pixio_edge.metrics import DepthMetrics

DEFAULT_BUDGET = 0.5
"""Points of delta1: the usual limit for INT8 in the literature, and below what a change of training seed does."""

ABS_REL_PERCENT_PER_POINT = 4.0
"""AbsRel may grow by 2 % where delta1 may lose 0.5 points: the two move together about like that."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits on a loss of accuracy.

    Args:
        points: Points of delta1 (0.5 is 0.5 % of the pixels) that may be lost; AbsRel may grow by
            `ABS_REL_PERCENT_PER_POINT` percent for each.

    Raises:
        InputError: Not a positive number.
    """

    points: float = DEFAULT_BUDGET

    def __post_init__(self) -> None:
        if not (math.isfinite(self.points) and self.points > 0):
            raise InputError(
                f"budget: got {self.points:g} points of delta1, expected more than 0. Fix: {DEFAULT_BUDGET} is usual"
            )

    @property
    def abs_rel_percent(self) -> float:
        """Percent by which AbsRel may grow, and that AbsRel against the float depth may reach."""
        return ABS_REL_PERCENT_PER_POINT * self.points

    def against(self, agreement: Agreement) -> str | None:
        """Why an agreement with the float depth is outside; None if it is inside.

        Where the float depth is the truth, its own error is 0: delta1 may lose the points from 1, and AbsRel, which
        cannot grow from nothing, may reach the same percentage.
        """
        lost, abs_rel = 100.0 * (1.0 - agreement.delta1), 100.0 * agreement.abs_rel
        if not lost <= self.points:
            return f"{lost:.2f} points of delta1 differ from the float depth, allowed {self.points:g}"
        if not abs_rel <= self.abs_rel_percent:
            return f"depth differs by {abs_rel:.2f} % from the float depth, allowed {self.abs_rel_percent:g} %"
        return None

    def against_truth(self, of_float: DepthMetrics, of_int8: DepthMetrics, where: str) -> str | None:
        """Why true metrics lose too much; None if they do not."""
        lost = 100.0 * (of_float.delta1 - of_int8.delta1)
        growth = 100.0 * (of_int8.abs_rel / of_float.abs_rel - 1.0) if of_float.abs_rel > 0 else 0.0
        if not lost <= self.points:
            return f"delta1 loses {lost:.2f} points on {where}, allowed {self.points:g}"
        if not growth <= self.abs_rel_percent:
            return f"AbsRel grows by {growth:.2f} % on {where}, allowed {self.abs_rel_percent:g} %"
        return None
