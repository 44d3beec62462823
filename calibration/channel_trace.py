"""Follows the output channels of a linear layer through data movement and attention, to the layers that read them.

Each element of the traced tensors carries the number of the channel it came from, so any order of Reshape, Transpose,
Split, Slice and Gather is understood, with heads packed in whatever way. A tensor that is the second factor of a
product with something else (`softmax(QK) @ V`) hands its channels on, because every result is a weighted sum within
one channel; all else that reads a channel pins it, and it cannot be rescaled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from pixio_edge.calibration.graph import Layer, QuantGraph

Shape = tuple[int, ...]
Shapes = dict[str, Shape]

# What only regroups elements in their order, so that the shape of the result says all.
REGROUPING = ("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity")

# Constants up to this many elements may say shapes, axes or indices; shape inference does not need to see the others.
SHAPE_CONSTANT_ELEMENTS = 64


@dataclass(frozen=True, slots=True)
class AttendedChannels:
    """Where channels of a layer arrive after attention.

    Attributes:
        tensor: Name of the activation that consists of them.
        layers: The layers that read it.
        channels: For each channel of `tensor`, the output channel of the traced layer that it is made of; all distinct.
    """

    tensor: str
    layers: tuple[Layer, ...]
    channels: tuple[int, ...]


def attended_channels(
    graph: QuantGraph, source: Layer, layers: Mapping[str, Layer], shapes: Shapes
) -> AttendedChannels | None:
    """Channels of a layer that reach other layers through attention and nothing else.

    Args:
        graph: The graph.
        source: A "matmul" or "gemm" layer, such as the one that makes q, k and v.
        layers: All layers of the graph by name.
        shapes: Of `static_shapes`.

    Returns:
        None when there are none, or when they are also read by something that would notice another scale.
    """
    if source.output not in shapes or len(shapes[source.output]) == 0:
        return None
    trace = _Trace(graph, layers, shapes)
    trace.run(source)
    if len(trace.reached) != 1:
        return None
    ((tensor, channels),) = trace.reached.items()
    if len(set(channels)) != len(channels) or trace.pinned.intersection(channels):
        return None
    return AttendedChannels(tensor, tuple(trace.readers), channels)


def static_shapes(model: onnx.ModelProto) -> Shapes:
    """Shapes of the tensors whose every side is known, by ONNX shape inference; the weights are not copied."""
    skeleton = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    skeleton.graph.name = model.graph.name
    skeleton.graph.node.extend(model.graph.node)
    skeleton.graph.input.extend(model.graph.input)
    skeleton.graph.output.extend(model.graph.output)
    for tensor in model.graph.initializer:
        if np.prod(tensor.dims) <= SHAPE_CONSTANT_ELEMENTS and tensor.data_location != onnx.TensorProto.EXTERNAL:
            skeleton.graph.initializer.append(tensor)
        else:
            skeleton.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    inferred = onnx.shape_inference.infer_shapes(skeleton).graph
    shapes: Shapes = {}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            shapes[value.name] = tuple(dim.dim_value for dim in dims)
    return shapes


class _Trace:
    """One walk through the graph; `reached`, `readers` and `pinned` hold what it found."""

    def __init__(self, graph: QuantGraph, layers: Mapping[str, Layer], shapes: Shapes) -> None:
        self._graph = graph
        self._layers = layers
        self._shapes = shapes
        self._ids: dict[str, NDArray[np.int32]] = {}
        self._attended: set[str] = set()
        self.reached: dict[str, tuple[int, ...]] = {}
        self.readers: list[Layer] = []
        self.pinned: set[int] = set()

    def run(self, source: Layer) -> None:
        shape = self._shapes[source.output]
        self._ids[source.output] = np.broadcast_to(np.arange(shape[-1], dtype=np.int32), shape)
        for node in self._graph.model.graph.node:  # in topological order
            if any(name in self._ids for name in node.input):
                self._visit(node)
        for output in self._graph.model.graph.output:
            self._pin([output.name])

    def _visit(self, node: onnx.NodeProto) -> None:
        if not (self._reaches_layer(node) or self._is_moved(node) or self._is_attended(node)):
            self._pin(node.input)

    def _pin(self, names: list[str]) -> None:
        for name in names:
            if name in self._ids:
                self.pinned.update(np.unique(self._ids[name]).tolist())

    def _reaches_layer(self, node: onnx.NodeProto) -> bool:
        """Whether a layer reads attended channels along its contraction, one channel for each weight row."""
        layer = self._layers.get(node.name)
        if layer is None or layer.kind == "conv" or layer.input not in self._attended or _transposes_input(node):
            return False
        rows = self._ids[layer.input].reshape(-1, self._ids[layer.input].shape[-1])
        if not (rows == rows[0]).all():
            return False
        self.reached[layer.input] = tuple(rows[0].tolist())
        self.readers.append(layer)
        return True

    def _is_attended(self, node: onnx.NodeProto) -> bool:
        """Whether this is a product of something else with traced values, that mixes rows but not channels."""
        if node.op_type != "MatMul" or node.input[0] in self._ids or node.input[0] not in self._shapes:
            return False
        ids, output = self._ids[node.input[1]], self._shapes.get(node.output[0])
        if output is None or ids.ndim < 2 or not (ids == ids[..., :1, :]).all():
            return False
        self._ids[node.output[0]] = np.broadcast_to(ids[..., :1, :], output)
        self._attended.add(node.output[0])
        return True

    def _is_moved(self, node: onnx.NodeProto) -> bool:
        """Whether the node only moves elements of its first input."""
        if node.input[0] not in self._ids or any(name in self._ids for name in node.input[1:]):
            return False
        moved = self._move(node, self._ids[node.input[0]])
        if moved is None:
            return False
        for name, ids in zip(node.output, moved, strict=True):
            self._ids[name] = ids
            if node.input[0] in self._attended:
                self._attended.add(name)
        return True

    def _move(self, node: onnx.NodeProto, ids: NDArray[np.int32]) -> list[NDArray[np.int32]] | None:
        attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
        known = [self._shapes[name] for name in node.output if name in self._shapes]
        constants = [
            self._graph.constant(name).astype(np.int64) for name in node.input[1:] if name in self._graph.constants
        ]
        if len(known) != len(node.output):
            return None
        if node.op_type in REGROUPING:
            return [ids.reshape(known[0])]
        if node.op_type == "Transpose":
            return [ids.transpose(attributes.get("perm"))]
        if node.op_type == "Split":
            axis = attributes.get("axis", 0)
            return np.split(ids, np.cumsum([shape[axis] for shape in known])[:-1], axis)
        if node.op_type in ("Gather", "Slice") and len(constants) == len(node.input) - 1:
            is_gather = node.op_type == "Gather"
            return [np.take(ids, constants[0], attributes.get("axis", 0)) if is_gather else _slice(ids, constants)]
        return None


def _slice(ids: NDArray[np.int32], constants: list[NDArray[np.int64]]) -> NDArray[np.int32]:
    """ONNX Slice with starts, ends and optional axes and steps."""
    starts, ends = (values.tolist() for values in constants[:2])
    axes = constants[2].tolist() if len(constants) > 2 else range(len(starts))
    steps = constants[3].tolist() if len(constants) > 3 else [1] * len(starts)
    cuts = [slice(None)] * ids.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        # The most negative end means "past the first element" when walking backwards, which is None in Python.
        cuts[axis] = slice(start, None if step < 0 and end < -ids.shape[axis] else end, step)
    return ids[tuple(cuts)]


def _transposes_input(node: onnx.NodeProto) -> bool:
    return node.op_type == "Gemm" and any(item.name == "transA" and item.i for item in node.attribute)
