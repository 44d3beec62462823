"""The exported graphs compute what the torch model computes, and look as the graph rules say."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from random_models import CONFIGS, SIZES, random_image, random_model

from pixio_edge.errors import CheckFailedError
from pixio_edge.export.base import ExportRequest
from pixio_edge.export.graph_rules import check_graph
from pixio_edge.export.onnx import export_graphs
from pixio_edge.export.pipeline import FP32_TOLERANCE
from pixio_edge.export.reference import reference_depth
from pixio_edge.parity import compare
from pixio_edge.sizes import Size

METADATA = {"pixio_edge.output": '{"kind": "relative_inverse"}'}

# Operators that cost something; per block 4 products with weights and 2 of attention. Convolutions: image to tokens,
# levels, residual units, after fusions, output. The class-token halves of the readouts are the Gemms.
EXPECTED = {
    "stem": {"Conv": 8 + 5 + 14 + 4 + 3, "MatMul": 3 * 6, "Gemm": 2, "LayerNormalization": 8, "Gelu": 3, "Resize": 5},
    "plain": {
        "Conv": 1 + 11 + 14 + 4 + 3,
        "MatMul": 4 * 6,
        "Gemm": 4,
        "LayerNormalization": 12,
        "Gelu": 4,
        "Resize": 5,
    },
    # Doubles its last fusion and has one output convolution less; sigmoid times the largest depth.
    "pixio": {"Conv": 1 + 11 + 14 + 4 + 2, "MatMul": 4 * 6, "Gemm": 4, "Resize": 5, "Sigmoid": 1, "Mul": 1, "Relu": 15},
    # No readout; LayerScale is gone; the last activation is a ReLU.
    "depth_anything": {
        "Conv": 1 + 11 + 14 + 4 + 3,
        "MatMul": 4 * 6,
        "Gemm": 0,
        "Resize": 5,
        "Mul": 0,
        "Relu": 16,
        "ReduceMean": 0,
    },
}
GONE = ("ConvTranspose", "BatchNormalization", "Gather", "Shape", "Constant", "Attention", "Erf", "Expand", "Einsum")


@pytest.fixture(scope="module", params=CONFIGS)
def exported(request: pytest.FixtureRequest) -> tuple[str, dict[Size, onnx.ModelProto]]:
    model = random_model(request.param)
    return request.param, dict(export_graphs(model, ExportRequest(SIZES), METADATA))


@pytest.fixture
def graph() -> onnx.ModelProto:
    """A graph that keeps all rules, small enough to break one at a time."""
    nodes = [
        helper.make_node("Cast", ["image"], ["cast"], "cast", to=onnx.TensorProto.FLOAT),
        helper.make_node("Slice", ["cast", "zero", "one", "last"], ["plane"], "slice"),
        helper.make_node("Squeeze", ["plane", "last"], ["flat"], "squeeze"),
        helper.make_node("Unsqueeze", ["flat", "zero"], ["map"], "unsqueeze"),
        helper.make_node("Resize", ["map", "", "", "sizes"], ["resized"], "resize", mode="linear"),
        helper.make_node("Squeeze", ["resized", "zero"], ["depth"], "last"),
    ]
    arrays = {"zero": [0], "one": [1], "last": [3], "sizes": [1, 1, 32, 48]}
    shapes = {
        "cast": [1, 32, 48, 3],
        "plane": [1, 32, 48, 1],
        "flat": [1, 32, 48],
        "map": [1, 1, 32, 48],
        "resized": [1, 1, 32, 48],
    }
    return helper.make_model(
        helper.make_graph(
            nodes,
            "rules",
            [helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, [1, 32, 48, 3])],
            [helper.make_tensor_value_info("depth", onnx.TensorProto.FLOAT, [1, 32, 48])],
            [numpy_helper.from_array(np.array(value), name) for name, value in arrays.items()],
            value_info=[helper.make_tensor_value_info(k, onnx.TensorProto.FLOAT, v) for k, v in shapes.items()],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=9,
    )


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_graph_matches_the_torch_model_when_run_in_ort(
    exported: tuple[str, dict[Size, onnx.ModelProto]], size: Size
) -> None:
    config, graphs = exported
    session = onnxruntime.InferenceSession(graphs[size].SerializeToString())

    for seed in range(3):
        image = random_image(size, seed=seed)
        reference = reference_depth(random_model(config), image)
        report = compare(reference, session.run(["depth"], {"image": image})[0], FP32_TOLERANCE)
        assert report, report.message


def test_graph_has_the_expected_operators_and_no_leftovers(exported: tuple[str, dict[Size, onnx.ModelProto]]) -> None:
    config, graphs = exported

    for model in graphs.values():
        onnx.checker.check_model(model, full_check=True)
        count = Counter(node.op_type for node in model.graph.node)
        assert {name: count[name] for name in EXPECTED[config]} == EXPECTED[config]
        assert not {name: count[name] for name in GONE if count[name]}
        assert ("DepthToSpace" in count) == (config != "stem")


def test_graphs_of_two_sizes_share_names_and_weights_when_exported(
    exported: tuple[str, dict[Size, onnx.ModelProto]],
) -> None:
    first, second = exported[1].values()
    arrays = [
        {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer} for model in (first, second)
    ]

    assert [node.name for node in first.graph.node] == [node.name for node in second.graph.node]
    assert len({node.name for node in first.graph.node}) == len(first.graph.node)
    assert arrays[0].keys() == arrays[1].keys()
    different = {
        name for name, value in arrays[0].items() if value.dtype == np.float32 and not _equal(value, arrays[1][name])
    }
    assert different == {"encoder.patch_positions"}


def test_graph_carries_the_metadata_and_nothing_of_this_machine(
    exported: tuple[str, dict[Size, onnx.ModelProto]],
) -> None:
    for model in exported[1].values():
        assert {entry.key: entry.value for entry in model.metadata_props} == METADATA
        assert str(Path(__file__).parents[2]).encode() not in model.SerializeToString()


def test_layer_norm_scales_are_folded_into_the_linear_layers_when_asked() -> None:
    model = random_model("plain")
    size = SIZES[1]
    image = random_image(size)

    (_, graph), *_ = export_graphs(model, ExportRequest((size,), fold_layer_norms=True), {})

    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    inner = [node for node in graph.graph.node if node.op_type == "LayerNormalization" and "blocks" in node.name]
    assert len(inner) == 8
    assert all((constants[node.input[1]] == 1.0).all() for node in inner)
    depth = onnxruntime.InferenceSession(graph.SerializeToString()).run(["depth"], {"image": image})[0]
    report = compare(reference_depth(model, image), depth, FP32_TOLERANCE)
    assert report, report.message


def test_rules_accept_a_graph_that_keeps_them(graph: onnx.ModelProto) -> None:
    check_graph(graph, (32, 48))


def _set_mode(model: onnx.ModelProto, name: str, value: object) -> None:
    model.graph.node[4].attribute.append(helper.make_attribute(name, value))


BREACHES: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "newer opset": (lambda m: setattr(m.opset_import[0], "version", 21), "operator sets are"),
    "second domain": (lambda m: m.opset_import.append(helper.make_opsetid("com.microsoft", 1)), "operator sets are"),
    "newer IR": (lambda m: setattr(m, "ir_version", 10), "IR version is 10"),
    "local function": (lambda m: m.functions.add(name="f"), "1 local functions"),
    "contrib operator": (lambda m: setattr(m.graph.node[2], "domain", "com.microsoft"), "com.microsoft.Squeeze"),
    "operator outside the set": (lambda m: setattr(m.graph.node[2], "op_type", "Attention"), "ai.onnx.Attention"),
    "image without a cast": (lambda m: setattr(m.graph.node[0], "op_type", "Relu"), "only to Cast"),
    "dynamic side": (
        lambda m: setattr(m.graph.value_info[0].type.tensor_type.shape.dim[1], "dim_param", "rows"),
        "expected static",
    ),
    "unknown shape": (lambda m: m.graph.value_info.pop(), "unknown shape"),
    "constant operation": (lambda m: m.graph.node[1].input.__setitem__(0, "zero"), "should have been folded"),
    "antialias": (lambda m: _set_mode(m, "antialias", 1), "antialias 1"),
    "cubic": (lambda m: setattr(m.graph.node[4].attribute[0], "s", b"cubic"), "mode cubic"),
    "asymmetric": (lambda m: _set_mode(m, "coordinate_transformation_mode", "asymmetric"), "asymmetric"),
    "computed size": (lambda m: m.graph.node[4].input.__setitem__(3, "flat"), "not constant"),
    "renamed input": (lambda m: setattr(m.graph.input[0], "name", "pixels"), "input "),
    "other output type": (lambda m: setattr(m.graph.output[0].type.tensor_type, "elem_type", 10), "output "),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_rules_refuse_a_graph_when_one_is_broken(graph: onnx.ModelProto, breach: str) -> None:
    change, message = BREACHES[breach]
    broken = copy.deepcopy(graph)
    change(broken)

    with pytest.raises(CheckFailedError, match=message):
        check_graph(broken, (32, 48))


def test_rules_refuse_a_graph_when_it_is_of_another_size(graph: onnx.ModelProto) -> None:
    with pytest.raises(CheckFailedError, match="graph 48x32: input"):
        check_graph(graph, (48, 32))


def _equal(first: np.ndarray, second: np.ndarray) -> bool:
    return first.shape == second.shape and np.array_equal(first, second)
