"""Compressed weights, and activations in eight bits."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pixio_edge.export.coreml.mil_call import TORCH_DTYPES, Call, as_tensor, mil_op


@mil_op("constexpr_affine_dequantize")
def constexpr_affine_dequantize(call: Call) -> Tensor:
    """Scale · (quantized_data - zero_point), either one for all or one for each place along the axis; iOS 16."""
    return _dequantize(call, "quantized_data")


@mil_op("dequantize")
def dequantize(call: Call) -> Tensor:
    """Scale · (input - zero_point); iOS 17."""
    return _dequantize(call, "input")


@mil_op("quantize")
def quantize(call: Call) -> Tensor:
    """clip(round(input / scale) + zero_point), halves to the even number; iOS 17."""
    x = call.tensor("input")
    scale, zero_point = _affine(call, x.dim())
    dtype = TORCH_DTYPES[call.text("output_dtype")]
    limits = torch.iinfo(dtype)
    return (torch.round(x / scale) + zero_point).clamp(limits.min, limits.max).to(dtype)


@mil_op("constexpr_blockwise_shift_scale")
def constexpr_blockwise_shift_scale(call: Call) -> Tensor:
    """Scale · (data - offset), with one scale and offset for each block; iOS 18."""
    data, scale = call.array("data").astype(np.float32), call.array("scale").astype(np.float32)
    if call.has("offset"):
        data = data - _repeat(call.array("offset").astype(np.float32), data.shape)
    return as_tensor(data * _repeat(scale, data.shape))


@mil_op("constexpr_lut_to_dense")
def constexpr_lut_to_dense(call: Call) -> Tensor:
    """Values looked up in a palette: packed indices and one palette (iOS 16), or a palette for each block (iOS 18)."""
    lut, indices = call.array("lut"), call.array("indices")
    if call.has("shape"):
        shape = call.ints("shape")
        unpacked = _unpack(indices, int(np.log2(lut.size)), int(np.prod(shape)))
        return as_tensor(lut[unpacked].reshape(shape))
    if lut.shape[-1] != 1:
        raise call.refuse(f"palettes of vectors of {lut.shape[-1]}")
    palettes = lut[..., 0]  # (blocks of each dimension …, palette)
    blocks = tuple(
        np.arange(size).reshape([-1 if axis == other else 1 for other in range(indices.ndim)]) // (size // count)
        for axis, (size, count) in enumerate(zip(indices.shape, palettes.shape, strict=False))
    )
    return as_tensor(palettes[(*blocks, indices.astype(np.int64))])


@mil_op("constexpr_sparse_to_dense")
def constexpr_sparse_to_dense(call: Call) -> Tensor:
    """Zeros but where the mask has a bit; the mask is packed (iOS 16) or has the shape of the result (iOS 18)."""
    nonzero, mask = call.array("nonzero_data"), call.array("mask")
    if call.has("shape"):
        shape = call.ints("shape")
        mask = _unpack(mask, 1, int(np.prod(shape))).reshape(shape)
    dense = np.zeros(mask.shape, nonzero.dtype)
    dense[mask != 0] = nonzero
    return as_tensor(dense)


@mil_op("constexpr_cast")
def constexpr_cast(call: Call) -> Tensor:
    """A weight that is stored in fp16 and used in fp32."""
    return call.tensor("source_val")


def _dequantize(call: Call, name: str) -> Tensor:
    data = call.tensor(name).float()
    scale, zero_point = _affine(call, data.dim())
    return (data - zero_point) * scale


def _affine(call: Call, rank: int) -> tuple[Tensor, Tensor]:
    """Scale and zero point, shaped so that they broadcast along the axis."""
    scale = call.tensor("scale")
    zero_point = call.tensor("zero_point").float() if call.has("zero_point") else torch.zeros(())
    if scale.dim() == 0 and zero_point.dim() == 0:
        return scale, zero_point
    shape = [1] * rank
    shape[call.integer("axis")] = -1
    return scale.reshape(shape), zero_point.reshape(shape)


def _repeat(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    for axis, size in enumerate(shape):
        values = np.repeat(values, size // values.shape[axis], axis)
    return values


def _unpack(packed: np.ndarray, bits: int, count: int) -> np.ndarray:
    """Whole numbers of so many bits, packed with the lowest bit first."""
    flat = np.unpackbits(packed.view(np.uint8), bitorder="little")[: count * bits].reshape(count, bits)
    unpacked: np.ndarray = (flat.astype(np.int64) << np.arange(bits)).sum(axis=1)
    return unpacked
