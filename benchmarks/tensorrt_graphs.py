"""Writes the typed graphs of models for TensorRT, holds their depth against the float model, and builds their engines.

A bundle brings its weights, stored image and calibration table. A preset gets random weights that keep the size of the
signal, a test image, and a table of minima and maxima on three images of noise: its numbers say what the format costs,
not what it costs trained weights. Depth is that of a CPU on which every half value is rounded; engines are built ahead
of time with TensorRT for RTX and run nowhere, since nothing here has a GPU.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from recording import append_records, bundle_hashes
from stand_ins import noise_table, random_model

from pixio_edge.bundle import Bundle, list_embedded
from pixio_edge.bundle_writer import write_bundle
from pixio_edge.calibration.agreement import compare_depth
from pixio_edge.calibration.calibrate import range_tensors
from pixio_edge.calibration.ladder import FloatLadder
from pixio_edge.cli.options import parse_size
from pixio_edge.engines.build import build_engine
from pixio_edge.engines.plan import plan_jobs
from pixio_edge.export.pipeline import export_bundle
from pixio_edge.export.trt.artifacts import PRECISIONS, add_tensorrt, typed_names
from pixio_edge.export.trt.emulation import run_typed
from pixio_edge.export.trt.int8_source import CALIBRATION_ROLE
from pixio_edge.golden import read_golden
from pixio_edge.manifest import ArtifactEntry
from pixio_edge.runtimes.trt_layers import count_precisions
from pixio_edge.runtimes.trt_library import load_library
from pixio_edge.sizes import Size

CAPABILITIES = ("8.6", "8.9", "12.0")
TABLE = "calibration.json"


def typed_bundle(name: str, size: Size, folder: Path) -> Bundle:
    """A bundle with typed graphs of one size in every precision."""
    is_bundle = name in list_embedded()
    if is_bundle:
        source = Bundle.open(name)
    else:
        model, details = random_model(name)
        source = export_bundle(model, folder / "float", details=details, sizes=[size])
    with write_bundle(folder / "typed", source.manifest) as writer:
        writer.take_over(source, drop=typed_names(source))
        if not is_bundle:
            graph = FloatLadder(source)[size]
            noise_table(graph, size, range_tensors(graph), source.manifest.image).save(writer.folder / TABLE)
            writer.add_file(TABLE, CALIBRATION_ROLE)
        writer.write_manifest(source.manifest)
        calibrated = Bundle.open(writer.folder)
        # What INT8 costs weights that were never trained says nothing, so nothing is asked of it.
        add_tensorrt(calibrated, writer, precisions=PRECISIONS, sizes=[size], threads=2, is_budgeted=is_bundle)
    return Bundle.open(folder / "typed")


def measure(bundle: Bundle, artifact: ArtifactEntry, capabilities: Sequence[str]) -> dict[str, Any]:
    """Parity of one typed graph, and its engines."""
    image, reference = read_golden(bundle, artifact)
    path = bundle.read_artifact(artifact).path
    depth = run_typed(onnx.load(path), [image], 2)[0]
    library = load_library("tensorrt-rtx")
    engines = {}
    for capability in capabilities:
        ((job,),) = plan_jobs(
            bundle, precisions=(artifact.precision,), sizes=(artifact.size,), compute_capability=capability
        )
        built = build_engine(library, path, job.settings, lists=True)
        engines[capability] = {
            "bytes": len(built.data),
            "build_s": round(built.build_s, 1),
            "products": count_precisions(built.layers),
        }
    return {
        "size": list(artifact.size),
        "precision": artifact.precision,
        "bytes": artifact.bytes + sum(entry.bytes for entry in artifact.data),
        "parity": artifact.parity,
        "mean_rel": float(np.abs(depth - reference).mean() / np.abs(reference).mean()),
        "delta1": compare_depth(reference, depth, bundle.manifest.output.kind).delta1,
        "engines": engines,
    }


def main() -> None:
    """Measure what the command line asks for, print JSON lines, and record them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL@HxW", help="bundle or preset, and a size")
    parser.add_argument("--compute-capability", action="append", help=f"default: {', '.join(CAPABILITIES)}")
    parser.add_argument("--record", action="store_true", help="append to benchmarks/records/tensorrt.jsonl")
    arguments = parser.parse_args()
    records = []
    for given in arguments.models:
        name, _, label = given.partition("@")
        size = parse_size(label) or (256, 256)
        with tempfile.TemporaryDirectory(prefix="pixio-edge-") as folder:
            bundle = typed_bundle(name, size, Path(folder))
            is_bundle = name in list_embedded()
            facts = {"model": name, "weights": "bundle" if is_bundle else "random"}
            facts |= bundle_hashes(bundle) if is_bundle else {}
            for artifact in (entry for entry in bundle.artifacts if entry.kind == "tensorrt"):
                records.append(facts | measure(bundle, artifact, arguments.compute_capability or CAPABILITIES))
                print(json.dumps(records[-1]), flush=True)
    if arguments.record:
        append_records("tensorrt", records)


if __name__ == "__main__":
    main()
