"""The operators without torch, on arrays of any library: CuPy, Numba, CV-CUDA, JAX, torch, or numpy on the CPU.

Arrays on a GPU are passed through DLPack or `__cuda_array_interface__` and never copied; the kernel is put into the
stream that is given and may still run when the function returns, so that arrays have to live until the stream is done.
Arrays of numpy are computed by the reference, in numpy. Outputs and workspace are the caller's; every function returns
what ran and why. Arrays that their library never changes, such as those of JAX, cannot be outputs.

    import cupy
    from pixio_edge.kernels import functions

    out = cupy.empty((1, 584, 384), cupy.float16)
    functions.attention(qkv, bias, out, stream=cupy.cuda.get_current_stream().ptr)  # qkv: (1, 584, 3, 6, 64)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pixio_edge import env
from pixio_edge.errors import SpecError
from pixio_edge.kernels import operators, reference
from pixio_edge.kernels.arguments import check_attention
from pixio_edge.kernels.arrays import ArrayView, view_array
from pixio_edge.kernels.geometry_attention_int8 import plan_workspace
from pixio_edge.kernels.select import Selection, insist, select

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["add_layer_norm", "attention", "attention_int8", "bias_gelu", "int8_workspace_bytes"]

Array = Any
"""An array of any library, on a GPU, or of numpy."""


def attention(qkv: Array, bias: Array | None, out: Array, *, scale: float | None = None, stream: int = 0) -> Selection:
    """Softmax attention over packed queries, keys and values; written to `out`.

    Args:
        qkv: Output of the qkv projection without its bias, (B, N, 3, H, D), float16 or bfloat16; D 64, 80 or 96.
        bias: Bias of that projection, (3, H, D), or None.
        out: (B, N, H * D).
        scale: What the products of queries and keys are multiplied with; None is D ** -0.5.
        stream: CUDA stream, as the address of its handle; 0 is the default stream.

    Raises:
        SpecError: An array has another shape, type, device or layout than the operator takes.
        MissingDependencyError: A package of the extra `cuda` is not installed.
        RuntimeUnavailableError: The kernel cannot run on that GPU.
    """
    if _is_host(qkv, bias, out):
        scale = _scale(scale, check_attention(qkv, bias)[3])
        return _on_host("attention", lambda: (reference.attention(qkv, bias, scale=scale),), (out,))
    views = _views(stream, qkv=qkv, bias=bias)
    packed = _given(views["qkv"], "qkv")
    _, _, _, head_dim = check_attention(packed, views["bias"])
    selection = _on_gpu("attention", packed, head_dim=head_dim)
    target = view_array(out, "out", stream=stream, is_written=True)
    operators.attention(packed, views["bias"], target, scale=_scale(scale, head_dim), stream=stream)
    return selection


def attention_int8(
    qkv: Array, bias: Array | None, out: Array, workspace: Array | None, *, scale: float | None = None, stream: int = 0
) -> Selection:
    """As `attention`, with queries and keys quantised to INT8 on the way.

    Args:
        qkv: As for `attention`, and so the others.
        bias: Of the qkv projection, or None.
        out: (B, N, H * D).
        workspace: uint8 of `int8_workspace_bytes`, on the GPU of the others; None for arrays of numpy.
        scale: What the products of queries and keys are multiplied with; None is D ** -0.5.
        stream: CUDA stream, as the address of its handle; 0 is the default stream.

    Raises:
        SpecError, MissingDependencyError, RuntimeUnavailableError: As for `attention`.
    """
    if _is_host(qkv, bias, out):
        scale = _scale(scale, check_attention(qkv, bias)[3])
        return _on_host("attention_int8", lambda: (reference.attention_int8(qkv, bias, scale=scale),), (out,))
    views = _views(stream, qkv=qkv, bias=bias)
    packed = _given(views["qkv"], "qkv")
    _, _, _, head_dim = check_attention(packed, views["bias"])
    selection = _on_gpu("attention_int8", packed, head_dim=head_dim)
    targets = [
        view_array(array, name, stream=stream, is_written=True)
        for array, name in ((out, "out"), (workspace, "workspace"))
    ]
    operators.attention_int8(packed, views["bias"], *targets, scale=_scale(scale, head_dim), stream=stream)
    return selection


def int8_workspace_bytes(batch: int, tokens: int, heads: int, head_dim: int) -> int:
    """Bytes of the workspace of `attention_int8`.

    Raises:
        SpecError: The kernel is not made for a size.
    """
    return plan_workspace(batch, tokens, heads, head_dim).size


def add_layer_norm(
    x: Array,
    branch: Array,
    outputs: tuple[Array, ...],
    *,
    branch_bias: Array | None = None,
    layer_scale: Array | None = None,
    weight: Array,
    bias: Array,
    eps: float = 1e-6,
    stream: int = 0,
) -> Selection:
    """Add a branch to the residual stream, and LayerNorm of the sum; written to `outputs`.

    Args:
        x: Residual stream (..., C), float32 or the type of `branch`; C a multiple of 8.
        branch: What is added, (..., C), float16 or bfloat16.
        outputs: Sum as `x` and norm as `branch`; or sum, codes int8 (..., C) and scales float32 (...), whose product
            is the norm.
        branch_bias: Bias (C,) of the projection that made the branch, or None.
        layer_scale: Factor (C,) on the branch with its bias, or None.
        weight: (C,) of the norm.
        bias: (C,) of the norm.
        eps: Added to the variance.
        stream: CUDA stream, as the address of its handle; 0 is the default stream.

    Raises:
        SpecError, MissingDependencyError, RuntimeUnavailableError: As for `attention`.
    """
    _check_count("add_layer_norm", outputs, (2, 3))
    vectors = {"branch_bias": branch_bias, "layer_scale": layer_scale, "weight": weight, "bias": bias}
    if _is_host(x, branch, *vectors.values(), *outputs):
        compute = reference.add_layer_norm if len(outputs) == 2 else reference.add_layer_norm_int8
        return _on_host("add_layer_norm", lambda: compute(x, branch, **vectors, eps=eps), outputs)
    views = _views(stream, x=x, branch=branch, **vectors)
    x_view, branch_view = _given(views.pop("x"), "x"), _given(views.pop("branch"), "branch")
    selection = _on_gpu("add_layer_norm", branch_view, channels=branch_view.shape[-1])
    operators.add_layer_norm(
        x_view,
        branch_view,
        branch_bias=views["branch_bias"],
        layer_scale=views["layer_scale"],
        weight=_given(views["weight"], "weight"),
        bias=_given(views["bias"], "bias"),
        eps=eps,
        outputs=tuple(view_array(output, "output", stream=stream, is_written=True) for output in outputs),
        stream=stream,
    )
    return selection


def bias_gelu(x: Array, bias: Array, outputs: tuple[Array, ...], *, stream: int = 0) -> Selection:
    """GELU (exact, by erf) of x + bias; written to `outputs`.

    Args:
        x: Output of a projection without its bias, (..., C), float16 or bfloat16; C a multiple of 8.
        bias: Bias of that projection, (C,).
        outputs: One as `x`; or codes int8 (..., C) and scales float32 (...), whose product is the result.
        stream: CUDA stream, as the address of its handle; 0 is the default stream.

    Raises:
        SpecError, MissingDependencyError, RuntimeUnavailableError: As for `attention`.
    """
    _check_count("bias_gelu", outputs, (1, 2))
    if _is_host(x, bias, *outputs):
        if len(outputs) == 1:
            return _on_host("bias_gelu", lambda: (reference.bias_gelu(x, bias),), outputs)
        return _on_host("bias_gelu", lambda: reference.bias_gelu_int8(x, bias), outputs)
    view, bias_view = (view_array(array, name, stream=stream) for array, name in ((x, "x"), (bias, "bias")))
    selection = _on_gpu("bias_gelu", view, channels=view.shape[-1])
    targets = tuple(view_array(output, "output", stream=stream, is_written=True) for output in outputs)
    operators.bias_gelu(view, bias_view, outputs=targets, stream=stream)
    return selection


def _is_host(*arrays: Array | None) -> bool:
    """Whether all arrays are numpy's.

    Raises:
        SpecError: Some are, and some are not.
    """
    kinds = {isinstance(array, np.ndarray) for array in arrays if array is not None}
    if len(kinds) > 1:
        raise SpecError("kernels: got some arrays of numpy and some on a GPU, expected one kind. Fix: move them")
    return kinds == {True}


def _on_host(name: str, compute: Callable[[], tuple[Array, ...]], outputs: tuple[Array, ...]) -> Selection:
    """Write what the reference computes, unless the kernel is forced: then nothing is computed or written."""
    selection = select(name, device="cpu", dtype="float32")
    found = compute()
    for index, (result, output) in enumerate(zip(found, outputs, strict=True)):
        if output.shape != result.shape or output.dtype != result.dtype:
            raise SpecError(
                f"{name}: got output {index} of {output.dtype} {output.shape}, expected {result.dtype} {result.shape}. "
                "Fix: pass an array of this type and shape"
            )
    for result, output in zip(found, outputs, strict=True):
        output[...] = result
    return selection


def _on_gpu(name: str, view: ArrayView, *, head_dim: int | None = None, channels: int | None = None) -> Selection:
    selection = select(name, device=f"cuda:{view.device}", dtype=view.dtype, head_dim=head_dim, channels=channels)
    if env.kernels() == "reference":
        raise SpecError(
            f"{name}: got arrays on a GPU with PIXIO_EDGE_KERNELS=reference, which is numpy's here, expected arrays of "
            "numpy. Fix: copy them to the host, or unset PIXIO_EDGE_KERNELS"
        )
    insist(name, selection, forced=None)
    return selection


def _views(stream: int, **arrays: Array | None) -> dict[str, ArrayView | None]:
    return {name: None if array is None else view_array(array, name, stream=stream) for name, array in arrays.items()}


def _given(view: ArrayView | None, name: str) -> ArrayView:
    if view is None:
        raise SpecError(f"{name}: got None, expected an array. Fix: pass one")
    return view


def _scale(scale: float | None, head_dim: int) -> float:
    chosen = head_dim**-0.5 if scale is None else scale
    operators.check_scale(chosen)
    return chosen


def _check_count(name: str, outputs: tuple[Array, ...], allowed: tuple[int, int]) -> None:
    if len(outputs) not in allowed:
        raise SpecError(
            f"{name}: got {len(outputs)} outputs, expected {allowed[0]}, or {allowed[1]} for INT8. Fix: pass as many"
        )
