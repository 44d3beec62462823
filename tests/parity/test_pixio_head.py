"""Pixio's depth head by the names of its evaluation code, against the steps written out as plain operations."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pixio_names import random_encoder
from torch import Tensor
from torch.nn import functional

from pixio_edge.errors import InputError
from pixio_edge.models.checkpoints import load_checkpoint, load_encoder
from pixio_edge.models.depth_model import DepthConfig, DepthModel
from pixio_edge.models.dpt import HeadConfig
from pixio_edge.models.pixio import EncoderConfig, PixioEncoder

# float32 in the same order of operations, but for the concatenation: rounding of differently fused products.
TOLERANCE = 1e-5

ENCODER = EncoderConfig(embed_dim=32, depth=4, num_heads=2, num_cls_tokens=8, image_size=64)
HEAD = HeadConfig(
    indices=(0, 1, 2, 3),
    channels=(8, 12, 16, 16),
    widths=(8, 8, 8, 8),
    output_channels=(8,),
    align_corners=True,
    output="pixio",
    max_depth=10.0,
)
CONFIG = DepthConfig(ENCODER, HEAD)

State = dict[str, Tensor]


def head_state() -> State:
    """Random weights by the original names, with the shapes that the original has, scaled to the size of this head."""
    shapes: dict[str, tuple[int, ...]] = {}
    for level, channels in enumerate(HEAD.channels):
        shapes[f"projects.{level}"] = (channels, 2 * ENCODER.embed_dim, 1, 1)
        shapes[f"scratch.layer{level + 1}_rn"] = (8, channels, 3, 3)
        for unit in ("resConfUnit1.conv1", "resConfUnit1.conv2", "resConfUnit2.conv1", "resConfUnit2.conv2"):
            shapes[f"scratch.refinenet{level + 1}.{unit}"] = (8, 8, 3, 3)
        shapes[f"scratch.refinenet{level + 1}.out_conv"] = (8, 8, 1, 1)
    shapes |= {"resize_layers.0": (8, 8, 4, 4), "resize_layers.1": (12, 12, 2, 2), "resize_layers.3": (16, 16, 3, 3)}
    shapes |= {"scratch.output_conv.0": (8, 8, 3, 3), "scratch.output_conv.2": (1, 8, 1, 1)}
    generator = torch.Generator().manual_seed(2)
    state: State = {}
    for name, shape in shapes.items():
        fan_in = shape[1] * shape[2] * shape[3]
        state[f"{name}.weight"] = torch.randn(shape, generator=generator) * fan_in**-0.5
        if not name.endswith("_rn"):
            state[f"{name}.bias"] = torch.randn(shape[0], generator=generator) * 0.3
    return state


def conv(state: State, name: str, x: Tensor, *, padding: int = 0, stride: int = 1) -> Tensor:
    return functional.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), stride=stride, padding=padding)


def residual(state: State, name: str, x: Tensor) -> Tensor:
    hidden = conv(state, f"{name}.conv1", x.relu(), padding=1)
    return x + conv(state, f"{name}.conv2", hidden.relu(), padding=1)


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=True)


def reference_depth(encoder: PixioEncoder, state: State, image: Tensor) -> Tensor:
    """Evaluation code of Pixio, in our words: the facts of its head one after the other."""
    features = encoder.forward_intermediates(image, HEAD.indices)
    levels = []
    for index, (patches, cls_tokens) in enumerate(zip(features.patches, features.cls_tokens, strict=True)):
        mean = cls_tokens.mean(dim=1)[:, :, None, None] * torch.ones_like(patches)
        x = conv(state, f"projects.{index}", torch.cat([patches, mean], dim=1))
        if index < 2:
            weight, bias = (state[f"resize_layers.{index}.{kind}"] for kind in ("weight", "bias"))
            x = functional.conv_transpose2d(x, weight, bias, stride=(4, 2)[index])
        if index == 3:
            x = conv(state, "resize_layers.3", x, padding=1, stride=2)
        levels.append(conv(state, f"scratch.layer{index + 1}_rn", x, padding=1))
    path = torch.zeros(())
    for number in (4, 3, 2, 1):
        name, level = f"scratch.refinenet{number}", levels[number - 1]
        x = level if number == 4 else path + residual(state, f"{name}.resConfUnit1", level)
        x = residual(state, f"{name}.resConfUnit2", x)
        height, width = levels[number - 2].shape[-2:] if number > 1 else (2 * x.shape[-2], 2 * x.shape[-1])
        path = conv(state, f"{name}.out_conv", resize(x, (height, width)))
    x = conv(state, "scratch.output_conv.2", conv(state, "scratch.output_conv.0", path, padding=1).relu())
    return resize(x, (image.shape[-2], image.shape[-1])).sigmoid()[:, 0] * 10.0


def write_checkpoint(path: Path, encoder: PixioEncoder) -> Path:
    state = {f"encoder.{name}": value for name, value in encoder.state_dict().items()}
    torch.save(state | {f"head.{name}": value for name, value in head_state().items()}, path)
    return path


@pytest.fixture(scope="module")
def encoder() -> PixioEncoder:
    torch.set_num_threads(1)
    return random_encoder(ENCODER)


@pytest.fixture
def checkpoint(tmp_path: Path, encoder: PixioEncoder) -> Path:
    return write_checkpoint(tmp_path / "dpt.pth", encoder)


@pytest.fixture
def model(checkpoint: Path) -> DepthModel:
    return load_checkpoint(checkpoint, CONFIG)


@pytest.mark.parametrize("size", [(64, 64), (48, 80), (80, 16)])
@torch.inference_mode()
def test_depth_equals_that_of_the_steps_written_out(
    model: DepthModel, encoder: PixioEncoder, size: tuple[int, int]
) -> None:
    image = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))

    depth = model(image)

    expected = reference_depth(encoder, head_state(), image)
    assert depth.shape == (2, *size)
    assert 0 < depth.min() < depth.max() < 10
    assert depth.std() > 0.1
    torch.testing.assert_close(depth, expected, atol=10 * TOLERANCE, rtol=0)  # metres of 10


def test_encoder_of_a_depth_model_is_loaded_without_its_head(checkpoint: Path, encoder: PixioEncoder) -> None:
    loaded = load_encoder(checkpoint, ENCODER).state_dict()

    assert all(torch.equal(loaded[name], value) for name, value in encoder.state_dict().items())


def test_keys_are_named_when_a_head_does_not_fit(checkpoint: Path) -> None:
    state = torch.load(checkpoint, weights_only=True)
    state["head.scratch.stem.weight"] = state.pop("head.scratch.refinenet2.out_conv.bias")
    torch.save(state, checkpoint)

    with pytest.raises(InputError, match=r"1 missing head\.fusions\.1\.out_conv\.bias; 1 unexpected scratch\.stem"):
        load_checkpoint(checkpoint, CONFIG)
