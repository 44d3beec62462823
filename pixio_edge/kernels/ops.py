"""The operators for torch: `torch.ops.pixio_edge.*`, which `torch.compile` and `torch.export` see as one node each.

On the CPU they run the reference, on a CUDA tensor the kernel; with PIXIO_EDGE_KERNELS=cuda the CPU is refused. Results
are contiguous whatever the inputs are. None has a derivative: they are for inference.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pixio_edge.kernels import ops_cuda, reference_torch
from pixio_edge.kernels.arguments import check_add_layer_norm, check_attention, check_bias_gelu
from pixio_edge.kernels.operators import check_scale
from pixio_edge.kernels.select import select

__all__ = ["add_layer_norm", "add_layer_norm_int8", "attention", "attention_int8", "bias_gelu", "bias_gelu_int8"]


@torch.library.custom_op("pixio_edge::attention", mutates_args=(), device_types="cpu")
def attention(qkv: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """Softmax attention over packed queries, keys and values.

    Args:
        qkv: Output of the qkv projection without its bias, (B, N, 3, H, D), contiguous.
        bias: Bias of that projection, (3, H, D), or None.
        scale: What the products of queries and keys are multiplied with, normally D ** -0.5.

    Returns:
        (B, N, H * D), as the output projection takes it.

    Raises:
        SpecError: A tensor has another shape, type, device or layout than the operator takes.
        RuntimeUnavailableError: The tensors are on a GPU that cannot run the kernel, or on the CPU with
            PIXIO_EDGE_KERNELS=cuda.
    """
    check_scale(scale)
    _check_not_forced("attention", qkv)
    return reference_torch.attention(qkv, bias, scale=scale)


@torch.library.custom_op("pixio_edge::attention_int8", mutates_args=(), device_types="cpu")
def attention_int8(qkv: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """As `attention`, with queries and keys quantised to INT8 on the way.

    Args:
        qkv: Output of the qkv projection without its bias, (B, N, 3, H, D), contiguous.
        bias: Bias of that projection, (3, H, D), or None.
        scale: What the products of queries and keys are multiplied with, normally D ** -0.5.

    Returns:
        (B, N, H * D), as the output projection takes it.

    Raises:
        SpecError: A tensor has another shape, type, device or layout than the operator takes.
        RuntimeUnavailableError: The tensors are on a GPU that cannot run the kernel, or on the CPU with
            PIXIO_EDGE_KERNELS=cuda.
    """
    check_scale(scale)
    _check_not_forced("attention_int8", qkv)
    return reference_torch.attention_int8(qkv, bias, scale=scale)


@torch.library.custom_op("pixio_edge::add_layer_norm", mutates_args=(), device_types="cpu")
def add_layer_norm(  # noqa: PLR0917 - torch takes no keyword-only tensors
    x: Tensor,
    branch: Tensor,
    branch_bias: Tensor | None,
    layer_scale: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor]:
    """Add a branch to the residual stream, and LayerNorm of the sum.

    Args:
        x: Residual stream (..., C), float32 or the type of `branch`.
        branch: What is added, (..., C).
        branch_bias: Bias (C,) of the projection that made the branch, or None.
        layer_scale: Factor (C,) on the branch with its bias, or None.
        weight: (C,) of the norm.
        bias: (C,) of the norm.
        eps: Added to the variance.

    Returns:
        The sum, of the type of `x`, and the norm, of the type of `branch`.

    Raises:
        SpecError: A tensor has another shape, type, device or layout than the operator takes.
        RuntimeUnavailableError: The tensors are on a GPU that cannot run the kernel, or on the CPU with
            PIXIO_EDGE_KERNELS=cuda.
    """
    _check_not_forced("add_layer_norm", branch)
    return reference_torch.add_layer_norm(
        x, branch, branch_bias=branch_bias, layer_scale=layer_scale, weight=weight, bias=bias, eps=eps
    )


@torch.library.custom_op("pixio_edge::add_layer_norm_int8", mutates_args=(), device_types="cpu")
def add_layer_norm_int8(  # noqa: PLR0917 - torch takes no keyword-only tensors
    x: Tensor,
    branch: Tensor,
    branch_bias: Tensor | None,
    layer_scale: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """As `add_layer_norm`, with the norm quantised to INT8 by one scale for each row.

    Args:
        x: As for `add_layer_norm`, and so the others.
        branch: What is added.
        branch_bias: Bias of the projection that made the branch, or None.
        layer_scale: Factor on the branch with its bias, or None.
        weight: Of the norm.
        bias: Of the norm.
        eps: Added to the variance.

    Returns:
        The sum, of the type of `x`; codes int8 (..., C) and scales float32 (...), whose product is the norm.

    Raises:
        SpecError: A tensor has another shape, type, device or layout than the operator takes.
        RuntimeUnavailableError: The tensors are on a GPU that cannot run the kernel, or on the CPU with
            PIXIO_EDGE_KERNELS=cuda.
    """
    _check_not_forced("add_layer_norm", branch)
    return reference_torch.add_layer_norm_int8(
        x, branch, branch_bias=branch_bias, layer_scale=layer_scale, weight=weight, bias=bias, eps=eps
    )


@torch.library.custom_op("pixio_edge::bias_gelu", mutates_args=(), device_types="cpu")
def bias_gelu(x: Tensor, bias: Tensor) -> Tensor:
    """GELU (exact, by erf) of x + bias.

    Args:
        x: Output of a projection without its bias, (..., C).
        bias: Bias of that projection, (C,).

    Returns:
        As `x`.

    Raises:
        SpecError: A tensor has another shape, type, device or layout than the operator takes.
        RuntimeUnavailableError: The tensors are on a GPU that cannot run the kernel, or on the CPU with
            PIXIO_EDGE_KERNELS=cuda.
    """
    _check_not_forced("bias_gelu", x)
    return reference_torch.bias_gelu(x, bias)


@torch.library.custom_op("pixio_edge::bias_gelu_int8", mutates_args=(), device_types="cpu")
def bias_gelu_int8(x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """As `bias_gelu`, quantised to INT8 by one scale for each row.

    Args:
        x: Output of a projection without its bias, (..., C).
        bias: Bias of that projection, (C,).

    Returns:
        Codes int8 (..., C) and scales float32 (...), whose product is the result.

    Raises:
        SpecError: A tensor has another shape, type, device or layout than the operator takes.
        RuntimeUnavailableError: The tensors are on a GPU that cannot run the kernel, or on the CPU with
            PIXIO_EDGE_KERNELS=cuda.
    """
    _check_not_forced("bias_gelu", x)
    return reference_torch.bias_gelu_int8(x, bias)


def _check_not_forced(name: str, tensor: Tensor) -> None:
    """Refuse the reference where PIXIO_EDGE_KERNELS=cuda asks for the kernel."""
    select(name, device=str(tensor.device), dtype=str(tensor.dtype).removeprefix("torch."))


def _fake_attention(qkv: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    check_scale(scale)
    batch, tokens, heads, head_dim = check_attention(qkv, bias)
    return qkv.new_empty(batch, tokens, heads * head_dim)


def _fake_add_layer_norm(  # noqa: PLR0917 - torch takes no keyword-only tensors
    x: Tensor,
    branch: Tensor,
    branch_bias: Tensor | None,
    layer_scale: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor]:
    check_add_layer_norm(x, branch, branch_bias=branch_bias, layer_scale=layer_scale, weight=weight, bias=bias)
    return x.new_empty(x.shape), branch.new_empty(branch.shape)


def _fake_add_layer_norm_int8(  # noqa: PLR0917 - torch takes no keyword-only tensors
    x: Tensor,
    branch: Tensor,
    branch_bias: Tensor | None,
    layer_scale: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    total, normed = _fake_add_layer_norm(
        x, branch, branch_bias=branch_bias, layer_scale=layer_scale, weight=weight, bias=bias, eps=eps
    )
    return total, *_fake_codes(normed)


def _fake_bias_gelu(x: Tensor, bias: Tensor) -> Tensor:
    check_bias_gelu(x, bias)
    return x.new_empty(x.shape)


def _fake_bias_gelu_int8(x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    return _fake_codes(_fake_bias_gelu(x, bias))


def _fake_codes(like: Tensor) -> tuple[Tensor, Tensor]:
    return like.new_empty(like.shape, dtype=torch.int8), like.new_empty(like.shape[:-1], dtype=torch.float32)


for _op, _fake, _kernel in (
    (attention, _fake_attention, ops_cuda.attention),
    (attention_int8, _fake_attention, ops_cuda.attention_int8),
    (add_layer_norm, _fake_add_layer_norm, ops_cuda.add_layer_norm),
    (add_layer_norm_int8, _fake_add_layer_norm_int8, ops_cuda.add_layer_norm_int8),
    (bias_gelu, _fake_bias_gelu, ops_cuda.bias_gelu),
    (bias_gelu_int8, _fake_bias_gelu_int8, ops_cuda.bias_gelu_int8),
):
    _op.register_fake(_fake)
    _op.register_kernel("cuda")(_kernel)
