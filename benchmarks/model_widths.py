"""Measures the latency of `nano` beside other depths and widths of the same architecture: how its shape was chosen.

Every shape is exported with random weights (which cost the same) and timed in ONNX Runtime and OpenVINO, the shapes
in turn, round after round, so that a change of the machine's speed meets all of them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import openvino  # type: ignore[import-untyped]
from recording import append_records

from pixio_edge.export.base import ExportRequest
from pixio_edge.export.bundle_details import count_gflop
from pixio_edge.export.onnx import export_graphs
from pixio_edge.models.depth_model import DepthConfig, DepthModel
from pixio_edge.models.presets import PRESETS

SIZE = (256, 256)
WARMUP, ROUNDS, RUNS_PER_ROUND = 5, 12, 5

Run = Callable[[], object]


def candidates() -> dict[str, DepthConfig]:
    """The preset, and what one more or less of each part would be."""
    nano = PRESETS["nano"]
    encoder, head = nano.encoder, nano.head
    if encoder.stem is None:
        raise TypeError("preset nano: got no stem, expected one")
    return {
        "nano": nano,
        "6 blocks": replace(nano, encoder=replace(encoder, depth=6), head=replace(head, indices=(2, 5))),
        "12 blocks": replace(nano, encoder=replace(encoder, depth=12), head=replace(head, indices=(5, 11))),
        "head half as wide": replace(nano, head=replace(head, widths=(16, 24, 32, 32), output_channels=(8, 8))),
        "head wider": replace(nano, head=replace(head, widths=(32, 64, 96, 96), output_channels=(32, 16))),
        "stem narrower": replace(nano, encoder=replace(encoder, stem=replace(encoder.stem, channels=(24, 32, 96)))),
    }


def open_runs(config: DepthConfig, threads: int) -> tuple[dict[str, Run], dict[str, Any]]:
    """One function per runtime and precision that runs the shape once, and the shape's cost."""
    model = DepthModel(config).eval()
    cost = {"parameters": sum(p.numel() for p in model.parameters()), "gflop": count_gflop(model, SIZE)}
    ((_, graph),) = export_graphs(model, ExportRequest((SIZE,)), {})
    serialized = graph.SerializeToString()
    image = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), dtype=np.uint8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Otherwise its threads go on spinning into the turn of the next engine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(serialized, options, providers=["CPUExecutionProvider"])
    runs: dict[str, Run] = {"ort fp32": lambda: session.run(None, {"image": image})}
    core = openvino.Core()
    for hint in ("f32", "bf16"):
        settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        request = core.compile_model(core.read_model(serialized), "CPU", settings).create_infer_request()
        runs[f"openvino {'fp32' if hint == 'f32' else hint}"] = partial(request.infer, {"image": image})
    return runs, cost


def measure(run: Run) -> list[float]:
    """Milliseconds of a few runs in a row."""
    times = []
    for _ in range(RUNS_PER_ROUND):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def main() -> None:
    """Measure and append to `records/model_widths.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    threads = parser.parse_args().threads
    opened = {name: open_runs(config, threads) for name, config in candidates().items()}
    times: dict[tuple[str, str], list[float]] = {(name, key): [] for name, (runs, _) in opened.items() for key in runs}
    for number in range(WARMUP + ROUNDS):
        for name, (runs, _) in opened.items():
            for key, run in runs.items():
                measured = measure(run)
                times[name, key] += measured if number >= WARMUP else []
    records = [
        {"shape": name, "size": list(SIZE), "threads": threads, **cost}
        | {f"{key} p50_ms": statistics.median(times[name, key]) for key in runs}
        for name, (runs, cost) in opened.items()
    ]
    for record in records:
        print({key: round(value, 2) if isinstance(value, float) else value for key, value in record.items()})
    append_records("model_widths", records)


if __name__ == "__main__":
    main()
