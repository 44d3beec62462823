"""Clean-up of what torch's ONNX exporter writes: readable names, nothing unused, no notes about this machine.

Names end in an underscore because every pass changes the graph it is given. None changes what the graph computes.
"""

from __future__ import annotations

import ast
from collections import Counter
from typing import TYPE_CHECKING

import onnx
from onnx import helper, numpy_helper

from pixio_edge.export.base import IR_VERSION, OPSET

if TYPE_CHECKING:
    from collections.abc import Mapping

# Where the exporter records the path of modules that a node came from, as the text of a Python list.
SCOPES_KEY = "pkg.torch.onnx.name_scopes"

# How the exporter names constants that are not parameters.
ANONYMOUS = "val_"


def clean_(model: onnx.ModelProto, *, module_prefix: str = "") -> None:
    """Run all passes.

    Args:
        model: A graph from `torch.onnx.export(dynamo=True)`.
        module_prefix: Path of a wrapper module to drop from names, with its final dot.
    """
    squeeze_unit_gathers_(model.graph)
    use_half_pixel_(model.graph)
    drop_allow_zero_(model.graph)
    remove_unused_(model.graph)
    name_by_module_(model.graph, module_prefix)
    strip_annotations_(model)
    pin_versions_(model)


def squeeze_unit_gathers_(graph: onnx.GraphProto) -> int:
    """Turn each Gather of element 0 from an axis of length 1 into a Squeeze.

    `tensor[:, 0]` in torch arrives as Gather, which copies in most runtimes and is not fused by any. Can be deleted
    when the exporter does it.

    Returns:
        How many were turned.
    """
    shapes, constants = _shapes(graph), _constants(graph)
    turned = 0
    for node in graph.node:
        if node.op_type != "Gather" or node.input[1] not in constants or node.input[0] not in shapes:
            continue
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
        index = constants[node.input[1]]
        if index.dims or shapes[node.input[0]][axis] != 1 or int(numpy_helper.to_array(index)) not in {0, -1}:
            continue
        axes = f"{ANONYMOUS}{node.output[0]}_axes"
        graph.initializer.append(helper.make_tensor(axes, onnx.TensorProto.INT64, [1], [axis]))
        node.op_type, node.input[1] = "Squeeze", axes
        del node.attribute[:]
        turned += 1
    return turned


def use_half_pixel_(graph: onnx.GraphProto) -> int:
    """Write `pytorch_half_pixel` of Resize as `half_pixel`.

    They differ only where an output side is 1 pixel, and more engines know the second. Can be deleted when the exporter
    writes it.

    Returns:
        How many were written.
    """
    shapes = _shapes(graph)
    written = 0
    for node in graph.node:
        for attribute in node.attribute:
            is_torch_mode = attribute.name == "coordinate_transformation_mode" and attribute.s == b"pytorch_half_pixel"
            if node.op_type == "Resize" and is_torch_mode and min(shapes[node.output[0]][-2:]) > 1:
                attribute.s = b"half_pixel"
                written += 1
    return written


def drop_allow_zero_(graph: onnx.GraphProto) -> int:
    """Drop `allowzero` of each Reshape to a constant shape without zeros, where it means nothing.

    Some parsers refuse the attribute. Can be deleted when the exporter leaves it out.

    Returns:
        From how many nodes it was dropped.
    """
    constants = _constants(graph)
    dropped = 0
    for node in graph.node:
        shape = constants.get(node.input[1]) if node.op_type == "Reshape" and node.attribute else None
        if shape is not None and 0 not in numpy_helper.to_array(shape):
            del node.attribute[:]
            dropped += 1
    return dropped


def remove_unused_(graph: onnx.GraphProto) -> int:
    """Remove nodes and constants from which no output can be reached, and shapes of values that no node computes.

    Returns:
        How many nodes and constants were removed.
    """
    needed = {output.name for output in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(graph.node):  # nodes are in topological order
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    removed = len(graph.node) - len(kept)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    initializers = [tensor for tensor in graph.initializer if tensor.name in needed]
    removed += len(graph.initializer) - len(initializers)
    del graph.initializer[:]
    graph.initializer.extend(initializers)
    # Constants know their own shape; the exporter repeats it.
    produced = {name for node in kept for name in node.output}
    values = [value for value in graph.value_info if value.name in produced]
    del graph.value_info[:]
    graph.value_info.extend(values)
    return removed


def name_by_module_(graph: onnx.GraphProto, module_prefix: str) -> None:
    """Name nodes, values and constants after the torch module they came from.

    A node becomes "encoder.blocks.3.attn.qkv/MatMul" and so does its output; a constant that is not a parameter is
    named after the first node that reads it. Names do not depend on the image size, so ranges found at one size can be
    looked up at another, and reports say which layer they mean.
    """
    fixed = {value.name for value in (*graph.input, *graph.output)}
    constants = {tensor.name for tensor in graph.initializer}
    renamed: dict[str, str] = {}
    scopes: dict[str, str] = {}
    used: Counter[str] = Counter()
    for node in graph.node:
        scope = _scope(node, module_prefix)
        if scope is None:  # the exporter leaves it out for Split: take the module of what it reads
            scope = scopes.get(node.input[0], "")
        base = f"{scope}/{node.op_type}" if scope else node.op_type
        used[base] += 1
        node.name = base if used[base] == 1 else f"{base}_{used[base]}"
        formal = onnx.defs.get_schema(node.op_type, OPSET).inputs
        for index, name in enumerate(node.input):
            if name in constants and name not in renamed:
                anonymous = name.startswith(ANONYMOUS)
                role = formal[min(index, len(formal) - 1)].name
                renamed[name] = f"{node.name}/{role}" if anonymous else name.removeprefix(module_prefix)
        for index, name in enumerate(node.output):
            scopes[name] = scope
            if name not in fixed:
                renamed[name] = node.name if len(node.output) == 1 else f"{node.name}_{index}"
    _rename(graph, renamed)


def strip_annotations_(model: onnx.ModelProto) -> None:
    """Remove stack traces, file paths and other notes of the exporter; they make up most of a small graph's bytes."""
    graph = model.graph
    for annotated in (*graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output, graph, model):
        annotated.ClearField("metadata_props")
        annotated.ClearField("doc_string")
    graph.name = "depth"
    model.ClearField("producer_version")


def pin_versions_(model: onnx.ModelProto) -> None:
    """State the operator set and file version that the oldest supported engine reads.

    Raises:
        ValueError: The graph was exported for another operator set, which a new number would not convert.
    """
    versions = {entry.domain: entry.version for entry in model.opset_import}
    if versions.get("") != OPSET:
        raise ValueError(f"graph has opset {versions.get('')}, expected {OPSET}")
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", OPSET))
    model.ir_version = IR_VERSION


def _scope(node: onnx.NodeProto, module_prefix: str) -> str | None:
    """Path of the innermost module that a node came from; None if the exporter did not record it."""
    for entry in node.metadata_props:
        if entry.key == SCOPES_KEY:
            scopes = ast.literal_eval(entry.value)  # the last entry is the operation itself
            return f"{scopes[-2]}.".removeprefix(module_prefix).rstrip(".")
    return None


def _rename(graph: onnx.GraphProto, renamed: Mapping[str, str]) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = renamed.get(name, name)
    for named in (*graph.initializer, *graph.value_info):
        named.name = renamed.get(named.name, named.name)


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in graph.initializer}


def _shapes(graph: onnx.GraphProto) -> dict[str, list[int]]:
    values = (*graph.value_info, *graph.input, *graph.output)
    return {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values}
