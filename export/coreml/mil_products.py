"""Matrix products, convolutions, attention and pooling, all with float32 accumulation."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from pixio_edge.export.coreml.mil_call import Call, mil_op

CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


@mil_op("linear")
def linear(call: Call) -> Tensor:
    """X · weightᵀ + bias, weight (out, in)."""
    bias = call.tensor("bias") if call.has("bias") else None
    return functional.linear(call.tensor("x"), call.tensor("weight"), bias)


@mil_op("matmul")
def matmul(call: Call) -> Tensor:
    """X · y with either transposed in its last two dimensions; leading dimensions broadcast."""
    x, y = call.tensor("x"), call.tensor("y")
    x = x.transpose(-1, -2) if call.flag("transpose_x") else x
    return torch.matmul(x, y.transpose(-1, -2) if call.flag("transpose_y") else y)


@mil_op("einsum")
def einsum(call: Call) -> Tensor:
    """Einstein summation of two tensors."""
    return torch.einsum(call.text("equation"), *call.tensors("values"))


@mil_op("conv")
def conv(call: Call) -> Tensor:
    """Convolution in one to three dimensions, weight (out, in / groups, …)."""
    x, weight = call.tensor("x"), call.tensor("weight")
    strides, dilations = call.ints("strides"), call.ints("dilations")
    padded = functional.pad(x, _torch_order(_padding(call, x, weight, strides, dilations)))
    bias = call.tensor("bias") if call.has("bias") else None
    compute = CONVOLUTIONS[x.dim() - 2]
    result: Tensor = compute(padded, weight, bias, stride=strides, dilation=dilations, groups=call.integer("groups"))
    return result


@mil_op("conv_transpose")
def conv_transpose(call: Call) -> Tensor:
    """Transposed convolution, weight (in, out / groups, …); `pad` is cut off the result."""
    x, weight = call.tensor("x"), call.tensor("weight")
    strides, dilations = call.ints("strides"), call.ints("dilations")
    bias = call.tensor("bias") if call.has("bias") else None
    compute = TRANSPOSED[x.dim() - 2]
    full: Tensor = compute(x, weight, bias, stride=strides, dilation=dilations, groups=call.integer("groups"))
    kind = call.text("pad_type")
    if call.has("output_shape"):
        wanted = call.ints("output_shape")[2:]
    elif kind == "same":
        wanted = [size * stride for size, stride in zip(x.shape[2:], strides, strict=True)]
    else:
        return functional.pad(full, [-pad for pad in _torch_order(call.ints("pad"))]) if kind == "custom" else full
    if kind == "custom" or any(size > whole for size, whole in zip(wanted, full.shape[2:], strict=True)):
        raise call.refuse(f"pad_type '{kind}' and output_shape {wanted}")
    cuts = [whole - size for size, whole in zip(wanted, full.shape[2:], strict=True)]
    return functional.pad(
        full, [-pad for pad in _torch_order([half for cut in cuts for half in (cut // 2, -(-cut // 2))])]
    )


@mil_op("scaled_dot_product_attention")
def scaled_dot_product_attention(call: Call) -> Tensor:
    """softmax(query · keyᵀ / √E + mask) · value; a mask of truth values lets through where it is true."""
    query, key, value = call.tensor("query"), call.tensor("key"), call.tensor("value")
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if call.has("attn_mask"):
        mask = call.tensor("attn_mask")
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
    return torch.softmax(scores, dim=-1) @ value


@mil_op("avg_pool", "max_pool")
def pool(call: Call) -> Tensor:
    """Mean or largest of each window of two dimensions."""
    x, sizes, strides = call.tensor("x"), call.ints("kernel_sizes"), call.ints("strides")
    if call.flag("ceil_mode") or x.dim() != 4:
        raise call.refuse(f"ceil_mode {call.flag('ceil_mode')} and {x.dim()} dimensions")
    padding = _torch_order(_window_padding(call, x.shape[2:], sizes, strides, [1, 1]))
    if call.operation.op_type == "max_pool":
        return functional.max_pool2d(functional.pad(x, padding, value=-math.inf), sizes, strides)
    total = functional.avg_pool2d(functional.pad(x, padding), sizes, strides, divisor_override=1)
    counted = torch.ones_like(x[:1, :1])
    outside = 0.0 if call.flag("exclude_padding_from_average") else 1.0
    return total / functional.avg_pool2d(
        functional.pad(counted, padding, value=outside), sizes, strides, divisor_override=1
    )


def _padding(call: Call, x: Tensor, weight: Tensor, strides: list[int], dilations: list[int]) -> list[int]:
    return _window_padding(call, x.shape[2:], list(weight.shape[2:]), strides, dilations)


def _window_padding(
    call: Call, sizes: torch.Size, windows: list[int], strides: list[int], dilations: list[int]
) -> list[int]:
    """Elements before and after each spatial dimension.

    "same" keeps ⌈size / stride⌉ elements; where the sum is odd, the larger part is after, with "same_lower" before.
    """
    kind = call.text("pad_type")
    if kind == "valid":
        return [0] * (2 * len(sizes))
    if kind == "custom":
        return call.ints("pad")
    padding = []
    for size, window, stride, dilation in zip(sizes, windows, strides, dilations, strict=True):
        total = max(0, (-(-size // stride) - 1) * stride + (window - 1) * dilation + 1 - size)
        less, more = total // 2, -(-total // 2)
        padding += [more, less] if kind == "same_lower" else [less, more]
    return padding


def _torch_order(padding: list[int]) -> list[int]:
    """MIL begins with the first dimension, torch with the last."""
    pairs = [padding[index : index + 2] for index in range(0, len(padding), 2)]
    return [value for pair in reversed(pairs) for value in pair]
