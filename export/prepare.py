"""A trained model to the module that is exported: for one size, for uint8 images, with all exact rewrites applied."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from pixio_edge.export.encoder_rewrites import (
    BakedEncoder,
    fold_attention_scale_,
    fold_batch_norms_,
    fold_layer_norms_,
    fold_layer_scales_,
    fold_normalisation_,
)
from pixio_edge.export.head_rewrites import (
    commute_out_convs_,
    merge_pointwise_convs_,
    split_readouts_,
    unfold_transposed_convs_,
)
from pixio_edge.models.depth_model import DepthModel


class PreparedModel(nn.Module):
    """What the graph computes: uint8 RGB (1, H, W, 3) to depth (1, H, W).

    Args:
        model: A model whose first convolution takes pixel values.
        pixel_mean: Mean in pixel values, (3, 1, 1), to subtract before it; None if its bias holds the mean.
    """

    pixel_mean: Tensor | None

    def __init__(self, model: DepthModel, pixel_mean: Tensor | None) -> None:
        super().__init__()
        self.model = model
        self.dtype = next(model.parameters()).dtype
        self.register_buffer("pixel_mean", pixel_mean)

    def forward(self, image: Tensor) -> Tensor:
        """Predict depth for one image."""
        # The cast comes first: TensorRT takes uint8 only as the input of a cast. ONNX Runtime is as fast either way.
        pixels = image.to(self.dtype).permute(0, 3, 1, 2)
        if self.pixel_mean is not None:
            pixels = pixels - self.pixel_mean
        depth: Tensor = self.model(pixels)
        return depth


@torch.no_grad()
def prepare(model: DepthModel, size: tuple[int, int], *, fold_layer_norms: bool = False) -> PreparedModel:
    """Copy a model to the CPU and rewrite the copy for export.

    Args:
        model: The trained model; it is not changed.
        size: Image height and width in pixels, multiples of the patch size.
        fold_layer_norms: Also fold the affine part of LayerNorm; see `fold_layer_norms_`.
    """
    model = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    fold_batch_norms_(model)
    fold_layer_scales_(model.encoder)
    fold_attention_scale_(model.encoder)
    if fold_layer_norms:
        fold_layer_norms_(model.encoder)
    pixel_mean = fold_normalisation_(model.encoder.patch_embed)
    merge_pointwise_convs_(model.head)  # before the readouts are split, so that both halves are merged
    split_readouts_(model.head)
    unfold_transposed_convs_(model.head)
    commute_out_convs_(model.head)
    model.set_submodule("encoder", BakedEncoder(model.encoder, size))
    return PreparedModel(model, pixel_mean).eval().requires_grad_(False)
