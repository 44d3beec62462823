"""The prepared model as Core ML calls it: planes of pixel values, the mean subtracted on the way in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from pixio_edge.export.coreml.options import DepthOutput
    from pixio_edge.export.prepare import PreparedModel

CHANNELS = 3


class PlanarModel(nn.Module):
    """A prepared model without its first steps, which Core ML does itself: uint8 to float, NHWC to NCHW, minus mean.

    A Core ML image input gives the program planes of pixel values 0 to 255, times a scale, plus a bias for each
    channel. `PreparedModel` has folded the rest of normalisation into the first convolution, so scale 1 and the
    negative mean (or 0, where the convolution holds the mean too) are all that is left: the same numbers enter it.

    Args:
        prepared: Of one size; its modules are shared, not copied.
        output: "array" gives depth (1, H, W), "image" (1, 1, H, W), as an image output needs.
    """

    def __init__(self, prepared: PreparedModel, output: DepthOutput = "array") -> None:
        super().__init__()
        self.model = prepared.model
        self.is_image = output == "image"
        mean = prepared.pixel_mean
        self.bias: tuple[float, ...] = (0.0,) * CHANNELS if mean is None else tuple(-float(v) for v in mean.flatten())

    def forward(self, pixels: Tensor) -> Tensor:
        """Predict depth for pixel values (1, 3, H, W) to which `bias` was added."""
        depth: Tensor = self.model(pixels)
        return depth[:, None] if self.is_image else depth
