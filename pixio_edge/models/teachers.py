"""Shapes of published models: the five Pixio encoders, DINOv2's three, and the depth models made of them.

Shapes only, a few integers each: weights exist once a model is built, and the large ones only on a machine that can
hold them (`build_model(..., device="meta")` makes one of any size without memory). Sources: Pixio's paper (arXiv
2512.15715, table 9) and Depth Anything V2 (arXiv 2406.09414).
"""

from __future__ import annotations

from pixio_edge.models.depth_model import DepthConfig
from pixio_edge.models.dpt import HeadConfig
from pixio_edge.models.pixio import EncoderConfig

# The offset with which DINOv2 resamples its position embedding, also in Depth Anything V2; transformers leaves it out.
DINOV2_POSITION_OFFSET = 0.1

# Metres, of the data sets that metric models are published for: NYUv2 and KITTI (Pixio), Hypersim and Virtual KITTI 2.
PIXIO_MAX_DEPTH = {"indoor": 10.0, "outdoor": 80.0}
DEPTH_ANYTHING_MAX_DEPTH = {"indoor": 20.0, "outdoor": 80.0}

# Names are those of the published repositories; "pixio-huge" of transformers' documentation is pixio-vith16.
PIXIO_ENCODERS: dict[str, EncoderConfig] = {
    "pixio-vitb16": EncoderConfig(embed_dim=768, depth=12, num_heads=12),
    "pixio-vitl16": EncoderConfig(embed_dim=1024, depth=24, num_heads=16),
    "pixio-vith16": EncoderConfig(embed_dim=1280, depth=32, num_heads=16),
    "pixio-vit1b16": EncoderConfig(embed_dim=1536, depth=48, num_heads=24),
    "pixio-vit5b16": EncoderConfig(embed_dim=3072, depth=48, num_heads=32),
}


def dinov2_encoder(embed_dim: int, depth: int, num_heads: int) -> EncoderConfig:
    """A DINOv2 encoder without register tokens, trained at 518x518."""
    return EncoderConfig(
        embed_dim,
        depth,
        num_heads,
        patch_size=14,
        num_cls_tokens=1,
        image_size=518,
        layer_scale=True,
        position_offset=DINOV2_POSITION_OFFSET,
    )


DINOV2_ENCODERS: dict[str, EncoderConfig] = {
    "dinov2-vits14": dinov2_encoder(embed_dim=384, depth=12, num_heads=6),
    "dinov2-vitb14": dinov2_encoder(embed_dim=768, depth=12, num_heads=12),
    "dinov2-vitl14": dinov2_encoder(embed_dim=1024, depth=24, num_heads=16),
}


def pixio_head(depth: int, max_depth: float) -> HeadConfig:
    """The head of Pixio's depth evaluation, of the same widths for every encoder.

    Args:
        depth: Blocks of the encoder; the ends of its quarters are tapped.
        max_depth: Metres that the sigmoid is multiplied by.
    """
    first, second, third, last = (depth // 4 * quarter - 1 for quarter in (1, 2, 3, 4))
    return HeadConfig(
        indices=(first, second, third, last),
        channels=(256, 512, 1024, 1024),
        widths=(256, 256, 256, 256),
        output_channels=(256,),
        align_corners=True,
        output="pixio",
        max_depth=max_depth,
    )


def depth_anything_head(
    indices: tuple[int, ...], channels: tuple[int, int, int, int], width: int, max_depth: float | None = None
) -> HeadConfig:
    """The head of Depth Anything V2.

    Args:
        indices: Blocks to tap.
        channels: Channels of each level after reassembly, fine to coarse.
        width: Channels of the fusion stages.
        max_depth: Metres that the sigmoid of a metric model is multiplied by; None for relative inverse depth.
    """
    return HeadConfig(
        indices,
        channels,
        widths=(width, width, width, width),
        output_channels=(width // 2, 32),
        align_corners=True,
        readout="ignore",
        output="depth_anything",
        non_negative=max_depth is None,
        max_depth=max_depth,
    )


def _pixio_models() -> dict[str, DepthConfig]:
    return {
        f"{name}-{place}": DepthConfig(encoder, pixio_head(encoder.depth, max_depth))
        for name, encoder in PIXIO_ENCODERS.items()
        for place, max_depth in PIXIO_MAX_DEPTH.items()
    }


def _depth_anything_models() -> dict[str, DepthConfig]:
    shapes: dict[str, tuple[str, tuple[int, ...], tuple[int, int, int, int], int]] = {
        "small": ("dinov2-vits14", (2, 5, 8, 11), (48, 96, 192, 384), 64),
        "base": ("dinov2-vitb14", (2, 5, 8, 11), (96, 192, 384, 768), 128),
        "large": ("dinov2-vitl14", (4, 11, 17, 23), (256, 512, 1024, 1024), 256),
    }
    models = {}
    for name, (encoder, indices, channels, width) in shapes.items():
        kinds: dict[str, float | None] = {"": None}
        kinds |= {f"metric-{place}-": max_depth for place, max_depth in DEPTH_ANYTHING_MAX_DEPTH.items()}
        for kind, max_depth in kinds.items():
            head = depth_anything_head(indices, channels, width, max_depth)
            models[f"depth-anything-v2-{kind}{name}"] = DepthConfig(DINOV2_ENCODERS[encoder], head)
    return models


TEACHERS: dict[str, DepthConfig] = _pixio_models() | _depth_anything_models()
"""Pixio with the head of its evaluation (`pixio-vitb16-indoor`, …; weights of that head were never published), and
Depth Anything V2 (`depth-anything-v2-small`, `depth-anything-v2-metric-indoor-small`, …)."""
