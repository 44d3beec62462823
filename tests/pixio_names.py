"""A tiny Pixio encoder and the names that transformers gives to its weights, written down apart from our own tables."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import PixioConfig

from pixio_edge.models.pixio import EncoderConfig, PixioEncoder

SMALL = EncoderConfig(embed_dim=48, depth=3, num_heads=3)

# Original name, on disk as the authors' converter writes it, in the memory of transformers.
NAMES = {
    "cls_token": ("embeddings.cls_token", "embeddings.cls_token"),
    "pos_embed": ("embeddings.position_embeddings", "embeddings.position_embeddings"),
    "patch_embed.proj": ("embeddings.patch_embeddings.projection", "embeddings.patch_embeddings.projection"),
    "norm1": ("norm1", "layernorm_before"),
    "norm2": ("norm2", "layernorm_after"),
    "attn.proj": ("attention.output.dense", "attention.o_proj"),
    "mlp.fc1": ("mlp.fc1", "mlp.fc1"),
    "mlp.fc2": ("mlp.fc2", "mlp.fc2"),
    "norm": ("layernorm", "layernorm"),
}
PARTS = {"q": "attention.attention.query", "k": "attention.attention.key", "v": "attention.attention.value"}


def random_encoder(config: EncoderConfig = SMALL) -> PixioEncoder:
    """In eval mode, with weights that keep the signal's size."""
    generator = torch.Generator().manual_seed(0)
    encoder = PixioEncoder(config).eval().requires_grad_(False)
    for module in encoder.modules():
        if isinstance(module, nn.LayerNorm):
            module.weight.copy_(0.5 + torch.rand(module.weight.shape, generator=generator))
            module.bias.copy_(torch.randn(module.bias.shape, generator=generator) * 0.3)
        if isinstance(module, nn.Linear):
            module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * module.in_features**-0.5)
            module.bias.copy_(torch.randn(module.bias.shape, generator=generator) * 0.3)
    for embedding in (encoder.cls_token, encoder.pos_embed):
        embedding.copy_(torch.randn(embedding.shape, generator=generator))
    return encoder


def transformers_config(config: EncoderConfig = SMALL) -> PixioConfig:
    """The same shape for transformers: with all 8 class tokens, which its own tests never have."""
    return PixioConfig(
        hidden_size=config.embed_dim,
        num_hidden_layers=config.depth,
        num_attention_heads=config.num_heads,
        n_cls_tokens=config.num_cls_tokens,
        image_size=config.image_size,
    )


def to_transformers(state: dict[str, Tensor], *, in_memory: bool) -> dict[str, Tensor]:
    """Rename every key; the packed q, k, v become three tensors."""
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        prefix, name = "", key
        if key.startswith("blocks."):
            _, index, name = key.split(".", 2)
            prefix = f"layers.{index}." if in_memory else f"encoder.layer.{index}."
        if name.startswith("attn.qkv."):
            for part, rows in zip("qkv", value.chunk(3), strict=True):
                module = f"attention.{part}_proj" if in_memory else PARTS[part]
                renamed[f"{prefix}{module}.{name.removeprefix('attn.qkv.')}"] = rows.clone()
        elif name in NAMES:
            renamed[prefix + NAMES[name][in_memory]] = value
        else:
            module, _, parameter = name.rpartition(".")
            renamed[f"{prefix}{NAMES[module][in_memory]}.{parameter}"] = value
    return renamed
