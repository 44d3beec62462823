from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pixio_edge.training.losses import (
    ANCHOR_WEIGHT,
    MIN_MEDIAN,
    RATIO_OFFSET,
    align_moments,
    anchor_loss,
    bound_loss,
    depth_loss,
    gradient_loss,
    invariant_loss,
    label_weights,
    ratio_residual,
    row_prior_loss,
    soften,
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

    loss, _ = invariant_loss(prediction, target, gradient_weight=0.5)
    moved, _ = invariant_loss(scale * prediction + shift, target, gradient_weight=0.5)

    torch.testing.assert_close(moved, loss, rtol=FIT, atol=0)


def test_loss_grows_when_the_prediction_is_turned_upside_down() -> None:
    """A least-squares fit would turn it back, and nothing would tie larger values to nearer points."""
    target, prediction = scene(), guess()

    loss, _ = invariant_loss(prediction, target, gradient_weight=0.5)
    turned, _ = invariant_loss(-prediction, target, gradient_weight=0.5)

    assert turned > 3 * loss


def test_loss_falls_when_the_prediction_comes_nearer_to_the_truth() -> None:
    target = scene()

    losses = [
        float(invariant_loss(target + share * (guess() - target), target, gradient_weight=0.5)[0])
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

    at_zero, _ = invariant_loss(target, target, gradient_weight=0.5)
    nearer = target.clone()
    nearer[:, :8] = 0.3
    too_near, _ = invariant_loss(nearer, target, gradient_weight=0.5)

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
    prediction, target = guess(), scene()

    invariant, _ = invariant_loss(prediction, target, gradient_weight=0.25)
    loss, terms = depth_loss(prediction, target, gradient_weight=0.25)

    assert float(invariant) == pytest.approx(float(terms["affine"] + 0.25 * terms["gradient"]), rel=1e-6)
    regularised = invariant + ANCHOR_WEIGHT * terms["anchor"] + terms["bound"]
    assert float(loss) == pytest.approx(float(regularised), rel=1e-6)


def test_anchor_is_least_at_mean_zero_and_deviation_one() -> None:
    flat = guess().flatten(1)
    standard = ((flat - flat.mean(1, keepdim=True)) / flat.std(1, keepdim=True)).reshape(2, 32, 48)

    assert float(anchor_loss(standard)) < 1e-5
    # Squared natural logarithm of 1000, and the square of the mean.
    assert float(anchor_loss(1000 * standard)) == pytest.approx(47.7, abs=0.1)
    assert float(anchor_loss(standard / 1000)) > 30
    assert float(anchor_loss(standard + 3)) == pytest.approx(9.0, abs=0.01)


def test_bound_is_zero_within_and_quadratic_beyond() -> None:
    inside = torch.tensor([[[-3.4, 0.0], [1.0, 3.4]]])
    corner = torch.tensor([[[0.0, 0.0], [0.0, 5.5]]])

    assert float(bound_loss(inside)) == 0.0
    assert float(bound_loss(corner)) == pytest.approx((5.5 - 3.5) ** 2 / 4)


def test_anchor_brings_a_far_off_prediction_back_when_it_is_trained_on() -> None:
    prediction = (20 * guess() + 5).requires_grad_()
    optimizer = torch.optim.Adam([prediction], lr=1.0)
    before = anchor_loss(prediction).item()

    for _ in range(60):
        optimizer.zero_grad()
        depth_loss(prediction, scene(), gradient_weight=0.5)[0].backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    assert anchor_loss(prediction).item() < 0.2 * before


def test_sky_does_not_outweigh_the_scene_when_most_of_the_image_is_sky() -> None:
    """A prediction that is right but for a little slope in the sky has to stay nearly right."""
    target = scene()
    target[:, :22] = 0.0
    prediction = target.clone()
    prediction[:, :22] += torch.linspace(0.02, 0.0, 22)[None, :, None]

    residual = ratio_residual(prediction, target)

    assert (target == 0).float().mean() > 0.6
    assert residual[:, 22:].abs().mean() < 0.05


def test_softened_target_takes_the_median_of_what_is_not_sky() -> None:
    target = torch.tensor([[[0.0, 0.0, 0.0, 0.2, 0.4, 0.6]], [[0.0] * 6]])

    softened = soften(target)

    torch.testing.assert_close(softened[0, 0], torch.tensor([0.52, 0.52, 0.52, 0.32, 0.52, 0.72]))
    torch.testing.assert_close(softened[1, 0], torch.full((6,), 1.3 * MIN_MEDIAN))


def test_row_prior_is_far_better_than_chance_and_far_from_the_truth() -> None:
    target = scene()
    noise = torch.rand(target.shape, generator=torch.Generator().manual_seed(5))

    prior = row_prior_loss(target, gradient_weight=0.5)

    assert float(invariant_loss(target, target, gradient_weight=0.5)[0]) < 0.1 * prior
    assert prior < 0.7 * float(invariant_loss(noise, target, gradient_weight=0.5)[0])


def mask(*, seed: int = 2) -> Tensor:
    """Pixels that have a label: half of them, and the lower left corner."""
    labelled = torch.rand(2, 32, 48, generator=torch.Generator().manual_seed(seed)) < 0.5
    labelled[:, 20:, :20] = True
    return labelled


@pytest.mark.parametrize("sky_rows", [0, 12])
def test_loss_and_gradient_have_the_same_bits_when_every_pixel_is_in_the_mask(sky_rows: int) -> None:
    target = scene()
    target[:, :sky_rows] = 0.0
    dense, masked = guess().requires_grad_(), guess().requires_grad_()

    plain, plain_terms = depth_loss(dense, target, gradient_weight=0.5)
    covered, covered_terms = depth_loss(masked, target, gradient_weight=0.5, valid=torch.ones(2, 32, 48) > 0)
    (plain_gradient,) = torch.autograd.grad(plain, dense)
    (covered_gradient,) = torch.autograd.grad(covered, masked)

    assert torch.equal(plain, covered)
    assert all(torch.equal(plain_terms[name], covered_terms[name]) for name in plain_terms)
    assert torch.equal(plain_gradient, covered_gradient)


@pytest.mark.parametrize("rubbish", [0.0, 1e9, float("inf"), float("nan")])
def test_loss_and_gradient_do_not_depend_on_what_is_stored_where_there_is_no_label(rubbish: float) -> None:
    valid, prediction = mask(), guess().requires_grad_()
    spoilt = torch.where(valid, scene(), rubbish)

    loss, _ = invariant_loss(prediction, scene(), gradient_weight=0.5, valid=valid)
    other, _ = invariant_loss(prediction, spoilt, gradient_weight=0.5, valid=valid)
    (gradient,) = torch.autograd.grad(other, prediction)

    assert torch.equal(loss, other)
    assert torch.isfinite(gradient).all()
    assert (gradient[~valid] == 0).all()
    assert (gradient[valid] != 0).float().mean() > 0.9


def test_loss_does_not_depend_on_the_prediction_where_there_is_no_label() -> None:
    valid = mask()
    elsewhere = torch.where(valid, guess(), 70.0)

    first, _ = invariant_loss(guess(), scene(), gradient_weight=0.5, valid=valid)
    second, _ = invariant_loss(elsewhere, scene(), gradient_weight=0.5, valid=valid)

    assert torch.equal(first, second)


def test_loss_of_a_batch_is_the_mean_of_its_images_when_they_have_unequal_numbers_of_labels() -> None:
    valid = mask()
    valid[1, :, 5:] = False

    whole, _ = depth_loss(guess(), scene(), gradient_weight=0.5, valid=valid)
    parts = [
        depth_loss(guess()[row : row + 1], scene()[row : row + 1], gradient_weight=0.5, valid=valid[row : row + 1])[0]
        for row in range(2)
    ]

    torch.testing.assert_close(whole, (parts[0] + parts[1]) / 2, rtol=1e-5, atol=0)


def test_image_without_labels_counts_as_zero_and_has_no_gradient() -> None:
    valid = torch.zeros(2, 32, 48, dtype=torch.bool)
    valid[0] = True
    prediction = guess().requires_grad_()

    loss, _ = invariant_loss(prediction, scene(), gradient_weight=0.5, valid=valid)
    alone, _ = invariant_loss(guess()[:1], scene()[:1], gradient_weight=0.5)
    (gradient,) = torch.autograd.grad(loss, prediction)

    torch.testing.assert_close(loss, alone / 2, rtol=1e-5, atol=0)
    assert (gradient[1] == 0).all()


def test_gradient_loss_works_by_hand_when_labels_are_missing() -> None:
    residual = torch.zeros(1, 4, 4)
    residual[:, :, 2:] = 1.0
    valid = torch.ones(1, 4, 4, dtype=torch.bool)
    valid[:, :2, 1] = False  # in two rows of four the step, from the second column to the third, has one end only

    # Across: 2 steps among 12 pairs less 2 * 2 without label. Down: none.
    assert float(gradient_loss(residual, scales=1, valid=valid)) == pytest.approx(2 / 8)


def test_label_weights_are_pixels_over_labels() -> None:
    valid = torch.tensor([[True, False, False, True], [True] * 4, [False] * 4])

    assert label_weights(valid).tolist() == [[2.0, 0.0, 0.0, 2.0], [1.0] * 4, [0.0] * 4]


def test_softened_target_takes_the_median_of_what_has_a_label() -> None:
    target, valid = torch.tensor([[[0.2, 0.4, 0.6, 90.0, 90.0]]]), torch.tensor([[[True, True, True, False, False]]])

    assert float(soften(target, valid)[0, 0, 0]) == pytest.approx(0.2 + RATIO_OFFSET * 0.4)
