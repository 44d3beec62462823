from __future__ import annotations

import numpy as np
import pytest
import torch
from random_models import random_model
from torch import nn

from pixio_edge.calibration.qparams import dequantize_weight, quantize_weight, symmetric
from pixio_edge.models.depth_model import DepthModel
from pixio_edge.training.fake_quant import fake_quantised, fake_quantize, quantised_layers

MODELS = ("stem", "plain", "depth_anything")


def values(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 3


@pytest.mark.parametrize(("shape", "axis"), [((6, 5), 0), ((4, 3, 3, 2), 0), ((3, 4, 2, 2), 1)])
def test_weight_is_what_the_emitters_make_of_it(shape: tuple[int, ...], axis: int) -> None:
    weight = values(*shape)
    weight.select(axis, 1).zero_()

    integers, scales = quantize_weight(weight.numpy(), axis)

    expected = dequantize_weight(integers, scales, axis)
    assert np.array_equal(fake_quantize(weight, axis).numpy(), expected)


def test_activation_is_what_its_parameters_make_of_it() -> None:
    x = values(2, 7, 5)
    params = symmetric(float(x.min()), float(x.max()))

    expected = params.dequantize(params.quantize(x.numpy()))

    # What straight-through adds and takes off again leaves a bit of rounding.
    assert fake_quantize(x).numpy() == pytest.approx(expected, abs=1e-6)
    assert len(np.unique(np.round(fake_quantize(x).numpy() / params.scale))) <= 255


def test_case_worked_by_hand_rounds_half_to_even() -> None:
    x = torch.tensor([127.0, -127.0, 0.5, 1.5, 2.4, -0.6])  # the scale is 1

    assert fake_quantize(x).tolist() == [127.0, -127.0, 0.0, 2.0, 2.0, -1.0]


def test_gradient_passes_rounding_unchanged() -> None:
    x = values(4, 4).requires_grad_()
    given = values(4, 4, seed=1)

    (fake_quantize(x, axis=0) * given).sum().backward()

    assert x.grad is not None
    assert torch.equal(x.grad, given)


def test_zeros_stay_zeros() -> None:
    assert not fake_quantize(torch.zeros(3, 3)).any()
    assert not fake_quantize(torch.zeros(3, 3), axis=0).any()


@pytest.mark.parametrize("name", MODELS)
def test_layers_round_only_inside_the_block(name: str) -> None:
    model, image = random_model(name), values(1, 3, 64, 64)
    before = model(image)

    with fake_quantised(model):
        rounded = model(image)

    assert torch.equal(model(image), before)
    assert not torch.equal(rounded, before)
    # Steps of 1/127 of the largest value over a few layers; measured 4 to 8 %.
    assert float((rounded - before).std() / before.std()) < 0.15


@pytest.mark.parametrize("name", MODELS)
def test_model_rounds_its_linears_and_convolutions_and_nothing_of_the_stem(name: str) -> None:
    model = random_model(name)
    inside = {id(layer) for layer in quantised_layers(model)}

    names = {name for name, module in model.named_modules() if id(module) in inside}

    weights = [name for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    assert "encoder.blocks.0.attn.qkv" in names
    assert "head.output_conv3" in names
    assert set(weights) - names == {name for name in weights if name.startswith("encoder.patch_embed")}


def test_layers_are_as_they_were_when_the_block_ends_with_an_error() -> None:
    model, image = random_model("stem"), values(1, 3, 64, 64)
    before = model(image)

    with pytest.raises(RuntimeError), fake_quantised(model):
        model(values(1, 5, 64, 64))

    assert torch.equal(model(image), before)


def test_weights_get_gradients_while_they_round() -> None:
    model: DepthModel = random_model("stem").requires_grad_(True)

    with fake_quantised(model):
        model(values(1, 3, 64, 64)).square().mean().backward()

    for layer in quantised_layers(model):
        weight = layer.get_parameter("weight")
        assert weight.grad is not None
        assert weight.grad.any()
