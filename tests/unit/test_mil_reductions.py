"""Reductions, softmax and normalisations of the MIL interpreter, against numpy in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'coreml' is not installed")
pytest.importorskip("coremltools", reason="the extra 'coreml' is not installed")

from tests.mil_programs import floats, mb, run_op

# Sums of some dozens of float32 of size 1.
RTOL, ATOL = 1e-5, 1e-6

REDUCTION_CASES: dict[str, Callable[..., np.ndarray]] = {
    "reduce_sum": np.sum,
    "reduce_mean": np.mean,
    "reduce_max": np.max,
    "reduce_min": np.min,
    "reduce_sum_square": lambda x, **axes: np.sum(x * x, **axes),
    "reduce_l1_norm": lambda x, **axes: np.sum(np.abs(x), **axes),
    "reduce_l2_norm": lambda x, **axes: np.sqrt(np.sum(x * x, **axes)),
    "reduce_log_sum": lambda x, **axes: np.log(np.sum(x, **axes)),
    "reduce_log_sum_exp": lambda x, **axes: np.log(np.sum(np.exp(x), **axes)),
}


@pytest.mark.parametrize("keep_dims", [True, False])
@pytest.mark.parametrize("axes", [None, [1], [-1, 0]])
@pytest.mark.parametrize(("name", "formula"), REDUCTION_CASES.items(), ids=REDUCTION_CASES.keys())
def test_reduction_follows_its_formula(
    name: str, formula: Callable[..., np.ndarray], axes: list[int] | None, keep_dims: bool
) -> None:
    x = np.abs(floats(2, 3, 4)) + 0.1
    expected = formula(x.astype(np.float64), axis=tuple(axes) if axes else None, keepdims=keep_dims)
    given = {"axes": axes} if axes else {}

    result = run_op(lambda x: getattr(mb, name)(x=x, keep_dims=keep_dims, **given), x)

    assert result.shape == np.shape(expected)
    np.testing.assert_allclose(result, expected, rtol=RTOL, atol=ATOL)


def test_reduction_of_whole_numbers_keeps_their_type() -> None:
    result = run_op(lambda x: mb.reduce_sum(x=x, axes=[0], keep_dims=False), np.array([3, 4], np.int32))

    assert result.dtype == np.int32
    assert result == 7


@pytest.mark.parametrize(("name", "expected"), [("reduce_argmax", [1, 0]), ("reduce_argmin", [0, 2])])
def test_argmax_and_argmin_give_whole_numbers(name: str, expected: list[int]) -> None:
    x = np.array([[1.0, 5.0, 2.0], [7.0, 3.0, -1.0]], np.float32)

    result = run_op(lambda x: getattr(mb, name)(x=x, axis=1, keep_dims=False), x)

    assert result.dtype == np.int32
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax_sums_to_one_along_its_axis(axis: int) -> None:
    x = floats(2, 3, 4)
    powers = np.exp(x.astype(np.float64))

    result = run_op(lambda x: mb.softmax(x=x, axis=axis), x)

    np.testing.assert_allclose(result, powers / powers.sum(axis, keepdims=True), rtol=RTOL)


def test_softmax_of_large_values_stays_finite() -> None:
    x = np.array([[60000.0, 60000.0]], np.float16)

    np.testing.assert_array_equal(run_op(lambda x: mb.softmax(x=x, axis=-1), x, precision="fp16"), [[0.5, 0.5]])


def normalise(x: np.ndarray, axes: tuple[int, ...], epsilon: float) -> np.ndarray:
    x = x.astype(np.float64)
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


@pytest.mark.parametrize("axes", [[-1], [1], [1, 2], [2, 1], [0, 1, 2]])
def test_layer_norm_normalises_over_its_axes(axes: list[int]) -> None:
    x = floats(2, 3, 4)
    positive = sorted(axis % 3 for axis in axes)
    shape = [x.shape[axis] for axis in positive]
    gamma, beta = floats(*shape, seed=1), floats(*shape, seed=2)
    spread = [size if axis in positive else 1 for axis, size in enumerate(x.shape)]
    expected = normalise(x, tuple(positive), 0.01) * gamma.reshape(spread) + beta.reshape(spread)

    result = run_op(lambda x: mb.layer_norm(x=x, axes=axes, gamma=gamma, beta=beta, epsilon=0.01), x)

    np.testing.assert_allclose(result, expected, rtol=RTOL, atol=RTOL)


def test_layer_norm_without_gamma_and_beta_only_normalises() -> None:
    x = floats(2, 6)

    np.testing.assert_allclose(run_op(lambda x: mb.layer_norm(x=x, axes=[-1]), x), normalise(x, (1,), 1e-5), rtol=RTOL)


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_uses_the_stored_statistics_of_each_channel(affine: bool) -> None:
    x, mean, variance = floats(2, 3, 2, 2), floats(3, seed=1), np.abs(floats(3, seed=2))
    gamma, beta = floats(3, seed=3), floats(3, seed=4)
    column = (None, slice(None), None, None)
    expected = (x.astype(np.float64) - mean[column]) / np.sqrt(variance[column] + 1e-3)
    expected = expected * gamma[column] + beta[column] if affine else expected
    given: dict[str, Any] = {"gamma": gamma, "beta": beta} if affine else {}

    result = run_op(lambda x: mb.batch_norm(x=x, mean=mean, variance=variance, epsilon=1e-3, **given), x)

    np.testing.assert_allclose(result, expected, rtol=RTOL, atol=RTOL)


def test_instance_norm_normalises_each_channel_of_each_image() -> None:
    x, gamma, beta = floats(2, 3, 4, 5), floats(3, seed=1), floats(3, seed=2)
    expected = normalise(x, (2, 3), 1e-3) * gamma[None, :, None, None] + beta[None, :, None, None]

    result = run_op(lambda x: mb.instance_norm(x=x, gamma=gamma, beta=beta, epsilon=1e-3), x)

    np.testing.assert_allclose(result, expected, rtol=RTOL, atol=RTOL)


def test_l2_norm_divides_by_the_length_over_the_last_three_dimensions() -> None:
    x = floats(2, 3, 4, 5)
    length = np.sqrt((x.astype(np.float64) ** 2).sum((1, 2, 3), keepdims=True) + 0.5)

    np.testing.assert_allclose(run_op(lambda x: mb.l2_norm(x=x, epsilon=0.5), x), x / length, rtol=RTOL)
