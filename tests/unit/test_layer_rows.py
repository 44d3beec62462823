"""Layers as matrix products: rows of inputs times matrices of weights are what the runtime computes."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_graphs import block_graph, linear_graph

from pixio_edge.calibration.graph import QuantGraph
from pixio_edge.calibration.layer_rows import RowSource, channel_absmax, row_source, weight_from_matrix, weight_matrix

# float32 sums of 45 products in another order.
CLOSE = 1e-5
EVERY = 10**6


def conv_graph(weight: np.ndarray, **attributes: object) -> onnx.ModelProto:
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", **attributes)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "c", "h", "w"])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph([node], "conv", inputs, outputs, [numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"pads": [1, 2, 1, 0]},
        {"strides": [2, 3], "pads": [1, 1, 1, 1]},
        {"dilations": [2, 1], "pads": [2, 0, 2, 0]},
    ],
)
def test_windows_times_weight_are_the_convolution(attributes: dict[str, list[int]]) -> None:
    generator = np.random.default_rng(0)
    weight = generator.normal(size=(4, 5, 3, 3)).astype(np.float32)
    values = generator.normal(size=(1, 5, 12, 11)).astype(np.float32)
    model = conv_graph(weight, **attributes)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(["y"], {"x": values})
    graph = QuantGraph(model)
    (layer,) = graph.layers()

    source = row_source(graph, layer)
    assert source is not None
    rows = source.sample(values, EVERY, generator)

    product = rows @ weight_matrix(weight, layer)
    np.testing.assert_allclose(product.T.reshape(expected.shape), expected, atol=CLOSE)


def test_tokens_times_weight_are_the_product() -> None:
    weight = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    graph = QuantGraph(linear_graph(weight))
    (layer,) = graph.layers()
    values = np.random.default_rng(1).normal(size=(1, 7, 6)).astype(np.float32)

    rows = RowSource("x").sample(values, EVERY, np.random.default_rng(0))

    assert row_source(graph, layer) == RowSource("x")
    np.testing.assert_array_equal(rows @ weight_matrix(weight, layer), values[0] @ weight)


def test_rows_are_drawn_without_putting_back() -> None:
    values = np.arange(100, dtype=np.float32).reshape(1, 100, 1)

    rows = RowSource("x").sample(values, 40, np.random.default_rng(0))

    assert rows.shape == (40, 1)
    assert len(np.unique(rows)) == 40


@pytest.mark.parametrize("attributes", [{"group": 2}, {"auto_pad": "SAME_UPPER"}])
def test_what_is_no_single_product_has_no_rows(attributes: dict[str, object]) -> None:
    graph = QuantGraph(conv_graph(np.ones((4, 5, 3, 3), np.float32), **attributes))

    assert row_source(graph, graph.layers()[0]) is None


def test_weight_matrix_has_an_inverse_for_every_kind_of_layer() -> None:
    graph = QuantGraph(block_graph())
    layers = graph.layers()

    assert {layer.kind for layer in layers} == {"matmul", "gemm", "conv"}
    for layer in layers:
        weight = graph.constant(layer.weight)
        matrix = weight_matrix(weight, layer)
        assert matrix.shape[1] == weight.shape[layer.channel_axis]
        np.testing.assert_array_equal(weight_from_matrix(matrix, layer, weight.shape), weight)


def test_channels_are_on_the_last_axis_of_tokens_and_on_axis_one_of_maps() -> None:
    values = np.zeros((1, 3, 2, 2), np.float32)
    values[0, 1, 0, 1] = -5

    np.testing.assert_array_equal(channel_absmax(values), [0, 5, 0])
    np.testing.assert_array_equal(channel_absmax(values[0]), [0, 5])
    np.testing.assert_array_equal(RowSource("x", kernel=(1, 2)).per_row(np.array([1, 2])), [1, 1, 2, 2])
