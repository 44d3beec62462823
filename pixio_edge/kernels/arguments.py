"""What the operators demand of their arguments' shapes and dtypes: the same for kernels, fallback and oracle."""

from __future__ import annotations

from typing import Any, Protocol

from pixio_edge.errors import SpecError

Shape = tuple[int, ...]


class HasShape(Protocol):
    """An array or tensor of any library; only its shape and dtype are looked at."""

    @property
    def shape(self) -> Any:
        """Sizes of its axes."""

    @property
    def dtype(self) -> Any:
        """Type of its elements."""


def check_attention(qkv: HasShape, bias: HasShape | None) -> tuple[int, int, int, int]:
    """Check the arguments of attention.

    Args:
        qkv: (B, N, 3, H, D).
        bias: (3, H, D), or None.

    Returns:
        Batch, tokens, heads and head_dim.

    Raises:
        SpecError: A shape does not fit, an axis is empty, or the dtypes differ.
    """
    shape = tuple(qkv.shape)
    if len(shape) != 5 or shape[2] != 3 or 0 in shape:
        raise SpecError(
            f"attention: got qkv of shape {shape}, expected (batch, tokens, 3, heads, head_dim) with no empty axis. "
            "Fix: reshape the output of the qkv projection"
        )
    batch, tokens, _, heads, head_dim = shape
    if bias is not None:
        _check_like("attention", "bias", bias, (3, heads, head_dim), qkv)
    return batch, tokens, heads, head_dim


def check_add_layer_norm(
    x: HasShape,
    branch: HasShape,
    *,
    branch_bias: HasShape | None,
    layer_scale: HasShape | None,
    weight: HasShape,
    bias: HasShape,
) -> tuple[int, int]:
    """Check the arguments of residual add and LayerNorm.

    Args:
        x: Residual stream, (..., C).
        branch: What is added to it, of the same shape; its dtype is the element type.
        branch_bias: (C,), or None.
        layer_scale: (C,), or None.
        weight: (C,) of the norm.
        bias: (C,) of the norm.

    Returns:
        Rows and channels C.

    Raises:
        SpecError: A shape does not fit, there are no channels, or a dtype differs from that of `branch`; `x` may be
            float32 beside any.
    """
    shape = tuple(x.shape)
    if not shape or 0 in shape:
        raise SpecError(
            f"add_layer_norm: got x of shape {shape}, expected (..., channels) with no empty axis. "
            "Fix: pass tokens with their channels last"
        )
    if _name(x.dtype) not in {"float32", _name(branch.dtype)}:
        raise SpecError(
            f"add_layer_norm: got x of dtype {_name(x.dtype)} with branch of dtype {_name(branch.dtype)}, expected the "
            "same or float32. Fix: convert x"
        )
    if tuple(branch.shape) != shape:
        raise SpecError(
            f"add_layer_norm: got branch of shape {tuple(branch.shape)}, expected {shape} as x. Fix: reshape branch"
        )
    for name, vector in (
        ("branch_bias", branch_bias),
        ("layer_scale", layer_scale),
        ("weight", weight),
        ("bias", bias),
    ):
        if vector is not None:
            _check_like("add_layer_norm", name, vector, (shape[-1],), branch)
    return _rows(shape), shape[-1]


def check_bias_gelu(x: HasShape, bias: HasShape) -> tuple[int, int]:
    """Check the arguments of bias and GELU.

    Args:
        x: (..., C).
        bias: (C,).

    Returns:
        Rows and channels C.

    Raises:
        SpecError: A shape does not fit, an axis is empty, or the dtypes differ.
    """
    shape = tuple(x.shape)
    if not shape or 0 in shape:
        raise SpecError(
            f"bias_gelu: got x of shape {shape}, expected (..., channels) with no empty axis. "
            "Fix: pass tokens with their channels last"
        )
    _check_like("bias_gelu", "bias", bias, (shape[-1],), x)
    return _rows(shape), shape[-1]


def _check_like(operator: str, name: str, array: HasShape, shape: Shape, like: HasShape) -> None:
    if tuple(array.shape) != shape or array.dtype != like.dtype:
        raise SpecError(
            f"{operator}: got {name} of {_name(array.dtype)} {tuple(array.shape)}, expected {_name(like.dtype)} "
            f"{shape}. Fix: reshape or convert {name}"
        )


def _name(dtype: Any) -> str:
    """Name of a numpy or torch dtype, such as "float16"."""
    return str(dtype).removeprefix("torch.")


def _rows(shape: Shape) -> int:
    rows = 1
    for size in shape[:-1]:
        rows *= size
    return rows
