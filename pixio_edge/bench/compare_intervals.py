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
# Resamples of one block of work hold this many times: 16 MiB of them.
_BLOCK_TIMES = 2_000_000


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
) -> Interval:
    """Percentile bootstrap interval of `centre_ms(new) / centre_ms(old)`.

    Processes are resampled, and within each the inferences, in blocks: one inference is like the one before it while a
    clock drifts or another program runs, and resampling them one by one would take that for independent evidence
    (circular block bootstrap, Politis and Romano 1992; resampling at every level that varies, Kalibera and Jones, ISMM
    2013). With fewer than about five processes on each side the interval knows too little about how processes differ.

    Args:
        old: Times in ms of each process of the old set; one process at least.
        new: The same of the new set.
        confidence: Probability that the interval holds the true ratio, between 0 and 1.
        resamples: How many.
        seed: The same seed gives the same interval.
    """
    random = np.random.default_rng(seed)
    ratios = resample_centres(new, random, resamples) / resample_centres(old, random, resamples)
    tail = (1 - confidence) / 2
    low, high = np.quantile(ratios, (tail, 1 - tail))
    return Interval(float(low), float(high))


def resample_centres(processes: Sequence[Times], random: np.random.Generator, resamples: int) -> NDArray[np.float64]:
    """`centre_ms` of every resample.

    Returns:
        (resamples,) in ms.
    """
    medians = np.stack([_resample_medians(times, random, resamples) for times in processes])  # (processes, resamples)
    drawn = random.integers(len(processes), size=medians.shape)
    centres: NDArray[np.float64] = np.median(np.take_along_axis(medians, drawn, axis=0), axis=0)
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
    blocks = math.ceil(runs / length)
    rows = max(1, _BLOCK_TIMES // (blocks * length))
    parts = []
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        begins = random.integers(runs, size=(count, blocks, 1))
        drawn = ((begins + np.arange(length)) % runs).reshape(count, -1)[:, :runs]
        parts.append(np.median(times[drawn], axis=1))
    return np.concatenate(parts)
