"""Accuracy in a record: measured on data at the artifact's own size, or what the manifest states of it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pixio_edge import Bundle, DepthEstimator
from pixio_edge.bench.accuracy import stated_accuracy
from pixio_edge.bench.evaluated import measure_accuracy
from pixio_edge.bench.isolated import accuracy_isolated
from pixio_edge.bench.plan import BenchPlan
from pixio_edge.evaluation.datasets import open_datasets
from pixio_edge.evaluation.protocol import evaluate
from tests.tiny_bundle import write_tiny_bundle


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A set of two images, wider than high, whose true depth grows downwards."""
    folder = tmp_path / "ramp"
    folder.mkdir()
    lines = ["rgb,depth,scale"]
    for index in range(2):
        grey = np.repeat(np.linspace(250, 20 + index, 40)[:, None], 60, axis=1).astype(np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
        cv2.imwrite(str(folder / f"{index}.depth.png"), (250_000 / (grey.astype(np.float32) + 5)).astype(np.uint16))
        lines.append(f"{index}.png,{index}.depth.png,1000")
    (folder / "index.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_accuracy_is_that_of_evaluate_at_the_size_of_the_artifact(tmp_path: Path, data: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny")
    plan = BenchPlan(str(bundle.folder), "ort", "onnx-fp32-48x32", threads=1)
    seen: list[int] = []

    found = measure_accuracy(plan, data, notify=lambda done, total, name: seen.append(done))

    with DepthEstimator.open(bundle, runtime="ort", size=(48, 32), threads=1) as estimator:
        expected = evaluate(lambda rgb: estimator.predict(rgb).inverse(), open_datasets(data)).macro
    assert (found.delta1, found.abs_rel) == (expected.delta1, expected.abs_rel)
    assert (found.images, found.sets, found.source, found.on) == (2, ("ramp",), "measured", str(data))
    assert seen == [1, 2]


def test_accuracy_of_a_process_of_its_own_is_the_same_and_says_how_far_it_is(tmp_path: Path, data: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny", sizes=((32, 48),))
    plan = BenchPlan(str(bundle.folder), "ort", "onnx-fp32-32x48", threads=1)
    steps: list[str] = []

    found = accuracy_isolated(plan, data, notify=steps.append)

    assert found == measure_accuracy(plan, data)
    assert steps == ["ramp 1 of 2", "ramp 2 of 2"]


def test_manifest_states_accuracy_of_what_it_was_measured_for() -> None:
    bundle = Bundle.open("nano")
    by_precision = {artifact.precision: artifact for artifact in bundle.artifacts if artifact.kind == "onnx"}

    int8 = stated_accuracy(bundle, by_precision["int8"], "int8")
    fp32 = stated_accuracy(bundle, by_precision["fp32"], "fp32")

    assert int8 is not None
    assert fp32 is not None
    assert int8.source == fp32.source == "manifest"
    assert int8.sets == fp32.sets
    assert int8.delta1 != fp32.delta1
    # bf16 executes the same artifact, and nobody measured that.
    assert stated_accuracy(bundle, by_precision["fp32"], "bf16") is None


def test_bundle_without_measured_accuracy_states_none(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny")

    assert stated_accuracy(bundle, bundle.artifacts[0], "fp32") is None
