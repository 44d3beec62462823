"""Flavours `openvino` and `tensorrt`: standard Q/DQ pairs around what is to run in INT8, biases in float.

Everything is signed and symmetric with zero point 0, one scale for each tensor and one for each output channel of a
weight: the one form that TensorRT, OpenVINO and ONNX Runtime all read. A tensor is quantised once for all layers that
read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper

from pixio_edge.calibration.qparams import symmetric

if TYPE_CHECKING:
    import onnx

    from pixio_edge.calibration.emit import Flavour
    from pixio_edge.calibration.emit_base import Emission
    from pixio_edge.calibration.graph import Layer, QuantGraph


def select(graph: QuantGraph, flavour: Flavour) -> frozenset[str]:
    """Layers that these flavours run in INT8."""
    return frozenset(layer.name for layer in graph.layers())


def write_(emission: Emission, flavour: Flavour) -> None:
    """Write Q/DQ pairs at the inputs and weights of every layer of the emission."""
    writer = _QdqWriter(emission)
    for layer in emission.layers:
        writer.quantize_input_(layer)
        writer.quantize_weight_(layer)
        writer.correct_bias_(layer)
    writer.finish_()


class _QdqWriter:
    """Collects new nodes by the place they go to, then puts them into the graph at once."""

    def __init__(self, emission: Emission) -> None:
        self._emission = emission
        self._graph = emission.graph
        self._known = {value.name: value for value in self._graph.model.graph.value_info}
        # By tensor: nodes that follow its producer. By node: nodes that come right before or after it.
        self._after_tensor: dict[str, list[onnx.NodeProto]] = {}
        self._before_node: dict[str, list[onnx.NodeProto]] = {}
        self._after_node: dict[str, list[onnx.NodeProto]] = {}

    def quantize_input_(self, layer: Layer) -> None:
        """Make a layer read the quantised form of its input."""
        self._graph.nodes[layer.name].input[0] = self.quantized(layer.input)

    def quantized(self, tensor: str) -> str:
        """Name of the tensor after Q and DQ, which are added where there are none yet."""
        output = f"{tensor}/dequantized"
        if tensor in self._after_tensor:
            return output
        found = self._emission.range(tensor)
        params = symmetric(found.low, found.high)
        scale = self._graph.add_constant(f"{tensor}/scale", np.float32(params.scale))
        zero = self._graph.add_constant(f"{tensor}/zero_point", np.int8(params.zero_point))
        middle = f"{tensor}/quantized"
        self._after_tensor[tensor] = [
            helper.make_node("QuantizeLinear", [tensor, scale, zero], [middle], name=f"{tensor}/QuantizeLinear"),
            helper.make_node("DequantizeLinear", [middle, scale, zero], [output], name=f"{tensor}/DequantizeLinear"),
        ]
        shape = _dims(self._known[tensor])
        self._declare_(middle, TensorProto.INT8, shape)
        self._declare_(output, TensorProto.FLOAT, shape)
        return output

    def quantize_weight_(self, layer: Layer) -> None:
        """Make a layer read its weight from integers."""
        integers, scales = self._emission.weight(layer)
        names = [
            self._graph.add_constant(f"{layer.name}/weight_int8", integers),
            self._graph.add_constant(f"{layer.name}/weight_scale", scales),
            self._graph.add_constant(f"{layer.name}/weight_zero_point", np.zeros(scales.shape, np.int8)),
        ]
        output = f"{layer.name}/weight_dequantized"
        node = helper.make_node(
            "DequantizeLinear", names, [output], name=f"{layer.name}/weight/DequantizeLinear", axis=layer.channel_axis
        )
        self._before_node.setdefault(layer.name, []).append(node)
        self._declare_(output, TensorProto.FLOAT, list(integers.shape))
        self._graph.nodes[layer.name].input[1] = output

    def correct_bias_(self, layer: Layer) -> None:
        """Give a layer its corrected bias, where the table has a correction."""
        bias = self._emission.bias(layer)
        if layer.name not in self._emission.table.bias_corrections or bias is None:
            return
        name = self._graph.add_constant(f"{layer.name}/bias_corrected", bias)
        node = self._graph.nodes[layer.bias_add or layer.name]
        if layer.bias is not None:
            node.input[list(node.input).index(layer.bias)] = name
        elif layer.kind != "matmul":
            node.input.append(name)
        else:
            self._add_bias_(layer, node, name)

    def finish_(self) -> None:
        """Put all nodes in place and drop the float weights."""
        nodes: list[onnx.NodeProto] = []
        for node in self._graph.model.graph.node:
            nodes += self._before_node.get(node.name, [])
            nodes.append(node)
            nodes += self._after_node.get(node.name, [])
            for output in node.output:
                nodes += self._after_tensor.get(output, [])
        inputs = [n for value in self._graph.model.graph.input for n in self._after_tensor.get(value.name, [])]
        self._graph.set_nodes([*inputs, *nodes])
        self._graph.drop_unused_constants()

    def _add_bias_(self, layer: Layer, node: onnx.NodeProto, bias: str) -> None:
        """Add after a product that had no bias; the sum takes over the product's name."""
        product = f"{layer.name}/product"
        node.output[0] = product
        add = helper.make_node("Add", [product, bias], [layer.output], name=f"{layer.name}/bias_add")
        self._after_node[layer.name] = [add]
        self._declare_(product, TensorProto.FLOAT, _dims(self._known[layer.output]))

    def _declare_(self, name: str, kind: int, shape: list[int]) -> None:
        self._graph.model.graph.value_info.append(helper.make_tensor_value_info(name, kind, shape))


def _dims(value: onnx.ValueInfoProto) -> list[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]
