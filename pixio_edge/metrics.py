"""Depth metrics, scale-and-shift alignment in inverse depth, and signal-to-noise ratio.

All sums run in float64: an image has some 300,000 pixels and squared metres span six decades.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from pixio_edge.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    FloatArray = NDArray[np.floating[Any]]
    BoolArray = NDArray[np.bool_]
    Vector = NDArray[np.float64]

DELTA_BASE = 1.25
"""Base of the threshold accuracies: delta_i counts pixels whose depth ratio is below 1.25 ** i (Eigen et al., 2014)."""

CONSTANT_RTOL = 1e-9
"""A prediction whose spread is below this share of its magnitude counts as constant: float32 resolves 6e-8, so
nothing that varies at all is caught, and rounding in the float64 mean (1e-16) is not mistaken for a signal."""


@dataclass(frozen=True, slots=True)
class DepthMetrics:
    """The usual depth errors of one image, or their mean over images.

    Attributes:
        abs_rel: Mean of |p - g| / g.
        sq_rel: Mean of (p - g)^2 / g, metres. NaN where the ground truth has no unit.
        rmse: Root of the mean of (p - g)^2, metres. NaN where the ground truth has no unit.
        rmse_log: Root of the mean of (ln p - ln g)^2.
        log10: Mean of |log10 p - log10 g|.
        silog: 100 * standard deviation of ln p - ln g (KITTI's lambda = 1 form; not the lambda = 0.5 form without
            the factor 100 that some training code reports).
        delta1: Share of pixels, 0..1, with max(p / g, g / p) < 1.25.
        delta2: The same for 1.25^2.
        delta3: The same for 1.25^3.
    """

    abs_rel: float
    sq_rel: float
    rmse: float
    rmse_log: float
    log10: float
    silog: float
    delta1: float
    delta2: float
    delta3: float

    def to_json(self) -> dict[str, float | None]:
        """Return the fields by name, NaN as None (JSON has no NaN)."""
        values = {field.name: float(getattr(self, field.name)) for field in fields(self)}
        return {name: None if math.isnan(value) else value for name, value in values.items()}


def align_inverse(
    pred_inverse: FloatArray, depth_gt: FloatArray, valid: BoolArray | None = None
) -> tuple[float, float]:
    """Fit `scale * pred_inverse + shift` to `1 / depth_gt` by plain least squares (as MiDaS and Depth Anything do).

    The fit has no sign constraint: a prediction that grows with depth gets a negative scale. A constant prediction
    carries no shape, so it gets scale 0 and the mean inverse depth as shift, which makes it the best constant guess.

    Args:
        pred_inverse: Relative inverse depth, larger is nearer, any shape.
        depth_gt: Depth of the same shape, positive where valid; metres, or 1/disparity.
        valid: Pixels to use; None for all.

    Returns:
        Scale and shift, in 1/unit of `depth_gt` per unit of the prediction and 1/unit of `depth_gt`.

    Raises:
        InputError: Shapes differ, no pixel is valid, or a valid pixel is not finite or not positive.
    """
    predicted = _select("predicted inverse depth", pred_inverse, depth_gt, valid)
    target = 1.0 / _positive("ground-truth depth", _select("ground-truth depth", depth_gt, depth_gt, valid))
    centre = float(predicted.mean())
    deviation = predicted - centre
    variance = float(deviation @ deviation) / predicted.size
    mean_target = float(target.mean())
    if math.sqrt(variance) <= CONSTANT_RTOL * float(np.abs(predicted).max()):
        return 0.0, mean_target
    scale = float(deviation @ (target - mean_target)) / predicted.size / variance
    return scale, mean_target - scale * centre


def depth_from_inverse(pred_inverse: FloatArray, scale: float, shift: float, max_depth: float) -> Vector:
    """Turn aligned inverse depth into depth: `1 / max(scale * pred_inverse + shift, 1 / max_depth)`.

    The clamp matters: alignment may send far pixels to zero or below, where 1/x explodes or changes sign.

    Args:
        pred_inverse: Relative inverse depth, any shape.
        scale: From `align_inverse`.
        shift: From `align_inverse`.
        max_depth: Largest depth to return, in the unit of the aligned ground truth.

    Returns:
        A new array of the same shape, in (0, max_depth].

    Raises:
        InputError: `max_depth` is not positive and finite.
    """
    if not (math.isfinite(max_depth) and max_depth > 0):
        raise InputError(
            f"max_depth is {max_depth}, expected a positive number. Fix: pass the largest depth that counts, e.g. 80.0"
        )
    inverse = np.asarray(pred_inverse, dtype=np.float64) * scale + shift
    return np.asarray(1.0 / np.maximum(inverse, 1.0 / max_depth), dtype=np.float64)


def depth_metrics(pred_m: FloatArray, gt_m: FloatArray, valid: BoolArray | None = None) -> DepthMetrics:
    """Compare two depth maps over the valid pixels.

    Args:
        pred_m: Predicted depth in metres, any shape, positive where valid.
        gt_m: True depth in metres, the same shape, positive where valid.
        valid: Pixels to use; None for all.

    Raises:
        InputError: Shapes differ, no pixel is valid, or a valid pixel is not finite or not positive.
    """
    predicted = _positive("predicted depth", _select("predicted depth", pred_m, gt_m, valid))
    truth = _positive("ground-truth depth", _select("ground-truth depth", gt_m, gt_m, valid))
    difference = predicted - truth
    log_ratio = np.log(predicted / truth)
    # max(p/g, g/p) < t  <=>  |ln(p/g)| < ln t would round differently at the edge: keep the definition.
    ratio = np.maximum(predicted / truth, truth / predicted)
    squared = difference * difference
    return DepthMetrics(
        abs_rel=float(np.mean(np.abs(difference) / truth)),
        sq_rel=float(np.mean(squared / truth)),
        rmse=math.sqrt(float(np.mean(squared))),
        rmse_log=math.sqrt(float(np.mean(log_ratio * log_ratio))),
        log10=float(np.mean(np.abs(log_ratio))) / math.log(10),
        silog=100.0 * float(np.std(log_ratio)),
        delta1=float(np.mean(ratio < DELTA_BASE)),
        delta2=float(np.mean(ratio < DELTA_BASE**2)),
        delta3=float(np.mean(ratio < DELTA_BASE**3)),
    )


def mean_metrics(items: Sequence[DepthMetrics]) -> DepthMetrics:
    """Average each metric over images (or over sets), leaving out entries that are NaN; NaN if all are.

    Raises:
        InputError: `items` is empty.
    """
    if not items:
        raise InputError(
            "no metrics to average: got 0 images, expected at least 1. Fix: check the data folder for valid depth"
        )

    def mean(name: str) -> float:
        values = [value for value in (float(getattr(item, name)) for item in items) if not math.isnan(value)]
        return math.fsum(values) / len(values) if values else math.nan

    return DepthMetrics(*(mean(field.name) for field in fields(DepthMetrics)))


def sqnr_db(reference: FloatArray, candidate: FloatArray) -> float:
    """Signal-to-quantisation-noise ratio in decibels: 10 log10(sum reference^2 / sum (reference - candidate)^2).

    Returns:
        Infinity for equal arrays, minus infinity for an all-zero reference that the candidate misses.

    Raises:
        InputError: Shapes differ, the arrays are empty, or a value is not finite.
    """
    signal = _select("reference", reference, reference, None)
    noise = signal - _select("candidate", candidate, reference, None)
    signal_power, noise_power = float(signal @ signal), float(noise @ noise)
    if noise_power == 0.0:
        return math.inf
    return 10.0 * math.log10(signal_power / noise_power) if signal_power > 0.0 else -math.inf


def _select(what: str, array: FloatArray, partner: FloatArray, valid: BoolArray | None) -> Vector:
    shape = np.shape(partner)
    if np.shape(array) != shape:
        raise InputError(
            f"{what}: got shape {np.shape(array)}, expected {shape}. Fix: resize both maps to one size first"
        )
    if valid is not None and (valid.shape != shape or valid.dtype != np.bool_):
        raise InputError(
            f"valid mask: got {valid.dtype} {valid.shape}, expected bool {shape}. Fix: build it from the depth map"
        )
    chosen = np.asarray(array)[valid] if valid is not None else np.asarray(array).ravel()
    if chosen.size == 0:
        raise InputError(
            f"{what}: got 0 valid pixels, expected at least 1. Fix: check scale, min and max of the ground truth"
        )
    values = chosen.astype(np.float64)
    if not np.isfinite(values).all():
        count = int(np.count_nonzero(~np.isfinite(values)))
        raise InputError(
            f"{what}: got NaN or infinity in {count} valid pixels, expected finite values. Fix: mask or repair them"
        )
    return values


def _positive(what: str, values: Vector) -> Vector:
    if float(values.min()) <= 0.0:
        raise InputError(
            f"{what}: got {float(values.min()):.6g}, expected positive values. Fix: mask pixels without depth"
        )
    return values
