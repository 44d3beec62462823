from __future__ import annotations

import math

import pytest
import torch

from pixio_edge.training.distill_losses import (
    cosine_loss,
    feature_loss,
    kept_pixels,
    pseudo_label_loss,
    ramp_prior,
    standardise,
)


def test_standardise_takes_off_the_median_and_divides_by_the_mean_deviation_from_it() -> None:
    # Median 2; deviations 1, 0, 1, 2, 6, of which the mean is 2.
    values = torch.tensor([[[1.0, 2.0, 3.0, 4.0, 8.0]]])
    values = torch.cat([values, 10 * values - 3])
    # 4 has rank 3 of 5: median 3, deviations 2, 1, 0, 1, 5, mean 9 / 5.
    expected = (torch.tensor([1.0, 2.0, 3.0, 4.0, 8.0]) - 3) / 1.8

    result = standardise(values)

    assert torch.allclose(result[0, 0], expected)
    assert torch.allclose(result[1, 0], expected, atol=1e-5)


def test_standardise_stays_finite_with_its_gradient_when_a_map_is_constant() -> None:
    flat = torch.full((1, 4, 4), 3.0, requires_grad=True)

    standardise(flat).sum().backward()

    assert flat.grad is not None
    assert torch.isfinite(flat.grad).all()
    assert not standardise(flat).any()


def test_worst_share_of_each_image_is_dropped_rounded_down() -> None:
    residual = torch.stack([torch.arange(20.0).reshape(4, 5), -torch.arange(20.0).flip(0).reshape(4, 5)])

    kept = kept_pixels(residual, 0.14)  # 2.8 pixels

    assert kept.sum((1, 2)).tolist() == [18, 18]
    assert not kept[0, 3, 3:].any()
    assert not kept[1, 0, :2].any()
    assert kept_pixels(residual, 0.0).all()


def test_pseudo_label_loss_is_that_worked_by_hand() -> None:
    # Column indices: median 7 (the lower one), mean deviation of 16 columns: (7+6+..+0 + 1+..+8) / 16 = 64 / 16 = 4.
    label = torch.arange(16.0).expand(1, 16, 16)
    # The same but for the last row, 4 steps of the label or 1 after alignment higher. Its median and mean deviation:
    # 16 x 15 values 0..15 and one row of 4..19. Ranks of 256: 7 lies at ranks 113..128 with 15 each of 0..7 (120), and
    # the row's 4, 5, 6, 7 (4) make 124; the lower median, rank 128, is 8.
    prediction = label.clone()
    prediction[0, 15] += 4
    # Deviations from 8: rows 0..15: (8+7+..+1) + (0+1+..+7) = 36 + 28 = 64 each, 15 of them; the last row 4..19:
    # (4+3+2+1) + (0+1+..+11) = 10 + 66 = 76. Mean (960 + 76) / 256.
    deviation = 1036 / 256
    residual = (prediction - 8) / deviation - (label - 7) / 4

    loss, terms = pseudo_label_loss(prediction, label, gradient_weight=2.0, dropped=0.0)

    across, down = [], []
    for scale in (1, 2, 4, 8):
        part = residual[0, ::scale, ::scale]
        across.append((part[:, 1:] - part[:, :-1]).abs().mean())
        down.append((part[1:] - part[:-1]).abs().mean())
    assert float(terms["invariant"]) == pytest.approx(float(residual.abs().mean()), rel=1e-5)
    assert float(terms["gradient"]) == pytest.approx(float(sum(across) + sum(down)), rel=1e-5)
    assert float(loss) == pytest.approx(float(terms["invariant"] + 2 * terms["gradient"]), rel=1e-6)


def test_pseudo_label_loss_sees_neither_scale_nor_shift_but_the_sign() -> None:
    label = torch.rand(2, 16, 16, generator=torch.Generator().manual_seed(0))

    same, _ = pseudo_label_loss(7 * label - 40, label, gradient_weight=2.0, dropped=0.1)
    inverted, _ = pseudo_label_loss(-label, label, gradient_weight=2.0, dropped=0.1)

    assert float(same) == pytest.approx(0.0, abs=1e-4)
    assert float(inverted) > 1


def test_dropped_pixels_have_neither_loss_nor_gradient() -> None:
    generator = torch.Generator().manual_seed(1)
    label = torch.rand(1, 16, 16, generator=generator)
    spoilt = label.clone()
    spoilt[0, 3:6, 5:9] += 40  # 12 of 256 pixels, under a tenth

    # Compared at the same scale: standardising would spread the spoilt ones over all.
    kept = kept_pixels(spoilt - label, 0.1)
    with_all, _ = pseudo_label_loss(spoilt, label, gradient_weight=2.0, dropped=0.0)
    without, _ = pseudo_label_loss(spoilt, label, gradient_weight=2.0, dropped=0.1)

    assert not kept[0, 3:6, 5:9].any()
    assert float(without) < 0.7 * float(with_all)


def test_loss_of_a_batch_is_the_mean_of_those_of_its_images() -> None:
    generator = torch.Generator().manual_seed(2)
    prediction, label = torch.rand(2, 3, 16, 16, generator=generator)

    whole, _ = pseudo_label_loss(prediction, label, gradient_weight=2.0, dropped=0.1)
    each = [
        pseudo_label_loss(prediction[i : i + 1], label[i : i + 1], gradient_weight=2.0, dropped=0.1)[0]
        for i in range(3)
    ]

    assert float(whole) == pytest.approx(float(sum(each)) / 3, rel=1e-5)


def test_cosine_loss_is_that_worked_by_hand() -> None:
    tokens = torch.tensor([[[1.0, 0.0], [2.0, 2.0], [0.0, 3.0]]])
    target = torch.tensor([[[5.0, 0.0], [1.0, 0.0], [0.0, -1.0]]])

    # Angles of 0, 45 and 180 degrees.
    assert float(cosine_loss(tokens, target)) == pytest.approx((0 + 1 - math.sqrt(0.5) + 2) / 3)


def test_feature_loss_is_half_of_class_tokens_and_half_of_patches() -> None:
    same, opposite = torch.ones(1, 4, 3), -torch.ones(1, 4, 3)

    assert float(feature_loss(same[:, :2], same, same[:, :2], opposite)) == pytest.approx(1.0)
    assert float(feature_loss(same[:, :2], same, opposite[:, :2], opposite)) == pytest.approx(2.0)


def test_means_of_class_tokens_are_compared_when_there_are_not_as_many() -> None:
    patches = torch.ones(1, 4, 2)
    ours = torch.tensor([[[2.0, 0.0], [0.0, 2.0]]])  # mean (1, 1)
    theirs = torch.tensor([[[1.0, 0.0]]])

    # cos of 45 degrees, and patches that agree.
    assert float(feature_loss(ours, patches, theirs, patches)) == pytest.approx((1 - math.sqrt(0.5)) / 2, abs=1e-6)


def test_prior_says_that_lower_is_nearer() -> None:
    prior = ramp_prior(torch.zeros(2, 3, 4))

    assert prior.shape == (2, 3, 4)
    assert prior[1, :, 2].tolist() == [-1.0, 0.0, 1.0]
