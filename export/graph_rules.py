"""What every exported graph has to look like, so that ONNX Runtime, OpenVINO and TensorRT all take it."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from pixio_edge.errors import CheckFailedError
from pixio_edge.export.base import INPUT_NAME, IR_VERSION, OPSET, OUTPUT_NAME
from pixio_edge.sizes import Size, size_label

# Operators that the models need and that TensorRT 10.3's parser takes with static shapes (onnx-tensorrt,
# docs/operators.md of 10.1). Attention is missing on purpose: that parser learned it in 10.14.
# fmt: off
ALLOWED_OPERATORS = frozenset({
    "Add", "Cast", "Concat", "Conv", "DepthToSpace", "Gelu", "Gemm", "LayerNormalization", "MatMul", "Mul",
    "ReduceMean", "Relu", "Reshape", "Resize", "Sigmoid", "Slice", "Softmax", "Split", "Squeeze", "Sub", "Transpose",
    "Unsqueeze",
})
# fmt: on

# Resize as TensorRT implements it: bilinear, no antialiasing, one of the two conventions that models are trained with.
RESIZE_MODES = frozenset({"half_pixel", "align_corners"})


def check_graph(model: onnx.ModelProto, size: Size) -> None:
    """Check a graph against the rules.

    Args:
        model: The graph; its weights may be external.
        size: The image height and width it is meant for.

    Raises:
        CheckFailedError: A rule is broken; the message names the first breach and how many there are.
    """
    breaches = [*_versions(model), *_interface(model.graph, size), *_shapes(model.graph), *_operators(model.graph)]
    if breaches:
        raise CheckFailedError(
            f"graph {size_label(size)}: {breaches[0]} ({len(breaches)} breaches of the graph rules). "
            "Fix: export a model built from pixio_edge.models, or add a rewrite for the operator"
        )


def _versions(model: onnx.ModelProto) -> Iterator[str]:
    operator_sets = {entry.domain: entry.version for entry in model.opset_import}
    if operator_sets != {"": OPSET}:
        yield f"operator sets are {operator_sets}, expected ai.onnx {OPSET} only"
    if model.ir_version != IR_VERSION:
        yield f"IR version is {model.ir_version}, expected {IR_VERSION}"
    if model.functions:
        yield f"{len(model.functions)} local functions, expected none"


def _interface(graph: onnx.GraphProto, size: Size) -> Iterator[str]:
    expected = {
        "input": (INPUT_NAME, onnx.TensorProto.UINT8, [1, *size, 3]),
        "output": (OUTPUT_NAME, onnx.TensorProto.FLOAT, [1, *size]),
    }
    for side, values in (("input", graph.input), ("output", graph.output)):
        got = [(value.name, value.type.tensor_type.elem_type, _dims(value)) for value in values]
        if got != [expected[side]]:
            yield f"{side} (name, type, shape) is {got}, expected {[expected[side]]}"


def _shapes(graph: onnx.GraphProto) -> Iterator[str]:
    known = {value.name for value in (*graph.value_info, *graph.output)}
    for node in graph.node:
        unknown = [name for name in node.output if name not in known]
        if unknown:
            yield f"node {node.name} has outputs of unknown shape: {unknown}"
    for value in graph.value_info:
        if any(dim <= 0 for dim in _dims(value)):
            yield f"value {value.name} has shape {_dims(value)}, expected static positive sides"


def _operators(graph: onnx.GraphProto) -> Iterator[str]:
    constants = {tensor.name for tensor in graph.initializer}
    images = {value.name for value in graph.input}
    for node in graph.node:
        if node.domain or node.op_type not in ALLOWED_OPERATORS:
            yield f"node {node.name} is {node.domain or 'ai.onnx'}.{node.op_type}, which not all engines have"
        if images.intersection(node.input) and node.op_type != "Cast":
            yield f"node {node.name} reads the uint8 image, which TensorRT allows only to Cast"
        if constants.issuperset(name for name in node.input if name):
            yield f"node {node.name} ({node.op_type}) reads constants only, so it should have been folded"
        if node.op_type == "Resize":
            yield from _resize(node, constants)


def _resize(node: onnx.NodeProto, constants: set[str]) -> Iterator[str]:
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    mode = attributes.get("mode", b"nearest").decode()
    sampling = attributes.get("coordinate_transformation_mode", b"half_pixel").decode()
    if mode != "linear" or sampling not in RESIZE_MODES or attributes.get("antialias", 0):
        yield f"node {node.name} resizes with mode {mode}, {sampling}, antialias {attributes.get('antialias', 0)}"
    if not constants.intersection(node.input):
        yield f"node {node.name} resizes to a size that is not constant"


def _dims(value: onnx.ValueInfoProto) -> list[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]
