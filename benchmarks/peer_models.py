"""Depth Anything V2 Small as transformers builds it from a configuration: random weights, nothing is downloaded."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

# Its annotations are not those that a strict checker accepts.
transformers: Any = import_module("transformers")

DEFAULT_SIZE = (518, 518)
"""Input (height, width) that the published model was trained with and its processor resizes to."""

PATCH_SIZE = 14


def depth_anything() -> Any:
    """The shape of Depth Anything V2 Small: ViT-S/14 of DINOv2 and its head, as the paper and its code give it."""
    torch.manual_seed(0)
    backbone = transformers.Dinov2Config(
        hidden_size=384,
        num_hidden_layers=12,
        num_attention_heads=6,
        image_size=DEFAULT_SIZE[0],
        patch_size=PATCH_SIZE,
        out_indices=[3, 6, 9, 12],
        apply_layernorm=True,
        reshape_hidden_states=False,
    )
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=PATCH_SIZE,
        reassemble_hidden_size=384,
        neck_hidden_sizes=[48, 96, 192, 384],
        fusion_hidden_size=64,
        head_hidden_size=32,
    )
    return transformers.DepthAnythingForDepthEstimation(config).eval()


def depth_pipeline(size: tuple[int, int], hint: str) -> Any:
    """The depth-estimation pipeline of transformers with the processor's defaults for this model."""
    processor = transformers.DPTImageProcessor(
        size={"height": size[0], "width": size[1]},
        keep_aspect_ratio=True,
        ensure_multiple_of=PATCH_SIZE,
        resample=3,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    model = depth_anything()
    if hint == "bf16":
        compute_in_bfloat16_(model)
    return transformers.pipeline("depth-estimation", model=model, image_processor=processor, device="cpu")


def compute_in_bfloat16_(model: Any) -> None:
    """Between float images and float depth: the pipeline makes numpy of depth, which has no bfloat16."""
    forward = model.to(torch.bfloat16).forward

    def convert(pixel_values: torch.Tensor, **options: Any) -> Any:
        found = forward(pixel_values.to(torch.bfloat16), **options)
        found.predicted_depth = found.predicted_depth.float()
        return found

    model.forward = convert
