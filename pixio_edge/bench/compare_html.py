"""A comparison with a baseline as a table and a figure of intervals."""

from __future__ import annotations

from collections.abc import Sequence

from pixio_edge.bench.compare import NEGLIGIBLE, Comparison, Pair
from pixio_edge.bench.compare_text import (
    conclude,
    describe_interval,
    list_changes,
    list_others,
    list_remarks,
    name_pairs,
)
from pixio_edge.bench.report_chart import WIDTH, bar, brief, figure, line, svg, text, text_width
from pixio_edge.bench.report_labels import number, percent
from pixio_edge.bench.report_markup import Markup, element, join
from pixio_edge.bench.report_scales import Scale, linear_scale

ROW, TOP, BELOW = 24.0, 8.0, 46.0
WIDEST_NAME = 215.0
# One pair that became ten times slower must not press all the others onto one line; it is drawn at the edge.
FARTHEST = 2.5

CSS = {"slower": "v-slower", "faster": "v-faster", "no difference": "v-none", "cannot tell": "v-none"}
WORDS = {"slower": "bad", "faster": "good", "no difference": "", "cannot tell": "soft"}


def draw_comparison(comparison: Comparison) -> Markup:
    """The section."""
    names = name_pairs(comparison)
    parts = [element("h2", None, "Against the baseline"), element("p", {"class": "lead"}, conclude(comparison))]
    if comparison.pairs:
        parts += [_table(comparison, names), element("div", {"class": "figures"}, _figure(comparison, names))]
    lists = {
        "How to read this": list_remarks(comparison),
        "What else changed": list_changes(comparison),
        "Not compared": list_others(comparison),
    }
    for head, lines in lists.items():
        if lines:
            items = (element("li", None, each) for each in lines)
            parts += [element("h3", None, head), element("ul", {"class": "plain"}, *items)]
    return element("section", None, *parts)


def _table(comparison: Comparison, names: Sequence[str]) -> Markup:
    heads = ("measurement", "baseline ms", "now ms", "change", f"{comparison.confidence:.2%} interval", "verdict")
    head = element("tr", None, *(element("th", {"scope": "col"}, title) for title in heads))
    rows = [_row(pair, name) for pair, name in zip(comparison.pairs, names, strict=True)]
    table = element("table", {"class": "sortable"}, element("thead", None, head), element("tbody", None, *rows))
    return element("div", {"class": "scroll"}, table)


def _row(pair: Pair, name: str) -> Markup:
    verdict = pair.verdict if pair.reason is None else f"{pair.verdict} ({pair.reason})"
    attributes = {"data-bundle": pair.combination.bundle, "data-runtime": pair.combination.runtime}
    low = None if pair.interval is None else f"{pair.interval.low:.6f}"
    return element(
        "tr",
        attributes | {"data-precision": pair.combination.precision},
        element("td", {"data-value": name}, name),
        element("td", {"class": "num", "data-value": f"{pair.old_ms:.6f}"}, number(pair.old_ms)),
        element("td", {"class": "num", "data-value": f"{pair.new_ms:.6f}"}, number(pair.new_ms)),
        element("td", {"class": "num main", "data-value": f"{pair.ratio:.6f}"}, percent(pair.ratio)),
        element("td", {"class": "num", "data-value": low}, describe_interval(pair)),
        element("td", {"class": WORDS[pair.verdict] or None, "data-value": verdict}, verdict),
    )


def _figure(comparison: Comparison, names: Sequence[str]) -> Markup:
    pairs = comparison.pairs
    left = min(max(text_width(brief(name)) for name in names), WIDEST_NAME) + 10
    scale = _scale(pairs, left)
    bottom = TOP + ROW * len(pairs)
    band = (scale.at(1 / (1 + NEGLIGIBLE)), scale.at(1 + NEGLIGIBLE))
    parts = [bar(band[0], TOP, band[1] - band[0], bottom - TOP, "band")]
    for value in scale.ticks:
        place = scale.at(value)
        parts.append(line(place, TOP, place, bottom, "one" if value == 1 else "grid"))
        label = "same" if value == 1 else f"{value - 1:+.0%}".replace("-", "−")
        parts.append(text(place, bottom + 17, label, "tick", "middle"))
    parts.append(text((left + WIDTH) / 2, bottom + 36, "change (right is slower)", "axis", "middle"))
    for row, (pair, name) in enumerate(zip(pairs, names, strict=True)):
        parts.append(_mark(pair, name, scale, TOP + ROW * (row + 0.5), left))
    lead = f"Lines are {comparison.confidence:.2%} intervals; ±{NEGLIGIBLE:.0%}, the band, counts as no difference."
    drawing = svg(bottom + BELOW, f"Change of {len(pairs)} medians", *parts)
    return figure("Change of the median latency", lead, drawing)


def _scale(pairs: Sequence[Pair], left: float) -> Scale:
    ends = [1 - 2 * NEGLIGIBLE, 1 + 2 * NEGLIGIBLE, *(pair.ratio for pair in pairs)]
    ends += [end for pair in pairs if pair.interval is not None for end in (pair.interval.low, pair.interval.high)]
    return linear_scale([min(end, FARTHEST) for end in ends], left, WIDTH - 24)


def _mark(pair: Pair, name: str, scale: Scale, middle: float, left: float) -> Markup:
    css = f"point {CSS[pair.verdict]}{' hollow' if pair.verdict == 'cannot tell' else ''}"
    place = scale.at(pair.ratio)
    drawn = [text(left - 10, middle + 4, brief(name), "label", "end")]
    if pair.interval is not None:
        drawn.append(line(scale.at(pair.interval.low), middle, scale.at(pair.interval.high), middle, "interval"))
    drawn.append(element("circle", {"cx": place, "cy": middle, "r": 5, "class": css}))
    told = f"{name}\n{percent(pair.ratio)} {describe_interval(pair)}\n{pair.verdict}"
    attributes = {"class": "mark", "data-bundle": pair.combination.bundle, "data-runtime": pair.combination.runtime}
    attributes |= {"data-precision": pair.combination.precision}
    return element("g", attributes, element("title", None, told), join(drawn))
