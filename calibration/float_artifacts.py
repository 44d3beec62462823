"""Artifacts that are smaller and compute in float: integer or half-precision weights, widened when they are loaded.

- "int8": weights of layers as signed integers with one scale for each output channel, and DequantizeLinear in front of
  the layer. A quarter of the size; activations are not touched, so nothing is calibrated.
- "fp16": all large constants in half precision, and a Cast to float32 in front of what reads them. Half the size, the
  same arithmetic.

Neither is faster on a CPU: engines widen the weights, once when they load or at every inference. They are for where the
size of a download counts, and for engines that choose their own arithmetic from what is stored. They compute in fp32
(`ArtifactEntry.computes_in`), so precision "int8" or "fp16" never chooses them; where a bundle has no float graph,
they are what fp32 runs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import onnx
from onnx import TensorProto, helper

from pixio_edge.bundle import VerifiedArtifact
from pixio_edge.bundle_writer import BundleWriter, write_bundle
from pixio_edge.calibration.artifact import graph_data
from pixio_edge.calibration.graph import QuantGraph
from pixio_edge.calibration.ladder import FloatLadder
from pixio_edge.calibration.qparams import quantize_weight
from pixio_edge.errors import CheckFailedError, InputError
from pixio_edge.golden import host_record, load_golden
from pixio_edge.manifest import ArtifactEntry, Precision, Requirements
from pixio_edge.onnx_weights import INLINE_BYTES, write_graphs
from pixio_edge.parity import SUGGESTED_HEADROOM, Tolerance, compare
from pixio_edge.quantization import WEIGHTS_FLAVOUR, QuantizationEntry
from pixio_edge.runtimes.base import RuntimeOptions
from pixio_edge.runtimes.registry import make_runtime
from pixio_edge.sizes import size_label

if TYPE_CHECKING:
    from pixio_edge.bundle import Bundle

Storage = Literal["int8", "fp16"]
STORAGES: tuple[Storage, ...] = get_args(Storage)

RUNTIME = "ort"
"""What checks them; always installed."""

LIMITS = {"int8": Tolerance(rel_l2=0.05), "fp16": Tolerance(rel_l2=0.005)}
"""Of the depth on the stored image. Half precision rounds by 2^-11 = 0.05 %, and nano differed by less than that;
integers of 8 bits by up to 0.4 % of the largest weight of a channel, and nano's depth by 0.7 %."""

SMALLEST_TOLERANCE = 1e-4
"""Room for engines that add in another order, as for fp32 (`export.pipeline.FP32_TOLERANCE`)."""

LARGEST_HALF = float(np.finfo(np.float16).max)


def add_small_artifacts(
    bundle: Bundle,
    storage: Storage,
    *,
    output: Path | None = None,
    replace: bool = False,
    dry_run: bool = False,
) -> tuple[ArtifactEntry, ...]:
    """Write the graphs of all sizes with smaller weights, each checked against its stored output.

    Args:
        bundle: Has fp32 ONNX graphs, which stay.
        storage: What weights are stored as.
        output: Bundle folder to write; None writes into the bundle itself.
        replace: Whether an existing bundle at `output` may be replaced.
        dry_run: Make and check everything in a temporary folder, and write nothing else.

    Returns:
        The new artifacts, named "onnx-w8-…" or "onnx-w16-…".

    Raises:
        InputError: Unknown storage.
        BundleError: The bundle is damaged or has no fp32 ONNX graph, or `output` exists.
        CheckFailedError: The depth differs by more than `LIMITS`.
        OutputError: The folder cannot be written.
    """
    if storage not in STORAGES:
        raise InputError(f"weights: got '{storage}', expected one of {', '.join(STORAGES)}. Fix: choose one of these")
    if dry_run:
        with tempfile.TemporaryDirectory(prefix="pixio-edge-") as folder:
            return add_small_artifacts(bundle, storage, output=Path(folder) / "dry-run")
    ladder = FloatLadder(bundle)
    names = {_name(storage, size_label(size)) for size in ladder}
    with write_bundle(output or bundle.folder, bundle.manifest, replace=replace or output is None) as writer:
        writer.take_over(bundle, drop=names)
        convert: Callable[[onnx.ModelProto], onnx.ModelProto] = integer_weights if storage == "int8" else half_weights
        paths = {size: writer.folder / f"graph_{_short(storage)}_{size_label(size)}.onnx" for size in ladder}
        weights = writer.folder / writer.free_name(f"weights-{_short(storage)}", ".bin")
        write_graphs(((path, convert(ladder[size])) for size, path in paths.items()), weights)
        entries = tuple(_describe(writer, ladder.artifacts[size], path, storage) for size, path in paths.items())
        for entry in entries:
            writer.add_artifact(entry)
    return entries


def integer_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose layers read their weights from integers through DequantizeLinear; small weights stay float.

    Args:
        model: Float graph, weights in memory.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = QuantGraph(copy)
    before: dict[str, onnx.NodeProto] = {}
    for layer in graph.layers():
        weight = np.asarray(graph.constant(layer.weight), np.float32)
        if weight.nbytes < INLINE_BYTES:
            continue
        integers, scales = quantize_weight(weight, layer.channel_axis)
        stem = f"{layer.name}/weight"
        inputs = [graph.add_constant(f"{stem}_int8", integers), graph.add_constant(f"{stem}_scale", scales)]
        output = f"{stem}_dequantized"
        before[layer.name] = helper.make_node(
            "DequantizeLinear", inputs, [output], name=f"{stem}/DequantizeLinear", axis=layer.channel_axis
        )
        graph.nodes[layer.name].input[1] = output
    pairs = ((before.get(node.name), node) for node in copy.graph.node)
    graph.set_nodes([node for pair in pairs for node in pair if node is not None])
    graph.drop_unused_constants()
    return copy


def half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose large float constants are stored in half precision, with a Cast to float32.

    Constants with a value beyond the range of half precision stay as they are.

    Args:
        model: Float graph, weights in memory.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = QuantGraph(copy)
    casts = []
    for name, tensor in list(graph.constants.items()):
        if tensor.data_type != TensorProto.FLOAT:
            continue
        value = np.asarray(graph.constant(name), np.float32)
        if value.nbytes < INLINE_BYTES or float(np.abs(value).max()) > LARGEST_HALF:
            continue
        half = graph.add_constant(f"{name}/half", value.astype(np.float16))
        casts.append(helper.make_node("Cast", [half], [f"{name}/float"], name=f"{name}/Cast", to=TensorProto.FLOAT))
        for node in graph.consumers.get(name, []):
            node.input[:] = [f"{name}/float" if used == name else used for used in node.input]
    graph.set_nodes([*casts, *copy.graph.node])
    graph.drop_unused_constants()
    return copy


def _describe(writer: BundleWriter, base: ArtifactEntry, path: Path, storage: Storage) -> ArtifactEntry:
    graph = writer.describe(path.name, "graph")
    precision: Precision = storage
    entry = base.model_copy(
        update={
            "name": _name(storage, size_label(base.size)),
            "precision": precision,
            "path": graph.path,
            "sha256": graph.sha256,
            "bytes": graph.bytes,
            "data": graph_data(writer, path),
            "requires": Requirements(runtimes=(RUNTIME,)),
            "quantization": QuantizationEntry(flavour=WEIGHTS_FLAVOUR),
        }
    )
    image, reference = load_golden(writer.folder / str(entry.golden))
    options = RuntimeOptions(precision=entry.computes_in)
    with make_runtime(RUNTIME, VerifiedArtifact(entry, writer.folder), options) as runtime:
        depth = runtime.run({entry.inputs[0].name: image})[entry.outputs[0].name]
        verified_on = host_record(runtime.info())
    parity = compare(reference, depth, LIMITS[storage])
    if not parity:
        raise CheckFailedError(
            f"artifact {entry.name} with {storage} weights: {parity.message}. Fix: keep fp32, or quantize with images"
        )
    tolerance = Tolerance(rel_l2=max(SMALLEST_TOLERANCE, SUGGESTED_HEADROOM * parity.rel_l2))
    facts = {"reference": "stored output of the float model", **parity.to_json()}
    return entry.model_copy(
        update={"parity": facts, "tolerance": tolerance, "verified": True, "verified_on": verified_on}
    )


def _name(storage: Storage, label: str) -> str:
    return f"onnx-{_short(storage)}-{label}"


def _short(storage: Storage) -> str:
    return "w8" if storage == "int8" else "w16"
