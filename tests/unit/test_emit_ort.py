"""The graphs of the ONNX Runtime flavours: which operators, which weights, which layers. Execution is in
`tests/contracts/test_ort_int8.py`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
import pytest
from int8_tables import table_of
from onnx import TensorProto, numpy_helper
from tiny_graphs import IR_VERSION, OPSET, block_graph, linear_graph, tiny_graph

from pixio_edge.calibration.collect import layer_tensors
from pixio_edge.calibration.emit import Flavour, emit, expected_int8
from pixio_edge.calibration.graph import QuantGraph
from pixio_edge.calibration.table import CalibrationTable
from pixio_edge.errors import InputError

ORT_FLAVOURS: tuple[Flavour, ...] = ("ort-x86", "ort-x86-7bit", "ort-arm")
BLOCKS = 2
# What VPMADDUBSW adds two products of u8 and s8 in.
INT16_LIMIT = 2**15 - 1

all_flavours = pytest.mark.parametrize("flavour", ORT_FLAVOURS)


@cache
def table() -> CalibrationTable:
    return table_of(tiny_graph())


@cache
def _emitted(flavour: Flavour) -> bytes:
    return emit(tiny_graph(), table(), flavour).SerializeToString()


def emitted(flavour: Flavour) -> onnx.ModelProto:
    return onnx.ModelProto.FromString(_emitted(flavour))


def operators(model: onnx.ModelProto) -> dict[str, str]:
    return {node.name: node.op_type for node in model.graph.node}


def integer_weights(model: onnx.ModelProto) -> list[np.ndarray]:
    found = [numpy_helper.to_array(item) for item in model.graph.initializer if item.data_type == TensorProto.INT8]
    return [array for array in found if array.ndim > 1]


@all_flavours
def test_emitted_graph_is_valid_standard_onnx_of_the_pinned_versions(flavour: Flavour) -> None:
    model = emitted(flavour)

    onnx.checker.check_model(model, full_check=True)
    assert [(item.domain, item.version) for item in model.opset_import] == [("", OPSET)]
    assert model.ir_version == IR_VERSION
    assert {node.domain for node in model.graph.node} == {""}


@all_flavours
def test_emitted_graph_has_the_inputs_and_outputs_of_the_float_graph(flavour: Flavour) -> None:
    model, original = emitted(flavour), tiny_graph()

    assert list(model.graph.input) == list(original.graph.input)
    assert list(model.graph.output) == list(original.graph.output)


@all_flavours
def test_every_expected_layer_has_integer_weights_and_no_float_ones(flavour: Flavour) -> None:
    layers = QuantGraph(tiny_graph()).layers()
    expected = expected_int8(tiny_graph(), flavour)

    left = {item.name for item in emitted(flavour).graph.initializer}

    assert len(expected) > 30
    assert not left & {layer.weight for layer in layers if layer.name in expected}
    assert {layer.weight for layer in layers if layer.name not in expected and layer.kind == "gemm"} <= left


@pytest.mark.parametrize("flavour", ["ort-x86", "ort-x86-7bit"])
def test_x86_writes_convolutions_and_products_as_integer_operators(flavour: Flavour) -> None:
    kinds = {layer.name: layer.kind for layer in QuantGraph(tiny_graph()).layers()}
    found = operators(emitted(flavour))

    for name in expected_int8(tiny_graph(), flavour):
        parts = [name] if name in found else [f"{name}/{index}" for index in range(3)]
        wanted = "QLinearConv" if kinds[name] == "conv" else "MatMulInteger"
        assert [found[part] for part in parts] == [wanted] * len(parts)


def test_arm_holds_every_activation_in_signed_integers() -> None:
    model = emitted("ort-arm")
    zero_points = {node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    zero_points |= {node.input[7] for node in model.graph.node if node.op_type == "QLinearConv"}
    constants = QuantGraph(model).constants

    assert zero_points
    assert {constants[name].data_type for name in zero_points} == {TensorProto.INT8}


@all_flavours
@pytest.mark.parametrize(
    "layer",
    [
        "encoder.patch_embed.stage2.conv/Conv",
        "encoder.blocks.1.attn.qkv/MatMul",
        "encoder.blocks.0.mlp.fc2/MatMul",
        "head.output_conv1/Conv",
    ],
)
def test_a_layer_kept_in_float_is_the_only_one_that_stays_float(flavour: Flavour, layer: str) -> None:
    kept = QuantGraph(emit(tiny_graph(), table(), flavour, keep_float={layer}))
    original = QuantGraph(tiny_graph()).nodes[layer]

    assert kept.nodes[layer].op_type == original.op_type
    assert kept.nodes[layer].input[1] == original.input[1]
    assert len(integer_weights(emitted(flavour))) - len(integer_weights(kept.model)) == (
        3 if "qkv" in layer and flavour != "ort-arm" else 1
    )


def test_scores_stay_float_when_their_layer_is_kept_in_float() -> None:
    model = emit(tiny_graph(), table(), "ort-x86", keep_float={"encoder.blocks.1.attn.qkv/MatMul"})

    assert operators(model)["encoder.blocks.0.attn/MatMul"] == "MatMulInteger"
    assert operators(model)["encoder.blocks.1.attn/MatMul"] == "MatMul"


def test_seven_bit_weights_cannot_saturate_sixteen_bit_sums_of_two_products() -> None:
    """Largest activation, 255, times the two largest magnitudes of any weight; with 8 bits this overflows."""

    def worst(flavour: Flavour) -> int:
        magnitudes = (
            np.sort(np.abs(weight.astype(np.int32)), axis=None) for weight in integer_weights(emitted(flavour))
        )
        return max(int(255 * ordered[-2:].sum()) for ordered in magnitudes)

    assert worst("ort-x86-7bit") <= INT16_LIMIT < worst("ort-x86")


def test_seven_bits_leave_no_product_of_two_activations_in_int8() -> None:
    def products(flavour: Flavour) -> int:
        graph = QuantGraph(emitted(flavour))
        nodes = [node for node in graph.model.graph.node if node.op_type == "MatMulInteger"]
        return sum(node.input[1] not in graph.constants for node in nodes)

    assert products("ort-x86") == BLOCKS
    assert products("ort-x86-7bit") == 0


@all_flavours
def test_a_relu_that_no_layer_reads_is_held_from_zero_up(flavour: Flavour) -> None:
    """Between output_conv1 and the resizing: its range comes from the layer's output."""
    assert "head/Relu" not in layer_tensors(tiny_graph())
    graph = QuantGraph(emitted(flavour))
    zero_point = graph.nodes["head.output_conv1/Conv"].input[7]

    assert "head/Relu" not in graph.nodes
    assert int(graph.constant(zero_point)) == (-128 if flavour == "ort-arm" else 0)


def test_depth_convolution_stays_float_as_a_product() -> None:
    graph = QuantGraph(emitted("ort-x86"))
    node = graph.nodes["head.output_conv3/Conv"]

    assert node.op_type == "Gemm"
    assert graph.constants[node.input[1]].data_type == TensorProto.FLOAT


def test_image_is_convolved_as_bytes_without_float_nodes_before_it() -> None:
    graph = QuantGraph(emitted("ort-x86"))
    node, before = graph.nodes["encoder.patch_embed.stage2.conv/Conv"], []
    while node is not None:
        before.append(node.op_type)
        node = graph.producers.get(node.input[-1 if node.op_type == "Concat" else 0])

    assert before == ["QLinearConv", "Transpose", "Concat", "Concat"]


@all_flavours
def test_attention_of_another_form_is_written_layer_by_layer(flavour: Flavour) -> None:
    model = emit(block_graph(), table_of(block_graph()), flavour)

    onnx.checker.check_model(model, full_check=True)
    found = operators(model)
    assert found["scores"] == "MatMul"
    assert {found[name] for name in ("qkv", "proj", "fc1", "fc2")} == {
        "Gemm" if flavour == "ort-arm" else "MatMulInteger"
    }
    assert found["plane"] == "Conv"


@all_flavours
def test_a_layer_without_a_range_is_refused_by_name(flavour: Flavour) -> None:
    stage = "encoder.patch_embed.stage4.0"
    known = {name: value for name, value in table().activations.items() if not name.startswith(stage)}

    with pytest.raises(InputError, match=rf"no range for tensor '{stage}.*Fix: "):
        emit(tiny_graph(), table().model_copy(update={"activations": known}), flavour)


def test_arm_refuses_a_product_of_free_shape() -> None:
    graph = linear_graph(np.eye(16, dtype=np.float32), bias=np.zeros(16, np.float32))
    ranged = table().model_copy(update={"activations": {"x": next(iter(table().activations.values()))}})

    with pytest.raises(InputError, match=r"layer 'fc': its output has no static shape.*Fix: "):
        emit(graph, ranged, "ort-arm")
