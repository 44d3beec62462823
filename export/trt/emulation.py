"""What a typed graph computes, on a CPU: every half value is rounded as a GPU rounds it.

ONNX Runtime has few half precision kernels for CPUs. For the others it widens values and, where two such nodes meet,
never rounds between them: of the error of nano in half precision it shows a third. So the graph is rewritten to
compute in fp32 and to round each result by two Casts, which it keeps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pixio_edge.calibration.trial import run_graph
from pixio_edge.export.trt.islands import MOVERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Results that are not rounded: moved values are rounded already, and what DequantizeLinear gives is not stored: the
# product that reads it works on the integers.
EXACT = MOVERS | {"DequantizeLinear"}


def run_typed(
    model: onnx.ModelProto, feeds: Sequence[NDArray[np.uint8]], threads: int | None = None
) -> list[NDArray[np.float32]]:
    """First output of a typed graph for each input, as an engine computes it up to the order of additions.

    Args:
        model: From `to_typed`, weights in memory.
        feeds: Values of the input, uint8 (1, H, W, 3).
        threads: Of ONNX Runtime; None leaves it to it.
    """
    return run_graph(emulated(model), feeds, threads)


def emulated(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that computes in fp32 and rounds to half precision wherever the graph says so.

    Args:
        model: From `to_typed`, weights in memory.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    half = {v.name for v in graph.value_info if v.type.tensor_type.elem_type == TensorProto.FLOAT16}
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        nodes.append(node)
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT
        for index, name in enumerate(node.output):
            if name in half and node.op_type not in EXACT:
                node.output[index] = f"{name}/exact"
                nodes += _rounding(name)
    written = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(written)
    del graph.value_info[:]
    return copy


def _rounding(name: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Cast", [f"{name}/exact"], [f"{name}/half"], name=f"{name}/round", to=TensorProto.FLOAT16),
        helper.make_node("Cast", [f"{name}/half"], [name], name=f"{name}/widen", to=TensorProto.FLOAT),
    ]
