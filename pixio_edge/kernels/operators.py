"""Each operator on arrays of a GPU: what is checked, which variant runs, with which launches and arguments.

Here an array is an `ArrayView`, whoever made it; `ops` makes them of torch's tensors, `functions` of any library's.
Nothing is allocated: the caller gives outputs and workspace.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.errors import SpecError
from pixio_edge.kernels import devices, launch
from pixio_edge.kernels.arguments import check_add_layer_norm, check_attention, check_bias_gelu
from pixio_edge.kernels.arrays import check_view
from pixio_edge.kernels.geometry_add_layer_norm import plan_add_layer_norm
from pixio_edge.kernels.geometry_attention import plan_attention
from pixio_edge.kernels.geometry_attention_int8 import plan_attention_int8, plan_workspace
from pixio_edge.kernels.geometry_bias_gelu import plan_bias_gelu

if TYPE_CHECKING:
    from pixio_edge.kernels.arrays import ArrayView
    from pixio_edge.kernels.launch import Argument


def attention(qkv: ArrayView, bias: ArrayView | None, out: ArrayView, *, scale: float, stream: int) -> None:
    """Softmax attention over packed queries, keys and values.

    Args:
        qkv: (B, N, 3, H, D), float16 or bfloat16.
        bias: (3, H, D) of the same type, or None.
        out: (B, N, H * D) of the same type; written.
        scale: What the products of queries and keys are multiplied with.
        stream: CUDA stream.

    Raises:
        SpecError: An array has another shape, type or device, or `scale` is not a positive number.
        MissingDependencyError, RuntimeUnavailableError: As for `launch.start`.
    """
    batch, tokens, heads, head_dim = check_attention(qkv, bias)
    check_scale(scale)
    _check_all(qkv, bias=bias)
    check_view(out, "attention: out", shape=(batch, tokens, heads * head_dim), dtype=qkv.dtype, device=qkv.device)
    sm, multiprocessors = devices.sm_of(qkv.device), devices.multiprocessors_of(qkv.device)
    launches = plan_attention(batch, tokens, heads, head_dim, dtype=qkv.dtype, sm=sm, multiprocessors=multiprocessors)
    sizes = (np.int32(batch), np.int32(tokens), np.int32(heads), np.float32(scale))
    defines = {"HEAD_DIM": head_dim, **_element(qkv)}
    arguments = (qkv.address, _address(bias), out.address, *sizes)
    launch.start("attention", defines, launches, arguments, device=qkv.device, stream=stream)


def attention_int8(
    qkv: ArrayView, bias: ArrayView | None, out: ArrayView, workspace: ArrayView, *, scale: float, stream: int
) -> None:
    """As `attention`, with queries and keys quantised to INT8 on the way.

    Args:
        qkv: (B, N, 3, H, D), float16 or bfloat16.
        bias: (3, H, D) of the same type, or None.
        out: (B, N, H * D) of the same type; written.
        workspace: uint8 of `geometry_attention_int8.plan_workspace` bytes; written.
        scale: What the products of queries and keys are multiplied with.
        stream: CUDA stream.

    Raises:
        SpecError: An array has another shape, type or device, or `scale` is not a positive number.
        MissingDependencyError, RuntimeUnavailableError: As for `launch.start`.
    """
    batch, tokens, heads, head_dim = check_attention(qkv, bias)
    check_scale(scale)
    _check_all(qkv, bias=bias)
    name, device = "attention_int8", qkv.device
    check_view(out, f"{name}: out", shape=(batch, tokens, heads * head_dim), dtype=qkv.dtype, device=device)
    size = plan_workspace(batch, tokens, heads, head_dim).size
    check_view(workspace, f"{name}: workspace", shape=(size,), dtype="uint8", device=device)
    sm, multiprocessors = devices.sm_of(device), devices.multiprocessors_of(device)
    launches = plan_attention_int8(
        batch, tokens, heads, head_dim, dtype=qkv.dtype, sm=sm, multiprocessors=multiprocessors
    )
    sizes = (np.int32(batch), np.int32(tokens), np.int32(heads), np.float32(scale))
    arguments = (qkv.address, _address(bias), out.address, workspace.address, *sizes)
    launch.start(name, {"HEAD_DIM": head_dim, **_element(qkv)}, launches, arguments, device=device, stream=stream)


def add_layer_norm(
    x: ArrayView,
    branch: ArrayView,
    *,
    branch_bias: ArrayView | None,
    layer_scale: ArrayView | None,
    weight: ArrayView,
    bias: ArrayView,
    eps: float,
    outputs: tuple[ArrayView, ...],
    stream: int,
) -> None:
    """Residual add and LayerNorm, also with its result quantised per row.

    Args:
        x: Residual stream (..., C), float32 or the type of `branch`.
        branch: What is added, (..., C), float16 or bfloat16.
        branch_bias: (C,) of the type of `branch`, or None.
        layer_scale: (C,) of the type of `branch`, or None.
        weight: (C,) of the type of `branch`.
        bias: (C,) of the type of `branch`.
        eps: Added to the variance.
        outputs: Written: sum as `x` and norm as `branch`; or sum, codes int8 (..., C) and their scales float32 (...).
        stream: CUDA stream.

    Raises:
        SpecError: An array has another shape, type or device.
        MissingDependencyError, RuntimeUnavailableError: As for `launch.start`.
    """
    rows, channels = check_add_layer_norm(
        x, branch, branch_bias=branch_bias, layer_scale=layer_scale, weight=weight, bias=bias
    )
    _check_all(branch, x=x, branch_bias=branch_bias, layer_scale=layer_scale, weight=weight, bias=bias)
    total, *results = outputs
    check_view(total, "add_layer_norm: sum", shape=x.shape, dtype=x.dtype, device=x.device)
    quantize = _check_results("add_layer_norm", results, branch)
    launches = plan_add_layer_norm(rows, channels, quantize=quantize)
    views = (x, branch, branch_bias, layer_scale, weight, bias, total, *results)
    arguments: list[Argument] = [*map(_address, views), np.int32(rows), np.int32(channels), np.float32(eps)]
    defines = {**_element(branch), "RESIDUAL_FP32": int(x.dtype == "float32")}
    launch.start("add_layer_norm", defines, launches, arguments, device=x.device, stream=stream)


def bias_gelu(x: ArrayView, bias: ArrayView, *, outputs: tuple[ArrayView, ...], stream: int) -> None:
    """Bias and exact GELU, also with its result quantised per row.

    Args:
        x: (..., C), float16 or bfloat16.
        bias: (C,) of the same type.
        outputs: Written: the result as `x`; or codes int8 (..., C) and their scales float32 (...).
        stream: CUDA stream.

    Raises:
        SpecError: An array has another shape, type or device.
        MissingDependencyError, RuntimeUnavailableError: As for `launch.start`.
    """
    rows, channels = check_bias_gelu(x, bias)
    _check_all(x, bias=bias)
    launches = plan_bias_gelu(rows, channels, quantize=_check_results("bias_gelu", outputs, x))
    arguments: list[Argument] = [*map(_address, (x, bias, *outputs)), np.int32(rows), np.int32(channels)]
    launch.start("bias_gelu", _element(x), launches, arguments, device=x.device, stream=stream)


def check_scale(scale: float) -> None:
    """Hold the softmax scale against what the kernels take.

    Raises:
        SpecError: It is not a finite number above 0.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise SpecError(f"attention: got scale {scale}, expected a finite number above 0. Fix: head_dim ** -0.5")


def _check_results(name: str, results: tuple[ArrayView, ...] | list[ArrayView], like: ArrayView) -> bool:
    """Hold the normalised or activated result against its input; whether it is quantised."""
    if len(results) == 1:
        check_view(results[0], f"{name}: out", shape=like.shape, dtype=like.dtype, device=like.device)
        return False
    codes, scales = results
    check_view(codes, f"{name}: codes", shape=like.shape, dtype="int8", device=like.device)
    check_view(scales, f"{name}: scales", shape=like.shape[:-1], dtype="float32", device=like.device)
    return True


def _check_all(first: ArrayView, **others: ArrayView | None) -> None:
    """Make sure that all arrays are on one GPU; shapes and types were checked already."""
    for name, view in others.items():
        if view is not None:
            check_view(view, name, shape=view.shape, dtype=view.dtype, device=first.device)


def _element(view: ArrayView) -> dict[str, int]:
    if view.dtype not in ("float16", "bfloat16"):
        raise SpecError(
            f"kernels: got elements of {view.dtype}, expected float16 or bfloat16. Fix: convert them, or "
            "PIXIO_EDGE_KERNELS=reference"
        )
    return {"ELEMENT_BF16": int(view.dtype == "bfloat16")}


def _address(view: ArrayView | None) -> int | None:
    return None if view is None else view.address
