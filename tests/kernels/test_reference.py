from __future__ import annotations

import subprocess
import sys
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

from pixio_edge.errors import SpecError
from pixio_edge.kernels import oracle, oracle_attention_int8, reference, reference_torch
from pixio_edge.kernels.precision import round_to

DTYPES = {"fp32": np.dtype(np.float32), "fp16": np.dtype(np.float16), "bf16": np.dtype(ml_dtypes.bfloat16)}
TORCH_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class Numpy:
    """The fallback without torch, on arrays of a precision."""

    functions = reference

    def __init__(self, precision: str) -> None:
        self.dtype = DTYPES[precision]

    def take(self, values: np.ndarray | None, precision: str | None = None) -> Any:
        return None if values is None else values.astype(DTYPES[precision] if precision else self.dtype)

    def give(self, array: Any) -> np.ndarray:
        return array.astype(np.float32)


class Torch:
    """The fallback in torch, on tensors of a precision."""

    functions = reference_torch

    def __init__(self, precision: str) -> None:
        self.dtype = TORCH_DTYPES[precision]

    def take(self, values: np.ndarray | None, precision: str | None = None) -> Any:
        dtype = TORCH_DTYPES[precision] if precision else self.dtype
        return None if values is None else torch.from_numpy(np.asarray(values, np.float32)).to(dtype)

    def give(self, array: Any) -> np.ndarray:
        return array.float().numpy()


BACKENDS = pytest.mark.parametrize("backend", [Numpy, Torch], ids=["numpy", "torch"])
PRECISIONS = pytest.mark.parametrize("precision", list(DTYPES))


def values(seed: int, shape: tuple[int, ...], precision: str, *, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """Normal numbers that the precision holds exactly."""
    return round_to(np.random.default_rng(seed).standard_normal(shape) * scale + shift, precision)


def norm_arguments(precision: str, channels: int, *, with_all: bool = True) -> dict[str, Any]:
    return {
        "branch_bias": values(10, (channels,), precision) if with_all else None,
        "layer_scale": values(11, (channels,), precision, scale=0.3) if with_all else None,
        "weight": values(12, (channels,), precision, shift=1.0, scale=0.2),
        "bias": values(13, (channels,), precision),
    }


def run_norm(
    backend: Any, function: str, x: np.ndarray, branch: np.ndarray, arguments: dict[str, Any], **types: str
) -> Any:
    tensors = {name: backend.take(vector) for name, vector in arguments.items()}
    call = getattr(backend.functions, function)
    return call(backend.take(x, types.get("residual")), backend.take(branch), **tensors, eps=1e-6)


@BACKENDS
@PRECISIONS
@pytest.mark.parametrize("shape", [(1, 1, 3, 1, 64), (2, 37, 3, 3, 64), (1, 41, 3, 2, 80)])
@pytest.mark.parametrize("scale", [1.0, 30.0], ids=["small", "large"])
def test_attention_is_as_good_as_the_naive_run(backend, precision, shape, scale):
    qkv, bias = values(0, shape, precision, scale=scale), values(1, (3, *shape[3:]), precision)
    factor = shape[-1] ** -0.5
    run = backend(precision)

    attended = run.functions.attention(run.take(qkv), run.take(bias), scale=factor)

    exact = oracle.attention(qkv, bias, scale=factor)
    naive = oracle.naive_attention(qkv, bias, scale=factor, precision=precision)
    assert attended.dtype == run.dtype
    assert oracle.ratio_to_naive(run.give(attended), exact, naive) <= oracle.RATIO_LIMIT


@BACKENDS
def test_attention_without_bias_is_attention_with_zeros(backend):
    qkv, run = values(2, (1, 9, 3, 2, 64), "fp32"), backend("fp32")

    without = run.functions.attention(run.take(qkv), None, scale=0.125)

    zeros = run.functions.attention(run.take(qkv), run.take(np.zeros((3, 2, 64))), scale=0.125)
    np.testing.assert_array_equal(run.give(without), run.give(zeros))


@BACKENDS
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("tokens", [1, 63, 130])
def test_attention_int8_rounds_as_the_kernel_does(backend, precision, tokens):
    qkv, bias = values(3, (2, tokens, 3, 2, 64), precision), values(4, (3, 2, 64), precision)
    run = backend(precision)

    attended = run.give(run.functions.attention_int8(run.take(qkv), run.take(bias), scale=0.125))

    exact = oracle.attention(qkv, bias, scale=0.125)
    simulated = oracle_attention_int8.attention_int8(qkv, bias, scale=0.125, precision=precision)
    # The same integers, with weights in float32 here and in the element's 16 bits there.
    allowed = 2 * oracle.max_error(oracle.naive_attention(qkv, bias, scale=0.125, precision=precision), exact)
    assert oracle.max_error(attended, simulated.astype(np.float64)) <= allowed
    if tokens == 130:
        assert oracle.max_error(attended, exact) > allowed / 2  # it did quantise


@BACKENDS
@PRECISIONS
@pytest.mark.parametrize("residual", [None, "fp32"], ids=["same-stream", "float32-stream"])
@pytest.mark.parametrize("with_all", [True, False], ids=["bias-and-scale", "plain"])
def test_add_layer_norm_is_as_good_as_the_naive_run(backend, precision, residual, with_all):
    stream = residual or precision
    x, branch = values(5, (2, 7, 192), stream, scale=3.0), values(6, (2, 7, 192), precision)
    arguments = norm_arguments(precision, 192, with_all=with_all)
    run = backend(precision)

    total, normed = run_norm(run, "add_layer_norm", x, branch, arguments, residual=stream)

    exact = oracle.add_layer_norm(x, branch, **arguments, eps=1e-6)
    naive = oracle.naive_add_layer_norm(x, branch, **arguments, eps=1e-6, precision=precision, residual=stream)
    assert (total.dtype, normed.dtype) == (run.take(x, stream).dtype, run.dtype)
    assert oracle.ratio_to_naive(run.give(total), exact[0], naive[0]) <= oracle.RATIO_LIMIT
    assert oracle.ratio_to_naive(run.give(normed), exact[1], naive[1]) <= oracle.RATIO_LIMIT


@BACKENDS
def test_add_layer_norm_keeps_its_digits_when_the_mean_is_far_from_zero(backend):
    x, branch = values(7, (4, 768), "fp32", shift=3000.0), np.zeros((4, 768), np.float32)
    arguments, run = norm_arguments("fp32", 768, with_all=False), backend("fp32")

    _, normed = run_norm(run, "add_layer_norm", x, branch, arguments)

    exact = oracle.add_layer_norm(x, branch, **arguments, eps=1e-6)[1]
    # E[x²] - E[x]² in float32 would be wrong by more than 0.1 here; one rounding of 3000 is 1e-4 of the deviation.
    assert oracle.max_error(run.give(normed), exact) < 2e-3


@BACKENDS
def test_add_layer_norm_of_a_constant_row_is_its_bias(backend):
    x, branch = np.full((2, 384), 1234.567, np.float32), np.zeros((2, 384), np.float32)
    arguments, run = norm_arguments("fp32", 384, with_all=False), backend("fp32")

    _, normed = run_norm(run, "add_layer_norm", x, branch, arguments)

    np.testing.assert_allclose(run.give(normed), np.broadcast_to(arguments["bias"], (2, 384)), rtol=0, atol=1e-6)


@BACKENDS
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_add_layer_norm_int8_agrees_with_the_oracle(backend, precision):
    x, branch = values(8, (3, 5, 136), precision), values(9, (3, 5, 136), precision)
    arguments, run = norm_arguments(precision, 136), backend(precision)

    total, codes, scale = run_norm(run, "add_layer_norm_int8", x, branch, arguments)

    exact_total, exact_codes, exact_scale = oracle.add_layer_norm_int8(x, branch, **arguments, eps=1e-6)
    assert (tuple(codes.shape), tuple(scale.shape)) == ((3, 5, 136), (3, 5))
    assert codes.dtype in {np.dtype(np.int8), torch.int8}
    np.testing.assert_allclose(np.asarray(scale), exact_scale, rtol=1e-6)
    # A value within float32 rounding of a tie may fall to either side.
    assert np.abs(np.asarray(codes, np.int32) - exact_codes).max() <= 1
    assert np.mean(np.asarray(codes) != exact_codes) < 0.001
    assert oracle.max_error(run.give(total), exact_total) <= 0.01


@BACKENDS
@PRECISIONS
@pytest.mark.parametrize("scale", [1.0, 1000.0], ids=["small", "large"])
def test_bias_gelu_is_as_good_as_the_naive_run(backend, precision, scale):
    x, bias = values(14, (3, 11, 200), precision, scale=scale), values(15, (200,), precision)
    run = backend(precision)

    activated = run.functions.bias_gelu(run.take(x), run.take(bias))

    exact, naive = oracle.bias_gelu(x, bias), oracle.naive_bias_gelu(x, bias, precision=precision)
    assert activated.dtype == run.dtype
    assert oracle.ratio_to_naive(run.give(activated), exact, naive) <= oracle.RATIO_LIMIT


def test_gelu_of_numpy_is_within_its_stated_error_over_the_whole_range():
    x = np.linspace(-20, 6, 260_001, dtype=np.float32)[None]

    activated = reference.bias_gelu(x, np.zeros(x.shape[1], np.float32))

    error = np.abs(activated - oracle.gelu(x.astype(np.float64)))
    # 3e-8 of the fit; the rest is rounding of float32 at the size of the result.
    assert np.all(error <= 3e-8 + 2**-23 * np.maximum(np.abs(x), 1.0))
    tail = (x > -6) & (x < -1)
    assert np.max(error[tail] / np.abs(oracle.gelu(x[tail].astype(np.float64)))) < 3e-4


@BACKENDS
def test_bias_gelu_passes_a_nan(backend):
    x, run = np.array([[np.nan, 1.0, 0.0, -0.0]], np.float32), backend("fp32")

    activated = run.give(run.functions.bias_gelu(run.take(x), run.take(np.zeros(4))))

    assert np.isnan(activated).tolist() == [[True, False, False, False]]


def test_gelu_of_numpy_has_its_limits_at_the_infinities():
    # Torch's own gives a NaN for both in its vectorised code, 2.13.
    x = np.array([[np.inf, -np.inf, 3e38, -3e38]], np.float32)

    np.testing.assert_array_equal(
        reference.bias_gelu(x, np.zeros(4, np.float32)), [[np.inf, 0.0, np.float32(3e38), 0.0]]
    )


@BACKENDS
def test_bias_gelu_int8_agrees_with_the_oracle(backend):
    x, bias = values(16, (4, 9, 320), "fp16", scale=3.0), values(17, (320,), "fp16")
    x[1, 2] = -bias
    run = backend("fp16")

    codes, scale = run.functions.bias_gelu_int8(run.take(x), run.take(bias))

    exact_codes, exact_scale = oracle.bias_gelu_int8(x, bias)
    np.testing.assert_allclose(np.asarray(scale), exact_scale, rtol=1e-6)
    assert scale[1, 2] == 1.0
    assert np.abs(np.asarray(codes, np.int32) - exact_codes).max() <= 1
    assert np.mean(np.asarray(codes) != exact_codes) < 0.001


@BACKENDS
def test_quantised_rows_show_a_nan_in_their_scale(backend):
    x, run = values(18, (3, 16), "fp32"), backend("fp32")
    x[1, 5] = np.nan

    codes, scale = run.functions.bias_gelu_int8(run.take(x), run.take(np.zeros(16)))

    assert np.isnan(np.asarray(scale)).tolist() == [False, True, False]
    assert not np.asarray(codes)[1].any()


@BACKENDS
@pytest.mark.parametrize("function", ["attention", "attention_int8"])
def test_attention_refuses_a_dtype_without_kernels(backend, function):
    qkv = np.zeros((1, 4, 3, 1, 64))
    taken = qkv if backend is Numpy else torch.from_numpy(qkv)

    with pytest.raises(SpecError, match=f"{function}: qkv: got dtype float64, expected one of: float32"):
        getattr(backend.functions, function)(taken, None, scale=1.0)


@BACKENDS
def test_inputs_are_left_as_they_were(backend):
    run = backend("fp32")
    rows, vector = values(19, (5, 64), "fp32"), values(20, (64,), "fp32")
    taken = [run.take(rows), run.take(rows), run.take(vector)]

    run.functions.add_layer_norm(
        taken[0], taken[1], branch_bias=taken[2], layer_scale=taken[2], weight=taken[2], bias=taken[2], eps=1e-6
    )
    run.functions.bias_gelu(taken[0], taken[2])
    run.functions.bias_gelu_int8(taken[0], taken[2])

    for array, before in zip(taken, (rows, rows, vector), strict=True):
        np.testing.assert_array_equal(np.asarray(array), before)


def test_numpy_fallback_needs_no_torch():
    code = "import sys, pixio_edge.kernels.reference, pixio_edge.kernels.oracle; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
