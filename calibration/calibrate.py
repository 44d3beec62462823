"""From float graphs and images to a calibration table: ranges, smoothing, rounding, corrections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import onnx

from pixio_edge._version import __version__
from pixio_edge.calibration.bias_correction import bias_corrections
from pixio_edge.calibration.collect import collect, layer_tensors
from pixio_edge.calibration.graph import QuantGraph
from pixio_edge.calibration.rounding import round_weights
from pixio_edge.calibration.smooth import apply_smoothing_
from pixio_edge.calibration.smooth_search import choose_smoothing
from pixio_edge.calibration.table import ActivationRange, CalibrationTable, Provenance, SmoothingEntry
from pixio_edge.calibration.weight_limits import choose_weight_limits
from pixio_edge.sizes import Size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixio_edge.calibration.config import CalibrationConfig
    from pixio_edge.calibration.dataset import CalibrationSet
    from pixio_edge.calibration.ladder import FloatLadder
    from pixio_edge.calibration.tensor_statistics import Statistics
    from pixio_edge.image import ImageSpec

    Ranges = dict[str, ActivationRange]
    Limits = dict[str, tuple[float, ...]]

Progress = Callable[[str, int, int], None]
"""Told the stage, and how many of how many parts of it are done."""

# What a convolution's result may pass through while it stays an integer, in flavours that keep it so.
MAP_OPERATORS = frozenset({"Relu", "Add", "Resize", "DepthToSpace"})


@dataclass(frozen=True, slots=True)
class Calibration:
    """What calibration gives.

    Attributes:
        table: Goes into the bundle.
        rounded: Integer weights by layer name, where they were not rounded to nearest; they live on in the artifacts.
        statistics: Of the smoothed graph, whose ranges the table has.
    """

    table: CalibrationTable
    rounded: dict[str, NDArray[np.int8]]
    statistics: Statistics


def calibrate(
    ladder: FloatLadder,
    calibration_set: CalibrationSet,
    config: CalibrationConfig,
    image_spec: ImageSpec,
    *,
    progress: Progress | None = None,
) -> Calibration:
    """Calibrate the graphs of a bundle; one table serves all its sizes.

    Args:
        ladder: The float graphs.
        calibration_set: The images; sizes that are nearest to none of them see crops.
        config: How.
        image_spec: How images are prepared.
        progress: Called after each image of a stage.

    Raises:
        InputError: An image cannot be read, or a tensor is not finite on it.
        BundleError: A graph is damaged.
    """
    first = next(iter(ladder))
    calibration_set = calibration_set.covering(ladder)
    smoothing = choose_smoothing(
        ladder, calibration_set, config, image_spec=image_spec, progress=_stage(progress, "smoothing")
    )
    passes = _Passes(SmoothedLadder(ladder, smoothing), calibration_set, config, image_spec, progress)
    tensors = range_tensors(passes.graphs[first])
    statistics = passes.collect(tensors)
    activations = {name: statistics.range(name) for name in tensors}
    limits = choose_weight_limits(passes.graphs[first], config)
    rounded = passes.round(activations, limits) if config.rounding == "gptq" else {}
    table = CalibrationTable(
        provenance=_provenance(ladder, calibration_set, config),
        activations=activations,
        weight_limits=limits,
        smoothing=smoothing,
        bias_corrections=passes.correct(activations, limits, rounded) if config.bias_correction else {},
    )
    return Calibration(table, rounded, statistics)


@dataclass(frozen=True, slots=True)
class _Passes:
    """The passes over the images that use the smoothed graphs."""

    graphs: SmoothedLadder
    images: CalibrationSet
    config: CalibrationConfig
    image_spec: ImageSpec
    progress: Progress | None

    def collect(self, tensors: tuple[str, ...]) -> Statistics:
        report = _stage(self.progress, "ranges")
        return collect(
            self.graphs, self.images, self.config, tensors=tensors, image_spec=self.image_spec, progress=report
        )

    def round(self, activations: Ranges, limits: Limits) -> dict[str, NDArray[np.int8]]:
        return round_weights(
            self.graphs,
            self.images,
            activations,
            self.config,
            weight_limits=limits,
            image_spec=self.image_spec,
            progress=_stage(self.progress, "rounding"),
        )

    def correct(
        self, activations: Ranges, limits: Limits, rounded: dict[str, NDArray[np.int8]]
    ) -> dict[str, tuple[float, ...]]:
        return bias_corrections(
            self.graphs,
            self.images,
            activations,
            self.config,
            weight_limits=limits,
            rounded=rounded,
            image_spec=self.image_spec,
            progress=_stage(self.progress, "bias correction"),
        )


def _provenance(ladder: FloatLadder, calibration_set: CalibrationSet, config: CalibrationConfig) -> Provenance:
    return Provenance(
        tool=f"pixio-edge {__version__}",
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        graph_sha256=ladder.artifacts[next(iter(ladder))].sha256,
        images=calibration_set.count - calibration_set.crops,
        crops=calibration_set.crops,
        images_sha256=calibration_set.sha256,
        source=calibration_set.source,
        config=config.to_json(),
    )


class SmoothedLadder(Mapping[Size, onnx.ModelProto]):
    """Graphs with smoothing applied, made each time they are asked for; the float graphs stay as they are.

    Args:
        ladder: The float graphs.
        smoothing: What to apply.
    """

    def __init__(self, ladder: Mapping[Size, onnx.ModelProto], smoothing: tuple[SmoothingEntry, ...]) -> None:
        self._ladder = ladder
        self._smoothing = smoothing

    def __getitem__(self, size: Size) -> onnx.ModelProto:
        if not self._smoothing:
            return self._ladder[size]
        copy = onnx.ModelProto()
        copy.CopyFrom(self._ladder[size])
        apply_smoothing_(QuantGraph(copy), self._smoothing)
        return copy

    def __iter__(self) -> Iterator[Size]:
        return iter(self._ladder)

    def __len__(self) -> int:
        return len(self._ladder)


def range_tensors(graph: onnx.ModelProto) -> tuple[str, ...]:
    """Tensors whose range some flavour may ask for: of layers, of q, k and v, and of what maps become on their way."""
    indexed = QuantGraph(graph)
    maps = {layer.output for layer in indexed.layers() if layer.kind == "conv"}
    for node in graph.graph.node:
        if node.op_type in MAP_OPERATORS and maps & set(node.input):
            maps.update(node.output)
    ordered = [name for node in graph.graph.node for name in node.output if name in maps]
    parts = [name for node in graph.graph.node if node.op_type == "Split" for name in node.output]
    return tuple(dict.fromkeys((*layer_tensors(graph), *ordered, *parts)))


def _stage(progress: Progress | None, name: str) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(name, done, total)
