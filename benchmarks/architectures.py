"""Measures what Depth Anything V2 Small's architecture costs beside ours: at its own input size and at sizes like ours.

Every graph comes out of our exporter, with random weights, which cost the same as trained ones, and with all of its
rewrites, so both sides are at their best. Graphs are timed in ONNX Runtime and OpenVINO in float32, in turn, round
after round, so that a change of the machine's speed meets all of them. Exporting takes longer than measuring:
`--prepare` does it alone, into a folder that the measurement then reads.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import openvino  # type: ignore[import-untyped]
from recording import append_records

from pixio_edge.sizes import Size, size_label

# Preset and input size. 518 is what Depth Anything V2 was trained and is used at; 252 and 266 enclose our 256.
CASES: tuple[tuple[str, Size], ...] = (
    ("nano", (256, 256)),
    ("small", (256, 256)),
    ("depth-anything-v2-small", (252, 252)),
    ("depth-anything-v2-small", (266, 266)),
    ("depth-anything-v2-small", (518, 518)),
)
GRAPHS = Path("build/architectures")
WARMUP, ROUNDS, RUNS_PER_ROUND = 1, 6, 2

Run = Callable[[], object]


def graph_path(preset: str, size: Size) -> Path:
    """Where the graph of a case is; its cost lies beside it as JSON."""
    return GRAPHS / f"{preset}_{size_label(size)}.onnx"


def prepare(preset: str, size: Size) -> None:
    """Export a case and count its cost, unless that was done."""
    from pixio_edge.export.base import ExportRequest  # noqa: PLC0415  (torch, not needed to measure)
    from pixio_edge.export.bundle_details import count_gflop  # noqa: PLC0415
    from pixio_edge.export.onnx import export_graphs  # noqa: PLC0415
    from pixio_edge.models.presets import build_model  # noqa: PLC0415

    path = graph_path(preset, size)
    if path.with_suffix(".json").is_file():
        return
    model = build_model(preset).eval()
    request = ExportRequest((size,), multiple_of=model.config.encoder.patch_size)
    ((_, graph),) = export_graphs(model, request, {})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(graph.SerializeToString())
    cost = {"parameters": sum(p.numel() for p in model.parameters()), "gflop": count_gflop(model, size)}
    path.with_suffix(".json").write_text(json.dumps(cost), encoding="utf-8")


def open_runs(preset: str, size: Size, threads: int) -> dict[str, Run]:
    """One function per runtime that runs the graph once."""
    serialized = graph_path(preset, size).read_bytes()
    image = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Otherwise its threads go on spinning into the turn of the next engine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(serialized, options, providers=["CPUExecutionProvider"])
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(core.read_model(serialized), "CPU", settings).create_infer_request()
    return {
        "ort fp32": lambda: session.run(None, {"image": image}),
        "openvino fp32": partial(request.infer, {"image": image}),
    }


def measure(run: Run) -> list[float]:
    """Milliseconds of a few runs in a row."""
    times = []
    for _ in range(RUNS_PER_ROUND):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def measure_all(threads: int) -> list[dict[str, Any]]:
    """One record for each case."""
    opened = {case: open_runs(*case, threads) for case in CASES}
    times: dict[tuple[str, Size, str], list[float]] = {(*case, key): [] for case in CASES for key in opened[case]}
    for number in range(WARMUP + ROUNDS):
        for case, runs in opened.items():
            for key, run in runs.items():
                measured = measure(run)
                times[(*case, key)] += measured if number >= WARMUP else []
    return [
        {"architecture": preset, "size": list(size), "threads": threads}
        | json.loads(graph_path(preset, size).with_suffix(".json").read_text(encoding="utf-8"))
        | {f"{key} p50_ms": statistics.median(times[preset, size, key]) for key in opened[preset, size]}
        for preset, size in CASES
    ]


def main() -> None:
    """Export what is missing, measure, and append to `records/architectures.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prepare", action="store_true", help="only export")
    arguments = parser.parse_args()
    for case in CASES:
        prepare(*case)
    if arguments.prepare:
        return
    records = measure_all(arguments.threads)
    for record in records:
        print({key: round(value, 2) if isinstance(value, float) else value for key, value in record.items()})
    append_records("architectures", records)


if __name__ == "__main__":
    main()
