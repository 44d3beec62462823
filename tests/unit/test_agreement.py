"""Agreement of a candidate depth with the float depth: what it sees and what it does not."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from pixio_edge.calibration.agreement import FAR_TO_NEAR, Agreement, compare_depth, mean_agreement
from pixio_edge.calibration.budget import Budget
from pixio_edge.errors import InputError
from pixio_edge.metrics import DepthMetrics

EXACT = 1e-9


def scene(seed: int = 0) -> np.ndarray:
    """Inverse depth of a slanted floor with boxes, float32 (1, 40, 60)."""
    generator = np.random.default_rng(seed)
    rows = np.linspace(0.1, 1.0, 40, dtype=np.float32)[:, None]
    plane = np.broadcast_to(rows, (40, 60)).copy()
    for _ in range(5):
        top, left = generator.integers(0, 30), generator.integers(0, 45)
        plane[top : top + 8, left : left + 12] = generator.uniform(0.3, 1.2)
    return plane[None]


def noisy(reference: np.ndarray, level: float) -> np.ndarray:
    return reference + np.random.default_rng(1).normal(0, level, reference.shape).astype(np.float32)


def test_equal_depths_agree_in_everything() -> None:
    found = compare_depth(scene(), scene())

    assert found == Agreement(pytest.approx(0.0, abs=EXACT), 1.0, 1.0, pytest.approx(1.0, abs=EXACT), math.inf)
    assert found.to_json()["sqnr_db"] is None


@pytest.mark.parametrize(("scale", "shift"), [(2.0, 0.0), (1.0, -0.3), (0.5, 7.0)])
def test_scale_and_shift_of_relative_depth_do_not_count(scale: float, shift: float) -> None:
    candidate = scale * noisy(scene(), 0.02).astype(np.float64) + shift

    found, plain = compare_depth(scene(), candidate), compare_depth(scene(), noisy(scene(), 0.02))

    assert found.abs_rel == pytest.approx(plain.abs_rel, rel=1e-6)
    assert found.delta1 == plain.delta1
    assert found.sqnr_db < plain.sqnr_db


def test_more_noise_agrees_less() -> None:
    found = [compare_depth(scene(), noisy(scene(), level)) for level in (0.003, 0.01, 0.03, 0.1)]

    assert [item.abs_rel for item in found] == sorted(item.abs_rel for item in found)
    assert [item.sqnr_db for item in found] == sorted((item.sqnr_db for item in found), reverse=True)
    assert [item.edge_f1 for item in found] == sorted((item.edge_f1 for item in found), reverse=True)
    assert found[0].abs_rel > 0
    assert found[-1].delta1 < found[0].delta1


def test_noise_of_known_size_gives_the_ratio_in_db() -> None:
    reference = scene().astype(np.float64)
    candidate = reference + 0.1 * reference.std() * np.where(np.indices(reference.shape).sum(axis=0) % 2, 1.0, -1.0)

    assert compare_depth(reference, candidate).sqnr_db == pytest.approx(20.0)


def test_blurred_depth_loses_sharpness_and_edges() -> None:
    blurred = cv2.GaussianBlur(scene()[0], (0, 0), 2.0)[None]

    found = compare_depth(scene(), blurred)

    assert found.edge_sharpness < 0.6
    assert found.edge_f1 < 0.7


def test_depth_turned_over_agrees_in_no_edge() -> None:
    found = compare_depth(scene(), scene()[:, ::-1])

    assert found.edge_f1 < 0.3
    assert found.abs_rel > 0.2


def test_far_end_is_so_many_times_as_far_as_the_near_end() -> None:
    """A constant candidate becomes the mean inverse depth, so its AbsRel tells the range of the depths."""
    ramp = np.linspace(0, 1, 10_000, dtype=np.float64).reshape(100, 100)
    inverse = 1 / FAR_TO_NEAR + (1 - 1 / FAR_TO_NEAR) * (ramp - 0.01) / 0.98
    truth, guess = 1 / np.maximum(inverse, 1 / FAR_TO_NEAR), 1 / inverse.mean()

    found = compare_depth(ramp, np.zeros_like(ramp))

    assert found.abs_rel == pytest.approx(np.mean(np.abs(guess - truth) / truth), rel=1e-3)


def test_metric_depth_is_compared_without_alignment() -> None:
    metres = 1.0 / scene()

    assert compare_depth(metres, 1.1 * metres, "metric").abs_rel == pytest.approx(0.1, rel=1e-5)
    assert compare_depth(metres, 1.2 * metres, "metric").delta1 == 1.0
    assert compare_depth(metres, 1.3 * metres, "metric").delta1 == 0.0


def test_flat_part_without_edges_is_sharp_by_definition() -> None:
    smooth = np.broadcast_to(np.linspace(0.5, 1.0, 400, dtype=np.float32)[:, None], (400, 4))

    found = compare_depth(smooth, smooth)

    assert (found.edge_f1, found.edge_sharpness) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("reference", "candidate", "message"),
    [
        (np.ones((1, 8, 8)), np.ones((1, 8, 8)), "a depth that varies"),
        (scene(), scene()[:, :20], r"got \(20, 60\), expected \(40, 60\)"),
        (scene(), np.where(scene() > 0.5, np.nan, scene()), "not finite"),
        (scene()[None], scene(), "expected finite"),
    ],
)
def test_unusable_depths_are_refused_with_the_reason(
    reference: np.ndarray, candidate: np.ndarray, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        compare_depth(reference, candidate)

    assert "Fix: " in str(caught.value)


def test_mean_is_taken_per_image() -> None:
    items = [Agreement(0.01, 1.0, 0.8, 1.0, 30.0), Agreement(0.03, 0.9, 0.6, 0.8, 20.0)]

    assert mean_agreement(items) == Agreement(0.02, 0.95, pytest.approx(0.7), 0.9, 25.0)
    with pytest.raises(InputError, match="got 0 images"):
        mean_agreement([])


@pytest.mark.parametrize(
    ("delta1", "abs_rel", "reason"),
    [
        (0.996, 0.019, None),
        (0.994, 0.001, "0.60 points of delta1 differ"),
        (1.0, 0.021, "differs by 2.10 %"),
        (math.nan, 0.0, "nan points"),
    ],
)
def test_budget_limits_agreement(delta1: float, abs_rel: float, reason: str | None) -> None:
    found = Budget(0.5).against(Agreement(abs_rel, delta1, 1.0, 1.0, 30.0))

    assert (found is None) if reason is None else (found is not None and reason in found)


def truth(delta1: float, abs_rel: float) -> DepthMetrics:
    return DepthMetrics(abs_rel, 0.1, 0.5, 0.1, 0.05, 10.0, delta1, 0.99, 1.0)


def test_budget_limits_the_loss_of_true_metrics() -> None:
    budget, before = Budget(0.5), truth(0.90, 0.10)

    assert budget.against_truth(before, truth(0.8951, 0.1019), "set a") is None
    assert budget.against_truth(before, truth(0.95, 0.05), "set a") is None
    assert "delta1 loses 0.60 points on set a" in str(budget.against_truth(before, truth(0.894, 0.10), "set a"))
    assert "AbsRel grows by 3.00 % on set a" in str(budget.against_truth(before, truth(0.90, 0.103), "set a"))


@pytest.mark.parametrize("points", [0.0, -1.0, math.nan, math.inf])
def test_budget_that_is_no_positive_number_is_refused(points: float) -> None:
    with pytest.raises(InputError, match=r"expected more than 0\. Fix: "):
        Budget(points)
