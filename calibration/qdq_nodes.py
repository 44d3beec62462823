"""Mechanics of Q/DQ pairs: quantised tensors, integer weights and biases, and where their nodes go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper

from pixio_edge.calibration.ort_patterns import static_shape
from pixio_edge.calibration.qparams import symmetric

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from pixio_edge.calibration.emit_base import Emission
    from pixio_edge.calibration.graph import Layer


class QdqNodes:
    """Adds signed symmetric Q/DQ pairs to a graph. Nodes are collected and put into the graph by `finish_`.

    Args:
        emission: What is written; its graph is edited in place.
    """

    def __init__(self, emission: Emission) -> None:
        self._emission = emission
        self._graph = emission.graph
        # By tensor: nodes that follow its producer. By node: nodes that come right before or after it.
        self._after_tensor: dict[str, list[onnx.NodeProto]] = {}
        self._before_node: dict[str, list[onnx.NodeProto]] = {}
        self._after_node: dict[str, list[onnx.NodeProto]] = {}

    def is_quantized(self, tensor: str) -> bool:
        """Whether a tensor has a pair already."""
        return tensor in self._after_tensor

    def pair(self, tensor: str, range_of: str | None = None) -> str:
        """Name of a tensor after Q and DQ, which are added unless it has them.

        Args:
            tensor: The tensor.
            range_of: Tensor whose range is taken: the same values in another shape. None is the tensor itself.
        """
        output = f"{tensor}/dequantized"
        if not self.is_quantized(tensor):
            scale = np.float32(self.scale_of(range_of or tensor))
            middle = self.quantize(tensor, scale)
            self._after_tensor[tensor].append(self._dequantize(tensor, middle, scale, output))
            self._declare(output, TensorProto.FLOAT, static_shape(self._graph, tensor))
        return output

    def scale_of(self, tensor: str) -> float:
        """Scale of a tensor by its calibrated range."""
        found = self._emission.range(tensor)
        return symmetric(found.low, found.high).scale

    def quantize(self, tensor: str, scale: np.float32 | NDArray[np.float32]) -> str:
        """Add QuantizeLinear alone, with one scale or one for each index of the last axis; gives its output's name."""
        shape = static_shape(self._graph, tensor)
        output = f"{tensor}/quantized"
        inputs = [tensor, *self._scale_constants(f"{tensor}/quantize", scale)]
        node = helper.make_node("QuantizeLinear", inputs, [output], name=f"{tensor}/QuantizeLinear")
        if scale.ndim:
            node.attribute.append(helper.make_attribute("axis", -1))
        self._after_tensor[tensor] = [node]
        self._declare(output, TensorProto.INT8, shape)
        return output

    def dequantize(self, tensor: str, scale: np.float32) -> str:
        """Add DequantizeLinear after a tensor that was computed from integers; gives its output's name."""
        output = f"{tensor}/dequantized"
        self._after_tensor[tensor] = [self._dequantize(tensor, tensor, scale, output)]
        self._declare(output, TensorProto.FLOAT, static_shape(self._graph, tensor))
        for value in self._graph.model.graph.value_info:
            if value.name == tensor:
                value.type.tensor_type.elem_type = TensorProto.INT8
        return output

    def set_weight_(self, layer: Layer) -> None:
        """Make a layer read its weight from integers."""
        integers, scales = self._emission.weight(layer)
        weight = self._graph.add_constant(f"{layer.name}/weight_int8", integers)
        inputs = [weight, *self._scale_constants(f"{layer.name}/weight", scales)]
        output = f"{layer.name}/weight_dequantized"
        name = f"{layer.name}/weight/DequantizeLinear"
        node = helper.make_node("DequantizeLinear", inputs, [output], name=name, axis=layer.channel_axis)
        self._before_node[layer.name] = [node]
        self._declare(output, TensorProto.FLOAT, list(integers.shape))
        self._graph.nodes[layer.name].input[1] = output

    def correct_bias_(self, layer: Layer) -> None:
        """Give a layer its corrected bias, where the table has a correction. Biases stay in float."""
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
            self._add_bias(layer, node, name)

    def finish_(self) -> None:
        """Put all nodes in place and drop the float weights."""
        nodes: list[onnx.NodeProto] = []
        for node in self._graph.model.graph.node:
            nodes += [*self._before_node.get(node.name, []), node, *self._after_node.get(node.name, [])]
            for output in node.output:
                nodes += self._after_tensor.get(output, [])
        inputs = [n for value in self._graph.model.graph.input for n in self._after_tensor.get(value.name, [])]
        self._graph.set_nodes([*inputs, *nodes])
        self._graph.drop_unused_constants()

    def _dequantize(self, tensor: str, source: str, scale: np.float32, output: str) -> onnx.NodeProto:
        inputs = [source, *self._scale_constants(f"{tensor}/dequantize", scale)]
        return helper.make_node("DequantizeLinear", inputs, [output], name=f"{tensor}/DequantizeLinear")

    def _scale_constants(self, name: str, scale: np.float32 | NDArray[np.float32]) -> list[str]:
        zero = np.zeros(scale.shape, np.int8)
        return [
            self._graph.add_constant(f"{name}_scale", np.asarray(scale)),
            self._graph.add_constant(f"{name}_zero_point", zero),
        ]

    def _add_bias(self, layer: Layer, node: onnx.NodeProto, bias: str) -> None:
        """Add after a product that had no bias; the sum takes over the product's name."""
        product = f"{layer.name}/product"
        self._declare(product, TensorProto.FLOAT, static_shape(self._graph, layer.output))
        node.output[0] = product
        add = helper.make_node("Add", [product, bias], [layer.output], name=f"{layer.name}/bias_add")
        self._after_node[layer.name] = [add]

    def _declare(self, name: str, kind: int, shape: list[int] | None) -> None:
        if shape is not None:
            self._graph.model.graph.value_info.append(helper.make_tensor_value_info(name, kind, shape))
