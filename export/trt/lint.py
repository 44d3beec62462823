"""What TensorRT refuses in a graph, found before any build and without TensorRT."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pixio_edge.errors import CheckFailedError, InputError
from pixio_edge.export.trt.lint_quantization import quantization_findings
from pixio_edge.export.trt.lint_rules import Finding, LintGraph, attributes
from pixio_edge.export.trt.operators import FIRST_VERSIONS, OPERATORS
from pixio_edge.export.trt.recipe import OLDEST_TENSORRT

if TYPE_CHECKING:
    import onnx

__all__ = ["Finding", "lint", "require_buildable"]

Version = tuple[int, int]

# Newest operator set by the oldest version that is known to parse it (onnx-tensorrt, docs/operators.md of 10.1, 10.15).
OPERATOR_SETS: tuple[tuple[Version, int], ...] = (((10, 0), 20), ((10, 15), 24))
NEWEST_IR = 10

# A network of any version has tensors of at most this many dimensions (TensorRT, Dims::MAX_DIMS).
MAX_RANK = 8

RESIZE_MODES = frozenset({"linear", "nearest"})
RESIZE_SAMPLINGS = frozenset(
    {"align_corners", "asymmetric", "half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn"}
)

# Types a network can hold; UINT8 only at its ends.
TYPES = frozenset({"BFLOAT16", "BOOL", "FLOAT", "FLOAT16", "INT32", "INT64", "INT8"})
FLOATS = frozenset({"BFLOAT16", "FLOAT", "FLOAT16"})
SELECTED = frozenset({"Cast", "DequantizeLinear", "QuantizeLinear", "Resize"})
"""Operators whose inputs may have different types."""

WIDE_ONLY = frozenset({"LayerNormalization", "Softmax"})


def lint(model: onnx.ModelProto, tensorrt: str = OLDEST_TENSORRT) -> tuple[Finding, ...]:
    """Find what a version of TensorRT refuses, or computes wrong in half precision.

    The rules are those of its ONNX parser (onnx-tensorrt, docs/operators.md and its importers) and of strongly typed
    networks.

    Args:
        model: The graph. Of constants in other files only type and shape are seen.
        tensorrt: Oldest version that has to build it, such as "10.3".

    Raises:
        InputError: `tensorrt` is no version.
    """
    version = _parse(tensorrt)
    graph = LintGraph(model)
    findings = [
        *_format(model, version),
        *_values(graph),
        *_operators(graph, version),
        *_types(graph),
        *_resizes(graph),
        *quantization_findings(graph),
    ]
    return tuple(findings)


def require_buildable(model: onnx.ModelProto, tensorrt: str = OLDEST_TENSORRT) -> None:
    """Refuse a graph that a version of TensorRT would refuse.

    Raises:
        CheckFailedError: There are findings; the message names the first and how many there are.
        InputError: `tensorrt` is no version.
    """
    findings = lint(model, tensorrt)
    if findings:
        first = findings[0]
        raise CheckFailedError(
            f"{first.node}: {first.message} ({len(findings)} findings for TensorRT {tensorrt}). Fix: {first.fix}"
        )


def _parse(version: str) -> Version:
    parts = version.split(".")
    if not all(part.isdigit() for part in parts):
        raise InputError(f"TensorRT version: got '{version}', expected numbers such as 10.3. Fix: give major.minor")
    return int(parts[0]), int(parts[1]) if len(parts) > 1 else 0


def _format(model: onnx.ModelProto, version: Version) -> Iterator[Finding]:
    newest = max((opset for first, opset in OPERATOR_SETS if first <= version), default=OPERATOR_SETS[0][1])
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx") and entry.version > newest:
            yield Finding(
                "model",
                "opset",
                f"operator set {entry.version}, expected at most {newest}",
                "export again with opset 20",
            )
    if model.ir_version > NEWEST_IR:
        yield Finding(
            "model", "ir", f"IR version {model.ir_version}, expected at most {NEWEST_IR}", "write IR version 9"
        )
    if model.functions:
        yield Finding("model", "functions", f"{len(model.functions)} local functions, expected none", "inline them")


def _values(graph: LintGraph) -> Iterator[Finding]:
    for name, value in graph.values.items():
        dims = value.type.tensor_type.shape.dim
        if not value.type.tensor_type.HasField("shape") or any(not dim.dim_value > 0 for dim in dims):
            got = [dim.dim_param or dim.dim_value for dim in dims]
            yield Finding(name, "dynamic", f"value of shape {got}, expected numbers", "export one graph for each size")
        if len(dims) > MAX_RANK:
            yield Finding(name, "rank", f"value of rank {len(dims)}, expected at most {MAX_RANK}", "reshape it")
        kind = graph.type_of(name)
        if kind not in TYPES and not (kind == "UINT8" and name in graph.ends):
            yield Finding(name, "type", f"value of type {kind}, expected one of {', '.join(sorted(TYPES))}", "cast it")
    for name in graph.constants:
        value_of = graph.value(name)
        if value_of is not None and value_of.dtype.kind == "f" and not LintGraph.is_finite(value_of):
            message = "constant that is not finite, as of a cast beyond the range of half precision"
            yield Finding(name, "overflow", message, "keep what reads it in fp32")


def _operators(graph: LintGraph, version: Version) -> Iterator[Finding]:
    images = {name for name in graph.inputs if graph.type_of(name) == "UINT8"}
    for node in graph.nodes:
        first = FIRST_VERSIONS.get(node.op_type)
        if node.domain not in ("", "ai.onnx"):
            operator = f"{node.domain}.{node.op_type}"
            yield Finding(
                node.name, "domain", f"operator {operator}, expected one of ai.onnx", "export without fusions"
            )
        elif first is not None and first.version > version:
            known = ".".join(str(part) for part in first.version)
            yield Finding(
                node.name, "operator", f"operator {node.op_type}, which came with TensorRT {known}", first.instead
            )
        elif first is None and node.op_type not in OPERATORS:
            yield Finding(
                node.name, "operator", f"operator {node.op_type}, which is not known to be in TensorRT", "rewrite it"
            )
        if node.op_type != "Cast" and images.intersection(node.input):
            yield Finding(node.name, "image", "reads a UINT8 input, which only Cast may", "cast the image first")


def _types(graph: LintGraph) -> Iterator[Finding]:
    """A strongly typed network never casts by itself."""
    for node in graph.nodes:
        kinds = {kind for name in node.input if name and (kind := graph.type_of(name)) in FLOATS}
        if len(kinds) > 1 and node.op_type not in SELECTED:
            yield Finding(node.name, "mixed", f"reads {' and '.join(sorted(kinds))}, expected one type", "add a Cast")
        if node.op_type in WIDE_ONLY and "FLOAT16" in kinds:
            message = f"{node.op_type} in half precision, which overflows or loses depth"
            yield Finding(node.name, "narrow", message, "cast around it to fp32, as pixio_edge.export.trt does")


def _resizes(graph: LintGraph) -> Iterator[Finding]:
    for node in graph.nodes:
        if node.op_type != "Resize":
            continue
        found = attributes(node)
        mode, sampling = found.get("mode", "nearest"), found.get("coordinate_transformation_mode", "half_pixel")
        if found.get("antialias", 0):
            yield Finding(node.name, "antialias", "resizes with antialiasing, which TensorRT has not", "resize without")
        if mode not in RESIZE_MODES or sampling not in RESIZE_SAMPLINGS:
            yield Finding(
                node.name, "resize", f"resizes by {mode}, {sampling}", "resize linear with half_pixel or align_corners"
            )
        if not any(name in graph.constants for name in node.input[2:] if name):
            yield Finding(node.name, "resize-size", "resizes to a size that is computed", "export static sizes")
