"""Element types of kernels, and rounding to them in numpy, which has no bfloat16 of its own."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pixio_edge.errors import SpecError

Precision = Literal["fp32", "fp16", "bf16"]
"""Type of the elements of an array."""

Floats = NDArray[np.floating[Any]]
"""Array of any float type, the bfloat16 of `ml_dtypes` included."""

PRECISION_OF = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
"""Precision of the dtypes that kernels and their fallback take, by the dtype's name in numpy and torch."""

INT8_MAX = 127
"""Largest code of symmetric INT8: -128 stays unused, so that a code and its negative are both there."""


def round_to(values: Floats, precision: Precision) -> NDArray[np.float32]:
    """Nearest values that `precision` can hold, ties to the even mantissa, as float32 numbers.

    Beyond the largest of float16 they are infinite, as in hardware.
    """
    if precision == "bf16":
        return from_bf16(to_bf16(values))
    with np.errstate(over="ignore"):
        rounded = np.asarray(values, dtype=np.float16 if precision == "fp16" else np.float32)
    return rounded.astype(np.float32)


def to_bf16(values: Floats) -> NDArray[np.uint16]:
    """The bits of the nearest bfloat16: what a kernel for bfloat16 has in memory.

    Values go through float32, as they do where hardware converts; a NaN stays one.
    """
    with np.errstate(over="ignore"):
        bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    # Half of the lowest kept bit, less one where that bit is 0, rounds a tie to the even neighbour.
    rounded = ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)
    quiet_nan = ((bits >> 16) | 0x40).astype(np.uint16)
    return np.where((bits & 0x7FFFFFFF) > 0x7F800000, quiet_nan, rounded)


def from_bf16(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Values of bfloat16 bits; exact."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def precision_of(dtype_name: str, what: str) -> str:
    """Precision of a dtype.

    Args:
        dtype_name: Such as "float16".
        what: Which array it is, for the message.

    Raises:
        SpecError: Kernels have no such element.
    """
    if dtype_name not in PRECISION_OF:
        raise SpecError(
            f"{what}: got dtype {dtype_name}, expected one of: {', '.join(PRECISION_OF)}. Fix: convert it to one"
        )
    return PRECISION_OF[dtype_name]
