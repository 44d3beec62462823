"""Core ML packages of a bundle: converted from its checkpoint, checked in the MIL interpreter, listed as artifacts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixio_edge.errors import BundleError
from pixio_edge.export.base import INPUT_NAME, OUTPUT_NAME
from pixio_edge.export.coreml.calibrated import CalibratedModel, apply_table_
from pixio_edge.export.coreml.gate import check_package
from pixio_edge.export.coreml.options import CoreMLOptions, Variant, read_options
from pixio_edge.export.coreml.package import FILES, write_package
from pixio_edge.export.coreml.request import check_request
from pixio_edge.export.coreml.table import BundleCalibration
from pixio_edge.export.coreml.variants import VariantSource, convert_variant
from pixio_edge.export.source import open_source
from pixio_edge.manifest import ArtifactEntry, Precision, Requirements
from pixio_edge.quantization import QuantizationEntry
from pixio_edge.sizes import size_label
from pixio_edge.tensor import TensorSpec

if TYPE_CHECKING:
    from pixio_edge.bundle import Bundle
    from pixio_edge.bundle_writer import BundleWriter
    from pixio_edge.export.coreml.convert import Conversion
    from pixio_edge.export.prepare import PreparedModel
    from pixio_edge.models.depth_model import DepthModel
    from pixio_edge.sizes import Size

logger = logging.getLogger(__name__)

KIND = "coreml"
RUNTIME = "coreml"

PRECISIONS: dict[str, Precision] = {"fp32": "fp32", "w8a8": "int8"}
"""What variants execute in, where it is not half precision."""

PLAIN = frozenset({"fp16", "fp32"})
"""Variants without a flavour: the others tell by it which ladder of sizes they belong to."""


def add_coreml(
    bundle: Bundle,
    writer: BundleWriter,
    *,
    variants: Sequence[str] = ("fp16",),
    target: str = "iOS16",
    output: str = "array",
    sizes: Sequence[Size] | None = None,
    enumerated: bool = False,
    on_stage: Callable[[str], None] | None = None,
) -> tuple[ArtifactEntry, ...]:
    """Convert the checkpoint of a bundle to Core ML packages and list them.

    Args:
        bundle: Has the checkpoint, stored outputs, and for variant "w8a8" a calibration table and fp32 ONNX graphs.
        writer: Of the bundle to be written; what `bundle` has is in its folder already (`BundleWriter.take_over`).
        variants: Names out of `options.VARIANTS`.
        target: Oldest system, out of `options.TARGETS`.
        output: "array" or "image", see `options.CoreMLOptions`.
        sizes: Height and width of each input size, out of those the bundle has; None takes all.
        enumerated: One package for all sizes instead of one for each.
        on_stage: Told in a few words what was done, after each package.

    Returns:
        The new artifacts, named "coreml-<variant>-HxW" or "coreml-<variant>-enumerated-HxW", all with `verified`
        false: nothing runs them here. Their parity was measured in the MIL interpreter, which their records say.

    Raises:
        InputError: Unknown variant, target, output or size, or a size that cannot be enumerated.
        BundleError: The bundle has no checkpoint or stored output, no calibration table although it is needed, or
            such an artifact already.
        CheckFailedError: A package computes something else than the model.
        MissingDependencyError: coremltools is not installed.
    """
    options = read_options(variants, target, output, enumerated=enumerated)
    bases = check_request(bundle, options, sizes)
    model = open_source(str(bundle.folder)).model
    export = _Export(bundle, writer, options, model, BundleCalibration(bundle))
    groups = [tuple(bases)] if enumerated else [(size,) for size in bases]
    entries: list[ArtifactEntry] = []
    for variant in options.variants:
        for group in groups:
            entries += export.add(variant, {size: bases[size] for size in group})
            (on_stage or logger.debug)(f"converted {variant} at {', '.join(size_label(size) for size in group)}")
    return tuple(entries)


@dataclass(frozen=True, slots=True)
class _Export:
    """One call of `add_coreml`."""

    bundle: Bundle
    writer: BundleWriter
    options: CoreMLOptions
    model: DepthModel
    calibration: BundleCalibration

    def add(self, variant: Variant, bases: Mapping[Size, ArtifactEntry]) -> list[ArtifactEntry]:
        """Convert one variant to one package, check it at each of its sizes, and list it once for each."""
        label = f"{variant}-enumerated" if self.options.enumerated else variant
        stem = label if self.options.enumerated else f"{label}-{size_label(next(iter(bases)))}"
        package = f"{KIND}-{stem}.mlpackage"
        if (self.writer.folder / package).exists():
            raise BundleError(
                f"{package}: the bundle has it already, expected a bundle without. "
                "Fix: export to a new folder from the bundle without Core ML packages"
            )
        target = self.options.target
        source = VariantSource(self.model, tuple(bases), self._apply_table_)
        conversion = convert_variant(source, variant, target, self.options.output)
        facts = _facts(variant, target, conversion)
        write_package(conversion.model, self.writer.folder / package, header=self.bundle.manifest, facts=facts)
        entries = []
        for base in bases.values():
            entry = self._describe(variant, label, package, base)
            entries.append(check_package(entry, self.writer.folder, variant, self.options.output))
            self.writer.add_artifact(entries[-1])
        return entries

    def _apply_table_(self, prepared: PreparedModel) -> CalibratedModel:
        found = self.calibration
        return apply_table_(prepared, found.graph, found.table, keep_float=found.keep_float)

    def _describe(self, variant: Variant, label: str, package: str, base: ArtifactEntry) -> ArtifactEntry:
        graph, *data = (self.writer.describe(f"{package}/{path}", role) for path, role in FILES.items())
        quantization = None
        if label not in PLAIN:
            path, kept = (self.calibration.path, self.calibration.keep_float) if variant == "w8a8" else (None, ())
            quantization = QuantizationEntry(flavour=f"{KIND}-{label}", calibration=path, keep_float=kept)
        return ArtifactEntry(
            name=f"{KIND}-{label}-{size_label(base.size)}",
            kind=KIND,
            precision=PRECISIONS.get(variant, "fp16"),
            size=base.size,
            path=graph.path,
            sha256=graph.sha256,
            bytes=graph.bytes,
            data=tuple(data),
            inputs=(TensorSpec(INPUT_NAME, (1, *base.size, 3), "uint8"),),
            outputs=(TensorSpec(OUTPUT_NAME, (1, *base.size), "float32"),),
            requires=Requirements(runtimes=(RUNTIME,)),
            golden=base.golden,
            quantization=quantization,
        )


def _facts(variant: str, target: str, conversion: Conversion) -> dict[str, str]:
    facts = {"variant": variant, "target": target, "frontend": conversion.frontend}
    if conversion.fallback is not None:
        facts["fallback"] = conversion.fallback
    return {f"pixio_edge.{name}": value for name, value in facts.items()}
