"""Engines of a bundle on the GPU of this host: built, checked, pinned where needed, and kept in the cache."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pixio_edge.calibration.budget import Budget
from pixio_edge.engine_cache import (
    EngineKey,
    EngineRecord,
    artifact_digest,
    engine_folder,
    engine_path,
    fits,
    list_records,
    load_engine,
    remove,
    store,
    write_record,
)
from pixio_edge.engines.bisect import DEFAULT_BUILDS, find_pins
from pixio_edge.engines.build import BuiltEngine
from pixio_edge.engines.check import Verdict, judge
from pixio_edge.engines.outcome import Outcome
from pixio_edge.engines.pinning import PinnableGraph
from pixio_edge.engines.plan import check_version
from pixio_edge.engines.record import make_record
from pixio_edge.engines.workbench import Trial, Workbench
from pixio_edge.errors import InputError, RuntimeUnavailableError
from pixio_edge.golden import read_golden
from pixio_edge.runtimes.trt_layers import count_precisions

if TYPE_CHECKING:
    from pixio_edge.bundle import Bundle
    from pixio_edge.engines.build import Progress
    from pixio_edge.engines.outcome import Status
    from pixio_edge.engines.plan import Job

    Notify = Callable[[str], None]
    """Told one sentence for people."""


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How to build a bundle.

    Args:
        budget: What INT8 may lose against the golden depth.
        force: Whether to build again what is in the cache.
        max_builds: Limit of the search for nodes that need fp32, for each engine.
        folder: Of the engines; None is `engine_folder`.
        prebuilt: Folder of engines that were built ahead of time: those for this library, version and compute
            capability are checked and taken instead of built.
    """

    budget: Budget = field(default_factory=Budget)
    force: bool = False
    max_builds: int = DEFAULT_BUILDS
    folder: Path | None = None
    prebuilt: Path | None = None


@dataclass(frozen=True, slots=True)
class _Attempt:
    """An engine that was built and run; `layers` counts products by type."""

    data: bytes
    build_s: float
    verdict: Verdict
    layers: dict[str, int]


class EngineMaker:
    """Gives engines for jobs: from the cache, or built.

    Args:
        bundle: With typed graphs.
        bench: The GPU.
        options: How.
        notify: Told what happens besides.
    """

    def __init__(self, bundle: Bundle, bench: Workbench, options: BuildOptions, notify: Notify) -> None:
        self.bundle = bundle
        self.bench = bench
        self.options = options
        self.notify = notify
        self.folder = engine_folder() if options.folder is None else options.folder

    def obtain(self, job: Job, progress: Progress) -> Outcome:
        """An engine that is in the cache and whole, or a new one, which is then in the cache.

        Raises:
            BundleError: A file of the bundle is damaged.
            KeyboardInterrupt: Nothing is half written.
            OutputError: The cache cannot be written.
        """
        cached = None if self.options.force else self.cached(job)
        if cached is not None:
            if not cached.passed:
                self.notify(f"{job.artifact.name}: failed in an earlier run; --force builds it again")
            return self.outcome(job, cached, "cached")
        try:
            attempt, pinned = self._build(job, progress)
        except (RuntimeUnavailableError, InputError) as error:
            return Outcome(job.artifact, "failed", None, str(error))
        record = self._record(job, attempt, pinned)
        # Whatever recipe they are from: reading does not know the recipe, so one of these would go on running.
        old = [item for item in list_records(job.artifact, folder=self.folder) if fits(item, self.bench.gpu)]
        if record.passed:
            store(record, attempt.data, folder=self.folder)
            remove([item for item in old if item.file != record.file], folder=self.folder)
        else:
            remove(old, folder=self.folder)
            write_record(record, folder=self.folder)
        return self.outcome(job, record, "built")

    def check_prebuilt(self, jobs: Sequence[Job]) -> None:
        """Refuse a folder without a single engine for these jobs: whoever names one expects not to build.

        Raises:
            InputError: It is missing, or has none of this bundle, recipe, library, version and GPU.
        """
        folder = self.options.prebuilt
        if folder is None:
            return
        if not folder.is_dir():
            raise InputError(
                f"--prebuilt: got {folder}, expected a folder of engines. Fix: pixio-edge build BUNDLE "
                f"--compute-capability {self.bench.gpu.sm} --output {folder}, where TensorRT for RTX is"
            )
        if not any(self._is_of(record, job) for job in jobs for record in list_records(job.artifact, folder=folder)):
            raise InputError(
                f"--prebuilt: got {folder} without an engine of this bundle, expected some for {self.bench.gpu}. "
                "Fix: name the folder that --output wrote for this bundle, version and GPU, or leave --prebuilt out to "
                "build here"
            )

    def cached(self, job: Job) -> EngineRecord | None:
        """What is known about a job from an earlier run; None if that is nothing, or its file is damaged."""
        records = [item for item in list_records(job.artifact, folder=self.folder) if self._is_of(item, job)]
        checked = [item for item in records if item.passed is not None]
        if not checked:
            return None
        newest = max(checked, key=lambda item: item.created)
        if not newest.passed and newest.tolerance != job.artifact.tolerance:
            self.notify(f"{job.artifact.name}: built again, as the bundle states another tolerance now")
            return None
        if newest.passed:
            try:
                load_engine(newest, folder=self.folder)
            except RuntimeUnavailableError as error:
                self.notify(f"{job.artifact.name}: built again, as {str(error).partition('. Fix:')[0]}")
                return None
        return newest

    def _is_of(self, record: EngineRecord, job: Job) -> bool:
        return fits(record, self.bench.gpu) and record.key.profile == job.settings.describe()

    def _build(self, job: Job, progress: Progress) -> tuple[_Attempt, tuple[str, ...]]:
        graph = self.bundle.read_artifact(job.artifact).path
        attempt = self._attempt(job, self._prebuilt(job) or self.bench.build(graph, job.settings, progress))
        if attempt.verdict:
            return attempt, ()
        source = PinnableGraph(self.bundle, job.artifact)
        self.notify(
            f"{job.artifact.name}: {attempt.verdict.problem}; looking among {len(source.nodes)} nodes for those that "
            f"need fp32, with up to {self.options.max_builds} builds"
        )
        return self._pin(job, source, attempt, progress)

    def _pin(
        self, job: Job, source: PinnableGraph, failed: _Attempt, progress: Progress
    ) -> tuple[_Attempt, tuple[str, ...]]:
        best, spent = failed, failed.build_s
        with tempfile.TemporaryDirectory(prefix="pin-", dir=self.folder) as folder:

            def passes(pinned: tuple[str, ...]) -> bool:
                nonlocal best, spent
                try:
                    graph = source.write(pinned, Path(folder))
                    attempt = self._attempt(job, self.bench.build(graph, job.settings, progress))
                except RuntimeUnavailableError as error:
                    self.notify(f"{job.artifact.name}: {error}")
                    return False
                spent += attempt.build_s
                word = "passes" if attempt.verdict else str(attempt.verdict.problem)
                self.notify(f"{job.artifact.name}: {len(pinned)} of {len(source.nodes)} nodes in fp32: {word}")
                if attempt.verdict:
                    best = attempt
                return bool(attempt.verdict)

            pins = find_pins(source.nodes, passes, max_builds=self.options.max_builds)
        return replace(best, build_s=spent), () if pins is None else pins.nodes

    def _prebuilt(self, job: Job) -> BuiltEngine | None:
        """An engine that was built ahead of time for such a GPU; None if there is none."""
        if self.options.prebuilt is None:
            return None
        for record in list_records(job.artifact, folder=self.options.prebuilt):
            if self._is_of(record, job):
                self.notify(f"{job.artifact.name}: built ahead of time, in {self.options.prebuilt}")
                data = load_engine(record, folder=self.options.prebuilt).data
                return BuiltEngine(data, record.build_s)
        self.notify(f"{job.artifact.name}: none in {self.options.prebuilt} for {self.bench.gpu}, it is built")
        return None

    def _attempt(self, job: Job, built: BuiltEngine) -> _Attempt:
        image = read_golden(self.bundle, job.artifact)[0]
        ran = self.bench.run(Trial(job.artifact, built.data), image)
        verdict = judge(self.bundle, job.artifact, ran.depth)
        return _Attempt(built.data, built.build_s, verdict, count_precisions(ran.layers))

    def _record(self, job: Job, attempt: _Attempt, pinned: Sequence[str]) -> EngineRecord:
        verdict = attempt.verdict
        key = EngineKey(
            gpu=self.bench.gpu,
            artifact=artifact_digest(job.artifact),
            profile=job.settings.describe(),
            pinned=tuple(sorted(pinned)),
        )
        return make_record(
            job.artifact,
            key,
            attempt.data,
            build_s=attempt.build_s,
            layers=attempt.layers,
            reason=verdict.problem or "",
            verdict=verdict,
        )

    def outcome(self, job: Job, record: EngineRecord, status: Status) -> Outcome:
        """What is said about an engine; one that did not pass has no file."""
        file = str(engine_path(record, folder=self.folder)) if record.passed else None
        return Outcome(job.artifact, status if record.passed else "failed", record, record.reason, file)


def preview_jobs(
    bundle: Bundle, bench: Workbench | None, jobs: Sequence[Sequence[Job]], options: BuildOptions
) -> tuple[Outcome, ...]:
    """What a build would do, without building or writing.

    Args:
        bundle: With typed graphs.
        bench: The GPU; None if there is none, so that nothing can be in its cache.
        jobs: By size, from `plan_jobs`.
        options: How.

    Raises:
        InputError: The folder of engines that were built ahead of time has none for this.
        RuntimeUnavailableError: The recipe of the bundle is not for this version of TensorRT.
    """
    maker = None if bench is None else EngineMaker(bundle, bench, options, lambda text: None)
    if maker is not None:
        check_version(bundle, maker.bench.gpu)
        maker.check_prebuilt([job for group in jobs for job in group])
    outcomes = []
    for job in (job for group in jobs for job in group):
        record = None if maker is None or options.force else maker.cached(job)
        if record is None or maker is None:
            outcomes.append(Outcome(job.artifact, "planned", None, "would be built"))
        else:
            outcomes.append(maker.outcome(job, record, "cached"))
    return tuple(outcomes)
