"""Finds where range can be moved from activations into weights without changing what a graph computes.

Sources of the idea: SmoothQuant (Xiao et al., arXiv 2211.10438) for LayerNorm; its counterpart for values and proj is
exact because attention is linear in V within each channel; between convolutions it is cross-layer equalisation (Nagel
et al., arXiv 1906.04721), exact because a Relu scales with its input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixio_edge.calibration.channel_trace import attended_channels, static_shapes
from pixio_edge.calibration.layer_rows import row_source

if TYPE_CHECKING:
    import onnx

    from pixio_edge.calibration.graph import Layer, QuantGraph
    from pixio_edge.calibration.table import SmoothingKind


# What scales with its input, each channel for itself. Max and average pooling would too; no model of ours has them.
HOMOGENEOUS = ("Relu", "Resize")


@dataclass(frozen=True, slots=True)
class SmoothingGroup:
    """An activation whose channels may be divided, because all that reads it are layers whose rows can be multiplied.

    Attributes:
        kind: How the division is done, see `SmoothingEntry.kind`.
        source: Name of the node that is divided: LayerNormalization, the layer that makes V, a Conv, or
            Gelu.
        tensor: Name of the activation that is read, channels on axis 1 for "conv", else on the last.
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
    """All groups of a graph, in its order, found from its structure alone.

    They are LayerNorm -> linears, V -> proj, Gelu -> linears, and Conv -> Relu or Resize -> convolutions. Where an
    output is read by anything else (a residual Add, the slices behind an encoder's last norm, a graph output), there
    is no group.
    """
    layers = {layer.name: layer for layer in graph.layers()}
    shapes = static_shapes(graph.model)
    groups = []
    for node in graph.model.graph.node:
        if node.op_type == "LayerNormalization" and _has_affine_over_last_axis(graph, node):
            groups.append(_read_by_layers(graph, node, node.output[0], "layer_norm", layers))
        elif node.op_type == "Gelu":
            groups.append(_read_by_layers(graph, node, node.output[0], "gelu", layers))
        elif node.name in layers and layers[node.name].kind == "conv":
            groups.append(_read_by_layers(graph, node, _behind_homogeneous(graph, node.output[0]), "conv", layers))
        elif node.name in layers:
            found = attended_channels(graph, layers[node.name], layers, shapes)
            if found is not None:
                groups.append(SmoothingGroup("value", node.name, found.tensor, found.layers, found.channels))
    return [group for group in groups if group is not None]


def _read_by_layers(
    graph: QuantGraph, node: onnx.NodeProto, tensor: str, kind: SmoothingKind, layers: dict[str, Layer]
) -> SmoothingGroup | None:
    readers = graph.consumers.get(tensor, [])
    found = [layers[reader.name] for reader in readers if reader.name in layers]
    sources = [row_source(graph, layer) for layer in found]
    is_only_read = bool(found) and len(found) == len(readers) and all(layer.input == tensor for layer in found)
    if not is_only_read or None in sources or tensor in {output.name for output in graph.model.graph.output}:
        return None
    if any((layer.kind == "conv") != (kind == "conv") for layer in found):
        return None
    channels = {graph.constants[layer.weight].dims[1 - layer.channel_axis] for layer in found}
    return SmoothingGroup(kind, node.name, tensor, tuple(found), tuple(range(channels.pop())))


def _behind_homogeneous(graph: QuantGraph, tensor: str) -> str:
    """The last of a chain of tensors, each made of the one before by Relu or Resize, and read by nothing else."""
    while True:
        readers = graph.consumers.get(tensor, [])
        outputs = {output.name for output in graph.model.graph.output}
        if len(readers) != 1 or readers[0].op_type not in HOMOGENEOUS or tensor in outputs:
            return tensor
        tensor = readers[0].output[0]


def _has_affine_over_last_axis(graph: QuantGraph, node: onnx.NodeProto) -> bool:
    """Whether the scale (and the bias, if there is one) of a LayerNormalization is a constant vector."""
    vectors = [name for name in node.input[1:] if name]
    return bool(vectors) and all(name in graph.constants and len(graph.constants[name].dims) == 1 for name in vectors)
