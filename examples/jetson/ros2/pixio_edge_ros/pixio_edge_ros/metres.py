"""Metres from what a model gives: as they are, by a fixed scale, or by pixels whose distance is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from pixio_edge.depth import DepthMap
from pixio_edge.errors import InputError
from pixio_edge.manifest import OutputEntry
from pixio_edge.metrics import align_inverse

MIN_POINTS = 2
"""A scale and a shift are two unknowns."""


@dataclass(frozen=True, slots=True)
class ReferencePoint:
    """A pixel of the image whose distance along the optical axis is known.

    Args:
        column: From 0.
        row: From 0.
        metres: Distance, positive.
    """

    column: int
    row: int
    metres: float


@dataclass(frozen=True, slots=True)
class MetreRule:
    """How a depth map becomes metres; none of the three gives none for a relative model.

    Args:
        scale: 1 / metres = scale * value + shift, or None.
        shift: In 1/m.
        points: Pixels of known distance, at least two, to which every frame is fitted.
        max_depth_m: What lies beyond is reported as infinitely far.

    Raises:
        InputError: Values are out of range, or contradict each other.
    """

    scale: float | None = None
    shift: float = 0.0
    points: tuple[ReferencePoint, ...] = ()
    max_depth_m: float = 20.0

    def __post_init__(self) -> None:
        if self.scale is not None and self.points:
            raise InputError(
                "metres: got scale and reference_points, expected one of them. Fix: leave scale at 0, as the points "
                "are fitted anew in every frame"
            )
        if self.scale is not None and not 0 < self.scale < float("inf"):
            raise InputError(f"scale: got {self.scale}, expected a positive number. Fix: 1 / metres = scale * value")
        if not 0 < self.max_depth_m < float("inf"):
            raise InputError(f"max_depth_m: got {self.max_depth_m}, expected positive metres. Fix: use 20.0")
        if 0 < len(self.points) < MIN_POINTS:
            raise InputError(
                f"reference_points: got {len(self.points)}, expected at least {MIN_POINTS}, as scale and shift are "
                "both unknown. Fix: measure a near and a far one"
            )

    @property
    def is_given(self) -> bool:
        """Whether a scale or points were given."""
        return self.scale is not None or bool(self.points)

    def require_for(self, output: OutputEntry) -> str | None:
        """Say what keeps a model from metres, or None when nothing does.

        Raises:
            InputError: A metric model and a scale, or points, which would turn metres into something else.
        """
        if output.kind == "metric":
            if self.is_given:
                raise InputError(
                    "metres: got a scale or reference_points with a model that gives metres, expected neither. "
                    "Fix: leave both out"
                )
            return None
        if self.is_given:
            return None
        return (
            "the model gives relative inverse depth, which has no unit: only inverse_depth is published, not depth and "
            "points. Fix: parameter reference_points ('column,row,metres column,row,metres'), or scale and shift, or a "
            "metric bundle"
        )

    def to_metres(self, depth: DepthMap) -> NDArray[np.float32]:
        """Metres by REP 118, float32 (H, W), a new array: NaN where nothing is known, infinite beyond `max_depth_m`.

        Raises:
            InputError: A point lies outside the image, the points contradict the prediction, or no rule was given.
        """
        if depth.kind == "metric":
            metres = np.where(depth.values > 0, depth.values, np.float32(np.nan))  # NaN compares false
        else:
            metres = self._from_inverse(depth)
        metres[metres > self.max_depth_m] = np.inf
        return metres.astype(np.float32, copy=False)

    def _from_inverse(self, depth: DepthMap) -> NDArray[np.float32]:
        scale, shift = self._fit(depth)
        inverse = np.float32(scale) * depth.values + np.float32(shift)
        # What is at or below zero lies infinitely far: twice the limit is beyond it too, and needs no division by zero.
        metres = np.float32(1) / np.maximum(inverse, np.float32(0.5 / self.max_depth_m))  # NaN stays NaN
        return cast("NDArray[np.float32]", metres)

    def _fit(self, depth: DepthMap) -> tuple[float, float]:
        if self.scale is not None:
            return self.scale, self.shift
        if not self.points:
            raise InputError("metres: got a relative map without scale and points. Fix: see require_for")
        height, width = depth.size
        outside = [point for point in self.points if not (point.column < width and point.row < height)]
        if outside:
            raise InputError(
                f"reference_points: got {outside[0].column},{outside[0].row}, expected pixels of a {width}x{height} "
                "image. Fix: measure them at the size of the image topic"
            )
        rows, columns = [point.row for point in self.points], [point.column for point in self.points]
        known = np.array([point.metres for point in self.points])
        scale, shift = align_inverse(depth.values[rows, columns], known)
        if scale <= 0:
            raise InputError(
                "reference_points: in this frame the far points look nearer than the near ones, expected the opposite. "
                "Fix: check that nothing stands in front of them, or choose points farther apart in depth"
            )
        return scale, shift


def parse_points(text: str) -> tuple[ReferencePoint, ...]:
    """Read "column,row,metres column,row,metres …"; an empty text is no points.

    Raises:
        InputError: It has another form, or a value is out of range.
    """
    points = []
    for word in text.split():
        try:
            column, row, metres = word.split(",")
            point = ReferencePoint(int(column), int(row), float(metres))
        except ValueError as error:
            raise InputError(
                f"reference_points: got {word!r}, expected column,row,metres. Fix: use '640,700,1.5 640,420,6.0'"
            ) from error
        if point.column < 0 or point.row < 0 or not 0 < point.metres < float("inf"):
            raise InputError(
                f"reference_points: got {word!r}, expected a pixel from 0,0 and a positive distance. Fix: correct it"
            )
        points.append(point)
    return tuple(points)
