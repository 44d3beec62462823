"""How far the depth of a candidate is from the depth of the float graph on the same image.

Relative inverse depth has no unit, so the difference of two outputs says nothing about depth. Both are therefore turned
into depth the way an evaluation does it, with the float output in the place of the ground truth:

1. The float output r becomes inverse depth `q = 1/R + (1 - 1/R) (r - lo) / (hi - lo)` with lo, hi its 1st and 99th
   percentile: a scene whose far end is R = `FAR_TO_NEAR` times as far away as its near end.
2. The candidate is aligned to q by least squares (scale and shift), as the evaluation protocol aligns a prediction to
   ground truth. Both are clamped to at least 1/R, and their inverses are the depths.
3. AbsRel and delta1 compare the two depths. Edges compare the logarithmic steps between neighbouring pixels.

Metric outputs are depth already and are compared as they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from pixio_edge.errors import InputError
from pixio_edge.metrics import CONSTANT_RTOL, depth_metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from pydantic import JsonValue

    from pixio_edge.manifest import DepthKind

    FloatArray = NDArray[np.floating[Any]]
    Vector = NDArray[np.float64]

FAR_TO_NEAR = 10.0
"""Far end over near end of the pseudo depth. Ordinary pictures span 3 (a table) to 60 (a street); 10 is a room seen
through its door. AbsRel grows about in proportion to it."""

RANGE_PERCENTILES = (1.0, 99.0)
"""Of the float output, for its near and far end: a single bright pixel may not set the range of a picture."""

EDGE_STEPS = tuple(float(step) for step in np.linspace(0.05, 0.25, 10))
"""Relative depth steps between neighbouring pixels that count as edges, as in Depth Pro's boundary F1 (Bochkovskii et
al., 2024); the F1 at each is weighted by the step."""

MIN_METRIC_DEPTH = 1e-3
"""Metres; a metric output is clamped to it, as in the usual protocols: logarithms and ratios need more than 0."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of one candidate depth with the float depth, or the mean over images.

    Attributes:
        abs_rel: Mean of |p - g| / g over the pixels, g the float depth.
        delta1: Share of pixels, 0..1, with max(p / g, g / p) < 1.25.
        edge_f1: F1 of depth edges, 0..1, averaged over `EDGE_STEPS`; 1 where neither has an edge.
        edge_sharpness: Steepness of the candidate at the edges of the float depth, as a share of theirs; below 1 is
            blurred. 1 where there is no edge.
        sqnr_db: Variance of the float output over the mean squared difference of the raw outputs, in dB.
    """

    abs_rel: float
    delta1: float
    edge_f1: float
    edge_sharpness: float
    sqnr_db: float

    def to_json(self) -> dict[str, JsonValue]:
        """All fields; an infinite ratio, of equal outputs, is None since JSON has none."""
        values = {field.name: float(getattr(self, field.name)) for field in fields(self)}
        return {name: value if math.isfinite(value) else None for name, value in values.items()}


def compare_depth(reference: FloatArray, candidate: FloatArray, kind: DepthKind = "relative_inverse") -> Agreement:
    """Compare two outputs of the same graph for one image.

    Args:
        reference: Output of the float graph, (h, w) or (1, h, w).
        candidate: Output under test, same shape.
        kind: What the outputs mean.

    Raises:
        InputError: Shapes differ, a value is not finite, or the reference is constant.
    """
    wanted, got = _plane("float depth", reference), _plane("candidate depth", candidate)
    if wanted.shape != got.shape:
        raise InputError(f"candidate depth: got {got.shape}, expected {wanted.shape}. Fix: compare outputs of one size")
    truth, predicted = _depths(wanted, got, kind)
    metrics = depth_metrics(predicted, truth)
    f1, sharpness = _edges(np.log(truth), np.log(predicted))
    return Agreement(metrics.abs_rel, metrics.delta1, f1, sharpness, _sqnr_db(wanted, got))


def mean_agreement(items: Sequence[Agreement]) -> Agreement:
    """Average over images; the ratio in dB too, so one bad image is seen.

    Raises:
        InputError: There are none.
    """
    if not items:
        raise InputError("agreement: got 0 images, expected at least 1. Fix: check the folder of images")
    return Agreement(*(math.fsum(getattr(i, f.name) for i in items) / len(items) for f in fields(Agreement)))


def _plane(what: str, values: FloatArray) -> Vector:
    plane = np.asarray(values, np.float64)
    if plane.ndim == 3 and plane.shape[0] == 1:
        plane = plane[0]
    if plane.ndim != 2 or not np.isfinite(plane).all():
        raise InputError(
            f"{what}: got shape {values.shape} with {int(np.count_nonzero(~np.isfinite(plane)))} values that are not "
            "finite, expected finite (height, width). Fix: check the graph with 'pixio-edge verify'"
        )
    return plane


def _depths(reference: Vector, candidate: Vector, kind: DepthKind) -> tuple[Vector, Vector]:
    if kind == "metric":
        return np.maximum(reference, MIN_METRIC_DEPTH), np.maximum(candidate, MIN_METRIC_DEPTH)
    low, high = np.percentile(reference, RANGE_PERCENTILES)
    if high <= low:
        raise InputError(
            f"float depth: got {low:.6g} at 98 % of the pixels, expected a depth that varies. "
            "Fix: calibrate a trained model, on images with content"
        )
    floor = 1.0 / FAR_TO_NEAR
    inverse = floor + (1.0 - floor) * (reference - low) / (high - low)
    aligned = _align(candidate, inverse)
    return 1.0 / np.maximum(inverse, floor), 1.0 / np.maximum(aligned, floor)


def _align(candidate: Vector, inverse: Vector) -> Vector:
    """Least squares before the clamp, so that equal outputs agree exactly; a constant becomes the mean."""
    deviation = candidate - candidate.mean()
    variance = float(np.mean(deviation * deviation))
    if math.sqrt(variance) <= CONSTANT_RTOL * float(np.abs(candidate).max()):
        return np.full_like(inverse, inverse.mean())
    scale = float(np.mean(deviation * (inverse - inverse.mean()))) / variance
    return np.asarray(scale * deviation + inverse.mean(), np.float64)


def _edges(wanted: Vector, got: Vector) -> tuple[float, float]:
    """F1 of signed steps between horizontal and vertical neighbours in log depth, and steepness at the wanted ones."""
    wanted_steps, got_steps = _steps(wanted), _steps(got)
    scores, weights = [], []
    for step in EDGE_STEPS:
        limit = math.log1p(step)
        found = 2.0 * _count(wanted_steps, got_steps, limit)
        total = np.count_nonzero(np.abs(wanted_steps) > limit) + np.count_nonzero(np.abs(got_steps) > limit)
        if total:
            scores.append(found / total)
            weights.append(step)
    f1 = float(np.average(scores, weights=weights)) if scores else 1.0
    is_edge = np.abs(wanted_steps) > math.log1p(EDGE_STEPS[0])
    if not is_edge.any():
        return f1, 1.0
    along = got_steps[is_edge] * np.sign(wanted_steps[is_edge])
    return f1, float(along.mean() / np.abs(wanted_steps[is_edge]).mean())


def _steps(values: Vector) -> Vector:
    return np.concatenate([np.diff(values, axis=0).ravel(), np.diff(values, axis=1).ravel()])


def _count(wanted: Vector, got: Vector, limit: float) -> int:
    """Steps that both have, in the same direction."""
    return int(np.count_nonzero(np.minimum(wanted, got) > limit) + np.count_nonzero(np.maximum(wanted, got) < -limit))


def _sqnr_db(wanted: Vector, got: Vector) -> float:
    noise = float(np.mean((got - wanted) ** 2))
    return math.inf if noise == 0.0 else 10.0 * math.log10(max(float(wanted.var()), 1e-300) / noise)
