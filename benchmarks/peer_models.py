"""Depth Anything V2 Small as transformers builds it from a configuration: random weights, nothing is downloaded."""

from __future__ import annotations

from typing import Any

import torch
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor, pipeline

DEFAULT_SIZE = (518, 518)
"""Input (height, width) that the published model was trained with and its processor resizes to."""

PATCH_SIZE = 14


def depth_anything() -> DepthAnythingForDepthEstimation:
    """The shape of Depth Anything V2 Small: ViT-S/14 of DINOv2 and its head, as the paper and its code give it."""
    torch.manual_seed(0)
    backbone = Dinov2Config(
        hidden_size=384,
        num_hidden_layers=12,
        num_attention_heads=6,
        image_size=DEFAULT_SIZE[0],
        patch_size=PATCH_SIZE,
        out_indices=[3, 6, 9, 12],
        apply_layernorm=True,
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=PATCH_SIZE,
        reassemble_hidden_size=384,
        neck_hidden_sizes=[48, 96, 192, 384],
        fusion_hidden_size=64,
        head_hidden_size=32,
    )
    return DepthAnythingForDepthEstimation(config)


def depth_pipeline(size: tuple[int, int], hint: str) -> Any:
    """The depth-estimation pipeline of transformers with the processor's defaults for this model."""
    processor = DPTImageProcessor(
        size={"height": size[0], "width": size[1]},
        keep_aspect_ratio=True,
        ensure_multiple_of=PATCH_SIZE,
        resample=3,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    dtype = torch.bfloat16 if hint == "bf16" else torch.float32
    model = depth_anything().eval().to(dtype)
    return pipeline("depth-estimation", model=model, image_processor=processor, device="cpu", dtype=dtype)
