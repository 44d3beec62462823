"""Shapes, readout and budget of the depth head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from random_models import CONFIGS, SIZES, random_model
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pixio_edge.errors import InputError, SpecError
from pixio_edge.models.depth_model import DepthModel
from pixio_edge.models.dpt import DPTHead
from pixio_edge.models.pixio import EncoderFeatures
from pixio_edge.models.presets import build_model

# What `nano` may cost at 256x256, so that it can beat a convolutional rival of its size on a CPU.
MAX_PARAMETERS = 8e6
MAX_GFLOP = 4.5
MAX_HEAD_SHARE = 1 / 3


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def features_of(name: str, size: tuple[int, int]) -> tuple[DepthModel, EncoderFeatures]:
    model = random_model(name)
    image = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    return model, model.encoder.forward_intermediates(image, model.config.head.indices)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CONFIGS)
def test_head_predicts_one_value_per_pixel(name: str, size: tuple[int, int]) -> None:
    model, features = features_of(name, size)

    depth = model.head(features, size)

    assert depth.shape == (2, *size)
    assert torch.isfinite(depth).all()


@pytest.mark.parametrize("name", CONFIGS)
def test_levels_have_strides_4_8_16_and_32(name: str) -> None:
    model, features = features_of(name, (64, 96))
    seen: list[tuple[int, int]] = []
    for conv in model.head.level_convs:
        conv.register_forward_hook(lambda module, inputs, output: seen.append(tuple(output.shape[-2:])))

    model.head(features, (64, 96))

    assert seen == [(16, 24), (8, 12), (4, 6), (2, 3)]


@pytest.mark.parametrize("name", CONFIGS)
def test_every_tapped_feature_matters_to_the_depth(name: str) -> None:
    """Also the class tokens where they are read out, and not where they are ignored."""
    model, features = features_of(name, (64, 64))
    is_read = model.config.head.readout == "mean"
    depth = model.head(features, (64, 64))

    def moved(**changes: tuple[Tensor, ...]) -> float:
        return float((model.head(replace(features, **changes), (64, 64)) - depth).abs().max())

    for part in ("stem", "patches", "cls_tokens"):
        taps: tuple[Tensor, ...] = getattr(features, part)
        for index in range(len(taps)):
            # Not by a constant: the residual units may be blind to it.
            pushed = tuple(tap * 1.5 if at == index else tap for at, tap in enumerate(taps))
            assert (moved(**{part: pushed}) > 1e-4) is (part != "cls_tokens" or is_read), (part, index)


def test_readout_is_the_mean_of_the_class_tokens() -> None:
    model, features = features_of("stem", (64, 64))
    swapped = tuple(tokens.flip(1) for tokens in features.cls_tokens)
    averaged = tuple(tokens.mean(1, keepdim=True).expand_as(tokens) for tokens in features.cls_tokens)
    depth = model.head(features, (64, 64))

    for tokens in (swapped, averaged):
        torch.testing.assert_close(model.head(replace(features, cls_tokens=tokens), (64, 64)), depth)


def test_head_is_refused_when_the_encoder_has_no_stem_for_it() -> None:
    with pytest.raises(SpecError, match="use_stem without a stem"):
        DPTHead(CONFIGS["stem"].head, embed_dim=32)


def test_head_is_refused_when_its_output_channels_do_not_fit_the_output_stage() -> None:
    config = replace(CONFIGS["pixio"].head, output_channels=(8, 4))

    with pytest.raises(SpecError, match="got 2 output channels, expected 1 for output 'pixio'"):
        DPTHead(config, embed_dim=32)


def test_metric_depth_is_a_sigmoid_of_the_largest_depth_and_relative_depth_is_cut_off_at_zero() -> None:
    for name, bias, expected in (("pixio", 50.0, 10.0), ("pixio", -50.0, 0.0), ("depth_anything", -50.0, 0.0)):
        model, features = features_of(name, (64, 64))
        torch.nn.init.zeros_(model.head.output_conv3.weight)
        torch.nn.init.constant_(model.head.output_conv3.bias, bias)
        torch.testing.assert_close(model.head(features, (64, 64)), torch.full((2, 64, 64), expected))


@pytest.mark.parametrize(("name", "channels", "expected"), [("stem", (8, 16), 2), ("plain", None, 4)])
def test_head_is_refused_when_its_indices_do_not_fill_the_levels(
    name: str, channels: tuple[int, int] | None, expected: int
) -> None:
    config = replace(CONFIGS[name].head, indices=(0, 1, 2))

    with pytest.raises(SpecError, match=f"got 3 block indices, expected {expected}"):
        DPTHead(config, embed_dim=32, stem_channels=channels)


@pytest.mark.parametrize("preset", ["nano", "small", "tiny"])
def test_preset_maps_an_image_to_depth_of_its_size(preset: str) -> None:
    model = build_model(preset).eval()

    with torch.inference_mode():
        depth = model(torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)))

    assert depth.shape == (1, 64, 96)
    assert torch.isfinite(depth).all()
    assert depth.std() > 0


def test_preset_is_refused_when_there_is_none_of_that_name() -> None:
    with pytest.raises(InputError, match="'giant': unknown, expected one of nano, small, tiny, pixio-vitb16"):
        build_model("giant")


def gflop(call: Callable[[], object]) -> float:
    """2 x multiply-accumulates."""
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        call()
    return counter.get_total_flops() / 1e9


def test_nano_stays_in_its_budget() -> None:
    model = build_model("nano").eval()
    image = torch.zeros(1, 3, 256, 256)
    with torch.inference_mode():
        features = model.encoder.forward_intermediates(image, model.config.head.indices)

    parameters = sum(p.numel() for p in model.parameters())
    total, head = gflop(lambda: model(image)), gflop(lambda: model.head(features, (256, 256)))

    assert parameters <= MAX_PARAMETERS
    assert 0 < head <= MAX_HEAD_SHARE * total
    assert total <= MAX_GFLOP
