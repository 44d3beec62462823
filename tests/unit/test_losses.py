from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pixio_edge.training.losses import (
    RATIO_OFFSET,
    align_moments,
    depth_loss,
    gradient_loss,
    ratio_residual,
    row_prior_loss,
)

# What the ridge on the variance (1e-4 of the mean square) and float32 leave of an exact fit.
FIT = 2e-3


def scene(*, seed: int = 0) -> Tensor:
    """Inverse depth in 1/m, (2, 32, 48): a floor and a wall, with boxes."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.linspace(0.1, 0.8, 32)[None, :, None].expand(2, 32, 48).clone()
    for index in range(2):
        top, left = torch.randint(0, 20, (2,), generator=generator).tolist()
        rows[index, top : top + 9, left : left + 12] = 0.9
    return rows


def guess(*, seed: int = 1) -> Tensor:
    """A prediction that is neither perfect nor unrelated."""
    generator = torch.Generator().manual_seed(seed)
    return scene() + 0.2 * torch.rand(2, 32, 48, generator=generator)


def test_alignment_gives_mean_and_deviation_of_the_target() -> None:
    target, prediction, weight = scene(), 50 - 3 * guess(), torch.rand(2, 32, 48) + 0.1

    aligned = align_moments(prediction, target, weight)

    for values, wanted in ((aligned, target), (prediction, prediction)):
        assert values.shape == wanted.shape
    total = weight.sum((1, 2))
    mean, wanted_mean = ((weight * v).sum((1, 2)) / total for v in (aligned, target))
    deviation, wanted_deviation = (
        ((weight * (v - m[:, None, None]).square()).sum((1, 2)) / total).sqrt()
        for v, m in ((aligned, mean), (target, wanted_mean))
    )
    torch.testing.assert_close(mean, wanted_mean, rtol=1e-4, atol=1e-5)
    # A prediction around 50 that varies by 1: the ridge of 1e-4 of its mean square takes a part of its deviation.
    assert (deviation < wanted_deviation * (1 + FIT)).all()


def test_alignment_works_by_hand_on_two_pixels() -> None:
    target, prediction = torch.tensor([[[1.0, 3.0]]]), torch.tensor([[[-0.5, 0.5]]])

    aligned = align_moments(prediction, target, torch.ones(1, 1, 2))

    # Mean 2 and deviation 1 of the target, mean 0 and deviation 0.5 of the prediction: 2 p + 2.
    torch.testing.assert_close(aligned, torch.tensor([[[1.0, 3.0]]]), rtol=1e-4, atol=0)


def test_alignment_ignores_pixels_without_weight() -> None:
    target, prediction = torch.tensor([[[1.0, 3.0, 77.0]]]), torch.tensor([[[-0.5, 0.5, -9.0]]])

    aligned = align_moments(prediction, target, torch.tensor([[[1.0, 1.0, 0.0]]]))

    torch.testing.assert_close(aligned[..., :2], torch.tensor([[[1.0, 3.0]]]), rtol=1e-4, atol=0)


def test_residual_works_by_hand_on_two_pixels() -> None:
    """Weights 1 / (d + c median)^2; the median of two values is the lower one."""
    target = torch.tensor([[[1.0, 3.0]]])
    softened = target + RATIO_OFFSET * 1.0
    weight = softened**-2 / (softened**-2).sum()
    prediction = torch.tensor([[[0.0, 1.0]]])
    mean_p, mean_t = (weight * prediction).sum(), (weight * target).sum()
    scale = ((weight * (target - mean_t).square()).sum() / (weight * (prediction - mean_p).square()).sum()).sqrt()

    residual = ratio_residual(prediction, target)

    torch.testing.assert_close(
        residual, (scale * (prediction - mean_p) + mean_t - target) / softened, atol=1e-3, rtol=0
    )


def test_residual_of_the_truth_is_zero_at_any_positive_scale_and_shift() -> None:
    target = scene()

    for scale, shift in ((1.0, 0.0), (30.0, 5.0), (0.01, -0.002)):
        assert ratio_residual(scale * target + shift, target).abs().max() < FIT


@pytest.mark.parametrize(("scale", "shift"), [(7.0, 0.0), (1.0, 0.5), (0.3, -0.2)])
def test_loss_does_not_change_when_the_prediction_is_scaled_up_and_shifted(scale: float, shift: float) -> None:
    target, prediction = scene(), guess()

    loss, _ = depth_loss(prediction, target, gradient_weight=0.5)
    moved, _ = depth_loss(scale * prediction + shift, target, gradient_weight=0.5)

    torch.testing.assert_close(moved, loss, rtol=FIT, atol=0)


def test_loss_grows_when_the_prediction_is_turned_upside_down() -> None:
    """A least-squares fit would turn it back, and nothing would tie larger values to nearer points."""
    target, prediction = scene(), guess()

    loss, _ = depth_loss(prediction, target, gradient_weight=0.5)
    turned, _ = depth_loss(-prediction, target, gradient_weight=0.5)

    assert turned > 3 * loss


def test_loss_falls_when_the_prediction_comes_nearer_to_the_truth() -> None:
    target = scene()

    losses = [
        float(depth_loss(target + share * (guess() - target), target, gradient_weight=0.5)[0])
        for share in (1.0, 0.5, 0.1, 0.0)
    ]

    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < FIT * 10


@pytest.mark.parametrize("value", [0.0, 1.0, -40.0])
def test_gradient_is_finite_when_the_prediction_is_constant(value: float) -> None:
    prediction = torch.full((2, 32, 48), value, requires_grad=True)

    loss, _ = depth_loss(prediction, scene(), gradient_weight=0.5)
    loss.backward()  # type: ignore[no-untyped-call]

    assert torch.isfinite(loss)
    assert prediction.grad is not None
    assert torch.isfinite(prediction.grad).all()


@pytest.mark.parametrize("sky_rows", [8, 32])
def test_loss_and_gradient_are_finite_when_there_is_sky(sky_rows: int) -> None:
    target = scene()
    target[:, :sky_rows] = 0.0
    prediction = guess().requires_grad_()

    loss, _ = depth_loss(prediction, target, gradient_weight=0.5)
    loss.backward()  # type: ignore[no-untyped-call]

    assert torch.isfinite(loss)
    assert prediction.grad is not None
    assert torch.isfinite(prediction.grad).all()


def test_sky_is_at_inverse_depth_zero() -> None:
    target = scene()
    target[:, :8] = 0.0

    at_zero, _ = depth_loss(target, target, gradient_weight=0.5)
    nearer = target.clone()
    nearer[:, :8] = 0.3
    too_near, _ = depth_loss(nearer, target, gradient_weight=0.5)

    assert at_zero < FIT * 10
    assert too_near > 20 * at_zero


def test_gradient_loss_works_by_hand() -> None:
    residual = torch.zeros(1, 4, 4)
    residual[:, :, 2:] = 1.0  # one step between the second and the third column

    # Scale 1: one of three differences in each row. Scale 2: columns 0 and 2, so every difference. None along columns.
    assert float(gradient_loss(residual, scales=2)) == pytest.approx(1 / 3 + 1)


def test_gradient_loss_is_blind_to_a_constant() -> None:
    residual = torch.rand(2, 32, 48, generator=torch.Generator().manual_seed(0))

    torch.testing.assert_close(gradient_loss(residual + 3.0), gradient_loss(residual), rtol=1e-4, atol=0)


def test_loss_is_the_weighted_sum_of_the_terms_it_reports() -> None:
    loss, terms = depth_loss(guess(), scene(), gradient_weight=0.25)

    assert float(loss) == pytest.approx(terms["affine"] + 0.25 * terms["gradient"], rel=1e-6)


def test_row_prior_is_far_better_than_chance_and_far_from_the_truth() -> None:
    target = scene()
    noise = torch.rand(target.shape, generator=torch.Generator().manual_seed(5))

    prior = row_prior_loss(target, gradient_weight=0.5)

    assert float(depth_loss(target, target, gradient_weight=0.5)[0]) < 0.1 * prior
    assert prior < 0.7 * float(depth_loss(noise, target, gradient_weight=0.5)[0])
