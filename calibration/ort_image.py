"""The first convolution on the image's own bytes: no rounding, and none of the float passes before it.

Exported graphs begin with Cast, Transpose and Sub of a mean for each channel. The image is integers already, so its
scale is 1, and the means that differ from the one zero point become part of the bias:
w * (x - mean) = w * (x - z) + w * (z - mean). Where the convolution pads, the float graph pads with the mean, which
is done here by rows and columns of the mean's bytes around the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.calibration.onnx_int8_nodes import Held, real_bias
from pixio_edge.calibration.ort_patterns import integers, only_producer
from pixio_edge.calibration.qparams import QuantParams, along, dequantize_weight

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx
    from numpy.typing import NDArray

    from pixio_edge.calibration.emit_base import Emission
    from pixio_edge.calibration.graph import Layer, QuantGraph
    from pixio_edge.calibration.onnx_int8_nodes import Int8Nodes

TO_PLANES = [0, 3, 1, 2]


@dataclass(frozen=True, slots=True)
class ImageConv:
    """A convolution that reads the image through nothing but Cast, Transpose and Sub.

    Attributes:
        layer: The convolution.
        front: Names of those nodes.
        image: Name of the graph's input, uint8 (1, height, width, channels).
        shape: Its shape.
        mean: What Sub takes off, one value for each channel.
        pads: Rows and columns of padding that the convolution reads: top, left, bottom, right.
    """

    layer: Layer
    front: tuple[str, ...]
    image: str
    shape: tuple[int, int, int, int]
    mean: NDArray[np.float64]
    pads: tuple[int, int, int, int]


def find_image_conv(graph: QuantGraph, layers: Sequence[Layer]) -> ImageConv | None:
    """The one layer that reads the image as exported graphs do; None where there is none of that form."""
    for layer in layers:
        if layer.kind == "conv" and (found := _match(graph, layer)) is not None:
            return found
    return None


def write_image_conv(nodes: Int8Nodes, emission: Emission, found: ImageConv, target: Held, *, bits: int) -> None:
    """Add the convolution, from the image's bytes to integers.

    Args:
        nodes: Where it goes.
        emission: The float graph.
        found: From `find_image_conv`.
        target: What it computes, from `Int8Nodes.hold`.
        bits: Width of the weights.
    """
    zero = round(float(found.mean.mean()))
    layer, held = found.layer, nodes.hold(found.image, QuantParams(1.0, zero, "uint8", 0, 255))
    planes = f"{layer.name}/planes"
    nodes.add("Transpose", [_pad(nodes, found)], [planes], f"{layer.name}/Transpose", {"perm": TO_PLANES})
    weight = dequantize_weight(*emission.weight(layer, bits), layer.channel_axis)
    offset = (weight * along(zero - found.mean, 1, weight.ndim)).sum(axis=tuple(range(1, weight.ndim)))
    source = Held(planes, held.scale, held.zero_point, held.params)
    bias = real_bias(emission, layer) + offset
    nodes.add_conv(layer, source, bias, target, bits=bits, changes={"pads": [0, 0, 0, 0]})


def _pad(nodes: Int8Nodes, found: ImageConv) -> str:
    """Add rows and columns of the mean's bytes around the image; gives the name of the result."""
    _, height, width, channels = found.shape
    top, left, bottom, right = found.pads
    image = found.image
    sides = ((1, (top, width), (bottom, width)), (2, (height + top + bottom, left), (height + top + bottom, right)))
    for axis, before, after in sides:
        names = [image]
        for place, (rows, columns) in enumerate((before, after)):
            if rows and columns:
                border = np.broadcast_to(np.rint(found.mean).astype(np.uint8), (1, rows, columns, channels))
                name = nodes.constant(found.layer, f"border_{axis}_{place}", border)
                names.insert(place * len(names), name)
        if len(names) > 1:
            image = f"{found.layer.name}/padded_{axis}"
            nodes.add("Concat", names, [image], f"{found.layer.name}/Concat_{axis}", {"axis": axis})
    return image


def _match(graph: QuantGraph, layer: Layer) -> ImageConv | None:
    subtract = only_producer(graph, layer.input, "Sub")
    transpose = only_producer(graph, subtract.input[0], "Transpose") if subtract else None
    cast = only_producer(graph, transpose.input[0], "Cast") if transpose else None
    if subtract is None or transpose is None or cast is None or subtract.input[1] not in graph.constants:
        return None
    image = next((value for value in graph.model.graph.input if value.name == cast.input[0]), None)
    if image is None or integers(transpose, "perm") != TO_PLANES:
        return None
    batch, height, width, channels = (dim.dim_value for dim in image.type.tensor_type.shape.dim)
    mean = graph.constant(subtract.input[1]).astype(np.float64).reshape(-1)
    if len(mean) != channels:
        return None
    pads = _pads(graph.nodes[layer.name], (height, width), graph.constants[layer.weight].dims[2:])
    front = (cast.name, transpose.name, subtract.name)
    return ImageConv(layer, front, image.name, (batch, height, width, channels), mean, pads)


def _pads(conv: onnx.NodeProto, size: tuple[int, int], kernel: Sequence[int]) -> tuple[int, int, int, int]:
    """Padding of a convolution without what its stride never reaches."""
    given = integers(conv, "pads") or [0, 0, 0, 0]
    strides, dilations = integers(conv, "strides") or [1, 1], integers(conv, "dilations") or [1, 1]
    ends = []
    for axis in (0, 1):
        extent = dilations[axis] * (kernel[axis] - 1) + 1
        outputs = (size[axis] + given[axis] + given[axis + 2] - extent) // strides[axis] + 1
        ends.append(max((outputs - 1) * strides[axis] + extent - given[axis] - size[axis], 0))
    return given[0], given[1], ends[0], ends[1]
