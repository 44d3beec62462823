"""Which operations of a Core ML program the Neural Engine is known to run, and which fall off it and why.

The set is what the engine can run, not what Core ML will place there: Core ML decides by cost, on the device, and only
its compute plan tells (`CoreMLRuntime.info(profile=True)`). Apple documents none of this. Sources: measurements of
the engine's own compiler on M1, M2 and M5 (ANE Guide, appendix A and chapter 17, ane-guide.readthedocs.io; operation
catalogue of sbryngelson/ANEForge), placement by Core ML's compute plan on an M3 (roboflow/rf-detr, pull request 1495),
and Apple's "Deploying Transformers on the Apple Neural Engine".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pixio_edge.export.coreml.mil_program import Program, dtype_of

MAX_RANK = 5
MAX_EXTENT = 16384
"""Of height, width and inner products through A15; from A16 on it is 65536, which channels have everywhere."""

MAX_CHANNELS = 65536
MAX_KERNEL = 13
"""Of a convolution in fp16 on an M1; 15 on an M5. Core ML placed 16 x 16 with stride 16 there on an M3."""

Severity = Literal["off", "some_chips"]
Rule = Literal["operation", "type", "dynamic", "rank", "size", "kernel"]

EVERY_ENGINE = """
abs add ceil clip equal erf exp exp2 floor floor_div greater greater_equal identity inverse less less_equal log
logical_not maximum minimum mul not_equal pow real_div round rsqrt select sign sqrt square sub threshold
clamped_relu elu gelu leaky_relu linear_activation prelu relu relu6 sigmoid sigmoid_hard silu softmax softplus softsign
tanh avg_pool batch_norm conv conv_transpose einsum instance_norm l2_norm layer_norm linear matmul max_pool
reduce_argmax reduce_l1_norm reduce_l2_norm reduce_log_sum reduce_log_sum_exp reduce_max reduce_mean reduce_min
reduce_sum reduce_sum_square scaled_dot_product_attention cast concat crop depth_to_space dequantize expand_dims fill
flatten2d pad pixel_shuffle pixel_unshuffle quantize reshape reverse slice_by_index slice_by_size space_to_depth split
squeeze stack tile transpose
"""
ANE_OPS = frozenset(EVERY_ENGINE.split())
"""Operations that run on every Neural Engine from A13 and M1 on."""

SINCE: Mapping[str, str] = {
    "resize": "A14 and M2",
    "resize_bilinear": "A14 and M2",
    "resize_nearest_neighbor": "A14 and M2",
    "upsample_bilinear": "A14 and M2",
    "upsample_nearest_neighbor": "A14 and M2",
    "crop_resize": "A14 and M2",
    "resample": "A14 and M2",
    "affine": "A14 and M2",
    "gather": "A14 and M2",
    "gather_along_axis": "A14 and M2",
    "topk": "A14 and M2",
    "cos": "A15 and M3",
    "sin": "A15 and M3",
    "reduce_argmin": "A15 and M3",
}
"""Operations that only later engines have, with the first of them; before, another unit or a chain does it."""

FIXES: Mapping[str, str] = {
    "logical_and": "multiply, or take the minimum",
    "logical_or": "take the maximum",
    "logical_xor": "compare with not_equal",
    "mod": "x - y · floor(x / y)",
    "tan": "sin / cos",
}


BIAS_FIX = "nothing: coremltools adds the bias of an image before it casts to fp16, once for each pixel"


@dataclass(frozen=True, slots=True)
class OpFinding:
    """One reason why an operation leaves the Neural Engine.

    Args:
        name: Of the operation.
        op_type: Its type, such as "gather".
        rule: Which rule it breaks.
        severity: "off" on every engine; "some_chips" on older ones.
        detail: What it has and what the engine takes.
        fix: What to do.
    """

    name: str
    op_type: str
    rule: Rule
    severity: Severity
    detail: str
    fix: str

    @property
    def message(self) -> str:
        """One line for people."""
        return f"{self.name} ({self.op_type}): {self.detail}. Fix: {self.fix}"


@dataclass(frozen=True, slots=True)
class EngineSummary:
    """How much of a program the Neural Engine is known to run.

    Args:
        on: Operations by type that every engine runs.
        some_chips: Operations by type that only later engines run.
        off: Operations by type that no engine runs.
    """

    on: Mapping[str, int]
    some_chips: Mapping[str, int]
    off: Mapping[str, int]

    def to_json(self) -> dict[str, dict[str, int]]:
        """All fields as JSON values."""
        return {"on": dict(self.on), "some_chips": dict(self.some_chips), "off": dict(self.off)}


def lint_program(program: Program) -> tuple[OpFinding, ...]:
    """Find what falls off the Neural Engine, in the order in which it runs.

    Args:
        program: From `load_program`.
    """
    has_sizes = any(feature.sizes for feature in program.inputs)
    return tuple(
        finding for operation in _running(program) for finding in _lint_operation(operation, has_sizes=has_sizes)
    )


def summarise(program: Program, findings: tuple[OpFinding, ...] | None = None) -> EngineSummary:
    """Count operations by where they can run.

    Args:
        program: From `load_program`.
        findings: Of `lint_program` for it; None finds them.
    """
    worst: dict[str, Severity] = {}
    for finding in lint_program(program) if findings is None else findings:
        if worst.get(finding.name) != "off":
            worst[finding.name] = finding.severity
    counts: dict[str, Counter[str]] = {"on": Counter(), "some_chips": Counter(), "off": Counter()}
    for operation in _running(program):
        counts[worst.get(operation.name, "on")][operation.op_type] += 1
    return EngineSummary(**counts)


def _running(program: Program) -> Iterator[Any]:
    """Operations that execute: weights are decompressed when the model is loaded, or on their way."""
    return (operation for operation in program.operations if not _is_constant(operation))


def _lint_operation(operation: Any, *, has_sizes: bool) -> Iterator[OpFinding]:
    yield from _check_operation(operation)
    yield from _check_types(operation)
    yield from _check_shapes(operation, has_sizes=has_sizes)
    yield from _check_kernel(operation)


def _check_operation(operation: Any) -> Iterator[OpFinding]:
    kind = operation.op_type
    if kind in SINCE:
        detail = f"the engine has it from {SINCE[kind]} on"
        yield _finding(operation, "operation", "some_chips", detail, "nothing on later chips; measure on older ones")
    elif kind not in ANE_OPS:
        fix = FIXES.get(kind, "write it with operations that the engine has")
        yield _finding(operation, "operation", "off", "the engine is not known to have it", fix)


def _check_types(operation: Any) -> Iterator[OpFinding]:
    """fp16 is what the engine computes in; casts to and from fp32 are part of its input and output."""
    types = {dtype_of(variable) for variable in operation.outputs}
    if operation.op_type == "cast":
        types -= {"fp32"}
    if "fp32" in types:
        fix = BIAS_FIX if _is_image_bias(operation) else "convert it in fp16, unless fp16 overflows there"
        yield _finding(operation, "type", "off", "computes in fp32, the engine in fp16", fix)
    if whole := sorted(types & {"int32", "int16", "uint16"}):
        fix = "make shapes constant: one package for each size"
        yield _finding(operation, "type", "off", f"computes in {whole[0]}, the engine in fp16", fix)


def _is_image_bias(operation: Any) -> bool:
    """Pixel values less their mean, in a package of any precision; the name is the converter's."""
    return operation.op_type == "add" and any(variable.name.endswith("__biased__") for variable in operation.outputs)


def _check_shapes(operation: Any, *, has_sizes: bool) -> Iterator[OpFinding]:
    shapes = [variable.shape for variable in (*_tensors(operation), *operation.outputs)]
    is_fixed = all(isinstance(size, int | np.integer) for shape in shapes for size in shape)
    # A package with a list of sizes is compiled for each of them, so its shapes are fixed by then.
    if not is_fixed and not has_sizes:
        fix = "convert with fixed or enumerated sizes"
        yield _finding(operation, "dynamic", "off", "its shape is not known before it runs", fix)
    rank = max(len(shape) for shape in shapes)
    if rank > MAX_RANK:
        fix = "merge dimensions"
        yield _finding(operation, "rank", "off", f"has a tensor of {rank} dimensions, the engine takes {MAX_RANK}", fix)
    if (extent := max((_extent(shape) for shape in shapes), default=0)) > MAX_EXTENT:
        severity: Severity = "off" if extent > MAX_CHANNELS else "some_chips"
        detail = f"has a dimension of {extent}, the engine takes {MAX_EXTENT} before A16 and {MAX_CHANNELS} from it on"
        yield _finding(operation, "size", severity, detail, "split the tensor, or use a smaller image")


def _extent(shape: tuple[Any, ...]) -> int:
    """Largest fixed dimension, without the channels of an image, which are the second of four."""
    counted = (size for axis, size in enumerate(shape) if not (len(shape) == 4 and axis == 1))
    return max((int(size) for size in counted if isinstance(size, int | np.integer)), default=0)


def _check_kernel(operation: Any) -> Iterator[OpFinding]:
    if operation.op_type not in ("conv", "conv_transpose"):
        return
    window = max(int(size) for size in operation.weight.shape[2:])
    if window > MAX_KERNEL:
        detail = f"has a kernel of {window}, an M1 takes {MAX_KERNEL}"
        yield _finding(operation, "kernel", "some_chips", detail, "pixel_unshuffle and a 1x1 convolution")


def _tensors(operation: Any) -> list[Any]:
    """Inputs that are computed or fed; constants such as weights and axes are laid out by the compiler."""
    found: list[Any] = []
    for given in operation.inputs.values():
        if given is not None:
            found += given if isinstance(given, list | tuple) else [given]
    return [variable for variable in found if variable.op is None or not _is_constant(variable.op)]


def _is_constant(operation: Any) -> bool:
    kind: str = operation.op_type
    return kind == "const" or kind.startswith("constexpr_")


def _finding(operation: Any, rule: Rule, severity: Severity, detail: str, fix: str) -> OpFinding:
    return OpFinding(operation.name, operation.op_type, rule, severity, detail, fix)
