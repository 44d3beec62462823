"""What a graph has to compute and to move, counted from its ONNX file: multiply-adds and elements, by stage.

Only matrix products and convolutions count. All else is taken to be fused into them, so the counts are a lower bound.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

Shape = tuple[int, ...]

# Stages of our models by what the names of their nodes contain; the first that fits counts.
STAGES = (
    ("attention", ("/attn/", ".attn/")),
    ("linear layers of the encoder", ("encoder.blocks",)),
    ("stem", ("encoder.patch_embed",)),
    # OpenVINO calls its last nodes by the name of the output.
    ("head", ("head", "depth")),
)
REST = "rest"
PRODUCTS = frozenset({"MatMul", "Gemm", "Conv", "ConvTranspose"})


@dataclass(frozen=True)
class Cost:
    """Of a graph or of one of its stages.

    Attributes:
        macs: Multiply-adds.
        weights: Elements of weights that are read.
        activations: Elements that products and convolutions read and write, weights apart.
    """

    macs: int = 0
    weights: int = 0
    activations: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.macs + other.macs, self.weights + other.weights, self.activations + other.activations)

    def compute_ms(self, macs_per_s: float) -> float:
        """Time of the multiply-adds at a rate."""
        return self.macs / macs_per_s * 1e3

    def memory_ms(self, bytes_per_s: float, element_bytes: float) -> float:
        """Time of reading and writing everything once."""
        return (self.weights + self.activations) * element_bytes / bytes_per_s * 1e3


def stage_of(name: str) -> str:
    """Stage that a node of one of our graphs belongs to, also under the name that an engine made of it."""
    # The products that make queries, keys and values and that join the heads are layers with weights.
    if ".attn.qkv" in name or ".attn.proj" in name:
        return STAGES[1][0]
    return next((stage for stage, parts in STAGES if any(part in name for part in parts)), REST)


def count_stages(model: onnx.ModelProto) -> dict[str, Cost]:
    """Cost of every stage of a float graph with static shapes.

    Raises:
        ValueError: The shape of a tensor that a product uses is not known.
    """
    shapes = _shapes(model)
    constants = _constants(model)
    found: dict[str, Cost] = defaultdict(Cost)
    for node in model.graph.node:
        if node.op_type in PRODUCTS:
            found[stage_of(node.name)] += _count(node, shapes, constants)
    return dict(found)


def count_graph(path: Path) -> Cost:
    """Cost of a whole float graph."""
    return sum(count_stages(onnx.load(path)).values(), Cost())


def _count(node: onnx.NodeProto, shapes: Mapping[str, Shape], constants: frozenset[str]) -> Cost:
    named = [name for name in node.input if name]
    unknown = [name for name in (*named[:2], node.output[0]) if not _is_known(shapes.get(name))]
    if unknown:
        raise ValueError(f"node {node.name!r}: shape of {unknown[0]!r} is not known, expected a graph of one size")
    first, second, output = shapes[named[0]], shapes[named[1]], shapes[node.output[0]]
    elements = math.prod(output)
    if node.op_type == "Conv":
        macs = elements * math.prod(second[1:])
    elif node.op_type == "ConvTranspose":
        macs = math.prod(first) * math.prod(second[1:])
    elif node.op_type == "Gemm":
        is_transposed = any(item.name == "transA" and item.i for item in node.attribute)
        macs = elements * first[0 if is_transposed else 1]
    else:
        macs = elements * first[-1]
    weights = sum(math.prod(shapes[name]) for name in named if name in constants)
    read = sum(math.prod(shapes[name]) for name in named if name not in constants)
    return Cost(macs, weights, read + elements)


def _is_known(shape: Shape | None) -> bool:
    return shape is not None and all(side > 0 for side in shape)


def _shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        value.name: tuple(side.dim_value for side in value.type.tensor_type.shape.dim)
        for value in (*inferred.value_info, *inferred.input, *inferred.output)
    }
    return shapes | {item.name: tuple(item.dims) for item in model.graph.initializer}


def _constants(model: onnx.ModelProto) -> frozenset[str]:
    """Names of weights, also behind nodes that only pass them on."""
    names = {item.name for item in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" or (node.op_type in ("Identity", "Cast", "Transpose") and node.input[0] in names):
            names.update(node.output)
    return frozenset(names)
