"""A trained model to a finished bundle: checkpoint, graphs, golden outputs, parity gate, manifest."""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING

import numpy as np
import torch

from pixio_edge.bundle import Bundle, VerifiedArtifact
from pixio_edge.bundle_writer import BundleWriter, write_bundle
from pixio_edge.errors import CheckFailedError, OutputError
from pixio_edge.export.base import DEFAULT_SIZES, INPUT_NAME, OUTPUT_NAME, ExportRequest, Size, size_label
from pixio_edge.export.bundle_details import BundleDetails, bundle_header, graph_metadata
from pixio_edge.export.golden_image import make_golden_image
from pixio_edge.export.onnx import export_graphs
from pixio_edge.export.reference import reference_depth
from pixio_edge.export.weight_file import write_graphs
from pixio_edge.host import probe_host
from pixio_edge.manifest import ArtifactEntry, Requirements
from pixio_edge.models.checkpoints import load_checkpoint, save_checkpoint
from pixio_edge.parity import ParityReport, Tolerance, compare
from pixio_edge.runtimes.base import RuntimeInfo, RuntimeOptions
from pixio_edge.runtimes.registry import make_runtime
from pixio_edge.tensor import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import onnx
    from numpy.typing import NDArray
    from pydantic import JsonValue

    from pixio_edge.manifest import BundleHeader
    from pixio_edge.models.depth_model import DepthModel

logger = logging.getLogger(__name__)

CHECKPOINT = "weights.safetensors"
WEIGHTS = "weights.bin"

# Both sides compute in float32 and add in another order. Ten times the largest difference measured on nano and on the
# random models of tests/parity, to leave room for other CPUs and engines; a wrong rewrite is off by more than 1e-3.
FP32_TOLERANCE = Tolerance(max_rel=1e-4)


def export_bundle(
    model: DepthModel,
    output_folder: Path,
    *,
    details: BundleDetails,
    sizes: Sequence[Size] = DEFAULT_SIZES,
    replace: bool = False,
    on_stage: Callable[[str], None] | None = None,
) -> Bundle:
    """Export a model to ONNX for every size and pack it; the folder appears only if every graph passes the parity gate.

    The checkpoint is stored in fp16, and the graphs are made from what it holds, so both compute the same.

    Args:
        model: The trained model; it is not changed.
        output_folder: Where the bundle goes; its parent is created.
        details: What the manifest says about the model.
        sizes: The ladder, (height, width) each.
        replace: Whether an existing bundle there may be replaced.
        on_stage: Told in a few words what was done, after each of the `2 * len(sizes)` stages.

    Returns:
        The new bundle, opened.

    Raises:
        CheckFailedError: A graph breaks the graph rules or differs from the model.
        InputError: A size or a file in `details` cannot be used.
        BundleError: The folder exists and is not to be replaced.
        OutputError: The folder cannot be written.
    """
    request = ExportRequest(tuple(sizes), multiple_of=model.config.encoder.patch_size)
    documents = details.documents()
    header = bundle_header(model, details)
    report = on_stage or logger.debug
    try:
        with write_bundle(output_folder, header, replace=replace) as writer:
            for source, name, role in documents:
                shutil.copyfile(source, writer.folder / name)
                writer.add_file(name, role)
            stored = _store_checkpoint(model, writer)
            _require_variation(stored, request.sizes[0])
            graphs = _named_graphs(stored, request, header, writer.folder, report)
            write_graphs(graphs, writer.folder / WEIGHTS)
            for size in request.sizes:
                writer.add_artifact(_gate(stored, size, writer))
                report(f"checked {size_label(size)}")
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"{output_folder}: cannot be written ({reason}). Fix: free some space or choose another folder"
        ) from error
    return Bundle.open(output_folder)


def _store_checkpoint(model: DepthModel, writer: BundleWriter) -> DepthModel:
    """Write the fp16 checkpoint and return the model that it holds."""
    path = writer.folder / CHECKPOINT
    save_checkpoint(path, model, half=True)
    writer.add_file(CHECKPOINT, "checkpoint")
    return load_checkpoint(path)


def _named_graphs(
    model: DepthModel, request: ExportRequest, header: BundleHeader, folder: Path, report: Callable[[str], None]
) -> Iterator[tuple[Path, onnx.ModelProto]]:
    for size, graph in export_graphs(model, request, graph_metadata(header)):
        yield folder / _graph_name(size), graph
        report(f"exported {size_label(size)}")


def _gate(model: DepthModel, size: Size, writer: BundleWriter) -> ArtifactEntry:
    """Run a written graph on the golden image, compare it with the model, and describe it.

    Raises:
        CheckFailedError: They differ.
    """
    image = make_golden_image(size)
    reference = reference_depth(model, image)
    entry = _describe(size, writer, _store_golden(size, image, reference, writer))
    with make_runtime("ort", VerifiedArtifact(entry, writer.folder), RuntimeOptions()) as runtime:
        depth = runtime.run({INPUT_NAME: image})[OUTPUT_NAME]
        info = runtime.info()
    parity = compare(reference, depth, FP32_TOLERANCE)
    _require(parity, size)
    logger.info("%s: %s", entry.name, parity.message)
    return entry.model_copy(
        update={
            "parity": {"reference": f"torch {torch.__version__} fp32", **parity.to_json()},
            "verified": True,
            "verified_on": _host_record(info),
        }
    )


def _require(parity: ParityReport, size: Size) -> None:
    if not parity:
        raise CheckFailedError(
            f"graph {size_label(size)} against the torch model: {parity.message}. "
            "Fix: if the checkpoint's outputs are finite, a rewrite in pixio_edge.export is wrong; please report it"
        )


def _require_variation(model: DepthModel, size: Size) -> None:
    """A constant agrees with anything that is as dead, so the parity gate would pass it."""
    depth = reference_depth(model, make_golden_image(size))
    if np.ptp(depth) == 0.0:
        raise CheckFailedError(
            f"model at {size_label(size)}: depth is {depth.flat[0]:.3g} at every pixel of the test image, "
            "expected it to vary. Fix: export a trained checkpoint"
        )


def _store_golden(size: Size, image: NDArray[np.uint8], depth: NDArray[np.float32], writer: BundleWriter) -> str:
    name = f"golden_{size_label(size)}.npz"
    np.savez_compressed(writer.folder / name, image=image, depth=depth)
    writer.add_file(name, "golden")
    return name


def _describe(size: Size, writer: BundleWriter, golden: str) -> ArtifactEntry:
    graph = writer.describe(_graph_name(size), "graph")
    return ArtifactEntry(
        name=f"onnx-fp32-{size_label(size)}",
        kind="onnx",
        precision="fp32",
        size=size,
        path=graph.path,
        sha256=graph.sha256,
        bytes=graph.bytes,
        data=(writer.describe(WEIGHTS, "weights"),),
        inputs=(TensorSpec(INPUT_NAME, (1, *size, 3), "uint8"),),
        outputs=(TensorSpec(OUTPUT_NAME, (1, *size), "float32"),),
        requires=Requirements(runtimes=("ort", "openvino")),
        golden=golden,
        tolerance=FP32_TOLERANCE,
    )


def _host_record(info: RuntimeInfo) -> dict[str, JsonValue]:
    host = probe_host()
    return {
        "runtime": f"{info.runtime} {info.version}",
        "device": info.device,
        "os": host.os,
        "arch": host.arch,
        "cpu": host.cpu,
        "isa": list(host.isa),
    }


def _graph_name(size: Size) -> str:
    return f"graph_{size_label(size)}.onnx"
