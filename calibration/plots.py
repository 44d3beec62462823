"""Pictures of activation outliers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pixio_edge.calibration.histogram import HALF_BINS
from pixio_edge.errors import MissingDependencyError
from pixio_edge.files import atomic_path, create_folder

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pixio_edge.calibration.report import LayerOutliers, OutlierReport
    from pixio_edge.calibration.tensor_statistics import Statistics

TOKENS_NAME = "outliers_tokens.png"
CHANNELS_NAME = "outliers_channels.png"
HISTOGRAMS_NAME = "outliers_histograms.png"

# Layers that get a curve or a histogram of their own, three to a row.
WORST_LAYERS = 6
# Bins of the histogram that are drawn as one, so that bars are wider than a pixel.
BINS_PER_BAR = 32
# Of the largest channel: smaller ones, which INT8 rounds to zero, are drawn at this share of it.
SMALLEST_SHARE = 1 / 1024


def plot_outliers(report: OutlierReport, statistics: Statistics, folder: Path) -> tuple[Path, ...]:
    """Draw which tokens and channels are large, and how the values of the worst layers are distributed.

    Args:
        report: Of the layers to draw.
        statistics: What it was made from.
        folder: Where the pictures go; created if it is missing.

    Returns:
        Paths of the pictures: tokens by layer (left out if no layer reads tokens), channels and histograms of the worst
        layers.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: A picture cannot be written.
    """
    create_folder(folder)
    with_tokens = [layer for layer in report.layers if layer.patch_median]
    worst = report.worst[:WORST_LAYERS]
    pictures = {TOKENS_NAME: _draw_tokens(with_tokens)} if with_tokens else {}
    if worst:
        pictures[CHANNELS_NAME] = _draw_each(worst, statistics, _draw_channels)
        pictures[HISTOGRAMS_NAME] = _draw_each(worst, statistics, _draw_histogram)
    for name, figure in pictures.items():
        with atomic_path(folder / name) as temporary:
            figure.savefig(temporary, format="png", dpi=110)
    return tuple(folder / name for name in pictures)


def _draw_tokens(layers: list[LayerOutliers]) -> Figure:
    """Heat map: rows are layers, columns are class tokens, the largest patch and the median patch."""
    classes = max(len(layer.class_amax or ()) for layer in layers)
    values = np.full((len(layers), classes + 2), np.nan)
    for row, layer in zip(values, layers, strict=True):
        of_class = layer.class_amax or ()
        row[: len(of_class)] = of_class
        row[classes:] = layer.patch_amax or 0.0, layer.patch_median or 0.0
    figure = _new_figure((4.5 + 0.55 * (classes + 2), 1.6 + 0.24 * len(layers)))
    axes = figure.add_subplot()
    ratios = np.log2(np.maximum(values / values[:, -1:], 2.0**-3))
    image = axes.imshow(ratios, aspect="auto", cmap="RdBu_r", vmin=-5, vmax=5)
    for (row_index, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            is_dark = abs(ratios[row_index, column]) > 3
            style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 6}
            axes.text(column, row_index, f"{value:.3g}", color="white" if is_dark else "black", **style)
    columns = [f"class {index}" for index in range(classes)] + ["max patch", "median patch"]
    axes.set_xticks(range(len(columns)), columns, rotation=60, fontsize=7)
    axes.set_yticks(range(len(layers)), [layer.layer for layer in layers], fontsize=6)
    axes.set_title("largest magnitude of the tokens that a layer reads", fontsize=9)
    bar = figure.colorbar(image, ax=axes)
    bar.set_label("over that of the median patch, log2", fontsize=7)
    return figure


def _draw_each(layers: tuple[LayerOutliers, ...], statistics: Statistics, draw: Any) -> Figure:
    columns = min(3, len(layers))
    rows = -(-len(layers) // columns)
    figure = _new_figure((4.2 * columns, 2.8 * rows))
    for index, layer in enumerate(layers):
        axes = figure.add_subplot(rows, columns, index + 1)
        draw(axes, layer, statistics)
        axes.set_title(layer.layer, fontsize=7)
        axes.tick_params(labelsize=6)
    return figure


def _draw_channels(axes: Axes, layer: LayerOutliers, statistics: Statistics) -> None:
    """Largest magnitude of every channel, sorted, and the range used."""
    floor = max(layer.amax, float(np.finfo(np.float32).tiny)) * SMALLEST_SHARE
    absmax = np.sort(statistics[layer.tensor].channels.absmax)[::-1]
    axes.plot(np.maximum(absmax, floor), label=f"largest {layer.channel_ratio:.1f} times the median")
    axes.axhline(layer.used, linestyle="--", color="grey", label="range used")
    axes.set_yscale("log")
    axes.set_ylim(floor, floor * 2 / SMALLEST_SHARE)
    axes.set_xlabel("channels, by magnitude", fontsize=7)
    axes.set_ylabel("largest magnitude", fontsize=7)
    axes.legend(fontsize=6)


def _draw_histogram(axes: Axes, layer: LayerOutliers, statistics: Statistics) -> None:
    """All values, and the range used."""
    histogram = statistics[layer.tensor].histogram
    counts = histogram.counts.reshape(-1, BINS_PER_BAR).sum(axis=1)
    width = (histogram.width or 1.0) * BINS_PER_BAR
    left = (np.arange(counts.size) - HALF_BINS // BINS_PER_BAR) * width
    filled = counts > 0
    axes.bar(left[filled], counts[filled], width=width, align="edge")
    chosen = statistics.range(layer.tensor)
    for limit in (chosen.low, chosen.high):
        axes.axvline(limit, linestyle="--", color="grey")
    axes.set_yscale("log")
    axes.set_xlabel("value; dashed: range used", fontsize=7)
    axes.set_ylabel("count", fontsize=7)


def _new_figure(size: tuple[float, float]) -> Figure:
    try:
        # A figure of its own rather than pyplot's: nothing global, and no display is looked for.
        from matplotlib.figure import Figure  # noqa: PLC0415  (takes a second, and most calibrations draw nothing)
    except ModuleNotFoundError as error:
        raise MissingDependencyError("matplotlib", "quantize", "drawing activation outliers") from error
    return Figure(figsize=size, layout="constrained")
