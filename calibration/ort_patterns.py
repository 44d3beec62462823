"""Small questions about a float graph, for those who replace parts of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import onnx.shape_inference

if TYPE_CHECKING:
    from pixio_edge.calibration.graph import QuantGraph


def only_reader(graph: QuantGraph, tensor: str, operator: str) -> onnx.NodeProto | None:
    """The node that alone reads a tensor, if it is of that operator and the tensor is no output of the graph."""
    readers = graph.consumers.get(tensor, [])
    is_output = any(value.name == tensor for value in graph.model.graph.output)
    return readers[0] if len(readers) == 1 and readers[0].op_type == operator and not is_output else None


def only_producer(graph: QuantGraph, tensor: str, operator: str) -> onnx.NodeProto | None:
    """The node that computes a tensor which one node alone reads, if it is of that operator."""
    node = graph.producers.get(tensor)
    return node if node and node.op_type == operator and len(graph.consumers[tensor]) == 1 else None


def integers(node: onnx.NodeProto, attribute: str) -> list[int] | None:
    """An attribute that is a list of integers; None where the node has none of that name."""
    return next((list(item.ints) for item in node.attribute if item.name == attribute), None)


def static_shape(graph: QuantGraph, tensor: str) -> list[int] | None:
    """Shape of a tensor inside the graph; None where it cannot be said in numbers."""
    shape = _stated_shape(graph.model, tensor)
    return shape or _stated_shape(onnx.shape_inference.infer_shapes(graph.model), tensor)


def _stated_shape(model: onnx.ModelProto, tensor: str) -> list[int] | None:
    known = [value for value in [*model.graph.value_info, *model.graph.output] if value.name == tensor]
    dims = [dim.dim_value for value in known for dim in value.type.tensor_type.shape.dim]
    return dims if dims and all(dims) else None
