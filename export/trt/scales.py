"""Scales of Q/DQ pairs as half precision holds them, so that both halves of a pair round alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pixio_edge.calibration.graph import QuantGraph

PAIR = frozenset({"QuantizeLinear", "DequantizeLinear"})

# Below it halves lose digits, and then all of them; a channel of such small weights is dead beside any other.
SMALLEST_NORMAL = np.float32(np.finfo(np.float16).smallest_normal)


def fit_scales_(graph: QuantGraph) -> None:
    """Round all scales to values that half precision holds, and integer weights to those scales.

    The integers change only in channels whose scale was below `SMALLEST_NORMAL`: elsewhere a scale moves by 0.05 %,
    which is less than half a step at 127.

    DequantizeLinear loses its zero points, which are 0: parsers up to TensorRT 10 turn them into float32 constants
    beside half scales (onnx-tensorrt, onnxOpImporters.cpp). QuantizeLinear needs them, since they say that it is INT8.

    Args:
        graph: With Q/DQ pairs of constant scales; edited in place.
    """
    done: set[str] = set()
    for node in graph.model.graph.node:
        if node.op_type not in PAIR or node.input[1] not in graph.constants or node.input[1] in done:
            continue
        old = np.asarray(graph.constant(node.input[1]), np.float32)
        new = np.maximum(old.astype(np.float16).astype(np.float32), SMALLEST_NORMAL)
        if node.input[0] in graph.constants:
            integers = graph.constant(node.input[0])
            axis = next((item.i for item in node.attribute if item.name == "axis"), 1)
            ratio = (old / new).reshape([-1 if index == axis % integers.ndim else 1 for index in range(integers.ndim)])
            fitted = np.clip(np.rint(integers.astype(np.float32) * ratio), -127, 127).astype(integers.dtype)
            graph.replace_constant(node.input[0], fitted)
        elif old.size and old.min() < SMALLEST_NORMAL:
            continue  # a tensor of tiny values: its pair stays in fp32, see `tiny_pairs`
        graph.replace_constant(node.input[1], new)
        done.add(node.input[1])
    for node in graph.model.graph.node:
        if node.op_type == "DequantizeLinear" and len(node.input) > 2 and _is_zero(graph, node.input[2]):
            del node.input[2:]


def tiny_pairs(graph: QuantGraph) -> frozenset[str]:
    """Names of Q and DQ nodes whose scale half precision does not hold."""
    return frozenset(
        node.name
        for node in graph.model.graph.node
        if node.op_type in PAIR
        and node.input[1] in graph.constants
        and np.asarray(graph.constant(node.input[1]), np.float32).min() < SMALLEST_NORMAL
    )


def _is_zero(graph: QuantGraph, name: str) -> bool:
    return name in graph.constants and not np.any(graph.constant(name))
