"""Reading and editing ONNX graphs by tensor and node name, for everything in this package.

Names are stable: the graphs of all sizes of a bundle have the same nodes and tensors, so what is found on one
(`Layer.name`, tensor names) holds for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from onnx import numpy_helper

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx
    from numpy.typing import NDArray

LayerKind = Literal["matmul", "gemm", "conv"]


@dataclass(frozen=True, slots=True)
class Layer:
    """A matrix product or convolution with constant weights: what can run in INT8.

    Attributes:
        name: Name of its node, such as "encoder.blocks.0.attn.qkv/MatMul"; the key of the layer everywhere.
        kind: "matmul" (weight (K, N)), "gemm" (weight (N, K) or (K, N), see `channel_axis`) or "conv" (weight
            (O, I/groups, kh, kw)).
        input: Name of the activation tensor it reads.
        weight: Name of the constant weight.
        channel_axis: Axis of the weight that counts output channels.
        bias: Name of the constant bias, an input of the node, or of the Add after a matmul; None without one.
        output: Name of its result: of the bias Add where a matmul has one, else of the node itself.
        bias_add: Name of the node that adds the bias of a matmul; None otherwise.
    """

    name: str
    kind: LayerKind
    input: str
    weight: str
    channel_axis: int
    bias: str | None
    output: str
    bias_add: str | None


class QuantGraph:
    """An ONNX model with indices of producers, consumers and constants. Call `reindex` after adding or removing nodes.

    Args:
        model: The model, weights in memory (not external); edited in place.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.reindex()

    def reindex(self) -> None:
        """Rebuild the indices from the graph."""
        graph = self.model.graph
        self.nodes: dict[str, onnx.NodeProto] = {node.name: node for node in graph.node}
        self.producers: dict[str, onnx.NodeProto] = {name: node for node in graph.node for name in node.output}
        self.consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self.consumers.setdefault(name, []).append(node)
        self.constants: dict[str, onnx.TensorProto] = {tensor.name: tensor for tensor in graph.initializer}

    def constant(self, name: str) -> NDArray[np.generic]:
        """Value of a constant; a copy that may be changed."""
        return numpy_helper.to_array(self.constants[name]).copy()

    def add_constant(self, name: str, value: NDArray[np.generic]) -> str:
        """Add a constant under a name that is not taken.

        Raises:
            ValueError: The name is taken.
        """
        if name in self.constants or name in self.producers:
            raise ValueError(f"tensor '{name}' exists already")
        tensor = self.model.graph.initializer.add()
        tensor.CopyFrom(numpy_helper.from_array(np.asarray(value, order="C"), name))
        self.constants[name] = tensor
        return name

    def replace_constant(self, name: str, value: NDArray[np.generic]) -> None:
        """Give a constant another value, for all nodes that read it."""
        self.constants[name].CopyFrom(numpy_helper.from_array(np.asarray(value, order="C"), name))

    def drop_unused_constants(self) -> None:
        """Remove constants that no node reads."""
        used = {name for node in self.model.graph.node for name in node.input}
        kept = [tensor for tensor in self.model.graph.initializer if tensor.name in used]
        if len(kept) != len(self.model.graph.initializer):
            copies = [numpy_helper.from_array(numpy_helper.to_array(t), t.name) for t in kept]
            del self.model.graph.initializer[:]
            self.model.graph.initializer.extend(copies)
        self.reindex()

    def set_nodes(self, nodes: Sequence[onnx.NodeProto]) -> None:
        """Replace all nodes, given in topological order."""
        copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del self.model.graph.node[:]
        self.model.graph.node.extend(copies)
        self.reindex()

    def layers(self) -> list[Layer]:
        """Every matrix product and convolution with constant weights, in graph order."""
        found = [self._layer(node) for node in self.model.graph.node]
        return [layer for layer in found if layer is not None]

    def _layer(self, node: onnx.NodeProto) -> Layer | None:
        if node.op_type not in ("MatMul", "Gemm", "Conv") or node.input[1] not in self.constants:
            return None
        bias = node.input[2] if len(node.input) > 2 and node.input[2] in self.constants else None
        if node.op_type == "Conv":
            return Layer(node.name, "conv", node.input[0], node.input[1], 0, bias, node.output[0], None)
        if node.op_type == "Gemm":
            transposed = any(item.name == "transB" and item.i for item in node.attribute)
            axis = 0 if transposed else 1
            return Layer(node.name, "gemm", node.input[0], node.input[1], axis, bias, node.output[0], None)
        if len(self.constants[node.input[1]].dims) != 2:
            return None
        add, bias = self._bias_add(node)
        output = add.output[0] if add is not None else node.output[0]
        name = add.name if add is not None else None
        return Layer(node.name, "matmul", node.input[0], node.input[1], 1, bias, output, name)

    def _bias_add(self, node: onnx.NodeProto) -> tuple[onnx.NodeProto | None, str | None]:
        """The Add of a constant vector that alone reads a product."""
        readers = self.consumers.get(node.output[0], [])
        if len(readers) != 1 or readers[0].op_type != "Add":
            return None, None
        others = [name for name in readers[0].input if name != node.output[0]]
        if len(others) != 1 or others[0] not in self.constants or len(self.constants[others[0]].dims) != 1:
            return None, None
        return readers[0], others[0]
