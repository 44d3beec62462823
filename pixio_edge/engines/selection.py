"""The engine that runs at each size: all that may run are timed in turns, and the choice goes into their records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pixio_edge.engine_cache import EngineRecord, find_engines, fits, list_records, load_engine, write_record
from pixio_edge.engines.check import against_budget
from pixio_edge.engines.choose import Candidate, choose
from pixio_edge.engines.device import EngineMaker
from pixio_edge.engines.lock import only_builder
from pixio_edge.engines.plan import check_version
from pixio_edge.engines.workbench import Trial
from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.export.trt.recipe import KIND
from pixio_edge.golden import read_golden
from pixio_edge.sizes import size_label

if TYPE_CHECKING:
    from pixio_edge.bundle import Bundle
    from pixio_edge.engines.build import Progress
    from pixio_edge.engines.device import BuildOptions, Notify
    from pixio_edge.engines.outcome import Outcome
    from pixio_edge.engines.plan import Job
    from pixio_edge.engines.workbench import Workbench
    from pixio_edge.sizes import Size


SUPERSEDED = "built before, and not what the last 'pixio-edge build' took"
"""Reason in records of engines that a later run could not build again, or built with another recipe."""


def build_bundle(
    bundle: Bundle,
    bench: Workbench,
    jobs: Sequence[Sequence[Job]],
    options: BuildOptions,
    *,
    progress: Progress,
    notify: Notify,
) -> tuple[Outcome, ...]:
    """Build the engines of a bundle, and choose one for each size. What is in the cache and whole is not built again.

    Args:
        bundle: With typed graphs.
        bench: The GPU.
        jobs: By size, from `plan_jobs`.
        options: How.
        progress: Told the share of everything that is done, 0..1, and what is under way.
        notify: Told what else happens.

    Returns:
        In the order of the jobs.

    Raises:
        BundleError: A file of the bundle is damaged.
        InputError: The folder of engines that were built ahead of time has none for this.
        KeyboardInterrupt: Every engine that was finished is in the cache.
        OutputError: The cache cannot be written.
        RuntimeUnavailableError: The recipe of the bundle is not for this version of TensorRT.
    """
    check_version(bundle, bench.gpu)
    maker = EngineMaker(bundle, bench, options, notify)
    maker.check_prebuilt([job for group in jobs for job in group])
    total, done = sum(len(group) for group in jobs), 0
    outcomes: list[Outcome] = []
    with only_builder(maker.folder, notify):
        for group in jobs:
            made = []
            for job in group:
                made.append(maker.obtain(job, _part(progress, job, done, total)))
                done += 1
                _tell(made[-1], f"{done}/{total}", notify)
            outcomes += choose_engine(maker, made)
    return tuple(outcomes)


def choose_engine(maker: EngineMaker, made: Sequence[Outcome]) -> list[Outcome]:
    """Choose among the engines of one size, those included that earlier runs left in the cache.

    Args:
        maker: Whose cache and GPU.
        made: Of this run, all of one size.

    Returns:
        The same with the choice in their records. No other engine of this GPU and size is left as the one to run.
    """
    records = {item.artifact.name: item.record for item in made if item.record is not None}
    records |= _earlier(maker, made)
    problems = {name: against_budget(record, maker.options.budget) for name, record in records.items()}
    usable = {name: record for name, record in records.items() if problems[name] is None}
    times = _times(maker, usable)
    choice = choose(
        [Candidate(name, record.precision, times.get(name), problems[name]) for name, record in records.items()]
    )
    by_precision = {usable[name].precision: ms for name, ms in times.items()}
    decided = {
        name: record.model_copy(
            update={
                "chosen": name == choice.name,
                "reason": choice.reasons[name],
                "latency_ms": by_precision if name in usable else {},
            }
        )
        for name, record in records.items()
    }
    _supersede(maker, made[0].artifact.size, decided)
    # The one that runs is written last, so that there are never two.
    for name in sorted(decided, key=lambda name: decided[name].chosen):
        if decided[name] != records[name]:
            write_record(decided[name], folder=maker.folder)
    said = [replace(item, runs=choice.name) for item in made]
    return [
        replace(item, record=decided[item.artifact.name], reason=decided[item.artifact.name].reason)
        if item.artifact.name in decided
        else item
        for item in said
    ]


def _supersede(maker: EngineMaker, size: Size, decided: Mapping[str, EngineRecord]) -> None:
    """Take the choice away from every other engine of this GPU and size."""
    for artifact in maker.bundle.artifacts:
        if artifact.kind != KIND or artifact.size != size:
            continue
        current = decided.get(artifact.name)
        for record in list_records(artifact, folder=maker.folder):
            is_other = current is None or record.file != current.file
            if is_other and record.chosen and fits(record, maker.bench.gpu):
                write_record(record.model_copy(update={"chosen": False, "reason": SUPERSEDED}), folder=maker.folder)


def _earlier(maker: EngineMaker, made: Sequence[Outcome]) -> dict[str, EngineRecord]:
    """Whole engines of the same size that were not asked for in this run."""
    names, size = {item.artifact.name for item in made}, made[0].artifact.size
    others = [item for item in maker.bundle.artifacts if item.kind == KIND and item.size == size]
    found = {
        item.name: find_engines(item, maker.bench.gpu, folder=maker.folder) for item in others if item.name not in names
    }
    return {name: engines[0] for name, engines in found.items() if engines}


def _times(maker: EngineMaker, usable: dict[str, EngineRecord]) -> dict[str, float]:
    """Milliseconds by name: as recorded if all were timed together before, else measured now."""
    recorded = [record.latency_ms for record in usable.values()]
    precisions = {record.precision for record in usable.values()}
    if recorded and all(times == recorded[0] and set(times) == precisions for times in recorded):
        return {name: record.latency_ms[record.precision] for name, record in usable.items()}
    trials = []
    try:
        for name, record in usable.items():
            data = load_engine(record, folder=maker.folder).data
            trials.append(Trial(maker.bundle.artifact(name), data))
        return maker.bench.time(trials, read_golden(maker.bundle, trials[0].artifact)[0]) if trials else {}
    except RuntimeUnavailableError as error:
        maker.notify(f"{', '.join(usable)}: not timed, as {error}")
        return {}


def _part(progress: Progress, job: Job, done: int, total: int) -> Progress:
    name = f"{size_label(job.artifact.size)} {job.artifact.precision}"
    return lambda share, label: progress((done + share) / total, f"{name}: {label}" if label else name)


def _tell(outcome: Outcome, place: str, notify: Notify) -> None:
    record, name = outcome.record, f"{place} {outcome.artifact.name}"
    if outcome.status == "failed" or record is None:
        notify(f"{name}: failed, {outcome.reason}")
    elif outcome.status == "cached":
        notify(f"{name}: in the cache")
    else:
        pinned = f", {len(record.key.pinned)} nodes in fp32" if record.key.pinned else ""
        notify(f"{name}: built in {record.build_s:.0f} s{pinned}")
