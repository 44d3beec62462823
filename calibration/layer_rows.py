"""Every layer as a matrix product: its input as rows, its weight as a matrix.

A row is a token, or for a convolution the window of one output position, so that what is worked out for `X W` holds for
both. Rows are drawn at random, because neighbouring windows and tokens of an image say almost the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pixio_edge.calibration.graph import Layer, QuantGraph

Pair = tuple[int, int]
IMAGE_AXES = 4


@dataclass(frozen=True, slots=True)
class RowSource:
    """Which rows a layer reads; equal for layers that read the same.

    Attributes:
        tensor: Name of the activation, (..., K) or (1, C, H, W).
        kernel: Window of a convolution; (1, 1) for matrix products too.
        stride: Distance of its windows.
        dilation: Distance of elements within a window.
        padding: Zeros before and after each of (height, width).
    """

    tensor: str
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))

    def sample(self, values: NDArray[Any], count: int, generator: np.random.Generator) -> NDArray[np.float32]:
        """Draw rows of one tensor without putting back.

        Args:
            values: The activation.
            count: Number of rows; fewer where there are not so many.
            generator: What draws.

        Returns:
            float32 (count, K), columns in the order of `weight_matrix`'s rows.
        """
        if values.ndim != IMAGE_AXES:
            rows = values.reshape(-1, values.shape[-1])
            return np.asarray(rows[_draw(len(rows), count, generator)], np.float32)
        planes = np.pad(values[0], ((0, 0), *self.padding))
        reach = tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))
        windows = np.lib.stride_tricks.sliding_window_view(planes, reach, axis=(1, 2))  # (C, H, W, kh, kw)
        windows = windows[:, :: self.stride[0], :: self.stride[1], :: self.dilation[0], :: self.dilation[1]]
        height, width = windows.shape[1:3]
        chosen = _draw(height * width, count, generator)
        rows = windows[:, chosen // width, chosen % width]  # (C, count, kh, kw)
        return np.ascontiguousarray(rows.transpose(1, 0, 2, 3).reshape(len(chosen), -1), np.float32)

    def per_row(self, per_channel: NDArray[Any]) -> NDArray[Any]:
        """Values of input channels (C,), repeated for each element of the window: (K,)."""
        return np.repeat(per_channel, self.kernel[0] * self.kernel[1])


def row_source(graph: QuantGraph, layer: Layer) -> RowSource | None:
    """Rows of a layer; None for what is not one matrix product: grouped convolutions, automatic padding, transA."""
    attributes = {item.name: helper.get_attribute_value(item) for item in graph.nodes[layer.name].attribute}
    if layer.kind != "conv":
        return None if attributes.get("transA") else RowSource(layer.input)
    if attributes.get("group", 1) != 1 or attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        return None
    height, width = graph.constants[layer.weight].dims[2:]
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    stride, dilation = (tuple(attributes.get(name, (1, 1))) for name in ("strides", "dilations"))
    return RowSource(
        layer.input,
        (height, width),
        (stride[0], stride[1]),
        (dilation[0], dilation[1]),
        ((top, bottom), (left, right)),
    )


def weight_matrix(weight: NDArray[Any], layer: Layer) -> NDArray[Any]:
    """Weight of a layer as (K, N), N output channels; a view where possible."""
    return weight.reshape(weight.shape[0], -1).T if layer.channel_axis == 0 else weight


def weight_from_matrix(matrix: NDArray[Any], layer: Layer, shape: tuple[int, ...]) -> NDArray[Any]:
    """The inverse of `weight_matrix`, C-contiguous."""
    return np.ascontiguousarray(matrix.T if layer.channel_axis == 0 else matrix).reshape(shape)


def channel_absmax(values: NDArray[Any]) -> NDArray[np.float32]:
    """Largest magnitude of each channel: axis 1 of maps (1, C, H, W), else the last axis."""
    channels = 1 if values.ndim == IMAGE_AXES else values.ndim - 1
    return np.asarray(np.abs(values).max(axis=tuple(axis for axis in range(values.ndim) if axis != channels)))


def _draw(available: int, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    if count >= available:
        return np.arange(available)
    return np.sort(generator.choice(available, count, replace=False))
