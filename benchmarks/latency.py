"""Measures one input size of a bundle on every runtime of this host, and the same model in eager torch, in one run."""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from typing import Any

import numpy as np
from recording import append_records

from pixio_edge import Bundle
from pixio_edge.bench.isolated import bench_isolated
from pixio_edge.bench.plan import DEFAULT_RUNS, DEFAULT_WARMUP, list_plans
from pixio_edge.cli.options import parse_size
from pixio_edge.host import peak_rss_mib


def main() -> None:
    """Measure and append to `records/latency.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", default="nano")
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    size = parse_size(arguments.size) or (256, 256)
    bundle = Bundle.open(arguments.bundle)
    plans = list_plans(bundle, arguments.bundle, size=size)
    records = [bench_isolated(replace(plan, threads=arguments.threads)).to_json() for plan in plans]
    if not any(record["runtime"] == "pytorch" for record in records):
        records.append(measure_torch(bundle.manifest.model.preset, size, arguments.threads))
    for record in records:
        print(record["runtime"], record["precision"], record["p50_ms"], record["status"])
    append_records("latency", records)


def measure_torch(preset: str, size: tuple[int, int], threads: int) -> dict[str, Any]:
    """Time the preset in eager torch, as it comes out of training; its weights are random, which costs the same."""
    import torch  # noqa: PLC0415  (last, so that the other measurements do without it)

    from pixio_edge.models.presets import build_model  # noqa: PLC0415

    torch.set_num_threads(threads)
    start = time.perf_counter()
    model = build_model(preset).eval()
    load_ms = (time.perf_counter() - start) * 1e3
    image = torch.rand(1, 3, *size)
    times = []
    with torch.inference_mode():
        for _ in range(DEFAULT_WARMUP + DEFAULT_RUNS):
            start = time.perf_counter()
            model(image)
            times.append((time.perf_counter() - start) * 1e3)
    p50, p90, p99 = (float(value) for value in np.percentile(times[DEFAULT_WARMUP:], (50, 90, 99)))
    return {
        "runtime": "torch eager",
        "artifact": f"preset {preset}",
        "precision": "fp32",
        "size": list(size),
        "threads": threads,
        "p50_ms": p50,
        "p90_ms": p90,
        "p99_ms": p99,
        "load_ms": load_ms,
        "fps": 1e3 / statistics.mean(times[DEFAULT_WARMUP:]),
        "peak_rss_mib": peak_rss_mib(),
        "runtime_version": torch.__version__,
        "status": "ok",
    }


if __name__ == "__main__":
    main()
