"""Bias and GELU, run from the PTX of its source, against float64 and the naive run at its own precision.

Every run here is on the emulator, with bounds, alignment, races and unwritten output checked.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from row_cases import MODEL_CHANNELS, run_gelu

from pixio_edge.kernels import oracle
from pixio_edge.kernels.catalogue import Launch, find_kernel
from pixio_edge.kernels.oracle import RATIO_LIMIT
from pixio_edge.kernels.precision import from_bf16, round_to
from pixio_edge.kernels.reference import GELU_FLAT, GELU_TAIL

pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")

PRECISIONS = pytest.mark.parametrize("precision", ["fp16", "bf16"])
SCALE_REL = 1e-6  # 8 ulp of float32; the fit of GELU is right to 3e-8 of its largest value here
DIGITS = {"fp16": 10, "bf16": 7}  # of the mantissa, behind its leading 1
SMALLEST_EXPONENT = {"fp16": -14, "bf16": -126}
# The error of the fit: it may take a result across the middle of two neighbours, which is then off by that much more
# than half a step. Measured 2.6e-8.
FIT_ABS = 3e-8
ROUGH_ABS = FIT_ABS + 5e-8  # where ex2 errs by as much as PTX allows, 2^-22 of 0.17 at most


def make_inputs(
    rows: int, channels: int, precision: str, magnitude: float = 2.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, rows, channels])
    x = round_to(rng.standard_normal((rows, channels)) * magnitude, precision)
    return x, round_to(rng.standard_normal(channels), precision)


def ratio(out: np.ndarray, x: np.ndarray, bias: np.ndarray, precision: str) -> float:
    return oracle.ratio_to_naive(out, oracle.bias_gelu(x, bias), oracle.naive_bias_gelu(x, bias, precision=precision))


def every_value(precision: str) -> np.ndarray:
    """All finite values of a precision, as (8, 8192) with zeros for what is not finite."""
    bits = np.arange(65_536, dtype=np.uint16)
    values = bits.view(np.float16).astype(np.float32) if precision == "fp16" else from_bf16(bits)
    return np.where(np.isfinite(values), values, np.float32(0)).reshape(8, 8192)


@PRECISIONS
@pytest.mark.parametrize(("rows", "channels"), [(1, 768), (37, 1536), (3, 6144), (5, 8), (6, 1000)])
def test_error_is_within_twice_that_of_the_naive_run(precision: str, rows: int, channels: int) -> None:
    x, bias = make_inputs(rows, channels, precision)

    (out,) = run_gelu(x, bias, precision).outputs

    assert ratio(out, x, bias, precision) <= RATIO_LIMIT


@PRECISIONS
@pytest.mark.parametrize("rows", [1, 2, 5, 8, 11])
def test_entry_of_two_rows_a_thread_gives_the_same_bits_for_any_number_of_rows(precision: str, rows: int) -> None:
    x, bias = make_inputs(rows, 264, precision)
    two = Launch("bias_gelu_2", (-(-rows // 8), 2, 1), (32, 4, 1))

    (out,) = run_gelu(x, bias, precision, launch=two).outputs

    np.testing.assert_array_equal(out, run_gelu(x, bias, precision).outputs[0])


@PRECISIONS
@pytest.mark.parametrize(("rough", "error"), [(False, FIT_ABS), (True, ROUGH_ABS)], ids=["near", "rough"])
def test_every_finite_value_is_right_to_the_last_bit_but_for_the_fit(precision: str, rough: bool, error: float) -> None:
    x = every_value(precision)

    (out,) = run_gelu(x, np.zeros(8192, np.float32), precision, rough=rough).outputs

    exact = oracle.gelu(x.astype(np.float64))
    exponent = np.maximum(np.frexp(exact)[1] - 1, SMALLEST_EXPONENT[precision])
    half_step = np.ldexp(0.5, exponent - DIGITS[precision])
    assert np.all(np.abs(out - exact) <= half_step + error)


def test_gelu_is_not_the_tanh_approximation() -> None:
    x = np.linspace(-5, 5, 512, dtype=np.float16).astype(np.float32)[None]

    (out,) = run_gelu(x, np.zeros(512, np.float32), "fp16").outputs

    wide = x.astype(np.float64)
    tanh = 0.5 * wide * (1 + np.tanh(np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)))
    # Where they differ most: at 2.2 by 4.7e-4 and at -2.2, where half has steps of 3e-5.
    negative = wide < 0
    assert np.abs(out - oracle.gelu(wide))[negative].max() < 1e-4 < np.abs(out - tanh)[negative].max()


@PRECISIONS
def test_large_magnitudes_pass_or_vanish(precision: str) -> None:
    x, bias = make_inputs(3, 256, precision, magnitude=1e4)

    (out,) = run_gelu(x, bias, precision).outputs

    assert ratio(out, x, bias, precision) <= RATIO_LIMIT
    assert np.all(out[x < -100] == 0)


@PRECISIONS
def test_what_is_not_finite_passes_and_stays_where_it_is(precision: str) -> None:
    x, bias = make_inputs(2, 64, precision)
    x[0, :4] = [np.nan, np.inf, -np.inf, -np.nan]

    (out,) = run_gelu(x, bias, precision).outputs

    assert np.isnan(out[0, [0, 3]]).all()
    assert out[0, 1:3].tolist() == [np.inf, 0.0]
    assert np.isfinite(out[0, 4:]).all()
    assert np.isfinite(out[1]).all()


def test_result_may_be_written_over_x() -> None:
    x, bias = make_inputs(11, 1000, "bf16")  # the last rows of a block are read by threads that have none

    (apart,) = run_gelu(x, bias, "bf16").outputs

    np.testing.assert_array_equal(run_gelu(x, bias, "bf16", in_place=True).outputs[0], apart)
    two = Launch("bias_gelu_2", (2, 4, 1), (32, 4, 1))
    np.testing.assert_array_equal(run_gelu(x, bias, "bf16", in_place=True, launch=two).outputs[0], apart)


@pytest.mark.parametrize("quantize", [False, True])
def test_equal_inputs_give_equal_bits(quantize: bool) -> None:
    x, bias = make_inputs(5, 3072, "fp16")

    first, second = (run_gelu(x, bias, "fp16", quantize=quantize).outputs for _ in range(2))

    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@PRECISIONS
@pytest.mark.parametrize(("rows", "channels"), [(37, 768), (3, 1536), (1, 5120), (2, 6144), (3, 136)])
def test_int8_rows_are_those_of_the_oracle(precision: str, rows: int, channels: int) -> None:
    x, bias = make_inputs(rows, channels, precision)

    codes, scale = run_gelu(x, bias, precision, quantize=True).outputs

    exact_codes, exact_scale = oracle.bias_gelu_int8(x, bias)
    np.testing.assert_allclose(scale, exact_scale, rtol=SCALE_REL)
    assert np.abs(codes.astype(int)).max(axis=1).tolist() == [127] * rows
    # A value within float32 rounding of a tie may fall to either side.
    assert np.abs(codes.astype(int) - exact_codes).max() <= 1
    assert np.count_nonzero(codes != exact_codes) <= max(1, codes.size // 1000)
    naive = oracle.dequantize_rows(*oracle.quantize_rows(oracle.naive_bias_gelu(x, bias, precision=precision)))
    assert ratio_of_rows(codes, scale, oracle.bias_gelu(x, bias), naive) <= RATIO_LIMIT


def ratio_of_rows(codes: np.ndarray, scale: np.ndarray, exact: np.ndarray, naive: np.ndarray) -> float:
    return oracle.ratio_to_naive(oracle.dequantize_rows(codes, scale), exact, naive)


@pytest.mark.parametrize("channels", [768, 6144])
def test_int8_rows_of_zeros_and_of_what_is_not_finite_leave_the_others_alone(channels: int) -> None:
    x, bias = make_inputs(5, channels, "fp16")
    plain_codes, plain_scale = run_gelu(x, bias, "fp16", quantize=True).outputs
    x[1] = -bias
    x[2, 7], x[3, channels - 1] = np.nan, np.inf

    codes, scale = run_gelu(x, bias, "fp16", quantize=True).outputs

    assert scale[1] == 1.0
    assert np.isnan(scale[2])
    assert scale[3] == np.inf
    assert not codes[1:4].any()
    np.testing.assert_array_equal(codes[[0, 4]], plain_codes[[0, 4]])
    np.testing.assert_array_equal(scale[[0, 4]], plain_scale[[0, 4]])


def test_every_array_passes_once_by_16_bytes() -> None:
    x, bias = make_inputs(8, 1536, "fp16")
    vectors = 8 * 1536 // 8 // 32  # by warps that are full
    two = Launch("bias_gelu_2", (1, 6, 1), (32, 4, 1))

    for launch, bias_loads in ((None, vectors), (two, vectors // 2)):
        report = run_gelu(x, bias, "fp16", launch=launch).report
        moved = {name: count for name, count in report.instructions.items() if name.startswith(("ld.gl", "st.gl"))}
        assert moved == {
            "ld.global.v4.u32": vectors,
            "ld.global.nc.v4.u32": bias_loads,
            "st.global.v4.u32": vectors,
        }
        assert report.count("ex2.approx.ftz.f32") == 8 * vectors


def test_constants_are_those_of_the_fallback() -> None:
    source = find_kernel("bias_gelu").path.read_text(encoding="utf-8")
    body = source[source.index("float gelu(") : source.index("ptx::exp2(power)")]

    numbers = [float(number) for number in re.findall(r"(-?\d+(?:\.\d+)?(?:e-?\d+)?)f\b", body)]

    assert numbers[0] == GELU_FLAT
    np.testing.assert_array_equal(np.float32(numbers[1:]), np.float32(GELU_TAIL[::-1]))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_error_is_within_twice_that_of_the_naive_run_for_random_shapes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    precision = ("fp16", "bf16")[rng.integers(2)]
    x, bias = make_inputs(
        int(rng.integers(1, 70)), 8 * int(rng.integers(1, 800)), precision, float(2.0 ** rng.uniform(-3, 6)), seed
    )

    (out,) = run_gelu(x, bias, precision).outputs

    assert ratio(out, x, bias, precision) <= RATIO_LIMIT


@pytest.mark.cuda
@PRECISIONS
@pytest.mark.parametrize("channels", [*(4 * channels for channels in MODEL_CHANNELS), 136])
@pytest.mark.parametrize("rows", [1, 37, 584, 11_201])
def test_error_on_a_gpu_is_within_twice_that_of_the_naive_run(
    gpu: Any, precision: str, channels: int, rows: int
) -> None:
    from pixio_edge.kernels import ops  # noqa: PLC0415 - needs torch

    # The exact GELU is slow to compute: a few rows of it, repeated.
    x, bias = make_inputs(min(rows, 37), channels, precision)
    x = np.resize(x, (rows, channels))
    arguments = (gpu.upload(x, precision), gpu.upload(bias, precision))

    first, second = (gpu.download(ops.bias_gelu(*arguments)) for _ in range(2))
    codes, scale = (gpu.download(array) for array in ops.bias_gelu_int8(*arguments))

    assert ratio(first[:37], x[:37], bias, precision) <= RATIO_LIMIT
    np.testing.assert_array_equal(first, np.resize(first[:37], first.shape))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(codes, np.resize(codes[:37], codes.shape))
    exact, naive = oracle.bias_gelu(x[:37], bias), oracle.naive_bias_gelu(x[:37], bias, precision=precision)
    naive_rows = oracle.dequantize_rows(*oracle.quantize_rows(naive))
    assert ratio_of_rows(codes[:37], scale[:37], exact, naive_rows) <= RATIO_LIMIT
