"""What the kernels must compute: the exact functions in float64, and how far off a naive run at their precision is.

The tolerance of every kernel follows from the second: its largest error against float64 may be `RATIO_LIMIT` times that
of the same function written down operation by operation at the kernel's own precision, the rule of FlashAttention's
tests (`tests/test_flash_attn.py`). It grows with shape and magnitude of the inputs and holds no constant to be tuned.
What INT8 attention computes is in `oracle_attention_int8`: the method and not the precision sets its error.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixio_edge.kernels.arguments import check_add_layer_norm, check_attention, check_bias_gelu
from pixio_edge.kernels.precision import INT8_MAX, Floats, Precision, round_to

Exact = NDArray[np.float64]
Codes = NDArray[np.int8]

RATIO_LIMIT = 2.0
"""Largest error of a kernel relative to that of the naive run: FlashAttention's rule for the forward pass."""

SMALLEST_SCALE = 2.0**-100
"""A row whose largest magnitude is below 127 times this counts as zero: the inverse of its scale is not a float32."""


def attention(qkv: Floats, bias: Floats | None, *, scale: float) -> Exact:
    """Softmax attention of every head over all tokens, without a mask.

    Args:
        qkv: Output of the qkv projection without its bias, (B, N, 3, H, D); query, key and value along the third axis.
        bias: Bias of that projection, (3, H, D), or None.
        scale: What the products of queries and keys are multiplied with, normally D ** -0.5.

    Returns:
        (B, N, H * D), as the output projection takes it.

    Raises:
        SpecError: A shape does not fit.
    """
    query, key, value = _heads(qkv, bias)
    return _merge(softmax(scale * (query @ key.swapaxes(-1, -2))) @ value)


def add_layer_norm(
    x: Floats,
    branch: Floats,
    *,
    branch_bias: Floats | None,
    layer_scale: Floats | None,
    weight: Floats,
    bias: Floats,
    eps: float,
) -> tuple[Exact, Exact]:
    """Add a branch to the residual stream and normalise the sum over its channels.

    Args:
        x: Residual stream, (..., C).
        branch: Output of the branch's last projection without its bias, (..., C).
        branch_bias: Bias of that projection, (C,), or None.
        layer_scale: Factor of the branch with its bias, (C,), or None.
        weight: Of the norm, (C,).
        bias: Of the norm, (C,).
        eps: Added to the variance, which is that of the population.

    Returns:
        The sum, x + layer_scale * (branch + branch_bias), and the normalised sum, both (..., C).

    Raises:
        SpecError: A shape does not fit.
    """
    check_add_layer_norm(x, branch, branch_bias=branch_bias, layer_scale=layer_scale, weight=weight, bias=bias)
    added = _exact(branch) if branch_bias is None else _exact(branch) + _exact(branch_bias)
    total = _exact(x) + (added if layer_scale is None else added * _exact(layer_scale))
    centred = total - total.mean(axis=-1, keepdims=True)
    variance = np.mean(centred**2, axis=-1, keepdims=True)
    return total, centred / np.sqrt(variance + eps) * _exact(weight) + _exact(bias)


def add_layer_norm_int8(
    x: Floats,
    branch: Floats,
    *,
    branch_bias: Floats | None,
    layer_scale: Floats | None,
    weight: Floats,
    bias: Floats,
    eps: float,
) -> tuple[Exact, Codes, NDArray[np.float32]]:
    """`add_layer_norm` with the normalised sum quantised per token.

    Returns:
        The sum, the codes (..., C) and the scale (...) of each token; see `quantize_rows`.

    Raises:
        SpecError: A shape does not fit.
    """
    total, normed = add_layer_norm(
        x, branch, branch_bias=branch_bias, layer_scale=layer_scale, weight=weight, bias=bias, eps=eps
    )
    return total, *quantize_rows(normed)


def bias_gelu(x: Floats, bias: Floats) -> Exact:
    """GELU of x + bias by the error function, not by the tanh approximation.

    Args:
        x: (..., C).
        bias: (C,).

    Returns:
        (..., C).

    Raises:
        SpecError: A shape does not fit.
    """
    check_bias_gelu(x, bias)
    return gelu(_exact(x) + _exact(bias))


def bias_gelu_int8(x: Floats, bias: Floats) -> tuple[Codes, NDArray[np.float32]]:
    """`bias_gelu` quantised per token.

    Returns:
        The codes (..., C) and the scale (...) of each token; see `quantize_rows`.

    Raises:
        SpecError: A shape does not fit.
    """
    return quantize_rows(bias_gelu(x, bias))


def gelu(values: Exact) -> Exact:
    """Value times Φ(value), with Φ by `erfc`, which keeps its relative precision where x is very negative."""
    tail = np.asarray(np.frompyfunc(math.erfc, 1, 1)(values * -math.sqrt(0.5)), dtype=np.float64)
    # Minus infinity times a tail of 0 is the limit 0 and not a NaN.
    return 0.5 * np.where(np.isneginf(values), 0.0, values) * tail


def softmax(scores: Exact) -> Exact:
    """Softmax over the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def quantize_rows(values: Floats) -> tuple[Codes, NDArray[np.float32]]:
    """Symmetric INT8 with one scale per row: scale = largest magnitude / 127, ties to the even code.

    A row of zeros has scale 1 and codes 0. A row with a NaN or an infinity has that as its scale, so that what is made
    of it shows it, and codes 0.

    Args:
        values: (..., C).

    Returns:
        Codes in [-127, 127], (..., C), and scales (...).
    """
    largest = np.abs(_exact(values)).max(axis=-1)
    scale = np.where(largest < INT8_MAX * SMALLEST_SCALE, 1.0, largest / INT8_MAX).astype(np.float32)
    usable = np.isfinite(scale)[..., None]
    with np.errstate(invalid="ignore"):
        steps = np.where(usable, _exact(values) / np.where(usable, scale[..., None], 1.0), 0.0)
    return np.clip(np.rint(steps), -INT8_MAX, INT8_MAX).astype(np.int8), scale


def dequantize_rows(codes: Codes, scale: NDArray[np.float32]) -> Exact:
    """Values that codes of `quantize_rows` stand for."""
    return codes.astype(np.float64) * scale.astype(np.float64)[..., None]


def max_error(candidate: Any, exact: Exact) -> float:
    """Largest absolute difference, infinite if the candidate is not finite where the exact value is.

    Args:
        candidate: Array of a kernel, of any dtype that converts to float64.
        exact: What it should be.
    """
    values = np.asarray(candidate).astype(np.float64)
    if not np.isfinite(values[np.isfinite(exact)]).all():
        return math.inf
    return float(np.abs(values - exact).max())


def ratio_to_naive(candidate: Any, exact: Exact, naive: Any) -> float:
    """Error of a kernel relative to that of the naive run, to be held against `RATIO_LIMIT`; 0 if neither has any."""
    error, allowed = max_error(candidate, exact), max_error(naive, exact)
    if allowed == 0:
        return 0.0 if error == 0 else math.inf
    return error / allowed


def naive_attention(qkv: Floats, bias: Floats | None, *, scale: float, precision: Precision) -> NDArray[np.float32]:
    """`attention` one operation after the other, each result rounded to `precision`; sums are of float32.

    Takes and returns values of that precision as float numbers, as all the naive functions do.
    """
    query, key, value = (part.astype(np.float32) for part in _heads(qkv, bias))
    query, key, value = (round_to(part, precision) for part in (query, key, value))
    scores = round_to(round_to(query * np.float32(scale), precision) @ key.swapaxes(-1, -2), precision)
    weights = round_to(softmax(scores.astype(np.float64)), precision)
    return round_to(_merge(weights @ value), precision)


def naive_add_layer_norm(
    x: Floats,
    branch: Floats,
    *,
    branch_bias: Floats | None,
    layer_scale: Floats | None,
    weight: Floats,
    bias: Floats,
    eps: float,
    precision: Precision,
    residual: Precision | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """`add_layer_norm` one operation after the other; the norm is one operation, with statistics in float32.

    Arguments as there. `precision` is that of the branch and the parameters, `residual` that of the residual stream and
    the sum, by default the same.
    """
    stream = residual or precision
    added = branch if branch_bias is None else round_to(_single(branch) + _single(branch_bias), precision)
    added = added if layer_scale is None else round_to(_single(added) * _single(layer_scale), precision)
    total = round_to(_single(x) + _single(added), stream)
    centred = total - total.mean(axis=-1, keepdims=True)
    inverse = 1 / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + np.float32(eps))
    return total, round_to(centred * inverse * _single(weight) + _single(bias), precision)


def naive_bias_gelu(x: Floats, bias: Floats, *, precision: Precision) -> NDArray[np.float32]:
    """`bias_gelu` as the sum, rounded, and the GELU of it, rounded."""
    return round_to(gelu(round_to(_single(x) + _single(bias), precision).astype(np.float64)), precision)


def _heads(qkv: Floats, bias: Floats | None) -> tuple[Exact, Exact, Exact]:
    """Query, key and value with their bias, each (B, H, N, D)."""
    check_attention(qkv, bias)
    biased = _exact(qkv) if bias is None else _exact(qkv) + _exact(bias)
    query, key, value = biased.transpose(2, 0, 3, 1, 4)
    return query, key, value


def _merge(heads: NDArray[Any]) -> NDArray[Any]:
    """(B, H, N, D) to (B, N, H * D)."""
    batch, count, tokens, width = heads.shape
    return heads.swapaxes(1, 2).reshape(batch, tokens, count * width)


def _exact(values: Any) -> Exact:
    return np.asarray(values).astype(np.float64)


def _single(values: Any) -> NDArray[np.float32]:
    return np.asarray(values).astype(np.float32)
