"""Bars: where the time of a whole prediction goes, and memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.report_chart import WIDTH, bar, brief, figure, line, marked, svg, text, text_width
from pixio_edge.bench.report_data import usable
from pixio_edge.bench.report_labels import label_records, number, tick
from pixio_edge.bench.report_markup import Child, Markup, element, join
from pixio_edge.bench.report_scales import LOG_FACTOR, linear_scale
from pixio_edge.bench.report_titles import describe
from pixio_edge.sizes import size_label

# More bars than this are 500 pixels of a phone that nobody compares; the table has them all.
MOST_BARS = 24
ROW, THICK = 22.0, 13.0
TOP, BELOW = 8.0, 42.0
WIDEST_NAME = 215.0
# For the sum behind the longest bar.
SUM_ROOM = 46.0


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a bar.

    Args:
        name: In the legend.
        css: Class of its colour.
        value: Its length; None where a record does not have it.
    """

    name: str
    css: str
    value: Callable[[BenchRecord], float | None]


@dataclass(frozen=True, slots=True)
class Stack:
    """A figure of bars.

    Args:
        title: Heading.
        lead: How to read it.
        axis: Name of the axis, with the unit.
        parts: From left to right.
        shares: Whether bars that differ by more than `LOG_FACTOR` are drawn equally long, with the total beside them:
            the short ones would have no visible parts.
    """

    title: str
    lead: str
    axis: str
    parts: tuple[Part, ...]
    shares: bool = False


SPLIT = Stack(
    title="Where a whole prediction spends its time",
    lead="From a camera frame to depth at the size of the frame.",
    axis="median time (ms)",
    parts=(
        Part("prepare the frame", "part-a", lambda record: usable(record.pre_ms)),
        Part("inference", "part-b", lambda record: usable(record.infer_ms)),
        Part("restore the size", "part-c", lambda record: usable(record.post_ms)),
    ),
    shares=True,
)


def _beyond(record: BenchRecord, name: str, below: str | None) -> float | None:
    """Memory of a stage above that of the stage before."""
    if record.memory is None:
        return None
    value = usable(getattr(record.memory, name))
    base = usable(getattr(record.memory, below)) if below is not None else 0.0
    return None if value is None or base is None else max(value - base, 0.0)


def _peak(record: BenchRecord) -> float | None:
    """Peak above the last stage that was measured."""
    peak = usable(record.peak_rss_mib)
    loaded = None if record.memory is None else usable(record.memory.rss_loaded_mib)
    return None if peak is None else max(peak - (loaded or 0.0), 0.0)


MEMORY = Stack(
    title="Memory",
    lead="Resident memory of a process that does nothing else.",
    axis="MiB",
    parts=(
        Part("Python and this package", "part-a", lambda record: _beyond(record, "rss_before_mib", None)),
        Part("engine and model", "part-b", lambda record: _beyond(record, "rss_loaded_mib", "rss_before_mib")),
        Part("while it runs", "part-c", _peak),
    ),
)
GPU_MEMORY = Stack(
    title="GPU memory",
    lead="What the process held on the GPU after the timed inferences.",
    axis="MiB",
    parts=(Part("GPU", "part-b", lambda record: None if record.memory is None else usable(record.memory.gpu_mib)),),
)


def draw_bars(records: Sequence[BenchRecord], bundles: dict[str, str], stack: Stack) -> Markup | None:
    """The figure of at most `MOST_BARS`, the shortest first; None when no record has a value."""
    totals = [(total_of(record, stack), record) for record in records]
    shown = sorted(((total, record) for total, record in totals if total is not None), key=lambda item: item[0])
    if not shown:
        return None
    left_out, shown = len(shown), _choose(shown)
    left_out -= len(shown)
    ordered = [record for _, record in shown]
    frames = sorted({size_label(record.frame).replace("x", " × ") for record in ordered})
    note = f"Frames of {', '.join(frames)} pixels; the number is the total in ms." if stack is SPLIT else ""
    note += f" {left_out} longer bars are left out; the table has them." if left_out else ""
    used = [part for part in stack.parts if any(part.value(record) for record in ordered)]
    lead = join([stack.lead, " ", *(_key(part) for part in used)]) if len(used) > 1 else stack.lead
    return figure(stack.title, lead, _draw([total for total, _ in shown], ordered, stack, bundles), note)


def _choose(shown: Sequence[tuple[float, BenchRecord]]) -> list[tuple[float, BenchRecord]]:
    """The best of each runtime and precision, then the shortest of all others, in their order."""
    first: dict[tuple[str, str], int] = {}
    for at, (_, record) in enumerate(shown):
        first.setdefault((record.runtime, record.precision), at)
    best = list(first.values())[:MOST_BARS]
    others = [at for at in range(len(shown)) if at not in best][: MOST_BARS - len(best)]
    return [shown[at] for at in sorted([*best, *others])]


def total_of(record: BenchRecord, stack: Stack) -> float | None:
    """Length of the whole bar; None when a record has no part."""
    values = [value for part in stack.parts if (value := part.value(record)) is not None]
    return sum(values) or None


def _key(part: Part) -> Markup:
    """A word with its colour, in the line of the legend."""
    square = element("rect", {"width": 10, "height": 10, "class": part.css})
    return element("span", {"class": "key"}, element("svg", {"viewBox": "0 0 10 10"}, square), part.name)


def _draw(totals: Sequence[float], records: Sequence[BenchRecord], stack: Stack, bundles: dict[str, str]) -> Markup:
    labels = label_records(records, bundles)
    names = [labels.of(record) for record in records]
    left = min(max(text_width(brief(name)) for name in names), WIDEST_NAME) + 8
    shares = stack.shares and max(totals) / min(totals) >= LOG_FACTOR
    scale = linear_scale((0.0, *([100.0] if shares else totals)), left, WIDTH - SUM_ROOM)
    axis = "share of the total (%)" if shares else stack.axis
    bottom = TOP + ROW * len(records)
    parts: list[Child] = []
    for value in scale.ticks:
        parts.append(line(scale.at(value), TOP, scale.at(value), bottom, "grid"))
        parts.append(text(scale.at(value), bottom + 17, tick(value), "tick", "middle"))
    parts.append(text((left + WIDTH - SUM_ROOM) / 2, bottom + 36, axis, "axis", "middle"))
    for row, (record, name, total) in enumerate(zip(records, names, totals, strict=True)):
        top, x = TOP + ROW * row, left
        drawn = [text(left - 8, top + 15, brief(name), "label", "end")]
        for part in stack.parts:
            width = scale.at((part.value(record) or 0.0) * (100 / total if shares else 1)) - left
            if width > 0:
                drawn.append(bar(x, top + (ROW - THICK) / 2, width, THICK, part.css))
                x += width
        drawn.append(text(x + 5, top + 15, number(total), "value"))
        said = [f"{part.name}: {number(part.value(record))}" for part in stack.parts]
        title = "\n".join([describe(record, name, bundles), *said])
        parts.append(marked(record, bundles[record.bundle], title, *drawn))
    return svg(bottom + BELOW, f"{stack.title} of {len(records)} measurements", *parts)
