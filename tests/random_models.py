"""Small depth models with random weights whose every part matters to the output, for parity tests."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from pixio_edge.models.depth_model import DepthConfig, DepthModel
from pixio_edge.models.dpt import HeadConfig
from pixio_edge.models.pixio import EncoderConfig
from pixio_edge.models.stem import StemConfig
from pixio_edge.models.teachers import depth_anything_head
from pixio_edge.models.vit_blocks import LayerScale

# One per branch of the models: stem or patches, stem taps or upsampled tokens, both sampling conventions, every readout
# and output stage, relative and metric, LayerScale.
CONFIGS = {
    "stem": DepthConfig(
        encoder=EncoderConfig(32, depth=3, num_heads=2, image_size=64, stem=StemConfig(channels=(8, 8, 16))),
        head=HeadConfig((1, 2), (8, 12, 16, 16), (8, 8, 12, 12), (8, 8), use_stem=True),
    ),
    "plain": DepthConfig(
        encoder=EncoderConfig(32, depth=4, num_heads=2, num_cls_tokens=3, image_size=64),
        head=HeadConfig((0, 1, 2, 3), (8, 8, 16, 16), (8, 8, 8, 8), (8, 4), align_corners=True),
    ),
    # The shape of Pixio with the head of its depth evaluation.
    "pixio": DepthConfig(
        encoder=EncoderConfig(32, depth=4, num_heads=2, image_size=64),
        head=HeadConfig(
            (0, 1, 2, 3), (8, 8, 16, 16), (8, 8, 8, 8), (8,), align_corners=True, output="pixio", max_depth=10.0
        ),
    ),
    # That of Depth Anything V2, but for the patch size, so that it takes the same images.
    "depth_anything": DepthConfig(
        encoder=EncoderConfig(
            32, depth=4, num_heads=2, num_cls_tokens=1, image_size=64, layer_scale=True, position_offset=0.1
        ),
        head=depth_anything_head((0, 1, 2, 3), (8, 8, 16, 16), 8),
    ),
}
SIZES = ((64, 64), (48, 80))


def random_model(name: str, *, seed: int = 0) -> DepthModel:
    """A model in eval mode, float32, with weights that keep the signal's size and with non-trivial norm statistics."""
    return randomise_(DepthModel(CONFIGS[name]), seed=seed)


def randomise_(model: DepthModel, *, seed: int = 0) -> DepthModel:
    """Draw all weights of a model anew, as for `random_model`."""
    generator = torch.Generator().manual_seed(seed)
    model.eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            fan_in = module.weight[0].numel()
            module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * fan_in**-0.5)
        if isinstance(module, nn.LayerNorm | nn.BatchNorm2d):
            module.weight.copy_(0.5 + torch.rand(module.weight.shape, generator=generator))
        if isinstance(module, LayerScale):
            module.gamma.copy_(0.5 + torch.rand(module.gamma.shape, generator=generator))
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(torch.randn(module.running_mean.shape, generator=generator) * 0.3)
            module.running_var.copy_(0.5 + torch.rand(module.running_var.shape, generator=generator))
        bias = getattr(module, "bias", None)
        if bias is not None:
            bias.copy_(torch.randn(bias.shape, generator=generator) * 0.3)
    if model.config.head.non_negative:
        model.head.output_conv3.bias.fill_(5.0)  # depth that is cut off at 0 depends on nothing
    for embedding in (model.encoder.cls_token, model.encoder.pos_embed):
        embedding.copy_(torch.randn(embedding.shape, generator=generator))
    return model


def random_image(size: tuple[int, int], *, seed: int = 0) -> np.ndarray:
    """uint8 (1, H, W, 3) of large and small structures."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (1, size[0] // 16, size[1] // 16, 3)).repeat(16, 1).repeat(16, 2)
    return np.clip(coarse + generator.integers(-60, 61, (1, *size, 3)), 0, 255).astype(np.uint8)
