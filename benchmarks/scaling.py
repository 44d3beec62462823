"""Measures how latency and memory of our models grow with the size of the input, with threads and with load.

nano and small with random weights, square inputs from 128x128 to 1024x1024, every engine and precision; each in a
process of its own, and a few processes in turns. Rates of large products and the bandwidth of memory are measured in
the same run, and every time is set beside the time that they allow. Where the time goes is asked of the engine's own
profiler, by stage.

    python benchmarks/scaling.py --prepare     # once: exports, ten minutes on two cores
    python benchmarks/scaling.py               # five minutes on two cores, appends to records/scaling.jsonl
    python benchmarks/scaling.py --quick       # two sizes, no record
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import limits
import onnx
from engine_worker import Worker, WorkerError
from graph_cost import REST, Cost, count_stages, stage_of
from interleave import Outcome, forget, interleave
from machine_load import LoadReading, load_since
from made_graphs import make_graphs
from recording import append_records
from scaling_cases import PRESETS, QUICK_SIDES, SIDES, ScalingCase, list_cases, thread_counts

FOLDER = Path("build/scaling")
PROGRESS = FOLDER / "progress.json"
ROUNDS, QUICK_ROUNDS = 3, 1
# So many processes take turns: enough for a change of speed to meet neighbours, few enough for memory.
AT_ONCE = 8
PROFILE_RUNS, QUICK_PROFILE_RUNS = 5, 1


def make_record(
    case: ScalingCase, outcome: Outcome, stages: dict[str, Cost], rates: dict[str, float]
) -> dict[str, Any]:
    """Fields of one row."""
    record: dict[str, Any] = case.to_json() | {"status": "ok", "reason": None}
    if outcome.p50_ms is None or outcome.error is not None:
        return record | {"status": "failed", "reason": outcome.error}
    cost = sum(stages.values(), Cost())
    each = outcome.p50_ms / case.in_flight
    return record | {
        "p50_ms": outcome.p50_ms,
        "throughput_fps": 1e3 / each,
        "times_ms": [round(value, 3) for value in outcome.times_ms],
        "load_ms": outcome.load_ms,
        "peak_rss_mib": outcome.peak_rss_mib,
        "gmac": cost.macs / 1e9,
        **limits_of(cost, case, rates),
    }


def limits_of(cost: Cost, case: ScalingCase, rates: dict[str, float]) -> dict[str, float]:
    """Milliseconds that the machine's best rates allow, which were measured with the threads of the case."""
    width = limits.ELEMENT_BYTES[case.precision]
    return {
        "compute_ms": cost.compute_ms(rates[case.precision]),
        "memory_ms": cost.memory_ms(rates["memory"], width),
    }


def stage_records(
    case: ScalingCase, stages: dict[str, Cost], rates: dict[str, float], runs: int
) -> list[dict[str, Any]]:
    """One record for each stage of a case: its time by the engine's profiler, and what the machine allows."""
    with Worker(case.job) as worker:
        nodes = worker.profile(runs)
    times: dict[str, float] = dict.fromkeys((*stages, REST), 0.0)
    for name, milliseconds in nodes.items():
        times[stage_of(name)] += milliseconds
    return [
        case.to_json()
        | {"stage": stage, "profiled_ms": times[stage], "share": times[stage] / max(1e-9, sum(times.values()))}
        | limits_of(stages.get(stage, Cost()), case, rates)
        for stage in times
    ]


def measure(cases: list[ScalingCase], rounds: int, profile_runs: int, progress: Path | None) -> list[dict[str, Any]]:
    """Records of all cases, then of the stages of some."""
    rates = {count: measure_limits(count, rounds, progress) for count in thread_counts()}
    costs = {path: count_stages(onnx.load(path)) for path in {case.graph for case in cases}}
    jobs = {case.name: case.job for case in cases}
    outcomes = interleave(jobs, rounds, progress=progress, at_once=AT_ONCE)
    records = [make_record(case, outcomes[case.name], costs[case.graph], rates[case.threads]) for case in cases]
    for case in cases:
        if not case.has_stages:
            continue
        try:
            records += stage_records(case, costs[case.graph], rates[case.threads], profile_runs)
        except WorkerError as error:
            print(f"  stages of {case.name}: {error}", flush=True)
    return [record | {"limits_per_s": rates[record["threads"]]} for record in records]


def measure_limits(threads: int, rounds: int, progress: Path | None) -> dict[str, float]:
    """Best rates with so many threads: one alone gets more than its share where clocks rise or cores are halves."""
    known = limits.list_cases(threads)
    found = interleave({limits.case_key(case): case.job for case in known}, rounds, progress=progress)
    return limits.best_rates(limits.summarise(known, {name: outcome.times_ms for name, outcome in found.items()}))


def main() -> None:
    """Prepare, measure, and append to `records/scaling.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--prepare", action="store_true", help="only make the graphs")
    parser.add_argument("--quick", action="store_true", help="two sizes, one round, no record")
    parser.add_argument("--dry-run", action="store_true", help="list the cases")
    arguments = parser.parse_args()
    sides = QUICK_SIDES if arguments.quick else SIDES
    cases = list_cases(FOLDER, sides=sides)
    if arguments.dry_run:
        print("\n".join(case.name for case in cases))
        return
    for preset in PRESETS:
        make_graphs(preset, [(side, side) for side in sides], FOLDER)
    if arguments.prepare:
        return
    before = LoadReading.now()
    if arguments.quick:
        records = measure(cases, QUICK_ROUNDS, QUICK_PROFILE_RUNS, None)
    else:
        records = measure(cases, arguments.rounds, PROFILE_RUNS, PROGRESS)
    load = load_since(before)
    records = [record | load for record in records]
    for record in records:
        shown = {key: value for key, value in record.items() if key not in ("times_ms", "limits_per_s")}
        print({key: round(value, 2) if isinstance(value, float) else value for key, value in shown.items()})
    if not arguments.quick:
        append_records("scaling", records)
        forget(PROGRESS)


if __name__ == "__main__":
    main()
