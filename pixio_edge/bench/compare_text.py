"""A comparison with a baseline in words, for the page, Markdown and the terminal alike."""

from __future__ import annotations

from collections import Counter

from pixio_edge.bench.compare import Comparison, Pair, Verdict
from pixio_edge.bench.compare_intervals import CONFIDENCE, ENOUGH_PROCESSES, FEWEST_PROCESSES, PROCESS_SPREAD
from pixio_edge.bench.report_data import bundle_names
from pixio_edge.bench.report_labels import NOTHING, label_records, percent, plural

VERDICTS: tuple[Verdict, ...] = ("slower", "faster", "no difference", "cannot tell")


def conclude(comparison: Comparison) -> str:
    """One sentence with all verdicts."""
    counts = Counter(pair.verdict for pair in comparison.pairs)
    said = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]]
    said += [f"{len(comparison.lost)} no longer timed"] if comparison.lost else []
    count = len(comparison.pairs) + len(comparison.lost)
    return f"{plural(count, 'combination')} in both sets: {', '.join(said)}."


def list_remarks(comparison: Comparison) -> list[str]:
    """What the intervals mean, and what they do not."""
    remarks = []
    if comparison.hosts is not None:
        old, new = comparison.hosts
        remarks.append(f"Different hosts: the baseline is of {old}, the records are of {new}.")
    intervals = sum(pair.interval is not None for pair in comparison.pairs)
    if intervals:
        together = f", so that all {intervals} hold together with {CONFIDENCE:.0%}" if intervals > 1 else ""
        remarks.append(
            f"Each interval of a ratio of medians has a confidence of {comparison.confidence:.2%}{together} (bootstrap "
            "of blocks of consecutive inferences)."
        )
    fewest = comparison.fewest_processes
    if fewest is not None and fewest < ENOUGH_PROCESSES:
        remarks.append(
            f"Some medians are of {'one process' if fewest == 1 else f'{fewest} processes'}, which do not tell how "
            f"processes differ: their intervals assume {PROCESS_SPREAD:.0%}, and with fewer than {FEWEST_PROCESSES} "
            f"only gross differences count. Measure each set {ENOUGH_PROCESSES} times (benchmark --force)."
        )
    if comparison.undecided:
        remarks.append("Where nothing can be said, measure again: on a quiet machine, longer, or more often.")
    return remarks


def list_changes(comparison: Comparison) -> list[str]:
    """What else is different between the sets, each once."""
    changes = dict.fromkeys(change for pair in comparison.pairs for change in pair.changed)
    return [f"{fact}: {old} → {new}" for fact, old, new in changes]


def list_others(comparison: Comparison) -> list[str]:
    """What could not be compared, and why."""
    lost = [f"{each.combination.describe()}: no longer timed, {each.verdict}" for each in comparison.lost]
    gone = [f"{each.describe()}: only in the baseline" for each in comparison.only_old]
    added = [f"{each.describe()}: not in the baseline" for each in comparison.only_new]
    return lost + gone + added


def describe_interval(pair: Pair) -> str:
    """Both ends as changes."""
    if pair.interval is None:
        return NOTHING
    return f"{percent(pair.interval.low)} to {percent(pair.interval.high)}"


def name_pairs(comparison: Comparison) -> list[str]:
    """Names of the pairs, which say only what is not the same for all of them."""
    records = [pair.record for pair in comparison.pairs]
    labels = label_records(records, bundle_names(records))
    return [labels.of(record) for record in records]
