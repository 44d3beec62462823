"""Flavours `openvino` and `tensorrt`: standard Q/DQ pairs around what is to run in INT8, biases in float.

Everything is signed and symmetric with zero point 0, one scale for each tensor and one for each output channel of a
weight: the one form that TensorRT, OpenVINO and ONNX Runtime all read. A tensor is quantised once for all layers that
read it. The transformer's residual stream, LayerNorm, softmax and its product with v, and Resize stay in float; in
flavour `openvino` softmax and that product are inside a kernel that reads and writes bytes, which OpenVINO calls i8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto

from pixio_edge.calibration.openvino_rewrites import image_in_place_, planar_depth_resize_
from pixio_edge.calibration.ort_attention import Attention, find_attentions
from pixio_edge.calibration.ort_patterns import only_producer, only_reader, static_shape
from pixio_edge.calibration.qdq_nodes import QdqNodes

if TYPE_CHECKING:
    import onnx

    from pixio_edge.calibration.emit import Flavour
    from pixio_edge.calibration.emit_base import Emission
    from pixio_edge.calibration.graph import Layer, QuantGraph

# TensorRT's INT8 kernels work on groups of channels; narrower layers are faster without a change of format around them
# (rule of TensorRT Model Optimizer, onnx quantisation, graph_utils.py).
TENSORRT_CHANNELS = 16

# What moves values without changing them, between attention and the layer that reads it.
MOVERS = ("Reshape", "Transpose")


def select(graph: QuantGraph, flavour: Flavour) -> frozenset[str]:
    """Layers that these flavours run in INT8."""
    layers = graph.layers()
    if flavour == "tensorrt":
        layers = [layer for layer in layers if min(graph.constants[layer.weight].dims[:2]) >= TENSORRT_CHANNELS]
    return frozenset(layer.name for layer in layers)


def write_(emission: Emission, flavour: Flavour) -> None:
    """Write Q/DQ pairs at the inputs and weights of every layer of the emission."""
    if flavour == "openvino":
        image_in_place_(emission.graph)
        planar_depth_resize_(emission.graph)
    writer = _QdqWriter(emission)
    for layer in emission.layers:
        writer.write_layer_(layer, early=flavour == "openvino")
    if flavour == "openvino":
        for attention in find_attentions(emission.graph, emission.layers).values():
            writer.write_attention_(attention)
    writer.write_sums_(whole=flavour == "openvino")
    writer.finish_()


class _QdqWriter:
    """Rules of where pairs go."""

    def __init__(self, emission: Emission) -> None:
        self._emission = emission
        self._graph = emission.graph
        self._nodes = QdqNodes(emission)

    def write_layer_(self, layer: Layer, *, early: bool) -> None:
        """Quantise input and weight of a layer.

        Args:
            layer: The layer.
            early: Quantise the result of attention before it is brought from heads to tokens: the kernel of attention
                then writes bytes, and bytes are moved.
        """
        reader = self._first_mover(layer) if early else None
        if reader is None:
            self._graph.nodes[layer.name].input[0] = self._nodes.pair(layer.input)
        else:
            reader.input[0] = self._nodes.pair(reader.input[0], range_of=layer.input)
        self._nodes.set_weight_(layer)
        self._nodes.correct_bias_(layer)

    def write_attention_(self, found: Attention) -> None:
        """Quantise q, k and v where they are computed, each by a scale of its own, so that q * k runs in INT8.

        q, k and v are columns of one tensor, so that QuantizeLinear has a scale for each column, and one scalar for
        each of the three reads them back. v is read back for a float product: it is quantised only to be moved.
        """
        scales = [np.float32(self._nodes.scale_of(part)) for part in found.parts]
        width = found.heads[2] * found.heads[3]
        columns = np.repeat(np.array(scales, np.float32), width)
        self._graph.nodes[found.between[0]].input[0] = self._nodes.quantize(found.layer.output, columns)
        for name in found.between[:2]:
            self._as_int8(self._graph.nodes[name].output[0])
        for part, scale in zip(found.parts, scales, strict=True):
            readers = self._graph.consumers[part]
            output = self._nodes.dequantize(part, scale)
            for node in readers:
                _replace_input(node, part, output)

    def write_sums_(self, *, whole: bool) -> None:
        """Quantise summands of a convolution's result, so that the kernel of the convolution adds them.

        Args:
            whole: Where the sum is read by INT8 layers alone, quantise the convolution's result too: OpenVINO's kernel
                needs it, and then gives bytes. Else only the other summand, as TensorRT wants it.
        """
        convolutions = {layer.output for layer in self._emission.layers if layer.kind == "conv"}
        for node in self._graph.model.graph.node:
            if node.op_type != "Add" or (whole and not self._is_read_as_bytes(node)):
                continue
            for ours, other in (tuple(node.input), tuple(reversed(node.input))):
                if ours in convolutions and len(self._graph.consumers[ours]) == 1 and self._can_pair(other, node):
                    for summand in (ours, other) if whole else (other,):
                        _replace_input(node, summand, self._nodes.pair(summand))
                    break

    def finish_(self) -> None:
        """Put all nodes in place."""
        self._nodes.finish_()

    def _can_pair(self, summand: str, add: onnx.NodeProto) -> bool:
        known = self._nodes.is_quantized(summand) or summand in self._emission.table.activations
        return known and static_shape(self._graph, summand) == static_shape(self._graph, add.output[0])

    def _is_read_as_bytes(self, add: onnx.NodeProto) -> bool:
        """Whether a sum, or what Relu makes of it, is only read in its quantised form."""
        relu = only_reader(self._graph, add.output[0], "Relu")
        tensor = (relu or add).output[0]
        readers = [node for node in self._graph.consumers.get(tensor, []) if tensor in node.input]
        return self._nodes.is_quantized(tensor) and not readers

    def _first_mover(self, layer: Layer) -> onnx.NodeProto | None:
        """The first of the nodes that bring the result of attention, a product of two activations, to a layer."""
        mover: onnx.NodeProto | None = None
        tensor = layer.input
        while layer.kind == "matmul":
            node = next((found for op in MOVERS if (found := only_producer(self._graph, tensor, op))), None)
            if node is None:
                break
            mover, tensor = node, node.input[0]
        return mover if only_producer(self._graph, tensor, "MatMul") else None

    def _as_int8(self, tensor: str) -> None:
        for value in self._graph.model.graph.value_info:
            if value.name == tensor:
                value.type.tensor_type.elem_type = TensorProto.INT8


def _replace_input(node: onnx.NodeProto, old: str, new: str) -> None:
    for index, name in enumerate(node.input):
        if name == old:
            node.input[index] = new
