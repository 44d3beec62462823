"""Measures the frame loop on 1280x720 frames: time of each step, and memory over 2,000 frames."""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
from recording import append_records

from pixio_edge import DepthEstimator
from pixio_edge.errors import PixioEdgeError

FRAME_SIZE = (720, 1280)
FRAMES = 2000
# Arenas and caches of the engines reach their final size within these.
WARM_UP_FRAMES = 100
# Different frames, so that nothing can be reused by accident; few, so that they stay in memory.
DISTINCT_FRAMES = 8
RUNS = (("ort", "fp32"), ("ort", "int8"), ("openvino", "fp32"), ("openvino", "bf16"), ("openvino", "int8"))


def main() -> None:
    """Measure every runtime that works here and append to `records/frames.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", default="nano")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=FRAMES)
    arguments = parser.parse_args()
    records = []
    for runtime, precision in RUNS:
        try:
            record = measure(arguments.bundle, runtime, precision, threads=arguments.threads, frames=arguments.frames)
        except PixioEdgeError as error:
            print(f"{runtime} {precision}: {error}")
            continue
        records.append(record)
        print({key: round(value, 2) if isinstance(value, float) else value for key, value in record.items()})
    append_records("frames", records)


def measure(bundle: str, runtime: str, precision: Any, *, threads: int, frames: int) -> dict[str, Any]:
    """Run the loop as an application would."""
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, (*FRAME_SIZE, 3), dtype=np.uint8) for _ in range(DISTINCT_FRAMES)]
    steps: dict[str, list[float]] = {"pre_ms": [], "infer_ms": [], "post_ms": []}
    with DepthEstimator.open(bundle, runtime=runtime, precision=precision, threads=threads) as estimator:
        for index in range(WARM_UP_FRAMES):
            estimator.predict(pictures[index % DISTINCT_FRAMES])
        gc.collect()
        before = resident_mib()
        start = time.perf_counter()
        for depth in estimator.stream(pictures[index % DISTINCT_FRAMES] for index in range(frames)):
            assert depth.timing is not None
            for name, values in steps.items():
                values.append(getattr(depth.timing, name))
        seconds = time.perf_counter() - start
        source = depth.source
        del depth  # the last map, 3.5 MiB at 1280x720, is no growth
        growth = resident_mib() - before
    return {
        "bundle": bundle,
        "runtime": runtime,
        "precision": precision,
        "source": source,
        "threads": threads,
        "frame_size": list(FRAME_SIZE),
        "frames": frames,
        "fps": frames / seconds,
        "growth_mib": growth,
        **{name: statistics.median(values) for name, values in steps.items()},
    }


def resident_mib() -> float:
    """Memory of this process that is in RAM, in MiB."""
    return float(psutil.Process().memory_info().rss) / 2**20


if __name__ == "__main__":
    main()
