from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tiny_graphs import CLASS_TOKENS, SIZES, block_graph

from pixio_edge.calibration.collect import collect
from pixio_edge.calibration.config import CalibrationConfig
from pixio_edge.calibration.dataset import CalibrationSet
from pixio_edge.calibration.graph import QuantGraph
from pixio_edge.calibration.plots import CHANNELS_NAME, HISTOGRAMS_NAME, TOKENS_NAME, plot_outliers
from pixio_edge.calibration.report import OUTLIER_RATIO, LayerOutliers, OutlierReport, outlier_report
from pixio_edge.calibration.tensor_statistics import Statistics
from pixio_edge.errors import MissingDependencyError, SpecError
from pixio_edge.image import write_image

CHANNEL = 5
FACTOR = 100.0


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> CalibrationSet:
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for index in range(3):
        write_image(folder / f"{index}.png", generator.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    return CalibrationSet.open(folder)


def scaled(graph: onnx.ModelProto, constant: str, channel: int, factor: float) -> onnx.ModelProto:
    tensor = next(item for item in graph.graph.initializer if item.name == constant)
    value = numpy_helper.to_array(tensor).copy()
    value[..., channel] *= factor
    tensor.CopyFrom(numpy_helper.from_array(value, constant))
    return graph


def measure(
    graph: onnx.ModelProto, images: CalibrationSet, config: CalibrationConfig | None = None
) -> tuple[Statistics, OutlierReport]:
    statistics = collect({SIZES[0]: graph}, images, config or CalibrationConfig(threads=1))
    return statistics, outlier_report(statistics, QuantGraph(graph))


def find(report: OutlierReport, layer: str) -> LayerOutliers:
    return next(item for item in report.layers if item.layer == layer)


def test_planted_channel_is_found_in_the_layer_that_reads_it(images: CalibrationSet) -> None:
    graph = scaled(scaled(block_graph(), "norm2.scale", CHANNEL, FACTOR), "norm2.shift", CHANNEL, FACTOR)

    _, before = measure(block_graph(), images)
    _, after = measure(graph, images)

    assert find(before, "fc1").channel_ratio < 5
    found = find(after, "fc1")
    assert found.worst_channel == CHANNEL
    assert found.channel_ratio == pytest.approx(
        FACTOR * find(before, "fc1").channel_ratio, rel=1.0
    )  # another channel was the largest
    assert found.median_steps < 3 < find(before, "fc1").median_steps
    assert after.outliers[0].layer in {"fc1", "fc2"}
    assert "Outliers, a ratio of 20 or more, in" in after.to_markdown()
    assert find(after, "qkv") == find(before, "qkv")


def test_planted_class_token_is_told_from_the_patches(images: CalibrationSet) -> None:
    graph = block_graph()
    bias = next(item for item in graph.graph.initializer if item.name == "class")
    value = numpy_helper.to_array(bias).copy()
    value[0, 1] = 0.0
    bias.CopyFrom(numpy_helper.from_array(value, "class"))
    # A class token of zeros leaves the norm as its shift alone; the others have unit variance before its scale.
    _, report = measure(graph, images)
    found = find(report, "qkv")

    assert found.class_amax is not None
    assert len(found.class_amax) == CLASS_TOKENS
    shift = next(item for item in graph.graph.initializer if item.name == "norm1.shift")
    assert found.class_amax[1] == pytest.approx(np.abs(numpy_helper.to_array(shift)).max(), rel=1e-4)
    assert found.class_amax[0] > 2 * found.class_amax[1]
    assert found.class_ratio == pytest.approx(max(found.class_amax) / found.patch_median)
    assert found.patch_ratio >= 1.0


def test_layers_that_read_no_tokens_have_no_token_numbers(images: CalibrationSet) -> None:
    _, report = measure(block_graph(), images)

    for name in ("stem", "readout", "plane"):
        found = find(report, name)
        assert (found.class_amax, found.patch_amax, found.patch_median) == (None, None, None)
        assert found.patch_ratio == found.class_ratio == 1.0
    assert [item.layer for item in report.layers] == ["stem", "qkv", "proj", "fc1", "fc2", "readout", "plane"]


def test_range_that_was_used_is_that_of_the_method(images: CalibrationSet) -> None:
    config = CalibrationConfig(activation_method="percentile", percentile=90.0)

    _, report = measure(block_graph(), images, config)

    assert report.method == "percentile"
    assert find(report, "fc2").used < 0.9 * find(report, "fc2").amax


def test_dead_channels_are_counted_and_do_not_hide_the_median(images: CalibrationSet) -> None:
    graph = block_graph()
    for channel in range(12):
        scaled(scaled(graph, "norm2.scale", channel, 0.0), "norm2.shift", channel, 0.0)

    _, report = measure(graph, images)

    assert find(report, "fc1").dead_channels == 12
    assert 1.0 <= find(report, "fc1").channel_ratio < 5


def test_layer_whose_input_is_all_zero_is_reported_and_drawn(images: CalibrationSet, tmp_path: Path) -> None:
    graph = block_graph()
    for channel in range(16):
        scaled(scaled(graph, "norm2.scale", channel, 0.0), "norm2.shift", channel, 0.0)

    statistics, report = measure(graph, images)

    found = find(report, "fc1")
    assert (found.amax, found.used, found.channel_ratio, found.median_steps) == (0.0, 0.0, 1.0, 0.0)
    assert "`fc1`" in report.to_markdown()
    only = OutlierReport((found,), report.images, report.method)
    assert [path.name for path in plot_outliers(only, statistics, tmp_path)] == [CHANNELS_NAME, HISTOGRAMS_NAME]


def test_json_has_all_numbers_and_markdown_the_worst_layer_first(images: CalibrationSet) -> None:
    _, report = measure(scaled(block_graph(), "norm1.scale", CHANNEL, FACTOR), images)

    record = json.loads(report.to_json())
    rows = [line for line in report.to_markdown().splitlines() if line.startswith("| `")]

    assert [item["layer"] for item in record["layers"]] == [item.layer for item in report.layers]
    assert record["layers"][1]["channel_ratio"] == find(report, "qkv").channel_ratio > OUTLIER_RATIO
    assert rows[0].startswith("| `qkv`")
    assert len(rows) == len(report.layers)
    assert {row.count("|") for row in rows} == {12}


def test_calm_graph_is_said_to_have_no_outliers(images: CalibrationSet) -> None:
    _, report = measure(block_graph(), images)

    assert not report.outliers
    assert f"No layer reaches a ratio of 20; the largest is {report.worst[0].ratio:.1f}" in report.to_markdown()
    assert "no layer that can run in INT8" in OutlierReport((), 1, "minmax").to_markdown()


def test_pictures_are_drawn(images: CalibrationSet, tmp_path: Path) -> None:
    statistics, report = measure(block_graph(), images)

    paths = plot_outliers(report, statistics, tmp_path / "new")

    assert [path.name for path in paths] == [TOKENS_NAME, CHANNELS_NAME, HISTOGRAMS_NAME]
    for path in paths:
        picture = cv2.imread(str(path))
        assert min(picture.shape[:2]) > 200
        assert picture.std() > 10
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(path.name for path in paths)


def test_missing_matplotlib_is_explained(
    images: CalibrationSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statistics, report = measure(block_graph(), images)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(MissingDependencyError, match=r"'matplotlib'.*pip install 'pixio-edge\[quantize\]'"):
        plot_outliers(report, statistics, tmp_path)


def test_statistics_of_other_tensors_are_an_error(images: CalibrationSet) -> None:
    statistics = collect({SIZES[0]: block_graph()}, images, CalibrationConfig(), tensors=["depth"])

    with pytest.raises(SpecError, match="got none of tensor"):
        outlier_report(statistics, QuantGraph(block_graph()))
