"""One measurement in this process: open, verify, then time."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.bench.assemble import Measured, make_record
from pixio_edge.bench.energy import measure_energy
from pixio_edge.bench.noise import judge_noise, load_average, read_usage
from pixio_edge.bench.record import FAILED, OK, UNAVAILABLE, WRONG, BenchRecord, Status
from pixio_edge.bench.sensors import find_sensors, nvidia_gpu
from pixio_edge.bench.sustained import run_sustained
from pixio_edge.bench.sysfs import resident_mib
from pixio_edge.bench.timing import repeat, repeat_together
from pixio_edge.bundle import Bundle
from pixio_edge.errors import PixioEdgeError
from pixio_edge.estimator import DepthEstimator
from pixio_edge.golden import compare_golden, read_golden
from pixio_edge.host import peak_rss_mib
from pixio_edge.resolve import Resolution
from pixio_edge.runtimes.base import RuntimeOptions
from pixio_edge.runtimes.registry import make_runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pixio_edge.bench.plan import BenchPlan
    from pixio_edge.bench.sensors import Sensors
    from pixio_edge.manifest import ArtifactEntry
    from pixio_edge.runtimes.base import Runtime

    Feeds = dict[str, NDArray[np.uint8]]
    Notify = Callable[[str], None]


SLOW_RUN_MS = 1e3
"""Runs that take longer are told one by one, so that a slow device is not taken for one that hangs."""


def bench(plan: BenchPlan, *, notify: Notify | None = None) -> BenchRecord:
    """Measure, after the output was found to be right.

    The runtime's import, memory and threads are part of the result, so give each plan a process of its own:
    `isolated.bench_isolated` does.

    Args:
        plan: What to measure.
        notify: Called with a short phrase when the next step begins.

    Returns:
        A record, also when it cannot run, a file of the artifact is damaged, or its output is wrong: then `status` says
        so and there are no times.

    Raises:
        BundleError: The bundle or the artifact of the plan does not exist.
    """
    measured = Measured(load_average=load_average(), rss_before_mib=resident_mib())
    bundle = Bundle.open(plan.bundle)
    artifact = bundle.artifact(plan.artifact)
    status: Status
    try:
        with _open_estimator(bundle, artifact, plan) as estimator:
            status, reason = _measure(estimator, plan, measured, notify or _ignore)
    except PixioEdgeError as error:
        # Once it ran and was right, this host can run it, so what stopped it is a failure.
        status, reason = (UNAVAILABLE if not measured.parity else FAILED), str(error)
    return make_record(plan, bundle, measured, status, reason)


def failed_record(
    plan: BenchPlan, reason: str, *, status: Status = FAILED, bundle: Bundle | None = None
) -> BenchRecord:
    """A record without times, for a measurement whose process died or did not end, or that is not worth making.

    Args:
        plan: What was to be measured.
        reason: Why it was not.
        status: Of the record.
        bundle: Of the plan, opened before; None opens it.
    """
    opened = Bundle.open(plan.bundle) if bundle is None else bundle
    return make_record(plan, opened, Measured(load_average=load_average()), status, reason)


def open_options(plan: BenchPlan) -> RuntimeOptions:
    """How a plan runs its artifact."""
    return RuntimeOptions(plan.threads, plan.pin_cores, plan.precision, plan.provider)


def _open_estimator(bundle: Bundle, artifact: ArtifactEntry, plan: BenchPlan) -> DepthEstimator:
    """For exactly this artifact, verified or not: measuring is how it becomes verified."""
    return DepthEstimator(bundle, Resolution(plan.runtime, plan.precision, (artifact,), ()), open_options(plan))


@dataclass(frozen=True, slots=True)
class _Run:
    """One measurement under way: an open runtime that gave the right output, and where results go."""

    estimator: DepthEstimator
    runtime: Runtime
    feeds: Feeds
    plan: BenchPlan
    measured: Measured
    notify: Notify


def _measure(
    estimator: DepthEstimator, plan: BenchPlan, measured: Measured, notify: Notify
) -> tuple[Status, str | None]:
    artifact = estimator.resolution.chosen
    notify("loading")
    start = perf_counter()
    runtime = estimator.runtime(artifact.size)
    measured.load_ms = (perf_counter() - start) * 1e3
    image, depth = read_golden(estimator.bundle, artifact)
    feeds = {artifact.inputs[0].name: image}
    start = perf_counter()
    outputs = runtime.run(feeds)
    measured.first_ms = (perf_counter() - start) * 1e3
    measured.rss_loaded_mib = resident_mib()
    measured.parity = compare_golden(depth, outputs, artifact, plan.precision)
    measured.info = runtime.info()
    if measured.parity:
        _time(_Run(estimator, runtime, feeds, plan, measured, notify))
    notify("counting operators")
    # Last, as it may open a second session.
    try:
        measured.info = runtime.info(profile=True)
    except PixioEdgeError as error:
        measured.absent = {**(measured.absent or {}), "operators": str(error)}
    return (OK, None) if measured.parity else (WRONG, measured.parity.message)


def _time(run: _Run) -> None:
    plan, measured = run.plan, run.measured
    info = run.runtime.info()
    run.notify("timing")
    with ExitStack() as others:
        runtimes = [run.runtime, *(others.enter_context(_another(run)) for _ in range(plan.batch - 1))]
        steps = [_signalling(_timed(each, run.feeds), "timing", run.notify) for each in runtimes]
        before = read_usage()
        measured.infer = repeat(steps[0], plan) if plan.batch == 1 else repeat_together(steps, plan)
        if plan.batch == 1:
            run.notify("whole frames")
            measured.parts = repeat(_signalling(_predict(run), "whole frames", run.notify), plan, is_warm=True)
        after = read_usage()
        measured.noise = judge_noise(
            measured.infer.rows[:, 0],
            before,
            after,
            load_average=measured.load_average,
            threads=plan.batch * info.threads,
        )
        measured.peak_rss_mib = peak_rss_mib()
        sensors = find_sensors(nvidia_gpu(plan.runtime, plan.provider, info.device), device=info.device)
        measured.keep(sensors, after.seconds - before.seconds)
    if plan.batch == 1:
        _run_long(run, sensors)


def _run_long(run: _Run, sensors: Sensors) -> None:
    def step() -> None:
        run.runtime.run(run.feeds)

    if sensors.meter is not None:
        run.notify("energy")
        run.measured.energy = measure_energy(step, sensors.meter)
        if run.measured.energy is None:
            run.measured.absent = {**(run.measured.absent or {}), "energy": f"{sensors.meter.source} gave no reading"}
    if run.plan.sustained_s > 0:
        run.notify("sustained")
        run.measured.sustained = run_sustained(step, run.plan.sustained_s, sensors, notify=run.notify)


def _another(run: _Run) -> Runtime:
    """A runtime of its own for one more request in flight."""
    artifact = run.estimator.bundle.read_artifact(run.estimator.resolution.chosen)
    return make_runtime(run.plan.runtime, artifact, open_options(run.plan))


def _signalling(step: Callable[[], tuple[float, ...]], name: str, notify: Notify) -> Callable[[], tuple[float, ...]]:
    """The same step, with a sign of life after each run that takes long; the times in it are not touched."""

    def run() -> tuple[float, ...]:
        times = step()
        if sum(times) > SLOW_RUN_MS:
            notify(f"{name}, {sum(times) / 1e3:.0f} s each")
        return times

    return run


def _timed(runtime: Runtime, feeds: Feeds) -> Callable[[], tuple[float, ...]]:
    def infer() -> tuple[float, ...]:
        start = perf_counter()
        runtime.run(feeds)
        return ((perf_counter() - start) * 1e3,)

    return infer


def _predict(run: _Run) -> Callable[[], tuple[float, ...]]:
    frame = np.random.default_rng(run.plan.seed).integers(0, 256, (*run.plan.frame, 3), dtype=np.uint8)

    def predict() -> tuple[float, ...]:
        timing = run.estimator.predict(frame).timing
        return (0.0, 0.0, 0.0) if timing is None else (timing.pre_ms, timing.infer_ms, timing.post_ms)

    return predict


def _ignore(_: str) -> None:
    """For callers that show no progress."""
