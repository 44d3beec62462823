"""What the package carries works as the README says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import TIMEOUT_S, leftovers, run_command

from pixio_edge import DepthEstimator
from pixio_edge.bundle import EMBEDDED, Bundle
from pixio_edge.evaluation.index_folder import IndexFolder
from pixio_edge.golden import read_golden
from pixio_edge.video import VideoWriter

EXAMPLES = Path(__file__).parents[2] / "examples"
SAMPLES = EMBEDDED / "samples"
MAX_MODEL_MB = 40.0
"""Graphs and weights of nano together; golden outputs and credits come on top."""

OUTLIER_RATIO = 3.0
"""Largest value over the 99.9th percentile; an earlier nano had 50 in one corner, sound maps have below 1.5."""


@pytest.fixture(scope="module")
def sample() -> Path:
    """Image of the first carried scene."""
    return SAMPLES / next(iter(IndexFolder(SAMPLES))).name


def test_nano_has_no_outliers_in_its_stored_outputs_nor_on_the_sample_scenes() -> None:
    bundle = Bundle.open("nano")
    maps = [read_golden(bundle, artifact)[1] for artifact in bundle.artifacts if artifact.golden]
    with DepthEstimator.open("nano", runtime="ort") as estimator:
        maps += [estimator.predict(sample.rgb).inverse() for sample in IndexFolder(SAMPLES)]

    for values in maps:
        assert values.max() < OUTLIER_RATIO * np.percentile(values, 99.9)


def test_demo_writes_every_kind_of_file_and_beats_the_floor_on_the_sample_scenes(tmp_path: Path) -> None:
    result = run_command("demo", "--output", tmp_path, "--runtime", "ort", "--json")

    assert result.returncode == 0, result.stderr
    records = json.loads(result.stdout)
    assert len(records) == len(IndexFolder(SAMPLES))
    for record in records:
        assert set(record["files"]) == {"depth", "color", "npy", "ply"}
        assert all(Path(path).stat().st_size > 0 for path in record["files"].values())
        assert min(record["pre_ms"], record["infer_ms"], record["post_ms"]) > 0
    scores = [record["delta1"] for record in records]
    floors = [record["floor_delta1"] for record in records]
    assert np.mean(scores) > np.mean(floors)


def test_demo_takes_a_photo(photo: Path, tmp_path: Path) -> None:
    result = run_command("demo", photo, "--output", tmp_path)

    assert result.returncode == 0, result.stderr
    assert leftovers(tmp_path) == ["photo.color.png", "photo.depth.png", "photo.npy", "photo.ply"]
    assert "infer_ms" in result.stdout


def test_nano_is_small_and_free_to_use() -> None:
    manifest = json.loads(run_command("inspect", "nano", "--json").stdout)

    assert manifest["licence"]["commercial"] is True
    assert manifest["model"]["parameters"] <= 8_000_000
    assert manifest["model"]["gflop"] <= 4.5
    assert manifest["training"]
    model = [path for path in (EMBEDDED / "nano").iterdir() if path.name.startswith(("graph", "weights"))]
    assert {"weights.bin", "weights-int8.bin", "weights.safetensors"} < {path.name for path in model}
    assert sum(path.stat().st_size for path in model) < MAX_MODEL_MB * 1e6


def test_nano_reproduces_its_stored_outputs_here() -> None:
    result = run_command("verify", "nano")

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("name", "arguments", "written"),
    [
        ("predict_photo.py", (), {"depth.color.png", "depth.png", "depth.npy"}),
        ("metric_from_two_points.py", ("10,10,2.0", "60,80,1.0"), {"cloud.ply"}),
    ],
)
def test_example_runs(name: str, arguments: tuple[str, ...], written: set[str], photo: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / name), str(photo), *arguments]

    result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, cwd=tmp_path)

    assert result.returncode == 0, result.stderr
    assert written <= set(leftovers(tmp_path))


def test_camera_example_runs_on_a_video(sample: Path, tmp_path: Path) -> None:
    picture = cv2.resize(cv2.cvtColor(cv2.imread(str(sample)), cv2.COLOR_BGR2RGB), (320, 240))
    with VideoWriter(tmp_path / "drive.mp4", 25.0, (240, 320)) as writer:
        for _ in range(5):
            writer.write(np.asarray(picture, np.uint8))

    command = [sys.executable, str(EXAMPLES / "camera_loop.py"), "drive.mp4"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, cwd=tmp_path)

    assert result.returncode == 0, result.stderr
    assert "frame 0:" in result.stdout
