"""From a float graph and a calibration table to the INT8 graph of one flavour."""

from __future__ import annotations

import importlib
import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Literal, Protocol, cast, get_args

import onnx

from pixio_edge.calibration.emit_base import Emission, quantized_layers
from pixio_edge.calibration.graph import QuantGraph
from pixio_edge.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixio_edge.calibration.table import CalibrationTable

Flavour = Literal["openvino", "tensorrt", "ort-x86", "ort-x86-7bit", "ort-arm"]
FLAVOURS: tuple[Flavour, ...] = get_args(Flavour)

# Key of what is written into `metadata_props`, a JSON object.
METADATA_KEY = "pixio_edge.quantization"

# Module of this package with the writer of each flavour.
WRITERS: Mapping[Flavour, str] = {
    "openvino": "emit_qdq",
    "tensorrt": "emit_qdq",
    "ort-x86": "emit_ort_x86",
    "ort-x86-7bit": "emit_ort_x86",
    "ort-arm": "emit_ort_arm",
}


class FlavourWriter(Protocol):
    """What a module of `WRITERS` offers."""

    def write_(self, emission: Emission, flavour: Flavour) -> None:
        """Edit `emission.graph` so that its layers run in INT8."""

    def select(self, graph: QuantGraph, flavour: Flavour) -> frozenset[str]:
        """Names of the layers that run in INT8 unless they are kept in float."""


def emit(
    model: onnx.ModelProto,
    table: CalibrationTable,
    flavour: Flavour,
    *,
    keep_float: Collection[str] = (),
    rounded: Mapping[str, NDArray[np.int8]] | None = None,
) -> onnx.ModelProto:
    """Write the INT8 graph of one flavour.

    Args:
        model: The float graph, weights in memory; it is not changed. Any size of a bundle: names are the same.
        table: From the calibration of this bundle. Layers it lists as skipped stay float.
        flavour: Which engine the graph is for.
        keep_float: Names of layers that stay float.
        rounded: Integer weights by layer name, where rounding to nearest is not wanted.

    Raises:
        InputError: Unknown flavour or layer, or the table is not of this graph.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = QuantGraph(copy)
    if table.smoothing:
        _smooth_(graph, table)
    names = {layer.name for layer in graph.layers()}
    kept = {*keep_float, *(name for name in table.skipped if name in names)}
    chosen = expected_int8(copy, flavour, kept)
    layers = tuple(layer for layer in graph.layers() if layer.name in chosen)
    _writer(flavour).write_(Emission(graph, table, layers, rounded or {}), flavour)
    facts = {"flavour": flavour, "int8_layers": len(layers), "keep_float": sorted(kept), **_origin(table)}
    copy.metadata_props.add(key=METADATA_KEY, value=json.dumps(facts, sort_keys=True))
    return copy


def expected_int8(model: onnx.ModelProto, flavour: Flavour, keep_float: Collection[str] = ()) -> set[str]:
    """Names of the layers that run in INT8 in a flavour.

    Args:
        model: The float graph.
        flavour: Which engine it is for.
        keep_float: Names of layers that stay float.

    Raises:
        InputError: Unknown flavour or layer.
    """
    writer = _writer(flavour)
    graph = QuantGraph(model)
    return {layer.name for layer in quantized_layers(graph, keep_float)} & writer.select(graph, flavour)


def _writer(flavour: Flavour) -> FlavourWriter:
    if flavour not in WRITERS:
        raise InputError(f"flavour: got '{flavour}', expected one of: {', '.join(FLAVOURS)}. Fix: choose one of these")
    return cast("FlavourWriter", importlib.import_module(f"pixio_edge.calibration.{WRITERS[flavour]}"))


def _smooth_(graph: QuantGraph, table: CalibrationTable) -> None:
    smooth = importlib.import_module("pixio_edge.calibration.smooth")
    smooth.apply_smoothing_(graph, table.smoothing)
    graph.reindex()


def _origin(table: CalibrationTable) -> dict[str, object]:
    provenance = table.provenance
    return {"tool": provenance.tool, "images": provenance.images, "images_sha256": provenance.images_sha256}
