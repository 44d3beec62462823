"""Made-up benchmark records for tests of reports: a desktop, a Jetson, and what may stand in a file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from pixio_edge.bench.record import BenchRecord

DESKTOP: dict[str, Any] = {
    "os": "Linux 6.1.0",
    "arch": "x86_64",
    "cpu": "AMD Ryzen 7 7840U",
    "logical_cores": 16,
    "physical_cores": 8,
    "usable_cores": 8,
    "affinity": list(range(16)),
    "isa": ["avx2", "avx512f", "avx512_vnni"],
    "ram_mib": 31842,
    "python": "3.11.7",
    "packages": {"numpy": "2.4.6", "onnxruntime": "1.31.1", "openvino": "2026.4.1"},
    "gpus": [],
    "nvidia": None,
    "macos": None,
}
JETSON: dict[str, Any] = {
    "os": "Linux 5.15.148-tegra",
    "arch": "aarch64",
    "cpu": "Cortex-A78AE",
    "logical_cores": 6,
    "physical_cores": 6,
    "usable_cores": 6,
    "affinity": list(range(6)),
    "isa": ["asimddp"],
    "ram_mib": 7620,
    "python": "3.10.12",
    "packages": {"numpy": "1.26.4", "onnxruntime": "1.31.1", "tensorrt": "10.3.0"},
    "gpus": ["NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"],
    "nvidia": {"driver": "540.4.0", "cuda": "12.6.11", "l4t": "36.4.3", "jetpack": "6.2", "sm": "8.7"},
    "macos": None,
}
QUIET: dict[str, Any] = {
    "mad_ms": 0.05,
    "load_average": 0.1,
    "other_cpu_cores": 0.02,
    "involuntary_switches": 3,
    "noisy": False,
    "reasons": [],
}
NOISY: dict[str, Any] = QUIET | {
    "mad_ms": 1.9,
    "load_average": 3.2,
    "noisy": True,
    "reasons": ["load average 3.2, above 0.5", "other processes kept 1.4 cores busy"],
}

BASE: dict[str, Any] = {
    "schema_version": 2,
    "bundle": "nano",
    "model": "nano",
    "artifact": "onnx-fp32-256x256",
    "runtime": "ort",
    "runtime_version": "1.31.1",
    "device": "CPUExecutionProvider",
    "precision": "fp32",
    "size": [256, 256],
    "tokens": 256,
    "threads": 2,
    "batch": 1,
    "frame": [720, 1280],
    "status": "ok",
    "load_ms": 310.0,
    "first_ms": 28.0,
    "warmup": 10,
    "pre_ms": 1.3,
    "post_ms": 0.4,
    "peak_rss_mib": 180.0,
    "memory": {"rss_before_mib": 62.0, "rss_loaded_mib": 150.0, "peak_rss_mib": 180.0, "gpu_mib": None},
    "noise": QUIET,
    "parity": None,
    "int8_ops": 0,
    "float_ops": 68,
    "host": DESKTOP,
    "tool": "pixio-edge 0.2.0",
    "git_commit": "d74fefbac4d2",
    "created": "2026-11-20T10:00:00+00:00",
}
NO_TIMES: dict[str, Any] = dict.fromkeys(
    ("times_ms", "min_ms", "p50_ms", "p90_ms", "p99_ms", "load_ms", "first_ms", "pre_ms", "infer_ms", "post_ms", "fps")
) | {"runs": 0, "peak_rss_mib": None, "memory": None, "noise": None, "threads": None}


def timed(times_ms: Iterable[float], **changes: Any) -> BenchRecord:
    """A record of these times; everything that follows from them does."""
    times = [float(value) for value in times_ms]
    p50, p90, p99 = np.percentile(times, (50, 90, 99))
    derived: dict[str, Any] = {"times_ms": times, "runs": len(times), "min_ms": min(times)}
    derived |= {"p50_ms": p50, "p90_ms": p90, "p99_ms": p99, "infer_ms": p50, "throughput_fps": 1e3 / p50}
    derived |= {"fps": 1e3 / (p50 + BASE["pre_ms"] + BASE["post_ms"])}
    return BenchRecord.from_json(BASE | derived | changes)


def steady(median_ms: float, runs: int = 100, *, seed: int = 0, spread: float = 0.02, **changes: Any) -> BenchRecord:
    """A record of log-normal times around a median."""
    noise = np.random.default_rng(seed).normal(size=runs)
    return timed(np.round(median_ms * np.exp(spread * noise), 4), **changes)


def failed(status: str, reason: str, **changes: Any) -> BenchRecord:
    """A record without times."""
    return BenchRecord.from_json(BASE | NO_TIMES | {"status": status, "reason": reason} | changes)


def accuracy(delta1: float | None, abs_rel: float | None = None, on: str = "photos") -> dict[str, Any]:
    """The accuracy of a record."""
    return {"delta1": delta1, "abs_rel": abs_rel, "images": 62, "sets": ["a"], "source": "measured", "on": on}


def sustained(*, buckets: int = 20, seconds: float = 30.0, start_ms: float = 12.0) -> dict[str, Any]:
    """A run in which the device gets warm, and slow from the middle on."""
    rows = []
    for index in range(buckets):
        is_hot = index >= buckets // 2
        p50 = start_ms * (1.45 if is_hot else 1 + 0.004 * index)
        heat = 45 + 42 * (1 - np.exp(-index / 6))
        rows.append(
            {
                "start_s": seconds * index,
                "seconds": seconds,
                "runs": int(seconds * 1e3 / p50),
                "p50_ms": p50,
                "p99_ms": p50 * 1.18,
                "cpu_mhz": 1510.0 if not is_hot else 1190.0,
                "gpu_mhz": 1020.0 if not is_hot else 624.0 + 20 * (index % 2),
                "temperatures_c": {
                    "cpu-thermal": heat - 2.1,
                    "gpu-thermal": heat,
                    "tj-thermal": heat + 1.2,
                    "soc0": heat - 5,
                },
                "throttled": is_hot,
                "power_w": 14.8 if not is_hot else 10.1,
            }
        )
    return {
        "seconds": seconds * buckets,
        "runs": sum(row["runs"] for row in rows),
        "p50_ms": start_ms * 1.2,
        "p99_ms": start_ms * 1.7,
        "first_p50_ms": rows[0]["p50_ms"],
        "last_p50_ms": rows[-1]["p50_ms"],
        "throttled": True,
        "power_mode": "15W",
        "buckets": rows,
    }


def write_records(path: Path, records: Iterable[BenchRecord]) -> Path:
    """A file of records, as `benchmark --out` writes it."""
    path.write_text("".join(json.dumps(record.to_json()) + "\n" for record in records), encoding="utf-8")
    return path
