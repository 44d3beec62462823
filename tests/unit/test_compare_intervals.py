"""Intervals of ratios of medians: worked by hand, and right as often as they say on simulated times."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pixio_edge.bench.compare import judge
from pixio_edge.bench.compare_intervals import (
    CONFIDENCE,
    MAX_RESAMPLES,
    MIN_RESAMPLES,
    Interval,
    assumed_spread,
    block_length,
    centre_ms,
    lag_correlation,
    ratio_interval,
    resample_centres,
    resamples_for,
    simultaneous_confidence,
)

Times = NDArray[np.float64]

# Few resamples and trials, so that the simulations take seconds; the bounds below allow for both.
RESAMPLES = 400
TRIALS = 200


def simulate(random: np.random.Generator, runs: int, correlation: float = 0.0, spread: float = 0.05) -> Times:
    """Times around 10 ms, each like the one before it."""
    noise = random.normal(size=runs)
    for run in range(1, runs):
        noise[run] = correlation * noise[run - 1] + np.sqrt(1 - correlation**2) * noise[run]
    times: Times = 10 * np.exp(spread * noise)
    return times


def coverage(runs: int, correlation: float, truth: float = 1.1) -> float:
    """How often the interval holds the true ratio."""
    random = np.random.default_rng(1)
    hits = 0
    for seed in range(TRIALS):
        old, new = simulate(random, runs, correlation), truth * simulate(random, runs, correlation)
        found = ratio_interval([old], [new], resamples=RESAMPLES, seed=seed, process_spread=0.0)
        hits += not found.excludes(truth)
    return hits / TRIALS


def test_centre_is_the_median_of_medians() -> None:
    first, second, third = np.array([1.0, 2.0, 90.0]), np.array([4.0]), np.array([3.0, 3.0])

    assert centre_ms([first]) == 2
    assert centre_ms([first, second]) == 3
    assert centre_ms([first, second, third]) == 3


def test_interval_is_a_point_when_no_time_varies() -> None:
    assert ratio_interval([np.full(10, 10.0)] * 5, [np.full(10, 12.0)] * 5) == Interval(1.2, 1.2)


def test_few_processes_widen_the_interval_by_what_is_assumed_of_them() -> None:
    """One process a side, no time varies: what is left is the assumed 2 % of each, so 2.8 % of the ratio."""
    one = ratio_interval([np.full(10, 10.0)], [np.full(10, 12.0)])
    four = ratio_interval([np.full(10, 10.0)] * 4, [np.full(10, 12.0)] * 4)

    assert np.log(one.high / one.low) / 2 == pytest.approx(1.96 * 0.02 * np.sqrt(2), rel=0.05)
    assert four.low / one.low > 1
    assert [assumed_spread(count) for count in (1, 4, 5)] == [0.02, 0.02, 0.0]


def test_interval_holds_all_values_that_a_resample_of_two_times_can_have() -> None:
    """Blocks of one: each resample of (8, 12) is 8, 10 or 12 in the proportions 1 : 2 : 1."""
    random = np.random.default_rng(0)

    centres = resample_centres([np.array([8.0, 12.0])], random, 4000)

    values, counts = np.unique(centres, return_counts=True)
    assert values.tolist() == [8, 10, 12]
    assert counts / 4000 == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_interval_is_the_same_when_the_seed_is() -> None:
    random = np.random.default_rng(3)
    old, new = simulate(random, 50), simulate(random, 50)

    found = ratio_interval([old], [new], seed=1)

    assert ratio_interval([old], [new], seed=1) == found
    assert ratio_interval([old], [new], seed=2) != found


@pytest.mark.parametrize("runs", [30, 100])
def test_interval_holds_the_truth_as_often_as_it_says_when_times_are_independent(runs: int) -> None:
    # 95 %, give or take three standard deviations of 200 trials, and what few resamples cost.
    assert 0.89 <= coverage(runs, 0.0) <= 0.995


def test_interval_still_holds_the_truth_when_times_follow_each_other() -> None:
    # Measured 0.92; blocks of one inference give 0.81.
    assert coverage(100, 0.5) >= 0.86


def test_interval_excludes_the_truth_of_a_clear_difference() -> None:
    random = np.random.default_rng(4)

    found = ratio_interval([simulate(random, 100)], [1.1 * simulate(random, 100)], process_spread=0.0)

    assert found.excludes(1.0)
    assert found.low == pytest.approx(1.08, abs=0.025)
    assert found.high == pytest.approx(1.12, abs=0.025)


def test_interval_of_several_processes_knows_how_they_differ() -> None:
    """Five processes of which each is off by its own 5 %: all their times in one heap look far too certain."""
    random = np.random.default_rng(5)
    offsets = np.exp(0.05 * random.normal(size=(2, 5)))
    old, new = ([offset * simulate(random, 100, spread=0.01) for offset in row] for row in offsets)

    apart, heap = ratio_interval(old, new), ratio_interval([np.concatenate(old)], [np.concatenate(new)])
    ignorant = ratio_interval(old[:1], new[:1], process_spread=0.0)

    assert not apart.excludes(1.0)
    assert ignorant.excludes(1.0)
    assert apart.high - apart.low > 3 * (ignorant.high - ignorant.low)
    assert heap != apart


def test_block_is_longer_the_more_times_follow_each_other() -> None:
    random = np.random.default_rng(6)

    lengths = [block_length(simulate(random, 1000, correlation)) for correlation in (0.0, 0.5, 0.9)]

    assert lengths[0] == 10  # the cube root
    assert lengths == sorted(set(lengths))
    assert block_length(simulate(random, 40, 0.95)) <= 10  # a quarter
    assert [block_length(np.ones(runs)) for runs in (1, 2, 3)] == [1, 1, 1]


def test_correlation_is_that_of_ranks_and_never_below_0() -> None:
    random = np.random.default_rng(7)
    times = simulate(random, 2000, 0.6)
    spiked = times.copy()
    spiked[100] = 1e6

    assert lag_correlation(times) == pytest.approx(0.58, abs=0.06)
    assert lag_correlation(spiked) == pytest.approx(lag_correlation(times), abs=0.01)
    assert lag_correlation(np.tile([1.0, 2.0], 20)) == 0
    assert lag_correlation(np.ones(20)) == 0
    assert lag_correlation(np.arange(1e4)) == 0.99


def test_confidence_of_each_interval_rises_with_their_number() -> None:
    assert simultaneous_confidence(1) == pytest.approx(0.95)
    assert simultaneous_confidence(10) == pytest.approx(0.995)
    assert simultaneous_confidence(0) == pytest.approx(0.95)


def test_resamples_suffice_for_the_ends_of_the_intervals() -> None:
    assert resamples_for(1) == MIN_RESAMPLES
    assert resamples_for(100) * 0.05 / 100 / 2 == pytest.approx(5, abs=0.01)
    assert resamples_for(10_000) == MAX_RESAMPLES


def test_many_equal_pairs_rarely_raise_one_false_alarm() -> None:
    """Ten pairs without a difference, 20 times: separate 95 % intervals raised an alarm in 9 of 20, together in 2."""
    random = np.random.default_rng(8)
    alarms, separate_alarms = 0, 0
    for _ in range(20):
        pairs = [([simulate(random, 30)], [simulate(random, 30)]) for _ in range(10)]
        each, together = (
            [ratio_interval(*pair, confidence=confidence, resamples=1000, process_spread=0.0) for pair in pairs]
            for confidence in (CONFIDENCE, simultaneous_confidence(10))
        )
        separate_alarms += any(found.excludes(1.0) for found in each)
        alarms += any(found.excludes(1.0) for found in together)

    assert alarms <= 3
    assert separate_alarms > alarms


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.05, 1.10, "slower"),
        (0.90, 0.95, "faster"),
        (0.99, 1.02, "no difference"),
        (1.005, 1.02, "no difference"),  # certain, and too small to matter
        (0.95, 1.02, "cannot tell"),
        (0.95, 1.10, "cannot tell"),
        (1.01, 1.10, "slower"),
    ],
)
def test_verdict_follows_from_the_interval(low: float, high: float, verdict: str) -> None:
    found, reason = judge(Interval(low, high), noisy=False)

    assert found == verdict
    assert (reason is not None) == (verdict == "cannot tell")


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(1.1, 1.4, "cannot tell"), (1.4, 1.7, "cannot tell"), (1.6, 1.9, "slower"), (0.5, 0.6, "faster")],
)
def test_only_a_gross_difference_is_believed_of_noisy_or_few_records(low: float, high: float, verdict: str) -> None:
    assert judge(Interval(low, high), noisy=True) == (verdict, "noisy")
    assert judge(Interval(low, high), noisy=False, few=True)[0] == verdict
    assert judge(Interval(0.99, 1.01), noisy=False, few=True)[0] == "cannot tell"


def test_verdict_is_withheld_when_records_have_no_times() -> None:
    assert judge(None, noisy=False)[0] == "cannot tell"
    assert "version 1" in str(judge(None, noisy=False)[1])
