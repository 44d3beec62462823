"""The command `quantize`: what it refuses, in one line and before anything is written, and one real run."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from block_bundle import write_block_bundle, write_pictures
from command import TIMEOUT_S, assert_one_line_error, leftovers, run_command

from pixio_edge.bundle import Bundle

# The main function with a package that is not there, as on a plain installation.
WITHOUT_ONNX = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "onnx":
            raise ModuleNotFoundError("No module named 'onnx'", name="onnx")

sys.meta_path.insert(0, Blocker())
from pixio_edge.cli.main import main
main()
"""

# The command, which says when it calibrates, and does so until it is ended.
CALIBRATES_FOR_EVER = """
import threading
from pixio_edge.calibration import quantize
from pixio_edge.cli.main import main

def calibrate(*_, **__):
    print("calibrating", flush=True)
    threading.Event().wait()

quantize.calibrate = calibrate
main()
"""


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_block_bundle(tmp_path_factory.mktemp("quantize_e2e") / "block").folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures") / "all", 8)


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "block"))


def test_embedded_bundle_needs_an_output_folder(pictures: Path) -> None:
    result = run_command("quantize", "nano", "--data", pictures)

    assert_one_line_error(result, "'nano' is part of the package", "--output nano-int8")


def test_nothing_to_calibrate_on_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    before = leftovers(tmp_path)

    assert_one_line_error(run_command("quantize", folder), "--data: got nothing")
    assert_one_line_error(run_command("quantize", folder, "--data", tmp_path / "empty"), "empty")
    assert_one_line_error(run_command("quantize", folder, "--data", tmp_path / "missing"), "missing")
    assert leftovers(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (("--budget", "0"), ("budget: got 0 points", "expected more than 0")),
        (("--budget", "-1"), ("budget: got -1 points",)),
        (("--runtime", "tpu"), ("got 'tpu'", "openvino, ort, tensorrt")),
        (("--method", "best"), ("activation_method: got best",)),
        (("--labelled", "no-such-folder"), ("no-such-folder: no such folder",)),
    ],
)
def test_bad_options_are_refused_and_the_bundle_stays(
    folder: Path, pictures: Path, arguments: tuple[str, ...], fragments: tuple[str, ...]
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    result = run_command("quantize", folder, "--data", pictures, "--images", "4", *arguments)

    assert_one_line_error(result, *fragments)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["block"]


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (("--weights-only", "int4"), ("--weights-only: got 'int4'", "int8, fp16")),
        (
            ("--weights-only", "int8", "--data", "x", "--runtime", "ort", "--budget", "0.5", "--report", "r"),
            ("--data, --runtime, --budget, --report: got together with --weights-only",),
        ),
        (("--weights-only", "int8", "--labelled", "x"), ("--labelled: got together",)),
        (("--weights-only", "int8", "--no-smoothing", "--threads", "1"), ("--smoothing, --threads: got together",)),
    ],
)
def test_options_that_smaller_weights_have_no_use_for_are_refused(
    folder: Path, arguments: tuple[str, ...], fragments: tuple[str, ...]
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    assert_one_line_error(run_command("quantize", folder, *arguments), *fragments)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_unknown_runtime_is_said_before_the_images_are_opened(folder: Path) -> None:
    result = run_command("quantize", folder, "--data", "no-such-folder", "--runtime", "tpu")

    assert_one_line_error(result, "got 'tpu'", "openvino, ort, tensorrt")


def test_damaged_bundle_is_refused(folder: Path, pictures: Path) -> None:
    (folder / "weights.bin").write_bytes(b"short")

    assert_one_line_error(run_command("quantize", folder, "--data", pictures), "weights.bin", "5 bytes")


def test_checkpoint_needs_its_licence_and_has_to_exist(tmp_path: Path, pictures: Path) -> None:
    missing = run_command("quantize", "gone.safetensors", "--data", pictures, "-o", tmp_path / "out")
    without_output = run_command("quantize", "gone.safetensors", "--data", pictures)
    (tmp_path / "mine.safetensors").write_bytes(b"x")
    unlicensed = run_command("quantize", tmp_path / "mine.safetensors", "--data", pictures, "-o", tmp_path / "out")

    assert_one_line_error(missing, "gone.safetensors: no such file")
    assert_one_line_error(without_output, "is a checkpoint", "--output gone-int8")
    assert_one_line_error(unlicensed, "--licence")
    assert leftovers(tmp_path) == ["mine.safetensors"]


def test_missing_package_names_the_extra(folder: Path, pictures: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_ONNX, "quantize", str(folder), "--data", str(pictures)]

    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)

    assert_one_line_error(result, "needs the package 'onnx'", "pip install 'pixio-edge[quantize]'")


def test_smaller_weights_are_added_without_images(folder: Path) -> None:
    result = run_command("quantize", folder, "--weights-only", "int8")

    assert result.returncode == 0, result.stderr
    assert "onnx-w8-64x64" in result.stdout
    assert run_command("verify", folder, "--runtime", "ort").returncode == 0


def test_dry_run_of_smaller_weights_tells_and_writes_nothing(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    told = run_command("quantize", folder, "--weights-only", "int8", "--dry-run")
    as_json = run_command("quantize", folder, "--weights-only", "int8", "--dry-run", "--json")

    assert "onnx-w8-64x64" in told.stdout
    report = json.loads(as_json.stdout)
    assert (report["folder"], report["computes_in"]) == (None, ["fp32"])
    assert "onnx-w8-64x64" in report["artifacts"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_dry_run_of_smaller_weights_needs_no_output_folder() -> None:
    result = run_command("quantize", "nano", "--weights-only", "fp16", "--dry-run", "--json")

    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["bytes"] > 0


def test_smaller_weights_are_reported_as_json_alone(folder: Path) -> None:
    result = run_command("quantize", folder, "--weights-only", "fp16", "--json")

    report = json.loads(result.stdout)
    assert report["folder"] == str(folder)
    assert set(report["artifacts"]) < {artifact.name for artifact in Bundle.open(folder).artifacts}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without telling it")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_end_by_a_signal_leaves_the_old_bundle_and_nothing_else(
    folder: Path, pictures: Path, number: signal.Signals
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    command = [sys.executable, "-c", CALIBRATES_FOR_EVER, "quantize", str(folder), "--data", str(pictures), "-r", "ort"]

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "calibrating\n"
            assert len(list(folder.parent.iterdir())) == 2  # the bundle, and the copy that is worked on
            process.send_signal(number)
            _, stderr = process.communicate(timeout=TIMEOUT_S)
        finally:
            process.kill()

    assert (process.returncode, stderr) == (130, "pixio-edge: interrupted\n")
    assert [path.name for path in folder.parent.iterdir()] == ["block"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.slow
def test_refusal_and_acceptance_are_told_by_the_exit_status_and_as_json(folder: Path, pictures: Path) -> None:
    """With real times, so which of the two it is depends on the host; both are whole answers."""
    result = run_command(
        "quantize", folder, "--data", pictures, "--images", "6", "--runtime", "ort", "--budget", "20", "--json"
    )

    report = json.loads(result.stdout)
    assert report["targets"][0]["speed"][0]["rounds"] == 3
    assert report["targets"][0]["accuracy"]["images"] == 2
    assert result.returncode == (0 if report["accepted"] else 1), result.stderr
    written = [artifact.name for artifact in Bundle.open(folder).artifacts if artifact.precision == "int8"]
    assert written == report["artifacts"]
    assert bool(written) is report["accepted"]
    if not report["accepted"]:
        assert_one_line_error(result, "INT8 refused", exit_code=1)
