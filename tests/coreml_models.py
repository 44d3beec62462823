"""Small models as Core ML programs: prepared, converted, written, and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from random_models import SIZES, random_image, random_model, randomise_
from torch import nn

from pixio_edge.export.bundle_details import BundleDetails, bundle_header
from pixio_edge.export.coreml.convert import Conversion
from pixio_edge.export.coreml.interpreter import MilInterpreter
from pixio_edge.export.coreml.mil_program import load_program
from pixio_edge.export.coreml.package import write_package
from pixio_edge.export.coreml.planar import PlanarModel
from pixio_edge.export.prepare import PreparedModel
from pixio_edge.manifest import BundleHeader, LicenceEntry
from pixio_edge.models.depth_model import DepthModel
from pixio_edge.models.presets import build_model

SIZE = SIZES[0]


class OneLayer(nn.Module):
    """What `convert` needs of a `PlanarModel`, with one convolution: it converts at once."""

    bias = (0.0, 0.0, 0.0)
    is_image = False

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 1, 3, padding=1).requires_grad_(False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.conv(pixels)[:, 0]


def one_layer() -> PlanarModel:
    return cast(PlanarModel, OneLayer())


def tiny_model() -> DepthModel:
    """The smallest model with a stem: the preset "tiny" with random weights that all matter."""
    return randomise_(build_model("tiny"))


def header_of(model: DepthModel) -> BundleHeader:
    licence = LicenceEntry(weights="CC-BY-4.0", commercial=True, notice="made of random numbers")
    return bundle_header(model, BundleDetails("little", "custom", licence))


def write(conversion: Conversion, folder: Path, model: DepthModel) -> Path:
    """Write a conversion of a model to "<folder>/model.mlpackage"."""
    package = folder / "model.mlpackage"
    write_package(conversion.model, package, header=header_of(model), facts={"pixio_edge.variant": "test"})
    return package


def run_package(package: Path, image: np.ndarray, precision: Any = "fp32") -> np.ndarray:
    """Depth (1, H, W) by the MIL interpreter."""
    return MilInterpreter(load_program(package), precision).run({"image": image})["depth"]


def run_prepared(prepared: PreparedModel, image: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return prepared(torch.from_numpy(image)).numpy()


def operations(conversion: Conversion) -> list[Any]:
    """What runs in a converted program: everything but constants, and what decompresses them."""
    return [op for op in function(conversion).operations if not op.op_type.startswith("const")]


def function(conversion: Conversion) -> Any:
    return conversion.model._mil_program.functions["main"]


__all__ = [
    "SIZE",
    "function",
    "header_of",
    "one_layer",
    "operations",
    "random_image",
    "random_model",
    "run_package",
    "run_prepared",
    "tiny_model",
    "write",
]
