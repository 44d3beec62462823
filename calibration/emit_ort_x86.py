"""Flavours `ort-x86` and `ort-x86-7bit`: what ONNX Runtime runs as integer kernels on x86, all in standard ONNX.

Convolutions are QLinearConv, unsigned activations and signed weights with one scale for each output channel, and keep
static ranges; they need no fusion. Products of tokens quantise their input as it comes, in the one form that ONNX
Runtime fuses (see `ort_products`). Neither needs an option of the session. The last convolution, which gives the
depth, stays in float; so do sums and resizing, which gain little in INT8 and lose accuracy (0.9 dB and 0.3 dB on nano).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixio_edge.calibration.ort_attention import find_attentions, write_attention
from pixio_edge.calibration.ort_depth_conv import is_depth_conv, write_depth_conv
from pixio_edge.calibration.ort_image import find_image_conv, write_image_conv
from pixio_edge.calibration.ort_patterns import only_reader
from pixio_edge.calibration.ort_products import DynamicProducts
from pixio_edge.calibration.ort_writer import OrtWriter, select_layers
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


class _X86Writer(OrtWriter):
    def __init__(self, emission: Emission, bits: int) -> None:
        super().__init__(emission, asymmetric, bits)
        self._products = DynamicProducts(self.nodes, emission, bits)
        self._attentions = find_attentions(self.graph, emission.layers)
        self._image = find_image_conv(self.graph, emission.layers)
        if self._image is not None:
            self.absorbed.update(self._image.front)

    def write_product(self, layer: Layer) -> None:
        attention = self._attentions.get(layer.name)
        if attention is None:
            self._products.add_layer(layer)
            return
        # q and k cannot be narrowed as weights can, so their product would saturate where 7 bits are needed.
        integer_scores = self.bits == 8
        done = write_attention(self.nodes, self._products, self.graph, attention, integer_scores=integer_scores)
        self.absorbed.update(done)

    def write_conv(self, layer: Layer) -> None:
        if self._image is not None and layer.name == self._image.layer.name:
            write_image_conv(self.nodes, self.emission, self._image, self.conv_target(layer), bits=self.bits)
        else:
            super().write_conv(layer)

    def write_other(self, node: onnx.NodeProto) -> None:
        if node.op_type == "Conv" and self.nodes.is_held(node.input[0]) and is_depth_conv(self.graph, node):
            write_depth_conv(self.nodes, self.graph, node)
        elif node.op_type == "Add" and only_reader(self.graph, node.output[0], "LayerNormalization") is not None:
            # ONNX Runtime would fuse the two to SkipLayerNormalization, which takes 0.26 ms where Add and
            # LayerNormalization take 0.05 (nano at 256x256, one thread). It does not look for Sum.
            node.op_type = "Sum"
            super().write_other(node)
        else:
            super().write_other(node)
