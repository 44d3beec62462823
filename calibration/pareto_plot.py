"""Picture of latency against accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pixio_edge.errors import MissingDependencyError
from pixio_edge.files import atomic_path

if TYPE_CHECKING:
    from pathlib import Path

    from pixio_edge.calibration.budget import Budget
    from pixio_edge.calibration.pareto import Pareto

LAYERS_SHOWN = 24
DPI = 120


def plot_pareto(pareto: Pareto, budget: Budget, path: Path) -> None:
    """Draw the points, the budget and the float artifact, and beside them the layers that cost most alone.

    Args:
        pareto: What was measured.
        budget: Drawn as a limit on AbsRel.
        path: PNG to write.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: The file cannot be written.
    """
    try:
        # A figure of its own rather than pyplot's: nothing global, and no display is looked for.
        from matplotlib.figure import Figure  # noqa: PLC0415  (takes a second, and most runs draw nothing)
    except ModuleNotFoundError as error:
        raise MissingDependencyError("matplotlib", "quantize", "drawing the Pareto") from error
    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_points(left, pareto, budget)
    _draw_ranking(right, pareto)
    height, width = pareto.size
    figure.suptitle(f"{pareto.flavour} in {pareto.runtime}, {height}x{width}", fontsize=10)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)


def _draw_points(axes: Any, pareto: Pareto, budget: Budget) -> None:
    percent = [100.0 * point.agreement.abs_rel for point in pareto.points]
    times = [point.ms for point in pareto.points]
    axes.plot(times, percent, color="lightgrey", zorder=1)
    colours = ["tab:blue" if point.is_best else "lightsteelblue" for point in pareto.points]
    axes.scatter(times, percent, c=colours, zorder=2)
    for point, ms, value in zip(pareto.points, times, percent, strict=True):
        label = f"{len(point.keep_float)} float"
        axes.annotate(label, (ms, value), textcoords="offset points", xytext=(5, 5), fontsize=7)
    axes.axvline(pareto.float_ms, linestyle="--", color="grey", label=f"all in float: {pareto.float_ms:.1f} ms")
    axes.axhline(budget.abs_rel_percent, linestyle=":", color="tab:red", label="budget")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("latency, ms (median)", fontsize=8)
    axes.set_ylabel("AbsRel against the float depth, %", fontsize=8)
    axes.legend(fontsize=7)


def _draw_ranking(axes: Any, pareto: Pareto) -> None:
    shown = pareto.ranking[:LAYERS_SHOWN][::-1]
    axes.barh([item.layer for item in shown], [100.0 * item.agreement.abs_rel for item in shown])
    axes.tick_params(axis="y", labelsize=6)
    axes.set_xlabel("AbsRel with this layer alone in INT8, %", fontsize=8)
