"""How sure a difference between two sets of timed inferences is: ratios of medians with bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Times: TypeAlias = NDArray[np.float64]
"""(runs,) milliseconds of one process, in the order they were measured."""

CONFIDENCE = 0.95
MIN_RESAMPLES = 10_000
# An end of an interval is the quantile that leaves this many resamples outside, at least: fewer make it jump.
TAIL_RESAMPLES = 5
# More pairs than this makes necessary get intervals that are a little less sharp, instead of minutes of work.
MAX_RESAMPLES = 40_000
SEED = 20
# From so many processes on, an interval is made of what they say alone. The docs say how often it is then wrong.
ENOUGH_PROCESSES = 5
# With fewer than these on a side, nothing is known of how processes differ: only a gross difference is believed.
FEWEST_PROCESSES = 3
# Standard deviation of the logarithm of medians of processes that nothing was changed between, assumed where too few
# of them were measured: on one quiet machine such medians differed by 1 to 2 %, hours apart (see `compare.NEGLIGIBLE`).
PROCESS_SPREAD = 0.02
# Medians of a process that resamples draw from. Their spread is a small part of an interval, and each costs a sort of
# all times: 114 pairs took 22 s of processor time with a median for each of 40,000 resamples.
_MEDIANS = 2_000


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the true value lies with the stated confidence.

    Args:
        low: Lower end.
        high: Upper end.
    """

    low: float
    high: float

    def excludes(self, value: float) -> bool:
        """Whether a value lies outside."""
        return value < self.low or value > self.high

    def is_within(self, low: float, high: float) -> bool:
        """Whether all of it lies between two values."""
        return low <= self.low and self.high <= high


def centre_ms(processes: Sequence[Times]) -> float:
    """Median over processes of the median of each, so that a process with more inferences counts no more.

    Args:
        processes: Times of each process in ms.
    """
    return float(np.median([np.median(times) for times in processes]))


def ratio_interval(
    old: Sequence[Times],
    new: Sequence[Times],
    *,
    confidence: float = CONFIDENCE,
    resamples: int = MIN_RESAMPLES,
    seed: int = SEED,
    process_spread: float | None = None,
) -> Interval:
    """Percentile bootstrap interval of `centre_ms(new) / centre_ms(old)`.

    Processes are resampled, and within each the inferences, in blocks: one inference is like the one before it while a
    clock drifts or another program runs, and resampling them one by one would take that for independent evidence
    (circular block bootstrap, Politis and Romano 1992; resampling at every level that varies, Kalibera and Jones, ISMM
    2013). A side of fewer than `ENOUGH_PROCESSES` knows too little about how processes differ, and one of a single
    process nothing: there each process is taken to be off by `PROCESS_SPREAD`, which makes the interval wider.

    Args:
        old: Times in ms of each process of the old set; one process at least.
        new: The same of the new set.
        confidence: Probability that the interval holds the true ratio, between 0 and 1.
        resamples: How many.
        seed: The same seed gives the same interval.
        process_spread: Spread to assume between processes, of logarithms; None takes what their number asks for.
    """
    random = np.random.default_rng(seed)
    spreads = [assumed_spread(len(side)) if process_spread is None else process_spread for side in (old, new)]
    below, above = (
        resample_centres(side, random, resamples, spread) for side, spread in zip((old, new), spreads, strict=True)
    )
    tail = (1 - confidence) / 2
    low, high = np.quantile(above / below, (tail, 1 - tail))
    return Interval(float(low), float(high))


def assumed_spread(processes: int) -> float:
    """Spread between processes that is assumed beside what so many of them show."""
    return 0.0 if processes >= ENOUGH_PROCESSES else PROCESS_SPREAD


def resample_centres(
    processes: Sequence[Times], random: np.random.Generator, resamples: int, spread: float = 0.0
) -> NDArray[np.float64]:
    """`centre_ms` of every resample.

    Args:
        processes: Times of each process in ms.
        random: Where chance is from.
        resamples: How many.
        spread: Standard deviation of the logarithms by which each process is taken to be off.

    Returns:
        (resamples,) in ms.
    """
    known = min(resamples, _MEDIANS)
    medians = np.stack([_resample_medians(times, random, known) for times in processes])  # (processes, known)
    shape = (len(processes), resamples)
    drawn = medians[random.integers(len(processes), size=shape), random.integers(known, size=shape)]
    if spread > 0:
        drawn = drawn * np.exp(spread * random.normal(size=shape))
    centres: NDArray[np.float64] = np.median(drawn, axis=0)
    return centres


def block_length(times: Times) -> int:
    """Inferences in a block: longer, the more each inference is like the one before it.

    The cube root of all of them at least (the rate of Künsch 1989), and for times that follow a first-order
    autoregression the length that Carlstein (1986) found best, at most a quarter of all.
    """
    runs = len(times)
    correlation = lag_correlation(times)
    autoregressive = math.pow(math.sqrt(6) * correlation / (1 - correlation**2), 2 / 3)
    return max(1, min(round(max(1.0, autoregressive) * math.pow(runs, 1 / 3)), runs // 4))


def lag_correlation(times: Times) -> float:
    """Correlation of each time with the next, 0 to 0.99; by ranks, as one outlier would decide it otherwise."""
    if len(times) < 3 or np.ptp(times) == 0:
        return 0.0
    ranks = np.argsort(np.argsort(times, kind="stable")).astype(np.float64)
    ranks -= ranks.mean()
    return float(np.clip(ranks[1:] @ ranks[:-1] / (ranks @ ranks), 0.0, 0.99))


def simultaneous_confidence(pairs: int, confidence: float = CONFIDENCE) -> float:
    """Confidence of each of several intervals, so that all of them are right together (Bonferroni)."""
    return 1 - (1 - confidence) / max(1, pairs)


def resamples_for(pairs: int, confidence: float = CONFIDENCE) -> int:
    """Enough resamples for the ends of intervals of `simultaneous_confidence`."""
    tail = (1 - simultaneous_confidence(pairs, confidence)) / 2
    return min(MAX_RESAMPLES, max(MIN_RESAMPLES, math.ceil(TAIL_RESAMPLES / tail)))


def _resample_medians(times: Times, random: np.random.Generator, resamples: int) -> NDArray[np.float64]:
    """Medians of circular blocks drawn with replacement, (resamples,)."""
    runs = len(times)
    length = block_length(times)
    begins = random.integers(runs, size=(resamples, math.ceil(runs / length), 1))
    drawn = ((begins + np.arange(length)) % runs).reshape(resamples, -1)[:, :runs]
    medians: NDArray[np.float64] = np.median(times[drawn], axis=1)
    return medians
