"""Precision as TensorRT 10.3 to 11 take it: written into the graph, since a strongly typed network has no other.

Every value is fp16 but for islands of fp32, where half precision loses depth or overflows: the transformer's residual
stream, LayerNormalization, softmax with the scores it reads, Gelu, the arithmetic on pixels, and the last convolution
with all that follows it.
"""

from __future__ import annotations

from collections.abc import Collection

import onnx

from pixio_edge.calibration.graph import QuantGraph
from pixio_edge.errors import InputError
from pixio_edge.export.trt.casts import TypeWriter
from pixio_edge.export.trt.gelu import spell_out_gelu_
from pixio_edge.export.trt.islands import wide_nodes
from pixio_edge.export.trt.scales import fit_scales_, tiny_pairs


def to_typed(model: onnx.ModelProto, *, pinned: Collection[str] = ()) -> onnx.ModelProto:
    """Write a graph in fp16 with fp32 islands, for a strongly typed network.

    Args:
        model: The fp32 master graph of a bundle, or its INT8 graph of flavour `tensorrt`; shapes of all values known,
            weights in memory. It is not changed.
        pinned: Names of nodes that compute in fp32 besides the islands. A pinned layer of an INT8 graph reads its
            activations unrounded.

    Returns:
        A copy of equal interface: uint8 `image`, float32 `depth`.

    Raises:
        InputError: `pinned` names no node of this graph.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = QuantGraph(copy)
    unknown = sorted(set(pinned) - set(graph.nodes))
    if unknown:
        raise InputError(
            f"nodes to keep in fp32: got '{unknown[0]}' ({len(unknown)} unknown names), expected names of nodes of "
            "this graph. Fix: take names from the linter or from the layers of the engine"
        )
    _unround_(graph, pinned)
    fit_scales_(graph)
    wide = {*pinned, *wide_nodes(graph), *tiny_pairs(graph), *spell_out_gelu_(graph)}
    TypeWriter(graph, wide).write_()
    return copy


def to_portable(model: onnx.ModelProto) -> onnx.ModelProto:
    """An fp32 graph in the operators that all versions of TensorRT parse; a copy.

    Args:
        model: The fp32 master graph of a bundle, weights in memory.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    spell_out_gelu_(QuantGraph(copy))
    return copy


def _unround_(graph: QuantGraph, pinned: Collection[str]) -> None:
    """Make pinned layers read what QuantizeLinear reads instead of what DequantizeLinear gives."""
    for name in pinned:
        node = graph.nodes[name]
        for index, tensor in enumerate(node.input):
            dequantize = graph.producers.get(tensor)
            quantize = graph.producers.get(dequantize.input[0]) if dequantize is not None else None
            if dequantize is None or quantize is None or dequantize.op_type != "DequantizeLinear":
                continue
            if quantize.op_type == "QuantizeLinear":
                node.input[index] = quantize.input[0]
    graph.reindex()
