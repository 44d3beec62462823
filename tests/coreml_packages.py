"""A tiny network converted to real Core ML packages, with a reference in numpy."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import coremltools
import numpy as np
import torch
from torch import Tensor, nn

from tests.tiny_bundle import tiny_reference as reference_of
from tests.tiny_bundle import tiny_weights

SIZE = (16, 24)


class TinyModule(nn.Module):
    """The network of `tests.tiny_bundle`: 3x3 convolution, ReLU, 1x1 convolution to depth; (1, 3, H, W) in.

    Args:
        keep_channel: Whether depth keeps its channel, as an image output needs.
    """

    def __init__(self, *, keep_channel: bool) -> None:
        super().__init__()
        weights = tiny_weights()
        self.register_buffer("first", torch.from_numpy(weights.first))
        self.register_buffer("second", torch.from_numpy(weights.second))
        self.keep_channel = keep_channel

    def forward(self, pixels: Tensor) -> Tensor:
        features = torch.relu(nn.functional.conv2d(pixels, self.first, padding=1))
        depth = nn.functional.conv2d(features, self.second)
        return depth if self.keep_channel else depth.squeeze(1)


def tiny_module(*, keep_channel: bool = False) -> nn.Module:
    return TinyModule(keep_channel=keep_channel).eval()


def tiny_reference(pixels: np.ndarray) -> np.ndarray:
    """Depth (1, H, W) of pixel values (1, H, W, 3), in float64 inside."""
    return reference_of(pixels, tiny_weights())


def convert_tiny(
    package: Path,
    *,
    size: tuple[Any, Any] = SIZE,
    example: tuple[int, int] = SIZE,
    sizes: Sequence[tuple[int, int]] = (),
    layout: str = "RGB",
    scale: float = 1.0,
    bias: Sequence[float] = (0.0, 0.0, 0.0),
    precision: str = "FLOAT32",
    image_output: bool = False,
) -> Path:
    """Convert and save.

    Args:
        package: Where to.
        size: Height and width of the image; either may be a `coremltools.RangeDim`.
        example: A height and width to trace with.
        sizes: Several of them, one package for all.
        layout: Colours inside.
        scale: Multiplies pixel values, before `bias` is added.
        bias: For each channel of `layout`.
        precision: "FLOAT32" or "FLOAT16".
        image_output: Depth as a half-precision image.
    """
    module = tiny_module(keep_channel=image_output)
    shape: Any = (1, 3, *size)
    if sizes:
        shape = coremltools.EnumeratedShapes([(1, 3, *each) for each in sizes])
    image = coremltools.ImageType(
        name="image", shape=shape, scale=scale, bias=list(bias), color_layout=getattr(coremltools.colorlayout, layout)
    )
    depth = coremltools.TensorType(name="depth")
    if image_output:
        depth = coremltools.ImageType(name="depth", color_layout=coremltools.colorlayout.GRAYSCALE_FLOAT16)
    elif precision == "FLOAT16":
        depth = coremltools.TensorType(name="depth", dtype=np.float16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = coremltools.convert(
            torch.jit.trace(module, torch.zeros(1, 3, *example)),
            inputs=[image],
            outputs=[depth],
            convert_to="mlprogram",
            compute_precision=getattr(coremltools.precision, precision),
            minimum_deployment_target=coremltools.target.iOS16,
            skip_model_load=True,
        )
    model.save(str(package))
    return package
