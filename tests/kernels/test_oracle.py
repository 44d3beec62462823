from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pixio_edge.errors import SpecError
from pixio_edge.kernels import oracle
from pixio_edge.kernels.arguments import check_add_layer_norm, check_attention, check_bias_gelu
from pixio_edge.kernels.precision import from_bf16, precision_of, round_to, to_bf16

PAPER_ABS = 1e-12  # what is worked out with math.exp and friends agrees to the last digits of float64


def random_qkv(seed: int, shape: tuple[int, int, int, int, int]) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def test_attention_matches_two_tokens_worked_out_by_hand():
    qkv = np.array([[1.0, 2.0, 5.0], [3.0, -1.0, 7.0]]).reshape(1, 2, 3, 1, 1)

    attended = oracle.attention(qkv, None, scale=0.5)

    first = math.exp(1.0), math.exp(-0.5)  # query 1 with keys 2 and -1, halved
    second = math.exp(3.0), math.exp(-1.5)
    expected = [(5 * a + 7 * b) / (a + b) for a, b in (first, second)]
    np.testing.assert_allclose(attended.ravel(), expected, rtol=0, atol=PAPER_ABS)


def test_attention_adds_the_bias_to_query_key_and_value_of_each_head():
    qkv, bias = random_qkv(0, (2, 5, 3, 2, 4)), np.random.default_rng(1).standard_normal((3, 2, 4))

    with_bias = oracle.attention(qkv, bias, scale=0.5)

    np.testing.assert_allclose(with_bias, oracle.attention(qkv + bias, None, scale=0.5), rtol=0, atol=PAPER_ABS)


def test_attention_lays_the_heads_side_by_side_and_keeps_images_apart():
    qkv = random_qkv(2, (2, 5, 3, 3, 4))

    attended = oracle.attention(qkv, None, scale=0.5)

    alone = oracle.attention(qkv[1:, :, :, 2:], None, scale=0.5)
    np.testing.assert_allclose(attended[1:, :, 8:], alone, rtol=0, atol=PAPER_ABS)


def test_attention_averages_the_values_when_all_keys_are_the_same():
    qkv = random_qkv(3, (1, 7, 3, 1, 4))
    qkv[:, :, 1] = 2.0

    attended = oracle.attention(qkv, None, scale=1.0)

    np.testing.assert_allclose(
        attended, np.broadcast_to(qkv[:, :, 2, 0].mean(axis=1), (1, 7, 4)), rtol=0, atol=PAPER_ABS
    )


def test_attention_takes_the_value_of_the_one_hot_key():
    qkv = np.zeros((1, 6, 3, 1, 4))
    qkv[:, :, 0] = 10.0
    qkv[0, 4, 1] = 100.0
    qkv[0, :, 2] = np.arange(6)[:, None, None]

    np.testing.assert_array_equal(oracle.attention(qkv, None, scale=1.0), 4.0)


def test_add_layer_norm_matches_a_row_worked_out_by_hand():
    x, branch = np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[0.5, 0.5, -0.5, -0.5]])
    branch_bias, layer_scale = np.array([0.5, 0.5, 0.5, 0.5]), np.array([1.0, 2.0, 3.0, 2.0])
    weight, bias = np.array([1.0, 1.0, 2.0, 2.0]), np.array([0.0, 1.0, 0.0, 1.0])

    total, normed = oracle.add_layer_norm(
        x, branch, branch_bias=branch_bias, layer_scale=layer_scale, weight=weight, bias=bias, eps=0.5
    )

    # Sum 2, 4, 3, 4: mean 3.25, deviations -1.25, 0.75, -0.25, 0.75, variance 0.6875.
    np.testing.assert_array_equal(total, [[2.0, 4.0, 3.0, 4.0]])
    root = math.sqrt(0.6875 + 0.5)
    expected = [-1.25 / root, 0.75 / root + 1, -0.5 / root, 1.5 / root + 1]
    np.testing.assert_allclose(normed[0], expected, rtol=0, atol=PAPER_ABS)


def test_add_layer_norm_without_bias_and_scale_only_adds():
    x, branch = np.ones((1, 8)), np.arange(8.0)[None]
    none = np.zeros(8)

    total, _ = oracle.add_layer_norm(x, branch, branch_bias=None, layer_scale=None, weight=none, bias=none, eps=1e-6)

    np.testing.assert_array_equal(total, x + branch)


# Φ at these points from the tables of Abramowitz and Stegun 26.2, and the tail at -10 from `math.erfc`.
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, 0.0),
        (1.0, 0.841344746068543),
        (-1.0, -0.158655253931457),
        (3.0, 3 * 0.998650101968370),
        (-10.0, -7.619853024160e-23),
        (40.0, 40.0),
        (math.inf, math.inf),
        (-math.inf, 0.0),
    ],
)
def test_gelu_matches_tables_of_the_normal_distribution(value: float, expected: float):
    assert oracle.gelu(np.array([value]))[0] == pytest.approx(expected, rel=1e-12)


def test_bias_gelu_is_of_the_sum_and_not_of_the_tanh_approximation():
    exact = oracle.bias_gelu(np.array([[1.0, -2.5]]), np.array([1.0, 0.5]))

    # The tanh approximation is 1.954598 and -0.045402.
    np.testing.assert_allclose(exact, [[1.954499736103642, -0.045500263896358]], rtol=0, atol=PAPER_ABS)


def test_quantize_rows_rounds_ties_to_even_and_never_reaches_minus_128():
    values = np.array([[127.0, 0.5, 1.5, 2.5, -0.5, -1.5], [-254.0, 1.0, 3.0, 5.0, 0.0, 253.0]])

    codes, scale = oracle.quantize_rows(values)

    np.testing.assert_array_equal(scale, [1.0, 2.0])
    np.testing.assert_array_equal(codes, [[127, 0, 2, 2, 0, -2], [-127, 0, 2, 2, 0, 126]])
    assert codes.dtype == np.int8
    assert scale.dtype == np.float32


def test_quantize_rows_gives_a_zero_row_scale_one():
    codes, scale = oracle.quantize_rows(np.array([[0.0, 0.0], [1e-40, -1e-40], [1e-20, 0.0]]))

    np.testing.assert_array_equal(codes, [[0, 0], [0, 0], [127, 0]])
    np.testing.assert_array_equal(scale[:2], 1.0)
    assert scale[2] == pytest.approx(1e-20 / 127)


def test_quantize_rows_shows_what_is_not_finite_in_the_scale():
    codes, scale = oracle.quantize_rows(np.array([[1.0, np.nan], [np.inf, 1.0], [-np.inf, np.nan]]))

    assert np.isnan(scale[0])
    assert scale[1] == np.inf
    assert np.isnan(scale[2])
    np.testing.assert_array_equal(codes, 0)


def test_dequantize_rows_is_within_half_a_step_of_the_values():
    values = np.random.default_rng(4).standard_normal((3, 5, 40))

    codes, scale = oracle.quantize_rows(values)

    assert np.all(np.abs(oracle.dequantize_rows(codes, scale) - values) <= scale[..., None] * (0.5 + 1e-5))


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_ratio_to_naive_is_small_for_one_rounding_and_large_for_a_wrong_result(precision):
    x, bias = (round_to(part, precision) for part in (random_qkv(5, (1, 1, 3, 8, 64)), np.ones(64)))
    exact, naive = oracle.bias_gelu(x, bias), oracle.naive_bias_gelu(x, bias, precision=precision)

    assert oracle.ratio_to_naive(round_to(exact, precision), exact, naive) <= 1.0
    assert oracle.ratio_to_naive(exact * 1.05, exact, naive) > oracle.RATIO_LIMIT


def test_ratio_to_naive_refuses_nan_and_any_error_where_naive_has_none():
    exact = np.array([1.0, 2.0])

    assert oracle.ratio_to_naive(np.array([1.0, np.nan]), exact, np.array([1.5, 2.0])) == math.inf
    assert oracle.ratio_to_naive(np.array([1.0, 2.5]), exact, exact) == math.inf
    assert oracle.ratio_to_naive(exact, exact, exact) == 0.0


def test_naive_runs_are_worse_the_fewer_digits_they_have():
    qkv = round_to(random_qkv(6, (1, 33, 3, 2, 16)), "bf16") * np.float32(0.5)  # 8 digits, which both formats hold
    bias = np.zeros((3, 2, 16), np.float32)
    exact = oracle.attention(qkv, bias, scale=0.25)

    errors = [
        oracle.max_error(oracle.naive_attention(qkv, bias, scale=0.25, precision=precision), exact)
        for precision in ("fp32", "fp16", "bf16")
    ]

    assert errors[0] * 100 < errors[1] < errors[2] / 2
    assert errors[2] < 0.05


def test_naive_layer_norm_rounds_the_stream_to_its_own_precision():
    x, branch = np.full((1, 8), 1000.0, np.float32), np.linspace(0, 0.25, 8, dtype=np.float32)[None]
    arguments = {"branch_bias": None, "layer_scale": None, "weight": np.ones(8), "bias": np.zeros(8), "eps": 1e-6}

    coarse, _ = oracle.naive_add_layer_norm(x, branch, precision="fp16", **arguments)
    fine, _ = oracle.naive_add_layer_norm(x, branch, precision="fp16", residual="fp32", **arguments)

    assert set(coarse.ravel()) == {1000.0, 1000.5} or set(coarse.ravel()) == {1000.0}
    assert np.abs(fine - (x + branch)).max() < 1e-4


@pytest.mark.parametrize(("precision", "dtype"), [("fp16", torch.float16), ("bf16", torch.bfloat16)])
def test_round_to_agrees_with_torch_to_the_bit(precision, dtype):
    generator = np.random.default_rng(7)
    values = np.concatenate(
        [
            generator.standard_normal(10_000).astype(np.float32) * 10.0 ** generator.integers(-12, 5, 10_000),
            [0.0, -0.0, np.inf, -np.inf, 65519.0, 65520.0, 3.4e38, 1e-45, 2.0**-25, 2.0**-24 * 1.5],
            1 + np.arange(64) / 512,  # ties of bfloat16, to even both up and down
            1 + np.arange(64) / 4096,  # ties of float16
        ]
    ).astype(np.float32)

    rounded = round_to(values, precision)

    np.testing.assert_array_equal(
        rounded.view(np.uint32), torch.from_numpy(values).to(dtype).float().numpy().view(np.uint32)
    )


def test_bf16_bits_round_trip_and_keep_a_nan():
    bits = np.arange(65_536, dtype=np.uint16)
    is_nan = (bits & 0x7FFF) > 0x7F80

    back = to_bf16(from_bf16(bits))

    np.testing.assert_array_equal(back[~is_nan], bits[~is_nan])
    assert np.isnan(from_bf16(back[is_nan])).all()


@pytest.mark.parametrize("shape", [(1, 5, 3, 2), (1, 5, 2, 2, 4), (1, 0, 3, 2, 4), (1, 5, 3, 2, 0)])
def test_attention_refuses_a_qkv_that_is_not_packed(shape):
    with pytest.raises(SpecError, match=r"got qkv of shape .*expected \(batch, tokens, 3, heads, head_dim\).* Fix: "):
        check_attention(np.zeros(shape), None)


def test_attention_refuses_a_bias_of_another_shape_or_dtype():
    qkv = np.zeros((1, 5, 3, 2, 4), np.float16)

    with pytest.raises(SpecError, match=r"got bias of float16 \(24,\), expected float16 \(3, 2, 4\)\. Fix: "):
        check_attention(qkv, np.zeros(24, np.float16))
    with pytest.raises(SpecError, match=r"got bias of float32 .*expected float16"):
        check_attention(qkv, np.zeros((3, 2, 4), np.float32))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": np.zeros((), np.float16)}, r"got x of shape \(\)"),
        ({"x": np.zeros((0, 8), np.float16)}, r"got x of shape \(0, 8\)"),
        ({"x": np.zeros((2, 8), np.float64)}, "got x of dtype float64 with branch of dtype float16"),
        ({"branch": np.zeros((1, 8), np.float16)}, r"got branch of shape \(1, 8\), expected \(2, 8\)"),
        ({"branch_bias": np.zeros(4, np.float16)}, r"got branch_bias of float16 \(4,\)"),
        ({"layer_scale": np.zeros((1, 8), np.float16)}, "got layer_scale"),
        ({"weight": np.zeros(8, np.float32)}, r"got weight of float32 \(8,\), expected float16"),
        ({"bias": np.zeros(9, np.float16)}, "got bias"),
    ],
)
def test_add_layer_norm_refuses_arguments_that_do_not_fit(changed, message):
    rows, vector = np.zeros((2, 8), np.float16), np.zeros(8, np.float16)
    arguments = {
        "x": rows,
        "branch": rows,
        "branch_bias": vector,
        "layer_scale": vector,
        "weight": vector,
        "bias": vector,
    }

    with pytest.raises(SpecError, match=rf"{message}.* Fix: "):
        check_add_layer_norm(**(arguments | changed))


def test_add_layer_norm_takes_a_float32_stream_and_counts_rows_over_all_leading_axes():
    stream, branch, vector = np.zeros((2, 3, 8), np.float32), np.zeros((2, 3, 8), np.float16), np.zeros(8, np.float16)

    checked = check_add_layer_norm(stream, branch, branch_bias=None, layer_scale=None, weight=vector, bias=vector)

    assert checked == (6, 8)


def test_bias_gelu_refuses_a_bias_that_does_not_fit():
    with pytest.raises(SpecError, match=r"bias_gelu: got bias of float32 \(7,\), expected float32 \(8,\)\. Fix: "):
        check_bias_gelu(np.zeros((2, 8), np.float32), np.zeros(7, np.float32))


def test_a_dtype_without_kernels_is_refused_by_name():
    with pytest.raises(
        SpecError, match=r"attention: got dtype float64, expected one of: float32, float16, bfloat16\. Fix: "
    ):
        precision_of("float64", "attention")
