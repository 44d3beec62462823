"""What INT8 does to one layer, in numpy: activations with one scale, weights with one for each output channel.

This is the arithmetic of the flavours with symmetric ranges; a dynamic range or uint8 behaves alike, so what is chosen
with it serves all flavours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.calibration.qparams import dequantize_weight, quantize_weight, symmetric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def fake_quantize(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """Activations after a round trip through int8, of any shape.

    Args:
        values: Any shape.
        low: Smallest value of the calibrated range.
        high: Largest value of it.

    Returns:
        float32, a new array.
    """
    params = symmetric(low, high)
    steps = np.rint(values * np.float32(1 / params.scale))
    np.clip(steps, params.low, params.high, out=steps)
    return np.asarray(steps * np.float32(params.scale), np.float32)


def fake_quantize_weight(
    weight: NDArray[np.float32], axis: int, limits: Sequence[float] | None = None
) -> NDArray[np.float32]:
    """Weights after a round trip through int8, rounded to nearest; `axis` counts output channels."""
    return dequantize_weight(*quantize_weight(weight, axis, limits), axis)


def output_error(
    inputs: NDArray[np.float32],
    quantized_inputs: NDArray[np.float32],
    weight: NDArray[np.float32],
    *,
    quantized_weight: NDArray[np.float32] | None = None,
    without_mean: bool = False,
) -> float:
    """Squared error of a product over its squared size.

    Args:
        inputs: (T, K), what the float layer reads.
        quantized_inputs: (T, K), what the INT8 layer reads, in the scale that `quantized_weight` expects.
        weight: (K, N).
        quantized_weight: (K, N); by default `weight` itself rounded to nearest.
        without_mean: Leave out the mean error of each output channel, which a corrected bias removes.

    Returns:
        At least 0; 1 means an error as large as the result. 0 if the result is all zero and without error.
    """
    other = fake_quantize_weight(weight, 1) if quantized_weight is None else quantized_weight
    expected = inputs @ weight
    error = quantized_inputs @ other - expected
    if without_mean:
        error -= error.mean(axis=0)
    energy = float(np.square(expected, dtype=np.float64).sum())
    return float(np.square(error, dtype=np.float64).sum()) / max(energy, float(np.finfo(np.float32).tiny))
