"""One measurement in this process: open, verify, then time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timezone
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from pixio_edge._version import __version__
from pixio_edge.bench.plan import MIN_RUNS, BenchPlan
from pixio_edge.bench.record import FAILED, OK, UNAVAILABLE, WRONG, BenchRecord, Status
from pixio_edge.bundle import Bundle
from pixio_edge.errors import PixioEdgeError
from pixio_edge.estimator import DepthEstimator
from pixio_edge.golden import compare_golden, read_golden
from pixio_edge.host import peak_rss_mib, probe_host
from pixio_edge.resolve import Resolution
from pixio_edge.runtimes.base import RuntimeOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pixio_edge.manifest import ArtifactEntry
    from pixio_edge.parity import ParityReport
    from pixio_edge.runtimes.base import Runtime, RuntimeInfo

P50, P90, P99 = 50, 90, 99


@dataclass(slots=True)
class _Measured:
    """Filled step by step, so that a record of a failure keeps what was measured before it."""

    load_ms: float | None = None
    first_ms: float | None = None
    infer: NDArray[np.float64] | None = None  # (runs,)
    parts: NDArray[np.float64] | None = None  # (runs, 3): pre, infer, post
    peak_rss_mib: float | None = None
    parity: ParityReport | None = None
    info: RuntimeInfo | None = None


def bench(plan: BenchPlan) -> BenchRecord:
    """Measure, after the output was found to be right.

    The runtime's import, memory and threads are part of the result, so give each plan a process of its own:
    `isolated.bench_isolated` does.

    Args:
        plan: What to measure.

    Returns:
        A record, also when it cannot run, a file of the artifact is damaged, or its output is wrong: then `status` says
        so and there are no times.

    Raises:
        BundleError: The bundle or the artifact of the plan does not exist.
    """
    load_average = _load_average()
    bundle = Bundle.open(plan.bundle)
    artifact = bundle.artifact(plan.artifact)
    measured = _Measured()
    try:
        with _open_estimator(bundle, artifact, plan) as estimator:
            status, reason = _measure(estimator, plan, measured)
    except PixioEdgeError as error:
        status, reason = UNAVAILABLE, str(error)
    return _make_record(plan, artifact, measured, status, reason, load_average)


def failed_record(plan: BenchPlan, reason: str) -> BenchRecord:
    """A record without times, for a measurement whose process died or did not end."""
    artifact = Bundle.open(plan.bundle).artifact(plan.artifact)
    return _make_record(plan, artifact, _Measured(), FAILED, reason, _load_average())


def _open_estimator(bundle: Bundle, artifact: ArtifactEntry, plan: BenchPlan) -> DepthEstimator:
    """For exactly this artifact, verified or not: measuring is how it becomes verified."""
    resolution = Resolution(plan.runtime, plan.precision, (artifact,), ())
    options = RuntimeOptions(plan.threads, plan.pin_cores, plan.precision, plan.provider)
    return DepthEstimator(bundle, resolution, options)


def _measure(estimator: DepthEstimator, plan: BenchPlan, measured: _Measured) -> tuple[Status, str | None]:
    artifact = estimator.resolution.chosen
    start = perf_counter()
    runtime = estimator.runtime(artifact.size)
    measured.load_ms = (perf_counter() - start) * 1e3
    image, depth = read_golden(estimator.bundle, artifact)
    feeds = {artifact.inputs[0].name: image}
    start = perf_counter()
    outputs = runtime.run(feeds)
    measured.first_ms = (perf_counter() - start) * 1e3
    measured.parity = compare_golden(depth, outputs, artifact, plan.precision)
    if measured.parity:
        _time(estimator, runtime, feeds, plan, measured)
    measured.info = runtime.info(profile=True)
    return (OK, None) if measured.parity else (WRONG, measured.parity.message)


def _time(
    estimator: DepthEstimator,
    runtime: Runtime,
    feeds: dict[str, NDArray[np.uint8]],
    plan: BenchPlan,
    measured: _Measured,
) -> None:
    frame = np.random.default_rng(plan.seed).integers(0, 256, (*plan.frame, 3), dtype=np.uint8)

    def infer() -> tuple[float, ...]:
        start = perf_counter()
        runtime.run(feeds)
        return ((perf_counter() - start) * 1e3,)

    def predict() -> tuple[float, ...]:
        timing = estimator.predict(frame).timing
        return (0.0, 0.0, 0.0) if timing is None else (timing.pre_ms, timing.infer_ms, timing.post_ms)

    measured.infer = _repeat(infer, plan)[:, 0]
    measured.parts = _repeat(predict, plan)
    # Before the profile, which opens a second session.
    measured.peak_rss_mib = peak_rss_mib()


def _repeat(step: Callable[[], tuple[float, ...]], plan: BenchPlan) -> NDArray[np.float64]:
    for _ in range(plan.warmup):
        step()
    end = perf_counter() + plan.budget_s
    rows: list[tuple[float, ...]] = []
    while len(rows) < plan.runs and (len(rows) < MIN_RUNS or perf_counter() < end):
        rows.append(step())
    return np.asarray(rows, np.float64)


def _make_record(
    plan: BenchPlan,
    artifact: ArtifactEntry,
    measured: _Measured,
    status: Status,
    reason: str | None,
    load_average: float | None,
) -> BenchRecord:
    info = measured.info
    p50, p90, p99 = _percentiles(measured.infer)
    pre, infer, post = (None, None, None) if measured.parts is None else _medians(measured.parts)
    return BenchRecord(
        runtime=plan.runtime,
        artifact=plan.artifact,
        precision=plan.precision,
        size=artifact.size,
        threads=None if info is None else info.threads,
        p50_ms=p50,
        p90_ms=p90,
        p99_ms=p99,
        load_ms=_rounded(measured.load_ms),
        first_ms=_rounded(measured.first_ms),
        pre_ms=pre,
        infer_ms=infer,
        post_ms=post,
        fps=None if measured.parts is None else _rounded(1e3 / float(np.median(measured.parts.sum(axis=1)))),
        peak_rss_mib=_rounded(measured.peak_rss_mib),
        status=status,
        reason=reason,
        int8_ops=None if info is None else info.int8_ops,
        float_ops=None if info is None else info.float_ops,
        host=probe_host().to_json(),
        bundle=plan.bundle,
        device=None if info is None else info.device,
        runtime_version=None if info is None else info.version,
        tool=f"pixio-edge {__version__}",
        frame=plan.frame,
        runs=0 if measured.infer is None else len(measured.infer),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        parity=None if measured.parity is None else measured.parity.to_json(),
    )


def _percentiles(times: NDArray[np.float64] | None) -> tuple[float | None, float | None, float | None]:
    if times is None:
        return None, None, None
    p50, p90, p99 = np.percentile(times, (P50, P90, P99))
    return _rounded(p50), _rounded(p90), _rounded(p99)


def _medians(parts: NDArray[np.float64]) -> tuple[float | None, float | None, float | None]:
    pre, infer, post = np.median(parts, axis=0)
    return _rounded(pre), _rounded(infer), _rounded(post)


def _rounded(value: float | None) -> float | None:
    """Microseconds are the most that a clock and a scheduler are good for."""
    return None if value is None else round(float(value), 3)


def _load_average() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
