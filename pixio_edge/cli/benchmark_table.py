"""What `pixio-edge benchmark` shows a person: rows with status and reason, the choice, the plan."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pixio_edge.cli.console import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pixio_edge.bench.plan import BenchPlan
    from pixio_edge.bench.record import BenchRecord
    from pixio_edge.bench.target import Choice

RUNS_FOR_P99 = 100
TIMES = ("p50 ms", "p90", "p99", "load", "pre", "post", "frame p90", "fps", "MiB")


def print_records(records: Sequence[BenchRecord]) -> None:
    """Print a table; below it, the reasons of what is not "ok", and how quiet the machine was."""
    show = _columns(records)
    optional = [
        (name, cell) for name, field, cell in OPTIONAL if any(getattr(row, field) is not None for row in records)
    ]
    header = (*show, "status", *TIMES, *(name for name, _ in optional))
    print_table(header, [[*_cells(record, show), *(cell(record) for _, cell in optional)] for record in records])
    for reason, names in _group((record.verdict, _name(record)) for record in records if not record.is_ok):
        print(f"{reason} ({_some(names)})")
    if any(record.accuracy is not None and record.accuracy.source != "measured" for record in records):
        print("*: as the manifest says, of all its sizes together; --data measures it")
    _print_noise(records)
    _print_sustained(records)
    _print_fallbacks(records)
    _print_unmeasured(records)
    _print_unused_gpus(records)


def print_progress(done: int, total: int, record: BenchRecord) -> None:
    """Print a line about a finished row on standard error, for logs and terminals of others."""
    noisy = record.noise is not None and record.noise.noisy
    time = record.verdict if record.p50_ms is None else f"{short(record.p50_ms)} ms, {'noisy' if noisy else 'ok'}"
    size = f"{record.size[0]}x{record.size[1]}"
    text = f"benchmark {done}/{total} {record.bundle} {size}: {_name(record)}: {time}"
    print(" ".join(text.split()), file=sys.stderr, flush=True)


def print_choice(choice: Choice | None, target_ms: float | None) -> None:
    """Print the row that was chosen for a target, why, and how to use it."""
    if choice is None or choice.record is None:
        return
    record = choice.record
    print(f"\nfor {target_ms:g} ms: {_name(record)}\n  {choice.reason}")
    command = ["pixio-edge", "predict", "IMAGE", "--bundle", record.bundle, "--runtime", record.runtime]
    command += ["--precision", record.precision, "--size", f"{record.size[0]}x{record.size[1]}"]
    command += ["--threads", str(record.threads)] if record.threads is not None else []
    command += ["--provider", record.provider] if record.provider is not None else []
    command += ["--pin-cores", ",".join(map(str, record.pin_cores))] if record.pin_cores else []
    print(f"  {shlex.join(command)}")


def choice_json(choice: Choice) -> dict[str, Any]:
    """The choice as JSON; the row is named by its key."""
    record = choice.record
    named = None if record is None else {"key": record.key, "runtime": record.runtime, "artifact": record.artifact}
    return {"fits": choice.fits, "reason": choice.reason, "row": named}


def print_plans(plans: Sequence[BenchPlan], known: Sequence[bool], *, as_json: bool) -> None:
    """Print what would be measured; `known` says what the file has already."""
    from pixio_edge.bench.energy import IDLE_S, LOOP_S

    if as_json:
        print_json([plan.to_json() | {"measured": done} for plan, done in zip(plans, known, strict=True)])
        return
    header = ("bundle", "runtime", "artifact", "precision", "threads", "batch", "state")
    rows = [
        (
            plan.bundle,
            plan.runtime,
            plan.artifact,
            plan.precision,
            "-" if plan.threads is None else plan.threads,
            plan.batch,
            "measured" if done else "to measure",
        )
        for plan, done in zip(plans, known, strict=True)
    ]
    print_table(header, rows)
    left = [plan for plan, done in zip(plans, known, strict=True) if not done]
    # Two timed loops each, of whole frames and of bare inferences, and energy; the rest of a row takes seconds.
    minutes = sum(plan.longest_s + LOOP_S + IDLE_S + plan.sustained_s for plan in left) / 60
    print(f"{len(left)} of {len(plans)} rows to measure, at most about {minutes:.0f} minutes")


def _columns(records: Sequence[BenchRecord]) -> tuple[str, ...]:
    """Names of what distinguishes the rows; what is the same for all of them is left out."""
    many_bundles = len({record.bundle for record in records}) > 1
    batches = any(record.batch > 1 for record in records)
    return (
        *(("bundle",) if many_bundles else ()),
        "runtime",
        "artifact",
        "precision",
        "threads",
        *(("batch",) if batches else ()),
    )


def _cells(record: BenchRecord, show: Sequence[str]) -> list[object]:
    """Of one row; with several requests in flight, frames a second are the inferences of all of them."""
    fps = record.throughput_fps if record.batch > 1 else record.fps
    status = f"{record.status}, noisy" if record.noise is not None and record.noise.noisy else record.status
    labels = ["-" if (value := getattr(record, name)) is None else value for name in show]
    # Of fewer runs the 99th percentile is little more than the longest.
    p99 = record.p99_ms if record.runs >= RUNS_FOR_P99 else None
    times = (record.p50_ms, record.p90_ms, p99, record.load_ms, record.pre_ms, record.post_ms)
    return [*labels, status, *map(short, (*times, record.predict_p90_ms, fps, record.peak_rss_mib))]


def _delta1(record: BenchRecord) -> str:
    """Marked where it is what the manifest states."""
    if record.accuracy is None or record.accuracy.delta1 is None:
        return "-"
    return f"{record.accuracy.delta1:.3f}{'' if record.accuracy.source == 'measured' else '*'}"


def _print_noise(records: Sequence[BenchRecord]) -> None:
    noisy = [record for record in records if record.noise is not None and record.noise.noisy]
    if noisy:
        worst = max(noisy, key=lambda record: 0.0 if record.noise is None else record.noise.mad_ms)
        reasons = "; ".join(worst.noise.reasons) if worst.noise is not None else ""
        print(f"noisy: {len(noisy)} of {len(records)} rows are not to be trusted, such as {_name(worst)}: {reasons}")
        print("       when it is quiet, --retry-noisy with the same --out measures them again")


def _print_sustained(records: Sequence[BenchRecord]) -> None:
    for record in records:
        if record.sustained is not None:
            print(f"{_name(record)}: {_describe_sustained(record)}")


def _describe_sustained(record: BenchRecord) -> str:
    long = record.sustained
    if long is None:
        return ""
    heat = {True: ", throttled", False: ", never throttled", None: ", throttling not told"}[long.throttled]
    mode = "" if long.power_mode is None else f", power mode {long.power_mode}"
    return (
        f"sustained {long.seconds:.0f} s: p50 {short(long.first_p50_ms)} ms at first, {short(long.last_p50_ms)} at the "
        f"end, p99 {short(long.p99_ms)}{heat}{mode}"
    )


def _print_fallbacks(records: Sequence[BenchRecord]) -> None:
    """What ran elsewhere than where it should is why a device disappoints."""
    for reason, names in _group((", ".join(record.fallbacks or ()), _name(record)) for record in records):
        if reason:
            print(f"not on the device: {reason} ({_some(names)})")


def _print_unmeasured(records: Sequence[BenchRecord]) -> None:
    """Why --data gave no accuracy."""
    for reason, names in _group(((record.absent or {}).get("accuracy", ""), _name(record)) for record in records):
        if reason:
            print(f"accuracy not measured: {reason} ({_some(names)})")


def _print_unused_gpus(records: Sequence[BenchRecord]) -> None:
    """A board's GPU that nothing ran on may be what it was bought for."""
    from pixio_edge.bench.sensors import nvidia_gpu

    gpus = [name for record in records[:1] if isinstance(found := record.host.get("gpus"), list) for name in found]
    used = [record for record in records if nvidia_gpu(record.runtime, record.provider, record.device) is not None]
    if gpus and not any(record.is_timed for record in used):
        print(
            f"this host has {', '.join(map(str, gpus))}, and no row was timed on it. Fix: --provider all, or "
            "'pixio-edge export NAME -o NEW --format tensorrt', 'pixio-edge build NEW' and measure NEW"
        )


def _group(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = {}
    for reason, name in pairs:
        groups.setdefault(reason, []).append(name)
    return list(groups.items())


def _some(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} rows: {names[0]} …"


def _name(record: BenchRecord) -> str:
    threads = "" if record.threads is None else f", {record.threads} threads"
    batch = "" if record.batch == 1 else f", {record.batch} in flight"
    return f"{record.runtime} {record.artifact} in {record.precision}{threads}{batch}"


def short(value: float | None) -> str:
    """One decimal, two below 10, or a dash."""
    return "-" if value is None else f"{value:.{1 if abs(value) >= 10 else 2}f}"


# Columns that are there when a row has something for them: name, field of the record, and its text.
OPTIONAL: tuple[tuple[str, str, Callable[[BenchRecord], str]], ...] = (
    ("mJ", "energy_mj", lambda record: short(record.energy_mj)),
    ("delta1", "accuracy", _delta1),
)
