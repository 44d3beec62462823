"""Scales, zero points and integer weights: the arithmetic of uniform quantisation, in numpy alone.

A real value x is held as q = clip(round(x / scale) + zero_point), and read back as (q - zero_point) * scale
(Jacob et al. 2018, arXiv:1712.05877, equation 1). Rounding is half to even, as QuantizeLinear of ONNX rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

IntegerType = Literal["int8", "uint8"]

# Below it a scale is lifted. The product of two scales, and what engines divide by it, then stays a normal float32
# (smallest 2^-126); real tensors of depth models have scales above 2^-20.
SMALLEST_SCALE = 2.0**-40


@dataclass(frozen=True, slots=True)
class QuantParams:
    """How one tensor is held as integers.

    Attributes:
        scale: Real value of one step; positive, exactly representable in float32.
        zero_point: Integer that stands for 0.0, inside [low, high].
        dtype: Integer type.
        low: Smallest integer that is used.
        high: Largest integer that is used.
    """

    scale: float
    zero_point: int
    dtype: IntegerType
    low: int
    high: int

    def quantize(self, values: NDArray[np.floating]) -> NDArray[np.integer]:
        """Integers of real values, of any shape; values outside the range take its nearest end."""
        steps = np.rint(np.asarray(values, np.float64) / self.scale) + self.zero_point
        integers: NDArray[np.integer] = np.clip(steps, self.low, self.high).astype(self.dtype)
        return integers

    def dequantize(self, integers: NDArray[np.integer]) -> NDArray[np.float32]:
        """Real values of integers, of any shape."""
        return ((integers.astype(np.int32) - self.zero_point) * np.float64(self.scale)).astype(np.float32)


def symmetric(low: float, high: float, bits: int = 8) -> QuantParams:
    """Signed integers around zero: zero point 0, -limit..limit where limit = 2^(bits - 1) - 1.

    Args:
        low: Smallest real value to represent.
        high: Largest real value to represent.
        bits: Width, 2 to 8; fewer than 8 use the inner part of int8.

    Raises:
        ValueError: The range is not finite or empty, or the width is not possible.
    """
    _check(low, high, bits)
    limit = 2 ** (bits - 1) - 1
    return QuantParams(_scale(max(abs(low), abs(high)), limit), 0, "int8", -limit, limit)


def asymmetric(low: float, high: float, bits: int = 8) -> QuantParams:
    """Unsigned integers over [low, high], widened to contain zero, which is represented exactly.

    Args:
        low: Smallest real value to represent.
        high: Largest real value to represent.
        bits: Width, 2 to 8.

    Raises:
        ValueError: The range is not finite or empty, or the width is not possible.
    """
    _check(low, high, bits)
    low, high = min(low, 0.0), max(high, 0.0)
    steps = 2**bits - 1
    scale = _scale(high - low, steps)
    return QuantParams(scale, round(min(max(-low / scale, 0), steps)), "uint8", 0, steps)


def weight_scales(
    weight: NDArray[np.floating], axis: int, limits: Sequence[float] | None = None, bits: int = 8
) -> NDArray[np.float32]:
    """Scale of each output channel of a weight, symmetric around zero.

    Args:
        weight: Weight of any shape.
        axis: Axis that counts output channels.
        limits: For each channel the largest magnitude to represent; None takes the largest that occurs.
        bits: Width, 2 to 8.

    Returns:
        Shape (channels,); 1 for channels of zeros only.

    Raises:
        ValueError: Weights or limits are not finite, limits not positive, or not as many as channels.
    """
    largest = np.abs(np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)).max(axis=1).astype(np.float64)
    occurs = largest != 0
    if limits is not None:
        if len(limits) != len(largest):
            raise ValueError(f"{len(limits)} limits for {len(largest)} channels")
        largest = np.where(occurs, np.asarray(limits, np.float64), 0.0)
    if not np.isfinite(largest).all() or (largest[occurs] <= 0).any():
        raise ValueError("weights and their limits must be finite, and limits positive")
    scales = np.maximum(largest / (2 ** (bits - 1) - 1), SMALLEST_SCALE)
    return np.where(occurs, scales, 1.0).astype(np.float32)


def quantize_weight(
    weight: NDArray[np.floating], axis: int, limits: Sequence[float] | None = None, bits: int = 8
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round a weight to the nearest integers, with one scale for each output channel.

    Args:
        weight: Weight of any shape.
        axis: Axis that counts output channels.
        limits: For each channel the magnitude that weights are clipped to; None takes the largest that occurs.
        bits: Width, 2 to 8. 7 keeps sums of two products in 16 bits, for processors without VNNI.

    Returns:
        Integers in the weight's shape within +-(2^(bits - 1) - 1), and the scales, shape (channels,).

    Raises:
        ValueError: Weights or limits are not finite, limits not positive, or not as many as channels.
    """
    scales = weight_scales(weight, axis, limits, bits)
    limit = 2 ** (bits - 1) - 1
    steps = np.rint(weight.astype(np.float64) / along(scales.astype(np.float64), axis, weight.ndim))
    return np.clip(steps, -limit, limit).astype(np.int8), scales


def dequantize_weight(integers: NDArray[np.int8], scales: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Real weights of integers: one scale for each index of `axis`."""
    return integers.astype(np.float32) * along(scales, axis, integers.ndim)


def along(values: NDArray[np.floating], axis: int, dimensions: int) -> NDArray[np.floating]:
    """A vector shaped so that it broadcasts along one axis of a tensor with that many dimensions."""
    shape = [1] * dimensions
    shape[axis] = -1
    return values.reshape(shape)


def _scale(extent: float, steps: int) -> float:
    """Float32 step that covers an extent; 1 for an extent of zero, as any does then."""
    return float(np.float32(max(extent / steps, SMALLEST_SCALE))) if extent > 0 else 1.0


def _check(low: float, high: float, bits: int) -> None:
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise ValueError(f"range must be finite with low <= high, got [{low}, {high}]")
    if not 2 <= bits <= 8:
        raise ValueError(f"bits must be 2 to 8, got {bits}")
