"""Corrects biases for the mean error that INT8 makes.

Rounding weights and clipping activations shifts each output channel by a constant, on average over inputs; subtracting
it costs nothing at run time (Nagel et al., arXiv 1906.04721, section 4.2, with measured means in place of those that
batch norm tells).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.calibration.graph import QuantGraph
from pixio_edge.calibration.layer_rows import row_source, weight_matrix
from pixio_edge.calibration.moments import collect_moments
from pixio_edge.calibration.qparams import dequantize_weight, quantize_weight, weight_scales

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx
    from numpy.typing import NDArray

    from pixio_edge.calibration.collect import Progress
    from pixio_edge.calibration.config import CalibrationConfig
    from pixio_edge.calibration.dataset import CalibrationSet
    from pixio_edge.calibration.table import ActivationRange
    from pixio_edge.image import ImageSpec
    from pixio_edge.sizes import Size


def bias_corrections(
    graphs: Mapping[Size, onnx.ModelProto],
    calibration_set: CalibrationSet,
    activations: Mapping[str, ActivationRange],
    config: CalibrationConfig,
    *,
    weight_limits: Mapping[str, Sequence[float]] | None = None,
    rounded: Mapping[str, NDArray[np.int8]] | None = None,
    image_spec: ImageSpec | None = None,
    progress: Progress | None = None,
) -> dict[str, tuple[float, ...]]:
    """What to add to the bias of every layer that has one, in one pass over the images.

    Args:
        graphs: Graph of each size with smoothing applied, weights in memory.
        calibration_set: The images.
        activations: Calibrated range of the input of each layer; layers without one are left out.
        config: Its seed draws the tokens and windows that are averaged.
        weight_limits: Of the table: magnitudes that weights are clipped to.
        rounded: Integer weights, where they are not rounded to nearest.
        image_spec: How images are prepared.
        progress: Called after each image.

    Returns:
        By layer name, one value for each output channel.
    """
    graph = QuantGraph(next(iter(graphs.values())))
    with_bias = [layer for layer in graph.layers() if layer.bias is not None and layer.input in activations]
    found = {layer: row_source(graph, layer) for layer in with_bias}
    sources = {layer: source for layer, source in found.items() if source is not None}
    moments = collect_moments(
        graphs,
        calibration_set,
        tuple(dict.fromkeys(sources.values())),
        activations,
        config=config,
        with_gram=False,
        image_spec=image_spec,
        progress=progress,
    )
    corrections = {}
    for layer, source in sources.items():
        seen = moments[source]
        weight = np.asarray(graph.constant(layer.weight), np.float32)
        limits = (weight_limits or {}).get(layer.name)
        integers = (rounded or {}).get(layer.name)
        if integers is None:
            integers, scales = quantize_weight(weight, layer.channel_axis, limits)
        else:
            scales = weight_scales(weight, layer.channel_axis, limits)
        held = dequantize_weight(integers, scales, layer.channel_axis)
        mean, quantized_mean = seen.total / seen.rows, seen.quantized_total / seen.rows
        shift = mean_error(mean, quantized_mean, weight_matrix(weight, layer), weight_matrix(held, layer))
        corrections[layer.name] = tuple(float(np.float32(-value)) for value in shift)
    return corrections


def mean_error(
    mean: NDArray[np.floating],
    quantized_mean: NDArray[np.floating],
    weight: NDArray[np.floating],
    quantized_weight: NDArray[np.floating],
) -> NDArray[np.float64]:
    """Mean of each output of the quantised layer less that of the float layer: `E[q] Wq - E[x] W`.

    Args:
        mean: E[x], (K,).
        quantized_mean: E[q] of the quantised input, (K,).
        weight: W, (K, N).
        quantized_weight: Wq, (K, N).

    Returns:
        (N,).
    """
    weights = (np.asarray(matrix, np.float64) for matrix in (quantized_weight, weight))
    held, exact = weights
    return np.asarray(quantized_mean, np.float64) @ held - np.asarray(mean, np.float64) @ exact
