"""Applies smoothing to a graph: range moves from activations into weights, and the graph computes the same.

For one activation x with factors f: `x W = (x / f) (diag(f) W)`. The division is folded into what makes x: the affine
part of a LayerNorm, the columns of W_v, or a convolution; after a Gelu it is an explicit multiplication.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import helper

from pixio_edge.calibration.smooth_groups import SmoothingGroup, find_groups
from pixio_edge.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx
    from numpy.typing import NDArray

    from pixio_edge.calibration.graph import QuantGraph
    from pixio_edge.calibration.table import SmoothingEntry

__all__ = ["SmoothingGroup", "apply_smoothing_", "find_groups", "smoothed_tensor"]


def apply_smoothing_(graph: QuantGraph, entries: Sequence[SmoothingEntry]) -> None:
    """Divide activations and multiply weights by the factors of a table; what the graph computes stays the same.

    Constants that other nodes share are copied first, so nothing else changes. The arithmetic depends on weights and
    factors alone: graphs of all sizes of a bundle get the same weights.

    Args:
        graph: The float graph, edited in place.
        entries: Smoothing of a table that was made for this graph.

    Raises:
        SchemaError: An entry names a group that the graph does not have, or its factors do not fit.
    """
    groups = {(group.kind, group.source): group for group in find_groups(graph)} if entries else {}
    multiplied: dict[str, NDArray[np.float64]] = {}
    for entry in entries:
        factors = np.asarray(entry.factors, dtype=np.float64)
        group = _fitting(entry, groups.pop((entry.kind, entry.source), None), factors)
        for layer in group.layers:
            _scale_(graph, graph.nodes[layer.name], 1, factors, axis=1 - layer.channel_axis)
        if entry.kind == "layer_norm":
            node = graph.nodes[group.source]
            for index in (index for index in range(1, len(node.input)) if node.input[index]):
                _scale_(graph, node, index, 1 / factors, axis=0)
        elif entry.kind in ("value", "conv"):
            _divide_layer_(graph, group, factors)
        else:
            multiplied[group.source] = 1 / factors
    _multiply_outputs_(graph, multiplied)
    graph.drop_unused_constants()


def smoothed_tensor(group: SmoothingGroup) -> str:
    """Name of the activation that the layers of a group read once the group is smoothed."""
    return _multiplication(group.source) if group.kind == "gelu" else group.tensor


def _fitting(entry: SmoothingEntry, group: SmoothingGroup | None, factors: NDArray[np.float64]) -> SmoothingGroup:
    place, fix = f"smoothing of '{entry.source}'", "Fix: calibrate this graph again"
    if group is None or {layer.name for layer in group.layers} != set(entry.layers):
        found = "none" if group is None else ", ".join(layer.name for layer in group.layers)
        raise SchemaError(
            f"{place}: the table has the layers {', '.join(entry.layers)} read it ({entry.kind}), "
            f"in the graph (each once) it is {found}. {fix}"
        )
    if factors.shape != (len(group.channels),) or not (np.isfinite(factors) & (factors > 0)).all():
        raise SchemaError(
            f"{place}: got {factors.size} factors, expected {len(group.channels)}, all positive and finite. {fix}"
        )
    return group


def _divide_layer_(graph: QuantGraph, group: SmoothingGroup, factors: NDArray[np.float64]) -> None:
    """Divide those output channels of the source layer, weight and bias, that the group is made of."""
    layer = next(layer for layer in graph.layers() if layer.name == group.source)
    per_channel = np.ones(graph.constants[layer.weight].dims[layer.channel_axis])
    per_channel[list(group.channels)] = 1 / factors
    _scale_(graph, graph.nodes[layer.name], 1, per_channel, axis=layer.channel_axis)
    if layer.bias is not None:
        adding = graph.nodes[layer.bias_add or layer.name]
        _scale_(graph, adding, list(adding.input).index(layer.bias), per_channel, axis=0)


def _scale_(graph: QuantGraph, node: onnx.NodeProto, index: int, factors: NDArray[np.float64], *, axis: int) -> None:
    """Multiply a constant input of a node along one axis, for this node alone."""
    name = node.input[index]
    value = graph.constant(name)
    shape = [1] * value.ndim
    shape[axis] = -1
    scaled = (value.astype(np.float64) * factors.reshape(shape)).astype(value.dtype)
    if len(graph.consumers[name]) == 1:
        graph.replace_constant(name, scaled)
    else:
        node.input[index] = graph.add_constant(f"{node.name}/smoothed_{index}", scaled)
        graph.reindex()


def _multiply_outputs_(graph: QuantGraph, factors: dict[str, NDArray[np.float64]]) -> None:
    """Put a multiplication per channel after each named node, for everything that reads it."""
    if not factors:
        return
    nodes: list[onnx.NodeProto] = []
    for node in graph.model.graph.node:
        nodes.append(node)
        if node.name not in factors:
            continue
        name = _multiplication(node.name)
        constant = graph.add_constant(f"{name}/B", factors[node.name].astype(np.float32))
        for reader in graph.consumers[node.output[0]]:
            reader.input[list(reader.input).index(node.output[0])] = name
        nodes.append(helper.make_node("Mul", [node.output[0], constant], [name], name=name))
        _declare_like_(graph, name, node.output[0])
    graph.set_nodes(nodes)


def _declare_like_(graph: QuantGraph, name: str, other: str) -> None:
    """Note the type and shape of a new value, where the graph notes them for a value of the same shape."""
    values = graph.model.graph.value_info
    for value in [value for value in values if value.name == other]:
        added = values.add()
        added.CopyFrom(value)
        added.name = name


def _multiplication(source: str) -> str:
    return f"{source}/Smoothing"
