"""What the figures are made of: axes, marks that tell their values, names beside them.

Figures are drawn for the width of a phone and shown larger where there is room, so that no text gets too small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.report_data import is_noisy
from pixio_edge.bench.report_labels import tick
from pixio_edge.bench.report_markup import Child, Markup, Value, element, join, shorten
from pixio_edge.bench.report_scales import Scale

WIDTH = 440.0
FONT = 13.0
# Mean width of a character of a sans-serif font at `FONT`, on the wide side: text that is cut is worse than a gap.
CHARACTER = 0.56 * FONT
LONGEST_LABEL = 30

# Colours by runtime, the same in every report; what is not here gets the last one.
COLOURED_RUNTIMES = ("ort", "openvino", "tensorrt", "coreml", "pytorch", "tensorrt-rtx")
OTHER_COLOUR = "s-other"

# Shapes by precision around (0, 0), of about the same area.
SHAPES = {
    "fp32": "M-5 0A5 5 0 1 0 5 0A5 5 0 1 0-5 0Z",
    "fp16": "M0-6.2L6.2 0L0 6.2L-6.2 0Z",
    "bf16": "M0-6L6 4.8H-6Z",
    "int8": "M-4.6-4.6H4.6V4.6H-4.6Z",
}
OTHER_SHAPE = "M-5-5L5 5M-5 5L5-5"


@dataclass(frozen=True, slots=True)
class Plot:
    """The rectangle of a figure that data is drawn in.

    Args:
        x: Horizontal axis.
        y: Vertical axis; its `start` is the lower edge.
    """

    x: Scale
    y: Scale

    @property
    def left(self) -> float:
        """Left edge in pixels."""
        return min(self.x.start, self.x.end)

    @property
    def right(self) -> float:
        """Right edge in pixels."""
        return max(self.x.start, self.x.end)

    @property
    def top(self) -> float:
        """Upper edge in pixels."""
        return min(self.y.start, self.y.end)

    @property
    def bottom(self) -> float:
        """Lower edge in pixels."""
        return max(self.y.start, self.y.end)


def figure(title: str, lead: Child, drawing: Markup, note: Child = "") -> Markup:
    """A figure with its heading and what to see in it.

    Args:
        title: What it shows.
        lead: One sentence on how to read it.
        drawing: The SVG.
        note: What to know about the data; empty for nothing.
    """
    caption = element("figcaption", None, element("h4", None, title), element("p", None, lead))
    notes = [element("p", {"class": "note"}, note)] if note else []
    return element("figure", None, caption, drawing, *notes)


def svg(height: float, description: str, *children: Child, width: float = WIDTH) -> Markup:
    """A drawing that scales with the page; `description` is read out in place of it."""
    attributes: dict[str, Value] = {
        "viewBox": f"0 0 {width:.0f} {height:.0f}",
        "role": "img",
        "aria-label": description,
        "font-size": FONT,
    }
    return element("svg", attributes, *children)


def text(x: float, y: float, content: str, css: str = "", anchor: str = "start") -> Markup:
    """A line of text that begins, ends ("end") or has its middle ("middle") at a place."""
    attributes = {"x": x, "y": y, "class": css or None, "text-anchor": None if anchor == "start" else anchor}
    return element("text", attributes, content)


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> Markup:
    """A straight line."""
    return element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": css})


def bar(x: float, y: float, width: float, height: float, css: str) -> Markup:
    """A filled rectangle, which stays visible when it is very thin."""
    return element("rect", {"x": x, "y": y, "width": max(width, 0.6), "height": height, "class": css})


def axes(plot: Plot, x_name: str, y_name: str, x_texts: Sequence[str] | None = None) -> Markup:
    """Grid, tick labels and names with units.

    Args:
        plot: Where.
        x_name: Name of the horizontal axis; empty when a figure below has it.
        y_name: Name of the vertical axis.
        x_texts: Texts of its ticks; None writes the values.
    """
    texts = [tick(value) for value in plot.x.ticks] if x_texts is None else x_texts
    parts = [text(plot.left, plot.top - 10, y_name, "axis")]
    for value in plot.y.ticks:
        parts.append(line(plot.left, plot.y.at(value), plot.right, plot.y.at(value), "grid"))
        parts.append(text(plot.left - 6, plot.y.at(value) + 4, tick(value), "tick", "end"))
    free = plot.left - 100.0
    for value, label in zip(plot.x.ticks, texts, strict=True):
        place, half = plot.x.at(value), len(label) * CHARACTER / 2
        parts.append(line(place, plot.top, place, plot.bottom, "grid"))
        # A label that would touch the one before it is left out, its line stays.
        if place - half > free:
            parts.append(text(place, plot.bottom + 17, label, "tick", "middle"))
            free = place + half + 4
    parts.append(line(plot.left, plot.bottom, plot.right, plot.bottom, "base"))
    if x_name:
        parts.append(text((plot.left + plot.right) / 2, plot.bottom + 36, x_name, "axis", "middle"))
    return join(parts)


def marked(
    record: BenchRecord, bundle: str, title: str, *children: Child, place: tuple[float, float] | None = None
) -> Markup:
    """What is drawn of one record: it tells its values when pointed at, and goes when it is filtered out.

    Args:
        record: The record.
        bundle: Name of its bundle.
        title: What it tells.
        children: What is drawn.
        place: Where it is, when what is drawn of several records depends on which of them are shown.
    """
    attributes: dict[str, Value] = {"class": "mark", "data-bundle": bundle, "data-runtime": record.runtime}
    attributes |= {"data-precision": record.precision}
    if place is not None:
        attributes |= {"data-x": place[0], "data-y": place[1]}
    return element("g", attributes, element("title", None, title), *children)


def point(x: float, y: float, record: BenchRecord) -> Markup:
    """The sign of a record: colour by runtime, shape by precision, hollow when its times are not to be trusted."""
    return sign(record.runtime, record.precision, x, y, hollow=is_noisy(record))


def sign(runtime: str, precision: str, x: float, y: float, *, hollow: bool = False) -> Markup:
    """The sign of a runtime and a precision at a place."""
    css = f"point {colour(runtime)}{' hollow' if hollow else ''}"
    path = {"d": SHAPES.get(precision, OTHER_SHAPE), "class": css}
    return element("path", path | {"transform": f"translate({x:.1f} {y:.1f})"})


def colour(runtime: str) -> str:
    """CSS class of the colour of a runtime."""
    return f"s-{runtime}" if runtime in COLOURED_RUNTIMES else OTHER_COLOUR


def text_width(content: str) -> float:
    """About how wide a text is, in pixels; never less than it is in the usual fonts."""
    return len(content) * CHARACTER


def brief(label: str) -> str:
    """A name that fits beside a mark; its title has the whole."""
    return shorten(label, LONGEST_LABEL)
