from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixio_edge.errors import InputError
from pixio_edge.metrics import (
    DepthMetrics,
    align_inverse,
    depth_from_inverse,
    depth_metrics,
    mean_metrics,
    sqnr_db,
)

PAPER_ABS = 5e-7  # the values below are worked out on paper to seven digits
ROUNDING_REL = 1e-6  # float64 sums after an affine change of up to six decades; measured below 1e-9


def aligned_metrics(inverse: np.ndarray, depth: np.ndarray) -> DepthMetrics:
    scale, shift = align_inverse(inverse, depth)
    return depth_metrics(depth_from_inverse(inverse, scale, shift, float(depth.max())), depth)


def random_scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A prediction that is right up to noise, and its true depth."""
    generator = np.random.default_rng(seed)
    depth = generator.uniform(0.5, 20.0, size=(5, 7))
    return 1.0 / depth + generator.normal(0.0, 0.2, size=depth.shape), depth


def test_depth_metrics_match_values_worked_out_by_hand():
    predicted, truth = np.array([1.0, 2.5, 4.0, 8.0]), np.array([1.0, 2.0, 5.0, 4.0])

    metrics = depth_metrics(predicted, truth)

    # Differences 0, 0.5, -1, 4; ratios 1, 1.25, 1.25, 2; logarithms 0, 0.2231436, -0.2231436, 0.6931472.
    assert metrics.abs_rel == pytest.approx((0 + 0.25 + 0.2 + 1) / 4, abs=PAPER_ABS)
    assert metrics.sq_rel == pytest.approx((0 + 0.125 + 0.2 + 4) / 4, abs=PAPER_ABS)
    assert metrics.rmse == pytest.approx(2.0766559, abs=PAPER_ABS)
    assert metrics.rmse_log == pytest.approx(0.3808015, abs=PAPER_ABS)
    assert metrics.log10 == pytest.approx(0.1237125, abs=PAPER_ABS)
    assert metrics.silog == pytest.approx(33.908917, abs=1e-5)
    assert (metrics.delta1, metrics.delta2, metrics.delta3) == (0.25, 0.75, 0.75)


def test_delta1_leaves_out_a_ratio_of_exactly_the_threshold():
    assert depth_metrics(np.array([1.25]), np.array([1.0])).delta1 == 0.0
    assert depth_metrics(np.array([1.0]), np.array([1.25])).delta1 == 0.0
    assert depth_metrics(np.array([1.2499]), np.array([1.0])).delta1 == 1.0


def test_depth_metrics_use_only_valid_pixels():
    predicted, truth = np.array([[2.0, -7.0], [np.nan, 3.0]]), np.array([[2.0, 0.0], [1.0, 3.0]])

    metrics = depth_metrics(predicted, truth, np.array([[True, False], [False, True]]))

    assert metrics.abs_rel == 0.0
    assert metrics.delta1 == 1.0


def test_depth_metrics_stay_accurate_for_float32_maps():
    truth = np.full((1000, 1000), 3.0, dtype=np.float32)

    metrics = depth_metrics(truth * np.float32(1.1), truth)

    # A float32 running sum of a million equal terms is off by about 1e-4; float32 rounding of 3.3 alone is 3e-8.
    assert metrics.abs_rel == pytest.approx(0.1, abs=1e-7)


def test_align_inverse_matches_a_fit_worked_out_by_hand():
    scale, shift = align_inverse(np.array([0.0, 1.0, 2.0]), np.array([1.0, 0.5, 0.25]))

    # Targets 1, 2, 4: slope 3 / 2, intercept 7 / 3 - 3 / 2.
    assert scale == pytest.approx(1.5, rel=ROUNDING_REL)
    assert shift == pytest.approx(5 / 6, rel=ROUNDING_REL)


def test_align_inverse_ignores_pixels_that_are_not_valid():
    inverse, depth = np.array([0.0, 1.0, 2.0, np.nan, 50.0]), np.array([1.0, 0.5, 0.25, 1.0, 0.0])

    scale, shift = align_inverse(inverse, depth, np.array([True, True, True, False, False]))

    assert (scale, shift) == pytest.approx((1.5, 5 / 6), rel=ROUNDING_REL)


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7, 1e8])
def test_align_inverse_of_a_constant_gives_the_mean_inverse_depth(value: float):
    depth = np.array([1.0, 2.0, 4.0, 5.0])

    scale, shift = align_inverse(np.full(4, value, dtype=np.float32), depth)

    assert scale == 0.0
    assert shift == pytest.approx((1 + 0.5 + 0.25 + 0.2) / 4, rel=ROUNDING_REL)


def test_align_inverse_turns_a_prediction_of_depth_over():
    depth = np.array([1.0, 2.0, 4.0])

    assert align_inverse(depth, depth)[0] < 0


def test_align_inverse_of_one_pixel_gives_its_inverse_depth():
    assert align_inverse(np.array([7.0]), np.array([4.0])) == (0.0, 0.25)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3))
def test_metrics_do_not_change_under_an_affine_change_of_the_prediction(seed: int, scale: float, shift: float):
    inverse, depth = random_scene(seed)

    before, after = aligned_metrics(inverse, depth), aligned_metrics(scale * inverse + shift, depth)

    assert list(after.to_json().values()) == pytest.approx(list(before.to_json().values()), rel=ROUNDING_REL)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3))
def test_metrics_are_perfect_when_the_prediction_is_affine_in_the_truth(seed: int, scale: float, shift: float):
    _, depth = random_scene(seed)

    metrics = aligned_metrics(scale / depth + shift, depth)

    assert metrics.delta1 == 1.0
    assert metrics.abs_rel < ROUNDING_REL


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.5, 2.0), shift=st.floats(-0.5, 0.5))
def test_align_inverse_fits_no_worse_than_any_other_line(seed: int, scale: float, shift: float):
    inverse, depth = random_scene(seed)
    fitted_scale, fitted_shift = align_inverse(inverse, depth)

    def cost(slope: float, offset: float) -> float:
        return float(np.sum((slope * inverse + offset - 1.0 / depth) ** 2))

    assert cost(fitted_scale, fitted_shift) <= cost(scale, shift) * (1 + ROUNDING_REL)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), factor=st.floats(0.01, 100.0))
def test_metrics_without_unit_do_not_change_with_the_unit_of_the_truth(seed: int, factor: float):
    inverse, depth = random_scene(seed)

    before, after = aligned_metrics(inverse, depth), aligned_metrics(inverse, depth * factor)

    assert after.abs_rel == pytest.approx(before.abs_rel, rel=ROUNDING_REL)
    assert after.silog == pytest.approx(before.silog, rel=ROUNDING_REL)
    assert after.rmse == pytest.approx(before.rmse * factor, rel=ROUNDING_REL)


def test_depth_from_inverse_clamps_what_is_at_or_behind_infinity():
    depth = depth_from_inverse(np.array([-1.0, 0.0, 0.05, 0.5]), 1.0, 0.0, max_depth=10.0)

    np.testing.assert_array_equal(depth, [10.0, 10.0, 10.0, 2.0])


@pytest.mark.parametrize("max_depth", [0.0, -1.0, math.inf, math.nan])
def test_depth_from_inverse_refuses_a_bound_that_bounds_nothing(max_depth: float):
    with pytest.raises(InputError, match=r"max_depth is .* expected a positive number"):
        depth_from_inverse(np.ones(3), 1.0, 0.0, max_depth)


@pytest.mark.parametrize(
    ("predicted", "truth", "valid", "message"),
    [
        (np.ones((2, 3)), np.ones((3, 2)), None, r"got shape \(2, 3\), expected \(3, 2\)"),
        (np.ones(3), np.ones(3), np.zeros(3, dtype=bool), "got 0 valid pixels"),
        (np.ones(3), np.ones(3), np.ones(3, dtype=np.uint8), "got uint8"),
        (np.ones(3), np.ones(3), np.ones(4, dtype=bool), r"valid mask: got bool \(4,\)"),
        (np.array([1.0, np.nan]), np.ones(2), None, "got NaN or infinity in 1 valid pixels"),
        (np.ones(2), np.array([1.0, np.inf]), None, "ground-truth depth: got NaN or infinity"),
        (np.ones(2), np.array([1.0, 0.0]), None, "ground-truth depth: got 0, expected positive"),
    ],
)
def test_metrics_and_alignment_refuse_bad_input(predicted, truth, valid, message: str):
    for function in (align_inverse, depth_metrics):
        with pytest.raises(InputError, match=message):
            function(predicted, truth, valid)


def test_depth_metrics_refuse_a_negative_prediction():
    with pytest.raises(InputError, match="predicted depth: got -1, expected positive"):
        depth_metrics(np.array([1.0, -1.0]), np.ones(2))


def test_mean_metrics_averages_each_field_and_leaves_nan_out():
    first = DepthMetrics(*(float(index) for index in range(9)))
    second = DepthMetrics(2.0, math.nan, *(float(index) for index in range(2, 9)))

    mean = mean_metrics([first, second])

    assert mean.abs_rel == 1.0
    assert mean.sq_rel == 1.0  # only the first has one
    assert mean.delta3 == 8.0


def test_mean_metrics_refuses_an_empty_list():
    with pytest.raises(InputError, match="got 0 images"):
        mean_metrics([])


def test_metrics_to_json_writes_null_for_nan():
    metrics = DepthMetrics(0.1, math.nan, math.nan, *([0.5] * 6))

    record = json.loads(json.dumps(metrics.to_json(), allow_nan=False))

    assert record["rmse"] is None
    assert record["delta1"] == 0.5


def test_sqnr_db_matches_a_value_worked_out_by_hand():
    # Signal 9 + 16, noise 0.5 squared: a ratio of 100 is 20 dB.
    assert sqnr_db(np.array([3.0, 4.0]), np.array([3.0, 3.5])) == pytest.approx(20.0)


def test_sqnr_db_is_infinite_for_equal_arrays_and_for_a_missed_zero():
    assert sqnr_db(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == math.inf
    assert sqnr_db(np.zeros(2), np.array([0.0, 1.0])) == -math.inf


def test_sqnr_db_refuses_shapes_that_differ_and_values_that_are_not_finite():
    with pytest.raises(InputError, match="candidate: got shape"):
        sqnr_db(np.ones(2), np.ones(3))
    with pytest.raises(InputError, match="candidate: got NaN"):
        sqnr_db(np.ones(2), np.array([1.0, np.nan]))
