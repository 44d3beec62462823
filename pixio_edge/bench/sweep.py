"""Many measurements in a row: every combination that was asked for, resumable, and never ended by one that fails."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pixio_edge.bench.accuracy import MEASURED, lost_accuracy
from pixio_edge.bench.assemble import measurement_key
from pixio_edge.bench.isolated import accuracy_isolated, bench_isolated
from pixio_edge.bench.measure import failed_record
from pixio_edge.bench.plan import DEFAULT_FRAME, DEFAULT_RUNS, BenchPlan, list_plans
from pixio_edge.bench.record import FAILED, OK, SLOWER, WRONG, BenchRecord, append_record, read_records
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

# From the most to the least exact: a float artifact is measured before what has to be faster than it.
PRECISION_ORDER = ("fp32", "bf16", "fp16", "int8")


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
        provider: Device library inside the runtime.
        runs: Timed runs of each row.
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
    provider: str | None = None
    runs: int = DEFAULT_RUNS
    frame: Size = DEFAULT_FRAME
    sustained_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a sweep: its record, and whether it was in the file already."""

    record: BenchRecord
    is_old: bool


def plan_sweep(request: SweepRequest) -> list[BenchPlan]:
    """Every combination, the float artifacts of each runtime and size before the others.

    Raises:
        BundleError: A bundle does not exist or is damaged.
        RuntimeUnavailableError: A runtime is unknown.
        SpecError: No bundle has one of the sizes, or nothing is left.
    """
    plans: list[BenchPlan] = []
    for name in request.bundles:
        bundle = Bundle.open(name)
        for plan in list_plans(bundle, name, runtimes=request.runtimes or None, precision=request.precision):
            if request.sizes and bundle.artifact(plan.artifact).size not in request.sizes:
                continue
            plans += [_vary(plan, request, threads, batch) for batch in request.batches for threads in request.threads]
    _check_sizes(request, plans)
    positions = {id(plan): index for index, plan in enumerate(plans)}
    return sorted(plans, key=lambda plan: (*_place(plan, request), positions[id(plan)]))


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
    data: Path | None = None,
    notify: Notify | None = None,
) -> Iterator[Row]:
    """Measure one after the other; each row is in the file before it is given.

    Args:
        plans: From `plan_sweep`.
        out: File of records; rows that it has for the same plan, weights, versions and host are not measured again,
            unless they failed.
        force: Measure them all the same.
        data: Folder of sets on which each artifact is evaluated before it is timed.
        notify: Called with a short phrase when a step of a row begins.

    Raises:
        InputError: `out` holds something else than records.
        OutputError: `out` cannot be written.
    """
    known = {} if out is None or force or not out.exists() else _known_rows(out, data)
    timed: dict[tuple[object, ...], list[BenchRecord]] = {}
    accuracies: dict[tuple[object, ...], AccuracyRecord | str] = {}
    for plan in plans:
        bundle = Bundle.open(plan.bundle)
        record = known.get(measurement_key(plan, bundle))
        is_old = record is not None
        group = (plan.bundle, plan.runtime, bundle.artifact(plan.artifact).size, *_settings(plan))
        if record is None:
            accuracy = None if data is None else _accuracy(plan, data, accuracies, notify)
            record = _measure(plan, accuracy, _reference(timed.get(group, []), plan.precision), notify)
        elif record.accuracy is not None and record.accuracy.source == MEASURED:
            accuracies[_subject(plan)] = record.accuracy
        if record.is_timed and record.status != FAILED:
            timed.setdefault(group, []).append(record)
        if out is not None and not is_old:
            append_record(out, record)
        yield Row(record, is_old)


def find_known(plans: Sequence[BenchPlan], out: Path | None) -> list[bool]:
    """Whether a file has each plan already.

    Raises:
        InputError: `out` holds something else than records.
    """
    known = _known_rows(out, None) if out is not None and out.exists() else {}
    return [measurement_key(plan, Bundle.open(plan.bundle)) in known for plan in plans]


def against_float(record: BenchRecord, reference: BenchRecord | None) -> BenchRecord:
    """The record, with status `slower_than_float` if it is not faster than the float one."""
    if reference is None or reference.p50_ms is None or record.p50_ms is None or record.p50_ms < reference.p50_ms:
        return record
    reason = f"p50 {record.p50_ms:.2f} ms, {reference.precision} {reference.p50_ms:.2f} ms"
    return record.model_copy(update={"status": SLOWER, "reason": reason})


def _measure(
    plan: BenchPlan, accuracy: AccuracyRecord | str | None, reference: BenchRecord | None, notify: Notify | None
) -> BenchRecord:
    lost = None
    if accuracy is not None and not isinstance(accuracy, str) and reference is not None and reference.accuracy:
        lost = lost_accuracy(accuracy, reference.accuracy)
    try:
        record = bench_isolated(plan, notify=notify) if lost is None else failed_record(plan, lost, status=WRONG)
    except BundleError as error:  # files were fine when the sweep began
        record = failed_record(plan, str(error))
    if isinstance(accuracy, str):
        record = record.model_copy(update={"absent": {**(record.absent or {}), "accuracy": accuracy}})
    elif accuracy is not None:
        record = record.model_copy(update={"accuracy": accuracy})
    return against_float(record, reference) if record.is_ok else record


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


def _reference(timed: Sequence[BenchRecord], precision: str) -> BenchRecord | None:
    """The most exact of the rows that are more exact than a precision; None if there is none."""
    rank = PRECISION_ORDER.index
    exact = [record for record in timed if rank(record.precision) < rank(precision) and record.precision != "int8"]
    return min(exact, key=lambda record: rank(record.precision), default=None)


def _known_rows(out: Path, data: Path | None) -> dict[str, BenchRecord]:
    """Rows of a file by key, without those that have to be measured again."""
    return {
        record.key: record
        for record in read_records(out)
        if record.key is not None
        and record.status in (OK, SLOWER, WRONG)
        and (data is None or (record.accuracy is not None and record.accuracy.on == str(data)))
    }


def _vary(plan: BenchPlan, request: SweepRequest, threads: int | None, batch: int) -> BenchPlan:
    return replace(
        plan,
        threads=threads,
        batch=batch,
        pin_cores=request.pin_cores,
        provider=request.provider,
        runs=request.runs,
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


def _place(plan: BenchPlan, request: SweepRequest) -> tuple[object, ...]:
    """Where a plan comes in a sweep: bundle by bundle, float before the rest."""
    return request.bundles.index(plan.bundle), PRECISION_ORDER.index(plan.precision) > 0, plan.batch


def _settings(plan: BenchPlan) -> tuple[object, ...]:
    return plan.threads, plan.batch, plan.pin_cores, plan.provider


def _subject(plan: BenchPlan) -> tuple[object, ...]:
    return plan.bundle, plan.artifact, plan.runtime, plan.precision, plan.provider
