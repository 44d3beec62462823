"""Products of tokens that quantise their input as it comes: DynamicQuantizeLinear and MatMulInteger.

ONNX Runtime makes one kernel of each (DynamicQuantizeMatMul, or MatMulIntegerToFloat where several products share
their input). They are as fast as products with static ranges, need no calibration, and are more accurate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pixio_edge.calibration.emit_base import Emission
    from pixio_edge.calibration.graph import Layer
    from pixio_edge.calibration.onnx_int8_nodes import Int8Nodes

# Integers, scale and zero point of a tensor: three names.
Quantized = tuple[str, str, str]


class DynamicProducts:
    """Adds products to the nodes of a graph.

    Args:
        nodes: Where they go.
        emission: The float graph and its integer weights.
        bits: Width of the weights.
    """

    def __init__(self, nodes: Int8Nodes, emission: Emission, bits: int) -> None:
        self._nodes = nodes
        self._emission = emission
        self._bits = bits
        self._quantized: dict[str, Quantized] = {}

    def add_layer(self, layer: Layer) -> None:
        """Add a whole layer with its bias."""
        weight, scales = self._emission.weight(layer, self._bits)
        self.add_columns(layer, slice(None), (weight, scales), layer.name, layer.output)

    def add_parts(self, layer: Layer, outputs: tuple[str, ...]) -> None:
        """Add a layer as several products, each of as many of its columns, which share its quantised input."""
        weight = self._emission.weight(layer, self._bits)
        width = len(weight[1]) // len(outputs)
        for index, output in enumerate(outputs):
            columns = slice(index * width, (index + 1) * width)
            self.add_columns(layer, columns, weight, f"{layer.name}/{index}", output)

    def add_columns(
        self,
        layer: Layer,
        columns: slice,
        weight: tuple[NDArray[np.int8], NDArray[np.float32]],
        name: str,
        output: str,
    ) -> None:
        """Add the product with some columns of a layer's weight, and their bias.

        Args:
            layer: The layer.
            columns: Which of its output channels.
            weight: Integers and scales of the whole layer.
            name: Name of the product's node, and prefix of all its tensors.
            output: Name of the result.
        """
        integers, scales, bias = weight[0][:, columns], weight[1][columns], self._emission.bias(layer)
        constant = self._emission.graph.add_constant
        matrix = (
            constant(f"{name}/weight_int{self._bits}", integers),
            constant(f"{name}/weight_scale", scales),
            constant(f"{name}/weight_zero_point", np.zeros(scales.shape, np.int8)),
        )
        product = output if bias is None else f"{name}/product"
        self.add_product(name, self.quantize(layer.input), matrix, product)
        if bias is not None:
            addend = constant(f"{name}/bias", bias[columns])
            self._nodes.add("Add", [product, addend], [output], f"{name}/Add")

    def add_product(self, name: str, left: Quantized, right: Quantized, output: str) -> None:
        """Add the product of two quantised tensors, with a result in float."""
        sums, real_sums, step = f"{name}/sums", f"{name}/real_sums", f"{name}/step"
        self._nodes.add("MatMulInteger", [left[0], right[0], left[2], right[2]], [sums], name)
        self._nodes.add("Cast", [sums], [real_sums], f"{name}/Cast", {"to": TensorProto.FLOAT})
        self._nodes.add("Mul", [left[1], right[1]], [step], f"{name}/Mul")
        self._nodes.add("Mul", [real_sums, step], [output], f"{name}/Mul_2")

    def quantize(self, tensor: str) -> Quantized:
        """A tensor as unsigned integers by its own range when the graph runs; shared by all who read it."""
        if tensor not in self._quantized:
            outputs = (f"{tensor}/dynamic", f"{tensor}/dynamic_scale", f"{tensor}/dynamic_zero_point")
            name = f"{tensor}/DynamicQuantizeLinear"
            self._nodes.add("DynamicQuantizeLinear", [self._nodes.real(tensor)], outputs, name)
            self._quantized[tensor] = outputs
        return self._quantized[tensor]

    def quantize_signed(self, tensor: str) -> Quantized:
        """As `quantize`, in signed integers: what the right side of a product has to be for the fast kernels."""
        _, scale, zero_point = self.quantize(tensor)
        prefix = f"{tensor}/signed"
        wide, shifted, signed, steps = (f"{prefix}_{part}" for part in ("wide", "shifted", "zero_point", "steps"))
        shift = self._emission.graph.add_constant(f"{prefix}_shift", np.array(128, np.int32))
        self._nodes.add("Cast", [zero_point], [wide], f"{prefix}/Cast", {"to": TensorProto.INT32})
        self._nodes.add("Sub", [wide, shift], [shifted], f"{prefix}/Sub")
        self._nodes.add("Cast", [shifted], [signed], f"{prefix}/Cast_2", {"to": TensorProto.INT8})
        self._nodes.add("QuantizeLinear", [tensor, scale, signed], [steps], f"{prefix}/QuantizeLinear")
        return steps, scale, signed
