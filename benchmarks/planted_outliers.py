"""Random ViTs with the outliers that are reported of large self-supervised ones, as a hard case for INT8.

Channels: a few channels of what LayerNorm and attention give are 50 to 100 times the others, and the weights that read
them as much smaller, so the model computes what it computed before. Tokens: half of the class tokens carry nearly all
of their energy in two channels, as attention sinks do (Sun et al., arXiv 2402.17762; Darcet et al., arXiv 2309.16588).
Hidden units: a few of a middle block's MLP are 20 times as active as the rest.
"""

from __future__ import annotations

import torch
from torch import nn

from pixio_edge.models.depth_model import DepthModel

CHANNELS_PER_LAYER = 4
HIDDEN_UNITS = 3
SMALLEST_GAIN, LARGEST_GAIN = 50.0, 100.0
HIDDEN_GAIN = 20.0
TOKEN_VALUE = 60.0


def randomise_(model: DepthModel, *, seed: int = 0) -> DepthModel:
    """Draw weights that keep the size of signals, and class tokens and positions of size one."""
    generator = torch.Generator().manual_seed(seed)
    model.eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            fan_in = module.weight[0].numel()
            module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * fan_in**-0.5)
            if module.bias is not None:
                module.bias.copy_(torch.randn(module.bias.shape, generator=generator) * 0.3)
        elif isinstance(module, nn.LayerNorm):
            module.weight.copy_(0.5 + torch.rand(module.weight.shape, generator=generator))
            module.bias.copy_(torch.randn(module.bias.shape, generator=generator) * 0.3)
    for embedding in (model.encoder.cls_token, model.encoder.pos_embed):
        embedding.copy_(torch.randn(embedding.shape, generator=generator))
    return model


def plant_channels_(model: DepthModel, *, seed: int = 0) -> None:
    """Outlier channels behind every LayerNorm of a block and behind attention; outputs stay the same."""
    generator = torch.Generator().manual_seed(seed)
    weights = dict(model.named_parameters())
    for index in range(model.config.encoder.depth):
        block = f"encoder.blocks.{index}"
        for norm, linear in ((f"{block}.norm1", f"{block}.attn.qkv"), (f"{block}.norm2", f"{block}.mlp.fc1")):
            channels, gains = _draw(model.config.encoder.embed_dim, CHANNELS_PER_LAYER, generator)
            weights[f"{norm}.weight"][channels] *= gains
            weights[f"{norm}.bias"][channels] *= gains
            weights[f"{linear}.weight"][:, channels] /= gains
        channels, gains = _draw(model.config.encoder.embed_dim, CHANNELS_PER_LAYER, generator)
        values = 2 * model.config.encoder.embed_dim + channels  # rows of q, k, v
        weights[f"{block}.attn.qkv.weight"][values] *= gains[:, None]
        weights[f"{block}.attn.qkv.bias"][values] *= gains
        weights[f"{block}.attn.proj.weight"][:, channels] /= gains


def plant_tokens_(model: DepthModel, *, seed: int = 0) -> None:
    """Class tokens with nearly all of their energy in two channels: another model, for both float and INT8."""
    generator = torch.Generator().manual_seed(seed)
    tokens = model.encoder.cls_token[0]
    for token in tokens[: (len(tokens) + 1) // 2]:
        token[torch.randperm(len(token), generator=generator)[:2]] = TOKEN_VALUE
    weights = dict(model.named_parameters())
    mlp = f"encoder.blocks.{model.config.encoder.depth // 2}.mlp"
    units = torch.randperm(len(weights[f"{mlp}.fc1.bias"]), generator=generator)[:HIDDEN_UNITS]
    weights[f"{mlp}.fc1.weight"][units] *= HIDDEN_GAIN
    weights[f"{mlp}.fc1.bias"][units] *= HIDDEN_GAIN
    weights[f"{mlp}.fc2.weight"][:, units] /= HIDDEN_GAIN


def _draw(width: int, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Distinct channels, and a gain for each."""
    channels = torch.randperm(width, generator=generator)[:count]
    return channels, SMALLEST_GAIN + (LARGEST_GAIN - SMALLEST_GAIN) * torch.rand(count, generator=generator)
