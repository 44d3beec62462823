"""Flavour `ort-arm`: signed activations and signed weights, the pairing that ONNX Runtime's ARM kernels take as it is.

Convolutions are QLinearConv. Products of tokens are Gemm between Q/DQ pairs, with static ranges and a bias in int32,
which ONNX Runtime fuses to QGemm with a result in float; a Gemm, unlike MatMul and Add, needs no option of the session
for that. Zero points are free, so a tensor after a Relu uses all 256 values.

Written and checked on x86, where these kernels run as well but slower than those of `ort-x86`; no speed on ARM has
been measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.calibration.onnx_int8_nodes import integer_bias, real_bias
from pixio_edge.calibration.ort_patterns import static_shape
from pixio_edge.calibration.ort_writer import OrtWriter, select_layers
from pixio_edge.calibration.qparams import QuantParams, asymmetric
from pixio_edge.errors import InputError

if TYPE_CHECKING:
    from pixio_edge.calibration.emit import Flavour
    from pixio_edge.calibration.emit_base import Emission
    from pixio_edge.calibration.graph import Layer, QuantGraph

WEIGHT_BITS = 8
# From unsigned to signed integers of 8 bits.
SHIFT = 128


def select(graph: QuantGraph, flavour: Flavour) -> frozenset[str]:
    """Layers that this flavour runs in INT8."""
    return select_layers(graph)


def write_(emission: Emission, flavour: Flavour) -> None:
    """Write every layer of the emission as integer nodes."""
    _ArmWriter(emission, signed, WEIGHT_BITS).write_()


def signed(low: float, high: float) -> QuantParams:
    """Signed integers over [low, high], widened to contain zero: all 256 values, with a zero point.

    Raises:
        ValueError: The range is not finite or empty.
    """
    params = asymmetric(low, high)
    return QuantParams(params.scale, params.zero_point - SHIFT, "int8", params.low - SHIFT, params.high - SHIFT)


class _ArmWriter(OrtWriter):
    def write_product(self, layer: Layer) -> None:
        """Add Reshape to rows, Gemm between Q/DQ pairs, and Reshape back."""
        name, source = layer.name, self.nodes.held(layer.input)
        weight = self.nodes.weight(layer, self.bits)
        bias_scale = (np.float32(source.params.scale) * weight.scales).astype(np.float32)
        steps = integer_bias(real_bias(self.emission, layer), source.params.scale, weight.scales)
        constant = self.nodes.constant
        rows_shape = constant(layer, "rows_shape", np.array([-1, len(weight.integers)], np.int64))
        bias = [constant(layer, "bias_int32", steps), constant(layer, "bias_scale", bias_scale)]
        bias.append(constant(layer, "bias_zero_point", np.zeros(steps.shape, np.int32)))
        rows, real, matrix, addend, product = (
            f"{name}/{part}" for part in ("rows", "real_rows", "real_weight", "real_bias", "product")
        )
        add = self.nodes.add
        add("Reshape", [source.name, rows_shape], [rows], f"{name}/Reshape")
        add("DequantizeLinear", [rows, source.scale, source.zero_point], [real], f"{name}/DequantizeLinear")
        add("DequantizeLinear", list(weight.names), [matrix], f"{name}/DequantizeLinear_2", {"axis": 1})
        add("DequantizeLinear", bias, [addend], f"{name}/DequantizeLinear_3", {"axis": 0})
        add("Gemm", [real, matrix, addend], [product], name)
        add("Reshape", [product, self._shape(layer)], [layer.output], f"{name}/Reshape_2")

    def _shape(self, layer: Layer) -> str:
        """Constant shape of a layer's result.

        Raises:
            InputError: The graph does not say it.
        """
        shape = static_shape(self.graph, layer.output)
        if shape is None:
            raise InputError(
                f"layer '{layer.name}': its output has no static shape in this graph, expected one for flavour "
                "ort-arm. Fix: export the bundle again"
            )
        return self.nodes.constant(layer, "shape", np.array(shape, np.int64))
