"""What variant "w8a8" takes from a calibration table: smoothed weights in the torch module, and scales.

The table was made on the ONNX graph of the bundle. Its nodes are named after the modules they were traced from, and
both were made from one checkpoint by the same rewrites, so a layer is found by its name and its weight has to be equal;
in the MIL program, whose names are others, it is found by its weight alone (`quantizer`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from pixio_edge.calibration.emit import Flavour, expected_int8
from pixio_edge.calibration.emit_base import Emission
from pixio_edge.calibration.graph import Layer, QuantGraph
from pixio_edge.calibration.qparams import symmetric
from pixio_edge.calibration.smooth import apply_smoothing_
from pixio_edge.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Collection

    import onnx
    from numpy.typing import NDArray

    from pixio_edge.calibration.table import CalibrationTable
    from pixio_edge.export.prepare import PreparedModel

# Whose rule of which layers are worth it is taken: both are symmetric, and both have wide units that small layers
# leave idle. It has not been measured on a Neural Engine.
FLAVOUR: Flavour = "tensorrt"

# Both sides were computed in float64 and rounded once; another release of torch may round the last bit differently.
RELATIVE_DIFFERENCE = 1e-6


@dataclass(frozen=True, slots=True)
class QuantizedLayer:
    """One layer to run in INT8.

    Attributes:
        name: Of its ONNX node.
        weight: Float weight, output channels first, (N, K) or (O, I, kh, kw).
        weight_scales: Scale of each output channel, (N,); 127 of it is what weights are clipped to.
        input_scale: Scale of the activation that it reads, zero point 0.
    """

    name: str
    weight: NDArray[np.float32]
    weight_scales: NDArray[np.float32]
    input_scale: float


@dataclass(frozen=True, slots=True)
class CalibratedModel:
    """A smoothed model, and what of it runs in INT8.

    Attributes:
        prepared: The model with the table's smoothing and bias corrections in its weights.
        layers: The layers to quantise.
        kept: Names of layers that could be quantised and stay in float.
    """

    prepared: PreparedModel
    layers: tuple[QuantizedLayer, ...]
    kept: tuple[str, ...]


@torch.no_grad()
def apply_table_(
    prepared: PreparedModel, graph: onnx.ModelProto, table: CalibrationTable, *, keep_float: Collection[str] = ()
) -> CalibratedModel:
    """Apply a calibration table to a prepared model.

    Args:
        prepared: Its weights are changed: smoothed, and biases corrected.
        graph: The float ONNX graph of the bundle, of any size, weights in memory; not changed.
        table: Its calibration.
        keep_float: Names of layers that stay in float, besides those that the table skips.

    Raises:
        BundleError: Graph and checkpoint are not of the same model.
        InputError: `keep_float` names no layer, or the table lacks a range.
        SchemaError: The table's smoothing does not fit the graph.
    """
    onnx_copy = type(graph)()
    onnx_copy.CopyFrom(graph)
    smoothed = QuantGraph(onnx_copy)
    names = {layer.name for layer in smoothed.layers()}
    for layer in smoothed.layers():
        _require_equal(_linear(prepared, layer.name).weight, _weight(smoothed, layer), layer.name)
    kept = {*keep_float, *(name for name in table.skipped if name in names)}
    chosen = expected_int8(onnx_copy, FLAVOUR, kept)
    apply_smoothing_(smoothed, table.smoothing)
    _copy_weights_(prepared, smoothed)
    emission = Emission(smoothed, table, tuple(x for x in smoothed.layers() if x.name in chosen), {})
    layers = tuple(_quantized(emission, layer) for layer in emission.layers)
    for layer in emission.layers:
        _correct_bias_(_linear(prepared, layer.name), emission, layer)
    for entry in table.smoothing:
        if entry.kind == "gelu":
            for name in entry.layers:
                _divide_input_(prepared, name, entry.factors)
    return CalibratedModel(prepared, layers, tuple(sorted(kept)))


class DividedInput(nn.Module):
    """A linear layer that reads its input divided by a factor for each channel.

    Args:
        linear: The layer, whose weight is multiplied already.
        factors: One for each input channel.
    """

    inverse: Tensor

    def __init__(self, linear: nn.Module, factors: tuple[float, ...]) -> None:
        super().__init__()
        self.linear = linear
        self.register_buffer("inverse", (1 / torch.tensor(factors, dtype=torch.float64)).float())

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., K) to (..., N)."""
        result: Tensor = self.linear(x * self.inverse)
        return result


def _copy_weights_(prepared: PreparedModel, smoothed: QuantGraph) -> None:
    for layer in smoothed.layers():
        module = _linear(prepared, layer.name)
        module.weight.copy_(torch.from_numpy(_weight(smoothed, layer)))
        if layer.bias is not None and module.bias is not None:
            module.bias.copy_(torch.from_numpy(smoothed.constant(layer.bias).astype(np.float32)))
    for node in smoothed.model.graph.node:
        if node.op_type == "LayerNormalization":
            norm = _layer_norm(prepared, node.name)
            for parameter, name in zip((norm.weight, norm.bias), node.input[1:], strict=False):
                parameter.copy_(torch.from_numpy(smoothed.constant(name).astype(np.float32)))


def _quantized(emission: Emission, layer: Layer) -> QuantizedLayer:
    _, scales = emission.weight(layer)
    found = emission.range(layer.input)
    return QuantizedLayer(layer.name, _weight(emission.graph, layer), scales, symmetric(found.low, found.high).scale)


def _correct_bias_(module: nn.Linear | nn.Conv2d, emission: Emission, layer: Layer) -> None:
    bias = emission.bias(layer)
    if layer.name in emission.table.bias_corrections and bias is not None:
        module.bias = nn.Parameter(torch.from_numpy(bias), requires_grad=False)


def _divide_input_(prepared: PreparedModel, layer_name: str, factors: tuple[float, ...]) -> None:
    path = _path(layer_name)
    prepared.model.set_submodule(path, DividedInput(prepared.model.get_submodule(path), factors))


def _linear(prepared: PreparedModel, node_name: str) -> nn.Linear | nn.Conv2d:
    module = _find(prepared, node_name)
    if isinstance(module, nn.Linear | nn.Conv2d):
        return module
    raise _foreign(node_name)


def _layer_norm(prepared: PreparedModel, node_name: str) -> nn.LayerNorm:
    module = _find(prepared, node_name)
    if isinstance(module, nn.LayerNorm):
        return module
    raise _foreign(node_name)


def _find(prepared: PreparedModel, node_name: str) -> nn.Module | None:
    """The module that a node was traced from."""
    return dict(prepared.model.named_modules()).get(_path(node_name))


def _foreign(node_name: str) -> BundleError:
    return BundleError(
        f"ONNX node '{node_name}': the checkpoint has no such layer, expected a graph of the same model. "
        "Fix: export the bundle again with this release, then quantize it"
    )


def _path(node_name: str) -> str:
    return node_name.rpartition("/")[0]


def _weight(graph: QuantGraph, layer: Layer) -> NDArray[np.float32]:
    weight = graph.constant(layer.weight).astype(np.float32)
    return np.ascontiguousarray(weight if layer.channel_axis == 0 else weight.T)


def _require_equal(weight: Tensor, stored: NDArray[np.float32], name: str) -> None:
    ours = weight.detach().numpy()
    limit = RELATIVE_DIFFERENCE * float(np.abs(stored).max(initial=0.0))
    if ours.shape != stored.shape or float(np.abs(ours - stored).max(initial=0.0)) > limit:
        raise BundleError(
            f"ONNX layer '{name}': its weight differs from the checkpoint's, expected equal ones. "
            "Fix: export the bundle again with this release, then quantize it"
        )
