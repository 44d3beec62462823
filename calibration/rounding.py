"""Rounds weights so that the errors of a layer's weights cancel in its output: second-order rounding.

Weights are rounded one input channel after the other, and what each rounding does to the output is made up for by
those that are still to be rounded, as far as inputs are correlated: GPTQ (Frantar et al., arXiv 2210.17323), after
optimal brain surgeon. Scales stay those of the output channels, so any runtime can hold the result.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.calibration.graph import QuantGraph
from pixio_edge.calibration.layer_rows import row_source, weight_from_matrix, weight_matrix
from pixio_edge.calibration.moments import collect_moments
from pixio_edge.calibration.qparams import weight_scales

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import onnx
    from numpy.typing import NDArray

    from pixio_edge.calibration.collect import Progress
    from pixio_edge.calibration.config import CalibrationConfig
    from pixio_edge.calibration.dataset import CalibrationSet
    from pixio_edge.calibration.graph import Layer
    from pixio_edge.calibration.layer_rows import RowSource
    from pixio_edge.calibration.moments import Moments
    from pixio_edge.calibration.table import ActivationRange
    from pixio_edge.image import ImageSpec
    from pixio_edge.sizes import Size

# Share of the mean of the Gram matrix's diagonal that is added to it, as in GPTQ: it keeps the inverse stable where
# inputs are nearly dependent, and rounding from trusting the calibration images too far.
DAMPING = 0.01

# Input channels that are rounded before the rest of the weights is updated, which is then one matrix product.
BLOCK = 64

# Layers with more input elements than this are rounded to nearest: the inverse takes seconds, and neither ViT-L (4096)
# nor any convolution of our heads up to 256 channels (2304) has so many.
LARGEST_GRAM = 4608

# Gram matrices that are held at once; with more, the images are run again. 12 blocks of ViT-S take 130 MiB.
GRAM_BYTES = 512 * 2**20

# Symmetric INT8.
LIMIT = 127


def round_weights(
    graphs: Mapping[Size, onnx.ModelProto],
    calibration_set: CalibrationSet,
    activations: Mapping[str, ActivationRange],
    config: CalibrationConfig,
    *,
    weight_limits: Mapping[str, Sequence[float]] | None = None,
    image_spec: ImageSpec | None = None,
    progress: Progress | None = None,
) -> dict[str, NDArray[np.int8]]:
    """Integer weights of all layers whose rows are one matrix product: MatMul, Gemm, and convolutions in one group.

    Args:
        graphs: Graph of each size with smoothing applied, weights in memory.
        calibration_set: The images; they are read once for each `GRAM_BYTES` of Gram matrices.
        activations: Calibrated range of the input of each layer; layers without one are left out.
        config: Its seed draws the tokens and windows.
        weight_limits: Of the table: magnitudes that weights are clipped to.
        image_spec: How images are prepared.
        progress: Called after each image of a pass.

    Returns:
        By layer name, in the layout of the float weight, for the scales of `qparams.weight_scales`.
    """
    graph = QuantGraph(next(iter(graphs.values())))
    layers: dict[RowSource, list[Layer]] = {}
    for layer in graph.layers():
        source = row_source(graph, layer)
        if source is not None and layer.input in activations and _columns(graph, layer) <= LARGEST_GRAM:
            layers.setdefault(source, []).append(layer)
    rounded: dict[str, NDArray[np.int8]] = {}
    for sources in _passes(graph, layers):
        moments = collect_moments(
            graphs,
            calibration_set,
            sources,
            activations,
            config=config,
            with_gram=True,
            image_spec=image_spec,
            progress=progress,
        )
        for source in sources:
            seen = moments.pop(source)
            for layer in layers[source]:
                limits = (weight_limits or {}).get(layer.name)
                rounded[layer.name] = _round_layer(graph, layer, seen, limits)
    return rounded


def round_second_order(
    weight: NDArray[np.floating], scales: NDArray[np.floating], gram: NDArray[np.floating]
) -> NDArray[np.int8]:
    """Integers of one weight matrix for inputs of a known Gram matrix.

    Args:
        weight: (K, N).
        scales: Of the output channels, (N,).
        gram: Sum of the outer products of input rows, (K, K), symmetric.

    Returns:
        int8 (K, N) within -127..127: in each output channel whichever has the smaller expected error, second-order
        rounding or rounding to nearest.
    """
    steps = weight.astype(np.float64) / scales.astype(np.float64)  # (K, N), in units of one step
    nearest = np.clip(np.rint(steps), -LIMIT, LIMIT)
    exact = gram.astype(np.float64)
    if not exact.any():
        return nearest.astype(np.int8)
    order = np.argsort(-np.diag(exact), kind="stable")  # inputs that matter most first: their errors find most help
    compensated = np.empty_like(nearest)
    compensated[order] = _compensate(steps[order], exact[np.ix_(order, order)])
    is_better = _error(compensated - steps, exact) < _error(nearest - steps, exact)
    return np.where(is_better, compensated, nearest).astype(np.int8)


def _compensate(steps: NDArray[np.float64], gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round rows in order, each time moving the error to the rows that follow."""
    count = len(steps)
    damped = gram + DAMPING * np.trace(gram) / count * np.eye(count)
    # Upper factor of the inverse: its row i says how the rows after i make up for an error in row i.
    factor = np.linalg.cholesky(np.linalg.inv(damped)).T
    steps = steps.copy()
    rounded = np.empty_like(steps)
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        errors = np.empty((stop - start, steps.shape[1]))
        for row in range(start, stop):
            rounded[row] = np.clip(np.rint(steps[row]), -LIMIT, LIMIT)
            errors[row - start] = (steps[row] - rounded[row]) / factor[row, row]
            steps[row + 1 : stop] -= np.outer(factor[row, row + 1 : stop], errors[row - start])
        steps[stop:] -= factor[start:stop, stop:].T @ errors
    return rounded


def _error(difference: NDArray[np.float64], gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared output error of each output channel, (N,), for a difference of weights (K, N)."""
    return np.asarray((difference * (gram @ difference)).sum(axis=0))


def _round_layer(graph: QuantGraph, layer: Layer, moments: Moments, limits: Sequence[float] | None) -> NDArray[np.int8]:
    if moments.gram is None:
        raise ValueError(f"layer {layer.name}: moments without Gram matrix")
    weight = np.asarray(graph.constant(layer.weight), np.float32)
    scales = weight_scales(weight, layer.channel_axis, limits)
    integers = round_second_order(weight_matrix(weight, layer), scales, moments.gram)
    return weight_from_matrix(integers, layer, weight.shape)


def _columns(graph: QuantGraph, layer: Layer) -> int:
    """Input elements of one row: K."""
    dims = list(graph.constants[layer.weight].dims)
    del dims[layer.channel_axis]
    return int(math.prod(dims))


def _passes(graph: QuantGraph, layers: Mapping[RowSource, Sequence[Layer]]) -> Iterator[tuple[RowSource, ...]]:
    """Rows to collect in one pass each, so that their Gram matrices fit `GRAM_BYTES`; at least one per pass."""
    batch: list[RowSource] = []
    held = 0
    for source, (first, *_) in layers.items():
        size = _columns(graph, first) ** 2 * 4
        if batch and held + size > GRAM_BYTES:
            yield tuple(batch)
            batch, held = [], 0
        batch.append(source)
        held += size
    if batch:
        yield tuple(batch)
