from __future__ import annotations

import copy

import pytest
import torch

from pixio_edge.models.presets import build_model
from pixio_edge.training.optimizer import RATE_SHARE, average_decay, build_optimizers, learning_rate, update_average


def test_every_parameter_has_one_optimizer_and_matrices_of_blocks_have_muon() -> None:
    model = build_model("tiny")

    muon, adamw = build_optimizers(model, model.encoder, rate=1e-3, weight_decay=0.05)
    named = {id(parameter): name for name, parameter in model.named_parameters()}
    grouped = [
        [named[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]
        for optimizer in (muon, adamw)
    ]

    assert isinstance(muon, torch.optim.Muon)
    assert isinstance(adamw, torch.optim.AdamW)
    assert sorted(grouped[0] + grouped[1]) == sorted(named.values())
    assert len(grouped[0]) == 2 * 4  # qkv, proj, fc1 and fc2 of both blocks
    assert all(name.startswith("encoder.blocks.") and name.endswith("weight") for name in grouped[0])
    undecayed = [p for group in adamw.param_groups if group["weight_decay"] == 0 for p in group["params"]]
    assert all(parameter.ndim < 2 for parameter in undecayed)
    assert len(undecayed) > 10


def test_learning_rate_warms_up_and_falls_to_its_floor() -> None:
    rates = [learning_rate(step, steps=100, warmup=10, peak=2.0) for step in range(101)]

    assert rates[0] == pytest.approx(0.2)
    assert rates[9] == rates[10] == 2.0
    assert rates[55] == pytest.approx(2.0 * (0.01 + 0.99 * 0.5))
    assert rates[100] == pytest.approx(0.02)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_average_forgets_its_start_and_then_moves_slowly() -> None:
    assert average_decay(0, 0.99) == pytest.approx(0.1)
    assert average_decay(90, 0.99) == pytest.approx(0.91)
    assert average_decay(10_000, 0.99) == 0.99


def test_average_moves_by_one_minus_the_decay_and_takes_counters_over() -> None:
    model = build_model("tiny")
    average = copy.deepcopy(model)
    with torch.no_grad():
        for value in model.state_dict().values():
            value.add_(1)
    before = copy.deepcopy(average.state_dict())

    update_average(average, model, 0.75)

    for name, value in average.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, before[name] + 0.25)
        else:
            assert torch.equal(value, before[name] + 1)


def groups_of(optimizers: list[torch.optim.Optimizer], model: torch.nn.Module) -> dict[str, dict[str, float]]:
    """Group of every parameter by its name."""
    named = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    return {named[id(parameter)]: group for group in groups for parameter in group["params"]}


def test_rates_fall_from_the_head_to_the_image_when_layers_decay() -> None:
    model = build_model("tiny")

    optimizers = build_optimizers(model, model.encoder, rate=1e-3, weight_decay=0.05, layer_decay=0.5)
    groups = groups_of(optimizers, model)

    assert sorted(groups) == sorted(name for name, _ in model.named_parameters())
    for name, group in groups.items():
        if name.startswith("encoder.blocks.1."):
            share = 0.5
        elif name.startswith("encoder.blocks.0."):
            share = 0.25
        else:
            share = 1.0 if name.startswith(("head.", "encoder.norm.")) else 0.125
        assert group[RATE_SHARE] == share, name
        assert group["lr"] == pytest.approx(1e-3 * share), name


def test_decay_of_weights_does_not_depend_on_the_layer() -> None:
    model = build_model("tiny")

    groups = groups_of(build_optimizers(model, model.encoder, rate=1e-3, weight_decay=0.05, layer_decay=0.5), model)

    for name, parameter in model.named_parameters():
        assert groups[name]["weight_decay"] == (0.05 if parameter.ndim >= 2 else 0.0), name


def test_frozen_parameters_are_in_no_group_and_adamw_takes_all_when_asked() -> None:
    model = build_model("tiny")
    model.encoder.requires_grad_(False)

    frozen = build_optimizers(model, model.encoder, rate=1e-3, weight_decay=0.05)
    model.encoder.requires_grad_(True)
    plain = build_optimizers(model, model.encoder, rate=1e-3, weight_decay=0.05, muon=False)

    assert [type(optimizer) for optimizer in frozen] == [type(optimizer) for optimizer in plain] == [torch.optim.AdamW]
    assert all(name.startswith("head.") for name in groups_of(frozen, model))
    assert len(groups_of(plain, model)) == len(list(model.parameters()))
