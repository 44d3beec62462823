from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pixio_edge.calibration.config import CalibrationConfig
from pixio_edge.calibration.histogram import HALF_BINS, Histogram
from pixio_edge.calibration.observers import (
    INT8_STEPS,
    MSE_CANDIDATES,
    ChannelMinMax,
    Entropy,
    MinMax,
    MovingAverage,
    Mse,
    Observer,
    Percentile,
    clipping_error,
)
from pixio_edge.errors import InputError

# The histogram takes values as spread evenly in their bins, of which a range has at least 1,024. Measured 0.4 % at most
# between its squared error and that over the values themselves, for limits down to a sixteenth of the largest value.
ERROR_TOLERANCE = 0.02
# Without subnormal numbers, which vanish in units of a wide bin.
FLOATS = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)


def normal(size: int, *, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=size) * scale).astype(np.float32)


def observers() -> dict[str, Observer]:
    return {
        "minmax": MinMax(),
        "moving_average": MovingAverage(),
        "percentile": Percentile(99.9),
        "mse": Mse(),
        "entropy": Entropy(),
    }


NAMES = tuple(observers())
EXACT_TO_SPLITS = tuple(name for name in NAMES if name != "moving_average")


def brute_force_error(values: np.ndarray, limit: float) -> float:
    step = limit / INT8_STEPS
    rounded = np.clip(np.rint(values.astype(np.float64) / step), -INT8_STEPS, INT8_STEPS) * step
    return float(np.sum((values - rounded) ** 2))


@settings(max_examples=60, deadline=None)
@given(st.lists(arrays(np.float32, st.integers(1, 30), elements=FLOATS), min_size=1, max_size=6), st.randoms())
def test_histogram_is_the_same_however_values_are_ordered_and_split(parts: list[np.ndarray], random: object) -> None:
    whole, split, merged = Histogram(), Histogram(), Histogram()
    whole.add(np.concatenate(parts))
    random.shuffle(parts)
    for part in parts:
        split.add(part)
        single = Histogram()
        single.add(part)
        merged.merge(single)

    for other in (split, merged):
        assert other.width == whole.width
        assert np.array_equal(other.counts, whole.counts)
        assert (other.low, other.high, other.total, other.zeros) == (whole.low, whole.high, whole.total, whole.zeros)


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, st.integers(1, 200), elements=FLOATS))
def test_histogram_counts_like_numpy(values: np.ndarray) -> None:
    histogram = Histogram()
    histogram.add(values)

    if not np.any(values):
        assert histogram.width == 0.0
        assert histogram.counts[HALF_BINS] == values.size
        return
    expected = np.floor(values.astype(np.float64) / histogram.width).astype(int) + HALF_BINS
    assert np.array_equal(histogram.counts, np.bincount(expected, minlength=2 * HALF_BINS))
    # The largest magnitude lies in the upper half, so the range is resolved well; denormal ranges cannot be.
    assert histogram.amax < HALF_BINS * histogram.width
    assert histogram.amax >= HALF_BINS * histogram.width / 2 or histogram.width == 2.0**-126


def test_histogram_stays_small_when_values_grow_without_end() -> None:
    histogram = Histogram()
    for exponent in range(-140, 127):
        histogram.add(np.array([2.0**exponent, -(2.0**exponent)], np.float32))

    assert histogram.counts.nbytes == 2 * HALF_BINS * 8
    assert histogram.counts.sum() == histogram.total == 2 * 267
    assert histogram.high == 2.0**126


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, st.integers(1, 300), elements=FLOATS), st.floats(50.5, 100))
def test_percentile_range_contains_that_share_of_the_values(values: np.ndarray, percentile: float) -> None:
    observer = Percentile(percentile)
    observer.observe(values)
    low, high = observer.range()

    inside = np.mean((values >= low) & (values <= high))
    assert inside >= percentile / 100 - 1e-12
    assert values.min() <= low <= high <= values.max()


def test_percentile_is_that_of_the_sorted_magnitudes_to_a_bin() -> None:
    values = normal(200_000)
    observer = Percentile(99.0)
    for part in np.array_split(values, 7):
        observer.observe(part)

    exact = np.percentile(np.abs(values), 99.0)
    assert exact <= observer.range()[1] <= exact + 2 * observer.histogram.width


def test_percentile_does_not_count_zeros_of_a_sparse_tensor() -> None:
    values = np.zeros(100_000, np.float32)
    values[:50] = np.linspace(1, 50, 50)
    observer = Percentile(98.0)
    observer.observe(values)

    assert observer.range() == pytest.approx((0.0, 49.0), abs=0.05)


@pytest.mark.parametrize("shrink", [1.0, 0.5, 0.25, 0.0625])
def test_clipping_error_is_that_of_all_values_at_once(shrink: float) -> None:
    values = np.concatenate([normal(100_000), np.zeros(5_000, np.float32), normal(1_000, scale=4.0)])
    histogram = Histogram()
    histogram.add(values)
    limit = histogram.amax * shrink

    assert clipping_error(histogram, limit) == pytest.approx(brute_force_error(values, limit), rel=ERROR_TOLERANCE)


def test_mse_range_is_as_good_as_the_best_candidate_on_all_values_at_once() -> None:
    values = np.concatenate([normal(200_000), normal(50, scale=20.0)])
    observer = Mse()
    for part in np.array_split(values, 5):
        observer.observe(part)

    low, high = observer.range()
    chosen = max(-low, high)
    errors = [brute_force_error(values, float(np.abs(values).max() * share)) for share in MSE_CANDIDATES]
    assert brute_force_error(values, chosen) <= min(errors) * (1 + ERROR_TOLERANCE)
    assert chosen < 0.7 * np.abs(values).max()


def test_entropy_clips_rare_outliers_and_keeps_a_flat_distribution() -> None:
    flat, heavy = Entropy(), Entropy()
    flat.observe(np.linspace(-1, 1, 100_001, dtype=np.float32))
    heavy.observe(np.concatenate([normal(200_000), np.array([60.0, -60.0], np.float32)]))

    assert flat.range() == pytest.approx((-1.0, 1.0), abs=0.02)
    assert 3.0 < heavy.range()[1] < 15.0


def test_entropy_does_not_clip_everything_to_one_value() -> None:
    observer = Entropy()
    observer.observe(np.array([1.0, 2.0], np.float32))

    assert observer.range() == (1.0, 2.0)


def test_moving_average_follows_the_arrays_in_order() -> None:
    observer = MovingAverage(weight=0.25)
    observer.observe(np.array([-1.0, 4.0]))
    observer.observe(np.array([-3.0, 8.0]))

    assert observer.range() == (-1.5, 5.0)


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 5)), elements=FLOATS))
def test_channel_min_max_is_that_of_each_channel(values: np.ndarray) -> None:
    for axis in (0, 1, -1):
        observer = ChannelMinMax(axis)
        observer.observe(values)
        observer.observe(values[..., :1] if axis == 0 else values)
        low, high = observer.ranges()

        rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
        assert np.array_equal(low, rows.min(axis=1))
        assert np.array_equal(high, rows.max(axis=1))


@pytest.mark.parametrize("name", EXACT_TO_SPLITS)
def test_range_is_the_same_when_arrays_come_in_parts(name: str) -> None:
    values = np.concatenate([normal(5_000), normal(20, scale=30.0)])
    whole, split = observers()[name], observers()[name]
    whole.observe(values)
    for part in np.array_split(values[::-1], 9):
        split.observe(part)

    assert split.range() == whole.range()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.0, 0.0], (0.0, 0.0)),
        ([-2.5, -2.5], (-2.5, -2.5)),
        ([1e-42], (1e-42, 1e-42)),
        ([], (0.0, 0.0)),
    ],
    ids=["all zero", "constant", "one tiny value", "nothing"],
)
def test_degenerate_values_give_their_own_range(name: str, values: list[float], expected: tuple[float, float]) -> None:
    observer = observers()[name]
    observer.observe(np.array(values, np.float32))

    assert observer.range() == pytest.approx(expected, rel=1e-6, abs=1e-45)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(values=arrays(np.float32, st.integers(1, 60), elements=FLOATS))
def test_range_is_ordered_and_inside_what_was_seen(name: str, values: np.ndarray) -> None:
    observer = observers()[name]
    observer.observe(values)
    low, high = observer.range()

    assert values.min() <= low <= high <= values.max()


@pytest.mark.parametrize("name", NAMES)
def test_values_after_a_relu_keep_their_low_end(name: str) -> None:
    observer = observers()[name]
    observer.observe(np.maximum(normal(10_000), 0))

    assert observer.range()[0] == 0.0
    assert observer.range()[1] > 1.0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_value_that_is_no_number_is_refused(name: str, bad: float) -> None:
    with pytest.raises(InputError, match="expected finite numbers"):
        observers()[name].observe(np.array([1.0, bad, 2.0], np.float32))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("images", 0, "images: got 0, expected at least 1"),
        ("activation_method", "median", "activation_method: got median, expected one of minmax"),
        ("weight_method", "entropy", "weight_method"),
        ("rounding", "up", "rounding"),
        ("percentile", 100.5, "percentile: got 100.5"),
        ("smoothing", 1.5, "smoothing: got 1.5"),
        ("smoothing", "auto", "smoothing: got auto"),
        ("threads", 0, "threads"),
        ("seed", -1, "seed"),
    ],
)
def test_configuration_refuses_what_it_does_not_know(field: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        CalibrationConfig(**{field: value})


@pytest.mark.parametrize("smoothing", [False, True, "search", 0.5, 0, 1])
def test_configuration_takes_every_kind_of_smoothing(smoothing: bool | float | str) -> None:
    assert CalibrationConfig(smoothing=smoothing).to_json()["smoothing"] == smoothing
