"""The variants of a Core ML package: how each is made of the prepared model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pixio_edge.export.coreml.ane import channels_first
from pixio_edge.export.coreml.calibrated import CalibratedModel
from pixio_edge.export.coreml.convert import Compute, Conversion, convert
from pixio_edge.export.coreml.enumerated import prepare_enumerated
from pixio_edge.export.coreml.library import load_coremltools, quiet
from pixio_edge.export.coreml.palettes import palettize
from pixio_edge.export.coreml.planar import PlanarModel
from pixio_edge.export.coreml.quantize import quantizer
from pixio_edge.export.prepare import prepare

if TYPE_CHECKING:
    from pixio_edge.export.coreml.options import DepthOutput, Target, Variant
    from pixio_edge.export.prepare import PreparedModel
    from pixio_edge.models.depth_model import DepthModel
    from pixio_edge.sizes import Size

SMALLEST_WEIGHT = 2048
"""Elements from which on a weight is stored small: below it scales and palettes outweigh what they save."""

PALETTE_BITS: dict[str, int] = {"p8": 8, "p6": 6}
COMPUTE: dict[str, Compute] = {"fp32": "fp32", "fp16-islands": "fp16-islands"}
"""Precision of variants that do not compute in half precision throughout."""


@dataclass(frozen=True, slots=True)
class VariantSource:
    """What a package is made of.

    Attributes:
        model: The model as it was trained.
        sizes: Its height and width; several are enumerated in one package.
        apply_table_: Applies the calibration table to the prepared model; called for variant "w8a8" alone.
    """

    model: DepthModel
    sizes: tuple[Size, ...]
    apply_table_: Callable[[PreparedModel], CalibratedModel]


def convert_variant(source: VariantSource, variant: Variant, target: Target, output: DepthOutput) -> Conversion:
    """Convert one variant of a model.

    Raises:
        CheckFailedError: It cannot be converted.
        BundleError: Variant "w8a8" without a table, or with one that does not fit.
        InputError: A size that cannot be enumerated.
        MissingDependencyError: coremltools is not installed.
    """
    prepared = _prepared(source, variant)
    if variant == "w8a8":
        layers = source.apply_table_(prepared).layers
        return convert(PlanarModel(prepared, output), source.sizes, target=target, transform=quantizer(layers, target))
    compute = COMPUTE.get(variant, "fp16")
    conversion = convert(PlanarModel(prepared, output), source.sizes, compute=compute, target=target)
    if variant == "w8":
        return _compressed(conversion, _integer_weights)
    if variant in PALETTE_BITS:
        return _compressed(conversion, lambda ct, model: _palette_weights(ct, model, PALETTE_BITS[variant]))
    return conversion


def _prepared(source: VariantSource, variant: Variant) -> PreparedModel:
    if len(source.sizes) > 1:
        return prepare_enumerated(source.model, source.sizes)
    if variant == "ane":
        # With the affine part of a norm in the next layer, or the converter makes a batch norm of it.
        return channels_first(prepare(source.model, source.sizes[0], fold_layer_norms=True))
    return prepare(source.model, source.sizes[0])


def _compressed(conversion: Conversion, compress: Callable[[Any, Any], Any]) -> Conversion:
    with quiet():
        model = compress(load_coremltools(), conversion.model)
    return Conversion(model, conversion.frontend, conversion.fallback)


def _integer_weights(ct: Any, model: Any) -> Any:
    """Symmetric integers with one scale for each output channel."""
    coreml = ct.optimize.coreml
    how = coreml.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=SMALLEST_WEIGHT)
    return coreml.linear_quantize_weights(model, coreml.OptimizationConfig(global_config=how))


def _palette_weights(ct: Any, model: Any, bits: int) -> Any:
    coreml = ct.optimize.coreml
    how = coreml.OpPalettizerConfig(
        mode="custom", lut_function=lambda weight: palettize(weight, bits), weight_threshold=SMALLEST_WEIGHT
    )
    return coreml.palettize_weights(model, coreml.OptimizationConfig(global_config=how))
