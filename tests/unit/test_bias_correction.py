"""Corrections of biases: by hand, against the mean error that a quantised graph really has, and after clipping."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from calibration_images import random_calibration_set
from int8_tables import table_of
from tiny_graphs import SIZES, block_graph

from pixio_edge.calibration.bias_correction import bias_corrections, mean_error
from pixio_edge.calibration.collect import stream_tensors
from pixio_edge.calibration.config import CalibrationConfig
from pixio_edge.calibration.dataset import CalibrationSet
from pixio_edge.calibration.emit import emit
from pixio_edge.calibration.graph import QuantGraph
from pixio_edge.calibration.table import CalibrationTable

# What is left of the mean error once it is corrected on the same images: float32 sums. Measured at most 3e-3.
LEFT = 0.01
GRAPHS = {SIZES[0]: block_graph()}
CONFIG = CalibrationConfig(threads=1)


@pytest.fixture
def images(tmp_path: Path) -> CalibrationSet:
    """All 18 tokens of every image are used, so means are exact."""
    return random_calibration_set(tmp_path, SIZES[0])


def mean_of(graph: onnx.ModelProto, images: CalibrationSet, tensor: str) -> np.ndarray:
    """Mean of each channel over tokens and images."""
    return np.concatenate([v[tensor][0] for v in stream_tensors({SIZES[0]: graph}, images.images(), [tensor])]).mean(0)


def table_for(images: CalibrationSet, *, clipped: float = 1.0) -> CalibrationTable:
    table = table_of(GRAPHS[SIZES[0]], list(images.images()))
    ranges = {
        name: found.model_copy(update={"low": found.low * clipped, "high": found.high * clipped})
        for name, found in table.activations.items()
    }
    return table.model_copy(update={"activations": ranges})


def test_mean_error_by_hand() -> None:
    weight = np.array([[1.0, 2.0], [3.0, 4.0]])
    held = np.array([[1.5, 2.0], [3.0, 4.0]])

    np.testing.assert_allclose(mean_error(np.array([2.0, 1.0]), np.array([2.0, 1.0]), weight, held), [1.0, 0.0])
    np.testing.assert_allclose(mean_error(np.array([2.0, 1.0]), np.array([1.0, 1.0]), weight, weight), [-1.0, -2.0])


@pytest.mark.parametrize("clipped", [1.0, 0.5], ids=["whole range", "half of the range"])
@pytest.mark.parametrize("name", ["qkv", "fc2"])
def test_corrected_layer_has_no_mean_error(images: CalibrationSet, name: str, clipped: float) -> None:
    graph = GRAPHS[SIZES[0]]
    table = table_for(images, clipped=clipped)
    others = [layer.name for layer in QuantGraph(graph).layers() if layer.name != name]

    found = bias_corrections(GRAPHS, images, table.activations, CONFIG)

    corrected_table = table.model_copy(update={"bias_corrections": found})
    expected = mean_of(graph, images, f"{name}.out")
    plain = mean_of(emit(graph, table, "openvino", keep_float=others), images, f"{name}.out") - expected
    corrected = mean_of(emit(graph, corrected_table, "openvino", keep_float=others), images, f"{name}.out") - expected
    assert np.abs(plain).max() > 0
    assert np.abs(corrected).max() < LEFT * np.abs(plain).max()


def test_layers_without_bias_or_range_have_no_correction(images: CalibrationSet) -> None:
    ranges = dict(table_for(images).activations)
    del ranges["gelu"]

    found = bias_corrections(GRAPHS, images, ranges, CONFIG)

    assert set(found) == {"stem", "qkv", "proj", "fc1", "readout"}  # "plane" has no bias, "fc2" no range
    assert [len(found[name]) for name in ("qkv", "fc1")] == [48, 64]


def test_correction_belongs_to_the_integers_that_are_used(images: CalibrationSet) -> None:
    graph = QuantGraph(GRAPHS[SIZES[0]])
    table = table_for(images)
    shape = tuple(graph.constants["qkv.weight"].dims)

    nearest = bias_corrections(GRAPHS, images, table.activations, CONFIG)
    zeros = bias_corrections(GRAPHS, images, table.activations, CONFIG, rounded={"qkv": np.zeros(shape, np.int8)})

    expected = mean_of(GRAPHS[SIZES[0]], images, "qkv.product")
    np.testing.assert_allclose(zeros["qkv"], expected, atol=1e-5)  # a layer of zeros gives all of its mean as bias
    assert zeros["fc1"] == nearest["fc1"]
