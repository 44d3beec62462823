"""Many measurements in a row: every combination that was asked for, resumable, and never ended by one that fails."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

from pixio_edge.bench.accuracy import MEASURED, lost_accuracy
from pixio_edge.bench.assemble import measurement_key
from pixio_edge.bench.isolated import accuracy_isolated, bench_isolated
from pixio_edge.bench.measure import failed_record
from pixio_edge.bench.plan import DEFAULT_FRAME, DEFAULT_RUNS, TIMED_S, BenchPlan, list_plans
from pixio_edge.bench.providers import expand_providers
from pixio_edge.bench.record import FAILED, OK, SLOWER, UNAVAILABLE, WRONG, BenchRecord, append_record, read_records
from pixio_edge.bench.verdicts import PRECISION_ORDER, find_reference, is_noisy, judge
from pixio_edge.bundle import Bundle
from pixio_edge.errors import BundleError, CheckFailedError, OutputError, SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pixio_edge.bench.record_parts import AccuracyRecord
    from pixio_edge.manifest import Precision
    from pixio_edge.sizes import Size

    Notify = Callable[[str], None]
    Measure = Callable[..., BenchRecord]


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """What to combine. Empty tuples take everything that a bundle has.

    Attributes:
        bundles: Names or folders.
        runtimes: Names in `registry.RUNTIMES`.
        precision: Only this one; None takes all.
        sizes: Only these (height, width).
        threads: Threads of one inference, one row for each; None is one for each usable core.
        batches: Requests in flight, one row for each.
        pin_cores: Hardware threads to bind to.
        providers: Device libraries inside the runtimes, one row for each; see `expand_providers`.
        runs: Timed runs of each row.
        timed_s: Seconds that each timed loop takes at least.
        frame: (height, width) of the frames of whole predictions.
        sustained_s: Seconds of the long run at the end of each row; 0 for none.
    """

    bundles: tuple[str, ...] = ("nano",)
    runtimes: tuple[str, ...] = ()
    precision: Precision | None = None
    sizes: tuple[Size, ...] = ()
    threads: tuple[int | None, ...] = (None,)
    batches: tuple[int, ...] = (1,)
    pin_cores: tuple[int, ...] | None = None
    providers: tuple[str, ...] = ()
    runs: int = DEFAULT_RUNS
    timed_s: float = TIMED_S
    frame: Size = DEFAULT_FRAME
    sustained_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a sweep: its record, and whether it was in the file already."""

    record: BenchRecord
    is_old: bool


def plan_sweep(request: SweepRequest) -> list[BenchPlan]:
    """Every combination, of each bundle, runtime, size and setting the float artifact first and then the others.

    What is compared is measured next to each other: at the end of a sweep a device without a fan is warm.

    Raises:
        BundleError: A bundle does not exist or is damaged.
        RuntimeUnavailableError: A runtime is unknown.
        SpecError: No bundle has one of the sizes, or nothing is left.
    """
    plans: list[BenchPlan] = []
    groups: dict[tuple[object, ...], int] = {}
    places: list[tuple[int, int]] = []
    for name in request.bundles:
        bundle = Bundle.open(name)
        for plan in list_plans(bundle, name, runtimes=request.runtimes or None, precision=request.precision):
            if request.sizes and bundle.artifact(plan.artifact).size not in request.sizes:
                continue
            for each in _vary(plan, request):
                place = groups.setdefault(_group(each, bundle), len(groups))
                places.append((place, PRECISION_ORDER.index(each.precision)))
                plans.append(each)
    _check_sizes(request, plans)
    return [plans[index] for index in sorted(range(len(plans)), key=places.__getitem__)]


def check_files(plans: Sequence[BenchPlan]) -> None:
    """Read every artifact once, so that a damaged bundle is found before hours are spent.

    Raises:
        BundleError: A file is missing or was altered.
    """
    for name, artifact in dict.fromkeys((plan.bundle, plan.artifact) for plan in plans):
        bundle = Bundle.open(name)
        entry = bundle.artifact(artifact)
        bundle.read_artifact(entry)
        if entry.golden is not None:
            bundle.read_golden(entry)


def check_writable(out: Path) -> None:
    """Find out before anything is measured whether rows can be added to a file, which is created empty if needed.

    Raises:
        OutputError: They cannot.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("ab"):
            pass
    except OSError as error:
        raise OutputError(f"--out {out}: cannot be written ({error.strerror}). Fix: choose a writable place") from error


def run_sweep(
    plans: Sequence[BenchPlan],
    *,
    out: Path | None = None,
    force: bool = False,
    retry_noisy: bool = False,
    data: Path | None = None,
    notify: Notify | None = None,
) -> Iterator[Row]:
    """Measure one after the other; each row is in the file before it is given.

    Args:
        plans: From `plan_sweep`.
        out: File of records; rows that it has for the same plan, weights, versions, host and power mode are not
            measured again, unless they failed. Their status is judged again beside the float row of this sweep.
        force: Measure them all the same.
        retry_noisy: Measure those again that are noisy.
        data: Folder of sets on which each artifact is evaluated before it is timed.
        notify: Called with a short phrase when a step of a row begins.

    Raises:
        InputError: `out` holds something else than records.
        OutputError: `out` cannot be written.
    """
    kept = [] if out is None or not out.exists() else read_records(out)
    known = {} if force else _known_rows(kept, data, retry_noisy=retry_noisy)
    lacking = {(record.key, record.reason) for record in kept if record.status == UNAVAILABLE}
    bundles = {plan.bundle: Bundle.open(plan.bundle) for plan in plans}
    timed: dict[tuple[object, ...], list[BenchRecord]] = {}
    accuracies: dict[tuple[object, ...], AccuracyRecord | str] = {}
    for plan in plans:
        bundle = bundles[plan.bundle]
        record = known.get(measurement_key(plan, bundle))
        is_old = record is not None
        group = _group(plan, bundle)
        reference = find_reference(timed.get(group, []), plan.precision)
        if record is None:
            accuracy = None if data is None else _accuracy(plan, data, accuracies, notify)
            record = _measure(plan, bundle, accuracy, reference, notify)
        elif record.accuracy is not None and record.accuracy.source == MEASURED:
            accuracies[_subject(plan)] = record.accuracy
        record = judge(record, reference)
        if record.is_timed and record.status != FAILED:
            timed.setdefault(group, []).append(record)
        if out is not None and not is_old and (record.key, record.reason) not in lacking:
            append_record(out, record)
        yield Row(record, is_old)


def find_known(plans: Sequence[BenchPlan], out: Path | None, *, retry_noisy: bool = False) -> list[bool]:
    """Whether a file has each plan already.

    Raises:
        InputError: `out` holds something else than records.
    """
    kept = read_records(out) if out is not None and out.exists() else []
    known = _known_rows(kept, None, retry_noisy=retry_noisy)
    return [measurement_key(plan, Bundle.open(plan.bundle)) in known for plan in plans]


def _measure(
    plan: BenchPlan,
    bundle: Bundle,
    accuracy: AccuracyRecord | str | None,
    reference: BenchRecord | None,
    notify: Notify | None,
) -> BenchRecord:
    lost = None
    if accuracy is not None and not isinstance(accuracy, str) and reference is not None and reference.accuracy:
        lost = lost_accuracy(accuracy, reference.accuracy)
    try:
        record = bench_isolated(plan, notify=notify) if lost is None else failed_record(plan, lost, status=WRONG)
    except BundleError as error:  # files were fine when the sweep began
        record = failed_record(plan, str(error), bundle=bundle)
    if isinstance(accuracy, str):
        return record.model_copy(update={"absent": {**(record.absent or {}), "accuracy": accuracy}})
    return record if accuracy is None else record.model_copy(update={"accuracy": accuracy})


def _accuracy(
    plan: BenchPlan, data: Path, found: dict[tuple[object, ...], AccuracyRecord | str], notify: Notify | None
) -> AccuracyRecord | str:
    """Of the artifact of a plan, evaluated once for all threads and batches; or why it could not be."""
    subject = _subject(plan)
    if subject not in found:
        try:
            found[subject] = accuracy_isolated(replace(plan, batch=1), data, notify=notify)
        except CheckFailedError as error:
            found[subject] = str(error)
    return found[subject]


def _known_rows(kept: Sequence[BenchRecord], data: Path | None, *, retry_noisy: bool) -> dict[str, BenchRecord]:
    """Rows of a file by key, without those that have to be measured again."""
    return {
        record.key: record
        for record in kept
        if record.key is not None
        and record.status in (OK, SLOWER, WRONG)
        and not (retry_noisy and is_noisy(record))
        and (data is None or (record.accuracy is not None and record.accuracy.on == str(data)))
    }


def _vary(plan: BenchPlan, request: SweepRequest) -> Iterator[BenchPlan]:
    """The plan with every combination of the settings that were asked for."""
    providers = expand_providers(plan.runtime, request.providers)
    for provider, batch, threads in product(providers, request.batches, request.threads):
        yield replace(
            plan,
            threads=threads,
            batch=batch,
            pin_cores=request.pin_cores,
            provider=provider,
            runs=request.runs,
            timed_s=request.timed_s,
            frame=request.frame,
            sustained_s=request.sustained_s if batch == 1 else 0.0,
        )


def _check_sizes(request: SweepRequest, plans: Sequence[BenchPlan]) -> None:
    found = {Bundle.open(plan.bundle).artifact(plan.artifact).size for plan in plans}
    missing = [size for size in request.sizes if size not in found]
    if missing:
        known = {artifact.size for name in request.bundles for artifact in Bundle.open(name).artifacts}
        raise SpecError(
            f"benchmark: got size {missing[0][0]}x{missing[0][1]}, expected one of "
            f"{', '.join(f'{height}x{width}' for height, width in sorted(known))} that a chosen runtime takes. "
            "Fix: choose one of these, or all runtimes"
        )


def _group(plan: BenchPlan, bundle: Bundle) -> tuple[object, ...]:
    """What rows have in common that differ in precision alone."""
    settings = (plan.threads, plan.batch, plan.pin_cores, plan.provider)
    return (plan.bundle, plan.runtime, bundle.artifact(plan.artifact).size, *settings)


def _subject(plan: BenchPlan) -> tuple[object, ...]:
    return plan.bundle, plan.artifact, plan.runtime, plan.precision, plan.provider
