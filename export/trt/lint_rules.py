"""What the rules of the linter share: findings, and a graph as they see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx.shape_inference
from onnx import TensorProto, numpy_helper

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Finding:
    """One breach of a rule.

    Attributes:
        node: Name of the node, value or constant that it is about, or "model".
        rule: Short name of the rule.
        message: What was found and what is expected.
        fix: What to do about it.
    """

    node: str
    rule: str
    message: str
    fix: str


class LintGraph:
    """A graph with types and shapes of all values, computed where they are not stated.

    Args:
        model: The graph; it is not changed.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        stated = {value.name for value in (*graph.value_info, *graph.output)}
        if any(name and name not in stated for node in graph.node for name in node.output):
            graph = onnx.shape_inference.infer_shapes(model).graph
        self.nodes = list(graph.node)
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        values = (*graph.input, *graph.value_info, *graph.output)
        self.values = {value.name: value for value in values if value.name not in self.constants}
        self.inputs = [value.name for value in graph.input if value.name not in self.constants]
        self.ends = {*self.inputs, *(value.name for value in graph.output)}
        self.producers = {name: node for node in graph.node for name in node.output}

    def type_of(self, name: str) -> str:
        """Type of a value or constant by its ONNX name; "UNDEFINED" where it is not known."""
        if name in self.constants:
            return str(TensorProto.DataType.Name(self.constants[name].data_type))
        value = self.values.get(name)
        kind = TensorProto.UNDEFINED if value is None else value.type.tensor_type.elem_type
        return str(TensorProto.DataType.Name(kind))

    def value(self, name: str) -> NDArray[Any] | None:
        """Value of a constant; None if it is none, or in another file."""
        tensor = self.constants.get(name)
        if tensor is None or tensor.data_location == TensorProto.EXTERNAL:
            return None
        return numpy_helper.to_array(tensor)

    @staticmethod
    def is_finite(value: NDArray[Any]) -> bool:
        """Whether all of an array is."""
        return bool(np.isfinite(value).all())


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Attributes of a node by name, bytes as text."""
    values = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}
