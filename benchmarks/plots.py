"""Draws the pictures of docs/benchmarks.md from the newest records, as small SVG files that are the same each time.

python benchmarks/plots.py && python benchmarks/tables.py
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from pages import PICTURES
from peers_table import fastest
from recording import RECORDS, latest_run
from soak_measures import GROWTH_LIMIT_MIB
from table_text import Record

from pixio_edge.files import write_text_atomic

# One colour for each system or run, that read in light and dark pages and without colour vision (Okabe and Ito).
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vP"
# Text as text and no date: small files, equal for equal records.
STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "pixio-edge", "font.size": 9, "axes.spines.top": False}
SHOWN_RUNS = (("openvino", "int8"), ("openvino", "fp32"), ("ort", "int8"), ("ort", "fp32"))


def main() -> None:
    """Draw every picture that there are records for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("-o", "--output", type=Path, default=PICTURES)
    arguments = parser.parse_args()
    for path in draw_all(arguments.records, arguments.output):
        print(path)


def draw_all(records: Path, output: Path) -> list[Path]:
    """Write a picture for each kind of record that is there."""
    written = []
    for name, draw in DRAWERS.items():
        found = latest_run(name, records)
        if found:
            output.mkdir(parents=True, exist_ok=True)
            write_text_atomic(output / f"{name}.svg", as_svg(draw(found)))
            written.append(output / f"{name}.svg")
    return written


def as_svg(figure: Figure) -> str:
    """Text of a figure."""
    buffer = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def draw_peers(records: list[Record]) -> Figure:
    """Latency of the models alone over the number of pixels of their input; the fastest engine of each precision."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes(1)
        plot = axes[0]
        models = [record for record in records if record["status"] == "ok" and record["scope"] == "model"]
        systems = list(dict.fromkeys(record["system"] for record in models))
        for index, system in enumerate(systems):
            for precision, line in (("int8", "-"), ("fp32", ":")):
                of_both = [r for r in models if (r["system"], r["precision"]) == (system, precision)]
                points = sorted((r["size"][0], r["p50_ms"]) for r in _fastest_engine(fastest(of_both)))
                if points:
                    style: dict[str, Any] = {"color": COLORS[index], "marker": MARKERS[index], "linestyle": line}
                    plot.plot(*zip(*points, strict=True), label=f"{system} {precision}", **style)
        plot.set(xlabel="height and width of the input", ylabel="p50 ms", yscale="log")
        # Beside the lines: it has eight rows, and covers some of them anywhere else.
        plot.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
        return figure


def _fastest_engine(records: list[Record]) -> list[Record]:
    best: dict[int, Record] = {}
    for record in records:
        side = record["size"][0]
        if side not in best or record["p50_ms"] < best[side]["p50_ms"]:
            best[side] = record
    return list(best.values())


def draw_scaling(records: list[Record]) -> Figure:
    """Latency over tokens for each preset, and memory of both."""
    rows = [record for record in records if "stage" not in record and record["status"] == "ok"]
    rows = [record for record in rows if record["in_flight"] == 1]
    most = max(record["threads"] for record in rows)
    rows = [record for record in rows if record["threads"] == most]
    presets = list(dict.fromkeys(record["preset"] for record in rows))
    with mpl.rc_context(STYLE):
        figure, axes = _axes(len(presets) + 1)
        for plot, preset in zip(axes, presets, strict=False):
            for index, (engine, precision) in enumerate(SHOWN_RUNS):
                _line(plot, rows, preset, engine, precision, index=index, value="p50_ms", label=f"{engine} {precision}")
            plot.set(title=preset, xlabel="tokens", ylabel="p50 ms", xscale="log", yscale="log")
            plot.legend(frameon=False, fontsize=7)
        for index, preset in enumerate(presets):
            _line(axes[-1], rows, preset, *SHOWN_RUNS[0], index=index, value="peak_rss_mib", label=preset)
        axes[-1].set(
            title=" ".join(SHOWN_RUNS[0]), xlabel="tokens", ylabel="peak RSS MiB", xscale="log", ylim=(0, None)
        )
        axes[-1].legend(frameon=False, fontsize=7)
        return figure


def _line(
    plot: Any, rows: list[Record], preset: str, engine: str, precision: str, *, index: int, value: str, label: str
) -> None:
    chosen = [r for r in rows if (r["preset"], r["engine"], r["precision"]) == (preset, engine, precision)]
    points = sorted((record["tokens"], record[value]) for record in chosen)
    if points:
        plot.plot(*zip(*points, strict=True), color=COLORS[index], marker=MARKERS[index], markersize=4, label=label)


def draw_soak(records: list[Record]) -> Figure:
    """What resident memory grew by over the time of each phase: from 0 on, growth of some MiB would not be seen."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes(1)
        for index, record in enumerate(records):
            if record["memory"]:
                seconds, memory = zip(*record["memory"], strict=True)
                label = f"{record['phase']}, {record['callers']} caller{'s' * (record['callers'] > 1)}"
                grown = [value - memory[0] for value in memory]
                axes[0].plot([second / 60 for second in seconds], grown, color=COLORS[index], label=label)
        axes[0].set(xlabel="minutes", ylabel="growth of resident memory, MiB")
        axes[0].axhspan(0, GROWTH_LIMIT_MIB, color="#00000018", label="limit in 30 minutes, after warm-up")
        axes[0].legend(frameon=False, fontsize=7)
        return figure


def _axes(count: int) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(3.4 * count + (1.6 if count == 1 else 0), 3.0), layout="constrained")
    figure.patch.set_facecolor("white")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


DRAWERS: dict[str, Callable[[list[Record]], Figure]] = {
    "peers": draw_peers,
    "scaling": draw_scaling,
    "soak": draw_soak,
}


if __name__ == "__main__":
    main()
