"""The graphs of the flavours `openvino` and `tensorrt`: which operators, where pairs are, and what they compute.

Numbers are those of ONNX Runtime without any optimisation, which computes what the graph says, in float.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from int8_tables import table_of
from onnx import TensorProto
from tiny_graphs import IR_VERSION, OPSET, block_graph, linear_graph, tiny_graph

import pixio_edge
from pixio_edge.calibration.calibrate import range_tensors
from pixio_edge.calibration.emit import METADATA_KEY, Flavour, emit, expected_int8
from pixio_edge.calibration.emit_qdq import TENSORRT_CHANNELS
from pixio_edge.calibration.graph import QuantGraph
from pixio_edge.calibration.table import ActivationRange, CalibrationTable
from pixio_edge.errors import InputError
from pixio_edge.export.graph_rules import ALLOWED_OPERATORS

QDQ_FLAVOURS: tuple[Flavour, ...] = ("openvino", "tensorrt")
NANO = Path(pixio_edge.__file__).parent / "assets" / "nano"
BLOCKS = {"tiny": 2, "nano": 8}
TOKEN_BLOCK = "encoder.blocks.0"

# Signal to noise of the depth against float in dB, on the images that gave the ranges, 2 dB below what was measured:
# 33.2 and 42.3 on tiny with random weights, 39.4 and 42.2 on nano. Scales off by 5 % in a layer cost most 0 to 2 dB
# and sensitive ones 6 to 15; the test of weights against their scales finds the former.
SMALLEST_SQNR: dict[str, dict[Flavour, float]] = {
    "tiny": {"openvino": 31.0, "tensorrt": 40.0},
    "nano": {"openvino": 37.4, "tensorrt": 40.2},
}
# Float kernels that add in another order.
EXACT_SQNR = 100.0

both_flavours = pytest.mark.parametrize("flavour", QDQ_FLAVOURS)
both_models = pytest.mark.parametrize("name", ["tiny", "nano"])


@cache
def _float_graph(name: str) -> bytes:
    graph = tiny_graph() if name == "tiny" else onnx.load(NANO / "graph_256x256.onnx")
    return graph.SerializeToString()


def float_graph(name: str) -> onnx.ModelProto:
    return onnx.ModelProto.FromString(_float_graph(name))


@cache
def images(name: str) -> tuple[np.ndarray, ...]:
    if name == "tiny":
        generator = np.random.default_rng(0)
        return tuple(generator.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(2))
    with np.load(NANO / "golden_256x256.npz", allow_pickle=False) as golden:
        return (golden["image"][0],)


@cache
def table(name: str) -> CalibrationTable:
    graph = float_graph(name)
    return table_of(graph, list(images(name)), range_tensors(graph))


@cache
def _emitted(name: str, flavour: Flavour) -> bytes:
    return emit(float_graph(name), table(name), flavour).SerializeToString()


def emitted(name: str, flavour: Flavour) -> QuantGraph:
    return QuantGraph(onnx.ModelProto.FromString(_emitted(name, flavour)))


def depths(model: onnx.ModelProto, given: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(session.run(["depth"], {"image": image[None]})[0]) for image in given]


def sqnr(expected: list[np.ndarray], got: list[np.ndarray]) -> float:
    noise = sum(float(((a - b) ** 2).sum()) for a, b in zip(expected, got, strict=True))
    return 10 * np.log10(sum(float((a**2).sum()) for a in expected) / max(noise, 1e-30))


def attributes(node: onnx.NodeProto) -> dict[str, object]:
    return {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}


@both_models
@both_flavours
def test_emitted_graph_is_valid_onnx_of_the_pinned_versions_and_operators(name: str, flavour: Flavour) -> None:
    model = emitted(name, flavour).model

    onnx.checker.check_model(model, full_check=True)
    assert [(item.domain, item.version) for item in model.opset_import] == [("", OPSET)]
    assert model.ir_version == IR_VERSION
    found = {node.op_type for node in model.graph.node}
    assert found <= ALLOWED_OPERATORS | {"QuantizeLinear", "DequantizeLinear"}
    assert len({node.name for node in model.graph.node}) == len(model.graph.node)


@both_models
@both_flavours
def test_interface_is_that_of_the_float_graph(name: str, flavour: Flavour) -> None:
    model, original = emitted(name, flavour).model, float_graph(name)

    assert list(model.graph.input) == list(original.graph.input)
    assert list(model.graph.output) == list(original.graph.output)
    assert METADATA_KEY in {item.key for item in model.metadata_props}


@both_models
@both_flavours
def test_zero_points_are_zero_and_integers_signed(name: str, flavour: Flavour) -> None:
    graph = emitted(name, flavour)
    nodes = [node for node in graph.model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]

    assert nodes
    for node in nodes:
        assert len(node.input) == 3
        zero_point = graph.constant(node.input[2])
        assert zero_point.dtype == np.int8
        assert not zero_point.any()
        assert zero_point.shape == graph.constant(node.input[1]).shape


@both_models
@both_flavours
def test_biases_stay_float(name: str, flavour: Flavour) -> None:
    graph = emitted(name, flavour)
    quantized = [graph.producers[node.output[0]] for node in graph.model.graph.node if node.op_type == "Conv"]

    assert {tensor.data_type for tensor in graph.constants.values()} <= {
        TensorProto.FLOAT,
        TensorProto.INT8,
        TensorProto.INT64,
    }
    assert all(node.input[2] in graph.constants for node in quantized if len(node.input) == 3)


@both_models
@both_flavours
def test_every_expected_layer_reads_a_pair_and_an_integer_weight_with_a_scale_for_each_channel(
    name: str, flavour: Flavour
) -> None:
    graph = emitted(name, flavour)
    layers = {layer.name: layer for layer in QuantGraph(float_graph(name)).layers()}
    expected = expected_int8(float_graph(name), flavour)

    assert len(expected) > (8 if name == "tiny" else 60)
    for layer in (layers[key] for key in expected):
        weight = graph.producers[graph.nodes[layer.name].input[1]]
        assert weight.op_type == "DequantizeLinear"
        integers, scales = graph.constant(weight.input[0]), graph.constant(weight.input[1])
        axis = layer.channel_axis
        assert integers.dtype == np.int8
        assert attributes(weight)["axis"] == axis
        assert scales.shape == (integers.shape[axis],)
        original = QuantGraph(float_graph(name)).constant(layer.weight)
        shape = [-1 if index == axis else 1 for index in range(integers.ndim)]
        steps = np.abs(integers * scales.reshape(shape) - original) / scales.reshape(shape)
        assert steps.max() <= 0.501
        assert layer.weight not in graph.constants


@both_models
@both_flavours
def test_layers_that_are_not_expected_keep_their_float_weight(name: str, flavour: Flavour) -> None:
    graph, expected = emitted(name, flavour), expected_int8(float_graph(name), flavour)
    others = [layer for layer in QuantGraph(float_graph(name)).layers() if layer.name not in expected]

    assert others
    for layer in others:
        assert graph.nodes[layer.name].input[1] == layer.weight
        assert graph.constants[layer.weight].data_type == TensorProto.FLOAT


@both_models
@both_flavours
def test_float_operators_are_never_between_q_and_dq(name: str, flavour: Flavour) -> None:
    """Only what moves values may read integers."""
    graph = emitted(name, flavour)
    integers = {node.output[0] for node in graph.model.graph.node if node.op_type == "QuantizeLinear"}
    for node in graph.model.graph.node:
        if node.op_type in ("Reshape", "Transpose", "Split") and node.input[0] in integers:
            integers.update(node.output)

    readers = {node.op_type for name in integers for node in graph.consumers.get(name, [])}

    assert readers <= {"DequantizeLinear", "Reshape", "Transpose", "Split"}


@both_models
@both_flavours
def test_residual_stream_and_what_feeds_norms_softmax_and_its_product_stay_float(name: str, flavour: Flavour) -> None:
    graph = emitted(name, flavour)
    rounded = {node.input[0] for node in graph.model.graph.node if node.op_type == "QuantizeLinear"}

    norms = [node for node in graph.model.graph.node if node.op_type == "LayerNormalization"]
    softmaxes = [node for node in graph.model.graph.node if node.op_type == "Softmax"]

    assert len(norms) > BLOCKS[name]
    assert len(softmaxes) == BLOCKS[name]
    assert not {node.input[0] for node in norms} & rounded
    assert all(graph.producers[node.input[0]].op_type == "Add" for node in norms[1:])
    assert not {value for node in softmaxes for value in (*node.input, *node.output)} & rounded


@both_models
def test_norm_output_is_quantised_once_for_its_layers(name: str) -> None:
    for flavour in QDQ_FLAVOURS:
        graph = emitted(name, flavour)
        inputs = [node.input[0] for node in graph.model.graph.node if node.op_type == "QuantizeLinear"]
        assert len(inputs) == len(set(inputs))
        assert f"{TOKEN_BLOCK}.norm1/LayerNormalization" in inputs


@both_models
@both_flavours
def test_depth_is_close_to_float_when_computed_as_written(name: str, flavour: Flavour) -> None:
    got = depths(emitted(name, flavour).model, images(name))

    assert sqnr(depths(float_graph(name), images(name)), got) > SMALLEST_SQNR[name][flavour]


@pytest.mark.parametrize("layer", ["head.output_conv1/Conv", f"{TOKEN_BLOCK}.mlp.fc2/MatMul"])
def test_kept_layer_alone_stays_float(layer: str) -> None:
    graph = QuantGraph(emit(float_graph("tiny"), table("tiny"), "openvino", keep_float={layer}))
    expected = expected_int8(float_graph("tiny"), "openvino", keep_float={layer})
    all_layers = expected_int8(float_graph("tiny"), "openvino")

    assert all_layers - expected == {layer}
    assert graph.constants[graph.nodes[layer].input[1]].data_type == TensorProto.FLOAT
    assert all(graph.producers[graph.nodes[name].input[1]].op_type == "DequantizeLinear" for name in expected)


@both_flavours
def test_everything_kept_float_is_the_float_graph_in_numbers(flavour: Flavour) -> None:
    graph = float_graph("tiny")
    kept = emit(graph, table("tiny"), flavour, keep_float=expected_int8(graph, flavour))

    assert not [node for node in kept.graph.node if node.op_type == "QuantizeLinear"]
    assert sqnr(depths(graph, images("tiny")), depths(kept, images("tiny"))) > EXACT_SQNR


def test_skipped_layers_of_the_table_stay_float() -> None:
    layer = f"{TOKEN_BLOCK}.mlp.fc1/MatMul"
    skipping = table("tiny").model_copy(update={"skipped": {layer: "constant input"}})

    graph = QuantGraph(emit(float_graph("tiny"), skipping, "openvino"))

    assert graph.constants[graph.nodes[layer].input[1]].data_type == TensorProto.FLOAT


@both_models
def test_openvino_quantises_q_k_and_v_each_by_its_own_scale(name: str) -> None:
    graph = emitted(name, "openvino")
    quantize = graph.nodes[f"{TOKEN_BLOCK}.attn.qkv/Add/QuantizeLinear"]
    columns = graph.constant(quantize.input[1])
    width = len(columns) // 3

    for index in range(3):
        part = f"{TOKEN_BLOCK}.attn/Split_{index}"
        scale = graph.constant(graph.producers[f"{part}/dequantized"].input[1])
        found = table(name).activations[part]
        assert float(scale) == pytest.approx(max(abs(found.low), abs(found.high)) / 127)
        assert (columns[index * width : (index + 1) * width] == scale).all()


def test_scores_stay_float_with_their_layer() -> None:
    layer = f"{TOKEN_BLOCK}.attn.qkv/MatMul"
    graph = QuantGraph(emit(float_graph("tiny"), table("tiny"), "openvino", keep_float={layer}))

    assert graph.nodes[f"{TOKEN_BLOCK}.attn/Reshape"].input[0] == f"{TOKEN_BLOCK}.attn.qkv/Add"
    assert graph.nodes["encoder.blocks.1.attn/Reshape"].input[0].endswith("/quantized")


@both_models
def test_tensorrt_leaves_attention_in_float(name: str) -> None:
    graph = emitted(name, "tensorrt")
    softmax = next(node for node in graph.model.graph.node if node.op_type == "Softmax")

    for tensor in graph.producers[softmax.input[0]].input:
        assert graph.producers[tensor].op_type in ("Split", "Transpose")


@both_models
def test_tensorrt_leaves_narrow_layers_in_float(name: str) -> None:
    graph = QuantGraph(float_graph(name))
    expected = expected_int8(float_graph(name), "tensorrt")

    narrow = {x.name for x in graph.layers() if min(graph.constants[x.weight].dims[:2]) < TENSORRT_CHANNELS}

    assert "head.output_conv3/Conv" in narrow
    assert not narrow & expected


def test_tensorrt_quantises_the_other_summand_of_a_convolution() -> None:
    graph = emitted("nano", "tensorrt")

    summands = list(graph.nodes["head.fusions.0.path_unit/Add"].input)

    assert summands == ["head.fusions.0/Add/dequantized", "head.fusions.0.path_unit.conv2/Conv"]


def test_openvino_quantises_both_summands_where_only_bytes_are_read() -> None:
    graph = emitted("nano", "openvino")

    assert all(name.endswith("/dequantized") for name in graph.nodes["head.fusions.0.path_unit/Add"].input)
    # Read by a sum with a resized map, which is float.
    assert not any(name.endswith("/dequantized") for name in graph.nodes["head.fusions.0.level_unit/Add"].input)


def test_openvino_resizes_depth_without_the_axis_of_channels() -> None:
    graph = emitted("nano", "openvino")
    resize = graph.nodes["head/Resize_2"]

    assert graph.constant(resize.input[3]).tolist() == [1, 256, 256]
    assert "head/Resize_2/sizes" not in graph.constants


def test_corrected_biases_are_added_to_those_of_their_layer_only() -> None:
    conv, fc1 = "head.output_conv1/Conv", f"{TOKEN_BLOCK}.mlp.fc1/MatMul"
    layers = {layer.name: layer for layer in QuantGraph(float_graph("tiny")).layers()}
    source = QuantGraph(float_graph("tiny"))
    corrections = {
        name: tuple(np.arange(source.constants[str(layers[name].bias)].dims[0]) + 1.0) for name in (conv, fc1)
    }
    corrected = table("tiny").model_copy(update={"bias_corrections": corrections})

    graph = QuantGraph(emit(float_graph("tiny"), corrected, "openvino"))

    for name in (conv, fc1):
        node = graph.nodes[layers[name].bias_add or name]
        got = next(graph.constant(value) for value in node.input if value.endswith("/bias_corrected"))
        np.testing.assert_allclose(got, source.constant(str(layers[name].bias)) + corrections[name], rtol=1e-6)
    assert sum(name.endswith("/bias_corrected") for name in graph.constants) == 2


def test_correction_of_a_product_without_bias_becomes_one() -> None:
    graph = linear_graph(np.eye(16, dtype=np.float32))
    layer = QuantGraph(graph).layers()[0]
    known = ActivationRange(low=-1.0, high=1.0, seen_low=-1.0, seen_high=1.0)
    given = table("tiny").model_copy(
        update={"activations": {layer.input: known}, "bias_corrections": {layer.name: tuple([0.5] * 16)}}
    )

    model = emit(graph, given, "openvino")

    onnx.checker.check_model(model)
    add = QuantGraph(model).producers[layer.output]
    assert add.op_type == "Add"
    assert QuantGraph(model).constant(add.input[1]).tolist() == [0.5] * 16


def test_given_integer_weights_are_used_and_checked() -> None:
    layer = f"{TOKEN_BLOCK}.mlp.fc1/MatMul"
    shape = tuple(QuantGraph(float_graph("tiny")).constants["encoder.blocks.0.mlp.fc1/MatMul/B"].dims)
    given = np.full(shape, 3, np.int8)

    graph = QuantGraph(emit(float_graph("tiny"), table("tiny"), "openvino", rounded={layer: given}))

    assert (graph.constant(f"{layer}/weight_int8") == 3).all()
    with pytest.raises(InputError, match=r"rounded weights of layer .*Fix: "):
        emit(float_graph("tiny"), table("tiny"), "openvino", rounded={layer: given[:1]})


def test_clipped_weights_have_the_scale_of_their_limit() -> None:
    layer = f"{TOKEN_BLOCK}.mlp.fc1/MatMul"
    channels = QuantGraph(float_graph("tiny")).constants["encoder.blocks.0.mlp.fc1/MatMul/B"].dims[1]
    limited = table("tiny").model_copy(update={"weight_limits": {layer: tuple([0.127] * channels)}})

    graph = QuantGraph(emit(float_graph("tiny"), limited, "openvino"))

    np.testing.assert_allclose(graph.constant(f"{layer}/weight_scale"), 0.001, rtol=1e-6)


@both_flavours
def test_attention_of_another_form_stays_float(flavour: Flavour) -> None:
    graph = block_graph()

    model = emit(graph, table_of(graph, tensors=range_tensors(graph)), flavour)

    onnx.checker.check_model(model, full_check=True)
    found = QuantGraph(model)
    assert not any(name.endswith("/dequantized") for name in found.nodes["scores"].input)


def test_a_tensor_without_range_is_refused_by_name() -> None:
    known = dict(table("tiny").activations)
    del known["encoder.patch_embed.stage2.act/Relu"]

    with pytest.raises(InputError, match=r"no range for tensor 'encoder.patch_embed.stage2.act/Relu'.*Fix: "):
        emit(float_graph("tiny"), table("tiny").model_copy(update={"activations": known}), "openvino")


def test_unknown_layers_and_flavours_are_refused() -> None:
    with pytest.raises(InputError, match=r"keep_float: got 'abacus'.*Fix: "):
        emit(float_graph("tiny"), table("tiny"), "openvino", keep_float={"abacus"})
    with pytest.raises(InputError, match=r"flavour: got 'abacus'.*Fix: "):
        emit(float_graph("tiny"), table("tiny"), "abacus")  # type: ignore[arg-type]


def test_float_graph_is_not_changed() -> None:
    graph = float_graph("tiny")

    emit(graph, table("tiny"), "openvino")

    assert graph.SerializeToString(deterministic=True) == float_graph("tiny").SerializeToString(deterministic=True)
