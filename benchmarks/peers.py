"""Times other systems beside ours: one machine, one run, in turns, each in a process of its own.

Depth Anything V2 Small as transformers builds it, Ultralytics YOLO26n-depth as its own tool exports it, and nano and
small. Random weights cost the same as trained ones; only nano's are trained. Every other system is tried with several
settings, and its fastest is shown. The limits of the machine are measured in the same turns.

    python benchmarks/peers_environment.py     # once: the environment of Ultralytics
    python benchmarks/peers.py --prepare       # once: exports and INT8 graphs, half an hour on two cores
    python benchmarks/peers.py                 # eight minutes on two cores, appends to records/peers.jsonl
    python benchmarks/peers.py --quick         # one round of what was prepared, no record
"""

from __future__ import annotations

import argparse
import json
from importlib import metadata
from pathlib import Path
from typing import Any

import limits
from engine_worker import Worker, WorkerError
from graph_cost import Cost, count_graph
from interleave import Outcome, forget, interleave
from machine_load import LoadReading, load_since
from made_graphs import parameters
from peers_contenders import PIPELINE, TRAINED_SIZE, Contender, list_contenders
from peers_environment import FOLDER as ENVIRONMENT
from peers_prepare import OUR_SIZES, facts_of, prepare
from recording import append_records, bundle_hashes, latest_run

from pixio_edge import Bundle

FOLDER = Path("build/peers")
PROGRESS = FOLDER / "progress.json"
ROUNDS, QUICK_ROUNDS, QUICK_AT_ONCE = 8, 1, 3
# Not measured, and why.
ABSENT = {
    "LightlyTrain dav3-metric-tiny": (
        "the documented way to a model, `lightly_train.load_model`, downloads trained weights; there is none to build "
        "one from its configuration"
    ),
}
NOT_PREPARED = "its graph was not prepared: python benchmarks/peers.py --prepare"


def make_record(contender: Contender, outcome: Outcome | None, cost: Cost | None, rates: dict[str, float]) -> Any:
    """Fields of one row."""
    record: dict[str, Any] = contender.to_json() | {"status": "ok", "reason": None}
    if outcome is None or not outcome.times_ms:
        reason = NOT_PREPARED if outcome is None else outcome.error
        return record | {"status": "failed" if outcome else "unavailable", "reason": reason}
    record |= {
        "p50_ms": outcome.p50_ms,
        "min_ms": min(outcome.times_ms),
        "times_ms": [round(value, 3) for value in outcome.times_ms],
        "load_ms": outcome.load_ms,
        "peak_rss_mib": outcome.peak_rss_mib,
    }
    if outcome.error is not None:  # it died in a later round, and was not measured as often as the others
        record |= {"status": "failed", "reason": f"after {len(outcome.times_ms)} runs: {outcome.error}"}
    if cost is not None and contender.precision in rates and "memory" in rates:
        width = limits.ELEMENT_BYTES[contender.precision]
        record |= {
            "gmac": cost.macs / 1e9,
            "compute_ms": cost.compute_ms(rates[contender.precision]),
            "memory_ms": cost.memory_ms(rates["memory"], width),
        }
    return record


def describe(contender: Contender, folder: Path) -> dict[str, Any]:
    """Facts about the model: its size, the versions that made it, and its accuracy where its weights are trained."""
    if contender.system not in OUR_SIZES:
        return facts_of(folder, contender.system)
    facts: dict[str, Any] = {"parameters": parameters(contender.system, folder / "ours")}
    if contender.weights == "trained":
        facts |= {"model": contender.system, **bundle_hashes(Bundle.open(contender.system))}
        facts["accuracy"] = known_accuracy(contender)
    return facts


def known_accuracy(contender: Contender) -> dict[str, Any] | None:
    """Of the newest run of `accuracy.py` with this bundle and precision; None where there is none."""
    runtimes = {"OpenVINO": "openvino", "ONNX Runtime": "ort"}
    for record in latest_run("accuracy"):
        is_same = record["bundle"] == contender.system and record.get("precision", "fp32") == contender.precision
        if is_same and (contender.precision == "fp32" or record.get("runtime") == runtimes.get(contender.engine)):
            macro = record["macro"]
            return {"delta1": macro["delta1"], "abs_rel": macro["abs_rel"], "source": f"accuracy {record['run']}"}
    return None


def measure(
    contenders: list[Contender], threads: int, rounds: int, *, progress: Path | None, at_once: int | None
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """One record for each contender, and the limits of the machine by precision."""
    cases = limits.list_cases(threads)
    outcomes: dict[str, Outcome] = {}
    limit_times: dict[str, list[float]] = {}
    for group in split(contenders):
        jobs = {item.name: item.job for item in group if not item.job.path or Path(item.job.path).is_file()}
        jobs |= {limits.case_key(case): case.job for case in cases}
        outcomes |= interleave(jobs, rounds, progress=progress, at_once=at_once)
        for case in cases:
            limit_times.setdefault(limits.case_key(case), []).extend(outcomes[limits.case_key(case)].times_ms)
    rates = limits.best_rates(limits.summarise(cases, limit_times))
    costs = {path: count_graph(path) for path in {item.graph for item in contenders} if path.is_file()}
    records = [make_record(item, outcomes.get(item.name), costs.get(item.graph), rates) for item in contenders]
    return records, rates


def warm_compilers(contenders: list[Contender]) -> None:
    """Let torch compile once: its kernels stay on the disk, so that the measurement need not wait for them."""
    for item in contenders:
        if item.job.settings.get("compiled"):
            print(f"  {item.name}: compiling", flush=True)
            try:
                Worker(item.job).close()
            except WorkerError as error:
                print(f"  {item.name}: {error}", flush=True)


def split(contenders: list[Contender]) -> list[list[Contender]]:
    """Those that take turns with each other: near 256x256 with the whole pipelines, then the larger ones.

    All at once would need more than the 24 GiB of the machine of the records.
    """
    near = [item for item in contenders if item.scope == PIPELINE or max(item.size) <= max(TRAINED_SIZE)]
    return [group for group in (near, [item for item in contenders if item not in near]) if group]


def main() -> None:
    """Prepare, measure, and append to `records/peers.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="", help="contenders whose name has this in it; no record")
    parser.add_argument("--prepare", action="store_true", help="only make the graphs")
    parser.add_argument("--peers-python", type=Path, default=ENVIRONMENT / "bin" / "python", help="of Ultralytics")
    parser.add_argument("--at-once", type=int, help="processes open at once; by default all of a group: 16 GiB")
    parser.add_argument("--quick", action="store_true", help="one round, few processes at once, no record")
    parser.add_argument("--dry-run", action="store_true", help="list the contenders")
    arguments = parser.parse_args()
    contenders = [item for item in list_contenders(FOLDER, arguments.threads) if arguments.only in item.name]
    if arguments.dry_run:
        print("\n".join(item.name for item in contenders))
        return
    failed = prepare(FOLDER, arguments.peers_python) if arguments.prepare else {}
    if arguments.prepare:
        warm_compilers(contenders)
        print(json.dumps({"cannot be prepared": failed}))
        return
    before = LoadReading.now()
    records, rates = measure(
        contenders,
        arguments.threads,
        QUICK_ROUNDS if arguments.quick else arguments.rounds,
        progress=None if arguments.quick else PROGRESS,
        at_once=arguments.at_once or (QUICK_AT_ONCE if arguments.quick else None),
    )
    versions = {name: metadata.version(name) for name in ("nncf", "transformers")}
    common = load_since(before) | {"limits_per_s": rates, "versions": versions}
    records = [describe(item, FOLDER) | record | common for item, record in zip(contenders, records, strict=True)]
    for item, record in zip(contenders, records, strict=True):
        print(f"{record.get('p50_ms', float('nan')):9.2f} ms  {item.name}  {record['reason'] or ''}")
    absent = [{"system": system, "status": "unavailable", "reason": reason} for system, reason in ABSENT.items()]
    if not arguments.quick and not arguments.only:
        append_records("peers", [*records, *absent])
        forget(PROGRESS)


if __name__ == "__main__":
    main()
