"""The kernels' functions on the CPU, in torch: what the operators run where there is no GPU.

Attention is torch's own fused one. The rest computes in float32 whatever the elements are, as the kernels do. Results
are contiguous whatever the inputs are, as the kernels' are.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pixio_edge.kernels import reference
from pixio_edge.kernels.arguments import check_add_layer_norm, check_attention, check_bias_gelu
from pixio_edge.kernels.oracle import SMALLEST_SCALE
from pixio_edge.kernels.precision import INT8_MAX, precision_of


def attention(qkv: Tensor, bias: Tensor | None, *, scale: float) -> Tensor:
    """Softmax attention; arguments and result as of `oracle.attention`, the dtype is that of `qkv`.

    Raises:
        SpecError: A shape or dtype does not fit.
    """
    batch, tokens, _, _ = check_attention(qkv, bias)
    _check_element("attention: qkv", qkv)
    biased = qkv if bias is None else qkv + bias
    query, key, value = biased.permute(2, 0, 3, 1, 4)  # each (B, H, N, D)
    heads = functional.scaled_dot_product_attention(query, key, value, scale=scale)
    return heads.transpose(1, 2).reshape(batch, tokens, -1).contiguous()


def attention_int8(qkv: Tensor, bias: Tensor | None, *, scale: float) -> Tensor:
    """Attention with queries and keys quantised as in the kernel; it runs in numpy, see `reference.attention_int8`.

    Raises:
        SpecError: A shape or dtype does not fit.
    """
    check_attention(qkv, bias)
    _check_element("attention_int8: qkv", qkv)
    offsets = None if bias is None else bias.detach().float().cpu().numpy()
    merged = reference.attention_int8(qkv.detach().float().cpu().numpy(), offsets, scale=scale)
    return torch.from_numpy(merged).to(qkv).contiguous()


def add_layer_norm(
    x: Tensor,
    branch: Tensor,
    *,
    branch_bias: Tensor | None,
    layer_scale: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor]:
    """Residual add and LayerNorm; arguments and results as of `oracle.add_layer_norm`.

    The sum has the dtype of `x`, the norm that of `branch`; the norm is of the sum before that is rounded.

    Raises:
        SpecError: A shape or dtype does not fit.
    """
    total, normed = _add_layer_norm(x, branch, branch_bias, layer_scale, weight=weight, bias=bias, eps=eps)
    return total.to(x.dtype).contiguous(), normed.to(branch.dtype).contiguous()


def add_layer_norm_int8(
    x: Tensor,
    branch: Tensor,
    *,
    branch_bias: Tensor | None,
    layer_scale: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Residual add and LayerNorm, quantised; arguments and results as of `oracle.add_layer_norm_int8`.

    Raises:
        SpecError: A shape or dtype does not fit.
    """
    total, normed = _add_layer_norm(x, branch, branch_bias, layer_scale, weight=weight, bias=bias, eps=eps)
    return total.to(x.dtype).contiguous(), *_quantize_rows(normed)


def bias_gelu(x: Tensor, bias: Tensor) -> Tensor:
    """GELU of x + bias; arguments and result as of `oracle.bias_gelu`, the dtype is that of `x`.

    Raises:
        SpecError: A shape or dtype does not fit.
    """
    return _bias_gelu(x, bias).to(x.dtype).contiguous()


def bias_gelu_int8(x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """GELU of x + bias, quantised; arguments and results as of `oracle.bias_gelu_int8`.

    Raises:
        SpecError: A shape or dtype does not fit.
    """
    return _quantize_rows(_bias_gelu(x, bias))


def _add_layer_norm(
    x: Tensor,
    branch: Tensor,
    branch_bias: Tensor | None,
    layer_scale: Tensor | None,
    *,
    weight: Tensor,
    bias: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor]:
    check_add_layer_norm(x, branch, branch_bias=branch_bias, layer_scale=layer_scale, weight=weight, bias=bias)
    _check_element("add_layer_norm: branch", branch)
    added = branch.float()
    if branch_bias is not None:
        added = added + branch_bias.float()
    total = x + added if layer_scale is None else torch.addcmul(x.float(), added, layer_scale.float())
    return total, functional.layer_norm(total, (x.shape[-1],), weight.float(), bias.float(), eps)


def _bias_gelu(x: Tensor, bias: Tensor) -> Tensor:
    check_bias_gelu(x, bias)
    _check_element("bias_gelu: x", x)
    return functional.gelu(x.float() + bias.float())


def _quantize_rows(values: Tensor) -> tuple[Tensor, Tensor]:
    """As `oracle.quantize_rows`, in float32."""
    largest = values.abs().amax(dim=-1)
    is_zero = largest < INT8_MAX * SMALLEST_SCALE
    scale = torch.where(is_zero, 1.0, largest / INT8_MAX)
    is_usable = largest.isfinite() & ~is_zero
    steps = (values * (INT8_MAX / largest)[..., None]).round()
    codes = torch.where(is_usable[..., None], steps, 0.0).to(torch.int8)
    return codes.contiguous(), scale.contiguous()


def _check_element(what: str, tensor: Tensor) -> None:
    precision_of(str(tensor.dtype).removeprefix("torch."), what)
