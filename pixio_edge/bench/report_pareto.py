"""Latency against accuracy, and which measurements no other one beats in both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.report_chart import (
    FONT,
    WIDTH,
    Plot,
    axes,
    brief,
    figure,
    line,
    marked,
    point,
    svg,
    text,
    text_width,
)
from pixio_edge.bench.report_data import median_ms, usable
from pixio_edge.bench.report_labels import (
    METRIC_NAMES,
    Labels,
    Metric,
    accuracy,
    choose_metric,
    family,
    is_stated,
    label_records,
)
from pixio_edge.bench.report_markup import Markup, element, join
from pixio_edge.bench.report_scales import linear_scale, spread_scale
from pixio_edge.bench.report_titles import describe
from pixio_edge.sizes import choose_size

HEIGHT = 360.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, WIDTH - 14.0, 34.0, HEIGHT - 46.0
# Accuracies that are nearer to each other are the same, as in `target.SAME_DELTA1`; the axis spans twenty of these.
SAME_ACCURACY = 0.001
LEAST_SPAN = 20 * SAME_ACCURACY


@dataclass(frozen=True, slots=True)
class Trade:
    """A measurement with both values.

    Args:
        record: The measurement.
        latency_ms: Median of one inference.
        accuracy: Value of the metric.
    """

    record: BenchRecord
    latency_ms: float
    accuracy: float


def list_trades(records: Sequence[BenchRecord], metric: Metric) -> list[Trade]:
    """Measurements of single requests that have both values, fastest first.

    A manifest states one accuracy for all its sizes, measured with each image at the size that fits it. It is that of
    the size which fits the frames that were measured with, and says nothing of the others.
    """
    sizes = defaultdict(set)
    for record in records:
        sizes[_ladder(record)].add(record.size)
    trades = []
    for record in records:
        if is_stated(record) and record.size != choose_size(sizes[_ladder(record)], record.frame):
            continue
        time, value = median_ms(record), accuracy(record, metric)
        if time is not None and value is not None and record.batch == 1:
            trades.append(Trade(record, time, value))
    return sorted(trades, key=lambda trade: trade.latency_ms)


def _ladder(record: BenchRecord) -> tuple[str, str, str, str]:
    return record.bundle, family(record), record.runtime, record.precision


def pareto_front(trades: Sequence[Trade], metric: Metric) -> list[Trade]:
    """Those that no other one equals or beats in both, fastest first; of equal ones (`SAME_ACCURACY`), the first.

    Args:
        trades: In any order.
        metric: Larger is better for delta1, smaller for abs_rel.
    """
    sense = 1.0 if metric == "delta1" else -1.0
    front: list[Trade] = []
    for trade in sorted(trades, key=lambda each: (each.latency_ms, -sense * each.accuracy)):
        if not front or sense * (trade.accuracy - front[-1].accuracy) >= SAME_ACCURACY:
            front.append(trade)
    return front


def draw_pareto(records: Sequence[BenchRecord], bundles: dict[str, str]) -> Markup | None:
    """The figure; None when no record has an accuracy."""
    metric = choose_metric(records)
    trades = [] if metric is None else list_trades(records, metric)
    if metric is None or not trades:
        return None
    front = pareto_front(trades, metric)
    labels = label_records([trade.record for trade in trades], bundles)
    drawing = _draw(trades, front, metric, labels, bundles)
    lead = (
        "Left is faster, up is more accurate. The line joins what nothing else beats in both; "
        "a whisker reaches to the 90th percentile."
    )
    return figure("Latency against accuracy", lead, drawing, _note(trades))


def _draw(
    trades: Sequence[Trade], front: Sequence[Trade], metric: Metric, labels: Labels, bundles: dict[str, str]
) -> Markup:
    name = METRIC_NAMES[metric]
    slowest = [usable(trade.record.p90_ms) or trade.latency_ms for trade in trades]
    upwards = (BOTTOM, TOP) if metric == "delta1" else (TOP, BOTTOM)
    plot = Plot(
        spread_scale([trade.latency_ms for trade in trades] + slowest, LEFT, RIGHT),
        linear_scale([trade.accuracy for trade in trades], *upwards, least_span=LEAST_SPAN),
    )
    places = {id(trade): (plot.x.at(trade.latency_ms), plot.y.at(trade.accuracy)) for trade in trades}
    marks = []
    for trade, slow in zip(trades, slowest, strict=True):
        x, y = places[id(trade)]
        title = describe(trade.record, labels.of(trade.record), bundles)
        whisker = line(x, y, plot.x.at(slow), y, "whisker")
        drawn = (whisker, point(x, y, trade.record))
        marks.append(marked(trade.record, bundles[trade.record.bundle], title, *drawn, place=(x, y)))
    scale = ", logarithmic" if plot.x.log else ""
    y_name = f"{name} (share of pixels)" if metric == "delta1" else f"{name} (lower is better)"
    named = [(labels.of(trade.record), places[id(trade)]) for trade in front]
    return svg(
        HEIGHT,
        f"Latency against {name} of {len(trades)} measurements",
        axes(plot, f"median latency of one inference (ms{scale})", y_name),
        _front_line([places[id(trade)] for trade in front]),
        join(marks),
        place_labels(named, list(places.values()), plot),
    )


def _front_line(places: Sequence[tuple[float, float]]) -> Markup:
    """Steps: between two measurements, the accuracy that is reached is that of the faster one."""
    first, *others = places
    steps = "".join(f"H{x:.1f}V{y:.1f}" for x, y in others)
    return element("path", {"class": "front", "d": f"M{first[0]:.1f} {first[1]:.1f}{steps}"})


def place_labels(
    named: Sequence[tuple[str, tuple[float, float]]], marks: Sequence[tuple[float, float]], plot: Plot
) -> Markup:
    """Names beside marks, where they cover neither a mark nor another name; one that fits nowhere is left out."""
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in marks]
    parts = []
    for name, (x, y) in named:
        short = brief(name)
        width = text_width(short)
        # Left and above first: nothing beats a mark of the front, so that corner of it is empty.
        for left, base in (
            (x - 10 - width, y + 4),
            (x - 4 - width, y - 9),
            (x - width / 2, y - 11),
            (x + 10, y + 4),
            (x + 4, y + 18),
            (x - 4, y - 11),
            (x - 4, y + 20),
        ):
            box = (left, base - FONT + 2, left + width, base + 3)
            if box[0] < plot.left or box[2] > plot.right or box[1] < plot.top or box[3] > plot.bottom:
                continue
            if any(box[0] < right and low < box[2] and box[1] < end and top < box[3] for low, top, right, end in taken):
                continue
            taken.append(box)
            parts.append(text(left, base, short, "label"))
            break
    return join(parts)


def _note(trades: Sequence[Trade]) -> str:
    """Accuracy of different data sets, and of other origins, is no common scale."""
    on = {trade.record.accuracy.on for trade in trades if trade.record.accuracy is not None}
    if len(on) > 1:
        return f"The accuracies are of different data and not comparable: {'; '.join(sorted(on))}."
    stated = " Stated by manifests, for the size that fits the frames." if any(map(_is_stated, trades)) else ""
    return f"Accuracy on {on.pop()}.{stated}"


def _is_stated(trade: Trade) -> bool:
    return is_stated(trade.record)
