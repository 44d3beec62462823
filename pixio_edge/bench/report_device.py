"""The part of the page about one device: what stands out, the table, the figures, the host."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pixio_edge.bench.record import UNAVAILABLE, BenchRecord
from pixio_edge.bench.report_bars import GPU_MEMORY, MEMORY, SPLIT, draw_bars
from pixio_edge.bench.report_chart import SHAPES, sign
from pixio_edge.bench.report_columns import Column, choose_columns
from pixio_edge.bench.report_data import Device, Report, is_noisy
from pixio_edge.bench.report_facts import list_facts, list_first, list_highlights, list_noisy, list_slower
from pixio_edge.bench.report_labels import label_records, plural
from pixio_edge.bench.report_lines import BATCH, THREADS, TOKENS, draw_lines
from pixio_edge.bench.report_markup import Child, Markup, Value, element, join
from pixio_edge.bench.report_pareto import draw_pareto
from pixio_edge.bench.report_timeline import draw_timelines

# What would be drawn with more records, by heading of the figure.
MISSING = {
    "Latency against accuracy": "no record has an accuracy",
    "Latency against input size": "no artifact was measured at clearly different sizes with the same threads",
    "Latency against threads": "nothing was measured with two numbers of threads: --threads 1,2,4",
    "Throughput against requests in flight": "nothing was measured with two batches: --batch 1,4",
    "Where a whole prediction spends its time": "no record has whole predictions",
    "Memory": "the host does not tell",
    "Over time": "nothing ran for long: --sustained 10m",
}


def draw_device(device: Device, report: Report) -> Markup:
    """The section."""
    replaced = f"Not shown: {plural(device.replaced, 'older measurement')} of the same combinations."
    return element(
        "section",
        {"data-device": device.name},
        element("h2", None, device.name),
        _cards(device, report),
        _warnings(device, report),
        _legend(device.timed),
        element("h3", None, "Measurements"),
        _table(device, report),
        element("p", {"class": "hint"}, replaced if device.replaced else ""),
        _failed(device, report),
        _figures(device, report),
        element("h3", None, "Host and software"),
        element("dl", None, *_definitions(list_facts(device))),
    )


def _cards(device: Device, report: Report) -> Markup:
    cards = [
        element(
            "div",
            {"class": "card"},
            element("p", {"class": "name"}, highlight.name),
            element("p", {"class": "big"}, highlight.value),
            element("p", {"class": "what"}, highlight.label),
        )
        for highlight in list_highlights(device, report.bundles)
    ]
    return element("div", {"class": "cards"}, *cards)


def _warnings(device: Device, report: Report) -> Markup:
    """What a reader should know before the numbers."""
    noisy, slower = list_noisy(device, report.bundles), list_slower(device, report.bundles)
    unknown = sum(record.noise is None for record in device.timed)
    boxes = []
    if noisy:
        head = f"{len(noisy)} of {len(device.timed)} measurements are noisy; measure again on a quiet machine:"
        boxes.append(element("div", {"class": "warning", "role": "note"}, head, _list(noisy)))
    if slower:
        boxes.append(element("div", {"class": "warning", "role": "note"}, "Timed, but not recommended:", _list(slower)))
    if unknown:
        told = f"{unknown} of {len(device.timed)} measurements do not say how quiet the machine was (version 1)."
        boxes.append(element("p", {"class": "hint"}, told))
    return join(boxes)


def _list(items: Sequence[tuple[str, str]]) -> Markup:
    return element("ul", None, *(element("li", None, line) for line in list_first(items)))


def _legend(records: Sequence[BenchRecord]) -> Markup:
    """Colours and shapes, once for all figures of a device."""
    runtimes = dict.fromkeys(sorted(record.runtime for record in records))
    precisions = sorted({record.precision for record in records}, key=[*SHAPES].index if _known(records) else None)
    items = [_legend_item(runtime, sign(runtime, "fp32", 8, 8)) for runtime in runtimes]
    items += [_legend_item(precision, sign("", precision, 8, 8)) for precision in precisions]
    return element("ul", {"class": "legend"}, *items)


def _known(records: Sequence[BenchRecord]) -> bool:
    return all(record.precision in SHAPES for record in records)


def _legend_item(name: str, drawn: Markup) -> Markup:
    return element("li", None, element("svg", {"viewBox": "0 0 16 16"}, drawn), name)


def _table(device: Device, report: Report) -> Markup:
    if not device.timed:
        return element("p", {"class": "hint"}, "Nothing could be timed on this device.")
    # The time first: on a phone, the first column stays while the others scroll.
    columns = sorted(choose_columns(device.timed, report.bundles), key=lambda column: column.head != "p50 ms")
    numeric = [all(not isinstance(column.value(record), str) for record in device.timed) for column in columns]
    heads = [
        element("th", {"scope": "col", "title": column.hint, "class": _css(column, is_number)}, column.head)
        for column, is_number in zip(columns, numeric, strict=True)
    ]
    rows = [_row(record, columns, numeric, report) for record in device.timed]
    table = element(
        "table",
        {"class": "sortable"},
        element("thead", None, element("tr", None, *heads)),
        element("tbody", None, *rows),
    )
    return element("div", {"class": "scroll", "tabindex": 0, "role": "region", "aria-label": "Measurements"}, table)


def _row(record: BenchRecord, columns: Sequence[Column], numeric: Sequence[bool], report: Report) -> Markup:
    cells = []
    for column, is_number in zip(columns, numeric, strict=True):
        css = [_css(column, is_number) or ""]
        css += ["main"] if column.head == "p50 ms" else []
        css += ["warn"] if column.text(record) == "noisy" else []
        css += ["bad"] if column.head == "status" and not record.is_ok else []
        text = column.text(record)
        shown = f"~ {text}" if column.head == "p50 ms" and is_noisy(record) else text
        attributes: dict[str, Value] = {
            "class": " ".join(filter(None, css)) or None,
            "data-value": _sorted_by(column.value(record)),
        }
        cells.append(element("td", attributes, shown))
    attributes = {"data-bundle": report.bundles[record.bundle], "data-runtime": record.runtime}
    return element("tr", attributes | {"data-precision": record.precision}, *cells)


def _css(column: Column, is_number: bool) -> str | None:
    """Numbers end under each other; paper has no room for every column."""
    return " ".join((["num"] if is_number else []) + ([] if column.brief else ["extra"])) or None


def _sorted_by(value: float | str | None) -> str | None:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return str(value)


def _failed(device: Device, report: Report) -> Markup:
    """What has no times, and why."""
    timed = set(map(id, device.timed))
    failed = [record for record in device.records if id(record) not in timed]
    if not failed:
        return Markup("")
    labels = label_records(device.records, report.bundles)
    rows = [
        element(
            "tr",
            {"data-bundle": report.bundles[record.bundle], "data-runtime": record.runtime},
            element("td", None, labels.of(record)),
            element("td", {"class": f"keep {_severity(record)}"}, record.status.replace("_", " ")),
            element("td", None, record.reason or ""),
        )
        for record in failed
    ]
    heads = [element("th", {"scope": "col"}, head) for head in ("measurement", "status", "reason")]
    head, body = element("thead", None, element("tr", None, *heads)), element("tbody", None, *rows)
    table = element("table", {"class": "wrap"}, head, body)
    return join([element("h3", None, "Not timed"), element("div", {"class": "scroll"}, table)])


def _severity(record: BenchRecord) -> str:
    """What a host cannot run is no defect."""
    return "warn" if record.status == UNAVAILABLE else "bad"


def _figures(device: Device, report: Report) -> Markup:
    records, bundles = device.timed, report.bundles
    if not records:
        return Markup("")
    timelines = draw_timelines(device.long, device.records, bundles)
    drawn = {
        "Latency against accuracy": draw_pareto(records, bundles),
        "Latency against input size": draw_lines(records, bundles, TOKENS),
        "Latency against threads": draw_lines(records, bundles, THREADS),
        "Throughput against requests in flight": draw_lines(records, bundles, BATCH),
        "Where a whole prediction spends its time": draw_bars(records, bundles, SPLIT),
        "Memory": draw_bars(records, bundles, MEMORY),
        "GPU memory": draw_bars(records, bundles, GPU_MEMORY),
    }
    figures = [figure for figure in drawn.values() if figure is not None]
    absent = [name for name in MISSING if (not timelines if name == "Over time" else drawn[name] is None)]
    missing = [f"{name}: {MISSING[name]}." for name in absent]
    left_out = [element("h3", None, "Not in these records")] if missing else []
    left_out += [element("ul", {"class": "plain"}, *(element("li", None, text) for text in missing))] if missing else []
    over_time = [element("div", {"class": "figures"}, *timelines)] if timelines else []
    parts = [element("h3", None, "Figures"), element("div", {"class": "figures"}, *figures), *over_time, *left_out]
    return join(parts)


def _definitions(facts: Sequence[tuple[str, str]]) -> list[Child]:
    return [item for name, value in facts for item in (element("dt", None, name), element("dd", None, value))]
