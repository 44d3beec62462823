"""Calibration tables of small graphs, from minima and maxima on a few images."""

from __future__ import annotations

import numpy as np
import onnx
from random_models import random_image

from pixio_edge.calibration.collect import layer_tensors, stream_tensors
from pixio_edge.calibration.table import ActivationRange, CalibrationTable, Provenance

IMAGES = 3


def table_of(
    graph: onnx.ModelProto, images: list[np.ndarray] | None = None, tensors: tuple[str, ...] | None = None
) -> CalibrationTable:
    """Table of the tensors that calibration measures by default.

    Args:
        graph: Float graph with a uint8 `image` input.
        images: uint8 (H, W, 3) each; random ones of the graph's size by default.
        tensors: Names of the tensors; inputs and outputs of layers by default.
    """
    _, height, width, _ = (dim.dim_value for dim in graph.graph.input[0].type.tensor_type.shape.dim)
    given = images or [random_image((height, width), seed=seed)[0] for seed in range(IMAGES)]
    names = tensors or layer_tensors(graph)
    bounds: dict[str, tuple[float, float]] = {}
    for values in stream_tensors({(height, width): graph}, given, names, threads=1):
        for name, value in values.items():
            low, high = bounds.get(name, (np.inf, -np.inf))
            bounds[name] = (min(low, float(value.min())), max(high, float(value.max())))
    ranges = {name: ActivationRange(low=a, high=b, seen_low=a, seen_high=b) for name, (a, b) in bounds.items()}
    provenance = Provenance(
        tool="tests", created="", graph_sha256="", images=len(given), images_sha256="", source="random", config={}
    )
    return CalibrationTable(provenance=provenance, activations=ranges)
