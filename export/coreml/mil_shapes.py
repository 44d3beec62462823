"""Operations that move elements without changing them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pixio_edge.export.coreml.mil_call import TORCH_DTYPES, Call, as_tensor, mil_op


@mil_op("reshape")
def reshape(call: Call) -> Tensor:
    """The same elements in another shape; 0 keeps a dimension, one -1 takes what is left."""
    x, shape = call.tensor("x"), call.ints("shape")
    if 0 in shape and len(shape) != x.dim():
        raise call.refuse(f"0 in shape {shape} of {x.dim()} dimensions")
    return x.reshape([x.shape[axis] if size == 0 else size for axis, size in enumerate(shape)])


@mil_op("transpose")
def transpose(call: Call) -> Tensor:
    """Dimensions in another order."""
    return call.tensor("x").permute(call.ints("perm"))


@mil_op("expand_dims")
def expand_dims(call: Call) -> Tensor:
    """New dimensions of one element, at places counted in the result."""
    x, axes = call.tensor("x"), call.ints("axes")
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


@mil_op("squeeze")
def squeeze(call: Call) -> Tensor:
    """Without dimensions of one element: those named, or all."""
    x = call.tensor("x")
    return x.squeeze(call.ints("axes")) if call.has("axes") else x.squeeze()


@mil_op("flatten2d")
def flatten2d(call: Call) -> Tensor:
    """Two dimensions: those before the axis, and the rest."""
    x = call.tensor("x")
    leading = x.shape[: call.integer("axis")]
    return x.reshape(leading.numel(), -1)


@mil_op("slice_by_index")
def slice_by_index(call: Call) -> Tensor:
    """x[begin:end:stride] for each dimension; a mask leaves a bound out, or takes one element without its dimension."""
    x = call.tensor("x")
    rank = x.dim()
    begin, end = call.ints("begin"), call.ints("end")
    stride = call.ints("stride") if call.has("stride") else [1] * rank
    open_begin, open_end = call.flags("begin_mask", rank), call.flags("end_mask", rank)
    squeezed = call.flags("squeeze_mask", rank)
    for axis, size in enumerate(x.shape):
        if squeezed[axis]:
            picked = [0 if open_begin[axis] else begin[axis] % size]
        else:
            bounds = slice(
                None if open_begin[axis] else begin[axis], None if open_end[axis] else end[axis], stride[axis]
            )
            picked = list(range(*bounds.indices(size)))
        # torch has no slices with a negative stride, so the elements are named.
        x = x.index_select(axis, torch.tensor(picked, dtype=torch.int64))
    return x.squeeze([axis for axis in range(rank) if squeezed[axis]]) if any(squeezed) else x


@mil_op("slice_by_size")
def slice_by_size(call: Call) -> Tensor:
    """Size elements from begin in each dimension; -1 takes all that are left."""
    x = call.tensor("x")
    for axis, (begin, size) in enumerate(zip(call.ints("begin"), call.ints("size"), strict=True)):
        first = begin % x.shape[axis]
        x = x.narrow(axis, first, x.shape[axis] - first if size == -1 else size)
    return x


@mil_op("crop")
def crop(call: Call) -> Tensor:
    """Without the given rows at top and bottom, and columns at left and right."""
    top, bottom = call.ints("crop_height")
    left, right = call.ints("crop_width")
    return functional.pad(call.tensor("x"), (-left, -right, -top, -bottom))


@mil_op("split")
def split(call: Call) -> tuple[Tensor, ...]:
    """Parts along an axis, of given sizes or of equal size."""
    x, axis = call.tensor("x"), call.integer("axis")
    sizes = call.ints("split_sizes") if call.has("split_sizes") else x.shape[axis] // call.integer("num_splits")
    return tuple(torch.split(x, sizes, dim=axis))


@mil_op("concat")
def concat(call: Call) -> Tensor:
    """One after the other along an axis; interleaved, one element of each in turn. Numbers make a vector."""
    values = [value.reshape(1) if value.dim() == 0 else value for value in call.tensors("values")]
    axis = call.integer("axis")
    if not call.flag("interleave"):
        return torch.cat(values, dim=axis)
    axis %= values[0].dim()
    return torch.stack(values, dim=axis + 1).flatten(axis, axis + 1)


@mil_op("stack")
def stack(call: Call) -> Tensor:
    """Along a new axis."""
    return torch.stack(call.tensors("values"), dim=call.integer("axis"))


@mil_op("tile")
def tile(call: Call) -> Tensor:
    """Repeated so many times in each dimension."""
    return call.tensor("x").repeat(call.ints("reps"))


@mil_op("reverse")
def reverse(call: Call) -> Tensor:
    """Backwards along the axes, or along all."""
    x = call.tensor("x")
    return x.flip(call.ints("axes") if call.has("axes") else list(range(x.dim())))


@mil_op("pad")
def pad(call: Call) -> Tensor:
    """More elements around the last dimensions: a constant, or mirrored or repeated from the edge."""
    x, padding, mode = call.tensor("x"), call.ints("pad"), call.text("mode")
    pairs = [(padding[index], padding[index + 1]) for index in range(0, len(padding), 2)]
    whole = [(0, 0)] * (x.dim() - len(pairs)) + pairs
    if mode == "constant":
        return as_tensor(np.pad(x.numpy(), whole, constant_values=call.number("constant_val")))
    if mode == "reflect":
        return as_tensor(np.pad(x.numpy(), whole, mode="reflect"))
    return as_tensor(np.pad(x.numpy(), whole, mode="edge"))


@mil_op("pixel_shuffle")
def pixel_shuffle(call: Call) -> Tensor:
    """Channels into space as torch does: each channel of the result is made of neighbouring channels."""
    return functional.pixel_shuffle(call.tensor("x"), call.integer("upscale_factor"))


@mil_op("pixel_unshuffle")
def pixel_unshuffle(call: Call) -> Tensor:
    """Space into channels, the inverse of pixel_shuffle."""
    return functional.pixel_unshuffle(call.tensor("x"), call.integer("downscale_factor"))


@mil_op("depth_to_space")
def depth_to_space(call: Call) -> Tensor:
    """Channels into space as TensorFlow does: the place in the block counts before the channel of the result."""
    x, block = call.tensor("x"), call.integer("block_size")
    images, channels, height, width = x.shape
    blocks = x.reshape(images, block, block, channels // block**2, height, width)
    return blocks.permute(0, 3, 4, 1, 5, 2).reshape(images, -1, height * block, width * block)


@mil_op("space_to_depth")
def space_to_depth(call: Call) -> Tensor:
    """Space into channels, the inverse of depth_to_space."""
    x, block = call.tensor("x"), call.integer("block_size")
    images, channels, height, width = x.shape
    blocks = x.reshape(images, channels, height // block, block, width // block, block)
    return blocks.permute(0, 3, 5, 1, 2, 4).reshape(images, -1, height // block, width // block)


@mil_op("shape")
def shape(call: Call) -> Tensor:
    """Sizes of the dimensions."""
    return torch.tensor(list(call.tensor("x").shape), dtype=torch.int32)


@mil_op("gather")
def gather(call: Call) -> Tensor:
    """Elements by index along an axis; indices below zero count from the end."""
    x, indices, axis = call.tensor("x"), call.tensor("indices"), call.integer("axis")
    if call.has("batch_dims") and call.integer("batch_dims"):
        raise call.refuse(f"batch_dims {call.integer('batch_dims')}")
    axis %= x.dim()
    picked = x.index_select(axis, indices.reshape(-1).long() % x.shape[axis])
    return picked.reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


@mil_op("fill")
def fill(call: Call) -> Tensor:
    """One value in every element."""
    return torch.full(call.ints("shape"), call.number("value"), dtype=TORCH_DTYPES[call.dtype("value")])
