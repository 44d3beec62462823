"""Converts models to every Core ML variant and measures size, parity in the MIL interpreter, and what the linter says.

A bundle brings its weights, stored image and calibration table. A preset gets random weights that keep the size of the
signal, a test image, and a table of minima and maxima on three images of noise: its numbers say what the format costs,
not what it costs trained weights. Nothing here runs on Apple hardware.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recording import append_records, bundle_hashes
from stand_ins import noise_table, random_model

from pixio_edge.bundle import Bundle, list_embedded
from pixio_edge.calibration.agreement import compare_depth
from pixio_edge.calibration.collect import layer_tensors
from pixio_edge.cli.options import parse_size
from pixio_edge.export.base import ExportRequest
from pixio_edge.export.bundle_details import bundle_header
from pixio_edge.export.coreml.calibrated import CalibratedModel, apply_table_
from pixio_edge.export.coreml.gate import LIMITS, measure_package
from pixio_edge.export.coreml.lint import summarise
from pixio_edge.export.coreml.mil_program import load_program
from pixio_edge.export.coreml.options import VARIANTS
from pixio_edge.export.coreml.package import FILES, write_package
from pixio_edge.export.coreml.table import BundleCalibration
from pixio_edge.export.coreml.variants import VariantSource, convert_variant
from pixio_edge.export.golden_image import make_golden_image
from pixio_edge.export.onnx import export_graphs
from pixio_edge.export.prepare import PreparedModel
from pixio_edge.export.reference import reference_depth
from pixio_edge.export.source import open_source
from pixio_edge.manifest import BundleHeader
from pixio_edge.models.depth_model import DepthModel
from pixio_edge.sizes import Size

RANDOM_LIMITS = LIMITS | {"p6": 0.15, "w8a8": 0.25}
"""For random weights, which spread errors evenly, and tables of noise; 0.25 is the limit of INT8 graphs too."""


@dataclass(frozen=True)
class Subject:
    """One model, and how its calibration table is applied."""

    name: str
    model: DepthModel
    header: BundleHeader
    bundle: Bundle | None

    def apply_table_(self, prepared: PreparedModel, size: Size) -> CalibratedModel:
        """Apply the bundle's calibration table, or one of noise."""
        if self.bundle is not None:
            found = BundleCalibration(self.bundle)
            return apply_table_(prepared, found.graph, found.table, keep_float=found.keep_float)
        ((_, graph),) = export_graphs(self.model, ExportRequest((size,), self.header.image.multiple_of), {})
        table = noise_table(graph, size, layer_tensors(graph), self.header.image)
        return apply_table_(prepared, graph, table)


def open_subject(name: str) -> Subject:
    """A bundle by name, or a preset with random weights."""
    if name in list_embedded():
        bundle = Bundle.open(name)
        return Subject(name, open_source(name).model, bundle.manifest, bundle)
    model, details = random_model(name)
    return Subject(name, model, bundle_header(model, details), None)


def measure(subject: Subject, size: Size, variant: str, target: str) -> dict[str, Any]:
    """Convert one variant and say what it is."""
    image = make_golden_image(size)
    reference = reference_depth(subject.model, image)
    source = VariantSource(subject.model, (size,), lambda prepared: subject.apply_table_(prepared, size))
    start = time.perf_counter()
    conversion = convert_variant(source, variant, target, "array")  # type: ignore[arg-type]
    seconds = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "model.mlpackage"
        write_package(conversion.model, package, header=subject.header, facts={})
        limits = RANDOM_LIMITS if subject.bundle is None else LIMITS
        found = measure_package(package, image, reference, limits[variant])
        summary = summarise(load_program(package))
        size_bytes = sum((package / path).stat().st_size for path in FILES)
    agreement = compare_depth(reference, found.depth, subject.header.output.kind)
    return {
        "model": subject.name,
        "weights": "bundle" if subject.bundle else "random",
        "size": list(size),
        "variant": variant,
        "target": target,
        "bytes": size_bytes,
        "convert_s": round(seconds, 1),
        "frontend": conversion.frontend,
        "fp32": found.exact.to_json(),
        "fp16": found.rounded.to_json(),
        "delta1": agreement.delta1,
        "largest_fp16": found.peak,
        "overflowed": list(found.overflowed),
        "engine": summary.to_json(),
        **({} if subject.bundle is None else bundle_hashes(subject.bundle)),
    }


def main() -> None:
    """Measure what the command line asks for, print JSON lines, and record them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL@HxW", help="bundle or preset, and a size")
    parser.add_argument("--variant", action="append", choices=list(VARIANTS), help="default: all")
    parser.add_argument("--target", default="iOS17")
    parser.add_argument("--record", action="store_true", help="append to benchmarks/records/coreml.jsonl")
    arguments = parser.parse_args()
    records = []
    for given in arguments.models:
        name, _, label = given.partition("@")
        subject, size = open_subject(name), parse_size(label) or (256, 256)
        for variant in arguments.variant or VARIANTS:
            records.append(measure(subject, size, variant, arguments.target))
            print(json.dumps(records[-1]), flush=True)
    if arguments.record:
        append_records("coreml", records)


if __name__ == "__main__":
    main()
