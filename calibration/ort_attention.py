"""Attention between integer products: q, k and v as three products, and q times k in INT8.

Exported graphs compute q, k and v by one product, then Reshape, Transpose and Split. Three products that share their
quantised input need no Split, and q and k are quantised before they are transposed, which then moves a quarter of the
bytes. Scores q * k are quantised by their own ranges as they come; what that costs is below what the layers around it
cost (66 dB on nano, where all convolutions cost 32 dB). Softmax and its product with v stay in float: probabilities of
8 bits would lose the many small ones (29 dB), and gain no time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.calibration.ort_patterns import integers, only_reader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pixio_edge.calibration.graph import Layer, QuantGraph
    from pixio_edge.calibration.onnx_int8_nodes import Int8Nodes
    from pixio_edge.calibration.ort_products import DynamicProducts

TO_HEADS = [0, 2, 1, 3]
TRANSPOSED = [0, 1, 3, 2]
# (1, tokens, heads, width) of k to (1, heads, width, tokens).
TO_COLUMNS = [0, 2, 3, 1]


@dataclass(frozen=True, slots=True)
class Attention:
    """Nodes between a layer that computes q, k and v in one, and the Softmax.

    Attributes:
        layer: The layer.
        between: Names of the nodes after it: Reshape, Transpose, Split.
        heads: Shape (1, tokens, heads, width) of each of the three.
        parts: Names of q, k and v, each (1, heads, tokens, width).
        transpose: Name of the Transpose of k.
        scores: Name of the product of q and the transposed k.
        output: Its result.
    """

    layer: Layer
    between: tuple[str, str, str]
    heads: tuple[int, int, int, int]
    parts: tuple[str, str, str]
    transpose: str
    scores: str
    output: str


def find_attentions(graph: QuantGraph, layers: Iterable[Layer]) -> dict[str, Attention]:
    """Attentions of the form that exported graphs have, by the name of their layer."""
    found = (_match(graph, layer) for layer in layers if layer.kind == "matmul")
    return {attention.layer.name: attention for attention in found if attention is not None}


def write_attention(
    nodes: Int8Nodes, products: DynamicProducts, graph: QuantGraph, found: Attention, *, integer_scores: bool
) -> set[str]:
    """Add q, k and v, and the scores if they are wanted in INT8.

    Args:
        nodes: Where they go.
        products: Adds the products.
        graph: The float graph.
        found: From `find_attentions`.
        integer_scores: Whether q times k runs in INT8.

    Returns:
        Names of the nodes that have been replaced, besides those of the layer.
    """
    name = found.layer.name
    shape = graph.add_constant(f"{name}/heads", np.array(found.heads, np.int64))
    rows = tuple(f"{name}/rows_{index}" for index in range(3))
    products.add_parts(found.layer, rows)
    split = tuple(f"{name}/heads_{index}" for index in range(3))
    for index in range(3):
        nodes.add("Reshape", [rows[index], shape], [split[index]], f"{name}/Reshape_{index}")
        if index == 2 or not integer_scores:
            nodes.add(
                "Transpose", [split[index]], [found.parts[index]], f"{name}/Transpose_{index}", {"perm": TO_HEADS}
            )
    if not integer_scores:
        return set(found.between)
    query, key = products.quantize(split[0]), products.quantize_signed(split[1])
    left, right = f"{name}/query", f"{name}/key"
    nodes.add("Transpose", [query[0]], [left], f"{name}/Transpose_0", {"perm": TO_HEADS})
    nodes.add("Transpose", [key[0]], [right], f"{name}/Transpose_1", {"perm": TO_COLUMNS})
    products.add_product(found.scores, (left, *query[1:]), (right, *key[1:]), found.output)
    return {*found.between, found.transpose, found.scores}


def _match(graph: QuantGraph, layer: Layer) -> Attention | None:
    reshape = only_reader(graph, layer.output, "Reshape")
    transpose = only_reader(graph, reshape.output[0], "Transpose") if reshape else None
    split = only_reader(graph, transpose.output[0], "Split") if transpose else None
    if reshape is None or transpose is None or split is None or reshape.input[1] not in graph.constants:
        return None
    query, key, *value = split.output
    turned = only_reader(graph, key, "Transpose")
    scores = only_reader(graph, turned.output[0], "MatMul") if turned else None
    shape = [int(extent) for extent in graph.constant(reshape.input[1]).tolist()]
    if turned is None or scores is None or list(scores.input) != [query, turned.output[0]]:
        return None
    axis = next((item.i for item in split.attribute if item.name == "axis"), 0)
    orders = integers(transpose, "perm"), integers(turned, "perm")
    if len(value) != 1 or len(split.input) != 1 or axis != 1 or orders != (TO_HEADS, TRANSPOSED):
        return None
    if len(shape) != 4 or min(shape) < 1 or shape[2] % 3 or only_reader(graph, query, "MatMul") is None:
        return None
    heads = (shape[0], shape[1], shape[2] // 3, shape[3])
    between = (reshape.name, transpose.name, split.name)
    return Attention(layer, between, heads, (query, key, value[0]), turned.name, scores.name, scores.output[0])
