"""Writing the types of a graph: which values are half precision, and one Cast where two nodes differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx.shape_inference
from onnx import TensorProto, helper

from pixio_edge.errors import CheckFailedError
from pixio_edge.export.trt.islands import MOVERS

if TYPE_CHECKING:
    from collections.abc import Collection

    from pixio_edge.calibration.graph import QuantGraph

SUFFIXES: dict[int, str] = {TensorProto.FLOAT: "fp32", TensorProto.FLOAT16: "fp16"}

# Inputs of an operator that are float32 whatever it computes in (ONNX, Resize: roi and scales).
FIXED_INPUTS = {"Resize": (1, 2)}


class TypeWriter:
    """Gives every float value of a graph one of two types.

    Args:
        graph: fp32 graph with the shapes of all values; edited in place by `write_`.
        wide: Names of the nodes that compute in fp32.

    Raises:
        CheckFailedError: A value has no known type.
    """

    def __init__(self, graph: QuantGraph, wide: Collection[str]) -> None:
        self._graph = graph
        self._wide = frozenset(wide)
        self._values = _value_infos(graph.model)
        # By name: types of values as they are written so far, and types that constants are read in.
        self._types = {value.name: value.type.tensor_type.elem_type for value in graph.model.graph.input}
        self._read_as: dict[str, set[int]] = {}
        self._nodes: list[onnx.NodeProto] = []

    def write_(self) -> None:
        """Write the types, the Casts between them and the constants in the types they are read in."""
        for node in self._graph.model.graph.node:
            kind = self._kind(node)
            fixed = FIXED_INPUTS.get(node.op_type, ())
            for index, name in enumerate(node.input):
                if index not in fixed and self._is_float(name):
                    node.input[index] = self._as(name, kind)
            self._set_outputs_(node, kind)
            self._nodes.append(node)
        self._graph.set_nodes(self._nodes)
        self._write_constants_()
        self._graph.drop_unused_constants()
        del self._graph.model.graph.value_info[:]
        outputs = {value.name for value in self._graph.model.graph.output}
        written = {name for node in self._graph.model.graph.node for name in node.output} - outputs
        self._graph.model.graph.value_info.extend(value for name, value in self._values.items() if name in written)

    def _kind(self, node: onnx.NodeProto) -> int:
        """Type that a node computes in."""
        if node.name in self._wide:
            return TensorProto.FLOAT
        if node.op_type in MOVERS and self._types.get(node.input[0]) == TensorProto.FLOAT and self._serves_wide(node):
            return TensorProto.FLOAT
        return TensorProto.FLOAT16

    def _serves_wide(self, node: onnx.NodeProto) -> bool:
        readers = [reader for name in node.output for reader in self._graph.consumers.get(name, [])]
        return any(
            reader.name in self._wide or (reader.op_type in MOVERS and self._serves_wide(reader)) for reader in readers
        )

    def _is_float(self, name: str) -> bool:
        if name in self._graph.constants:
            return self._graph.constants[name].data_type == TensorProto.FLOAT
        return self._types.get(name) in SUFFIXES

    def _as(self, name: str, kind: int) -> str:
        """Name of a value in a type."""
        if name in self._graph.constants:
            self._read_as.setdefault(name, set()).add(kind)
            return _constant_name(name, kind)
        if self._types[name] == kind:
            return name
        output = f"{name}/{SUFFIXES[kind]}"
        if output not in self._types:
            self._nodes.append(helper.make_node("Cast", [name], [output], name=f"{output}/Cast", to=kind))
            self._declare_(output, name, kind)
        return output

    def _set_outputs_(self, node: onnx.NodeProto, kind: int) -> None:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = kind
        for name in node.output:
            known = self._values.get(name)
            if known is None:
                raise CheckFailedError(
                    f"node {node.name}: its result '{name}' has no known type, expected those of all values. "
                    "Fix: export the bundle again, which states them"
                )
            is_float = known.type.tensor_type.elem_type == TensorProto.FLOAT
            self._types[name] = kind if is_float else known.type.tensor_type.elem_type
            known.type.tensor_type.elem_type = self._types[name]

    def _declare_(self, name: str, source: str, kind: int) -> None:
        value = onnx.ValueInfoProto()
        value.CopyFrom(self._values[source])
        value.name = name
        value.type.tensor_type.elem_type = kind
        self._values[name] = value
        self._types[name] = kind

    def _write_constants_(self) -> None:
        for name, kinds in self._read_as.items():
            if TensorProto.FLOAT16 in kinds:
                half = np.asarray(self._graph.constant(name)).astype(np.float16)
                self._graph.add_constant(_constant_name(name, TensorProto.FLOAT16), half)


def _constant_name(name: str, kind: int) -> str:
    return name if kind == TensorProto.FLOAT else f"{name}/{SUFFIXES[kind]}"


def _value_infos(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    """Type and shape of every value, computed where the graph does not state them; copies."""
    graph = model.graph
    stated = {value.name for value in (*graph.value_info, *graph.output)}
    if any(name not in stated for node in graph.node for name in node.output):
        graph = onnx.shape_inference.infer_shapes(model).graph
    values = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        values[value.name] = onnx.ValueInfoProto()
        values[value.name].CopyFrom(value)
    return values
