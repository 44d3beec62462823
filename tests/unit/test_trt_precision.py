"""Typed graphs for TensorRT: where they are half precision, where not, and that they still compute depth."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import onnx
import pytest
from int8_tables import table_of
from onnx import TensorProto, helper, numpy_helper
from random_models import CONFIGS, random_image, random_model
from tiny_graphs import SIZES, block_graph

from pixio_edge.calibration.calibrate import range_tensors
from pixio_edge.calibration.emit import emit
from pixio_edge.calibration.graph import QuantGraph
from pixio_edge.calibration.trial import run_graph
from pixio_edge.errors import CheckFailedError, InputError
from pixio_edge.export.base import ExportRequest
from pixio_edge.export.onnx import export_graphs
from pixio_edge.export.trt.emulation import run_typed
from pixio_edge.export.trt.lint import lint
from pixio_edge.export.trt.precision import to_portable, to_typed
from pixio_edge.export.trt.scales import SMALLEST_NORMAL

SIZE = SIZES[0]
# Random models of every shape differed by 0.00008 to 0.0011, the block by 0.0004. A wrong type shows as 0.1 and more.
FP16_DIFFERENCE = 0.004
# INT8 itself costs the block 0.0196, and 0.0230 with half precision around it, which moves values across a step.
ADDED_TO_INT8 = 0.007
# Of the largest weight of a layer: half of one step of 127, and what a tiny channel is rounded to.
ROUNDING = 0.5 / 127 + 0.01


def difference(depth: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(depth - reference) / np.linalg.norm(reference))


@cache
def exported(name: str) -> bytes:
    ((_, graph),) = export_graphs(random_model(name), ExportRequest((SIZE,)), {})
    return graph.SerializeToString()


def int8_block() -> onnx.ModelProto:
    graph = onnx.shape_inference.infer_shapes(block_graph())
    return emit(graph, table_of(graph, tensors=range_tensors(graph)), "tensorrt")


def type_of(model: onnx.ModelProto, name: str) -> str:
    kinds = {v.name: v.type.tensor_type.elem_type for v in (*model.graph.value_info, *model.graph.output)}
    kinds |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    return TensorProto.DataType.Name(kinds[name])


def computes_in(model: onnx.ModelProto, name: str) -> str:
    return type_of(model, QuantGraph(model).nodes[name].output[0])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name != "pixio" else []) for name in CONFIGS]
)
def test_typed_graph_computes_the_depth_of_the_float_graph_for_every_shape_of_model(name: str) -> None:
    graph = onnx.ModelProto.FromString(exported(name))
    image = random_image(SIZE, seed=1)

    typed = to_typed(graph)

    onnx.checker.check_model(typed, full_check=True)
    reference = run_graph(graph, [image], 1)[0]
    assert difference(run_typed(typed, [image], 1)[0], reference) < FP16_DIFFERENCE
    assert graph.SerializeToString() == exported(name)
    assert lint(typed) == ()


def test_half_precision_is_everywhere_but_in_the_islands() -> None:
    typed = to_typed(block_graph())

    kinds = {node.name: computes_in(typed, node.name) for node in typed.graph.node if node.op_type != "Cast"}
    wide = {name for name, kind in kinds.items() if kind == "FLOAT"}
    gelu = {"gelu", "gelu/scale", "gelu/erf", "gelu/shift", "gelu/gate"}
    pixels = {"planes", "scaled"}
    stream = {"tokens", "norm1", "attended", "norm2", "out"}
    depth = {"plane", "resized", "depth"}
    assert wide == {"shares", *gelu, *pixels, *stream, *depth}
    assert {"stem", "qkv", "qkv.out", "scores", "values", "fc1", "fc2.out", "class.out"} <= kinds.keys() - wide


def test_interface_stays_that_of_the_float_graph() -> None:
    graph = block_graph()

    typed = to_typed(graph)

    assert list(typed.graph.input) == list(graph.graph.input)
    assert list(typed.graph.output) == list(graph.graph.output)


def test_weights_of_products_are_stored_in_half_precision_and_only_so() -> None:
    typed = to_typed(block_graph())

    stored = Counter(tensor.name.removesuffix("/fp16") for tensor in typed.graph.initializer)
    products = ("stem.weight", "stem.bias", "qkv.weight", "qkv.bias", "fc1.weight", "readout.weight")
    assert all(stored[name] == 1 and type_of(typed, f"{name}/fp16") == "FLOAT16" for name in products)
    assert all(type_of(typed, name) == "FLOAT" for name in ("norm1.scale", "class", "plane.weight"))


def test_each_value_is_cast_at_most_once_to_a_type_and_never_back() -> None:
    typed = to_typed(onnx.ModelProto.FromString(exported("pixio")))
    graph = QuantGraph(typed)

    casts = [node for node in typed.graph.node if node.op_type == "Cast"]
    targets = Counter((node.input[0], node.attribute[0].i) for node in casts)
    behind = [graph.producers[node.input[0]].op_type for node in casts if node.input[0] in graph.producers]
    assert set(targets.values()) == {1}
    assert "Cast" not in behind


def test_values_are_made_narrow_before_they_are_moved() -> None:
    typed = to_typed(block_graph())
    graph = QuantGraph(typed)

    assert graph.producers[graph.nodes["class.out"].input[0]].op_type == "Cast"
    assert computes_in(typed, "read.planes") == "FLOAT16"


def test_pinned_nodes_compute_in_fp32_and_the_rest_as_before() -> None:
    plain, pinned = to_typed(block_graph()), to_typed(block_graph(), pinned=("qkv", "stem.relu"))

    assert [computes_in(plain, name) for name in ("qkv", "stem.relu", "fc1")] == ["FLOAT16"] * 3
    assert [computes_in(pinned, name) for name in ("qkv", "stem.relu", "fc1")] == ["FLOAT", "FLOAT", "FLOAT16"]
    image = random_image(SIZE)
    reference = run_graph(block_graph(), [image], 1)[0]
    assert difference(run_typed(pinned, [image], 1)[0], reference) < FP16_DIFFERENCE


def test_graph_with_every_node_pinned_is_the_float_graph() -> None:
    graph, image = block_graph(), random_image(SIZE)

    typed = to_typed(graph, pinned=[node.name for node in graph.graph.node])

    kinds = {value.type.tensor_type.elem_type for value in typed.graph.value_info}
    assert TensorProto.FLOAT16 not in kinds
    np.testing.assert_allclose(run_typed(typed, [image], 1)[0], run_graph(graph, [image], 1)[0], rtol=1e-4)


def test_gelu_may_be_pinned_by_the_name_it_has_in_the_float_graph() -> None:
    assert computes_in(to_typed(block_graph(), pinned=("gelu",)), "gelu") == "FLOAT"


def test_pinning_is_refused_when_there_is_no_such_node() -> None:
    with pytest.raises(InputError, match=r"'absent' \(1 unknown names\).*Fix: "):
        to_typed(block_graph(), pinned=("absent", "qkv"))


def test_node_stays_in_fp32_when_half_precision_does_not_reach_its_constant() -> None:
    graph = block_graph()
    QuantGraph(graph).replace_constant("qkv.bias", np.full(48, 70000, np.float32))

    assert computes_in(to_typed(graph), "qkv.out") == "FLOAT"
    assert computes_in(to_typed(block_graph()), "qkv.out") == "FLOAT16"


def test_type_of_every_value_has_to_be_known() -> None:
    graph = block_graph()
    graph.opset_import.add(domain="nobody.knows", version=1)
    graph.graph.node[4].domain = "nobody.knows"

    with pytest.raises(CheckFailedError, match="no known type"):
        to_typed(graph)


def test_int8_graph_keeps_its_integers_and_computes_the_rest_in_half_precision() -> None:
    graph = int8_block()
    image = random_image(SIZE, seed=2)

    typed = to_typed(graph)

    onnx.checker.check_model(typed, full_check=True)
    reference = run_graph(block_graph(), [image], 1)[0]
    of_int8, of_both = (difference(run_typed(model, [image], 1)[0], reference) for model in (graph, typed))
    assert 0.001 < of_int8 < 0.1
    assert of_both < of_int8 + ADDED_TO_INT8
    pairs = [node for node in typed.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(pairs) > 10
    assert {type_of(typed, node.input[1]) for node in pairs} == {"FLOAT16"}
    assert {len(node.input) for node in pairs if node.op_type == "DequantizeLinear"} == {2}
    assert lint(typed) == ()


def test_pinned_layer_reads_activations_unrounded() -> None:
    before, after = QuantGraph(to_typed(int8_block())), QuantGraph(to_typed(int8_block(), pinned=("fc1",)))

    assert before.producers[before.nodes["fc1"].input[0]].op_type == "DequantizeLinear"
    assert after.nodes["fc1"].input[0] == "norm2"


def test_channel_of_tiny_weights_is_rounded_to_the_smallest_scale_that_half_precision_holds() -> None:
    graph = block_graph()
    editor = QuantGraph(graph)
    weight = np.asarray(editor.constant("fc1.weight"), np.float32)
    weight[:, 3] = np.linspace(-0.004, 0.004, len(weight))
    editor.replace_constant("fc1.weight", weight)
    typed = QuantGraph(to_typed(emit(graph, table_of(graph, tensors=range_tensors(graph)), "tensorrt")))

    dequantize = typed.producers[typed.nodes["fc1"].input[1]]
    scale = np.asarray(typed.constant(dequantize.input[1]), np.float32)
    stored = np.asarray(typed.constant(dequantize.input[0]), np.float32) * scale
    assert scale[3] == SMALLEST_NORMAL
    rounded_twice = (0.004 / 127 + SMALLEST_NORMAL) / 2
    assert np.abs(stored[:, 3] - weight[:, 3]).max() <= 1.01 * rounded_twice
    assert np.abs(stored - weight).max() <= ROUNDING * np.abs(weight).max()


def test_activation_of_tiny_values_keeps_its_pair_in_fp32() -> None:
    graph = int8_block()
    editor = QuantGraph(graph)
    quantize = editor.producers[editor.producers[editor.nodes["fc2"].input[0]].input[0]]
    dequantize = editor.producers[editor.nodes["fc2"].input[0]]
    for node in (quantize, dequantize):
        editor.replace_constant(node.input[1], np.float32(1e-6))

    typed = QuantGraph(to_typed(graph))

    kinds = [type_of(typed.model, typed.nodes[node.name].input[1]) for node in (quantize, dequantize)]
    assert kinds == ["FLOAT", "FLOAT"]
    assert typed.constant(typed.nodes[quantize.name].input[1]) == np.float32(1e-6)


def test_portable_graph_has_no_gelu_and_computes_the_same() -> None:
    graph, image = block_graph(), random_image(SIZE)

    portable = to_portable(graph)

    operators = {node.op_type for node in portable.graph.node}
    assert "Erf" in operators
    assert "Gelu" not in operators
    np.testing.assert_allclose(run_graph(portable, [image], 1)[0], run_graph(graph, [image], 1)[0], rtol=1e-4)


def test_emulation_rounds_every_half_value_as_numpy_does() -> None:
    image = np.arange(256, dtype=np.uint8).reshape(1, 1, 256, 1)
    factors = [np.float16(0.1), np.float16(0.3)]
    nodes = [
        helper.make_node("Cast", ["image"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Mul", ["half", "first"], ["once"]),
        helper.make_node("Mul", ["once", "second"], ["twice"]),
        helper.make_node("Cast", ["twice"], ["depth"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "halves",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, image.shape)],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, image.shape)],
        [numpy_helper.from_array(np.array(v), n) for v, n in zip(factors, ("first", "second"), strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    model = onnx.shape_inference.infer_shapes(model)

    depth = run_typed(model, [image], 1)[0]

    np.testing.assert_array_equal(depth, image.astype(np.float16) * factors[0] * factors[1])


def test_emulation_gives_infinity_when_a_half_value_is_too_large() -> None:
    graph = block_graph()
    QuantGraph(graph).replace_constant("qkv.bias", np.full(48, 60000, np.float32))

    assert not np.isfinite(run_typed(to_typed(graph), [random_image(SIZE)], 1)[0]).all()
    assert np.isfinite(run_graph(graph, [random_image(SIZE)], 1)[0]).all()
