"""Flavours `ort-x86` and `ort-x86-7bit`: what ONNX Runtime runs as integer kernels on x86, all in standard ONNX.

Convolutions are QLinearConv, unsigned activations and signed weights with one scale for each output channel, and keep
static ranges. Products of tokens quantise their input as it comes (DynamicQuantizeLinear, MatMulInteger), which ONNX
Runtime makes one DynamicQuantizeMatMul of: as fast as static ranges, and more accurate. Neither needs an option of the
session. The last convolutions, which give the depth, stay in float.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixio_edge.calibration.onnx_int8_nodes import Int8Nodes
from pixio_edge.calibration.ort_attention import find_attentions, write_attention
from pixio_edge.calibration.ort_convolutions import absorbed_relu, real_bias, select_layers
from pixio_edge.calibration.ort_depth_conv import is_depth_conv, write_depth_conv
from pixio_edge.calibration.ort_image import find_image_conv, write_image_conv
from pixio_edge.calibration.ort_products import DynamicProducts
from pixio_edge.calibration.qparams import asymmetric

if TYPE_CHECKING:
    import onnx

    from pixio_edge.calibration.emit import Flavour
    from pixio_edge.calibration.emit_base import Emission
    from pixio_edge.calibration.graph import Layer, QuantGraph

# Processors without VNNI add pairs of u8 x s8 products in 16 bits, saturating (VPMADDUBSW). With 7 bits a pair is at
# most 2 * 255 * 63 = 32130, below 32767.
WEIGHT_BITS: dict[Flavour, int] = {"ort-x86": 8, "ort-x86-7bit": 7}


def select(graph: QuantGraph, flavour: Flavour) -> frozenset[str]:
    """Layers that these flavours run in INT8."""
    return select_layers(graph)


def write_(emission: Emission, flavour: Flavour) -> None:
    """Write every layer of the emission as integer nodes."""
    _X86Writer(emission, WEIGHT_BITS[flavour]).write_()


class _X86Writer:
    def __init__(self, emission: Emission, bits: int) -> None:
        self._emission = emission
        self._graph = emission.graph
        self._bits = bits
        self._nodes = Int8Nodes(emission, asymmetric)
        self._layers = {layer.name: layer for layer in emission.layers}
        # Nodes that have been written as part of another one.
        self._absorbed: set[str] = set()
        self._products = DynamicProducts(self._nodes, emission, bits)
        self._attentions = find_attentions(emission.graph, emission.layers)

    def write_(self) -> None:
        image = find_image_conv(self._graph, self._emission.layers)
        if image is not None:
            self._absorbed.update(image.front)
        for node in list(self._graph.model.graph.node):
            layer = self._layers.get(node.name)
            if node.name in self._absorbed:
                continue
            if layer is None:
                self._keep(node)
            elif layer.kind == "matmul":
                self._write_product(layer)
            elif image is not None and layer is image.layer:
                write_image_conv(self._nodes, self._emission, image, self._output(layer), self._bits)
            else:
                source, bias = self._nodes.held(layer.input), real_bias(self._emission, layer)
                self._nodes.add_conv(layer, source, bias, self._output(layer), bits=self._bits)
        self._nodes.finish_()

    def _write_product(self, layer: Layer) -> None:
        if layer.bias_add is not None:
            self._absorbed.add(layer.bias_add)
        attention = self._attentions.get(layer.name)
        if attention is None:
            self._products.add_layer(layer)
        else:
            # Scores have no weights that could be narrower, so they need VNNI.
            wide = self._bits == 8
            done = write_attention(self._nodes, self._products, self._graph, attention, integer_scores=wide)
            self._absorbed.update(done)

    def _keep(self, node: onnx.NodeProto) -> None:
        if node.op_type == "Conv" and self._nodes.is_held(node.input[0]) and is_depth_conv(self._graph, node):
            write_depth_conv(self._nodes, self._graph, node)
        else:
            self._nodes.keep(node)

    def _output(self, layer: Layer) -> str:
        """The tensor that a convolution computes: after the Relu, if one alone reads it."""
        relu = absorbed_relu(self._graph, layer.output)
        if relu is None:
            return layer.output
        self._absorbed.add(relu.name)
        return relu.output[0]
