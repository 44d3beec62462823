"""Latency against tokens and against threads, throughput against requests in flight: one line for each series."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.report_chart import (
    WIDTH,
    Plot,
    axes,
    brief,
    colour,
    figure,
    line,
    marked,
    point,
    svg,
    text,
    text_width,
)
from pixio_edge.bench.report_data import median_ms, usable
from pixio_edge.bench.report_labels import Labels, family, label_records
from pixio_edge.bench.report_markup import Markup, element, join
from pixio_edge.bench.report_scales import apart, log_scale, spread_scale
from pixio_edge.bench.report_titles import describe

LEFT, TOP, BELOW = 52.0, 34.0, 48.0
LABEL_GAP = 15.0
SHORTEST, LONGEST_SIDE = 250.0, 210.0
# Inputs of one area in several shapes have nearly the same number of tokens: no line goes through those.
NARROWEST = 1.3
# Room between a line and its name, with the dash that joins them.
JOINT = 16.0


@dataclass(frozen=True, slots=True)
class Question:
    """What a figure of lines asks.

    Args:
        title: Heading.
        lead: How to read it.
        axis: Name of the horizontal axis.
        unit: Name of the vertical axis.
        across: Value on the horizontal axis.
        upwards: Value on the vertical axis.
        held: What is the same along a line.
        without: What the labels need not say.
    """

    title: str
    lead: str
    axis: str
    unit: str
    across: Callable[[BenchRecord], float | None]
    upwards: Callable[[BenchRecord], float | None]
    held: Callable[[BenchRecord], Hashable]
    without: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """One line.

    Args:
        records: In the order of the horizontal axis.
        places: (across, upwards) of each.
    """

    records: tuple[BenchRecord, ...]
    places: tuple[tuple[float, float], ...]


def series_key(record: BenchRecord) -> tuple[Hashable, ...]:
    """What is one model on one engine: the same at every size and with every number of threads."""
    return record.bundle, record.runtime, record.provider, record.precision, family(record), record.pin_cores


TOKENS = Question(
    title="Latency against input size",
    lead="A token is one 16 × 16 patch of the input. On logarithmic axes, time in proportion to tokens is a straight "
    "line with slope 1; steeper means that attention dominates.",
    axis="tokens (logarithmic)",
    unit="median latency (ms)",
    across=lambda record: record.tokens or record.size[0] * record.size[1] / 256,
    upwards=median_ms,
    held=lambda record: (series_key(record), record.threads, record.batch),
    without=("size",),
)
THREADS = Question(
    title="Latency against threads",
    lead="Twice the threads at best halve the time.",
    axis="threads of one inference (logarithmic)",
    unit="median latency (ms)",
    across=lambda record: record.threads,
    upwards=median_ms,
    held=lambda record: (series_key(record), record.size, record.batch),
    without=("threads",),
)
BATCH = Question(
    title="Throughput against requests in flight",
    lead="Each request runs an image of its own; a flat line means that one request already fills the device.",
    axis="requests in flight (logarithmic)",
    unit="inferences per second",
    across=lambda record: record.batch,
    upwards=lambda record: usable(record.throughput_fps),
    held=lambda record: (series_key(record), record.size, record.threads),
    without=("batch",),
)


def draw_lines(records: Sequence[BenchRecord], bundles: dict[str, str], question: Question) -> Markup | None:
    """The figure; None when nothing was measured at two values or more."""
    found = find_series(records, question)
    if not found:
        return None
    shown = [record for series in found for record in series.records]
    labels = label_records(shown, bundles, question.without)
    return figure(question.title, question.lead, _draw(found, question, labels, bundles))


def find_series(records: Sequence[BenchRecord], question: Question) -> list[Series]:
    """Lines that reach far enough to be one, the one that ends lowest first."""
    groups: dict[Hashable, list[tuple[float, float, BenchRecord]]] = defaultdict(list)
    for record in records:
        across, upwards = question.across(record), question.upwards(record)
        if across and upwards is not None:
            groups[question.held(record)].append((across, upwards, record))
    series = []
    for group in groups.values():
        ordered = sorted(group, key=lambda item: item[:2])
        if ordered[-1][0] >= NARROWEST * ordered[0][0]:
            records_of = tuple(item[2] for item in ordered)
            series.append(Series(records_of, tuple(item[:2] for item in ordered)))
    return sorted(series, key=lambda each: each.places[-1][1])


def commonest_threads(records: Sequence[BenchRecord]) -> int | None:
    """The number of threads that most records have, the larger of equal ones: what figures of sizes are drawn for."""
    counts = Counter(record.threads for record in records if record.threads is not None)
    return max(counts, key=lambda threads: (counts[threads], threads), default=None)


def _draw(found: Sequence[Series], question: Question, labels: Labels, bundles: dict[str, str]) -> Markup:
    names = [brief(labels.of(series.records[-1])) for series in found]
    side = min(max(map(text_width, names)), LONGEST_SIDE) + JOINT + 4
    height = max(SHORTEST, len(found) * LABEL_GAP) + TOP + BELOW
    across = [place[0] for series in found for place in series.places]
    upwards = [place[1] for series in found for place in series.places]
    ticks = sorted(set(across))
    plot = Plot(log_scale(across, LEFT, WIDTH - side, ticks), spread_scale(upwards, height - BELOW, TOP))
    places = [[(plot.x.at(x), plot.y.at(y)) for x, y in series.places] for series in found]
    ends = apart([line_[-1][1] for line_ in places], LABEL_GAP, plot.top + 4, plot.bottom)
    unit = f"{question.unit}, logarithmic" if plot.y.log else question.unit
    drawn = [
        _draw_series(series, line_, (name, labels.of(series.records[-1])), end, bundles)
        for series, line_, name, end in zip(found, places, names, ends, strict=True)
    ]
    description = f"{question.title}: {len(found)} lines"
    return svg(height, description, axes(plot, question.axis, unit), join(drawn))


def _draw_series(
    series: Series,
    places: Sequence[tuple[float, float]],
    names: tuple[str, str],
    end: float,
    bundles: dict[str, str],
) -> Markup:
    """The line, its points, and its name at the end."""
    last = series.records[-1]
    shade = colour(last.runtime)
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    x, y = places[-1]
    whole = (
        element("path", {"class": f"series {shade}", "d": path}),
        line(x + 7, y, x + JOINT - 2, end, "joint"),
        text(x + JOINT, end + 4, names[0], "label"),
    )
    marks = [
        marked(record, bundles[record.bundle], describe(record, names[1], bundles), point(x, y, record))
        for record, (x, y) in zip(series.records, places, strict=True)
    ]
    return join([marked(last, bundles[last.bundle], names[1], *whole), *marks])
