"""Rules of TensorRT about Q/DQ pairs: symmetric INT8, one scale for an activation, biases in float."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.export.trt.lint_rules import Finding

if TYPE_CHECKING:
    import onnx

    from pixio_edge.export.trt.lint_rules import LintGraph

PAIR = frozenset({"DequantizeLinear", "QuantizeLinear"})

# Operators without an INT8 kernel that reads integers (onnx-tensorrt, docs/operators.md).
FLOAT_ONLY = frozenset({"ConvTranspose"})


def quantization_findings(graph: LintGraph) -> Iterator[Finding]:
    """Findings about all pairs of a graph."""
    for node in graph.nodes:
        if node.op_type in PAIR:
            yield from _integers(graph, node)
            yield from _scale(graph, node)
        elif node.op_type in FLOAT_ONLY and any(_is_dequantized(graph, name) for name in node.input):
            yield Finding(
                node.name, "int8-operator", f"{node.op_type} in INT8, which has no kernel", "keep it in float"
            )


def _integers(graph: LintGraph, node: onnx.NodeProto) -> Iterator[Finding]:
    zero = node.input[2] if len(node.input) > 2 else ""
    if node.op_type == "DequantizeLinear":
        kind = graph.type_of(node.input[0])
    else:
        kind = graph.type_of(zero) if zero else "UINT8"  # what ONNX says of a QuantizeLinear without zero point
    if kind == "INT32":
        yield Finding(node.name, "int32-bias", "dequantises INT32, such as a bias", "keep biases in float")
    elif kind != "INT8":
        yield Finding(node.name, "int8", f"quantised type {kind}, expected INT8", "quantise to signed INT8")
    if not zero:
        return
    if zero not in graph.constants:
        yield Finding(node.name, "zero-point", "zero point that is computed, expected 0", "quantise symmetrically")
    value = graph.value(zero)
    if value is not None and np.any(value):
        worst = int(value.flat[np.abs(value.astype(np.int64)).argmax()])
        yield Finding(node.name, "zero-point", f"zero point {worst}, expected 0", "quantise symmetrically")


def _scale(graph: LintGraph, node: onnx.NodeProto) -> Iterator[Finding]:
    name = node.input[1]
    if name not in graph.constants:
        yield Finding(node.name, "scale", "scale that is computed, expected a constant", "calibrate before the export")
        return
    value = graph.value(name)
    if value is not None and not (np.isfinite(value).all() and (value > 0).all()):
        yield Finding(node.name, "scale", "scale that is not positive, which TensorRT refuses", "calibrate again")
    is_weight = node.input[0] in graph.constants
    if len(graph.constants[name].dims) > 0 and not is_weight and np.prod(graph.constants[name].dims) > 1:
        count = int(np.prod(graph.constants[name].dims))
        yield Finding(
            node.name, "per-channel", f"activation with {count} scales, expected one", "use one scale for the tensor"
        )
    if node.op_type == "QuantizeLinear" and graph.type_of(node.input[0]) != graph.type_of(name):
        got = f"{graph.type_of(node.input[0])} with a scale of {graph.type_of(name)}"
        yield Finding(node.name, "scale-type", f"quantises {got}, expected one type", "cast the scale")


def _is_dequantized(graph: LintGraph, name: str) -> bool:
    producer = graph.producers.get(name)
    return producer is not None and producer.op_type == "DequantizeLinear"
