"""The INT8 attention in numpy, number for number what the CUDA kernel computes.

The method is that of SageAttention (Zhang et al., arXiv 2410.02367) with scales for groups of keys that one thread
holds, as in SageAttention2 (arXiv 2411.10958):

- The mean key over the tokens is subtracted from every key. That adds the same number to all scores of a query, which
  softmax does not see, and removes the offset that would use up the range of the integers. A bias on the keys is such
  an offset too, so it is never added.
- Queries become s8 with one scale for each row, keys with one for each of four groups in a tile of 64. The softmax
  scale and log2(e) are part of the queries' scales.
- Scores are exact sums of integers, softmax is in float32, and its weights multiply the values in the 16-bit type of
  the input. The bias on the values is added at the end, since the weights sum to 1.

Queries, keys and scales are the kernel's to the bit. Weights are so up to a common factor before they are rounded: the
kernel works online, and the score at which a weight is 1 is not always a row's largest. Nor does anyone say in which
order matrix units add in float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixio_edge.kernels.arguments import check_attention
from pixio_edge.kernels.geometry_attention_int8 import KEY_GROUPS, TILE
from pixio_edge.kernels.precision import INT8_MAX, Floats, Precision, round_to

Float32 = NDArray[np.float32]

SMALLEST_RANGE = 2.0**-50
"""Ranges below it count as it. It keeps the scale of a zero row positive, and the product of two scales normal."""

_ROWS_OF_WARP = 16


@dataclass(frozen=True, slots=True)
class QuantizedAttention:
    """Queries and keys as the matrix unit reads them, rows past the last token zero.

    Args:
        query: Whole numbers in float32, (B, H, tiles * TILE, D).
        query_scale: (B, H, tiles * TILE), the softmax scale and log2(e) folded in.
        key: As `query`.
        key_scale: (B, H, tiles, KEY_GROUPS).
    """

    query: Float32
    query_scale: Float32
    key: Float32
    key_scale: Float32


def attention_int8(
    qkv: Floats, bias: Floats | None, *, scale: float, precision: Precision, smooth_keys: bool = True
) -> Float32:
    """Attention with quantised scores.

    Args:
        qkv: Output of the qkv projection without its bias, (B, N, 3, H, D); values that `precision` holds.
        bias: Bias of that projection, (3, H, D), or None.
        scale: Factor on the scores before softmax, normally D ** -0.5.
        precision: Of input and output, fp16 or bf16.
        smooth_keys: Subtract the mean key. The kernel always does; False shows what that is good for.

    Returns:
        (B, N, H * D), values that `precision` holds.

    Raises:
        SpecError: A shape does not fit.
    """
    batch, tokens, heads, head_dim = check_attention(qkv, bias)
    query, key, value = qkv.astype(np.float32).transpose(2, 0, 3, 1, 4)  # (B, H, N, D) each
    offsets = np.zeros((3, heads, head_dim), np.float32) if bias is None else bias.astype(np.float32)
    quantized = quantize_attention(query + offsets[0][:, None], key, scale=scale, smooth_keys=smooth_keys)
    mixed = _attend(quantized, value, precision)
    output = round_to(mixed + offsets[2][:, None].astype(np.float64), precision)
    return output.transpose(0, 2, 1, 3).reshape(batch, tokens, -1)


def quantize_attention(query: Float32, key: Float32, *, scale: float, smooth_keys: bool = True) -> QuantizedAttention:
    """Quantise queries, with their bias, and keys, without theirs: `attention_int8_prepare` and `…_prepare_keys`.

    Args:
        query: (B, H, N, D).
        key: (B, H, N, D).
        scale: Factor on the scores before softmax.
        smooth_keys: Subtract the mean key.
    """
    factor = np.float32(scale) * np.float32(math.log2(math.e))
    rows = _pad_rows(query)
    query_range = _ranges(rows, axes=(3,))
    mean = _mean_key(key) if smooth_keys else np.zeros_like(key[:, :, :1])
    tiles = _pad_rows(key - mean)
    # Key 8a + 2g + b of a tile belongs to group g.
    grouped = tiles.reshape(*tiles.shape[:2], -1, TILE // 8, KEY_GROUPS, 2, tiles.shape[-1])
    key_range = _ranges(grouped, axes=(3, 5, 6))
    return QuantizedAttention(
        query=_round_levels(rows, query_range),
        query_scale=(query_range / np.float32(INT8_MAX) * factor)[..., 0],
        key=_round_levels(grouped, key_range).reshape(tiles.shape),
        key_scale=(key_range / np.float32(INT8_MAX)).reshape(*tiles.shape[:2], -1, KEY_GROUPS),
    )


def _attend(quantized: QuantizedAttention, value: Float32, precision: Precision) -> NDArray[np.float64]:
    """Softmax of the scores, rounded as the second product takes it, times values (B, H, N, D)."""
    tokens = np.arange(value.shape[2])
    query, key = quantized.query[:, :, : len(tokens)], quantized.key[:, :, : len(tokens)]
    # Sums of at most 96 products below 2**14: whole numbers that float32 holds, in whatever order they are added.
    scores = query @ key.swapaxes(2, 3)
    groups = tokens // TILE * KEY_GROUPS + tokens % 8 // 2
    key_scale = quantized.key_scale.reshape(*query.shape[:2], 1, -1)[..., groups]
    scales = quantized.query_scale[:, :, : len(tokens), None] * key_scale
    highest = (scores * scales).max(axis=-1, keepdims=True)
    # The kernel multiplies and subtracts in one rounding.
    weights = np.exp2((scores.astype(np.float64) * scales - highest).astype(np.float32))
    mixed = (round_to(weights, precision) @ value).astype(np.float64)
    attended: NDArray[np.float64] = mixed / weights.sum(axis=-1, keepdims=True, dtype=np.float64)
    return attended


def _mean_key(key: Float32) -> Float32:
    """Mean over tokens in the kernel's order: 16 rows of a warp, four warps of a tile, tiles; (B, H, 1, D)."""
    rows = _pad_rows(key)
    parts = rows.reshape(*rows.shape[:2], -1, TILE // _ROWS_OF_WARP, _ROWS_OF_WARP, rows.shape[-1])
    sums = np.zeros_like(parts[..., 0, :])
    for row in range(_ROWS_OF_WARP):
        sums = sums + parts[..., row, :]
    tiles = (sums[:, :, :, 0] + sums[:, :, :, 1]) + (sums[:, :, :, 2] + sums[:, :, :, 3])
    whole = np.zeros_like(tiles[:, :, 0])
    for tile in range(tiles.shape[2]):
        np.add(whole, tiles[:, :, tile], out=whole)
    whole /= np.float32(key.shape[2])
    return whole[:, :, None]


def _pad_rows(rows: Float32) -> Float32:
    """Zero rows after the last, to whole tiles."""
    return np.pad(rows, ((0, 0), (0, 0), (0, -rows.shape[2] % TILE), (0, 0)))


def _ranges(values: Float32, axes: tuple[int, ...]) -> Float32:
    """Largest magnitude over some axes, which are kept; NaN where there is one."""
    highest = np.abs(values).max(axis=axes, keepdims=True)
    ranges: Float32 = np.maximum(highest, np.float32(SMALLEST_RANGE))
    return ranges


def _round_levels(values: Float32, ranges: Float32) -> Float32:
    """Nearest level, ties to even; 0 where the range is not finite, as the conversion of NaN gives."""
    levels = np.rint(values * (np.float32(INT8_MAX) / ranges))
    return np.where(np.isnan(levels), np.float32(0), levels)
