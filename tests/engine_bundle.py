"""A bundle of kind "tensorrt" with tiny graphs, and a cache with engines of `fake_tensorrt` for it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from pixio_edge.bundle import Bundle
from pixio_edge.bundle_writer import write_bundle
from pixio_edge.engine_cache import EngineKey, EngineRecord, HostGpu, artifact_digest, engine_name, store
from pixio_edge.manifest import ArtifactEntry, Requirements
from pixio_edge.parity import Tolerance
from pixio_edge.runtimes import trt
from pixio_edge.runtimes.cudart import Cudart
from pixio_edge.runtimes.trt_library import LIBRARIES
from tests.fake_cuda import FakeCuda
from tests.fake_tensorrt import fake_tensorrt, make_engine
from tests.tiny_bundle import (
    SIZES,
    TINY_TOLERANCE,
    WEIGHTS,
    onnx_entry,
    tiny_graph,
    tiny_header,
    tiny_image,
    tiny_reference,
    tiny_weights,
)

ORIN_GPU = HostGpu(library="tensorrt", version="10.3.0", sm="8.7", device="Orin")


def write_engine_bundle(
    folder: Path,
    *,
    precisions: tuple[str, ...] = ("fp16",),
    sizes: tuple[tuple[int, int], ...] = SIZES,
    with_onnx: bool = False,
    tolerance: Tolerance = TINY_TOLERANCE,
) -> Bundle:
    """Write typed graphs, and on request the fp32 ONNX ladder beside them. All compute in fp32 in truth."""
    weights = tiny_weights()
    with write_bundle(folder, tiny_header()) as writer:
        (writer.folder / WEIGHTS).write_bytes(weights.first.tobytes() + weights.second.tobytes())
        data = writer.describe(WEIGHTS, "weights")
        for size in sizes:
            shape = f"{size[0]}x{size[1]}"
            image = tiny_image(size)[None]
            np.savez(writer.folder / f"golden_{shape}.npz", image=image, depth=tiny_reference(image, weights))
            writer.add_file(f"golden_{shape}.npz", "golden")
            for precision in (*(("fp32",) if with_onnx else ()), *precisions):
                (writer.folder / f"{precision}_{shape}.onnx").write_bytes(
                    # Different bytes for each precision, as in truth.
                    _named(tiny_graph(size, weights), precision)
                )
                graph = writer.describe(f"{precision}_{shape}.onnx", "graph")
                entry = onnx_entry(size, graph, data, tolerance=tolerance, verified=True)
                writer.add_artifact(entry if precision == "fp32" else _typed(entry, precision))
    return Bundle.open(folder)


def store_engine(
    bundle: Bundle,
    artifact: ArtifactEntry,
    gpu: HostGpu = ORIN_GPU,
    *,
    chosen: bool = True,
    data: bytes | None = None,
    **changes: Any,
) -> EngineRecord:
    """Put an engine for an artifact into the user's cache, as `pixio-edge build` does."""
    if data is None:
        data = make_engine(onnx.load(bundle.folder / artifact.path), version=gpu.version, sm=gpu.sm)
    record = engine_record(artifact, gpu, data, chosen=chosen, **changes)
    store(record, data)
    return record


def engine_record(
    artifact: ArtifactEntry, gpu: HostGpu, data: bytes, *, pinned: tuple[str, ...] = (), **changes: Any
) -> EngineRecord:
    """What is written down of an engine that passed its checks and is the one to run."""
    key = EngineKey(gpu=gpu, artifact=artifact_digest(artifact), profile="static", pinned=pinned)
    fields: dict[str, Any] = {
        "key": key,
        "name": artifact.name,
        "precision": artifact.precision,
        "size": artifact.size,
        "file": engine_name(artifact.name, key),
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "build_s": 1.0,
        "finite": True,
        "parity": {"margin": 0.5},
        "tolerance": artifact.tolerance,
        "chosen": True,
        "created": "2026-01-01T00:00:00Z",
    }
    return EngineRecord(**(fields | changes))


def store_engines(bundle: Bundle, gpu: HostGpu = ORIN_GPU) -> None:
    """An engine for every typed graph."""
    for artifact in bundle.artifacts:
        if artifact.kind == "tensorrt":
            store_engine(bundle, artifact, gpu)


@contextmanager
def fake_gpu(
    monkeypatch: pytest.MonkeyPatch, cache: Path, *, library: str = "tensorrt", version: str = "10.3.0", **cuda: Any
) -> Iterator[Any]:
    """A host with a GPU, TensorRT and an empty cache: gives the fake module, whose `cuda` is the fake CUDA.

    At the end, whatever was left on the GPU is a failure.
    """
    fake = FakeCuda(**cuda)
    module = fake_tensorrt(fake, LIBRARIES[library].module, version)
    loaded = Cudart(fake, "fake")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(trt, "load_cudart", lambda: loaded)
    monkeypatch.setenv("PIXIO_EDGE_CACHE", str(cache))
    yield module
    assert fake.leaks() == {}
    assert fake.violations == []
    assert fake.pending() == []


def _typed(entry: ArtifactEntry, precision: str) -> ArtifactEntry:
    shape = f"{entry.size[0]}x{entry.size[1]}"
    return entry.model_copy(
        update={
            "name": f"tensorrt-{precision}-{shape}",
            "kind": "tensorrt",
            "precision": precision,
            "requires": Requirements(runtimes=("tensorrt", "tensorrt-rtx")),
            "verified": False,
        }
    )


def _named(graph: bytes, name: str) -> bytes:
    model = onnx.ModelProto.FromString(graph)
    model.graph.name = name
    return model.SerializeToString()
