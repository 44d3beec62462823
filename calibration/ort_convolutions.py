"""What the flavours of ONNX Runtime share: which layers they take, and convolutions from integers to integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.calibration.ort_patterns import only_reader

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from pixio_edge.calibration.emit_base import Emission
    from pixio_edge.calibration.graph import Layer, QuantGraph

# The result of a QLinearConv has 256 values. In a depth map they would be seen as steps, and a convolution to fewer
# channels than one vector register holds gains nothing.
FEWEST_CHANNELS = 8


def select_layers(graph: QuantGraph) -> frozenset[str]:
    """Layers that ONNX Runtime runs in INT8 with a gain: all but convolutions to a few channels."""
    return frozenset(
        layer.name
        for layer in graph.layers()
        if layer.kind != "conv" or graph.constants[layer.weight].dims[layer.channel_axis] >= FEWEST_CHANNELS
    )


def real_bias(emission: Emission, layer: Layer) -> NDArray[np.float32]:
    """Bias of a layer with its correction; zeros where there is none."""
    bias = emission.bias(layer)
    channels = emission.graph.constants[layer.weight].dims[layer.channel_axis]
    return np.zeros(channels, np.float32) if bias is None else bias


def absorbed_relu(graph: QuantGraph, tensor: str) -> onnx.NodeProto | None:
    """The Relu that alone reads a tensor: unsigned integers from zero up are clipped as it clips."""
    return only_reader(graph, tensor, "Relu")
