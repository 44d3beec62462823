"""Writing integer nodes of standard ONNX into a float graph, for the flavours of ONNX Runtime.

A tensor of the float graph may be there in two forms: in float, and held as integers with one scale. Nodes are added in
graph order; whoever reads a form that is not there yet gets it by one QuantizeLinear or DequantizeLinear, which all
readers share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import helper

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx
    from numpy.typing import NDArray

    from pixio_edge.calibration.emit_base import Emission
    from pixio_edge.calibration.graph import Layer
    from pixio_edge.calibration.qparams import QuantParams

INT32_LIMIT = 2**31 - 1

# Attributes of a node by name, as `onnx.helper.make_node` takes them.
Attributes = dict[str, "int | float | str | list[int]"]


@dataclass(frozen=True, slots=True)
class Held:
    """A tensor as integers.

    Attributes:
        name: Name of the integer tensor.
        scale: Name of the constant scale.
        zero_point: Name of the constant zero point.
        params: Their values.
    """

    name: str
    scale: str
    zero_point: str
    params: QuantParams


class Int8Nodes:
    """The nodes of an INT8 graph while it is written; `finish_` puts them in place of the float ones.

    Args:
        emission: The float graph and all that is known about it.
        params_of: From the lowest and highest value of an activation to how it is held.
    """

    def __init__(self, emission: Emission, params_of: Callable[[float, float], QuantParams]) -> None:
        self._emission = emission
        self._graph = emission.graph
        self._params_of = params_of
        self._nodes: list[onnx.NodeProto] = []
        self._held: dict[str, Held] = {}
        self._real = {value.name for value in self._graph.model.graph.input} | set(self._graph.constants)

    def held(self, tensor: str) -> Held:
        """A float tensor as integers, quantised here if it is not yet.

        Raises:
            InputError: The table has no range for it.
        """
        if tensor not in self._held:
            held = self._declare(tensor, self.params(tensor))
            inputs = [self.real(tensor), held.scale, held.zero_point]
            self.add("QuantizeLinear", inputs, [held.name], f"{tensor}/QuantizeLinear")
            self._held[tensor] = held
        return self._held[tensor]

    def hold(self, tensor: str, params: QuantParams) -> Held:
        """Say that the next node added computes a float tensor as integers."""
        self._held[tensor] = self._declare(tensor, params)
        return self._held[tensor]

    def params(self, tensor: str, *, lowest: float | None = None) -> QuantParams:
        """How a tensor of a calibrated range is held.

        Args:
            tensor: Name of the float tensor.
            lowest: What lower values are clipped to before.

        Raises:
            InputError: The table has no range for it.
        """
        found = self._emission.range(tensor)
        bounds = (found.low, found.high) if lowest is None else (max(found.low, lowest), max(found.high, lowest))
        return self._params_of(*bounds)

    def real(self, tensor: str) -> str:
        """A tensor in float, dequantised here if it is not yet; gives its name back."""
        if tensor and tensor not in self._real:
            held = self._held[tensor]
            inputs = [held.name, held.scale, held.zero_point]
            self.add("DequantizeLinear", inputs, [tensor], f"{tensor}/DequantizeLinear")
            self._real.add(tensor)
        return tensor

    def is_held(self, tensor: str) -> bool:
        """Whether a float tensor is there as integers already."""
        return tensor in self._held

    def keep(self, node: onnx.NodeProto) -> None:
        """Take over a node of the float graph as it is."""
        for name in node.input:
            self.real(name)
        self._nodes.append(node)
        self._real.update(node.output)

    def add(
        self,
        operator: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        name: str,
        attributes: Attributes | None = None,
    ) -> None:
        """Add a node; its inputs are there already, in the form in which it reads them."""
        node = helper.make_node(operator, list(inputs), list(outputs), name=name)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in sorted((attributes or {}).items()))
        self._nodes.append(node)
        self._real.update(outputs)

    def add_conv(
        self,
        layer: Layer,
        source: Held,
        bias: NDArray[np.floating],
        target: Held,
        *,
        bits: int = 8,
        changes: Attributes | None = None,
    ) -> None:
        """Add a convolution from integers to integers: QLinearConv.

        Args:
            layer: The float convolution; its attributes are taken over.
            source: What it reads, in the place of the layer's input.
            bias: Real values, one for each output channel.
            target: What it computes, from `hold`.
            bits: Width of the weights.
            changes: Attributes that differ from the layer's.
        """
        node = self._graph.nodes[layer.name]
        weight = self.weight(layer, bits)
        steps = integer_bias(bias, source.params.scale, weight.scales)
        names = [self.constant(layer, "bias_int32", steps)]
        inputs = [source.name, source.scale, source.zero_point, *weight.names, target.scale, target.zero_point, *names]
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        self.add("QLinearConv", inputs, [target.name], layer.name, {**attributes, **(changes or {})})

    def weight(self, layer: Layer, bits: int) -> IntegerWeight:
        """Constants of a layer's integer weight."""
        integers, scales = self._emission.weight(layer, bits)
        names = (
            self.constant(layer, f"weight_int{bits}", integers),
            self.constant(layer, "weight_scale", scales),
            self.constant(layer, "weight_zero_point", np.zeros(scales.shape, np.int8)),
        )
        return IntegerWeight(names, integers, scales)

    def constant(self, layer: Layer, what: str, value: NDArray[np.generic]) -> str:
        """Add a constant of a layer; gives its name."""
        return self._graph.add_constant(f"{layer.name}/{what}", value)

    def finish_(self) -> None:
        """Put the nodes into the graph and drop the constants and the shapes of tensors that are gone."""
        for output in self._graph.model.graph.output:
            self.real(output.name)
        self._graph.set_nodes(self._nodes)
        self._graph.drop_unused_constants()
        known = self._graph.model.graph.value_info
        kept = [type(value).FromString(value.SerializeToString()) for value in known if self._computes(value.name)]
        del known[:]
        known.extend(kept)

    def _computes(self, tensor: str) -> bool:
        return tensor in self._graph.producers

    def _declare(self, tensor: str, params: QuantParams) -> Held:
        scale = self._graph.add_constant(f"{tensor}/scale", np.array(params.scale, np.float32))
        zero_point = self._graph.add_constant(f"{tensor}/zero_point", np.array(params.zero_point, params.dtype))
        return Held(f"{tensor}/quantized", scale, zero_point, params)


@dataclass(frozen=True, slots=True)
class IntegerWeight:
    """A layer's weight as constants of the graph.

    Attributes:
        names: Names of the integers, their scales and their zero points, all 0.
        integers: The integers, in the layout of the float weight.
        scales: One for each output channel.
    """

    names: tuple[str, str, str]
    integers: NDArray[np.int8]
    scales: NDArray[np.float32]


def real_bias(emission: Emission, layer: Layer) -> NDArray[np.float32]:
    """Bias of a layer with its correction; zeros where there is neither."""
    bias = emission.bias(layer)
    channels = emission.graph.constants[layer.weight].dims[layer.channel_axis]
    return np.zeros(channels, np.float32) if bias is None else bias


def integer_bias(
    bias: NDArray[np.floating], input_scale: float, weight_scales: NDArray[np.float32]
) -> NDArray[np.int32]:
    """A bias in steps of the accumulator, input scale times weight scale, as integer kernels add it."""
    steps = np.rint(bias.astype(np.float64) / (np.float64(input_scale) * weight_scales.astype(np.float64)))
    return np.clip(steps, -INT32_LIMIT, INT32_LIMIT).astype(np.int32)
