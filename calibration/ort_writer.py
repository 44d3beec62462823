"""What the flavours of ONNX Runtime share: which layers they take, the walk over the graph, and convolutions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from pixio_edge.calibration.onnx_int8_nodes import Int8Nodes, real_bias
from pixio_edge.calibration.ort_patterns import only_reader

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx

    from pixio_edge.calibration.emit_base import Emission
    from pixio_edge.calibration.graph import Layer, QuantGraph
    from pixio_edge.calibration.onnx_int8_nodes import Held
    from pixio_edge.calibration.qparams import QuantParams

# The result of a QLinearConv has 256 values, which would be seen as steps in a depth map; and a convolution to so few
# channels has next to nothing to gain (the last of nano: 0.1 of 17 ms, as a product in float).
FEWEST_CHANNELS = 8


def select_layers(graph: QuantGraph) -> frozenset[str]:
    """Layers that ONNX Runtime runs in INT8: all but convolutions to a few channels."""
    return frozenset(
        layer.name
        for layer in graph.layers()
        if layer.kind != "conv" or graph.constants[layer.weight].dims[layer.channel_axis] >= FEWEST_CHANNELS
    )


class OrtWriter(ABC):
    """Walks over a float graph and writes its layers as integer nodes.

    Args:
        emission: The graph and all that is known about it.
        params_of: From the lowest and highest value of an activation to how it is held.
        bits: Width of the weights.
    """

    def __init__(self, emission: Emission, params_of: Callable[[float, float], QuantParams], bits: int) -> None:
        self.emission = emission
        self.graph = emission.graph
        self.bits = bits
        self.nodes = Int8Nodes(emission, params_of)
        # Names of nodes that have been written as part of another one.
        self.absorbed: set[str] = set()

    def write_(self) -> None:
        """Write the whole graph."""
        layers = {layer.name: layer for layer in self.emission.layers}
        for node in list(self.graph.model.graph.node):
            layer = layers.get(node.name)
            if node.name in self.absorbed:
                continue
            if layer is None:
                self.write_other(node)
            elif layer.kind == "conv":
                self.write_conv(layer)
            else:
                self.write_product(layer)
                self.absorbed.add(layer.bias_add or layer.name)
        self.nodes.finish_()

    @abstractmethod
    def write_product(self, layer: Layer) -> None:
        """Add a product of tokens with its bias."""

    def write_conv(self, layer: Layer) -> None:
        """Add a convolution."""
        source, bias = self.nodes.held(layer.input), real_bias(self.emission, layer)
        self.nodes.add_conv(layer, source, bias, self.conv_target(layer), bits=self.bits)

    def write_other(self, node: onnx.NodeProto) -> None:
        """Add a node that stays as it is."""
        self.nodes.keep(node)

    def conv_target(self, layer: Layer) -> Held:
        """What a convolution computes: the tensor after the Relu, where one alone reads its result.

        Integers whose range begins at 0.0 are clipped as Relu clips. A Relu that no layer reads has no range of its
        own; it has that of its input, clipped.
        """
        relu = only_reader(self.graph, layer.output, "Relu")
        if relu is None:
            return self.nodes.hold(layer.output, self.nodes.params(layer.output))
        self.absorbed.add(relu.name)
        active = str(relu.output[0])
        calibrated = active if active in self.emission.table.activations else layer.output
        return self.nodes.hold(active, self.nodes.params(calibrated, lowest=0.0))
