"""Records of benchmarks made up for tests."""

from __future__ import annotations

from typing import Any

from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.record_parts import AccuracyRecord

HOST = {"cpu": "made up", "os": "Linux", "packages": {"onnxruntime": "1.0"}}


def make_row(**changes: Any) -> BenchRecord:
    """A row that was timed, with 20 ms for an inference and 22 ms for nine of ten whole frames."""
    fields: dict[str, Any] = {
        "bundle": "nano",
        "model": "nano",
        "parameters": 4_000_000,
        "artifact": "onnx-fp32-256x256",
        "runtime": "ort",
        "runtime_version": "1.0",
        "device": "CPUExecutionProvider",
        "precision": "fp32",
        "size": (256, 256),
        "tokens": 256,
        "threads": 2,
        "frame": (720, 1280),
        "status": "ok",
        "load_ms": 100.0,
        "first_ms": 30.0,
        "times_ms": (20.0,) * 10,
        "runs": 10,
        "p50_ms": 20.0,
        "p90_ms": 20.0,
        "p99_ms": 20.0,
        "pre_ms": 0.5,
        "infer_ms": 20.0,
        "post_ms": 0.5,
        "predict_p50_ms": 21.0,
        "predict_p90_ms": 22.0,
        "predict_p99_ms": 23.0,
        "fps": 47.6,
        "peak_rss_mib": 150.0,
        "parity": {"margin": 0.1},
        "int8_ops": 0,
        "float_ops": 60,
        "host": HOST,
        "tool": "pixio-edge 0.1.0",
        "created": "2026-11-21T00:00:00+00:00",
    }
    return BenchRecord(**(fields | changes))


def make_accuracy(delta1: float, *, source: str = "measured", on: str = "sets", abs_rel: float = 0.2) -> AccuracyRecord:
    """Accuracy on a set of ten images."""
    return AccuracyRecord(delta1=delta1, abs_rel=abs_rel, images=10, sets=("kitti",), source=source, on=on)
