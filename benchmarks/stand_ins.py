"""Stand-ins for trained weights and photos: random weights that keep the size of the signal, ranges from noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import torch
from torch import nn

from pixio_edge.calibration.collect import stream_tensors
from pixio_edge.calibration.table import ActivationRange, CalibrationTable, Provenance
from pixio_edge.export.bundle_details import BundleDetails
from pixio_edge.image import ImageSpec
from pixio_edge.manifest import LicenceEntry
from pixio_edge.models.depth_model import DepthModel
from pixio_edge.models.presets import build_model
from pixio_edge.sizes import Size

CALIBRATION_IMAGES = 3


def random_model(preset: str) -> tuple[DepthModel, BundleDetails]:
    """A preset with random weights, the same each time, and what a bundle says of it."""
    torch.manual_seed(0)
    model = build_model(preset).eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            module.weight.copy_(torch.randn(module.weight.shape) * module.weight[0].numel() ** -0.5)
    licence = LicenceEntry(weights="none", commercial=True, notice="random weights")
    return model, BundleDetails(preset, preset, licence)


def noise_table(graph: onnx.ModelProto, size: Size, tensors: Sequence[str], spec: ImageSpec) -> CalibrationTable:
    """Minima and maxima of tensors on a few images of noise."""
    noise = np.random.default_rng(0)
    images = [noise.integers(0, 256, (*size, 3), np.uint8) for _ in range(CALIBRATION_IMAGES)]
    bounds: dict[str, tuple[float, float]] = {}
    for values in stream_tensors({size: graph}, images, tensors, image_spec=spec, threads=2):
        for name, value in values.items():
            low, high = bounds.get(name, (np.inf, -np.inf))
            bounds[name] = (min(low, float(value.min())), max(high, float(value.max())))
    ranges = {name: ActivationRange(low=a, high=b, seen_low=a, seen_high=b) for name, (a, b) in bounds.items()}
    provenance = Provenance(
        tool="", created="", graph_sha256="", images=CALIBRATION_IMAGES, images_sha256="", source="noise", config={}
    )
    return CalibrationTable(provenance=provenance, activations=ranges)
