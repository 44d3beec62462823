"""Accuracy of one artifact, measured on a folder of data. Apart from `accuracy`: a timed process must not load this."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixio_edge.bench.accuracy import MEASURED
from pixio_edge.bench.record_parts import AccuracyRecord
from pixio_edge.bundle import Bundle
from pixio_edge.estimator import DepthEstimator
from pixio_edge.evaluation.datasets import open_datasets
from pixio_edge.evaluation.protocol import evaluate
from pixio_edge.resolve import Resolution
from pixio_edge.runtimes.base import RuntimeOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pixio_edge.bench.plan import BenchPlan


def measure_accuracy(
    plan: BenchPlan, data: Path, *, notify: Callable[[int, int, str], None] | None = None
) -> AccuracyRecord:
    """Evaluate the artifact of a plan, every image at the one input size that it has.

    Args:
        plan: Which artifact, in which runtime and precision.
        data: Folder of sets, or one set; see `evaluation.datasets.open_datasets`.
        notify: Called with images done, images in all, and the name of the set.

    Raises:
        PixioEdgeError: The artifact cannot run, or the data cannot be used.
    """
    bundle = Bundle.open(plan.bundle)
    resolution = Resolution(plan.runtime, plan.precision, (bundle.artifact(plan.artifact),), ())
    options = RuntimeOptions(plan.threads, plan.pin_cores, plan.precision, plan.provider)
    with DepthEstimator(bundle, resolution, options) as estimator:
        report = evaluate(
            lambda rgb: estimator.predict(rgb).inverse(), open_datasets(data), progress=notify, with_floor=False
        )
    return AccuracyRecord(
        delta1=report.macro.delta1,
        abs_rel=report.macro.abs_rel,
        images=sum(len(result.images) for result in report.sets),
        sets=tuple(result.name for result in report.sets),
        source=MEASURED,
        on=str(data),
    )
