"""`pixio-edge benchmark`: how fast bundles are on this host, after checking that they are right."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixio_edge.cli.benchmark_table import choice_json, print_choice, print_plans, print_progress, print_records
from pixio_edge.cli.console import Meter, print_json, print_problem
from pixio_edge.cli.options import (
    JsonOption,
    PinCoresOption,
    examples,
    parse_cores,
    parse_precision,
    parse_size,
)
from pixio_edge.cli.stopping import term_interrupts
from pixio_edge.errors import CheckFailedError, InputError, OutputError

if TYPE_CHECKING:
    from pixio_edge.bench.plan import BenchPlan
    from pixio_edge.bench.record import BenchRecord
    from pixio_edge.bench.target import Choice

EXAMPLES = examples(
    "pixio-edge benchmark",
    "pixio-edge benchmark nano --runtime all --threads 2 --json",
    "pixio-edge benchmark nano --runtime all --target-ms 33 --out orin.jsonl",
    "pixio-edge benchmark nano my-bundle --size 256x256 --threads 1,2 --batch 1,4 --data path/to/sets",
    "pixio-edge benchmark nano --provider all --target-ms 33 --out workstation.jsonl",
    "pixio-edge benchmark nano-trt --runtime tensorrt --target-ms 33 --sustained 10m --out orin.jsonl",
)

ALL = "all"
SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def benchmark(
    bundles: Annotated[
        list[str] | None,
        typer.Argument(metavar="BUNDLE", help="Embedded bundles or paths of bundle folders. Default: nano."),
    ] = None,
    runtimes: Annotated[
        list[str] | None, typer.Option("--runtime", "-r", help="all, or one runtime; may be repeated. Default: all.")
    ] = None,
    precision: Annotated[str | None, typer.Option("--precision", "-p", help="Only fp32, bf16, fp16 or int8.")] = None,
    sizes: Annotated[
        list[str] | None, typer.Option("--size", "-s", metavar="HxW", help="Only this input size; may be repeated.")
    ] = None,
    threads: Annotated[
        str | None,
        typer.Option(
            "--threads",
            "-t",
            metavar="LIST",
            help="Threads of an inference: 2, or 1,2,4. Default: one per usable core.",
        ),
    ] = None,
    batch: Annotated[
        str,
        typer.Option("--batch", metavar="LIST", help="Requests in flight at once, each with a session of its own."),
    ] = "1",
    pin_cores: PinCoresOption = None,
    providers: Annotated[
        list[str] | None,
        typer.Option(
            "--provider",
            help="Where the runtimes execute, such as cuda (ort) or GPU (openvino), may be repeated; all is everything "
            "that they find here. Default: the CPU, or the first GPU of a runtime that has no other.",
        ),
    ] = None,
    runs: Annotated[
        int | None,
        typer.Option("--runs", min=1, help="Timed runs of each row. Default: 100, and as many as take 2 s."),
    ] = None,
    frame: Annotated[str, typer.Option("--frame", metavar="HxW", help="Size of the frames of whole predictions.")] = (
        "720x1280"
    ),
    sustained: Annotated[
        str | None,
        typer.Option(
            "--sustained",
            metavar="TIME",
            help="Then run for so long, such as 10m: every row, or with --target-ms the chosen one alone.",
        ),
    ] = None,
    target_ms: Annotated[
        float | None,
        typer.Option("--target-ms", min=0.0, help="Choose the most accurate row whose whole frames take no longer."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", "-d", help="Evaluate every artifact on these sets, as `evaluate` does.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File of records (JSON lines) to append to; rows that it has are not repeated."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Measure rows again that --out has already.")] = False,
    retry_noisy: Annotated[
        bool, typer.Option("--retry-noisy", help="Measure those again that --out has from a noisy machine.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the rows, and which of them --out has.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Measure latency, memory, energy and what really ran, each row in a fresh process and after its output was right.

    Every runtime, size and precision of the bundles unless limited. A row that fails says why and the rest goes on.
    Interrupted, the same command goes on with --out. Exit status 1 when an output is wrong, a process dies, or nothing
    keeps --target-ms.
    """
    from pixio_edge.bench.plan import DEFAULT_RUNS, TIMED_S
    from pixio_edge.bench.sweep import SweepRequest, check_files, check_writable, find_known, plan_sweep
    from pixio_edge.evaluation.datasets import open_datasets

    seconds = 0.0 if sustained is None else parse_duration(sustained)
    request = SweepRequest(
        bundles=tuple(dict.fromkeys(bundles or ["nano"])),
        runtimes=() if runtimes is None or ALL in runtimes else tuple(dict.fromkeys(runtimes)),
        precision=parse_precision(precision),
        sizes=tuple(dict.fromkeys(size for text in sizes or [] if (size := parse_size(text)))),
        threads=(None,) if threads is None else parse_counts(threads, "--threads"),
        batches=parse_counts(batch, "--batch"),
        pin_cores=parse_cores(pin_cores),
        providers=tuple(dict.fromkeys(providers or [])),
        runs=DEFAULT_RUNS if runs is None else runs,
        timed_s=TIMED_S if runs is None else 0.0,
        frame=parse_size(frame, option="--frame") or (720, 1280),
        sustained_s=0.0 if target_ms is not None else seconds,
    )
    plans = plan_sweep(request)
    if dry_run:
        print_plans(plans, find_known(plans, None if force else out, retry_noisy=retry_noisy), as_json=json)
        return
    check_files(plans)
    if data is not None:
        open_datasets(data)  # a typo is to be found now
    if out is not None:
        check_writable(out)
    wanted = Wanted(out, data and data.resolve(), target_ms, seconds, bool(sizes), force, retry_noisy)
    records, choice = _run(plans, wanted, quiet=json)
    if json:
        listed = [record.to_json() for record in records]
        print_json(listed if choice is None else {"choice": choice_json(choice), "records": listed})
    conclude(records, choice)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to do with the rows; see the options of the same names."""

    out: Path | None
    data: Path | None
    target_ms: float | None
    sustained_s: float
    any_shape: bool
    force: bool
    retry_noisy: bool

    def choose(self, records: list[BenchRecord]) -> Choice | None:
        """The row for the target, if there is one; of any shape where sizes were asked for."""
        from pixio_edge.bench.target import choose

        return None if self.target_ms is None else choose(records, self.target_ms, any_shape=self.any_shape)


def conclude(records: list[BenchRecord], choice: Choice | None = None) -> None:
    """End with the status that the records deserve; what this host cannot run is no failure, unless that is everything.

    Raises:
        CheckFailedError: An output differed, a process died, nothing could run, or nothing is fast enough.
    """
    broken = [record for record in records if record.status in ("failed_accuracy", "failed")]
    if broken:
        names = ", ".join(f"{record.artifact} on {record.runtime} in {record.precision}" for record in broken)
        wrong = any(record.status == "failed_accuracy" for record in broken)
        fix = "run 'pixio-edge verify'" if wrong else "see the reasons, and measure these again with the same --out"
        raise CheckFailedError(f"{len(broken)} of {len(records)} not timed: {names}. Fix: {fix}")
    if not any(record.is_timed for record in records):
        raise CheckFailedError("nothing could run on this host. Fix: see 'pixio-edge doctor'")
    if choice is not None and not choice.fits:
        raise CheckFailedError(
            f"--target-ms: {choice.reason}. Fix: allow more time, or give a smaller size, frame or model"
        )


def parse_counts(text: str, option: str) -> tuple[int, ...]:
    """Read a list of numbers from 1, such as `1,2,4`; each counts once.

    Raises:
        InputError: The text is not such a list.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"[1-9]\d{0,3}", part) for part in parts):
        raise InputError(f"{option}: got '{text}', expected whole numbers from 1, such as 1,2. Fix: {option} 2")
    return tuple(dict.fromkeys(int(part) for part in parts))


def parse_duration(text: str) -> float:
    """Read a time such as `10m`, `90s`, `1.5h` or `600` as seconds.

    Raises:
        InputError: The text is not a time above 0.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip().lower())
    if match is None or float(match[1]) == 0.0:
        raise InputError(f"--sustained: got '{text}', expected a time such as 10m or 90s. Fix: --sustained 10m")
    return float(match[1]) * SECONDS[match[2]]


def _run(plans: list[BenchPlan], wanted: Wanted, *, quiet: bool) -> tuple[list[BenchRecord], Choice | None]:
    """Measure; print the table, also of what was done when somebody interrupts."""
    records: list[BenchRecord] = []
    try:
        with term_interrupts():
            _measure(plans, wanted, records)
            choice = wanted.choose(records)
            # One that does not keep the target when warm makes way for the next, which has to be run long as well.
            while choice is not None and choice.fits and choice.record is not None and wanted.sustained_s > 0:
                if choice.record.sustained is not None:
                    break
                _sustain(plans, choice.record, wanted, records)
                choice = wanted.choose(records)
    except (KeyboardInterrupt, OutputError) as error:
        if not quiet and records:
            print_records(records)
        if isinstance(error, OutputError):
            raise
        where = "" if wanted.out is None else f" and are in {wanted.out}; the same command goes on"
        print_problem(f"{len(records)} of {len(plans)} rows were measured{where}")
        raise
    if not quiet:
        print_records(records)
        print_choice(choice, wanted.target_ms)
    return records, choice


def _measure(plans: list[BenchPlan], wanted: Wanted, records: list[BenchRecord]) -> None:
    """Append a record for each plan to `records`, with progress."""
    from pixio_edge.bench.sweep import run_sweep

    with Meter("benchmark") as meter:

        def notify(step: str) -> None:
            meter.update(len(records), len(plans), f"{len(records) + 1} of {len(plans)}: {plans[len(records)]}, {step}")

        rows = run_sweep(
            plans,
            out=wanted.out,
            force=wanted.force,
            retry_noisy=wanted.retry_noisy,
            data=wanted.data,
            notify=notify,
        )
        for row in rows:
            records.append(row.record)
            meter.update(len(records), len(plans), f"{len(records)} of {len(plans)} done")
            if not row.is_old and len(plans) > 1 and not sys.stderr.isatty():
                print_progress(len(records), len(plans), row.record)


def _sustain(plans: list[BenchPlan], chosen: BenchRecord, wanted: Wanted, records: list[BenchRecord]) -> None:
    """Measure the chosen row again with the long run at its end, which then stands in its place."""
    place = next(index for index, record in enumerate(records) if record is chosen)
    again: list[BenchRecord] = []
    _measure([replace(plans[place], sustained_s=wanted.sustained_s)], wanted, again)
    records[place] = again[0]
