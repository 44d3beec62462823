from __future__ import annotations

import math

import pytest
import torch

from pixio_edge.training.metric_loss import SQUARE_FLOOR, constant_prior_loss, metric_labels, silog_loss

ALL = torch.ones(1, 1, 2, dtype=torch.bool)


def test_silog_works_by_hand_on_two_pixels() -> None:
    """d = ln 2 and 0: sqrt(ln(2)^2 / 2 - 0.5 (ln(2) / 2)^2) = ln 2 sqrt(3/8)."""
    depth, prediction = torch.tensor([[[2.0, 5.0]]]), torch.tensor([[[1.0, 5.0]]])

    assert float(silog_loss(prediction, depth, ALL)) == pytest.approx(math.log(2) * math.sqrt(3 / 8), rel=1e-6)


def test_silog_of_a_wrong_scale_is_its_logarithm_over_the_root_of_two() -> None:
    depth = torch.tensor([[[2.0, 5.0]]])

    assert float(silog_loss(3 * depth, depth, ALL)) == pytest.approx(math.log(3) / math.sqrt(2), rel=1e-5)


def test_silog_ignores_pixels_without_label() -> None:
    depth, valid = torch.tensor([[[2.0, 5.0, 1.0]]]), torch.tensor([[[True, True, False]]])
    prediction = torch.tensor([[[1.0, 5.0, 60.0]]], requires_grad=True)

    loss = silog_loss(prediction, depth, valid)
    (gradient,) = torch.autograd.grad(loss, prediction)

    assert loss.item() == pytest.approx(math.log(2) * math.sqrt(3 / 8), rel=1e-6)
    assert gradient[0, 0, 2] == 0


@pytest.mark.parametrize("case", ["exact", "no labels", "zero"])
def test_silog_and_its_gradient_are_finite_at_the_edges(case: str) -> None:
    depth = torch.tensor([[[2.0, 5.0]]])
    prediction = (torch.zeros(1, 1, 2) if case == "zero" else depth.clone()).requires_grad_()

    loss = silog_loss(prediction, depth, ALL & (case != "no labels"))
    (gradient,) = torch.autograd.grad(loss, prediction)

    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()
    if case != "zero":
        assert loss.item() <= math.sqrt(SQUARE_FLOOR) * 1.001


def test_silog_of_a_batch_is_the_mean_of_its_images() -> None:
    generator = torch.Generator().manual_seed(0)
    depth, prediction = (torch.rand(3, 4, 5, generator=generator) + 0.5 for _ in range(2))
    valid = torch.rand(3, 4, 5, generator=generator) < 0.6
    valid[2] = False

    whole = silog_loss(prediction, depth, valid)
    parts = [silog_loss(prediction[row : row + 1], depth[row : row + 1], valid[row : row + 1]) for row in range(3)]

    torch.testing.assert_close(whole, sum(parts) / 3)
    assert parts[2] == 0


def test_metric_labels_are_depth_without_sky_and_what_is_too_far() -> None:
    inverse = torch.tensor([[[0.0, 0.5, 0.05, 4.0]]])

    depth, valid = metric_labels(inverse, None, max_depth=10.0)

    assert valid.tolist() == [[[False, True, False, True]]]
    assert depth.tolist() == [[[1.0, 2.0, 1.0, 0.25]]]
    assert not metric_labels(inverse, torch.zeros(1, 1, 4) > 0, max_depth=10.0)[1].any()


def test_constant_prior_is_least_for_one_depth_everywhere() -> None:
    depth = torch.tensor([[[2.0, 2.0]], [[2.0, 2.0]]])

    assert constant_prior_loss(depth, ALL.expand(2, 1, 2)) <= math.sqrt(SQUARE_FLOOR) * 1.001
    assert constant_prior_loss(torch.tensor([[[1.0, 9.0]]]), ALL) == pytest.approx(math.log(3), rel=1e-5)
