"""Latency over time: what a device does after it got warm, with its clocks, its temperature and its throttling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.record_parts import Bucket, Sustained
from pixio_edge.bench.report_chart import WIDTH, Plot, axes, bar, brief, colour, figure, svg, text, text_width
from pixio_edge.bench.report_data import finite, usable
from pixio_edge.bench.report_labels import label_records, milliseconds, number, percent
from pixio_edge.bench.report_markup import Child, Markup, element, join
from pixio_edge.bench.report_scales import Scale, apart, linear_scale, linear_ticks

LEFT, TOP, GAP = 52.0, 40.0, 46.0
PANEL, FIRST_PANEL = 84.0, 150.0
LABEL_GAP = 15.0
# More sensors of one kind than this are one tangle: the hottest are drawn, the others are in the records.
MOST_LINES = 3


@dataclass(frozen=True, slots=True)
class Track:
    """One line of a panel.

    Args:
        name: Beside its end.
        css: Class of its colour.
        values: One for each bucket; None where the sensor was silent.
    """

    name: str
    css: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One of the graphs above each other.

    Args:
        unit: Name of its axis.
        tracks: Its lines.
        from_zero: Whether the axis begins at 0.
        height: In pixels.
    """

    unit: str
    tracks: tuple[Track, ...]
    from_zero: bool
    height: float = PANEL


def draw_timelines(
    records: Sequence[BenchRecord], among: Sequence[BenchRecord], bundles: dict[str, str]
) -> list[Markup]:
    """One figure for each record that ran for long enough to be a line.

    Args:
        records: Those with a sustained run.
        among: All records of the device, from which their names tell them.
        bundles: Names by what records call their bundle.
    """
    labels = label_records(among, bundles)
    return [
        _draw(record, record.sustained, labels.of(record), bundles)
        for record in records
        if record.sustained is not None and len(record.sustained.buckets) > 1
    ]


def throttled_share(sustained: Sustained) -> float | None:
    """Share of the time that was throttled; None where the host does not tell."""
    known = [bucket for bucket in sustained.buckets if bucket.throttled is not None]
    seconds = sum(bucket.seconds for bucket in known)
    return sum(bucket.seconds for bucket in known if bucket.throttled) / seconds if seconds else None


def list_panels(sustained: Sustained, shade: str) -> list[Panel]:
    """What the host told, latency first."""
    buckets = sustained.buckets
    latency = (
        Track("p50", f"strong {shade}", _values(buckets, lambda bucket: usable(bucket.p50_ms))),
        Track("p99", f"faint {shade}", _values(buckets, lambda bucket: usable(bucket.p99_ms))),
    )
    clocks = (
        Track("CPU", "strong part-b", _values(buckets, lambda bucket: usable(bucket.cpu_mhz))),
        Track("GPU", "strong part-c", _values(buckets, lambda bucket: usable(bucket.gpu_mhz))),
    )
    power = (Track("power", "strong part-b", _values(buckets, lambda bucket: usable(bucket.power_w))),)
    panels = [
        Panel("latency (ms)", latency, True, FIRST_PANEL),
        Panel("clock (MHz)", clocks, True),
        Panel("temperature (°C)", _temperatures(buckets), False),
        Panel("power (W)", power, True),
    ]
    told = (
        Panel(panel.unit, tuple(track for track in panel.tracks if _numbers([track])), panel.from_zero, panel.height)
        for panel in panels
    )
    return [panel for panel in told if panel.tracks]


def _temperatures(buckets: Sequence[Bucket]) -> tuple[Track, ...]:
    names = {name for bucket in buckets for name in bucket.temperatures_c or {}}

    def at(name: str) -> tuple[float | None, ...]:
        return _values(buckets, lambda bucket: finite((bucket.temperatures_c or {}).get(name)))

    tracks = {name: at(name) for name in names}
    hottest = sorted(names, key=lambda name: (-max(_known(tracks[name]), default=0.0), name))
    shades = ("strong part-c", "strong part-b", "strong part-a")
    return tuple(Track(name, css, tracks[name]) for name, css in zip(hottest[:MOST_LINES], shades, strict=False))


def _values(buckets: Sequence[Bucket], value: Callable[[Bucket], float | None]) -> tuple[float | None, ...]:
    return tuple(value(bucket) for bucket in buckets)


def _numbers(tracks: Sequence[Track]) -> list[float]:
    return [value for track in tracks for value in _known(track.values)]


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _draw(record: BenchRecord, sustained: Sustained, label: str, bundles: dict[str, str]) -> Markup:
    panels = list_panels(sustained, colour(record.runtime))
    side = max(text_width(brief(track.name)) for panel in panels for track in panel.tracks) + 12
    in_minutes = sustained.seconds > 180
    across = _time_scale(sustained, WIDTH - side, 60.0 if in_minutes else 1.0)
    top, drawn = TOP, list[Child]()
    for index, panel in enumerate(panels):
        is_last = index == len(panels) - 1
        plot = Plot(across, _panel_scale(panel, top))
        name = f"time ({'minutes' if in_minutes else 'seconds'})" if is_last else ""
        texts = None if is_last else [""] * len(across.ticks)
        drawn += [_shade(sustained, plot, 60.0 if in_minutes else 1.0), axes(plot, name, panel.unit, texts)]
        drawn.append(_tracks(panel, sustained, plot, 60.0 if in_minutes else 1.0))
        top += panel.height + GAP
    height = top - GAP + 46
    attributes = {"class": "mark", "data-bundle": bundles[record.bundle], "data-runtime": record.runtime}
    attributes |= {"data-precision": record.precision}
    drawing = svg(height, f"Latency over time of {label}", *drawn)
    return element("div", attributes, figure(f"Over time: {label}", _lead(sustained), drawing))


def _time_scale(sustained: Sustained, right: float, unit_s: float) -> Scale:
    end = max(bucket.start_s + bucket.seconds for bucket in sustained.buckets) / unit_s
    ticks = tuple(value for value in linear_ticks(0.0, end) if value <= end)
    return Scale(0.0, end, LEFT, right, False, ticks)


def _panel_scale(panel: Panel, top: float) -> Scale:
    numbers = _numbers(panel.tracks)
    scale = linear_scale((0.0, *numbers) if panel.from_zero else numbers, top + panel.height, top)
    # Small panels have room for every other label.
    ticks = scale.ticks if panel.height > PANEL else scale.ticks[:: max(1, (len(scale.ticks) + 1) // 3)]
    return Scale(scale.low, scale.high, scale.start, scale.end, False, ticks)


def _shade(sustained: Sustained, plot: Plot, unit_s: float) -> Markup:
    """Stretches in which the host held its clocks back."""
    stretches: list[tuple[float, float]] = []
    for bucket in sustained.buckets:
        if bucket.throttled:
            begin, end = bucket.start_s, bucket.start_s + bucket.seconds
            follows = stretches and begin <= stretches[-1][1] + bucket.seconds / 2
            stretches.append((stretches.pop()[0] if follows else begin, end))
    places = [(plot.x.at(begin / unit_s), plot.x.at(end / unit_s)) for begin, end in stretches]
    return join(bar(left, plot.top, right - left, plot.bottom - plot.top, "throttled") for left, right in places)


def _tracks(panel: Panel, sustained: Sustained, plot: Plot, unit_s: float) -> Markup:
    """Lines with their names at the end; a silent sensor leaves a gap."""
    middles = [plot.x.at((bucket.start_s + bucket.seconds / 2) / unit_s) for bucket in sustained.buckets]
    ends = [plot.y.at(next(value for value in reversed(track.values) if value is not None)) for track in panel.tracks]
    names = apart(ends, LABEL_GAP, plot.top + 4, plot.bottom)
    parts: list[Child] = []
    for track, place in zip(panel.tracks, names, strict=True):
        path, pen = "", "M"
        for x, value in zip(middles, track.values, strict=True):
            if value is None:
                pen = "M"
            else:
                path += f"{pen}{x:.1f} {plot.y.at(value):.1f}"
                pen = "L"
        parts.append(element("path", {"class": f"track {track.css}", "d": path}))
        parts.append(text(plot.right + 8, place + 4, brief(track.name), "label"))
    return join([*parts, _readings(panel, sustained, plot, unit_s)])


def _readings(panel: Panel, sustained: Sustained, plot: Plot, unit_s: float) -> Markup:
    """Unseen columns that tell the values of a stretch when pointed at."""
    columns = []
    for index, bucket in enumerate(sustained.buckets):
        left = plot.x.at(bucket.start_s / unit_s)
        width = plot.x.at((bucket.start_s + bucket.seconds) / unit_s) - left
        values = [f"{track.name} {number(track.values[index])}" for track in panel.tracks]
        held = ["throttled"] if bucket.throttled else []
        begin = f"{bucket.start_s:.0f} to {bucket.start_s + bucket.seconds:.0f} s"
        title = element("title", None, "\n".join([begin, panel.unit, *values, *held]))
        column = bar(left, plot.top, width, plot.bottom - plot.top, "column")
        columns.append(element("g", {"class": "reading"}, title, column))
    return join(columns)


def _lead(sustained: Sustained) -> str:
    first, last = sustained.first_p50_ms, sustained.last_p50_ms
    change = f" ({percent(last / first)})" if usable(first) and usable(last) else ""
    share = throttled_share(sustained)
    held = "The host does not tell whether it throttled." if share is None else f"Throttled {share:.0%} of the time."
    if share:
        held = held.removesuffix(".") + " (shaded)."
    mode = f" Power mode {sustained.power_mode}." if sustained.power_mode else ""
    return f"{milliseconds(first)} at the start, {milliseconds(last)} at the end{change}. {held}{mode}"
