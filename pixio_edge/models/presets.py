"""Named model shapes: our students, and the published models that teach them."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TypeVar

import torch

from pixio_edge.errors import InputError
from pixio_edge.models.depth_model import DepthConfig, DepthModel
from pixio_edge.models.dpt import HeadConfig
from pixio_edge.models.pixio import EncoderConfig, PixioEncoder
from pixio_edge.models.stem import StemConfig
from pixio_edge.models.teachers import DINOV2_ENCODERS, PIXIO_ENCODERS, TEACHERS

_Shape = TypeVar("_Shape")

STUDENTS: dict[str, DepthConfig] = {
    # ViT-Ti width. Depth and head widths were chosen by latency: benchmarks/model_widths.py and its record.
    "nano": DepthConfig(
        encoder=EncoderConfig(
            embed_dim=192, depth=8, num_heads=3, stem=StemConfig(channels=(24, 48, 96), blocks=(1, 1))
        ),
        head=HeadConfig(
            indices=(3, 7),
            channels=(48, 96, 128, 128),
            widths=(32, 48, 64, 64),
            output_channels=(16, 16),
            use_stem=True,
        ),
    ),
    # ViT-S width at the usual depth: four times nano's cost, for hosts with time to spare.
    "small": DepthConfig(
        encoder=EncoderConfig(
            embed_dim=384, depth=12, num_heads=6, stem=StemConfig(channels=(32, 64, 128), blocks=(1, 1))
        ),
        head=HeadConfig(
            indices=(5, 11),
            channels=(64, 128, 192, 256),
            widths=(48, 64, 96, 96),
            output_channels=(24, 16),
            use_stem=True,
        ),
    ),
    # A few thousand parameters, for tests of anything that takes a model.
    "tiny": DepthConfig(
        encoder=EncoderConfig(embed_dim=32, depth=2, num_heads=2, stem=StemConfig(channels=(8, 8, 16))),
        head=HeadConfig(
            indices=(0, 1), channels=(8, 8, 16, 16), widths=(8, 8, 16, 16), output_channels=(8, 8), use_stem=True
        ),
    ),
}


PRESETS: dict[str, DepthConfig] = STUDENTS | TEACHERS
"""Every depth model by name."""

ENCODERS: dict[str, EncoderConfig] = PIXIO_ENCODERS | DINOV2_ENCODERS
"""Every published encoder by name."""


def find_preset(name: str) -> DepthConfig:
    """Shape of the preset of that name.

    Raises:
        InputError: No preset has that name.
    """
    return _find("preset", PRESETS, name)


def build_model(preset: str, *, device: str = "cpu") -> DepthModel:
    """A freshly initialised model, drawn from torch's global generator.

    Args:
        preset: Name in `PRESETS`.
        device: Where its weights are made; on "meta" they have shapes and no memory.

    Raises:
        InputError: No preset has that name.
    """
    config = find_preset(preset)
    with torch.device(device):
        return DepthModel(config)


def build_encoder(name: str, *, device: str = "cpu") -> PixioEncoder:
    """A freshly initialised encoder, drawn from torch's global generator.

    Args:
        name: Name in `ENCODERS`.
        device: Where its weights are made; on "meta" they have shapes and no memory.

    Raises:
        InputError: No encoder has that name.
    """
    config = _find("encoder", ENCODERS, name)
    with torch.device(device):
        return PixioEncoder(config)


def _find(kind: str, shapes: dict[str, _Shape], name: str) -> _Shape:
    if name not in shapes:
        near = get_close_matches(name, shapes, n=1)
        fix = f"did you mean {near[0]}?" if near else "choose one of these"
        raise InputError(f"{kind} '{name}': unknown, expected one of {', '.join(shapes)}. Fix: {fix}")
    return shapes[name]
