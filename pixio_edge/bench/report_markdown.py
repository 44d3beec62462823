"""The report as Markdown, for a README or a comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pixio_edge.bench.compare import Comparison
from pixio_edge.bench.compare_text import (
    conclude,
    describe_interval,
    list_changes,
    list_others,
    list_remarks,
    name_pairs,
)
from pixio_edge.bench.report_columns import choose_columns
from pixio_edge.bench.report_data import Device, Report, is_noisy, median_ms
from pixio_edge.bench.report_facts import list_facts, list_first, list_noisy, list_slower
from pixio_edge.bench.report_labels import (
    METRIC_NAMES,
    Metric,
    choose_metric,
    label_records,
    milliseconds,
    number,
    percent,
    tick,
)
from pixio_edge.bench.report_markup import clean
from pixio_edge.bench.report_pareto import LEAST_SPAN, Trade, list_trades, pareto_front
from pixio_edge.bench.report_scales import Scale, linear_scale, spread_scale

# What Markdown and the HTML in it would read as something else than text.
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~@&])")

PLOT_COLUMNS, PLOT_ROWS = 64, 14
SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SHOWN_FACTS = ("Processor", "Cores", "GPU", "Power mode", "System", "Engines", "Measured with", "Commit", "Measured")


def render_markdown(report: Report, comparison: Comparison | None = None) -> str:
    """Tables, and latency against accuracy drawn with letters.

    Args:
        report: What to show.
        comparison: With a baseline, shown first.
    """
    parts = [] if comparison is None else [render_comparison(comparison)]
    parts += [_device(device, report.bundles) for device in report.devices]
    return "\n\n".join(parts) + "\n"


def render_comparison(comparison: Comparison) -> str:
    """Verdicts, and a table of what both sets measured."""
    head = ("measurement", "baseline ms", "now ms", "change", f"{comparison.confidence:.2%} interval", "verdict")
    rows = [
        (
            plain(name),
            number(pair.old_ms),
            number(pair.new_ms),
            percent(pair.ratio),
            describe_interval(pair),
            pair.verdict if pair.reason is None else f"{pair.verdict} ({pair.reason})",
        )
        for pair, name in zip(comparison.pairs, name_pairs(comparison), strict=True)
    ]
    lines = [*list_remarks(comparison), *list_changes(comparison), *list_others(comparison)]
    parts = ["### Against the baseline", plain(conclude(comparison))]
    parts += [table(head, rows)] if rows else []
    parts += ["\n".join(f"- {plain(line)}" for line in lines)] if lines else []
    return "\n\n".join(parts)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose cells are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(clean(text).split())).replace("\\<", "&lt;").replace("\\&", "&amp;")


def _device(device: Device, bundles: dict[str, str]) -> str:
    parts = [f"### {plain(device.name)}"]
    if device.timed:
        columns = choose_columns(device.timed, bundles)
        columns = [column for column in columns if column.brief]
        rows = []
        for record in device.timed:
            noisy = "~ " if is_noisy(record) else ""
            rows.append([(noisy if column.head == "p50 ms" else "") + plain(column.text(record)) for column in columns])
        parts.append(table([column.head for column in columns], rows))
    labels = label_records(device.records, bundles)
    failed = [record for record in device.records if median_ms(record) is None]
    notes = [f"{labels.of(record)} is not timed: {record.verdict}" for record in failed]
    notes += list_first(list_slower(device, bundles))
    notes += [f"Noisy (~), {line}" for line in list_first(list_noisy(device, bundles))]
    parts += ["\n".join(f"- {plain(note)}" for note in notes)] if notes else []
    metric = choose_metric(device.timed)
    trades = [] if metric is None else list_trades(device.timed, metric)
    parts += [_pareto(trades, metric, bundles)] if metric is not None and trades else []
    facts = dict(list_facts(device))
    parts.append(f"<sub>{'; '.join(plain(facts[name]) for name in SHOWN_FACTS if name in facts)}</sub>")
    return "\n\n".join(parts)


def _pareto(trades: Sequence[Trade], metric: Metric, bundles: dict[str, str]) -> str:
    """Those that nothing beats in both, with letters, among the others as dots."""
    front = pareto_front(trades, metric)[: len(SIGNS)]
    labels = label_records([trade.record for trade in trades], bundles)
    name = METRIC_NAMES[metric]
    drawn = draw_text(trades, front, metric)
    rows = [
        (sign, milliseconds(trade.latency_ms), number(trade.accuracy), plain(labels.of(trade.record)))
        for sign, trade in zip(SIGNS, front, strict=False)
    ]
    return f"```text\n{drawn}\n```\n\n{table(('', 'median', name, 'not beaten in both'), rows)}"


def draw_text(trades: Sequence[Trade], front: Sequence[Trade], metric: Metric) -> str:
    """Latency to the right, accuracy upwards, in characters.

    Args:
        trades: All of them; one at least.
        front: Those that get letters, in their order.
        metric: AbsRel is drawn with its low values at the top.
    """
    bottom_to_top = (PLOT_ROWS - 1.0, 0.0) if metric == "delta1" else (0.0, PLOT_ROWS - 1.0)
    across = spread_scale([trade.latency_ms for trade in trades], 0.0, PLOT_COLUMNS - 1.0)
    upwards = linear_scale([trade.accuracy for trade in trades], *bottom_to_top, least_span=LEAST_SPAN)
    canvas = [[" "] * PLOT_COLUMNS for _ in range(PLOT_ROWS)]

    def put(trade: Trade, sign: str) -> None:
        canvas[round(upwards.at(trade.accuracy))][round(across.at(trade.latency_ms))] = sign

    for trade in trades:
        put(trade, "·")
    for sign, trade in reversed(list(zip(SIGNS, front, strict=False))):
        put(trade, sign)
    texts = {round(upwards.at(value)): tick(value) for value in upwards.ticks}
    width = max(map(len, texts.values()))
    lines = [f"{METRIC_NAMES[metric]}"]
    lines += [f"{texts.get(row, ''):>{width}} │{''.join(cells).rstrip()}" for row, cells in enumerate(canvas)]
    lines += [f"{'':>{width}} └{'─' * PLOT_COLUMNS}", f"{'':>{width}}  {_ticks(across)}"]
    return "\n".join(lines)


def _ticks(across: Scale) -> str:
    """Values of the horizontal axis under their places."""
    unit = " ms"
    row = [" "] * (PLOT_COLUMNS + len(unit) + 8)
    free = 0
    for value in across.ticks:
        label = tick(value)
        begin = max(0, round(across.at(value)) - len(label) // 2)
        if begin >= free:
            row[begin : begin + len(label)] = label
            free = begin + len(label) + 1
    return "".join(row).rstrip() + unit
