"""Which nodes of a depth graph compute in fp32 where the rest is half precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx

    from pixio_edge.calibration.graph import QuantGraph

# Their sums run over hundreds of values, and exponentials and variances leave the range of half precision; Gelu takes
# the difference of nearly equal values. What computes them is bound by memory, so that fp32 inside costs nothing.
ISLANDS = frozenset({"Gelu", "LayerNormalization", "Softmax"})

# What brings values elsewhere and does not change them: computes in whatever type its input has.
MOVERS = frozenset({"DepthToSpace", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"})

# Products: what precedes the last of them has been computed from features, and what follows is depth.
PRODUCTS = frozenset({"Conv", "Gemm", "MatMul"})

LARGEST_HALF = float(np.finfo(np.float16).max)


def wide_nodes(graph: QuantGraph) -> frozenset[str]:
    """Names of the nodes that have to compute in fp32."""
    islands = {node.name for node in graph.model.graph.node if node.op_type in ISLANDS}
    return frozenset({*islands, *_stream(graph), *_image(graph), *_depth(graph), *_large(graph)})


def _stream(graph: QuantGraph) -> set[str]:
    """Sums and concatenations behind the inputs of LayerNormalization, and sums onto them: the residual stream.

    It grows from block to block, and what a block adds is small beside it, so that rounding it loses most.
    """
    found: set[str] = set()
    waiting = [node.input[0] for node in graph.model.graph.node if node.op_type == "LayerNormalization"]
    while waiting:
        tensor = waiting.pop()
        node = graph.producers.get(tensor)
        if node is None or node.name in found:
            continue
        if node.op_type in MOVERS:
            waiting.append(node.input[0])
        elif node.op_type == "Concat" or _adds_to_stream(graph, node):
            found.add(node.name)
            waiting += node.input
            # The last block has no LayerNormalization behind it where a head reads its result as it is.
            sums = [reader for reader in graph.consumers.get(tensor, []) if _adds_to_stream(graph, reader)]
            waiting += [reader.output[0] for reader in sums]
    return found


def _adds_to_stream(graph: QuantGraph, node: onnx.NodeProto) -> bool:
    return node.op_type == "Add" and not _adds_bias(graph, node)


def _adds_bias(graph: QuantGraph, node: onnx.NodeProto) -> bool:
    """Whether an Add belongs to the product in front of it, which adds the bias before it rounds."""
    producers = [graph.producers.get(name) for name in node.input]
    has_constant = any(name in graph.constants for name in node.input)
    return has_constant and any(producer is not None and producer.op_type == "MatMul" for producer in producers)


def _image(graph: QuantGraph) -> set[str]:
    """Arithmetic on pixels before the first product: means are no halves, and 0 to 255 has 8 bits of its 11."""
    found: set[str] = set()
    waiting = [value.name for value in graph.model.graph.input]
    while waiting:
        for node in graph.consumers.get(waiting.pop(), []):
            if node.op_type not in PRODUCTS and node.op_type != "QuantizeLinear" and node.name not in found:
                found.add(node.name)
                waiting += node.output
    return found


def _depth(graph: QuantGraph) -> set[str]:
    """The last product and all that follows it: depth, which has steps of 6 cm at 64 m in half precision."""
    found: set[str] = set()
    waiting = [value.name for value in graph.model.graph.output]
    while waiting:
        node = graph.producers.get(waiting.pop())
        if node is None or node.name in found:
            continue
        found.add(node.name)
        if node.op_type not in PRODUCTS:
            waiting += node.input
    return found


def _large(graph: QuantGraph) -> Iterator[str]:
    """Nodes with a constant that half precision does not reach."""
    beyond = {
        name
        for name in graph.constants
        if (value := graph.constant(name)).dtype == np.float32 and value.size and np.abs(value).max() > LARGEST_HALF
    }
    return (node.name for node in graph.model.graph.node if beyond.intersection(node.input))
