"""Products, convolutions, attention and pooling of the MIL interpreter, against loops written out in numpy."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'coreml' is not installed")
pytest.importorskip("coremltools", reason="the extra 'coreml' is not installed")

from pixio_edge.errors import InputError
from tests.mil_programs import floats, mb, run_op

# Sums of at most some dozens of float32 products of size 1.
SUM_ATOL = 1e-5


def convolve(x: np.ndarray, weight: np.ndarray, stride: int, dilation: int, groups: int) -> np.ndarray:
    """Every output element by the definition, in float64; no padding, two spatial dimensions."""
    images, channels, height, width = x.shape
    outputs, depth, rows, columns = weight.shape
    high = (height - (rows - 1) * dilation - 1) // stride + 1
    wide = (width - (columns - 1) * dilation - 1) // stride + 1
    result = np.zeros((images, outputs, high, wide))
    for n, o, i, j in itertools.product(range(images), range(outputs), range(high), range(wide)):
        first = o // (outputs // groups) * (channels // groups)
        for c, r, s in itertools.product(range(depth), range(rows), range(columns)):
            pixel = x[n, first + c, i * stride + r * dilation, j * stride + s * dilation]
            result[n, o, i, j] += float(pixel) * float(weight[o, c, r, s])
    return result


def test_linear_multiplies_by_the_transposed_weight_and_adds_the_bias() -> None:
    x = np.array([[1.0, 2.0]], np.float32)
    weight = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]], np.float32)
    bias = np.array([10.0, 20.0, 30.0], np.float32)

    np.testing.assert_array_equal(run_op(lambda x: mb.linear(x=x, weight=weight, bias=bias), x), [[11, 22, 29]])
    np.testing.assert_array_equal(run_op(lambda x: mb.linear(x=x, weight=weight), x), [[1, 2, -1]])


@pytest.mark.parametrize("transpose_y", [False, True])
@pytest.mark.parametrize("transpose_x", [False, True])
def test_matmul_transposes_either_side_and_broadcasts(transpose_x: bool, transpose_y: bool) -> None:
    x, y = floats(2, 1, 3, 4, seed=1), floats(5, 4, 6, seed=2)
    expected = np.matmul(x.astype(np.float64), y.astype(np.float64))
    x = x.swapaxes(-1, -2).copy() if transpose_x else x
    y = y.swapaxes(-1, -2).copy() if transpose_y else y

    result = run_op(lambda x, y: mb.matmul(x=x, y=y, transpose_x=transpose_x, transpose_y=transpose_y), x, y)

    np.testing.assert_allclose(result, expected, atol=SUM_ATOL)


def test_einsum_sums_over_the_letter_that_is_left_out() -> None:
    x, y = floats(2, 3, 4, 5, seed=1), floats(2, 5, 4, 6, seed=2)
    expected = np.zeros((2, 3, 4, 6))
    for n, c, h, u in itertools.product(range(2), range(3), range(4), range(6)):
        expected[n, c, h, u] = x[n, c, h].astype(np.float64) @ y[n, :, h, u]

    result = run_op(lambda x, y: mb.einsum(values=(x, y), equation="nchw,nwhu->nchu"), x, y)

    np.testing.assert_allclose(result, expected, atol=SUM_ATOL)


@pytest.mark.parametrize(("stride", "dilation", "groups"), [(1, 1, 1), (2, 1, 2), (1, 2, 4)])
def test_conv_without_padding_follows_the_definition(stride: int, dilation: int, groups: int) -> None:
    x, weight = floats(2, 4, 7, 6, seed=1), floats(8, 4 // groups, 3, 2, seed=2)
    bias = floats(8, seed=3)
    expected = convolve(x, weight, stride, dilation, groups) + bias[None, :, None, None]

    def make(x: Any) -> Any:
        return mb.conv(
            x=x,
            weight=weight,
            bias=bias,
            strides=[stride] * 2,
            dilations=[dilation] * 2,
            groups=groups,
            pad_type="valid",
        )

    np.testing.assert_allclose(run_op(make, x), expected, atol=SUM_ATOL)


@pytest.mark.parametrize(
    ("pad_type", "pad", "expected"),
    [
        ("valid", None, [6.0]),
        ("custom", [2, 1], [1.0, 3.0, 6.0, 5.0]),
        # Kernel 3 on 3 elements: one element on either side.
        ("same", None, [3.0, 6.0, 5.0]),
        ("same_lower", None, [3.0, 6.0, 5.0]),
    ],
)
def test_conv_pads_before_and_after_as_its_pad_type_says(
    pad_type: str, pad: list[int] | None, expected: list[float]
) -> None:
    x, weight = np.array([[[1.0, 2.0, 3.0]]], np.float32), np.ones((1, 1, 3), np.float32)
    given = {"pad": pad} if pad else {}

    result = run_op(lambda x: mb.conv(x=x, weight=weight, pad_type=pad_type, **given), x)

    np.testing.assert_array_equal(result, [[expected]])


@pytest.mark.parametrize(("pad_type", "expected"), [("same", [3.0, 5.0, 3.0]), ("same_lower", [1.0, 3.0, 5.0])])
def test_conv_puts_the_odd_element_of_same_padding_after_and_of_same_lower_before(
    pad_type: str, expected: list[float]
) -> None:
    """Kernel 2 on 3 elements needs one more element in all."""
    x, weight = np.array([[[1.0, 2.0, 3.0]]], np.float32), np.ones((1, 1, 2), np.float32)

    np.testing.assert_array_equal(run_op(lambda x: mb.conv(x=x, weight=weight, pad_type=pad_type), x), [[expected]])


def test_conv_with_same_padding_and_a_stride_keeps_the_quotient_rounded_up() -> None:
    x, weight = np.array([[[1.0, 2.0, 3.0, 4.0, 5.0]]], np.float32), np.ones((1, 1, 3), np.float32)

    result = run_op(lambda x: mb.conv(x=x, weight=weight, pad_type="same", strides=[2]), x)

    np.testing.assert_array_equal(result, [[[3.0, 9.0, 9.0]]])


def test_conv_pads_each_dimension_with_its_own_pair() -> None:
    x, weight = floats(1, 1, 4, 5), np.ones((1, 1, 1, 1), np.float32)

    result = run_op(lambda x: mb.conv(x=x, weight=weight, pad_type="custom", pad=[1, 0, 2, 3]), x)

    np.testing.assert_array_equal(result[0, 0], np.pad(x[0, 0], [(1, 0), (2, 3)]))


@pytest.mark.parametrize(("groups", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_conv_transpose_spreads_each_element_by_the_weight(groups: int, dilation: int) -> None:
    x, weight, bias = floats(1, 4, 3, 2, seed=1), floats(4, 6 // groups, 3, 2, seed=2), floats(6, seed=3)
    stride, rows, columns = 2, 3, 2
    full = np.zeros((1, 6, 2 * stride + (rows - 1) * dilation + 1, stride + (columns - 1) * dilation + 1))
    for c, o, i, j, r, s in itertools.product(range(4), range(6 // groups), range(3), range(2), range(3), range(2)):
        target = c // (4 // groups) * (6 // groups) + o
        place = (0, target, i * stride + r * dilation, j * stride + s * dilation)
        full[place] += float(x[0, c, i, j]) * float(weight[c, o, r, s])
    full += bias[None, :, None, None]

    def make(x: Any, **padding: Any) -> Any:
        steps = {"strides": [stride] * 2, "dilations": [dilation] * 2, "groups": groups}
        return mb.conv_transpose(x=x, weight=weight, bias=bias, **steps, **padding)

    np.testing.assert_allclose(run_op(make, x), full, atol=SUM_ATOL)
    cropped = run_op(lambda x: make(x, pad_type="custom", pad=[1, 0, 0, 1]), x)
    np.testing.assert_allclose(cropped, full[:, :, 1:, :-1], atol=SUM_ATOL)


def test_conv_transpose_with_same_padding_multiplies_the_size_by_the_stride() -> None:
    x, weight = np.array([[[1.0, 2.0]]], np.float32), np.array([[[1.0, 10.0, 100.0]]], np.float32)

    # All of it is 1, 10, 102, 20, 200 with stride 2; one element too many goes, after the rest.
    result = run_op(lambda x: mb.conv_transpose(x=x, weight=weight, pad_type="same", strides=[2]), x)

    np.testing.assert_array_equal(result, [[[1.0, 10.0, 102.0, 20.0]]])


def test_conv_transpose_that_would_be_larger_than_it_can_be_is_refused() -> None:
    x, weight = np.array([[[1.0, 2.0]]], np.float32), np.ones((1, 1, 2), np.float32)

    with pytest.raises(InputError, match=r"got conv_transpose with pad_type 'same' and output_shape \[6\]"):
        run_op(lambda x: mb.conv_transpose(x=x, weight=weight, pad_type="same", strides=[3]), x)


@pytest.mark.parametrize("mask_type", ["none", "float", "bool"])
def test_attention_is_softmax_of_scaled_scores_times_values(mask_type: str) -> None:
    query, key, value = floats(1, 2, 3, 4, seed=1), floats(1, 2, 5, 4, seed=2), floats(1, 2, 5, 6, seed=3)
    mask = np.random.default_rng(4).random((3, 5)) < 0.7
    mask[:, 0] = True
    added = {"none": np.zeros((3, 5)), "float": floats(3, 5, seed=5), "bool": np.where(mask, 0.0, -np.inf)}[mask_type]
    scores = query.astype(np.float64) @ key.swapaxes(-1, -2) / math.sqrt(4) + added
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    expected = weights / weights.sum(-1, keepdims=True) @ value

    def make(query: Any, key: Any, value: Any) -> Any:
        given = {} if mask_type == "none" else {"attn_mask": mask if mask_type == "bool" else added.astype(np.float32)}
        return mb.scaled_dot_product_attention(query=query, key=key, value=value, **given)

    np.testing.assert_allclose(run_op(make, query, key, value), expected, atol=SUM_ATOL)


def test_max_pool_takes_the_largest_and_never_the_padding() -> None:
    x = np.array([[[[-1.0, -2.0, -3.0], [-4.0, -5.0, -6.0]]]], np.float32)

    def make(x: Any) -> Any:
        return mb.max_pool(x=x, kernel_sizes=[2, 2], strides=[1, 2], pad_type="custom", pad=[0, 1, 0, 1])

    np.testing.assert_array_equal(run_op(make, x), [[[[-1.0, -3.0], [-4.0, -6.0]]]])


@pytest.mark.parametrize(("excluded", "expected"), [(True, [[1.5, 3.0]]), (False, [[1.5, 1.5]])])
def test_avg_pool_counts_the_padding_unless_told_not_to(excluded: bool, expected: list[list[float]]) -> None:
    x = np.array([[[[1.0, 2.0, 3.0]]]], np.float32)

    def make(x: Any) -> Any:
        return mb.avg_pool(
            x=x,
            kernel_sizes=[1, 2],
            strides=[1, 2],
            pad_type="custom",
            pad=[0, 0, 0, 1],
            exclude_padding_from_average=excluded,
        )

    np.testing.assert_array_equal(run_op(make, x), [[expected]])


def test_pool_that_rounds_up_is_refused() -> None:
    with pytest.raises(InputError, match="got max_pool with ceil_mode True"):
        run_op(
            lambda x: mb.max_pool(
                x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="custom", pad=[0, 0, 0, 0], ceil_mode=True
            ),
            floats(1, 1, 3, 3),
        )


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_products_accumulate_in_float32(precision: Any) -> None:
    """4096 + 1 rounds to 4096 in fp16, so a sum kept in fp16 would stay there."""
    x = np.array([[4096.0] + [1.0] * 64], np.float16)

    def make(x: Any) -> Any:
        return mb.linear(x=x, weight=np.ones((1, 65), np.float16))

    assert run_op(make, x, precision=precision) == 4160.0
