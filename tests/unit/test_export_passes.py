"""The clean-up passes on graphs of a few nodes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from pixio_edge.export import onnx_passes
from pixio_edge.export.base import IR_VERSION, OPSET

Nodes = list[onnx.NodeProto]


def make_model(nodes: Nodes, constants: dict[str, np.ndarray], shapes: dict[str, list[int]]) -> onnx.ModelProto:
    """From `x` (float) to `y`; `shapes` has both and what lies between."""
    info = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    graph = helper.make_graph(
        nodes,
        "test",
        [info.pop("x")],
        [info.pop("y")],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
        value_info=list(info.values()),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])


def run(model: onnx.ModelProto) -> np.ndarray:
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    result: np.ndarray = ReferenceEvaluator(model).run(None, {"x": x})[0]
    return result


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_gather_becomes_squeeze_when_the_axis_has_one_element() -> None:
    nodes = [helper.make_node("Gather", ["x", "zero"], ["y"], axis=1)]
    model = make_model(nodes, {"zero": np.array(0)}, {"x": [2, 1, 3], "y": [2, 3]})
    before = run(model)

    turned = onnx_passes.squeeze_unit_gathers_(model.graph)

    assert turned == 1
    assert operators(model) == ["Squeeze"]
    assert np.array_equal(run(model), before)


@pytest.mark.parametrize(
    ("index", "channels"), [(np.array(0), 2), (np.array([0]), 1)], ids=["several elements", "list of indices"]
)
def test_gather_is_kept_when_squeeze_would_be_another_function(index: np.ndarray, channels: int) -> None:
    nodes = [helper.make_node("Gather", ["x", "index"], ["y"], axis=1)]
    model = make_model(nodes, {"index": index}, {"x": [2, channels, 3], "y": [2, 3]})

    assert onnx_passes.squeeze_unit_gathers_(model.graph) == 0
    assert operators(model) == ["Gather"]


@pytest.mark.parametrize(("sizes", "written"), [([1, 1, 4, 6], 1), ([1, 1, 1, 6], 0)])
def test_torch_sampling_is_written_as_half_pixel_when_no_side_is_one(sizes: list[int], written: int) -> None:
    mode = "pytorch_half_pixel"
    nodes = [
        helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear", coordinate_transformation_mode=mode)
    ]
    model = make_model(nodes, {"sizes": np.array(sizes)}, {"x": [1, 1, 2, 3], "y": sizes})
    before = run(model)

    assert onnx_passes.use_half_pixel_(model.graph) == written
    assert np.array_equal(run(model), before)


@pytest.mark.parametrize(("shape", "dropped"), [([3, -1], 1), ([0, 3], 0)])
def test_allowzero_is_dropped_when_the_shape_has_no_zero(shape: list[int], dropped: int) -> None:
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"], allowzero=1)]
    model = make_model(nodes, {"shape": np.array(shape)}, {"x": [2, 3], "y": [3, 2]})

    assert onnx_passes.drop_allow_zero_(model.graph) == dropped
    assert len(model.graph.node[0].attribute) == 1 - dropped


def test_unused_nodes_and_constants_are_removed_when_no_output_needs_them() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["used"]),
        helper.make_node("Add", ["x", "idle"], ["dead"]),
        helper.make_node("Relu", ["dead"], ["deader"]),
        helper.make_node("Relu", ["used"], ["y"]),
    ]
    shapes = {name: [2] for name in ("x", "used", "dead", "deader", "idle", "y")}
    model = make_model(nodes, {"idle": np.ones(2, np.float32)}, shapes)

    removed = onnx_passes.remove_unused_(model.graph)

    assert removed == 3
    assert [node.output[0] for node in model.graph.node] == ["used", "y"]
    assert not model.graph.initializer
    assert [value.name for value in model.graph.value_info] == ["used"]


def test_names_say_the_module_when_the_exporter_recorded_it() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "val_7"], ["linear_3"]),
        helper.make_node("Add", ["linear_3", "model.block.fc.bias"], ["add_9"]),
        helper.make_node("Split", ["add_9", "val_8"], ["half_0", "half_1"], axis=1),
        helper.make_node("MatMul", ["half_0", "half_1"], ["y"]),
    ]
    for node, scopes in ((nodes[0], "block.fc"), (nodes[1], "block.fc"), (nodes[3], "block")):
        node.metadata_props.add(key=onnx_passes.SCOPES_KEY, value=str(["", "model", f"model.{scopes}", "operation"]))
    constants = {
        "val_7": np.eye(2, dtype=np.float32),
        "model.block.fc.bias": np.zeros(2, np.float32),
        "val_8": np.array([1, 1]),
    }
    shapes = {"x": [1, 2], "linear_3": [1, 2], "add_9": [1, 2], "half_0": [1, 1], "half_1": [1, 1], "y": [1, 1]}
    model = make_model(nodes, constants, shapes)
    before = run(model)

    onnx_passes.name_by_module_(model.graph, "model.")

    graph = model.graph
    assert [node.name for node in graph.node] == ["block.fc/MatMul", "block.fc/Add", "block.fc/Split", "block/MatMul"]
    assert list(graph.node[2].output) == ["block.fc/Split_0", "block.fc/Split_1"]
    assert graph.node[3].output[0] == "y"
    assert {tensor.name for tensor in graph.initializer} == {
        "block.fc/MatMul/B",
        "block.fc.bias",
        "block.fc/Split/split",
    }
    assert {value.name for value in graph.value_info} == {
        "block.fc/MatMul",
        "block.fc/Add",
        "block.fc/Split_0",
        "block.fc/Split_1",
    }
    assert np.array_equal(run(model), before)


def test_annotations_are_gone_when_stripped() -> None:
    model = make_model([helper.make_node("Relu", ["x"], ["y"], doc_string="/home/me")], {}, {"x": [2], "y": [2]})
    for annotated in (model, model.graph, model.graph.node[0], model.graph.input[0]):
        annotated.metadata_props.add(key="trace", value='File "/home/me/model.py"')

    onnx_passes.strip_annotations_(model)

    assert b"/home/me" not in model.SerializeToString()


def test_versions_are_pinned_when_the_operator_set_is_right() -> None:
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], {}, {"x": [2], "y": [2]})
    model.opset_import.append(helper.make_opsetid("pkg.unused", 1))

    onnx_passes.pin_versions_(model)

    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert model.ir_version == IR_VERSION


def test_versions_are_refused_when_the_operator_set_is_another() -> None:
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], {}, {"x": [2], "y": [2]})
    model.opset_import[0].version = OPSET + 1

    with pytest.raises(ValueError, match=f"opset {OPSET + 1}"):
        onnx_passes.pin_versions_(model)
