"""Growing a student: the larger model computes the same, and its copies do not stay copies."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from random_models import CONFIGS, random_model, randomise_

from pixio_edge.errors import InputError
from pixio_edge.models.depth_model import DepthConfig, DepthModel
from pixio_edge.models.growth import grow
from pixio_edge.models.presets import find_preset

# Sums of twice as many terms in another order, through a whole model in float32. Measured 2e-6 of the largest value; a
# wrong share or a wrong copy is off by more than 1e-2.
ROUNDING = 1e-4


def grown_shape(name: str) -> DepthConfig:
    """Twice the width, more blocks before each tap, and wider maps by factors that are not whole."""
    old = CONFIGS[name]
    encoder = replace(old.encoder, embed_dim=64, num_heads=4, depth=old.encoder.depth * 2)
    if encoder.stem is not None:
        encoder = replace(encoder, stem=replace(encoder.stem, channels=(12, 16, 20)))
    head = replace(
        old.head,
        indices=tuple(2 * index + 1 for index in old.head.indices),
        channels=tuple(channel + 4 for channel in old.head.channels),
        widths=tuple(width + 4 for width in old.head.widths),
        output_channels=tuple(channel + 4 for channel in old.head.output_channels),
    )
    return DepthConfig(encoder, head)


def difference(small: DepthModel, large: DepthModel) -> float:
    image = torch.randn(2, 3, 48, 80, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, got = small(image), large(image)
    return float((expected - got).abs().max() / expected.abs().max())


@pytest.mark.parametrize("name", ["stem", "plain"])
def test_grown_model_computes_what_the_small_one_does(name: str) -> None:
    small = random_model(name)

    large = grow(small, grown_shape(name))

    assert large.config == grown_shape(name)
    assert difference(small, large) < ROUNDING


def test_small_grown_from_nano_computes_what_nano_does() -> None:
    nano = randomise_(DepthModel(find_preset("nano")))

    assert difference(nano, grow(nano, find_preset("small"))) < ROUNDING


def test_copies_get_different_gradients_so_that_they_part() -> None:
    large = grow(random_model("stem"), grown_shape("stem")).requires_grad_()

    large(torch.randn(1, 3, 48, 80, generator=torch.Generator().manual_seed(1))).square().mean().backward()

    gradient = large.encoder.blocks[0].mlp.fc1.weight.grad
    assert gradient is not None
    first, second = gradient.chunk(2)  # the copies of all hidden features
    assert float((first - second).norm() / first.norm()) > 0.1


def test_new_blocks_learn_although_they_begin_as_the_identity() -> None:
    large = grow(random_model("stem"), grown_shape("stem")).requires_grad_()

    large(torch.randn(1, 3, 48, 80, generator=torch.Generator().manual_seed(1))).square().mean().backward()

    ends = [block.mlp.fc2.weight for block in large.encoder.blocks if not block.mlp.fc2.weight.any()]
    assert len(ends) == 3
    assert all(weight.grad is not None and float(weight.grad.norm()) > 0 for weight in ends)


def test_another_seed_splits_otherwise_and_computes_the_same() -> None:
    small = random_model("stem")

    one, other = (grow(small, grown_shape("stem"), seed=seed) for seed in (0, 1))

    assert not torch.equal(one.encoder.blocks[0].mlp.fc1.weight, other.encoder.blocks[0].mlp.fc1.weight)
    assert difference(one, other) < ROUNDING


def test_growing_into_a_smaller_shape_is_refused() -> None:
    shape = grown_shape("stem")
    narrow = replace(shape, head=replace(shape.head, widths=(4, 4, 4, 4)))

    with pytest.raises(InputError, match="expected at most as many"):
        grow(random_model("stem"), narrow)


def test_width_that_is_no_multiple_is_refused() -> None:
    shape = grown_shape("stem")

    with pytest.raises(InputError, match="whole multiple"):
        grow(random_model("stem"), replace(shape, encoder=replace(shape.encoder, embed_dim=48, num_heads=3)))


def test_fewer_blocks_before_a_tap_are_refused() -> None:
    shape = grown_shape("stem")

    with pytest.raises(InputError, match="blocks before a tap"):
        grow(random_model("stem"), replace(shape, head=replace(shape.head, indices=(0, 5))))


@pytest.mark.parametrize(("field", "value"), [("num_cls_tokens", 4), ("image_size", 128)])
def test_other_tokens_are_refused_by_name(field: str, value: int) -> None:
    shape = grown_shape("stem")

    with pytest.raises(InputError, match="expected the same"):
        grow(random_model("stem"), replace(shape, encoder=replace(shape.encoder, **{field: value})))


def test_another_kind_of_head_is_refused_by_name() -> None:
    shape = grown_shape("plain")

    with pytest.raises(InputError, match="kind of head"):
        grow(random_model("plain"), replace(shape, head=replace(shape.head, align_corners=False)))
