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
from pixio_edge.export.base import INPUT_NAME, OUTPUT_NAME, ExportRequest, default_sizes
from pixio_edge.export.bundle_details import BundleDetails, bundle_header, graph_metadata
from pixio_edge.export.golden_image import make_golden_image
from pixio_edge.export.onnx import export_graphs
from pixio_edge.export.reference import reference_depth
from pixio_edge.golden import host_record, load_golden
from pixio_edge.manifest import ArtifactEntry, FileEntry, Requirements
from pixio_edge.models.checkpoints import load_checkpoint, save_checkpoint
from pixio_edge.onnx_weights import write_graphs
from pixio_edge.parity import Tolerance, compare
from pixio_edge.runtimes.base import RuntimeOptions
from pixio_edge.runtimes.registry import make_runtime
from pixio_edge.sizes import Size, size_label
from pixio_edge.tensor import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import onnx

    from pixio_edge.manifest import BundleHeader
    from pixio_edge.models.depth_model import DepthModel

logger = logging.getLogger(__name__)

CHECKPOINT = "weights.safetensors"
WEIGHTS = "weights.bin"

# Both sides compute in float32 and add in another order. Measured at most 1.8e-6 in ONNX Runtime and in OpenVINO
# (nano's shape with random weights, four sizes, three images); the rest is room for other processors and for trained
# weights. A wrong rewrite is off by more than 1e-3.
FP32_TOLERANCE = Tolerance(max_rel=1e-4)


def export_bundle(
    model: DepthModel,
    output_folder: Path,
    *,
    details: BundleDetails,
    sizes: Sequence[Size] | None = None,
    replace: bool = False,
    on_stage: Callable[[str], None] | None = None,
) -> Bundle:
    """Export a model to ONNX for every size and pack it; the folder appears only if every graph passes the parity gate.

    The checkpoint is stored in fp16, and the graphs are made from what it holds, so both compute the same.

    Args:
        model: The trained model; it is not changed.
        output_folder: Where the bundle goes; its parent is created.
        details: What the manifest says about the model.
        sizes: The ladder, (height, width) each; None takes `default_sizes`.
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
    patch_size = model.config.encoder.patch_size
    request = ExportRequest(tuple(sizes or default_sizes(patch_size)), multiple_of=patch_size)
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
                entry = _describe_graph(size, writer, _store_golden(stored, size, writer))
                writer.add_artifact(_gate(entry, "ort", writer.folder))
                report(f"checked {size_label(size)}")
            entry = _describe_checkpoint(request.sizes[0], writer)
            writer.add_artifact(_gate(entry, "pytorch", writer.folder))
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


def _store_golden(model: DepthModel, size: Size, writer: BundleWriter) -> str:
    name = f"golden_{size_label(size)}.npz"
    image = make_golden_image(size)
    np.savez_compressed(writer.folder / name, image=image, depth=reference_depth(model, image))
    writer.add_file(name, "golden")
    return name


def _gate(entry: ArtifactEntry, runtime_name: str, folder: Path) -> ArtifactEntry:
    """Run an artifact on its golden image, compare it with the model's depth, and record both.

    Raises:
        CheckFailedError: They differ.
    """
    image, reference = load_golden(folder / str(entry.golden))
    with make_runtime(runtime_name, VerifiedArtifact(entry, folder), RuntimeOptions()) as runtime:
        depth = runtime.run({INPUT_NAME: image})[OUTPUT_NAME]
        info = runtime.info()
    parity = compare(reference, depth, FP32_TOLERANCE)
    if not parity:
        raise CheckFailedError(
            f"artifact {entry.name} against the torch model: {parity.message}. "
            "Fix: if the checkpoint's outputs are finite, a rewrite in pixio_edge.export is wrong; please report it"
        )
    logger.info("%s: %s", entry.name, parity.message)
    return entry.model_copy(
        update={
            "parity": {"reference": f"torch {torch.__version__} fp32", **parity.to_json()},
            "verified": True,
            "verified_on": host_record(info),
        }
    )


def _require_variation(model: DepthModel, size: Size) -> None:
    """A constant agrees with anything that is as dead, so the parity gate would pass it."""
    depth = reference_depth(model, make_golden_image(size))
    if np.ptp(depth) == 0.0:
        raise CheckFailedError(
            f"model at {size_label(size)}: depth is {depth.flat[0]:.3g} at every pixel of the test image, "
            "expected it to vary. Fix: export a trained checkpoint"
        )


def _describe_graph(size: Size, writer: BundleWriter, golden: str) -> ArtifactEntry:
    graph = writer.describe(_graph_name(size), "graph")
    data = (writer.describe(WEIGHTS, "weights"),)
    return _describe("onnx", graph, size, golden, data=data, runtimes=("ort", "openvino"))


def _describe_checkpoint(size: Size, writer: BundleWriter) -> ArtifactEntry:
    """The checkpoint as an artifact for torch; it runs at any size, so one entry is enough to verify and measure it."""
    checkpoint = writer.describe(CHECKPOINT, "checkpoint")
    golden = f"golden_{size_label(size)}.npz"
    return _describe("safetensors", checkpoint, size, golden, data=(), runtimes=("pytorch",))


def _describe(
    kind: str, file: FileEntry, size: Size, golden: str, *, data: tuple[FileEntry, ...], runtimes: tuple[str, ...]
) -> ArtifactEntry:
    return ArtifactEntry(
        name=f"{kind}-fp32-{size_label(size)}",
        kind=kind,
        precision="fp32",
        size=size,
        path=file.path,
        sha256=file.sha256,
        bytes=file.bytes,
        data=data,
        inputs=(TensorSpec(INPUT_NAME, (1, *size, 3), "uint8"),),
        outputs=(TensorSpec(OUTPUT_NAME, (1, *size), "float32"),),
        requires=Requirements(runtimes=runtimes),
        golden=golden,
        tolerance=FP32_TOLERANCE,
    )


def _graph_name(size: Size) -> str:
    return f"graph_{size_label(size)}.onnx"
