"""What `pixio-edge benchmark` shows a person: rows with status and reason, the choice, the plan."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pixio_edge.cli.console import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pixio_edge.bench.plan import BenchPlan
    from pixio_edge.bench.record import BenchRecord
    from pixio_edge.bench.target import Choice

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
        print("*: as the manifest says; --data measures it")
    _print_noise(records)
    _print_sustained(records)
    _print_fallbacks(records)


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
    print(f"  {shlex.join(command)}")


def choice_json(choice: Choice) -> dict[str, Any]:
    """The choice as JSON; the row is named by its key."""
    record = choice.record
    named = None if record is None else {"key": record.key, "runtime": record.runtime, "artifact": record.artifact}
    return {"fits": choice.fits, "reason": choice.reason, "row": named}


def print_plans(plans: Sequence[BenchPlan], out: Path | None, *, force: bool, as_json: bool) -> None:
    """Print what would be measured, and what the file has already.

    Raises:
        InputError: `out` holds something else than records.
    """
    from pixio_edge.bench.sweep import find_known

    known = find_known(plans, None if force else out)
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
    # Two timed loops each, of whole frames and of bare inferences; the rest of a row takes seconds.
    minutes = sum(2 * plan.budget_s + plan.sustained_s for plan in left) / 60
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
    times = (record.p50_ms, record.p90_ms, record.p99_ms, record.load_ms, record.pre_ms, record.post_ms)
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
