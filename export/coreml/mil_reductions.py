"""Operations along axes: reductions, softmax, normalisations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from pixio_edge.export.coreml.mil_call import MIL_OPS, Call, mil_op

REDUCTIONS: dict[str, Callable[[Tensor, list[int]], Tensor]] = {
    "reduce_sum": lambda x, axes: x.sum(axes, keepdim=True),
    "reduce_mean": lambda x, axes: x.mean(axes, keepdim=True),
    "reduce_max": lambda x, axes: x.amax(axes, keepdim=True),
    "reduce_min": lambda x, axes: x.amin(axes, keepdim=True),
    "reduce_sum_square": lambda x, axes: x.square().sum(axes, keepdim=True),
    "reduce_l1_norm": lambda x, axes: x.abs().sum(axes, keepdim=True),
    "reduce_l2_norm": lambda x, axes: x.square().sum(axes, keepdim=True).sqrt(),
    "reduce_log_sum": lambda x, axes: x.sum(axes, keepdim=True).log(),
    "reduce_log_sum_exp": lambda x, axes: x.logsumexp(axes, keepdim=True),
}


def _reduce(call: Call, compute: Callable[[Tensor, list[int]], Tensor]) -> Tensor:
    x = call.tensor("x")
    axes = [axis % x.dim() for axis in call.ints("axes")] if call.has("axes") else list(range(x.dim()))
    reduced = compute(x, axes).to(x.dtype)  # torch adds up whole numbers in a wider type
    return reduced if call.flag("keep_dims") else reduced.squeeze(axes)


def _enter_reductions() -> None:
    for name, reduction in REDUCTIONS.items():
        MIL_OPS[name] = lambda call, compute=reduction: _reduce(call, compute)  # type: ignore[misc]


_enter_reductions()


@mil_op("reduce_argmax", "reduce_argmin")
def reduce_arg(call: Call) -> Tensor:
    """Index of the largest or smallest element, the first of several."""
    compute = torch.argmax if call.operation.op_type == "reduce_argmax" else torch.argmin
    return compute(call.tensor("x"), dim=call.integer("axis"), keepdim=call.flag("keep_dims")).to(torch.int32)


@mil_op("softmax")
def softmax(call: Call) -> Tensor:
    """Along one axis, without overflow: the largest element is taken off first."""
    return functional.softmax(call.tensor("x"), dim=call.integer("axis"))


@mil_op("layer_norm")
def layer_norm(call: Call) -> Tensor:
    """Mean 0 and variance 1 over the axes, then gamma and beta, whose dimensions are the axes in ascending order."""
    x = call.tensor("x")
    axes = sorted(axis % x.dim() for axis in call.ints("axes"))
    centred = x - x.mean(axes, keepdim=True)
    normal = centred / torch.sqrt(centred.square().mean(axes, keepdim=True) + call.number("epsilon"))
    shape = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
    if call.has("gamma"):
        normal = normal * call.tensor("gamma").reshape(shape)
    return normal + call.tensor("beta").reshape(shape) if call.has("beta") else normal


@mil_op("batch_norm")
def batch_norm(call: Call) -> Tensor:
    """With the stored mean and variance of each channel, which is the second dimension."""
    gamma = call.tensor("gamma") if call.has("gamma") else None
    beta = call.tensor("beta") if call.has("beta") else None
    mean, variance = call.tensor("mean"), call.tensor("variance")
    return functional.batch_norm(call.tensor("x"), mean, variance, gamma, beta, eps=call.number("epsilon"))


@mil_op("instance_norm")
def instance_norm(call: Call) -> Tensor:
    """Mean 0 and variance 1 over the spatial dimensions of each image and channel."""
    gamma = call.tensor("gamma") if call.has("gamma") else None
    beta = call.tensor("beta") if call.has("beta") else None
    return functional.instance_norm(call.tensor("x"), weight=gamma, bias=beta, eps=call.number("epsilon"))


@mil_op("l2_norm")
def l2_norm(call: Call) -> Tensor:
    """X / √(Σx² + epsilon) over the last three dimensions."""
    x = call.tensor("x")
    return x / torch.sqrt(x.square().sum((-3, -2, -1), keepdim=True) + call.number("epsilon"))
