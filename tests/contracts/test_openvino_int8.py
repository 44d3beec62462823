"""The flavours `openvino` and `tensorrt` in OpenVINO: which kernels run in INT8, and how close depth stays to float."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from int8_tables import table_of
from tiny_graphs import tiny_graph

import pixio_edge
from pixio_edge.bundle import VerifiedArtifact
from pixio_edge.calibration.calibrate import range_tensors
from pixio_edge.calibration.emit import Flavour, emit, expected_int8
from pixio_edge.host import probe_host
from pixio_edge.manifest import ArtifactEntry, Precision, Requirements
from pixio_edge.runtimes.base import RuntimeInfo, RuntimeOptions
from pixio_edge.runtimes.registry import make_runtime
from pixio_edge.tensor import TensorSpec

openvino = pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")

NANO = Path(pixio_edge.__file__).parent / "assets" / "nano"
QDQ_FLAVOURS: tuple[Flavour, ...] = ("openvino", "tensorrt")
BLOCKS = {"tiny": 2, "nano": 8}
INT8_TYPES = ("i8", "u8")
LAYER_KINDS = ("Convolution", "FullyConnected", "MatMul")

# Signal to noise of the depth in dB, about 3 below what was measured, fp32 and bf16 around INT8: 34.0 and 32.9 (tiny,
# openvino), 42.7 and 44.2 (tiny, tensorrt), 40.9 and 39.8 (nano, openvino), 42.0 and 42.0 (nano, tensorrt).
SMALLEST_SQNR: dict[str, dict[Flavour, float]] = {
    "tiny": {"openvino": 30.0, "tensorrt": 39.0},
    "nano": {"openvino": 37.0, "tensorrt": 39.0},
}

both_flavours = pytest.mark.parametrize("flavour", QDQ_FLAVOURS)
both_models = pytest.mark.parametrize("name", ["tiny", "nano"])
# Without these instructions the plugin may choose float kernels.
pytestmark = pytest.mark.skipif(
    probe_host().lacks(("avx512_vnni", "avx_vnni", "amx_int8", "avx2")), reason="no INT8 kernels for this processor"
)


@cache
def _float_graph(name: str) -> bytes:
    graph = tiny_graph() if name == "tiny" else onnx.load(NANO / "graph_256x256.onnx")
    return graph.SerializeToString()


def float_graph(name: str) -> onnx.ModelProto:
    return onnx.ModelProto.FromString(_float_graph(name))


@cache
def image(name: str) -> np.ndarray:
    if name == "tiny":
        return np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    with np.load(NANO / "golden_256x256.npz", allow_pickle=False) as golden:
        return np.asarray(golden["image"][0])


def emitted(name: str, flavour: Flavour, keep_float: frozenset[str] = frozenset()) -> onnx.ModelProto:
    graph = float_graph(name)
    table = table_of(graph, [image(name)], range_tensors(graph))
    return emit(graph, table, flavour, keep_float=keep_float)


@cache
def executed(name: str, flavour: Flavour, keep_float: frozenset[str] = frozenset()) -> tuple[tuple[str, str, str], ...]:
    """Layer type, precision and original names of every node that OpenVINO executes."""
    model = openvino.Core().read_model(emitted(name, flavour, keep_float).SerializeToString())
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    keys = ("layerType", "runtimePrecision", "originalLayersNames")
    facts: list[Any] = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
    return tuple((fact[keys[0]].astype(str), fact[keys[1]].astype(str), fact[keys[2]].astype(str)) for fact in facts)


@dataclass(frozen=True)
class Result:
    info: RuntimeInfo
    depth: np.ndarray


def run(model: onnx.ModelProto, name: str, precision: Precision, folder: Path) -> Result:
    path = folder / "graph.onnx"
    path.write_bytes(model.SerializeToString())
    size = image(name).shape[:2]
    entry = ArtifactEntry(
        name="graph",
        kind="onnx",
        precision=precision,
        size=size,
        path=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        bytes=path.stat().st_size,
        inputs=(TensorSpec("image", (1, *size, 3), "uint8"),),
        outputs=(TensorSpec("depth", (1, *size), "float32"),),
        requires=Requirements(runtimes=("openvino",)),
    )
    options = RuntimeOptions(threads=1, precision=precision)
    with make_runtime("openvino", VerifiedArtifact(entry, folder), options) as runtime:
        return Result(runtime.info(profile=True), runtime.run({"image": image(name)[None]})["depth"])


@both_models
@both_flavours
def test_every_expected_layer_executes_in_int8_and_no_other(name: str, flavour: Flavour) -> None:
    expected = expected_int8(float_graph(name), flavour)
    heavy = [node for node in executed(name, flavour) if node[0] in LAYER_KINDS]

    for layer in expected:
        kernels = [node for node in heavy if _is_of(layer, node[2])]
        assert [node[1] in INT8_TYPES for node in kernels] == [True], f"{layer}: {kernels}"
    in_int8 = [node for node in heavy if node[1] in INT8_TYPES]
    assert len(in_int8) == len(expected)


@both_models
def test_attention_is_one_kernel_that_reads_and_writes_bytes(name: str) -> None:
    """OpenVINO names a kernel by its bytes; softmax and its product with v are float inside, with no Q/DQ pair."""
    nodes = executed(name, "openvino")
    with_softmax = [node for node in nodes if "Softmax" in node[2]]

    assert len(with_softmax) == BLOCKS[name]
    assert {node[1] for node in with_softmax} <= set(INT8_TYPES)
    for _, _, names in with_softmax:
        inside = [part.rpartition("/")[2] for part in names.split(",") if part]
        assert inside[inside.index("Softmax") :] == ["Softmax", "MatMul_2", "QuantizeLinear"]
    assert {node[1] for node in executed(name, "tensorrt") if "Softmax" in node[2]} == {"f32"}


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("tiny", "encoder.patch_embed.stage4.0.conv/Conv"),
        ("tiny", "encoder.blocks.1.attn.qkv/MatMul"),
        ("tiny", "encoder.blocks.0.attn.proj/MatMul"),
        ("tiny", "encoder.blocks.0.mlp.fc2/MatMul"),
        ("nano", "head.output_conv2/Conv"),
    ],
)
def test_a_layer_kept_in_float_is_the_only_one_that_falls_back(name: str, layer: str) -> None:
    kept = frozenset({layer})
    before = Counter(node[1] in INT8_TYPES for node in executed(name, "openvino") if node[0] in LAYER_KINDS)
    after = [node for node in executed(name, "openvino", kept) if node[0] in LAYER_KINDS]

    assert [node[1] for node in after if _is_of(layer, node[2])] == ["f32"]
    assert sum(node[1] in INT8_TYPES for node in after) == before[True] - 1


def test_sums_of_residual_convolutions_are_inside_their_kernels() -> None:
    sums = ("encoder.patch_embed.stage4.1/Add", "encoder.patch_embed.stage8.1/Add", "head.fusions.0.path_unit/Add")
    convolutions = [node[2].split(",") for node in executed("nano", "openvino") if node[0] == "Convolution"]

    for name in sums:
        assert sum(name in names for names in convolutions) == 1


def test_no_node_moves_the_image_before_the_first_convolution() -> None:
    nodes = [node for node in executed("nano", "openvino") if node[0] not in ("Const", "Reshape")]
    kinds = [node[0] for node in nodes[: [node[0] for node in nodes].index("Convolution")]]

    assert "Transpose" not in kinds


@both_models
@both_flavours
def test_runtime_counts_the_int8_kernels_and_keeps_close_to_float(name: str, flavour: Flavour, tmp_path: Path) -> None:
    (tmp_path / "float").mkdir()
    expected = run(float_graph(name), name, "fp32", tmp_path / "float")

    got = run(emitted(name, flavour), name, "int8", tmp_path)

    assert got.info.precision == "int8"
    assert got.info.int8_ops == len(expected_int8(float_graph(name), flavour))
    assert expected.info.int8_ops == 0
    noise = float(((got.depth - expected.depth) ** 2).sum())
    assert 10 * np.log10(float((expected.depth**2).sum()) / noise) > SMALLEST_SQNR[name][flavour]


@pytest.mark.skipif(probe_host().lacks_bf16, reason="this processor has no bf16 arithmetic")
def test_what_int8_leaves_in_float_runs_in_bf16_where_the_processor_has_it(tmp_path: Path) -> None:
    kernels = run(emitted("tiny", "openvino"), "tiny", "int8", tmp_path).info.kernels

    assert kernels is not None
    assert kernels["MVN/bf16"] > 0
    assert "MVN/fp32" not in kernels


def _is_of(layer: str, names: str) -> bool:
    """Whether a kernel is that of a layer: the first of the nodes that it was made of is the layer's."""
    return names.startswith(f"{layer.rpartition('/')[0]}/")
