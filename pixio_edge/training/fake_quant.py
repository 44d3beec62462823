"""Rounding in training as INT8 kernels round, so that weights settle where rounding costs little.

Jacob et al., "Quantization and Training of Neural Networks" (arXiv:1712.05877, section 3). The formulas are those of
`pixio_edge.calibration.qparams`, in torch: per-output-channel symmetric weights, per-tensor symmetric activations, 8
bits. Gradients pass rounding straight through (Bengio et al., arXiv:1308.3432). The range of an activation is that of
the batch: no state has to be kept, and calibration by minimum and maximum finds about the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixio_edge.models.depth_model import DepthModel

LIMIT = 127
# As `qparams.SMALLEST_SCALE`.
SMALLEST_SCALE = 2.0**-40


def fake_quantize(values: Tensor, axis: int | None = None) -> Tensor:
    """Round to the nearest of 255 steps between plus and minus the largest magnitude; gradients pass unchanged.

    Args:
        values: Any shape.
        axis: Axis whose indices have a scale each; None: one scale for the whole tensor.

    Returns:
        float32 of the same shape: what is left after quantising and dequantising.
    """
    plain = values.float()
    largest = plain.detach().abs()
    if axis is None:
        largest = largest.amax()
    else:
        largest = largest.amax([other for other in range(values.ndim) if other != axis % values.ndim], keepdim=True)
    scale = torch.where(largest > 0, (largest / LIMIT).clamp(min=SMALLEST_SCALE), 1.0)
    rounded = (plain.detach() / scale).round().clamp(-LIMIT, LIMIT) * scale
    return plain + (rounded - plain.detach())


@contextmanager
def fake_quantised(model: DepthModel) -> Iterator[None]:
    """Let the layers that INT8 artifacts quantise round their inputs and weights until the block ends.

    These are the linears of the encoder's blocks and the convolutions of the head. The stem stays as it is: its
    BatchNorms are folded into its weights only at export.
    """
    layers = quantised_layers(model)
    try:
        for layer in layers:
            # An attribute of the object hides the method of its class.
            layer.forward = partial(_forward_of(layer), layer)
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def quantised_layers(model: DepthModel) -> list[nn.Module]:
    """The layers that `fake_quantised` rounds."""
    linears = [module for module in model.encoder.blocks.modules() if isinstance(module, nn.Linear)]
    return [
        *linears,
        *(module for module in model.head.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)),
    ]


def _forward_of(layer: nn.Module) -> Callable[..., Tensor]:
    if isinstance(layer, nn.Linear):
        return _linear
    return _convolution if isinstance(layer, nn.Conv2d) else _transposed


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    return functional.linear(fake_quantize(x), fake_quantize(layer.weight, axis=0), layer.bias)


def _convolution(layer: nn.Conv2d, x: Tensor) -> Tensor:
    weight = fake_quantize(layer.weight, axis=0)
    return functional.conv2d(fake_quantize(x), weight, layer.bias, layer.stride, layer.padding)


def _transposed(layer: nn.ConvTranspose2d, x: Tensor) -> Tensor:
    weight = fake_quantize(layer.weight, axis=1)  # (in, out, h, w)
    return functional.conv_transpose2d(fake_quantize(x), weight, layer.bias, layer.stride)
