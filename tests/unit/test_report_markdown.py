"""Markdown and JSON of a report: tables that stay tables whatever stands in records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pixio_edge.bench.compare import compare
from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.report_data import make_report
from pixio_edge.bench.report_markdown import draw_text, plain, render_comparison, render_markdown
from pixio_edge.bench.report_pareto import Trade, pareto_front
from pixio_edge.bench.report_summary import summarise
from tests.bench_records import JETSON, NOISY, accuracy, failed, steady

HOSTILE = "a|b`c\n# d <script> **e** [f](g) @h &lt; \u202e"


def render(records: Sequence[BenchRecord]) -> str:
    return render_markdown(make_report(records, [Path("a.jsonl")]))


def tables(text: str) -> list[list[str]]:
    """Lines of each table."""
    found: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [lines for lines in found if lines]


def cells(line: str) -> int:
    """Cells of a line of a table: bars that are not escaped."""
    return line.replace("\\|", "").count("|") - 1


def test_markdown_has_a_table_for_each_device() -> None:
    text = render([steady(12.0), steady(6.0, precision="int8"), steady(3.0, host=JETSON)])

    assert text.count("### ") == 2
    first, second = tables(text)
    assert first[0].startswith("| runtime | precision | input | threads | p50 ms |")
    assert "| ort | int8 | 256×256 | 2 | 6.0" in first[2]
    assert len(second) == 3


def test_markdown_says_what_is_noisy_and_what_failed() -> None:
    noisy = [steady(5.0 + threads, threads=threads, noise=NOISY) for threads in range(1, 9)]
    text = render(
        [*noisy, failed("failed", "it died"), steady(1.0, threads=9, status="slower_than_float", reason="why")]
    )

    assert "is not timed: failed: it died" in text
    assert "slower\\_than\\_float: why" in text
    assert "Noisy (\\~), and 3 more" in text
    assert "| \\~ " not in text
    assert "| ~ 6.0" in text


def test_markdown_of_hostile_texts_stays_a_table() -> None:
    record = steady(2.0, bundle=HOSTILE, runtime=HOSTILE, artifact=HOSTILE, accuracy=accuracy(0.5, on=HOSTILE))
    text = render([record, steady(3.0), failed("failed", HOSTILE)])

    for lines in tables(text):
        assert {cells(line) for line in lines} == {cells(lines[0])}
    assert "<script>" not in text
    assert "\u202e" not in text
    assert [line for line in text.splitlines() if line.startswith("#")] == ["### AMD Ryzen 7 7840U, 8 cores"]


def test_plain_text_is_shown_as_it_is() -> None:
    assert plain("a_b*|<i> & `c`\n#") == "a\\_b\\*\\|&lt;i> &amp; \\`c\\` \\#".replace("i>", "i\\>")


def test_front_is_drawn_with_letters() -> None:
    trades = [Trade(steady(1.0), time, value) for time, value in ((1.0, 0.5), (5.0, 0.9), (6.0, 0.6))]
    drawn = draw_text(trades, pareto_front(trades, "delta1"), "delta1").splitlines()

    fast, accurate, beaten = (next(row for row, line in enumerate(drawn) if sign in line) for sign in "AB·")
    assert accurate < beaten < fast  # upwards is better
    assert drawn[fast].index("A") < drawn[accurate].index("B") < drawn[beaten].index("·")
    assert drawn[-1].endswith(" ms")
    assert all(len(line) < 80 for line in drawn)


def test_front_of_errors_has_low_ones_at_the_top() -> None:
    trades = [Trade(steady(1.0), time, value) for time, value in ((1.0, 0.5), (5.0, 0.1))]
    drawn = draw_text(trades, pareto_front(trades, "abs_rel"), "abs_rel")

    assert drawn.index("B") < drawn.index("A", len("AbsRel"))


def test_comparison_lists_what_changed() -> None:
    text = render_comparison(compare([steady(10.0, git_commit="old")], [steady(20.0, seed=1, git_commit="new")]))

    assert "1 combination in both sets: 1 slower." in text
    assert "commit: old → new" in text
    assert tables(text)[0][2].startswith("| ort fp32 | 10.0 | 20.0 | ")
    assert tables(text)[0][2].endswith("| slower (fewer than 3 processes on a side) |")


def test_summary_is_json_and_points_at_measurements() -> None:
    records = [
        steady(9.0, accuracy=accuracy(0.9)),
        steady(2.0, threads=4, accuracy=accuracy(0.8), noise=NOISY),
        steady(12.0, threads=1, accuracy=accuracy(0.85)),
        failed("failed", "it died"),
    ]
    compared = compare([steady(9.0)], records)

    summary = json.loads(json.dumps(summarise(make_report(records, [Path("a.jsonl")]), compared)))

    (device,) = summary["devices"]
    medians = [each["p50_ms"] for each in device["measurements"]]
    assert [round(median) for median in medians[:3]] == [2, 9, 12]
    assert device["highlights"] == {"fastest": 0, "most_accurate": 1, "least_memory": 0}
    assert device["front"] == {"metric": "delta1", "measurements": [0, 1]}
    assert (device["noisy"], device["not_timed"]) == ([0], [3])
    assert device["measurements"][3]["reason"] == "it died"
    assert summary["comparison"]["pairs"][0]["reason"] == "fewer than 3 processes on a side"
    assert summarise(make_report(records, []))["comparison"] is None
