"""Rounding as PTX asks for it: fused multiply-add, fp16 and bf16, flush to zero, directed rounding."""

from fractions import Fraction

import numpy as np

F32, F64, F16 = np.float32, np.float64, np.float16
_SMALLEST_NORMAL_EXPONENT = np.uint64(1023 - 126)
_HALF_WAY = np.uint64(0x1000_0000)
_BELOW_F32 = np.uint64(0x1FFF_FFFF)


def flush(values: np.ndarray) -> np.ndarray:
    """``.ftz``: fp32 subnormals become zero of the same sign."""
    bits = values.view(np.uint32)
    small = (bits & np.uint32(0x7F80_0000)) == 0
    return np.where(small, bits & np.uint32(0x8000_0000), bits).view(F32)


def saturate(values: np.ndarray) -> np.ndarray:
    """``.sat``: into [0, 1], NaN becomes +0 (PTX ISA, "Floating Point Instructions: add")."""
    clipped = np.minimum(np.maximum(values, values.dtype.type(0)), values.dtype.type(1))
    return np.where(np.isnan(values), values.dtype.type(0), clipped)


def exact_sum(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The float64 sum rounded to odd (Boldo and Melquiond, 2008): rounding it again to fewer bits is rounding once."""
    total = first + second
    part = total - first
    error = (first - (total - part)) + (second - part)
    bits = total.view(np.int64)
    inexact = (error != 0) & np.isfinite(total) & ((bits & 1) == 0)
    if not inexact.any():
        return total
    away = (error > 0) == (total > 0)
    return np.where(inexact, bits + np.where(away, 1, -1), bits).view(F64)


def fma_f32(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """a x b + c with one rounding to nearest even.

    The product of two fp32 is exact in float64 and the sum is rounded there once; rounding again to fp32 differs from a
    single rounding only when the first lands exactly half way between two fp32, or when the result is subnormal there.
    Only rows with such a lane take the exact path.
    """
    product, addend = a.astype(F64) * b, c.astype(F64)
    total = product + addend
    bits = total.view(np.uint64)
    doubtful = (bits & _BELOW_F32) == _HALF_WAY
    doubtful |= ((bits >> np.uint64(52)) & np.uint64(0x7FF)) < _SMALLEST_NORMAL_EXPONENT
    if doubtful.any():
        total = exact_sum(product, addend)
    return total.astype(F32)


def fma_exact(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """a x b + c of values given as fp32, rounded to odd in float64, for one later rounding to fp16, bf16 or fp32."""
    return exact_sum(a.astype(F64) * b, c.astype(F64))


def fma_f64(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """a x b + c of float64 with one rounding: lane by lane in rational numbers, for the few that a kernel has."""
    finite = np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
    lanes = zip(a.tolist(), b.tolist(), c.tolist(), finite.tolist(), strict=True)
    exact = [float(Fraction(x) * Fraction(y) + Fraction(z)) if good else 0.0 for x, y, z, good in lanes]
    return np.where(finite, exact, a * b + c)


def towards_zero_f32(values: np.ndarray) -> np.ndarray:
    """float64 to fp32 by truncation; exact for results in the normal range of fp32."""
    nearest = values.astype(F32)
    over = np.abs(nearest.astype(F64)) > np.abs(values)
    return np.where(over, np.nextafter(nearest, F32(0)), nearest)


def truncated_f32(values: np.ndarray) -> np.ndarray:
    """As `towards_zero_f32`, in a fifth of its time, for results outside of the subnormal range."""
    return (values.view(np.uint64) & ~_BELOW_F32).view(F64).astype(F32)


def directed_f32(values: np.ndarray, mode: str) -> np.ndarray:
    """float64 to fp32 in one of the rounding modes rn, rz, rm, rp (PTX ISA, "Rounding Modifiers")."""
    if mode == "rn":
        return values.astype(F32)
    if mode == "rz":
        return towards_zero_f32(values)
    nearest = values.astype(F32)
    if mode == "rm":
        return np.where(nearest.astype(F64) > values, np.nextafter(nearest, F32(-np.inf)), nearest)
    return np.where(nearest.astype(F64) < values, np.nextafter(nearest, F32(np.inf)), nearest)


def from_bf16(bits: np.ndarray) -> np.ndarray:
    """bf16 bits (uint16) to fp32, exactly."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(F32)


def to_bf16(values: np.ndarray, mode: str = "rn") -> np.ndarray:
    """fp32 or float64 to bf16 bits; a NaN becomes the canonical one, 0x7FFF."""
    if values.dtype == F64:
        values = _odd_f32(values)
    bits = values.view(np.uint32)
    if mode == "rz":
        rounded = bits >> np.uint32(16)
    else:
        rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    return np.where(np.isnan(values), np.uint16(0x7FFF), rounded.astype(np.uint16))


def _odd_f32(values: np.ndarray) -> np.ndarray:
    """float64 to fp32 rounded to odd."""
    short = towards_zero_f32(values)
    inexact = (short.astype(F64) != values) & np.isfinite(values)
    return (short.view(np.uint32) | inexact).view(F32)


def to_f16(values: np.ndarray, mode: str = "rn") -> np.ndarray:
    """fp32 or float64 to fp16; ``rz`` truncates."""
    nearest = values.astype(F16)
    if mode == "rn":
        return nearest
    over = np.abs(nearest.astype(F64)) > np.abs(values)
    return np.where(over, np.nextafter(nearest, F16(0)), nearest)


def halves(words: np.ndarray, kind: str) -> np.ndarray:
    """Packed pairs (uint32) to fp32 of shape (lanes, 2), the low half first."""
    pairs = words.view(np.uint16).reshape(-1, 2)
    return from_bf16(pairs) if kind == "bf16" else pairs.view(F16).astype(F32)


def pack(values: np.ndarray, kind: str) -> np.ndarray:
    """fp32 or float64 of shape (lanes, 2), the low half first, to packed pairs (uint32)."""
    pairs = to_bf16(values) if kind == "bf16" else values.astype(F16).view(np.uint16)
    return np.ascontiguousarray(pairs).view(np.uint32).reshape(-1)
