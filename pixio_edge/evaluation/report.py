"""Results of an evaluation: per image, per set, and the mean over sets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pixio_edge.metrics import DepthMetrics

TABLE_HEADER = ("set", "images", "skipped", "delta1", "floor", "abs_rel", "rmse_m", "log10", "inverted")


@dataclass(frozen=True, slots=True)
class ImageResult:
    """One image: its metrics after alignment, the fit, and what the row index scores on it."""

    name: str
    metrics: DepthMetrics
    floor: DepthMetrics | None
    scale: float
    shift: float


@dataclass(frozen=True, slots=True)
class SkippedImage:
    """An image that was not evaluated, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class SetResult:
    """One set: what it is, and the mean over its images; None where every image was skipped."""

    name: str
    note: str
    metrics: DepthMetrics | None
    floor: DepthMetrics | None
    images: tuple[ImageResult, ...]
    skipped: tuple[SkippedImage, ...]

    @property
    def inverted(self) -> int:
        """Number of images where the fit turned the prediction over (negative scale): a sign of wrong direction."""
        return sum(image.scale < 0 for image in self.images)


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """All sets, and the macro mean: images are averaged in their set, then sets; pixels are never pooled."""

    macro: DepthMetrics
    macro_floor: DepthMetrics | None
    sets: tuple[SetResult, ...]
    protocol: str

    def to_json(self, *, per_image: bool = False) -> dict[str, Any]:
        """Return plain data for `json.dumps`.

        Args:
            per_image: Add the metrics and the fit of every image to its set.
        """
        return {
            "macro": _metrics_json(self.macro, self.macro_floor),
            "sets": {result.name: _set_json(result, per_image) for result in self.sets},
            "images": sum(len(result.images) for result in self.sets),
            "skipped": sum(len(result.skipped) for result in self.sets),
            "protocol": self.protocol,
        }

    def to_table(self) -> list[tuple[str, ...]]:
        """Return a header row, one row for each set, and the macro row, as text."""
        rows = [_table_row(result.name, result.metrics, result.floor, [result]) for result in self.sets]
        return [TABLE_HEADER, *rows, _table_row("macro", self.macro, self.macro_floor, self.sets)]


def _metrics_json(metrics: DepthMetrics | None, floor: DepthMetrics | None) -> dict[str, Any]:
    values: dict[str, Any] = dict(metrics.to_json()) if metrics else {"delta1": None, "abs_rel": None}
    if floor is not None:
        values |= {"floor_delta1": floor.delta1, "floor_abs_rel": floor.abs_rel}
    return values


def _set_json(result: SetResult, per_image: bool) -> dict[str, Any]:
    values = _metrics_json(result.metrics, result.floor)
    values["note"] = result.note
    values["images"] = len(result.images)
    values["inverted"] = result.inverted
    values["skipped"] = [{"name": image.name, "reason": image.reason} for image in result.skipped]
    if per_image:
        values["per_image"] = [
            {
                "name": image.name,
                "scale": image.scale,
                "shift": image.shift,
                **_metrics_json(image.metrics, image.floor),
            }
            for image in result.images
        ]
    return values


def _table_row(
    name: str, metrics: DepthMetrics | None, floor: DepthMetrics | None, results: Sequence[SetResult]
) -> tuple[str, ...]:
    def text(value: float | None) -> str:
        return "-" if value is None or math.isnan(value) else f"{value:.3f}"

    shown = (metrics.abs_rel, metrics.rmse, metrics.log10) if metrics else (None, None, None)
    return (
        name,
        str(sum(len(result.images) for result in results)),
        str(sum(len(result.skipped) for result in results)),
        text(metrics.delta1 if metrics else None),
        text(floor.delta1 if floor else None),
        *(text(value) for value in shown),
        str(sum(result.inverted for result in results)),
    )
