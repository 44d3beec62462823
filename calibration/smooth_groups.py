"""Finds where range can be moved from activations into weights without changing what a graph computes.

Sources of the idea: SmoothQuant (Xiao et al., arXiv 2211.10438) for LayerNorm; its counterpart for values and proj is
exact because attention is linear in V within each channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixio_edge.calibration.channel_trace import attended_channels, static_shapes

if TYPE_CHECKING:
    import onnx

    from pixio_edge.calibration.graph import Layer, QuantGraph
    from pixio_edge.calibration.table import SmoothingKind


@dataclass(frozen=True, slots=True)
class SmoothingGroup:
    """An activation whose channels may be divided, because all that reads it are layers whose rows can be multiplied.

    Attributes:
        kind: How the division is done, see `SmoothingEntry.kind`.
        source: Name of the node that is divided: LayerNormalization, the layer that makes V, or Gelu.
        tensor: Name of the activation, channels on its last axis.
        layers: The layers that read it.
        channels: For each channel of `tensor`, the channel of the source that it is made of. Equal numbers in order
            except for "value", where they are those output channels of the layer that hold V.
    """

    kind: SmoothingKind
    source: str
    tensor: str
    layers: tuple[Layer, ...]
    channels: tuple[int, ...]


def find_groups(graph: QuantGraph) -> list[SmoothingGroup]:
    """All groups of a graph, in its order, found from its structure: LayerNorm -> linears, V -> proj, Gelu -> linears.

    Where an output is read by anything that is not a linear layer (a residual Add, the slices behind an encoder's last
    norm, a graph output), there is no group.
    """
    layers = {layer.name: layer for layer in graph.layers()}
    shapes = static_shapes(graph.model)
    groups = []
    for node in graph.model.graph.node:
        if node.op_type == "LayerNormalization" and _has_affine_over_last_axis(graph, node):
            groups.append(_read_by_layers(graph, node, "layer_norm", layers))
        elif node.op_type == "Gelu":
            groups.append(_read_by_layers(graph, node, "gelu", layers))
        elif node.name in layers and layers[node.name].kind != "conv":
            found = attended_channels(graph, layers[node.name], layers, shapes)
            if found is not None:
                groups.append(SmoothingGroup("value", node.name, found.tensor, found.layers, found.channels))
    return [group for group in groups if group is not None]


def _read_by_layers(
    graph: QuantGraph, node: onnx.NodeProto, kind: SmoothingKind, layers: dict[str, Layer]
) -> SmoothingGroup | None:
    tensor = node.output[0]
    readers = graph.consumers.get(tensor, [])
    found = [layers[reader.name] for reader in readers if reader.name in layers]
    if not found or len(found) != len(readers) or tensor in {output.name for output in graph.model.graph.output}:
        return None
    if any(layer.kind == "conv" or _transposes_input(graph.nodes[layer.name]) for layer in found):
        return None
    rows = {graph.constants[layer.weight].dims[1 - layer.channel_axis] for layer in found}
    return SmoothingGroup(kind, node.name, tensor, tuple(found), tuple(range(rows.pop()))) if len(rows) == 1 else None


def _has_affine_over_last_axis(graph: QuantGraph, node: onnx.NodeProto) -> bool:
    """Whether the scale (and the bias, if there is one) of a LayerNormalization is a constant vector."""
    vectors = [name for name in node.input[1:] if name]
    return bool(vectors) and all(name in graph.constants and len(graph.constants[name].dims) == 1 for name in vectors)


def _transposes_input(node: onnx.NodeProto) -> bool:
    return node.op_type == "Gemm" and any(item.name == "transA" and item.i for item in node.attribute)
