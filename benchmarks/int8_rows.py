"""What `int8.py` measures: functions that each run one model once, in one engine and precision."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import openvino  # type: ignore[import-untyped]
import openvino.opset13 as ops  # type: ignore[import-untyped]
from numpy.typing import NDArray

from pixio_edge import Bundle
from pixio_edge.bundle import VerifiedArtifact
from pixio_edge.calibration.calibrate import Calibration, calibrate
from pixio_edge.calibration.config import CalibrationConfig
from pixio_edge.calibration.dataset import CalibrationSet
from pixio_edge.calibration.emit import Flavour, emit
from pixio_edge.calibration.ladder import FloatLadder
from pixio_edge.calibration.targets import find_targets
from pixio_edge.host import probe_host
from pixio_edge.manifest import ArtifactEntry, Precision, Requirements
from pixio_edge.onnx_weights import write_graphs
from pixio_edge.runtimes.base import RuntimeInfo, RuntimeOptions
from pixio_edge.runtimes.registry import make_runtime
from pixio_edge.sizes import Size, size_label

# Sides of the two products that the limit is measured with: large enough that loading is nothing beside computing.
LIMIT_SIDE = 2048
LIMIT_PRODUCTS = 2
Kind = Literal["float", "int8", "limit"]
Feed = NDArray[np.uint8]


@dataclass(frozen=True)
class Row:
    """One line of the result.

    Attributes:
        name: Engine and precision.
        kind: "int8" rows have an accuracy; "limit" is the product that the limit is computed from.
        open: Starts the engine and returns what runs the model once.
        info: Says what really ran; None where the engine is not one of our runtimes.
    """

    name: str
    kind: Kind
    open: Callable[[], Callable[[Feed], Any]]
    info: Callable[[], RuntimeInfo] | None = None


@dataclass(frozen=True)
class Subject:
    """A model to measure.

    Attributes:
        bundle: With fp32 graphs of all sizes and the checkpoint.
        images: To calibrate with.
        held_back: To compare on.
        calibration: Of the graphs; one serves all sizes.
        folder: Where graphs may be written.
    """

    bundle: Bundle
    images: CalibrationSet
    held_back: CalibrationSet
    calibration: Calibration
    folder: Path

    @classmethod
    def calibrated(
        cls, bundle: Bundle, images: CalibrationSet, held_back: CalibrationSet, folder: Path, threads: int
    ) -> Subject:
        """Calibrate as `pixio-edge quantize` does by default."""
        print(f"  calibrating with {images.count} images", flush=True)
        config = CalibrationConfig(images=images.count, threads=threads)
        calibration = calibrate(FloatLadder(bundle), images, config, bundle.manifest.image)
        return cls(bundle, images, held_back, calibration, folder)


def list_rows(subject: Subject, size: Size, threads: int) -> Iterator[Row]:
    """Rows of one model at one size; what cannot be measured here is said and left out."""
    bundle = subject.bundle
    checkpoint = next(item for item in bundle.artifacts if item.kind == "safetensors")
    graph = next(item for item in bundle.artifacts if item.kind == "onnx" and item.size == size)
    torch_entry = checkpoint.model_copy(update={"size": size, "inputs": graph.inputs, "outputs": graph.outputs})
    yield _runtime_row("torch eager", "pytorch", VerifiedArtifact(torch_entry, bundle.folder), "fp32", threads)
    fp32 = bundle.read_artifact(graph)
    yield _runtime_row("ort fp32", "ort", fp32, "fp32", threads)
    yield _runtime_row("openvino fp32", "openvino", fp32, "fp32", threads)
    if probe_host().lacks_bf16:
        print("  skipped: openvino bf16, this processor has no bf16 arithmetic")
    else:
        yield _runtime_row("openvino bf16", "openvino", fp32, "bf16", threads)
    float_graph, calibration = FloatLadder(bundle)[size], subject.calibration
    for target in find_targets(("ort", "openvino"), probe_host()):
        model = emit(float_graph, calibration.table, target.flavour, rounded=calibration.rounded)
        artifact = _int8_artifact(model, graph, target.flavour, target.runtime, subject.folder)
        yield _runtime_row(f"{target.runtime} int8", target.runtime, artifact, "int8", threads)
    yield from _nncf_rows(float_graph, prepared(bundle, size, subject.images), threads, subject.folder)
    yield Row("limit", "limit", lambda: open_limit(threads))


def open_limit(threads: int) -> Callable[[Feed], object]:
    """Large products of signed bytes in OpenVINO, which is what bounds INT8 on this machine."""
    generator = np.random.default_rng(0)
    rows = ops.parameter([LIMIT_SIDE, LIMIT_SIDE], openvino.Type.f32)
    product = rows
    for _ in range(LIMIT_PRODUCTS):
        low, high = np.float32(-128), np.float32(127)
        held = ops.fake_quantize(product, low, high, low, high, 256)
        weight = generator.integers(-127, 128, (LIMIT_SIDE, LIMIT_SIDE), dtype=np.int8)
        scales = ops.constant(np.full((LIMIT_SIDE, 1), 1e-3, np.float32))
        product = ops.matmul(held, ops.multiply(ops.convert(ops.constant(weight), "f32"), scales), False, True)
    model = openvino.Model([ops.result(product)], [rows], "limit")
    run = open_openvino(model, threads, "f32")
    values = generator.normal(0, 40, (LIMIT_SIDE, LIMIT_SIDE)).astype(np.float32)
    return lambda _: run(values)


def limit_rate(milliseconds: float) -> float:
    """Multiply-adds in a second, from the time of the limit's row."""
    return LIMIT_PRODUCTS * LIMIT_SIDE**3 / (milliseconds / 1e3)


def open_openvino(model: Any, threads: int, hint: str) -> Callable[[NDArray[Any]], Any]:
    """Compile as `OpenVinoRuntime` does, for models that are not ONNX."""
    settings = {
        "INFERENCE_PRECISION_HINT": hint,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,
    }
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    return lambda feed: np.array(next(iter(request.infer([feed], share_inputs=True).values())))


def prepared(bundle: Bundle, size: Size, images: CalibrationSet) -> list[Feed]:
    """Images as the model takes them."""
    return [bundle.manifest.image.prepare(image, size) for image in images.images()]


def _runtime_row(name: str, runtime_name: str, artifact: VerifiedArtifact, precision: Precision, threads: int) -> Row:
    def make() -> Any:
        return make_runtime(runtime_name, artifact, RuntimeOptions(threads=threads, precision=precision))

    def start() -> Callable[[Feed], Any]:
        runtime = make()
        runtime.open()
        return lambda feed: runtime.run({"image": feed})["depth"]

    def info() -> RuntimeInfo:
        with make() as runtime:
            found: RuntimeInfo = runtime.info(profile=True)
            return found

    return Row(name, "int8" if precision == "int8" else "float", start, info)


def _int8_artifact(
    model: onnx.ModelProto, entry: ArtifactEntry, flavour: Flavour, runtime: str, folder: Path
) -> VerifiedArtifact:
    label = size_label(entry.size)
    path = folder / f"{flavour}_{label}.onnx"
    write_graphs([(path, model)], folder / f"{flavour}_{label}.bin")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    changes = {
        "precision": "int8",
        "path": path.name,
        "sha256": digest,
        "bytes": path.stat().st_size,
        "data": (),
        "golden": None,
        "requires": Requirements(runtimes=(runtime,)),
    }
    return VerifiedArtifact(entry.model_copy(update=changes), folder)


def _nncf_rows(model: onnx.ModelProto, feeds: list[Feed], threads: int, folder: Path) -> Iterator[Row]:
    """NNCF's post-training quantisation of the same float graph with the same images, by default and for transformers.

    It starts from what the float graph is in OpenVINO, without our rewrites.
    """
    if find_spec("nncf") is None:
        print("  skipped: NNCF is not installed. Fix: pip install 'pixio-edge[bench]'")
        return
    nncf: Any = import_module("nncf")
    source = openvino.Core().read_model(model.SerializeToString())
    dataset = nncf.Dataset(feeds, lambda feed: {"image": feed})
    for label, options in (("nncf", {}), ("nncf transformer", {"model_type": nncf.ModelType.TRANSFORMER})):
        quantized = nncf.quantize(source.clone(), dataset, subset_size=len(feeds), **options)
        path = folder / f"{label.replace(' ', '_')}_{feeds[0].shape[1]}x{feeds[0].shape[2]}.xml"
        openvino.save_model(quantized, str(path), compress_to_fp16=False)
        for hint in ("f32",) if probe_host().lacks_bf16 else ("f32", "bf16"):
            yield Row(f"{label} int8, rest {hint}", "int8", _opener(path, threads, hint))


def _opener(path: Path, threads: int, hint: str) -> Callable[[], Callable[[Feed], Any]]:
    return lambda: open_openvino(str(path), threads, hint)
