"""Gelu in the operators that every parser of TensorRT has.

The lists of operators and the importers that could be read have Gelu in 10.15 and not in 9.3; for 10.3 nothing says.
TensorRT recognises the spelled-out form and computes it behind the product in front of it, as it does with the operator
itself: engines of both have the same layers (nano, TensorRT for RTX 1.7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper

if TYPE_CHECKING:
    from pixio_edge.calibration.graph import QuantGraph

CONSTANTS = {"gelu/root_half": np.sqrt(0.5), "gelu/one": 1.0, "gelu/half": 0.5}


def spell_out_gelu_(graph: QuantGraph) -> frozenset[str]:
    """Write x / 2 * (1 + erf(x / sqrt(2))) for every exact Gelu; the last node keeps its name.

    Args:
        graph: Edited in place.

    Returns:
        Names of the nodes that were written.
    """
    found = [node for node in graph.model.graph.node if _is_exact_gelu(node)]
    if not found:
        return frozenset()
    for name, value in CONSTANTS.items():
        graph.add_constant(name, np.array(value, np.float32))
    written = {node.name: _spelled_out(node) for node in found}
    values = {value.name: value for value in graph.model.graph.value_info}
    for node in found:
        known = values.get(node.output[0])
        for part in written[node.name][:-1] if known is not None else ():
            value = graph.model.graph.value_info.add()
            value.CopyFrom(known)
            value.name = part.output[0]
    graph.set_nodes([part for node in graph.model.graph.node for part in written.get(node.name, [node])])
    return frozenset(part.name for parts in written.values() for part in parts)


def _is_exact_gelu(node: onnx.NodeProto) -> bool:
    exact = all(item.s == b"none" for item in node.attribute if item.name == "approximate")
    return node.op_type == "Gelu" and exact


def _spelled_out(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    root_half, one, half = CONSTANTS
    x, y, stem = node.input[0], node.output[0], node.name
    return [
        helper.make_node("Mul", [x, root_half], [f"{y}/scaled"], name=f"{stem}/scale"),
        helper.make_node("Erf", [f"{y}/scaled"], [f"{y}/erf"], name=f"{stem}/erf"),
        helper.make_node("Add", [f"{y}/erf", one], [f"{y}/gate"], name=f"{stem}/shift"),
        helper.make_node("Mul", [x, f"{y}/gate"], [f"{y}/double"], name=f"{stem}/gate"),
        helper.make_node("Mul", [f"{y}/double", half], [y], name=stem),
    ]
