"""Inputs of the kernels that work on rows, and these kernels run on them by the PTX emulator, with all its checks."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from compiled_kernels import shipped_ptx
from ptx_emulator import Report, run_ptx

from pixio_edge.kernels import oracle
from pixio_edge.kernels.catalogue import Launch
from pixio_edge.kernels.geometry_add_layer_norm import plan_add_layer_norm
from pixio_edge.kernels.geometry_bias_gelu import plan_bias_gelu
from pixio_edge.kernels.precision import from_bf16, round_to, to_bf16

MODEL_CHANNELS = (192, 384, 768, 1280, 1536, 3072)
EPS = 1e-6


@dataclass(frozen=True, slots=True)
class NormCase:
    """Arguments of one residual add and LayerNorm: float32 arrays of values that their precisions hold."""

    x: np.ndarray
    branch: np.ndarray
    branch_bias: np.ndarray | None
    layer_scale: np.ndarray | None
    weight: np.ndarray
    bias: np.ndarray
    precision: str
    residual: str

    @property
    def defines(self) -> dict[str, int]:
        return {"ELEMENT_BF16": int(self.precision == "bf16"), "RESIDUAL_FP32": int(self.residual == "fp32")}

    @property
    def parameters(self) -> dict[str, Any]:
        names = ("branch_bias", "layer_scale", "weight", "bias")
        return {name: getattr(self, name) for name in names} | {"eps": EPS}

    def exact(self) -> tuple[np.ndarray, np.ndarray]:
        return oracle.add_layer_norm(self.x, self.branch, **self.parameters)

    def naive(self) -> tuple[np.ndarray, np.ndarray]:
        return oracle.naive_add_layer_norm(
            self.x, self.branch, **self.parameters, precision=self.precision, residual=self.residual
        )

    def ratios(self, total: np.ndarray, normed: np.ndarray) -> tuple[float, float]:
        """Errors of sum and norm, each relative to that of the naive run."""
        exact, naive = self.exact(), self.naive()
        return oracle.ratio_to_naive(total, exact[0], naive[0]), oracle.ratio_to_naive(normed, exact[1], naive[1])

    def with_rows(self, x: np.ndarray, branch: np.ndarray | None = None) -> "NormCase":
        """Other rows, rounded to the precisions."""
        branch = self.branch if branch is None else round_to(branch, self.precision)
        return replace(self, x=round_to(x, self.residual), branch=branch)


def make_norm_case(
    rows: int,
    channels: int,
    *,
    precision: str = "fp16",
    residual: str | None = None,
    magnitude: float = 1.0,
    mean: float = 0.0,
    seed: int = 0,
) -> NormCase:
    """Normal values times `magnitude` around `mean`, with a branch bias and a layer scale."""
    rng = np.random.default_rng([seed, rows, channels])
    stream = residual or precision

    def draw(shape: tuple[int, ...], scale: float, shift: float, kind: str) -> np.ndarray:
        return round_to(rng.standard_normal(shape) * scale + shift, kind)

    return NormCase(
        x=draw((rows, channels), magnitude, mean, stream),
        branch=draw((rows, channels), magnitude, 0.0, precision),
        branch_bias=draw((channels,), magnitude, 0.0, precision),
        layer_scale=draw((channels,), 0.3, 0.0, precision),
        weight=draw((channels,), 0.2, 1.0, precision),
        bias=draw((channels,), 0.5, 0.0, precision),
        precision=precision,
        residual=stream,
    )


@dataclass(frozen=True, slots=True)
class Ran:
    """What a kernel wrote, floats as float32, and what the emulator counted.

    Attributes:
        outputs: Arrays in the order of the kernel's arguments.
        report: Of the emulator.
    """

    outputs: tuple[np.ndarray, ...]
    report: Report


def run_norm(
    case: NormCase,
    *,
    quantize: bool = False,
    in_place: bool = False,
    launch: Launch | None = None,
    rough: bool = False,
    arch: str = "compute_80",
) -> Ran:
    """Run the kernel: sum and norm, or sum, codes and scale.

    Args:
        case: Arguments.
        quantize: Run the entry point that writes INT8.
        in_place: The sum is written over x.
        launch: In place of the planned one.
        rough: Approximate instructions err by as much as PTX allows.
    """
    rows, channels = case.x.shape
    (planned,) = plan_add_layer_norm(rows, channels, quantize=quantize)
    x = store(case.x, case.residual)
    total = x if in_place else np.zeros_like(x)
    outputs = [total, *_results(rows, channels, case.precision, quantize)]
    names = ("branch", "branch_bias", "layer_scale", "weight", "bias")
    inputs = [x, *(store(getattr(case, name), case.precision) for name in names)]
    first = len(inputs) + in_place
    undefined = range(first, len(inputs) + len(outputs))
    ptx = shipped_ptx("add_layer_norm", case.defines, arch)
    report = _run(ptx, launch or planned, [*inputs, *outputs, rows, channels, EPS], undefined, rough)
    kinds = [case.residual, *(("int8", "fp32") if quantize else (case.precision,))]
    return Ran(tuple(load(array, kind) for array, kind in zip(outputs, kinds, strict=True)), report)


def run_gelu(
    x: np.ndarray,
    bias: np.ndarray,
    precision: str,
    *,
    quantize: bool = False,
    in_place: bool = False,
    launch: Launch | None = None,
    rough: bool = False,
    arch: str = "compute_80",
) -> Ran:
    """Run bias and GELU on (rows, channels): the result, or codes and scale. Arguments as of `run_norm`."""
    rows, channels = x.shape
    (planned,) = plan_bias_gelu(rows, channels, quantize=quantize)
    inputs = [store(x, precision), store(bias, precision)]
    outputs = [inputs[0]] if in_place else _results(rows, channels, precision, quantize)
    undefined = () if in_place else range(2, 2 + len(outputs))
    ptx = shipped_ptx("bias_gelu", {"ELEMENT_BF16": int(precision == "bf16")}, arch)
    report = _run(ptx, launch or planned, [*inputs, *outputs, rows, channels], undefined, rough)
    kinds = ("int8", "fp32") if quantize else (precision,)
    return Ran(tuple(load(array, kind) for array, kind in zip(outputs, kinds, strict=True)), report)


def store(values: np.ndarray | None, precision: str) -> np.ndarray | None:
    """Values as they are in a GPU's memory."""
    if values is None:
        return None
    if precision == "bf16":
        return to_bf16(values)
    return values.astype(np.float16 if precision == "fp16" else np.float32)


def load(array: np.ndarray, precision: str) -> np.ndarray:
    """Floats of what is in memory; codes as they are."""
    if precision == "bf16":
        return from_bf16(array)
    return array if precision == "int8" else array.astype(np.float32)


def _results(rows: int, channels: int, precision: str, quantize: bool) -> list[np.ndarray]:
    if quantize:
        return [np.zeros((rows, channels), np.int8), np.zeros(rows, np.float32)]
    return [store(np.zeros((rows, channels)), precision)]


def _run(ptx: str, launch: Launch, arguments: list[Any], undefined: Any, rough: bool) -> Report:
    report = run_ptx(ptx, launch.entry, launch.grid, launch.block, arguments, undefined=tuple(undefined), rough=rough)
    assert not any(report.unwritten.values()), report.unwritten
    return report
