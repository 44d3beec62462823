"""`pixio-edge report`: records of benchmarks as a page, as Markdown, or against a baseline."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixio_edge.cli.console import print_json, print_problem
from pixio_edge.cli.options import JsonOption, examples
from pixio_edge.errors import CheckFailedError, InputError

if TYPE_CHECKING:
    from pixio_edge.bench.compare import Comparison, Pair
    from pixio_edge.bench.record import BenchRecord

EXAMPLES = examples(
    "pixio-edge report records.jsonl -o report.html",
    "pixio-edge report jetson.jsonl laptop.jsonl --markdown",
    "pixio-edge report new.jsonl --baseline old.jsonl --fail-above 5%     # for continuous integration",
)

DEFAULT_OUTPUT = Path("report.html")
# A pair that nobody can judge hides what happened to it; some always are on a machine that is not one's own.
UNDECIDED_SHARE = 0.2


def report(
    records: Annotated[
        list[Path], typer.Argument(help="Files that `pixio-edge benchmark --out` or `--json` wrote; devices may mix.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The page.  [default: report.html, unless --markdown or --json]"),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print tables for a README or a pull request.")] = False,
    baseline: Annotated[
        list[Path] | None, typer.Option("--baseline", help="Older records to compare with; may be repeated.")
    ] = None,
    fail_above: Annotated[
        str | None,
        typer.Option(
            "--fail-above",
            metavar="PERCENT",
            help="Exit with 1 when anything is slower than the baseline by more, such as 5%, beyond its interval.",
        ),
    ] = None,
    allow_undecided: Annotated[
        str,
        typer.Option(
            "--allow-undecided", metavar="PERCENT", help="With --fail-above: share of pairs that may stay undecided."
        ),
    ] = f"{UNDECIDED_SHARE:.0%}",
    subset: Annotated[
        bool, typer.Option("--subset", help="With --fail-above: not all of the baseline was measured again.")
    ] = False,
    across_hosts: Annotated[
        bool, typer.Option("--across-hosts", help="Let the baseline be of another host than the records.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show measurements: a self-contained page that opens offline, Markdown or JSON; with a baseline, what changed.

    Exit status 1 with --fail-above when something is slower by more, is missing or no longer timed, or when too few
    pairs can be judged.
    """
    from pixio_edge.bench.compare import compare
    from pixio_edge.bench.report_data import load_records, make_report
    from pixio_edge.bench.report_summary import summarise

    if json and markdown:
        raise InputError("--json: got --markdown as well, expected one of them. Fix: run it twice")
    limit, share = parse_limit(fail_above), parse_limit(allow_undecided, "--allow-undecided") or 0.0
    if limit is not None and not baseline:
        raise InputError("--fail-above: got no baseline, expected --baseline OLD.jsonl. Fix: add it")
    loaded = load_records(records)
    _check_timed(loaded)
    compared = compare(load_records(baseline), loaded, across_hosts=across_hosts) if baseline else None
    made = make_report(loaded, records)
    path = output or (None if markdown or json else DEFAULT_OUTPUT)
    if path is not None:
        from pixio_edge.bench.report_html import render_html
        from pixio_edge.files import write_text_atomic

        write_text_atomic(path, render_html(made, compared))
    if json:
        print_json(summarise(made, compared))
    elif markdown:
        from pixio_edge.bench.report_markdown import render_markdown

        print(render_markdown(made, compared), end="")
    else:
        _tell(path, compared)
    if compared is not None and limit is not None:
        print_problem(conclude(compared, limit, allow_undecided=share, subset=subset))


def parse_limit(text: str | None, option: str = "--fail-above") -> float | None:
    """Read `5%` or `5` as 0.05.

    Raises:
        InputError: The text is not a percentage of 0 or more.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?%?", text.strip())
    if match is None:
        raise InputError(f"{option}: got '{text}', expected a percentage such as 5%. Fix: {option} 5%")
    return float(match[1]) / 100


def conclude(
    comparison: Comparison, limit: float, *, allow_undecided: float = UNDECIDED_SHARE, subset: bool = False
) -> str:
    """End with the status that a comparison deserves; returns the line that says how much of it was judged.

    Args:
        comparison: The comparison.
        limit: Fraction by which a pair may be slower.
        allow_undecided: Share of the pairs of which that may stay unknown.
        subset: Whether combinations of the baseline may be missing.

    Raises:
        CheckFailedError: A pair is slower by more, something is missing or no longer timed, or too few were judged.
    """
    pairs = comparison.pairs
    judged = [pair for pair in pairs if pair.is_judged_at(limit)]
    told = f"{len(judged)} of {len(pairs)} pairs judged"
    slower = [pair for pair in pairs if pair.is_slower_by(limit)]
    names = [_name_slower(pair) for pair in slower]
    names += [f"{each.combination.describe()} {each.verdict}" for each in comparison.lost]
    names += [] if subset else [f"{each.describe()} missing" for each in comparison.only_old]
    if names:
        raise CheckFailedError(
            f"{len(names)} slower than the baseline by more than {100 * limit:.3g}%, missing or no longer timed: "
            f"{'; '.join(names)}; {told}. Fix: find the change, measure what is missing (or --subset), or renew the "
            "baseline"
        )
    undecided = len(pairs) - len(judged)
    if undecided > allow_undecided * len(pairs) or not judged:
        reasons = Counter(str(pair.reason) for pair in pairs if pair not in judged)
        why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        raise CheckFailedError(
            f"{told} at {100 * limit:.3g}%, expected {1 - allow_undecided:.0%} at least ({why}). "
            "Fix: measure each set five times on a quiet machine, or raise --fail-above or --allow-undecided"
        )
    return f"{told}, none slower by more than {100 * limit:.3g}%"


def _name_slower(pair: Pair) -> str:
    reason = "" if pair.reason is None else f" ({pair.reason})"
    return f"{pair.combination.describe()} {pair.ratio:.2f}x{reason}"


def _check_timed(records: list[BenchRecord]) -> None:
    if not any(record.is_timed for record in records):
        first = records[0]
        raise InputError(
            f"records: got {len(records)} without times, expected one that is ok; the first says '{first.verdict}'. "
            "Fix: see 'pixio-edge doctor', and measure again"
        )


def _tell(path: Path | None, comparison: Comparison | None) -> None:
    from pixio_edge.bench.compare_text import conclude as in_words

    print(f"wrote {path}")
    if comparison is not None:
        print(in_words(comparison))
