"""Scales, zero points and integer weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pixio_edge.calibration.qparams import (
    SMALLEST_SCALE,
    QuantParams,
    asymmetric,
    dequantize_weight,
    quantize_weight,
    symmetric,
    weight_scales,
)

BITS = st.integers(2, 8)
REAL = st.floats(-1e6, 1e6, width=32)
# One rounding of float32 in the scale and one in the value read back.
FLOAT_SLACK = 1 + 2.0**-20
WEIGHTS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=4, max_side=5),
    elements=st.floats(-100, 100, width=32),
)


def ranges() -> st.SearchStrategy[tuple[float, float]]:
    return st.tuples(REAL, REAL).map(lambda pair: (min(pair), max(pair)))


@given(ranges(), BITS)
def test_symmetric_has_zero_point_zero_and_the_same_limit_on_both_sides(bounds: tuple[float, float], bits: int) -> None:
    params = symmetric(*bounds, bits)

    assert (params.zero_point, params.dtype) == (0, "int8")
    assert params.high == -params.low == 2 ** (bits - 1) - 1


@given(ranges(), BITS)
def test_asymmetric_represents_zero_exactly(bounds: tuple[float, float], bits: int) -> None:
    params = asymmetric(*bounds, bits)

    held = params.quantize(np.zeros(1))

    assert held.dtype == np.uint8
    assert params.low <= params.zero_point <= params.high == 2**bits - 1
    assert params.dequantize(held)[0] == 0


@pytest.mark.parametrize("make", [symmetric, asymmetric])
@given(bounds=ranges(), bits=BITS, share=st.floats(0, 1))
def test_error_inside_the_range_is_at_most_half_a_step(
    make: type[QuantParams], bounds: tuple[float, float], bits: int, share: float
) -> None:
    params: QuantParams = make(*bounds, bits)  # type: ignore[call-arg, arg-type]
    value = np.array([bounds[0] + share * (bounds[1] - bounds[0])])

    error = abs(float(params.dequantize(params.quantize(value))[0]) - float(value[0]))

    # At the ends of an asymmetric range, rounding of the zero point takes up to another half.
    allowed = 0.5 if make is symmetric else 1.0
    assert error <= (allowed * params.scale) * FLOAT_SLACK + abs(float(value[0])) * 2.0**-20


@given(st.floats(0.1, 10), st.floats(1.01, 100))
def test_values_outside_the_range_take_its_end(limit: float, factor: float) -> None:
    params = symmetric(-limit, limit)

    held = params.quantize(np.array([limit * factor, -limit * factor]))

    assert held.tolist() == [127, -127]


def test_ranges_of_relu_start_at_zero_point_zero() -> None:
    params = asymmetric(0.0, 5.1)

    assert params.zero_point == 0
    assert params.scale == pytest.approx(5.1 / 255)


@pytest.mark.parametrize("make", [symmetric, asymmetric])
def test_range_of_zeros_has_scale_one(make: type[QuantParams]) -> None:
    params: QuantParams = make(0.0, 0.0)  # type: ignore[call-arg, arg-type]

    assert (params.scale, params.zero_point) == (1.0, 0)


def test_tiny_ranges_keep_products_of_scales_normal_float32() -> None:
    scale = symmetric(-1e-30, 1e-30).scale

    assert scale == SMALLEST_SCALE
    assert np.float32(scale) * np.float32(scale) > np.finfo(np.float32).tiny


@pytest.mark.parametrize("bounds", [(1.0, 0.0), (0.0, float("nan")), (float("-inf"), 1.0)])
def test_ranges_that_are_not_finite_or_empty_are_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="range must be finite"):
        symmetric(*bounds)


@pytest.mark.parametrize("bits", [1, 9])
def test_widths_that_bytes_cannot_hold_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match="bits must be 2 to 8"):
        asymmetric(0.0, 1.0, bits)


@given(WEIGHTS, BITS, st.data())
def test_weights_read_back_within_half_a_step_of_their_channel(
    weight: np.ndarray, bits: int, data: st.DataObject
) -> None:
    axis = data.draw(st.integers(0, weight.ndim - 1))

    integers, scales = quantize_weight(weight, axis, bits=bits)

    assert integers.shape == weight.shape
    assert np.abs(integers.astype(int)).max() <= 2 ** (bits - 1) - 1
    error = np.abs(dequantize_weight(integers, scales, axis) - weight)
    per_channel = np.moveaxis(error, axis, 0).reshape(len(scales), -1).max(axis=1)
    assert (per_channel <= 0.5 * scales * FLOAT_SLACK + np.abs(weight).max() * 2.0**-20).all()


def test_channel_of_zeros_has_scale_one_and_stays_zero() -> None:
    weight = np.array([[0.0, 2.0], [0.0, -4.0]], np.float32)

    integers, scales = quantize_weight(weight, 1)

    assert scales.tolist() == [1.0, np.float32(4 / 127)]
    assert integers.tolist() == [[0, 64], [0, -127]]


def test_limits_clip_the_weights_of_their_channel() -> None:
    weight = np.array([[1.0, -3.0], [1.0, -3.0]], np.float32)

    integers, scales = quantize_weight(weight, 0, [1.0, 3.0])

    assert scales.tolist() == [np.float32(1 / 127), np.float32(3 / 127)]
    assert integers.tolist() == [[127, -127], [42, -127]]


def test_limits_of_another_number_of_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="3 limits for 2 channels"):
        weight_scales(np.ones((2, 4), np.float32), 0, [1.0, 1.0, 1.0])


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_limits_that_are_not_positive_are_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="finite, and limits positive"):
        weight_scales(np.ones((1, 4), np.float32), 0, [limit])


def test_weights_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        quantize_weight(np.array([[np.nan, 1.0]], np.float32), 0)
