"""What the operators do with CUDA tensors: outputs and workspace from torch's allocator, on torch's current stream.

With PIXIO_EDGE_KERNELS=reference it is the reference that runs, on the GPU; nothing else makes it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pixio_edge import env
from pixio_edge.errors import SpecError
from pixio_edge.kernels import operators, reference_torch
from pixio_edge.kernels.arguments import check_attention, check_bias_gelu
from pixio_edge.kernels.arrays import ALIGNMENT, ArrayView
from pixio_edge.kernels.geometry_attention_int8 import plan_workspace
from pixio_edge.kernels.select import insist, select


def attention(qkv: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """See `ops.attention`."""
    batch, tokens, heads, head_dim = check_attention(qkv, bias)
    if _is_reference("attention", qkv, head_dim=head_dim):
        return reference_torch.attention(qkv, bias, scale=scale)
    out = qkv.new_empty(batch, tokens, heads * head_dim)
    stream = _stream(qkv)
    operators.attention(_view(qkv, "qkv"), _maybe(bias, "bias"), _view(out, "out"), scale=scale, stream=stream)
    return out


def attention_int8(qkv: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """See `ops.attention_int8`."""
    batch, tokens, heads, head_dim = check_attention(qkv, bias)
    if _is_reference("attention_int8", qkv, head_dim=head_dim):
        return reference_torch.attention_int8(qkv, bias, scale=scale)
    out = qkv.new_empty(batch, tokens, heads * head_dim)
    size = plan_workspace(batch, tokens, heads, head_dim).size
    workspace = qkv.new_empty(size, dtype=torch.uint8)
    views = (_view(qkv, "qkv"), _maybe(bias, "bias"), _view(out, "out"), _view(workspace, "workspace"))
    operators.attention_int8(*views, scale=scale, stream=_stream(qkv))
    return out


def add_layer_norm(  # noqa: PLR0917 - torch takes no keyword-only tensors
    x: Tensor,
    branch: Tensor,
    branch_bias: Tensor | None,
    layer_scale: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor]:
    """See `ops.add_layer_norm`."""
    vectors = _Vectors(branch_bias, layer_scale, weight, bias)
    if _is_reference("add_layer_norm", branch, channels=branch.shape[-1]):
        return reference_torch.add_layer_norm(
            x, branch, branch_bias=branch_bias, layer_scale=layer_scale, weight=weight, bias=bias, eps=eps
        )
    total, normed = torch.empty_like(x), torch.empty_like(branch)
    _start_add_layer_norm(x, branch, vectors, eps, (total, normed))
    return total, normed


def add_layer_norm_int8(  # noqa: PLR0917 - torch takes no keyword-only tensors
    x: Tensor,
    branch: Tensor,
    branch_bias: Tensor | None,
    layer_scale: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """See `ops.add_layer_norm_int8`."""
    vectors = _Vectors(branch_bias, layer_scale, weight, bias)
    if _is_reference("add_layer_norm", branch, channels=branch.shape[-1]):
        return reference_torch.add_layer_norm_int8(
            x, branch, branch_bias=branch_bias, layer_scale=layer_scale, weight=weight, bias=bias, eps=eps
        )
    total, (codes, scales) = torch.empty_like(x), _empty_codes(branch)
    _start_add_layer_norm(x, branch, vectors, eps, (total, codes, scales))
    return total, codes, scales


def bias_gelu(x: Tensor, bias: Tensor) -> Tensor:
    """See `ops.bias_gelu`."""
    check_bias_gelu(x, bias)
    if _is_reference("bias_gelu", x, channels=x.shape[-1]):
        return reference_torch.bias_gelu(x, bias)
    out = torch.empty_like(x)
    operators.bias_gelu(_view(x, "x"), _view(bias, "bias"), outputs=(_view(out, "out"),), stream=_stream(x))
    return out


def bias_gelu_int8(x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """See `ops.bias_gelu_int8`."""
    check_bias_gelu(x, bias)
    if _is_reference("bias_gelu", x, channels=x.shape[-1]):
        return reference_torch.bias_gelu_int8(x, bias)
    codes, scales = _empty_codes(x)
    outputs = (_view(codes, "codes"), _view(scales, "scales"))
    operators.bias_gelu(_view(x, "x"), _view(bias, "bias"), outputs=outputs, stream=_stream(x))
    return codes, scales


class _Vectors(NamedTuple):
    """Those of one residual add and LayerNorm."""

    branch_bias: Tensor | None
    layer_scale: Tensor | None
    weight: Tensor
    bias: Tensor


def _start_add_layer_norm(
    x: Tensor, branch: Tensor, vectors: _Vectors, eps: float, outputs: tuple[Tensor, ...]
) -> None:
    operators.add_layer_norm(
        _view(x, "x"),
        _view(branch, "branch"),
        branch_bias=_maybe(vectors.branch_bias, "branch_bias"),
        layer_scale=_maybe(vectors.layer_scale, "layer_scale"),
        weight=_view(vectors.weight, "weight"),
        bias=_view(vectors.bias, "bias"),
        eps=eps,
        outputs=tuple(_view(output, "output") for output in outputs),
        stream=_stream(x),
    )


def _empty_codes(like: Tensor) -> tuple[Tensor, Tensor]:
    codes = torch.empty_like(like, dtype=torch.int8)
    return codes, like.new_empty(like.shape[:-1], dtype=torch.float32)


def _is_reference(name: str, tensor: Tensor, *, head_dim: int | None = None, channels: int | None = None) -> bool:
    """Whether the reference was asked for.

    Raises:
        RuntimeUnavailableError: It was not, and the kernel cannot run.
    """
    device, dtype = str(tensor.device), str(tensor.dtype).removeprefix("torch.")
    selection = select(name, device=device, dtype=dtype, head_dim=head_dim, channels=channels)
    insist(name, selection, forced=env.kernels())
    return selection.implementation == "reference"


def _view(tensor: Tensor, name: str) -> ArrayView:
    """A tensor of CUDA as the kernels want it.

    Raises:
        SpecError: It is elsewhere, not contiguous or not aligned.
    """
    if not tensor.is_cuda:
        raise SpecError(f"{name}: got a tensor on {tensor.device}, expected one on the GPU. Fix: {name}.cuda()")
    if not tensor.is_contiguous():
        raise SpecError(
            f"{name}: got strides {tensor.stride()} for shape {tuple(tensor.shape)}, expected contiguous rows. "
            f"Fix: {name}.contiguous()"
        )
    address = tensor.data_ptr()
    if address % ALIGNMENT:
        raise SpecError(
            f"{name}: got memory at {address:#x}, expected a multiple of {ALIGNMENT} bytes. Fix: {name}.clone()"
        )
    dtype = str(tensor.dtype).removeprefix("torch.")
    return ArrayView(address, tuple(tensor.shape), dtype, tensor.device.index or 0, tensor)


def _maybe(tensor: Tensor | None, name: str) -> ArrayView | None:
    return None if tensor is None else _view(tensor, name)


def _stream(tensor: Tensor) -> int:
    return int(torch.cuda.current_stream(tensor.device).cuda_stream)
