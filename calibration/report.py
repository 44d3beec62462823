"""How unevenly the inputs of the layers are filled: what makes INT8 lose accuracy, by layer, channel and token.

A tensor has one scale, so its largest channel or token sets the steps for all. The report says how many of the 127
steps are left to an ordinary channel, how far class tokens and patches stand out, and which layers have outliers.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.calibration.observers import INT8_STEPS

if TYPE_CHECKING:
    from pydantic import JsonValue

    from pixio_edge.calibration.graph import Layer, QuantGraph
    from pixio_edge.calibration.tensor_statistics import Statistics

# From this ratio of the largest to the median channel (or patch) a layer is said to have outliers: "up to 20 times
# larger than the other dimensions" (Dettmers et al., "LLM.int8()", 2022). An ordinary channel then has six steps.
OUTLIER_RATIO = 20.0


@dataclass(frozen=True, slots=True)
class LayerOutliers:
    """The input of one layer over the calibration images.

    Attributes:
        layer: Name of the layer.
        tensor: Name of its input.
        kind: "tokens", "map" or "vector"; see `TensorStatistics`.
        amax: Largest magnitude that occurred.
        used: Largest magnitude of the range that was chosen; at most `amax`.
        worst_channel: Index of the channel with the largest magnitude.
        channel_ratio: That magnitude over the median of the channels that are not dead; 1 if there is none.
        median_steps: Steps of INT8, of 127, that the median channel uses under the range chosen.
        dead_channels: Number of channels that were zero in all images.
        class_amax: Largest magnitude of each class token; None where the rows are not the tokens of the image.
        patch_amax: Largest magnitude of the patches; None likewise.
        patch_median: Magnitude of the median patch of an image, averaged over the images; None likewise.
    """

    layer: str
    tensor: str
    kind: str
    amax: float
    used: float
    worst_channel: int
    channel_ratio: float
    median_steps: float
    dead_channels: int
    class_amax: tuple[float, ...] | None
    patch_amax: float | None
    patch_median: float | None

    @property
    def patch_ratio(self) -> float:
        """Largest over median patch; 1 where there are no tokens."""
        return self.patch_amax / self.patch_median if self.patch_amax and self.patch_median else 1.0

    @property
    def class_ratio(self) -> float:
        """Largest class token over the median patch; 1 where there is none."""
        return max(self.class_amax) / self.patch_median if self.class_amax and self.patch_median else 1.0

    @property
    def ratio(self) -> float:
        """The largest of the three ratios, by which layers are ranked."""
        return max(self.channel_ratio, self.patch_ratio, self.class_ratio)


@dataclass(frozen=True, slots=True)
class OutlierReport:
    """Of all layers of a graph.

    Attributes:
        layers: In graph order.
        images: Number of images.
        method: How the ranges were chosen.
    """

    layers: tuple[LayerOutliers, ...]
    images: int
    method: str

    @property
    def worst(self) -> tuple[LayerOutliers, ...]:
        """Layers by falling ratio; among equals the earlier one first."""
        return tuple(sorted(self.layers, key=lambda layer: -layer.ratio))

    @property
    def outliers(self) -> tuple[LayerOutliers, ...]:
        """Those of `worst` that reach `OUTLIER_RATIO`."""
        return tuple(layer for layer in self.worst if layer.ratio >= OUTLIER_RATIO)

    def to_json(self) -> str:
        """All numbers as JSON, with a final line feed."""
        layers: list[dict[str, JsonValue]] = [
            {**asdict(layer), "patch_ratio": layer.patch_ratio, "class_ratio": layer.class_ratio}
            for layer in self.layers
        ]
        record = {"images": self.images, "method": self.method, "outlier_ratio": OUTLIER_RATIO, "layers": layers}
        return json.dumps(record, indent=1, ensure_ascii=False) + "\n"

    def to_markdown(self) -> str:
        """A summary and a table, the worst layer first."""
        lines = [
            "# Activation outliers",
            "",
            f"Inputs of {len(self.layers)} layers over {self.images} images; ranges by {self.method}.",
            self._verdict(),
            "",
            "Each tensor has one scale. Ratios are of the largest channel to the median one, of the largest patch to",
            "the median one, and of the largest class token to the median patch. Steps are those of 127 that the",
            "median channel uses.",
            "",
            "| layer | input | largest | range used | channel ratio (channel) | steps | class tokens | patches "
            "| patch ratio | class ratio | dead channels |",
            "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        ]
        return "\n".join([*lines, *(_row(layer) for layer in self.worst)]) + "\n"

    def _verdict(self) -> str:
        if not self.layers:
            return "The graph has no layer that can run in INT8."
        if not self.outliers:
            first = self.worst[0]
            return (
                f"No layer reaches a ratio of {OUTLIER_RATIO:g}; the largest is {first.ratio:.1f}, at `{first.layer}`."
            )
        names = ", ".join(f"`{layer.layer}` ({layer.ratio:.0f})" for layer in self.outliers[:5])
        more = f" and {len(self.outliers) - 5} more" if len(self.outliers) > 5 else ""
        return f"Outliers, a ratio of {OUTLIER_RATIO:g} or more, in {len(self.outliers)}: {names}{more}."


def outlier_report(statistics: Statistics, graph: QuantGraph) -> OutlierReport:
    """Compare channels and tokens of every layer's input.

    Args:
        statistics: Of at least the inputs of all layers, as `collect` gives them by default.
        graph: The graph they were collected on.

    Raises:
        SpecError: Statistics of an input are missing.
    """
    layers = tuple(_describe(layer, statistics) for layer in graph.layers())
    return OutlierReport(layers, statistics.images, statistics.config.activation_method)


def _describe(layer: Layer, statistics: Statistics) -> LayerOutliers:
    found = statistics[layer.input]
    chosen = statistics.range(layer.input)
    used = max(abs(chosen.low), abs(chosen.high))
    absmax = found.channels.absmax
    live = absmax[absmax > 0]
    median = float(np.median(live)) if live.size else 0.0
    tokens = found.tokens
    return LayerOutliers(
        layer=layer.name,
        tensor=layer.input,
        kind=found.kind,
        amax=found.histogram.amax,
        used=used,
        worst_channel=int(np.argmax(absmax)) if absmax.size else 0,
        channel_ratio=float(absmax.max()) / median if median else 1.0,
        median_steps=min(INT8_STEPS * median / used, INT8_STEPS) if used else 0.0,
        dead_channels=int(absmax.size - live.size),
        class_amax=None if tokens is None else tuple(map(float, tokens.class_absmax)),
        patch_amax=None if tokens is None else tokens.patch_absmax,
        patch_median=None if tokens is None else tokens.patch_median,
    )


def _row(layer: LayerOutliers) -> str:
    has_tokens = layer.patch_amax is not None
    cells = (
        f"`{layer.layer}`",
        layer.kind,
        f"{layer.amax:.3g}",
        f"{layer.used / layer.amax:.0%}" if layer.amax else "–",
        f"{layer.channel_ratio:.1f} ({layer.worst_channel})",
        f"{layer.median_steps:.0f}",
        f"{max(layer.class_amax):.3g}" if layer.class_amax else "–",
        f"{layer.patch_amax:.3g}" if has_tokens else "–",
        f"{layer.patch_ratio:.1f}" if has_tokens else "–",
        f"{layer.class_ratio:.1f}" if layer.class_amax else "–",
        str(layer.dead_channels),
    )
    return f"| {' | '.join(cells)} |"
