"""Resizing of images. The grids are written out as Apple's documentation of `resize_bilinear` gives them."""

from __future__ import annotations

import torch
from torch import Tensor

from pixio_edge.export.coreml.mil_call import Call, mil_op


@mil_op("upsample_bilinear")
def upsample_bilinear(call: Call) -> Tensor:
    """Larger by a factor in each of the last two dimensions; the factor is worked out again from the whole sizes."""
    x = call.tensor("x")
    mode = "STRICT_ALIGN_CORNERS" if call.flag("align_corners") else "UNALIGN_CORNERS"
    return _resize_linear(x, _scaled_size(call, x), mode)


@mil_op("resize_bilinear")
def resize_bilinear(call: Call) -> Tensor:
    """To a size in the last two dimensions."""
    size = (call.integer("target_size_height"), call.integer("target_size_width"))
    return _resize_linear(call.tensor("x"), size, call.text("sampling_mode"))


@mil_op("upsample_nearest_neighbor")
def upsample_nearest_neighbor(call: Call) -> Tensor:
    """Each element repeated."""
    x = call.tensor("x")
    return _resize_nearest(x, _scaled_size(call, x))


@mil_op("resize_nearest_neighbor")
def resize_nearest_neighbor(call: Call) -> Tensor:
    """To a size in the last two dimensions."""
    return _resize_nearest(call.tensor("x"), (call.integer("target_size_height"), call.integer("target_size_width")))


@mil_op("resize")
def resize(call: Call) -> Tensor:
    """To a size in the last dimensions, where 0 keeps that of the input; iOS 17."""
    x, shape, count = call.tensor("x"), call.ints("shape"), call.integer("resized_dims")
    if count != 2:
        raise call.refuse(f"resized_dims {count}")
    height, width = (wanted or given for wanted, given in zip(shape[-2:], x.shape[-2:], strict=True))
    if call.text("interpolation_mode") == "LINEAR":
        return _resize_linear(x, (height, width), call.text("sampling_mode"))
    if call.text("sampling_mode") != "DEFAULT":
        raise call.refuse(f"NEAREST_NEIGHBOR with sampling_mode '{call.text('sampling_mode')}'")
    return _resize_nearest(x, (height, width))


def sampling_grid(size: int, target: int, mode: str) -> Tensor:
    """Where in [0, size - 1] each of `target` samples lies; float64.

    Raises:
        KeyError: There is no such mode.
    """
    index = torch.arange(target, dtype=torch.float64)
    centre = (size - 1) / 2 if mode == "ALIGN_CORNERS" else 0.0
    aligned = index * (size - 1) / (target - 1) if target > 1 else torch.full_like(index, centre)
    delta = max(1, size - 1) / target
    grids = {
        "STRICT_ALIGN_CORNERS": aligned,
        "ALIGN_CORNERS": aligned,
        "DEFAULT": index * size / target,
        "OFFSET_CORNERS": (index + 0.5) * delta,
        "UNALIGN_CORNERS": (index + 0.5) * size / target - 0.5,
    }
    return grids[mode].clamp(0, size - 1)


def _scaled_size(call: Call, x: Tensor) -> tuple[int, int]:
    height, width = x.shape[-2:]
    return int(height * call.number("scale_factor_height")), int(width * call.number("scale_factor_width"))


def _resize_linear(x: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    for axis, target in ((-2, size[0]), (-1, size[1])):
        x = _interpolate(x, axis, sampling_grid(x.shape[axis], target, mode))
    return x


def _interpolate(x: Tensor, axis: int, grid: Tensor) -> Tensor:
    below = grid.floor().long()
    above = (below + 1).clamp(max=x.shape[axis] - 1)
    weight = (grid - below).to(x.dtype)
    weight = weight[:, None] if axis == -2 else weight
    low, high = x.index_select(axis, below), x.index_select(axis, above)
    return low + (high - low) * weight


def _resize_nearest(x: Tensor, size: tuple[int, int]) -> Tensor:
    for axis, target in ((-2, size[0]), (-1, size[1])):
        x = x.index_select(axis, torch.arange(target) * x.shape[axis] // target)
    return x
