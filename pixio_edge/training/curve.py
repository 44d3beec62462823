"""Learning curve of a run as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pixio_edge.files import atomic_path

CURVES = (("loss", "training batch"), ("held_back", "held-back scenes (averaged weights)"))


def plot_curve(log: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw training loss and held-back loss over images seen, with the row prior as a dashed line.

    Args:
        log: Lines of a run's log, see `RunFolder.read_log`.
        path: PNG file.

    Raises:
        OutputError: The file cannot be written.
    """
    # A figure of its own rather than pyplot's: nothing global, and no display is looked for.
    from matplotlib.figure import Figure  # noqa: PLC0415  (takes a second, and training may never get here)

    figure = Figure(figsize=(8, 4.5))
    axes = figure.add_subplot()
    for key, label in CURVES:
        rows = [(line["images"], line[key]) for line in log if key in line]
        if rows:
            axes.plot(*zip(*rows, strict=True), label=label, alpha=0.5 if key == "loss" else 1.0)
    prior = [line["row_prior"] for line in log if "row_prior" in line]
    if prior:
        axes.axhline(prior[-1], linestyle="--", color="grey", label="row prior")
    axes.set(xlabel="images seen", ylabel="loss", yscale="log")
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110, bbox_inches="tight")
