"""Tiny Depth Anything V2 models of the transformers library, with random weights that all matter to the output."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

from pixio_edge.models.depth_model import DepthConfig
from pixio_edge.models.pixio import EncoderConfig
from pixio_edge.models.teachers import depth_anything_head

IMAGE_SIZE = 70
MAX_DEPTH = 20.0


def tiny_config(*, metric: bool, position_offset: float = 0.0) -> DepthConfig:
    """Patch 14, one class token, LayerScale, as the real ones; transformers resamples positions without an offset."""
    encoder = EncoderConfig(
        32,
        depth=4,
        num_heads=2,
        patch_size=14,
        num_cls_tokens=1,
        image_size=IMAGE_SIZE,
        layer_scale=True,
        position_offset=position_offset,
    )
    return DepthConfig(encoder, depth_anything_head((0, 1, 2, 3), (8, 8, 12, 16), 16, MAX_DEPTH if metric else None))


def tiny_reference(*, metric: bool) -> DepthAnythingForDepthEstimation:
    """The same shape in transformers, in eval mode."""
    config = DepthAnythingConfig(
        backbone_config=Dinov2Config(
            hidden_size=32,
            num_hidden_layers=4,
            num_attention_heads=2,
            image_size=IMAGE_SIZE,
            patch_size=14,
            out_indices=[1, 2, 3, 4],  # counted from 1, where ours count from 0
            reshape_hidden_states=False,
            apply_layernorm=True,
        ),
        reassemble_hidden_size=32,
        neck_hidden_sizes=[8, 8, 12, 16],
        fusion_hidden_size=16,
        depth_estimation_type="metric" if metric else "relative",
        max_depth=int(MAX_DEPTH) if metric else 1,
    )
    model = DepthAnythingForDepthEstimation(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        is_gain = "norm" in name and name.endswith("weight")
        noise = torch.randn(parameter.shape, generator=generator)
        if is_gain or "lambda1" in name:
            parameter.copy_(0.5 + torch.rand(parameter.shape, generator=generator))
        elif parameter.ndim > 1 and "embeddings.position" not in name and "token" not in name:
            parameter.copy_(noise * parameter[0].numel() ** -0.5)
        else:
            parameter.copy_(noise * 0.3)
    assert isinstance(model.head, nn.Module)
    model.head.conv3.bias.fill_(-1.2)  # so that ReLU cuts some pixels off and keeps others
    return model


def to_original(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """From the names in the memory of transformers to those of the authors' checkpoints."""
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        if "attention.q_proj" in name:
            parts = [state[name.replace("q_proj", f"{part}_proj")] for part in "qkv"]
            renamed[_original_name(name.replace("attention.q_proj", "attn.qkv"))] = torch.cat(parts)
        elif "attention.k_proj" not in name and "attention.v_proj" not in name:
            renamed[_original_name(name)] = value.clone()
    return renamed


def _original_name(name: str) -> str:
    pairs = [
        ("backbone.embeddings.patch_embeddings.projection", "pretrained.patch_embed.proj"),
        ("backbone.embeddings.position_embeddings", "pretrained.pos_embed"),
        ("backbone.embeddings.", "pretrained."),
        ("backbone.encoder.layer.", "pretrained.blocks."),
        ("backbone.layernorm", "pretrained.norm"),
        ("attention.o_proj", "attn.proj"),
        ("layer_scale1.lambda1", "ls1.gamma"),
        ("layer_scale2.lambda1", "ls2.gamma"),
        ("residual_layer", "resConfUnit"),
        ("convolution", "conv"),
        ("head.conv1", "depth_head.scratch.output_conv1"),
        ("head.conv2", "depth_head.scratch.output_conv2.0"),
        ("head.conv3", "depth_head.scratch.output_conv2.2"),
    ]
    for level in range(4):
        pairs += [
            (f"neck.reassemble_stage.layers.{level}.projection", f"depth_head.projects.{level}"),
            (f"neck.reassemble_stage.layers.{level}.resize", f"depth_head.resize_layers.{level}"),
            (f"neck.convs.{level}", f"depth_head.scratch.layer{level + 1}_rn"),
            (f"neck.fusion_stage.layers.{level}.projection", f"depth_head.scratch.refinenet{4 - level}.out_conv"),
            (f"neck.fusion_stage.layers.{level}", f"depth_head.scratch.refinenet{4 - level}"),
        ]
    for old, new in pairs:
        name = name.replace(old, new)
    return name
