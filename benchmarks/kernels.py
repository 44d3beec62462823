"""Measures the CUDA kernels on this host's NVIDIA GPU, alone and in whole models, beside torch at the same work.

    python benchmarks/kernels.py                 # all of it; stops in time for a lease of ten minutes
    python benchmarks/kernels.py --resume        # what the runs before had no time for
    python benchmarks/kernels.py --dry-run       # every step once on the CPU with tiny shapes; nothing is recorded

Kernels are timed inside CUDA graphs by events: no time of Python is in them. Each result is checked against float32
before it is timed. The share of the roofline is of peaks that are measured here, on this GPU. What does not fit in the
time is recorded as skipped, so that a missing number is seen.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from kernels_cases import BATCHES, HEADS, TOKENS, Case, attention_cases, gelu_cases, measure, norm_cases
from kernels_models import CONTENDERS, MODELS, SIZES, measure_models
from kernels_timing import Clock, Peaks
from recording import RECORDS, append_records, find_commit

from pixio_edge.kernels.compile import nvrtc_version
from pixio_edge.kernels.select import describe_kernels

KIND = "kernels"
MINUTES = 9.0
Step = Callable[[], list[dict[str, Any]]]
MakeCases = Callable[[str, torch.dtype, int, int, Any], Iterator[Case]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Args:
        tokens: Numbers of tokens.
        batches: Images at once.
        heads: Pairs of heads and their width.
        models: Presets.
        sizes: Sides of square images in pixels.
        contenders: For the models.
        dtype: Of the elements.
    """

    tokens: tuple[int, ...] = TOKENS
    batches: tuple[int, ...] = BATCHES
    heads: tuple[tuple[int, int], ...] = HEADS
    models: tuple[str, ...] = MODELS
    sizes: tuple[int, ...] = SIZES
    contenders: tuple[str, ...] = CONTENDERS
    dtype: torch.dtype = torch.float16


TINY = Plan((5,), (1,), ((2, 64),), ("tiny",), (32,), ("ours", "ours int8 attention", "eager"), torch.float32)


def steps(plan: Plan, clock: Clock, peaks: Peaks) -> Iterator[tuple[dict[str, Any], Step]]:
    """Everything to measure in the order of its worth, each with what identifies it."""

    def measured(make: MakeCases, tokens: int, batch: int, rest: Any) -> list[dict[str, Any]]:
        # One code at many shapes: beyond eight, torch would give up compiling it and time its eager self.
        torch._dynamo.reset()
        cases = make(clock.device, plan.dtype, tokens, batch, rest)
        return [record for case in cases for record in measure(case, clock, peaks)]

    for tokens, batch, heads in product(plan.tokens, plan.batches, plan.heads):
        key = {"part": "attention", "tokens": tokens, "batch": batch, "heads": list(heads)}
        yield key, partial(measured, attention_cases, tokens, batch, heads)
    channels = sorted({heads * width for heads, width in plan.heads})

    def rows(numbers: tuple[int, ...]) -> Iterator[tuple[dict[str, Any], Step]]:
        for tokens, batch, width in product(numbers, plan.batches, channels):
            key = {"part": "rows", "tokens": tokens, "batch": batch, "channels": width}
            yield key, partial(measured, _row_cases, tokens, batch, width)

    # What torch compiles for seconds or minutes comes in the order of its worth, other lengths of rows last.
    for contender in plan.contenders[:3]:
        yield from model_steps(plan, contender, clock)
    yield from rows(plan.tokens[1:2] or plan.tokens)
    for contender in plan.contenders[3:]:
        yield from model_steps(plan, contender, clock)
    yield from rows(plan.tokens[:1] + plan.tokens[2:] if len(plan.tokens) > 1 else ())


def model_steps(plan: Plan, contender: str, clock: Clock) -> Iterator[tuple[dict[str, Any], Step]]:
    """One contender in every model at every size."""
    for preset, size in product(plan.models, plan.sizes):
        key = {"part": "model", "model": preset, "size": size, "contender": contender}
        yield key, partial(measure_models, contender, preset, size, clock, plan.dtype)


def _row_cases(device: str, dtype: torch.dtype, tokens: int, batch: int, channels: int) -> Iterator[Case]:
    yield from norm_cases(device, dtype, tokens, batch, channels)
    yield from gelu_cases(device, dtype, tokens, batch, channels)


def environment(device: str) -> dict[str, Any]:
    """GPU, driver and versions, as far as there are any."""
    found: dict[str, Any] = {"torch": torch.__version__, "cuda": torch.version.cuda, "nvrtc": nvrtc_version()}
    if device == "cpu":
        return found | {"gpu": None}
    query = ["nvidia-smi", "--query-gpu=driver_version,power.limit,clocks.max.sm", "--format=csv,noheader", "-i", "0"]
    try:
        smi = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        smi = ""
    properties = torch.cuda.get_device_properties(0)
    return found | {
        "gpu": properties.name,
        "sm": f"sm_{properties.major}{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "driver_power_clock": smi or None,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
    }


def finished(environment: dict[str, Any], path: Path) -> set[str]:
    """Keys of what earlier runs of the same commit measured on the same GPU with the same versions."""
    if not path.exists():
        return set()
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    same = [one for one in records if one["environment"] == environment and one["commit"] == find_commit()]
    return {_text(one["key"]) for one in same if one["status"] != "skipped"}


def run(plan: Plan, clock: Clock, *, minutes: float, done: set[str]) -> list[dict[str, Any]]:
    """Measure until the time is over; what is left is recorded as skipped."""
    end = time.monotonic() + 60 * minutes
    peaks = clock.peaks() if clock.device != "cpu" else clock.peaks(copy_bytes=1 << 16, side=64)
    facts = {"environment": environment(clock.device)}
    records: list[dict[str, Any]] = [facts | {"key": {"part": "peaks"}, "status": "ok", **asdict(peaks)}]
    for key, step in steps(plan, clock, peaks):
        if _text(key) in done:
            continue
        if time.monotonic() >= end:
            records.append(facts | {"key": key, "status": "skipped", "reason": f"{minutes:g} minutes were over"})
            continue
        for record in step():
            records.append(facts | {"key": key} | record)
            show(record, with_share=clock.device != "cpu")
    return records


def show(record: dict[str, Any], *, with_share: bool) -> None:
    """One line for a person, with the share of the roofline where that of this device was measured."""
    what = " ".join(str(record[name]) for name in SHOWN if name in record)
    if record["status"] != "ok":
        print(f"{what}: {record['status']} {record.get('reason', record.get('error', ''))}", flush=True)
        return
    share = f", {record['roofline']:.0%} of the roofline" if with_share and "roofline" in record else ""
    print(f"{what}: {1e3 * record['median_ms']:.1f} us{share}", flush=True)


SHOWN = ("operator", "model", "size", "batch", "tokens", "heads", "head_dim", "channels", "contender")


def _text(key: dict[str, Any]) -> str:
    return json.dumps(key, sort_keys=True)


def main() -> int:
    """Measure and append to `records/kernels.jsonl`; 2 where there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="stop in time for a lease of a bit more")
    parser.add_argument("--resume", action="store_true", help="leave out what this commit has measured on this GPU")
    parser.add_argument("--dry-run", action="store_true", help="every step once on the CPU with tiny shapes")
    parser.add_argument("--out", type=Path, default=RECORDS, help="folder of the record")
    given = parser.parse_args()
    if given.dry_run:
        records = run(TINY, Clock("cpu", rounds=2), minutes=given.minutes, done=set())
        failed = [record for record in records if record["status"] not in ("ok", "skipped")]
        print(f"dry run on the CPU: {len(records)} records, {len(failed)} of them failed; nothing is recorded")
        return 1 if failed else 0
    usable, reason = describe_kernels()
    if not usable or not torch.cuda.is_available():
        why = reason if not usable else "the installed torch has no CUDA"
        print(f"error: no GPU to measure: {why}. Fix: run it on an NVIDIA GPU, or --dry-run", file=sys.stderr)
        return 2
    done = finished(environment("cuda"), given.out / f"{KIND}.jsonl") if given.resume else set()
    records = run(Plan(), Clock("cuda"), minutes=given.minutes, done=done)
    path = append_records(KIND, records, folder=given.out)
    skipped = sum(record["status"] == "skipped" for record in records)
    print(f"{len(records) - skipped} records in {path}, {skipped} skipped; with --resume they are measured next time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
