"""Chooses smoothing: for each group of layers the strength whose INT8 layers come nearest to the float ones.

Factors are those of SmoothQuant (Xiao et al., arXiv 2211.10438, equation 4), `max|x_j|^a / max|w_j|^(1 - a)`, but the
strength a is searched for each group, by the simulated error of the layers that read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.calibration.collect import stream_tensors
from pixio_edge.calibration.config import SEARCH
from pixio_edge.calibration.graph import QuantGraph
from pixio_edge.calibration.histogram import Histogram
from pixio_edge.calibration.layer_rows import RowSource, channel_absmax, row_source, weight_matrix
from pixio_edge.calibration.observers import MovingAverage, activation_range
from pixio_edge.calibration.simulate import fake_quantize, output_error
from pixio_edge.calibration.smooth_groups import SmoothingGroup, find_groups
from pixio_edge.calibration.table import SmoothingEntry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx
    from numpy.typing import NDArray

    from pixio_edge.calibration.collect import Progress
    from pixio_edge.calibration.config import CalibrationConfig
    from pixio_edge.calibration.dataset import CalibrationSet
    from pixio_edge.calibration.graph import Layer
    from pixio_edge.image import ImageSpec
    from pixio_edge.sizes import Size

# Strengths that are tried. On nano the best lie between 0.7 and 1 (LayerNorm 0.9, V and Gelu 0.8), and most below 0.4
# are worse than no smoothing.
ALPHAS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

# Rows of each activation that errors are simulated on: a few from every image. Their memory is 4 MiB for the widest
# activation of a ViT-S.
SAMPLE_ROWS = 1024

# A group stays as it is unless its error falls below this share of what it was: half a decibel is within what another
# sample of images changes.
SMALLEST_GAIN = 0.9

# Where smoothing has a price, the layer has to be among the bad ones (worse than 30 dB; nano's have 31 to 46 without
# it) and lose half of its error. After a Gelu the price is a multiplication at run time. Between convolutions it is
# robustness: with every channel at full range, every channel is clipped on images that go beyond those of the
# calibration. On nano it lowered simulated errors by up to 5 dB, and depth became worse (28.8 to 30.2 dB for different
# strengths, 30.3 without).
PRICED = ("gelu", "conv")
BAD_ERROR = 1e-3
BAD_GAIN = 0.5

# Channels whose largest magnitude is below this share of the median count as if they had it. What is quiet in the
# calibration images may speak in another, and a factor that amplifies it to full range would have it clipped.
QUIET_CHANNEL = 0.25

# Digits of a factor that are kept: applying is exact for any, and the table stays readable.
FACTOR_DIGITS = 5


@dataclass(frozen=True, slots=True)
class _Sample:
    """Rows of one activation, and the largest magnitude of each channel over all images."""

    rows: Mapping[RowSource, NDArray[np.float32]]
    absmax: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Reader:
    """One layer of a group."""

    source: RowSource
    weight: NDArray[np.float32]  # (K, N)


def choose_smoothing(
    graphs: Mapping[Size, onnx.ModelProto],
    calibration_set: CalibrationSet,
    config: CalibrationConfig,
    *,
    image_spec: ImageSpec | None = None,
    progress: Progress | None = None,
) -> tuple[SmoothingEntry, ...]:
    """Factors for the groups of a graph that gain from smoothing; run on the float graphs, before ranges are taken.

    Args:
        graphs: Float graph of each size, weights in memory.
        calibration_set: The images; all of them are read once.
        config: `smoothing` says whether to search, or which strength all groups get whose smoothing has no price;
            its `activation_method` is simulated, and its `bias_correction` leaves mean errors out of the comparison.
        image_spec: How images are prepared.
        progress: Called after each image.

    Returns:
        In graph order; empty when smoothing is off.
    """
    if config.smoothing is False:
        return ()
    graph = QuantGraph(next(iter(graphs.values())))
    groups = {group: _readers(graph, group) for group in find_groups(graph)}
    samples = _sample(graphs, calibration_set, config, groups, image_spec=image_spec, progress=progress)
    entries = []
    for group, readers in groups.items():
        alpha = _best_alpha(group, readers, samples[group.tensor], config)
        if alpha is not None:
            factors = smoothing_factors(samples[group.tensor].absmax, _row_absmax(readers), alpha)
            entries.append(_entry(group, alpha, factors))
    return tuple(entries)


def smoothing_factors(
    activation_absmax: NDArray[np.floating], weight_absmax: NDArray[np.floating], alpha: float
) -> NDArray[np.float64]:
    """What to divide each channel of an activation by.

    Args:
        activation_absmax: Largest magnitude of each channel.
        weight_absmax: Largest magnitude of the weights that read each channel.
        alpha: Strength in [0, 1]: 1 gives all channels of the activation the same range, 0 all rows of the weight.

    Returns:
        Positive, of geometric mean 1, so that magnitudes stay where they are; 1 for channels or rows of zeros only.
    """
    activation, weight = activation_absmax.astype(np.float64), weight_absmax.astype(np.float64)
    is_used = (activation > 0) & (weight > 0)
    if is_used.any():
        activation = np.maximum(activation, QUIET_CHANNEL * np.median(activation[is_used]))
    factors = np.ones(len(activation))
    if is_used.any():
        raw = activation[is_used] ** alpha / weight[is_used] ** (1 - alpha)
        factors[is_used] = raw / np.exp(np.log(raw).mean())
    return factors


def _sample(
    graphs: Mapping[Size, onnx.ModelProto],
    calibration_set: CalibrationSet,
    config: CalibrationConfig,
    groups: Mapping[SmoothingGroup, Sequence[_Reader]],
    *,
    image_spec: ImageSpec | None,
    progress: Progress | None,
) -> dict[str, _Sample]:
    """Rows of what each group's layers read, the same number from every image, and ranges of the channels."""
    sources: dict[str, set[RowSource]] = {}
    for group, readers in groups.items():
        sources.setdefault(group.tensor, set()).update(reader.source for reader in readers)
    rows: dict[RowSource, list[NDArray[np.float32]]] = {source: [] for part in sources.values() for source in part}
    absmax: dict[str, NDArray[np.float32]] = {}
    generator = np.random.default_rng(config.seed)
    per_image = -(-SAMPLE_ROWS // calibration_set.count)
    streamed = stream_tensors(
        graphs,
        calibration_set.images(),
        tuple(sources),
        image_spec=image_spec,
        threads=config.threads,
        progress=progress,
        total=calibration_set.count,
    )
    for values in streamed:
        for tensor, value in values.items():
            largest = channel_absmax(value)
            absmax[tensor] = np.maximum(absmax.get(tensor, largest), largest)
        for source, parts in rows.items():
            parts.append(source.sample(values[source.tensor], per_image, generator))
    return {
        tensor: _Sample({source: np.concatenate(rows[source]) for source in part}, absmax[tensor])
        for tensor, part in sources.items()
    }


def _best_alpha(
    group: SmoothingGroup, readers: Sequence[_Reader], sample: _Sample, config: CalibrationConfig
) -> float | None:
    """Strength with the smallest error; None where smoothing gains too little."""
    if not isinstance(config.smoothing, bool) and config.smoothing != SEARCH:
        return float(config.smoothing) if group.kind not in PRICED else None
    plain = _error(readers, sample, np.ones(len(sample.absmax)), config)
    if group.kind in PRICED and plain < BAD_ERROR:
        return None
    weight_absmax = _row_absmax(readers)
    errors = {
        alpha: _error(readers, sample, smoothing_factors(sample.absmax, weight_absmax, alpha), config)
        for alpha in ALPHAS
    }
    best = min(errors, key=errors.__getitem__)
    gain = BAD_GAIN if group.kind in PRICED else SMALLEST_GAIN
    return best if errors[best] < gain * plain else None


def _error(
    readers: Sequence[_Reader], sample: _Sample, factors: NDArray[np.float64], config: CalibrationConfig
) -> float:
    """Mean over the layers of their output error, with activations divided by the factors."""
    errors = []
    for reader in readers:
        rows = sample.rows[reader.source]
        per_row = reader.source.per_row(factors).astype(np.float32)
        divided = rows / per_row
        limit = _limit(divided, sample, factors, config)
        quantized = fake_quantize(divided, -limit, limit)
        multiplied = reader.weight * per_row[:, None]
        errors.append(output_error(divided, quantized, multiplied, without_mean=config.bias_correction))
    return float(np.mean(errors))


def _limit(
    divided: NDArray[np.float32], sample: _Sample, factors: NDArray[np.float64], config: CalibrationConfig
) -> float:
    """Largest magnitude of the range that calibration would choose for a divided activation."""
    if config.activation_method in ("minmax", "moving_average"):
        return float((sample.absmax / factors).max())
    histogram = Histogram()
    histogram.add(divided)
    low, high = activation_range(config.activation_method, histogram, MovingAverage(), config)
    return max(-low, high)


def _readers(graph: QuantGraph, group: SmoothingGroup) -> list[_Reader]:
    return [_reader(graph, layer) for layer in group.layers]


def _reader(graph: QuantGraph, layer: Layer) -> _Reader:
    source = row_source(graph, layer)
    if source is None:
        raise ValueError(f"layer {layer.name} of a group is no matrix product")
    return _Reader(source, np.asarray(weight_matrix(graph.constant(layer.weight), layer), np.float32))


def _row_absmax(readers: Sequence[_Reader]) -> NDArray[np.float32]:
    """For each input channel the largest magnitude of the weights that read it, over all layers."""
    largest = []
    for reader in readers:
        window = reader.source.kernel[0] * reader.source.kernel[1]
        largest.append(np.abs(reader.weight).max(axis=1).reshape(-1, window).max(axis=1))
    return np.asarray(np.max(largest, axis=0))


def _entry(group: SmoothingGroup, alpha: float, factors: NDArray[np.float64]) -> SmoothingEntry:
    return SmoothingEntry(
        kind=group.kind,
        source=group.source,
        layers=tuple(layer.name for layer in group.layers),
        alpha=alpha,
        factors=tuple(float(f"{factor:.{FACTOR_DIGITS}g}") for factor in factors),
    )
