"""Measures the CUDA kernels on this host's NVIDIA GPU, alone and in whole models, beside torch at the same work.

    python benchmarks/kernel_speed.py                 # as much as fits into nine minutes
    python benchmarks/kernel_speed.py --resume        # what the runs before had no time for, then what failed in them
    python benchmarks/kernel_speed.py --dry-run       # every step once on the CPU with tiny shapes; nothing is recorded

Each step runs in a process that is ended when its time is over, and its records are on the disk before the next one
begins. Kernels are timed inside CUDA graphs by events, warm and cold, contenders by turns; each result is checked
against float32 first. The share of the roofline is of peaks that are measured here, on this GPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from kernels_journal import Journal, Record, identifies, text
from kernels_steps import TINY, Measurer, Plan, keys, limits, serve
from kernels_worker import Worker, WorkerLostError
from recording import RECORDS, find_commit

KIND = "kernel_speed"
MINUTES = 9.0
PEAKS: Record = {"part": "peaks"}
SHOWN = ("operator", "model", "size", "batch", "tokens", "heads", "head_dim", "channels", "kernel", "contender")

Append = Callable[[Record, list[Record]], None]


class Answers(Protocol):
    """A `Worker`, or a `Measurer` in this process."""

    def ask(self, request: Record, *, limit_s: float) -> Record:
        """Do one step."""

    def stop(self) -> None:
        """End it."""


class Here:
    """Does the steps in this process, without limits: for a dry run."""

    def __init__(self, options: Record) -> None:
        self._measurer = Measurer(options)

    def ask(self, request: Record, *, limit_s: float) -> Record:
        """Do one step."""
        del limit_s
        return self._measurer.answer(request)

    def stop(self) -> None:
        """Nothing to end."""


def run(plan: Plan, worker: Answers, append: Append, *, minutes: float, tried: dict[str, bool] | None = None) -> None:
    """Measure until the time is over; what is left is recorded as skipped, what fails with its reason.

    Args:
        plan: What to measure.
        worker: Who does.
        append: Takes the records of a step as soon as there are any.
        minutes: For everything, also for a step that is begun.
        tried: Keys of steps that were tried before: True if nothing is left to do, False if it failed.
    """
    end = time.monotonic() + 60 * minutes
    before = tried or {}
    # What failed before comes last: it may end this run as well.
    left = sorted((key for key in keys(plan) if not before.get(text(key), False)), key=lambda key: text(key) in before)
    peaks: Record | None = None
    for key in [PEAKS, *left]:
        longest, least = limits(key)
        remaining = end - time.monotonic()
        if remaining < least:
            append(key, [{"status": "skipped", "reason": f"{minutes:g} minutes were over"}])
        elif peaks is None and key is not PEAKS:
            append(key, [{"status": "skipped", "reason": "the peaks of this GPU could not be measured"}])
        else:
            records = ask(worker, key, peaks, min(longest, remaining))
            append(key, records)
            if key is PEAKS and records[0]["status"] == "ok":
                peaks = {name: value for name, value in records[0].items() if name != "status"}


def ask(worker: Answers, key: Record, peaks: Record | None, limit_s: float) -> list[Record]:
    """Records of one step; a process that was lost is one, and the next step gets another process."""
    try:
        answer = worker.ask({"key": key, "peaks": peaks}, limit_s=limit_s)
    except WorkerLostError as lost:
        return [{"status": "failed", "reason": str(lost)}]
    records: list[Record] = answer["records"]
    if answer["lost"] is not None:
        worker.stop()
        records = [*records, {"status": "failed", "reason": f"the GPU was lost: {answer['lost']}"}]
    return records


def show(record: Record) -> None:
    """One line for a person."""
    what = " ".join(str(record[name]) for name in SHOWN if name in record) or record.get("part", "")
    modes = [name for name in ("warm", "cold", "graph", "wall") if name in record]
    if record["status"] != "ok" or not modes:
        said = record.get("reason", record.get("error", ""))
        print(f"{what}: {record['status']} {said or ''}".rstrip(), flush=True)
        return
    times = (f"{mode} {1e3 * record[mode]['median_ms']:.1f} us" for mode in modes)
    print(f"{what}: {', '.join(times)}", flush=True)


def dry_run(minutes: float) -> int:
    """Every step on the CPU; 1 if one failed."""
    found: list[Record] = []

    def append(key: Record, records: list[Record]) -> None:
        found.extend(records)
        for record in records:
            show({"part": key["part"]} | record)

    run(TINY, Here({"device": "cpu", "rounds": 2, "heat_s": 0.0, "tiny": True}), append, minutes=minutes)
    failed = sum(record["status"] not in ("ok", "skipped") for record in found)
    print(f"dry run on the CPU: {len(found)} records, {failed} of them failed; nothing is recorded")
    return int(failed > 0)


def obstacle() -> str | None:
    """Why this host has no GPU to measure; None if it has."""
    import torch  # noqa: PLC0415  (a second that neither tests nor --help wait for)

    from pixio_edge.kernels.select import describe_kernels  # noqa: PLC0415

    usable, reason = describe_kernels()
    if not usable:
        return reason
    return None if torch.cuda.is_available() else "the installed torch has no CUDA"


def measure_gpu(given: Any, commit: str | None) -> int:
    """Measure into the journal."""
    from kernels_environment import clocks, environment  # noqa: PLC0415
    from kernels_timing import HEAT_S, ROUNDS  # noqa: PLC0415

    journal = Journal.begin(given.out / f"{KIND}.jsonl", commit, environment(), resume=given.resume)
    count = {"skipped": 0, "others": 0}

    def append(key: Record, records: list[Record]) -> None:
        state = {"clocks": clocks()} if records[0]["status"] != "skipped" else {}
        journal.append(key, [record | state for record in records])
        for record in records:
            count["skipped" if record["status"] == "skipped" else "others"] += 1
            show({"part": key["part"]} | record)

    worker = Worker(serve, {"device": "cuda", "rounds": ROUNDS, "heat_s": HEAT_S, "tiny": False})
    try:
        run(Plan(), worker, append, minutes=given.minutes, tried=journal.outcomes() if given.resume else None)
    finally:
        worker.stop()
    print(f"{count['others']} records in {journal.path}, {count['skipped']} steps skipped: --resume measures them")
    return 0


def main() -> int:
    """Measure and append to `records/kernel_speed.jsonl`; 2 where there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--minutes", type=float, default=MINUTES, help="for everything; a lease of a bit more is enough"
    )
    parser.add_argument("--resume", action="store_true", help="leave out what this commit has measured on this GPU")
    parser.add_argument("--commit", help="of this code, where the tree has no .git to ask")
    parser.add_argument("--dry-run", action="store_true", help="every step once on the CPU with tiny shapes")
    parser.add_argument("--out", type=Path, default=RECORDS, help="folder of the record")
    given = parser.parse_args()
    if given.dry_run:
        return dry_run(given.minutes)
    why = obstacle()
    if why is not None:
        print(f"error: no GPU to measure: {why}. Fix: run it on an NVIDIA GPU, or --dry-run", file=sys.stderr)
        return 2
    commit = given.commit or find_commit()
    if given.resume and not identifies(commit):
        print(
            f"error: commit {commit} does not say which code was measured. Fix: commit it, or --commit", file=sys.stderr
        )
        return 2
    return measure_gpu(given, commit)


if __name__ == "__main__":
    sys.exit(main())
