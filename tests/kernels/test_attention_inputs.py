"""Fused attention on the inputs that break online softmaxes: large, hot, equal, rising, biased, not finite."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from attention_cases import Case, make_case

from pixio_edge.kernels import oracle
from pixio_edge.kernels.geometry_attention import SPLITS
from pixio_edge.kernels.oracle import RATIO_LIMIT
from pixio_edge.kernels.precision import round_to

pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")

Attend = Callable[[Case, str], np.ndarray]

ENTRIES = tuple(split.entry for split in SPLITS)
SPLIT_AND_WHOLE = ("attention_32", "attention_128")
LARGEST_FLOAT16 = 65504.0


def rounding_error(case: Case) -> float:
    """Error of the attention in float32 whose result alone is rounded: what no kernel can do without."""
    single = oracle.naive_attention(case.qkv, case.bias, scale=case.scale, precision="fp32")
    rounded = round_to(single, "bf16" if case.precision == "bf16" else "fp16")
    return oracle.max_error(rounded, case.exact())


@pytest.mark.parametrize("entry", SPLIT_AND_WHOLE)
def test_scores_that_float16_cannot_hold_are_as_good_as_in_float32(attend: Attend, entry: str) -> None:
    case = make_case(65, with_bias=False)
    case.qkv[:, :, :2] = round_to(case.qkv[:, :, :2] * 150, "fp16")
    scores = np.einsum("bqhd,bkhd->bhqk", case.qkv[:, :, 0], case.qkv[:, :, 1])

    out = attend(case, entry)

    assert np.abs(scores).max() > LARGEST_FLOAT16
    assert oracle.max_error(out, case.exact()) <= RATIO_LIMIT * rounding_error(case)


@pytest.mark.parametrize("hot", [0, 64])
@pytest.mark.parametrize("entry", SPLIT_AND_WHOLE)
def test_one_hot_key_gives_its_value(attend: Attend, entry: str, hot: int) -> None:
    case = make_case(65, with_bias=False)
    case.qkv[:, :, 0] = 1.0
    case.qkv[:, hot, 1] = 16.0

    out = attend(case, entry)

    expected = np.broadcast_to(case.qkv[:, hot, 2].reshape(1, 1, -1), out.shape)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("tokens", [1, 33, 65])
@pytest.mark.parametrize("entry", ENTRIES)
def test_missing_keys_take_no_part_when_every_score_is_below_theirs(attend: Attend, entry: str, tokens: int) -> None:
    """A key of zeros has the score 0; here those that are there have 24 less."""
    case = make_case(tokens, with_bias=False)
    case.qkv[:, :, 0, :, 0] = 8
    case.qkv[:, :, 1, :, 0] = -24

    out = attend(case, entry)

    assert case.ratio(out) <= RATIO_LIMIT


@pytest.mark.parametrize("entry", SPLIT_AND_WHOLE)
def test_identical_keys_give_the_mean_value(attend: Attend, entry: str) -> None:
    case = make_case(65)
    case.qkv[:, :, 1] = case.qkv[:, :1, 1]

    out = attend(case, entry)

    mean = case.qkv[:, :, 2].astype(np.float64).mean(axis=1, keepdims=True) + case.bias[2].astype(np.float64)
    expected = np.broadcast_to(mean.reshape(1, 1, -1), out.shape)
    assert oracle.max_error(out, expected) <= oracle.max_error(case.naive(), expected)


@pytest.mark.parametrize("step", [-1.0, 0.25, 8.0])
@pytest.mark.parametrize("entry", SPLIT_AND_WHOLE)
def test_scores_that_rise_or_fall_from_key_to_key_lose_nothing(attend: Attend, entry: str, step: float) -> None:
    """0.25 a key is less than the slack from one tile to the next, 8 is more; rows are moved along or not."""
    case = make_case(140, with_bias=False)
    case.qkv[:, :, 0] = 0.0
    case.qkv[:, :, 0, :, 0] = 8.0
    case.qkv[:, :, 1, :, 0] = round_to(step * np.arange(140), "fp16")[None, :, None]

    out = attend(case, entry)

    assert case.ratio(out) <= RATIO_LIMIT


@pytest.mark.parametrize("entry", SPLIT_AND_WHOLE)
def test_bias_of_the_keys_changes_no_bit(attend: Attend, entry: str) -> None:
    """It adds the same to every score of a query, so the kernel never reads it."""
    case = make_case(65, heads=2)
    other = case.bias.copy()
    other[1] = np.float32(np.nan)

    first, second = (attend(case.with_bias(bias), entry) for bias in (case.bias, other))

    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("entry", SPLIT_AND_WHOLE)
def test_large_bias_of_the_keys_costs_no_accuracy(attend: Attend, entry: str) -> None:
    """Added in float16, as the naive run does, 1,000 leaves the keys one bit behind the point."""
    case = make_case(65)
    biased = case.with_bias(case.bias + np.array([0, 1000, 0], np.float32)[:, None, None])

    out = attend(biased, entry)

    error = oracle.max_error(out, biased.exact())
    assert error <= RATIO_LIMIT * oracle.max_error(case.naive(), case.exact())
    assert error < oracle.max_error(biased.naive(), biased.exact()) / 4


@pytest.mark.parametrize("which", [0, 2])
def test_bias_of_queries_and_of_values_is_added_exactly_as_told(attend: Attend, which: int) -> None:
    case = make_case(65, heads=2)
    only = np.zeros_like(case.bias)
    only[which] = case.bias[which]

    out = attend(case.with_bias(only), "attention_64")

    assert case.with_bias(only).ratio(out) <= RATIO_LIMIT
    assert case.with_bias(None).ratio(out) > RATIO_LIMIT


@pytest.mark.parametrize("entry", ENTRIES)
def test_image_is_not_touched_by_the_tokens_of_its_neighbours(attend: Attend, entry: str) -> None:
    """The tail of a tile lies in the next image: within the array, where no bounds check would find a read of it."""
    case = make_case(37, batch=3)
    alone = attend(Case(case.qkv[1:2].copy(), case.bias, case.scale, case.precision), entry)
    case.qkv[0] = case.qkv[2] = np.nan

    out = attend(case, entry)

    np.testing.assert_array_equal(out[1:2], alone)


def test_value_that_is_not_a_number_shows_in_every_output_of_its_head(attend: Attend) -> None:
    case = make_case(65, heads=2)
    case.qkv[0, 50, 2, 0, 3] = np.nan

    out = attend(case, "attention_32")

    assert np.isnan(out[0, :, 3]).all()
    assert np.isfinite(np.delete(out, 3, axis=2)).all()


@pytest.mark.parametrize("part", [0, 1])
def test_query_or_key_that_is_not_a_number_shows_in_the_rows_that_use_it(attend: Attend, part: int) -> None:
    case = make_case(65, heads=2)
    case.qkv[0, 50, part, 1, 3] = np.nan

    out = attend(case, "attention_128")

    rows = np.isnan(out[0, :, 64:]).all(axis=1)
    assert rows[50]
    assert rows.sum() == (1 if part == 0 else 65)
    assert np.isfinite(out[0, ~rows]).all()
    assert np.isfinite(out[0, :, :64]).all()
