"""What all flavours share: which layers are quantised, and their integer weights and biases."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.calibration.qparams import quantize_weight, weight_scales
from pixio_edge.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pixio_edge.calibration.graph import Layer, QuantGraph
    from pixio_edge.calibration.table import ActivationRange, CalibrationTable


@dataclass(frozen=True, slots=True)
class Emission:
    """One graph being written: a smoothed float graph, and all that is known about it.

    Attributes:
        graph: The graph, edited in place by a flavour's writer.
        table: Ranges, limits and corrections.
        layers: The layers to run in INT8, in graph order; all others stay as they are.
        rounded: Integer weights by layer name, for the scales that `weight` gives; layers that are missing are rounded
            to nearest.
    """

    graph: QuantGraph
    table: CalibrationTable
    layers: tuple[Layer, ...]
    rounded: Mapping[str, NDArray[np.int8]]

    def weight(self, layer: Layer, bits: int = 8) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """Integer weight in the layout of the float one, and the scale of each output channel.

        Weights of fewer than 8 bits are always rounded to nearest: `rounded` was made for 8.

        Raises:
            InputError: `rounded` has another shape for this layer.
        """
        weight = self.graph.constant(layer.weight).astype(np.float32)
        limits = self.table.weight_limits.get(layer.name)
        given = self.rounded.get(layer.name) if bits == 8 else None
        if given is None:
            return quantize_weight(weight, layer.channel_axis, limits, bits)
        if given.shape != weight.shape or given.dtype != np.int8:
            raise InputError(
                f"rounded weights of layer '{layer.name}': got {given.dtype} {given.shape}, expected int8 "
                f"{weight.shape}. Fix: round the weights of this graph again"
            )
        return given, weight_scales(weight, layer.channel_axis, limits)

    def bias(self, layer: Layer) -> NDArray[np.float32] | None:
        """Bias with its correction, one value for each output channel; None where there is neither."""
        bias = None if layer.bias is None else self.graph.constant(layer.bias).astype(np.float32)
        correction = self.table.bias_corrections.get(layer.name)
        if correction is None:
            return bias
        return np.asarray(correction, np.float32) + (0 if bias is None else bias)

    def range(self, tensor: str) -> ActivationRange:
        """Calibrated range of a tensor.

        Raises:
            InputError: The table has none.
        """
        found = self.table.activations.get(tensor)
        if found is None:
            raise InputError(
                f"calibration table: no range for tensor '{tensor}', which is to be quantised, expected one of the "
                f"{len(self.table.activations)} it has. Fix: calibrate this graph again"
            )
        return found


def quantized_layers(graph: QuantGraph, keep_float: Collection[str]) -> list[Layer]:
    """Layers that INT8 can help, in graph order, without those to be kept in float.

    A layer with one row of input (a matrix-vector product, such as a readout of pooled class tokens) is not among
    them: it is bound by reading its weights once, and is too small to be seen.

    Raises:
        InputError: `keep_float` names no layer of this graph.
    """
    layers = graph.layers()
    unknown = sorted(set(keep_float) - {layer.name for layer in layers})
    if unknown:
        raise InputError(
            f"keep_float: got '{unknown[0]}' ({len(unknown)} unknown names), expected names of layers, such as "
            f"'{layers[0].name if layers else 'none here'}'. Fix: take names from the report of the layers"
        )
    return [layer for layer in layers if layer.kind != "gemm" and layer.name not in keep_float]
