"""Arithmetic, comparison, activations and casts of the MIL interpreter, against numpy in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'coreml' is not installed")
pytest.importorskip("coremltools", reason="the extra 'coreml' is not installed")

from pixio_edge.errors import InputError
from tests.mil_programs import mb, run_op

# One rounding of float32 in the function and one in the result.
FLOAT32_RTOL = 1e-6
# Where 1 + tanh cancels, the rounding of the 1 is what is left.
FLOAT32_ATOL = 1e-7

X = np.array([-2.5, -1.0, -0.5, 0.0, 0.5, 1.5, 2.5], np.float32)
Y = np.array([1.0, -2.0, 0.5, 3.0, -0.5, 2.0, 2.5], np.float32)
POSITIVE = np.array([0.25, 1.0, 4.0], np.float32)

BINARY_CASES: dict[str, list[float]] = {
    "add": [-1.5, -3.0, 0.0, 3.0, 0.0, 3.5, 5.0],
    "sub": [-3.5, 1.0, -1.0, -3.0, 1.0, -0.5, 0.0],
    "mul": [-2.5, 2.0, -0.25, 0.0, -0.25, 3.0, 6.25],
    "real_div": [-2.5, 0.5, -1.0, 0.0, -1.0, 0.75, 1.0],
    "floor_div": [-3.0, 0.0, -1.0, 0.0, -1.0, 0.0, 1.0],
    "mod": [0.5, -1.0, 0.0, 0.0, 0.0, 1.5, 0.0],
    "maximum": [1.0, -1.0, 0.5, 3.0, 0.5, 2.0, 2.5],
    "minimum": [-2.5, -2.0, -0.5, 0.0, -0.5, 1.5, 2.5],
    "equal": [0, 0, 0, 0, 0, 0, 1],
    "not_equal": [1, 1, 1, 1, 1, 1, 0],
    "greater": [0, 1, 0, 0, 1, 0, 0],
    "greater_equal": [0, 1, 0, 0, 1, 0, 1],
    "less": [1, 0, 1, 1, 0, 1, 0],
    "less_equal": [1, 0, 1, 1, 0, 1, 1],
}
UNARY_CASES: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "ceil": math.ceil,
    "cos": math.cos,
    "erf": math.erf,
    "exp": math.exp,
    "exp2": lambda x: 2.0**x,
    "floor": math.floor,
    "identity": lambda x: x,
    "relu": lambda x: max(x, 0.0),
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "sign": lambda x: (x > 0) - (x < 0),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "sin": math.sin,
    "softplus": lambda x: math.log(1 + math.exp(x)),
    "softsign": lambda x: x / (1 + abs(x)),
    "square": lambda x: x * x,
    "tan": math.tan,
    "tanh": math.tanh,
}
PARAMETRIC: dict[str, tuple[Callable[[Any], Any], Callable[[float], float]]] = {
    "clip": (lambda x: mb.clip(x=x, alpha=-0.75, beta=1.0), lambda x: min(max(x, -0.75), 1.0)),
    "threshold": (lambda x: mb.threshold(x=x, alpha=0.25), lambda x: max(x, 0.25)),
    "leaky_relu": (lambda x: mb.leaky_relu(x=x, alpha=0.1), lambda x: x if x >= 0 else 0.1 * x),
    "elu": (lambda x: mb.elu(x=x, alpha=2.0), lambda x: x if x >= 0 else 2.0 * math.expm1(x)),
    "clamped_relu": (
        lambda x: mb.clamped_relu(x=x, alpha=0.5, beta=2.0),
        lambda x: min(x if x >= 0 else 0.5 * x, 2.0),
    ),
    "linear_activation": (lambda x: mb.linear_activation(x=x, alpha=2.0, beta=-1.0), lambda x: 2.0 * x - 1.0),
    "sigmoid_hard": (
        lambda x: mb.sigmoid_hard(x=x, alpha=0.2, beta=0.5),
        lambda x: min(max(0.2 * x + 0.5, 0.0), 1.0),
    ),
}
GELU_CASES: dict[str, Callable[[float], float]] = {
    "EXACT": lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))),
    "TANH_APPROXIMATION": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "SIGMOID_APPROXIMATION": lambda x: x / (1 + math.exp(-1.702 * x)),
}


@pytest.mark.parametrize(("name", "expected"), BINARY_CASES.items(), ids=BINARY_CASES.keys())
def test_binary_operation_gives_the_hand_worked_values(name: str, expected: list[float]) -> None:
    np.testing.assert_allclose(run_op(lambda x, y: getattr(mb, name)(x=x, y=y), X, Y), expected, rtol=FLOAT32_RTOL)


def test_pow_raises_to_each_exponent() -> None:
    exponents = np.array([0.5, -1.0, 2.0], np.float32)

    np.testing.assert_allclose(run_op(lambda x, y: mb.pow(x=x, y=y), POSITIVE, exponents), [0.5, 1.0, 16.0])


def test_binary_operation_broadcasts() -> None:
    column, row = np.array([[1.0], [2.0]], np.float32), np.array([10.0, 20.0], np.float32)

    np.testing.assert_array_equal(run_op(lambda x, y: mb.add(x=x, y=y), column, row), [[11, 21], [12, 22]])


def test_real_div_of_whole_numbers_drops_what_is_after_the_point() -> None:
    x, y = np.array([7, -7], np.int32), np.array([2, 2], np.int32)

    np.testing.assert_array_equal(run_op(lambda x, y: mb.real_div(x=x, y=y), x, y), [3, -3])


@pytest.mark.parametrize(
    ("name", "expected"),
    [("logical_and", [1, 0, 0, 0]), ("logical_or", [1, 1, 1, 0]), ("logical_xor", [0, 1, 1, 0])],
)
def test_logical_operation_follows_its_truth_table(name: str, expected: list[int]) -> None:
    x, y = np.array([True, True, False, False]), np.array([True, False, True, False])

    np.testing.assert_array_equal(run_op(lambda x, y: getattr(mb, name)(x=x, y=y), x, y), np.array(expected, bool))


def test_logical_not_turns_truth_over() -> None:
    np.testing.assert_array_equal(run_op(lambda x: mb.logical_not(x=x), np.array([True, False])), [False, True])


@pytest.mark.parametrize(("name", "formula"), UNARY_CASES.items(), ids=UNARY_CASES.keys())
def test_unary_operation_follows_its_formula(name: str, formula: Callable[[float], float]) -> None:
    expected = [formula(float(value)) for value in X]

    np.testing.assert_allclose(
        run_op(lambda x: getattr(mb, name)(x=x), X), expected, rtol=FLOAT32_RTOL, atol=FLOAT32_ATOL
    )


def test_round_takes_halves_to_the_even_number() -> None:
    np.testing.assert_array_equal(run_op(lambda x: mb.round(x=x), X), [-2, -1, 0, 0, 0, 2, 2])


def test_sqrt_log_inverse_and_rsqrt_add_epsilon_first() -> None:
    np.testing.assert_allclose(run_op(lambda x: mb.sqrt(x=x), POSITIVE), [0.5, 1, 2])
    expected = np.log(POSITIVE.astype(np.float64) + 0.5)
    np.testing.assert_allclose(run_op(lambda x: mb.log(x=x, epsilon=0.5), POSITIVE), expected, rtol=FLOAT32_RTOL)
    np.testing.assert_allclose(run_op(lambda x: mb.inverse(x=x, epsilon=1.0), POSITIVE), [0.8, 0.5, 0.2], rtol=1e-6)
    np.testing.assert_allclose(
        run_op(lambda x: mb.rsqrt(x=x, epsilon=0.75), POSITIVE), [1.0, 1.75**-0.5, 4.75**-0.5], rtol=FLOAT32_RTOL
    )


@pytest.mark.parametrize(("make", "formula"), PARAMETRIC.values(), ids=PARAMETRIC.keys())
def test_activation_with_parameters_follows_its_formula(
    make: Callable[[Any], Any], formula: Callable[[float], float]
) -> None:
    np.testing.assert_allclose(run_op(make, X), [formula(float(value)) for value in X], rtol=FLOAT32_RTOL)


def test_prelu_has_one_slope_for_each_channel() -> None:
    x = np.array([[[[-1.0, 2.0]], [[-1.0, 2.0]]]], np.float32)  # (1, 2, 1, 2)
    alpha = np.array([0.1, 0.5], np.float32)

    np.testing.assert_allclose(run_op(lambda x: mb.prelu(x=x, alpha=alpha), x), [[[[-0.1, 2.0]], [[-0.5, 2.0]]]])


@pytest.mark.parametrize(("mode", "formula"), GELU_CASES.items(), ids=GELU_CASES.keys())
def test_gelu_follows_the_formula_of_its_mode(mode: str, formula: Callable[[float], float]) -> None:
    expected = [formula(float(value)) for value in X]

    np.testing.assert_allclose(
        run_op(lambda x: mb.gelu(x=x, mode=mode), X), expected, rtol=FLOAT32_RTOL, atol=FLOAT32_ATOL
    )


def test_select_takes_from_either_side() -> None:
    mask = np.array([True, False, True, False, True, False, True])

    np.testing.assert_array_equal(
        run_op(lambda cond, a, b: mb.select(cond=cond, a=a, b=b), mask, X, Y), [-2.5, -2, -0.5, 3, 0.5, 2, 2.5]
    )


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("int32", [-2, -1, 0, 0, 0, 1, 2]), ("bool", [1, 1, 1, 0, 1, 1, 1]), ("fp32", [-2.5, -1, -0.5, 0, 0.5, 1.5, 2.5])],
)
def test_cast_gives_the_type_and_truncates(dtype: str, expected: list[float]) -> None:
    result = run_op(lambda x: mb.cast(x=x, dtype=dtype), X)

    assert result.dtype == {"int32": np.int32, "bool": np.bool_, "fp32": np.float32}[dtype]
    np.testing.assert_array_equal(result, np.array(expected).astype(result.dtype))


def test_cast_to_fp16_rounds_only_when_fp16_is_emulated() -> None:
    x = np.array([1.0 + 2**-12, 70000.0], np.float32)

    def round_trip(x: Any) -> Any:
        return mb.cast(x=mb.cast(x=x, dtype="fp16"), dtype="fp32")

    np.testing.assert_array_equal(run_op(round_trip, x), x)
    np.testing.assert_array_equal(run_op(round_trip, x, precision="fp16"), [1.0, np.inf])


def test_cast_to_an_unknown_type_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from pixio_edge.export.coreml import mil_elementwise  # noqa: PLC0415 - needs the extra

    monkeypatch.setattr(mil_elementwise, "TORCH_DTYPES", {})

    with pytest.raises(InputError, match=r"got cast with dtype 'int32'.*Fix: "):
        run_op(lambda x: mb.cast(x=x, dtype="int32"), X)
