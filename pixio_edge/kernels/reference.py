"""The kernels' functions on the CPU, in numpy: what runs where there is neither a GPU nor torch.

They compute in float32 whatever the elements are, as the kernels do, and return the dtypes that the kernels return.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixio_edge.kernels.arguments import check_add_layer_norm, check_attention, check_bias_gelu
from pixio_edge.kernels.geometry_attention_int8 import KEY_GROUPS, TILE
from pixio_edge.kernels.oracle import SMALLEST_SCALE
from pixio_edge.kernels.oracle_attention_int8 import quantize_attention
from pixio_edge.kernels.precision import INT8_MAX, Floats, precision_of

Single = NDArray[np.float32]
Codes = NDArray[np.int8]

GELU_TAIL = (
    -9.999961853027344e-01,
    -1.1511611938476562e00,
    -4.5894232392311096e-01,
    -5.307922139763832e-02,
    7.740854285657406e-03,
    -5.774546531029046e-04,
    -2.6211670046905056e-05,
    9.247994057659525e-06,
    -5.542214580600557e-07,
)
"""log2 of the normal distribution's upper tail as a polynomial of t in [0, 6], lowest power first.

Fitted here to minimise the larger of the error of t times the tail and 1e-4 times its relative error: the first stays
below 3e-8, the second below 2e-4. Beyond 6, where t times the tail is below 6e-9, the polynomial falls faster than the
logarithm. The CUDA kernel has the same numbers.
"""

GELU_FLAT = 16.0
"""From here on the tail is 0 in float32; a clamp here keeps infinities out of the polynomial."""


def attention(qkv: Floats, bias: Floats | None, *, scale: float) -> Floats:
    """Softmax attention; arguments and result as of `oracle.attention`, the dtype is that of `qkv`.

    Raises:
        SpecError: A shape or dtype does not fit.
    """
    batch, tokens, heads, head_dim = check_attention(qkv, bias)
    precision_of(qkv.dtype.name, "attention: qkv")
    offsets = np.zeros((3, heads, head_dim), np.float32) if bias is None else bias.astype(np.float32)
    merged = np.empty((batch, tokens, heads, head_dim), np.float32)
    for image in range(batch):
        for head in range(heads):
            # One head at a time: its scores stay in the processor's cache.
            query, key, value = (
                qkv[image, :, part, head].astype(np.float32) + offsets[part, head] for part in range(3)
            )
            merged[image, :, head] = _softmax_product((query * np.float32(scale)) @ key.T, value)
    return merged.reshape(batch, tokens, -1).astype(qkv.dtype)


def attention_int8(qkv: Floats, bias: Floats | None, *, scale: float) -> Floats:
    """Attention with queries and keys quantised as in the kernel, see `oracle_attention_int8`.

    Arguments and result as of `attention`. It saves no time here: it shows what the kernel's rounding does.

    Raises:
        SpecError: A shape or dtype does not fit.
    """
    batch, tokens, heads, head_dim = check_attention(qkv, bias)
    precision_of(qkv.dtype.name, "attention_int8: qkv")
    offsets = np.zeros((3, heads, head_dim), np.float32) if bias is None else bias.astype(np.float32)
    query, key, value = qkv.astype(np.float32).transpose(2, 0, 3, 1, 4)
    quantized = quantize_attention(query + offsets[0][:, None], key, scale=scale)
    groups = np.arange(tokens) % 8 // 2 + KEY_GROUPS * (np.arange(tokens) // TILE)
    key_scale = quantized.key_scale.reshape(batch, heads, -1)[..., groups]
    merged = np.empty((batch, tokens, heads, head_dim), np.float32)
    for image in range(batch):
        for head in range(heads):
            one = (image, head, slice(tokens))
            # Sums of at most 96 products below 2**14 are exact in float32. The queries' scale has log2(e) in it.
            scores = (quantized.query[one] @ quantized.key[one].T) * key_scale[image, head]
            scores *= quantized.query_scale[one][:, None] * np.float32(np.log(2))
            merged[image, :, head] = _softmax_product(scores, value[image, head]) + offsets[2, head]
    return merged.reshape(batch, tokens, -1).astype(qkv.dtype)


def add_layer_norm(
    x: Floats,
    branch: Floats,
    *,
    branch_bias: Floats | None,
    layer_scale: Floats | None,
    weight: Floats,
    bias: Floats,
    eps: float,
) -> tuple[Floats, Floats]:
    """Residual add and LayerNorm; arguments and results as of `oracle.add_layer_norm`.

    The sum has the dtype of `x`, the norm that of `branch`; the norm is of the sum before that is rounded.

    Raises:
        SpecError: A shape or dtype does not fit.
    """
    total, normed = _add_layer_norm(x, branch, branch_bias, layer_scale, weight=weight, bias=bias, eps=eps)
    return total.astype(x.dtype, copy=False), normed.astype(branch.dtype, copy=False)


def add_layer_norm_int8(
    x: Floats,
    branch: Floats,
    *,
    branch_bias: Floats | None,
    layer_scale: Floats | None,
    weight: Floats,
    bias: Floats,
    eps: float,
) -> tuple[Floats, Codes, Single]:
    """Residual add and LayerNorm, quantised; arguments and results as of `oracle.add_layer_norm_int8`.

    Raises:
        SpecError: A shape or dtype does not fit.
    """
    total, normed = _add_layer_norm(x, branch, branch_bias, layer_scale, weight=weight, bias=bias, eps=eps)
    return total.astype(x.dtype, copy=False), *_quantize_rows(normed)


def bias_gelu(x: Floats, bias: Floats) -> Floats:
    """GELU of x + bias; arguments and result as of `oracle.bias_gelu`, the dtype is that of `x`.

    Raises:
        SpecError: A shape or dtype does not fit.
    """
    return _bias_gelu(x, bias).astype(x.dtype, copy=False)


def bias_gelu_int8(x: Floats, bias: Floats) -> tuple[Codes, Single]:
    """GELU of x + bias, quantised; arguments and results as of `oracle.bias_gelu_int8`.

    Raises:
        SpecError: A shape or dtype does not fit.
    """
    return _quantize_rows(_bias_gelu(x, bias))


def _softmax_product(scores: Single, value: Single) -> Single:
    """Softmax of scores (N, N), which are overwritten, times values (N, D)."""
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    product: Single = (scores @ value) / scores.sum(axis=-1, keepdims=True)
    return product


def _add_layer_norm(
    x: Floats,
    branch: Floats,
    branch_bias: Floats | None,
    layer_scale: Floats | None,
    *,
    weight: Floats,
    bias: Floats,
    eps: float,
) -> tuple[Single, Single]:
    check_add_layer_norm(x, branch, branch_bias=branch_bias, layer_scale=layer_scale, weight=weight, bias=bias)
    precision_of(branch.dtype.name, "add_layer_norm: branch")
    total = branch.astype(np.float32)
    if branch_bias is not None:
        total += branch_bias.astype(np.float32)
    if layer_scale is not None:
        total *= layer_scale.astype(np.float32)
    total += x.astype(np.float32, copy=False)
    centred = total - total.mean(axis=-1, keepdims=True)
    # The mean of what is left corrects for the rounding of the mean, which matters where it is far from zero.
    centred -= centred.mean(axis=-1, keepdims=True)
    variance = np.einsum("...c,...c->...", centred, centred)[..., None] / np.float32(x.shape[-1])
    centred *= 1 / np.sqrt(variance + np.float32(eps))
    centred *= weight.astype(np.float32, copy=False)
    centred += bias.astype(np.float32, copy=False)
    return total, centred


def _bias_gelu(x: Floats, bias: Floats) -> Single:
    """Positive part less |value| times the tail that GELU cuts off it on either side."""
    check_bias_gelu(x, bias)
    precision_of(x.dtype.name, "bias_gelu: x")
    values = x.astype(np.float32) + bias.astype(np.float32, copy=False)
    size = np.minimum(np.abs(values), np.float32(GELU_FLAT))
    power = np.full_like(size, GELU_TAIL[-1])
    for coefficient in GELU_TAIL[-2::-1]:
        power *= size
        power += np.float32(coefficient)
    np.exp2(power, out=power)
    power *= size
    np.maximum(values, 0, out=values)
    values -= power
    return values


def _quantize_rows(values: Single) -> tuple[Codes, Single]:
    """As `oracle.quantize_rows`, in float32; the values are overwritten."""
    largest: Any = np.abs(values).max(axis=-1)
    is_zero = largest < INT8_MAX * SMALLEST_SCALE
    scale = np.where(is_zero, np.float32(1), largest / np.float32(INT8_MAX))
    is_usable = np.isfinite(largest) & ~is_zero
    steps_per_unit = np.float32(INT8_MAX) / np.where(is_usable, largest, np.float32(1))
    values *= steps_per_unit[..., None]
    np.rint(values, out=values)
    values[~is_usable] = 0
    return values.astype(np.int8), scale
