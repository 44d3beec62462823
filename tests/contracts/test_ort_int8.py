"""The ONNX Runtime flavours in ONNX Runtime: which kernels run, with the options that `OrtRuntime` sets, and how close
the depth stays to float.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from int8_tables import table_of
from random_models import random_image
from tiny_graphs import SIZES, tiny_graph

import pixio_edge
from pixio_edge.bundle import VerifiedArtifact
from pixio_edge.calibration.collect import stream_tensors
from pixio_edge.calibration.emit import Flavour, emit, expected_int8
from pixio_edge.calibration.graph import QuantGraph
from pixio_edge.calibration.table import CalibrationTable
from pixio_edge.calibration.targets import X86_INT8
from pixio_edge.host import probe_host
from pixio_edge.manifest import ArtifactEntry, Precision, Requirements
from pixio_edge.runtimes.base import RuntimeInfo, RuntimeOptions, is_heavy
from pixio_edge.runtimes.registry import make_runtime
from pixio_edge.tensor import TensorSpec

ORT_FLAVOURS: tuple[Flavour, ...] = ("ort-x86", "ort-x86-7bit", "ort-arm")
NANO = Path(pixio_edge.__file__).parent / "assets" / "nano"
BLOCKS = {"tiny": 2, "nano": 8}
# INT8 kernels beyond one for each layer: q, k and v are three products instead of one, and the scores are one more.
EXTRA_KERNELS: dict[Flavour, int] = {"ort-x86": 3, "ort-x86-7bit": 2, "ort-arm": 0}
# Scores that leave the float products.
INTEGER_SCORES: dict[Flavour, int] = {"ort-x86": 1, "ort-x86-7bit": 0, "ort-arm": 0}

# Signal to noise of the depth against float, in dB, on the images that gave the ranges. Measured on nano: 43.6, 36.3
# and 42.5; on tiny with random weights: 27.2, 22.5 and 27.2. One zero point off by one, or the scales of one layer off
# by 5 %, gave at most 40.2 for ort-x86 on nano.
SMALLEST_SQNR: dict[str, dict[Flavour, float]] = {
    "nano": {"ort-x86": 41.0, "ort-x86-7bit": 34.0, "ort-arm": 40.0},
    "tiny": {"ort-x86": 24.0, "ort-x86-7bit": 19.5, "ort-arm": 24.0},
}
# Without these, x86 adds pairs of products in 16 bits and saturates, which only 7-bit weights are safe from.
saturates = probe_host().is_x86 and probe_host().lacks(X86_INT8)

LIMIT = 127
WEIGHT_STEP = 2.0**-14
# Products and sums of float32 that both sides round differently.
ROUNDING_SLACK = 1.01

all_flavours = pytest.mark.parametrize("flavour", ORT_FLAVOURS)
both_models = pytest.mark.parametrize("name", ["tiny", "nano"])


@cache
def _float_graph(name: str) -> bytes:
    graph = tiny_graph() if name == "tiny" else onnx.load(NANO / "graph_256x256.onnx")
    return graph.SerializeToString()


def float_graph(name: str) -> onnx.ModelProto:
    return onnx.ModelProto.FromString(_float_graph(name))


@cache
def images(name: str) -> tuple[np.ndarray, ...]:
    size = SIZES[0] if name == "tiny" else (256, 256)
    random = tuple(random_image(size, seed=seed)[0] for seed in range(2))
    if name == "tiny":
        return random
    with np.load(NANO / "golden_256x256.npz", allow_pickle=False) as golden:
        return (golden["image"][0],)


@cache
def table(name: str) -> CalibrationTable:
    return table_of(float_graph(name), list(images(name)))


@dataclass(frozen=True)
class Result:
    """What `OrtRuntime` says about a graph, and its depth of every image."""

    info: RuntimeInfo
    depths: list[np.ndarray]


def run(model: onnx.ModelProto, name: str, precision: Precision, folder: Path) -> Result:
    path = folder / "graph.onnx"
    path.write_bytes(model.SerializeToString())
    size = images(name)[0].shape[:2]
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
        requires=Requirements(runtimes=("ort",)),
    )
    with make_runtime("ort", VerifiedArtifact(entry, folder), RuntimeOptions(threads=1)) as runtime:
        depths = [runtime.run({"image": image[None]})["depth"] for image in images(name)]
        return Result(runtime.info(profile=True), depths)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Flavour | None], Result]:
    """Each model in each flavour, None for float, run once."""

    @cache
    def run_once(name: str, flavour: Flavour | None) -> Result:
        folder = tmp_path_factory.mktemp("ort_int8")
        if flavour is None:
            return run(float_graph(name), name, "fp32", folder)
        return run(emit(float_graph(name), table(name), flavour), name, "int8", folder)

    return run_once


@both_models
@all_flavours
def test_every_expected_layer_runs_as_an_int8_kernel_and_nothing_else_changes(
    name: str, flavour: Flavour, results: Callable[[str, Flavour | None], Result]
) -> None:
    graph = float_graph(name)
    expected = len(expected_int8(graph, flavour))
    products = sum(node.op_type in ("MatMul", "Gemm", "Conv") for node in graph.graph.node)

    info = results(name, flavour).info

    assert info.int8_ops == expected + EXTRA_KERNELS[flavour] * BLOCKS[name]
    assert info.float_ops == products - expected - INTEGER_SCORES[flavour] * BLOCKS[name]
    assert info.fallbacks == ()


@pytest.mark.parametrize(
    ("flavour", "operators"),
    [
        ("ort-x86", {"QLinearConv", "DynamicQuantizeMatMul", "MatMulIntegerToFloat"}),
        ("ort-x86-7bit", {"QLinearConv", "DynamicQuantizeMatMul", "MatMulIntegerToFloat"}),
        ("ort-arm", {"QLinearConv", "QGemm"}),
    ],
)
def test_int8_runs_in_the_fused_kernels_alone(
    flavour: Flavour, operators: set[str], results: Callable[[str, Flavour | None], Result]
) -> None:
    """MatMulInteger or ConvInteger on its own, with int32 results in memory, would be slower than float."""
    kernels = results("nano", flavour).info.kernels or {}

    found = {key.partition("/")[0] for key in kernels if key.endswith("/int8")}

    assert {key for key in found if is_heavy(key)} == operators


def test_the_last_sum_of_tokens_is_not_fused_into_the_slow_kernel(
    results: Callable[[str, Flavour | None], Result],
) -> None:
    def counts(flavour: Flavour | None, operator: str) -> int:
        kernels = results("nano", flavour).info.kernels or {}
        return sum(count for key, count in kernels.items() if key.partition("/")[0] == operator)

    assert (counts("ort-x86", "SkipLayerNormalization"), counts("ort-x86", "Sum")) == (0, 1)
    assert counts(None, "SkipLayerNormalization") == 1


@both_models
@all_flavours
def test_depth_stays_close_to_float(
    name: str, flavour: Flavour, results: Callable[[str, Flavour | None], Result]
) -> None:
    if saturates and flavour != "ort-x86-7bit":
        pytest.skip("this processor saturates products of 8-bit weights")
    ratios = [
        sqnr(expected, depth)
        for expected, depth in zip(results(name, None).depths, results(name, flavour).depths, strict=True)
    ]

    assert min(ratios) >= SMALLEST_SQNR[name][flavour], ratios


@pytest.mark.parametrize("flavour", ["ort-x86", "ort-arm"])
@pytest.mark.parametrize("layer", ["encoder.blocks.0.mlp.fc1/MatMul", "head.output_conv1/Conv"])
def test_a_layer_kept_in_float_is_one_kernel_less_in_int8(
    flavour: Flavour, layer: str, tmp_path: Path, results: Callable[[str, Flavour | None], Result]
) -> None:
    kept = run(emit(float_graph("tiny"), table("tiny"), flavour, keep_float={layer}), "tiny", "int8", tmp_path).info
    full = results("tiny", flavour).info

    assert kept.int8_ops is not None
    assert kept.float_ops is not None
    assert (full.int8_ops, full.float_ops) == (kept.int8_ops + 1, kept.float_ops - 1)


@all_flavours
@pytest.mark.parametrize("level", [0, 255])
def test_depth_of_a_uniform_image_is_finite(flavour: Flavour, level: int) -> None:
    """Ranges found when the graph runs may be empty; ranges of the table are left on one side."""
    model = emit(float_graph("tiny"), table("tiny"), flavour)
    image = np.full((*SIZES[0], 3), level, np.uint8)

    (found,) = stream_tensors({SIZES[0]: model}, [image], ["depth"], threads=1)

    assert np.isfinite(found["depth"]).all()


def test_bytes_of_the_image_are_padded_with_the_mean() -> None:
    """With weights that INT8 holds exactly, all that is left is rounding: of the result, the bias and the mean."""
    graph = QuantGraph(float_graph("tiny"))
    layer = next(layer for layer in graph.layers() if layer.kind == "conv")
    weight = np.clip(np.rint(graph.constant(layer.weight) / WEIGHT_STEP), -LIMIT, LIMIT)
    weight[:, 0, 0, 0] = LIMIT
    graph.replace_constant(layer.weight, (weight * WEIGHT_STEP).astype(np.float32))
    ranges = table_of(graph.model, list(images("tiny")))
    model = emit(graph.model, ranges, "ort-x86", keep_float={item.name for item in graph.layers()} - {layer.name})
    (relu,) = graph.consumers[layer.output]

    size = SIZES[0]
    exact, found = (
        next(stream_tensors({size: item}, images("tiny"), [relu.output[0]], threads=1))[relu.output[0]]
        for item in (graph.model, model)
    )

    error = np.abs(exact - found)
    rounding = ranges.activations[relu.output[0]].high / 255 / 2 + WEIGHT_STEP / 2
    mean_rounding = 0.5 * WEIGHT_STEP * np.abs(weight).sum(axis=(1, 2, 3)).max()
    assert error[..., 1:, 1:].max() <= rounding * ROUNDING_SLACK
    assert error.max() <= rounding * ROUNDING_SLACK + mean_rounding
    assert exact[..., 0, :].std() > 10 * rounding, "a border without content would prove nothing"


def sqnr(expected: np.ndarray, depth: np.ndarray) -> float:
    """Variance of the expected depth over the mean squared error, in dB."""
    error = np.mean((depth.astype(np.float64) - expected) ** 2)
    return float(10 * np.log10(expected.astype(np.float64).var() / error))
