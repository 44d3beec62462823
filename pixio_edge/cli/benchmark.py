"""`pixio-edge benchmark`: how fast a bundle is on this host, after checking that it is right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixio_edge.cli.console import print_json, print_table, track
from pixio_edge.cli.options import (
    BundleArgument,
    JsonOption,
    PinCoresOption,
    ProviderOption,
    ThreadsOption,
    examples,
    parse_cores,
    parse_precision,
    parse_size,
)
from pixio_edge.errors import CheckFailedError

if TYPE_CHECKING:
    from pixio_edge.bench.record import BenchRecord

EXAMPLES = examples(
    "pixio-edge benchmark",
    "pixio-edge benchmark nano --runtime all --threads 2 --json",
    "pixio-edge benchmark nano --runtime ort --size 256x256 --out records.jsonl",
)

ALL = "all"


def benchmark(
    bundle: BundleArgument = "nano",
    runtimes: Annotated[
        list[str] | None, typer.Option("--runtime", "-r", help="all, or one runtime; may be repeated.  [default: all]")
    ] = None,
    precision: Annotated[str | None, typer.Option("--precision", "-p", help="Only fp32, bf16, fp16 or int8.")] = None,
    size: Annotated[str | None, typer.Option("--size", "-s", metavar="HxW", help="Only this input size.")] = None,
    threads: ThreadsOption = None,
    pin_cores: PinCoresOption = None,
    provider: ProviderOption = None,
    runs: Annotated[int | None, typer.Option("--runs", min=1, help="Timed runs of each.  [default: 100]")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File of records (JSON lines) to append to.")] = None,
    json: JsonOption = False,
) -> None:
    """Measure latency, memory and what really ran, each in a fresh process and only after its output was found right.

    Every size and precision of the bundle unless limited. Exit status 1 when an output differs or a process dies.
    """
    from pixio_edge.bench.isolated import bench_isolated
    from pixio_edge.bench.plan import DEFAULT_RUNS, list_plans
    from pixio_edge.bench.record import append_record
    from pixio_edge.bundle import Bundle

    wanted = None if runtimes is None or ALL in runtimes else runtimes
    plans = list_plans(
        Bundle.open(bundle), bundle, runtimes=wanted, precision=parse_precision(precision), size=parse_size(size)
    )
    cores = parse_cores(pin_cores)
    records = []
    for plan in track(plans, total=len(plans), label="benchmark"):
        asked = replace(plan, threads=threads, pin_cores=cores, provider=provider, runs=runs or DEFAULT_RUNS)
        records.append(bench_isolated(asked))
        if out is not None:
            append_record(out, records[-1])
    if json:
        print_json([record.to_json() for record in records])
    else:
        print_records(records)
    conclude(records)


def print_records(records: list[BenchRecord]) -> None:
    """Print a table for a person; what was not timed says why below it."""
    header = (
        "runtime",
        "artifact",
        "precision",
        "threads",
        "p50 ms",
        "p90",
        "p99",
        "load",
        "pre",
        "post",
        "fps",
        "MiB",
    )
    rows = [
        (
            record.runtime,
            record.artifact,
            record.precision,
            "-" if record.threads is None else record.threads,
            *map(tenth, (record.p50_ms, record.p90_ms, record.p99_ms, record.load_ms, record.pre_ms, record.post_ms)),
            *map(tenth, (record.fps, record.peak_rss_mib)),
        )
        for record in records
    ]
    print_table(header, rows)
    for record in records:
        if not record.is_ok:
            print(f"{record.runtime} {record.artifact} {record.precision}: {record.verdict}")


def conclude(records: list[BenchRecord]) -> None:
    """End with the status that the records deserve; what this host cannot run is no failure, unless that is everything.

    Raises:
        CheckFailedError: An output differed, a process died, or nothing could run.
    """
    broken = [record for record in records if record.status in ("failed_accuracy", "failed")]
    if broken:
        names = ", ".join(f"{record.artifact} on {record.runtime} in {record.precision}" for record in broken)
        raise CheckFailedError(f"{len(broken)} of {len(records)} not timed: {names}. Fix: run 'pixio-edge verify'")
    if not any(record.is_ok for record in records):
        raise CheckFailedError("nothing could run on this host. Fix: see 'pixio-edge doctor'")


def tenth(value: float | None) -> str:
    """One decimal, or a dash."""
    return "-" if value is None else f"{value:.1f}"
