"""Two sets of records against each other: what became faster, what slower, and of what that cannot be said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from pixio_edge.bench.compare_intervals import (
    FEWEST_PROCESSES,
    Interval,
    Times,
    centre_ms,
    ratio_interval,
    resamples_for,
    simultaneous_confidence,
)
from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.report_data import (
    Combination,
    bundle_names,
    combination_of,
    device_name,
    identify,
    is_noisy,
    made_at,
    median_ms,
)
from pixio_edge.errors import InputError

Verdict: TypeAlias = Literal["faster", "slower", "no difference", "cannot tell"]

# A difference below this is none, even when it is certain: medians of one unchanged graph, measured hours apart on one
# quiet machine, differed by 1 to 2 %, as the place of code in memory alone does (Mytkowicz et al., "Producing wrong
# data without doing anything obviously wrong!", ASPLOS 2009).
NEGLIGIBLE = 0.03

# Beyond this, a difference is believed of noisy records and of single processes too: another program that takes half of
# two cores makes times 1.3 to 1.5 times as long, and processes on a quiet machine are a few percent apart.
GROSS = 1.5

NOISY = "noisy"
FEW = f"fewer than {FEWEST_PROCESSES} processes on a side"
NO_TIMES = "no single times (record of version 1)"
WIDE = "interval too wide"


@dataclass(frozen=True, slots=True)
class Pair:
    """One combination that both sets have times of.

    Args:
        combination: What was measured.
        record: The newest record of it in the new set.
        old_ms: Median of one inference in the old set.
        new_ms: The same in the new set.
        ratio: `new_ms / old_ms`: above 1 is slower.
        interval: Of the ratio; None where a set has no single times.
        verdict: What can be said.
        reason: Why nothing can be said, or why only a gross difference is; None otherwise.
        processes: How many processes the old and the new median are of.
        changed: What else is different, as (fact, old, new).
    """

    combination: Combination
    record: BenchRecord
    old_ms: float
    new_ms: float
    ratio: float
    interval: Interval | None
    verdict: Verdict
    reason: str | None
    processes: tuple[int, int]
    changed: tuple[tuple[str, str, str], ...]

    def is_slower_by(self, limit: float) -> bool:
        """Whether it is slower by more than a fraction, with the whole interval above it."""
        return self.interval is not None and self.verdict == "slower" and self.interval.low > 1 + limit

    def is_judged_at(self, limit: float) -> bool:
        """Whether it is known to be slower by more than a fraction, or not to be: the interval ends below it."""
        ends_below = self.interval is not None and self.reason != NOISY and self.interval.high <= 1 + limit
        return ends_below or self.verdict != "cannot tell"


@dataclass(frozen=True, slots=True)
class Lost:
    """One combination that the old set has times of, and the new set only a reason why it has none.

    Args:
        combination: What was measured.
        verdict: Status and reason of the new record.
    """

    combination: Combination
    verdict: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sets of records.

    Args:
        pairs: What both have, the largest ratio first.
        lost: What no longer has times.
        only_old: What only the old set has.
        only_new: What only the new set has.
        confidence: Of each interval, so that all of them together are right with 95 %.
        hosts: Names of the hosts, old and new, when they are different ones; None otherwise.
    """

    pairs: tuple[Pair, ...]
    lost: tuple[Lost, ...]
    only_old: tuple[Combination, ...]
    only_new: tuple[Combination, ...]
    confidence: float
    hosts: tuple[str, str] | None

    @property
    def undecided(self) -> tuple[Pair, ...]:
        """Pairs that nothing can be said of."""
        return tuple(pair for pair in self.pairs if pair.verdict == "cannot tell")

    @property
    def fewest_processes(self) -> int | None:
        """Processes of the side that has fewest, of all pairs with an interval; None if there are none."""
        return min((min(pair.processes) for pair in self.pairs if pair.interval is not None), default=None)


Groups: TypeAlias = dict[Combination, list[BenchRecord]]


def compare(old: Sequence[BenchRecord], new: Sequence[BenchRecord], *, across_hosts: bool = False) -> Comparison:
    """Pair what both sets measured, and say of each pair what its times allow to say.

    Records of one combination that were made by the same versions and the same commit are repetitions; of several
    versions, the newest counts.

    Args:
        old: Records of the baseline.
        new: Records to judge.
        across_hosts: Compare two different hosts, one in each set.

    Raises:
        InputError: The hosts are different and that was not asked for, or nothing was measured in both sets.
    """
    hosts = _check_hosts(old, new, across_hosts)
    old_groups, new_groups = (_group(records, with_host=hosts is None) for records in (old, new))
    timed_old = {key: group for key, group in old_groups.items() if _timed(group)}
    timed_new = {key: group for key, group in new_groups.items() if _timed(group)}
    common = [key for key in timed_old if key in timed_new]
    lost = _find_lost(timed_old, timed_new, new_groups)
    if not common and not lost:
        raise InputError(
            "baseline: no combination of bundle, artifact, runtime, precision, size, threads, batch, frame and power "
            "mode has times in both sets, expected one at least. Fix: measure the same plan as the baseline"
        )
    confidence = simultaneous_confidence(len(common))
    pairs = [_pair(key, _timed(timed_old[key]), _timed(timed_new[key]), confidence, len(common)) for key in common]
    gone = {each.combination for each in lost}
    return Comparison(
        pairs=tuple(sorted(pairs, key=lambda pair: -pair.ratio)),
        lost=tuple(lost),
        only_old=tuple(key for key in timed_old if key not in timed_new and key not in gone),
        only_new=tuple(key for key in timed_new if key not in timed_old),
        confidence=confidence,
        hosts=hosts,
    )


def judge(
    ratio_range: Interval | None, *, noisy: bool, few: bool = False, negligible: float = NEGLIGIBLE
) -> tuple[Verdict, str | None]:
    """What an interval of a ratio of times allows to say, and why no more can be said.

    Args:
        ratio_range: Of new over old; None where there are no single times.
        noisy: Whether a record says that its times are not to be trusted.
        few: Whether a side has too few processes to know how they differ.
        negligible: Fraction below which a difference is none.
    """
    if ratio_range is None:
        return "cannot tell", NO_TIMES
    if noisy or few:
        reason = NOISY if noisy else FEW
        if ratio_range.low > GROSS:
            return "slower", reason
        return ("faster" if ratio_range.high < 1 / GROSS else "cannot tell"), reason
    if ratio_range.is_within(1 / (1 + negligible), 1 + negligible):
        return "no difference", None
    if not ratio_range.excludes(1.0):
        return "cannot tell", WIDE
    return ("slower", None) if ratio_range.low > 1 else ("faster", None)


def _check_hosts(old: Sequence[BenchRecord], new: Sequence[BenchRecord], across_hosts: bool) -> tuple[str, str] | None:
    """Names of the two hosts when they are to be compared with each other, None when each with itself."""
    olds, news = ({identify(record): device_name(record.host) for record in records} for records in (old, new))
    if across_hosts and len(olds) == len(news) == 1:
        names = (*olds.values(), *news.values())
        return None if olds.keys() == news.keys() else (names[0], names[1])
    if across_hosts:
        raise InputError(
            f"--across-hosts: got {len(olds)} hosts in the baseline and {len(news)} in the records, expected one in "
            "each. Fix: give each host a file of its own"
        )
    if not olds.keys() & news.keys():
        raise InputError(
            f"baseline: got records of '{', '.join(olds.values())}', expected the host of the records, "
            f"'{', '.join(news.values())}'. Fix: measure the baseline on the same host, or add --across-hosts"
        )
    return None


def _group(records: Sequence[BenchRecord], *, with_host: bool) -> Groups:
    """Repetitions of each combination, by the versions of the newest record of it."""
    bundles = bundle_names(records)
    groups: Groups = defaultdict(list)
    for record in sorted(records, key=made_at):
        groups[combination_of(record, bundles, with_host=with_host)].append(record)
    return {key: [each for each in group if _versions(each) == _versions(group[-1])] for key, group in groups.items()}


def _versions(record: BenchRecord) -> tuple[str | None, ...]:
    return record.tool, record.git_commit, record.runtime_version, record.artifact_sha256


def _timed(group: list[BenchRecord]) -> list[BenchRecord]:
    return [record for record in group if median_ms(record) is not None]


def _find_lost(timed_old: Groups, timed_new: Groups, new: Groups) -> list[Lost]:
    """A record without times may not know its threads or the power mode, as the engine did not start."""
    failed = [(key, group[-1]) for key, group in new.items() if not _timed(group)]
    gone = [key for key in timed_old if key not in timed_new]
    return [Lost(key, record.verdict) for key in gone for other, record in failed if _is_same(key, other)]


def _is_same(key: Combination, untimed: Combination) -> bool:
    """Whether a record without times is of a combination, by what it knows."""
    threads = key.threads if untimed.threads is None else untimed.threads
    mode = key.power_mode if untimed.power_mode is None else untimed.power_mode
    return key == replace(untimed, threads=threads, power_mode=mode)


def _trusted(group: list[BenchRecord]) -> list[BenchRecord]:
    """Quiet repetitions where there are enough of them, else all."""
    quiet = [record for record in group if not is_noisy(record)]
    return quiet if len(quiet) >= FEWEST_PROCESSES else group


def _pair(key: Combination, old: list[BenchRecord], new: list[BenchRecord], confidence: float, pairs: int) -> Pair:
    old, new = _trusted(old), _trusted(new)
    old_times, new_times = ([_times(record) for record in group] for group in (old, new))
    has_times = all(record.times_ms for record in (*old, *new))
    old_ms, new_ms = centre_ms(old_times), centre_ms(new_times)
    found = None
    if has_times:
        found = ratio_interval(old_times, new_times, confidence=confidence, resamples=resamples_for(pairs))
    few = min(len(old), len(new)) < FEWEST_PROCESSES
    verdict, reason = judge(found, noisy=any(is_noisy(record) for record in (*old, *new)), few=few)
    return Pair(
        combination=key,
        record=new[-1],
        old_ms=old_ms,
        new_ms=new_ms,
        ratio=new_ms / old_ms,
        interval=found,
        verdict=verdict,
        reason=reason,
        processes=(len(old), len(new)),
        changed=_changes(old[-1], new[-1]),
    )


def _times(record: BenchRecord) -> Times:
    """All times of a record, or its median where it kept no others."""
    return np.asarray(record.times_ms or (record.p50_ms,), np.float64)


def _changes(old: BenchRecord, new: BenchRecord) -> tuple[tuple[str, str, str], ...]:
    facts = {
        "pixio-edge": (old.tool, new.tool),
        "commit": (old.git_commit, new.git_commit),
        old.runtime: (old.runtime_version, new.runtime_version),
        "artifact": (old.artifact_sha256, new.artifact_sha256),
        "system": (old.host.get("os"), new.host.get("os")),
        "clock governor": tuple(each.power.governor if each.power else None for each in (old, new)),
        "clocks locked": tuple(each.power.clocks_locked if each.power else None for each in (old, new)),
    }
    return tuple(
        (fact, str(before)[:40], str(after)[:40]) for fact, (before, after) in facts.items() if before != after
    )
