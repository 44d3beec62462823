"""What a Core ML export can be asked for; no coremltools, so that a command line can check its arguments quickly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

from pixio_edge.errors import InputError

Variant = Literal["fp16", "fp16-islands", "fp32", "ane", "w8", "p8", "p6", "w8a8"]
Target = Literal["iOS16", "iOS17", "iOS18"]
DepthOutput = Literal["array", "image"]

_Name = TypeVar("_Name", bound=str)

TARGETS: tuple[Target, ...] = get_args(Target)
DEPTH_OUTPUTS: tuple[DepthOutput, ...] = get_args(DepthOutput)

VARIANTS: dict[Variant, str] = {
    "fp16": "half precision throughout: what the Neural Engine computes in",
    "fp16-islands": "half precision, with softmax and its scores, LayerNorm, the residual stream and the final depth "
    "in float32: for models that overflow in half precision, on the GPU or CPU",
    "fp32": "float32: the reference, on the GPU or CPU",
    "ane": "half precision in the layout of the Neural Engine: channels first, 1x1 convolutions, one head at a time",
    "w8": "half precision, weights stored as 8-bit integers with a scale for each channel: half the size",
    "p8": "half precision, weights stored as indices into 256 values for each layer: half the size",
    "p6": "half precision, weights stored as indices into 64 values for each layer: three eighths of the size",
    "w8a8": "8-bit weights and activations by the bundle's calibration table: for the Neural Engine of A17 Pro, M4 on",
}
"""Every variant with a line that says what it is."""

OLDEST_TARGET: dict[str, Target] = {"w8a8": "iOS17"}
"""Variants whose operations do not exist before: quantize and dequantize came with iOS 17."""

FIXED_ONLY = frozenset({"ane"})
"""Variants that come in packages of one size each."""


@dataclass(frozen=True, slots=True)
class CoreMLOptions:
    """What to convert to; made by `read_options`.

    Attributes:
        variants: Names out of `VARIANTS`, each once.
        target: Oldest system that the packages run on; iOS16 stands for macOS 13 too, iOS17 for 14, iOS18 for 15.
        output: "array" is float32 (1, H, W); "image" is a one-channel half-precision image of H x W.
        enumerated: One package for all sizes with the same weights, instead of one for each.
    """

    variants: tuple[Variant, ...]
    target: Target
    output: DepthOutput
    enumerated: bool


def read_options(
    variants: Sequence[str] = ("fp16",), target: str = "iOS16", output: str = "array", *, enumerated: bool = False
) -> CoreMLOptions:
    """Check what was asked for.

    Raises:
        InputError: An unknown or repeated name, a target older than a variant, or a variant or output that enumerated
            sizes do not come in.
    """
    names = tuple(_known("--variant", name, tuple(VARIANTS)) for name in variants)
    options = CoreMLOptions(
        names,
        _known("--target", target, TARGETS),
        _known("--depth-output", output, DEPTH_OUTPUTS),
        enumerated,
    )
    if not names or len(set(names)) != len(names):
        raise InputError(f"--variant: got {list(names)}, expected at least one, each once. Fix: list each once")
    if enumerated and output == "image":
        raise InputError(
            "--depth-output image: got --enumerated with it, expected array: an image output says its size. "
            "Fix: leave out --enumerated, or take --depth-output array"
        )
    for name in names:
        oldest = OLDEST_TARGET.get(name, TARGETS[0])
        if TARGETS.index(options.target) < TARGETS.index(oldest):
            raise InputError(
                f"--variant {name}: got --target {target}, expected {oldest} or newer, which has its operations. "
                f"Fix: --target {oldest}"
            )
        if enumerated and name in FIXED_ONLY:
            raise InputError(
                f"--variant {name}: got --enumerated with it, expected fixed sizes: it is laid out for one size. "
                "Fix: leave out --enumerated, or take --variant fp16"
            )
    return options


def _known(what: str, name: str, known: tuple[_Name, ...]) -> _Name:
    for candidate in known:
        if candidate == name:
            return candidate
    raise InputError(f"{what}: got '{name}', expected one of {', '.join(known)}. Fix: choose one of these")
