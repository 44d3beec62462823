"""The evaluation protocol: align in inverse depth, clamp, measure depth, average images, then sets."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from pixio_edge.errors import InputError
from pixio_edge.evaluation.report import EvaluationReport, ImageResult, SetResult, SkippedImage
from pixio_edge.metrics import align_inverse, depth_from_inverse, depth_metrics, mean_metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from pixio_edge.evaluation.samples import DepthDataset, DepthSample
    from pixio_edge.metrics import DepthMetrics

    Predict: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[np.floating[Any]]]
    Progress: TypeAlias = Callable[[int, int, str], None]
    Vector: TypeAlias = NDArray[np.float64]

_log = logging.getLogger(__name__)

MIN_VALID_PX = 10
"""Images with fewer valid pixels are skipped and counted: two parameters fitted to a handful of points say nothing."""

PROTOCOL = (
    "Zero-shot relative depth. Per image: least-squares scale and shift in inverse depth over the valid pixels; "
    "inverse depth clamped to 1 / (largest valid depth of the image); depth metrics. Mean over the images of a set, "
    "then over sets (macro); pixels are never pooled. Disparity without calibration is used as inverse depth of "
    "unknown unit; rmse and sq_rel leave such images out. "
    f"Images with fewer than {MIN_VALID_PX} valid pixels are skipped. "
    "Floor: the row index (0 at the top) taken as inverse depth."
)


def evaluate(
    predict: Predict,
    datasets: Sequence[DepthDataset],
    *,
    progress: Progress | None = None,
    with_floor: bool = True,
) -> EvaluationReport:
    """Run a predictor over data sets.

    Args:
        predict: Takes uint8 RGB (H, W, 3), returns relative inverse depth (H, W) of the same size, larger is nearer.
        datasets: From `open_datasets`; wrap in `preload` to evaluate many times.
        progress: Called with (images done, images in all, name of the set) after each image.
        with_floor: Also score the row index on each image; about doubles the time spent outside `predict`.

    Raises:
        InputError: Two sets share a name, no image could be evaluated, or a prediction has the wrong shape or is
            not finite.
    """
    names = [dataset.name for dataset in datasets]
    if not names or len(set(names)) != len(names):
        raise InputError(
            f"got data sets {names}, expected at least one, each with its own name. Fix: check the data folder"
        )
    total, done = sum(len(dataset) for dataset in datasets), 0
    results: list[SetResult] = []
    for dataset in datasets:
        images: list[ImageResult] = []
        skipped: list[SkippedImage] = []
        for sample in dataset:
            outcome = evaluate_sample(predict, sample, with_floor=with_floor)
            if isinstance(outcome, SkippedImage):
                skipped.append(outcome)
            else:
                images.append(outcome)
            done += 1
            if progress is not None:
                progress(done, total, dataset.name)
        results.append(_summarise(dataset, images, skipped))
    return _report(results)


def evaluate_sample(predict: Predict, sample: DepthSample, *, with_floor: bool = True) -> ImageResult | SkippedImage:
    """Predict and measure one image.

    Raises:
        InputError: The prediction has the wrong shape or is not finite.
    """
    count = int(np.count_nonzero(sample.valid))
    if count < MIN_VALID_PX:
        return SkippedImage(sample.name, f"{count} valid pixels, at least {MIN_VALID_PX} needed")
    truth = sample.depth_gt[sample.valid].astype(np.float64)
    predicted = _checked(predict(sample.rgb), sample)[sample.valid].astype(np.float64)
    metrics, scale, shift = _measure(predicted, truth, sample.unit)
    floor = _measure(_row_index(sample), truth, sample.unit)[0] if with_floor else None
    return ImageResult(sample.name, metrics, floor, scale, shift)


def align_prediction(prediction: NDArray[np.floating[Any]], sample: DepthSample) -> Vector:
    """Turn a relative prediction into depth as the protocol does: fit over the valid pixels, clamp, invert everywhere.

    Returns:
        Depth (H, W) in the unit of the sample, in (0, largest valid depth].

    Raises:
        InputError: The prediction has the wrong shape or is not finite, or no pixel of the sample is valid.
    """
    scale, shift = align_inverse(_checked(prediction, sample), sample.depth_gt, sample.valid)
    return depth_from_inverse(prediction, scale, shift, float(sample.depth_gt[sample.valid].max()))


def _checked(prediction: NDArray[np.floating[Any]], sample: DepthSample) -> NDArray[np.floating[Any]]:
    size = sample.valid.shape
    if prediction.shape != size:
        raise InputError(
            f"{sample.name}: got a prediction of shape {prediction.shape}, expected {size} (height, width). "
            "Fix: resize it to the size of the image"
        )
    if not np.isfinite(prediction).all():
        count = int(np.count_nonzero(~np.isfinite(prediction)))
        raise InputError(
            f"{sample.name}: got NaN or infinity in {count} pixels of the prediction, expected finite values. "
            "Fix: check the weights, or run in fp32"
        )
    return prediction


def _row_index(sample: DepthSample) -> Vector:
    rows = np.arange(sample.valid.shape[0], dtype=np.float64)[:, None]
    return np.broadcast_to(rows, sample.valid.shape)[sample.valid]


def _measure(predicted: Vector, truth: Vector, unit: str | None) -> tuple[DepthMetrics, float, float]:
    scale, shift = align_inverse(predicted, truth)
    metrics = depth_metrics(depth_from_inverse(predicted, scale, shift, float(truth.max())), truth)
    if unit is None:
        metrics = replace(metrics, rmse=float("nan"), sq_rel=float("nan"))
    return metrics, scale, shift


def _summarise(dataset: DepthDataset, images: list[ImageResult], skipped: list[SkippedImage]) -> SetResult:
    if skipped:
        first, total = skipped[0], len(images) + len(skipped)
        _log.warning(
            "%s: %d of %d images skipped (%s: %s)", dataset.name, len(skipped), total, first.name, first.reason
        )
    if not images:
        return SetResult(dataset.name, dataset.note, None, None, (), tuple(skipped))
    floors = [image.floor for image in images if image.floor is not None]
    return SetResult(
        dataset.name,
        dataset.note,
        mean_metrics([image.metrics for image in images]),
        mean_metrics(floors) if floors else None,
        tuple(images),
        tuple(skipped),
    )


def _report(results: list[SetResult]) -> EvaluationReport:
    metrics = [result.metrics for result in results if result.metrics is not None]
    floors = [result.floor for result in results if result.floor is not None]
    if not metrics:
        raise InputError(
            f"got no image with {MIN_VALID_PX} valid pixels or more, expected one. "
            "Fix: check scale, min and max of the data"
        )
    return EvaluationReport(mean_metrics(metrics), mean_metrics(floors) if floors else None, tuple(results), PROTOCOL)
