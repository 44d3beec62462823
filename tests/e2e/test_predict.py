"""`pixio-edge predict` from the outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import EXECUTABLE, TIMEOUT_S, assert_one_line_error, leftovers, run_command

from pixio_edge.depth import read_depth_png
from pixio_edge.prediction_sheet import CELL_SIZE, GAP

SIZE = (90, 120)
ASCII = {"PYTHONIOENCODING": "ascii"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name in ("a.png", "more/a.jpg", "größe 深度.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        cv2.imencode(path.suffix, picture)[1].tofile(path)
    return folder


def test_predict_writes_three_files_of_the_photos_size(bundle: Path, photo: Path, tmp_path: Path) -> None:
    result = run_command("predict", photo, "-b", bundle, "-o", tmp_path / "new" / "out")

    assert result.returncode == 0, result.stderr
    out = tmp_path / "new" / "out"
    assert leftovers(out) == ["photo.color.png", "photo.depth.png", "photo.npy"]
    values = np.load(out / "photo.npy", allow_pickle=False)
    assert (values.dtype, values.shape) == (np.float32, SIZE)
    assert cv2.imread(str(out / "photo.color.png")).shape == (*SIZE, 3)
    stored = cv2.imread(str(out / "photo.depth.png"), cv2.IMREAD_UNCHANGED)
    assert (stored.dtype, stored.shape) == (np.uint16, SIZE)
    one_step = float(np.ptp(values)) / 65000  # of 16 bits over the range of the values
    np.testing.assert_allclose(read_depth_png(out / "photo.depth.png").values, values, atol=one_step)


@pytest.mark.parametrize("place", ["sheet.jpg", "o/sheet.jpg"], ids=["beside", "among the results"])
def test_predict_puts_all_images_on_one_sheet_when_asked(
    bundle: Path, photos: Path, tmp_path: Path, place: str
) -> None:
    sheet = tmp_path / place

    result = run_command(
        "predict", photos, f"{photos}/more/*.jpg", "-b", bundle, "-o", tmp_path / "o", "--sheet", sheet
    )

    assert result.returncode == 0, result.stderr
    assert cv2.imread(str(sheet)).shape[1] == 3 * (CELL_SIZE[1] + GAP)


def test_predict_refuses_a_sheet_that_it_cannot_write_before_it_predicts(
    bundle: Path, photos: Path, tmp_path: Path
) -> None:
    sheet = tmp_path / "absent" / "sheet.jpg"

    result = run_command("predict", photos, "-b", bundle, "-o", tmp_path / "o", "--sheet", sheet)

    assert result.returncode != 0
    assert "absent is not a folder" in result.stderr
    assert not (tmp_path / "o").exists()


def test_predict_names_every_result_when_stems_repeat(bundle: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    result = run_command("predict", photos, f"{photos}/more/*.jpg", photos / "a.png", "-b", bundle, "-o", out, "--json")

    assert result.returncode == 0, result.stderr
    records = json.loads(result.stdout)
    assert [Path(record["files"]["npy"]).name for record in records] == ["a.npy", "größe 深度.npy", "a-2.npy"]
    assert [Path(record["image"]).name for record in records] == ["a.png", "größe 深度.png", "a.jpg"]
    assert all(Path(path).is_file() for record in records for path in record["files"].values())


def test_predict_json_says_what_ran_when_asked(bundle: Path, photo: Path, tmp_path: Path) -> None:
    result = run_command("predict", photo, "-b", bundle, "-o", tmp_path, "-r", "ort", "--size", "32x48", "--json")

    (record,) = json.loads(result.stdout)
    assert record["source"] == "ort/onnx-fp32-32x48"
    assert (record["size"], record["kind"], record["unit"]) == ([*SIZE], "relative_inverse", None)
    assert min(record["pre_ms"], record["infer_ms"], record["post_ms"]) > 0


def test_predict_writes_a_cloud_within_its_range_when_asked(bundle: Path, photo: Path, tmp_path: Path) -> None:
    result = run_command("predict", photo, "-b", bundle, "-o", tmp_path, "--ply", "--cloud-range", "2", "5")

    assert result.returncode == 0, result.stderr
    header, _, body = (tmp_path / "photo.ply").read_bytes().partition(b"end_header\n")
    assert f"element vertex {SIZE[0] * SIZE[1]}".encode() in header
    point = np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)])
    depth = np.frombuffer(body, point)["xyz"][:, 2]
    assert float(depth.min()) == pytest.approx(2, rel=1e-4)
    assert float(depth.max()) == pytest.approx(5, rel=1e-4)


def test_predict_does_the_rest_when_one_image_is_bad(bundle: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "broken.png").write_text("this is text")
    out = tmp_path / "out"

    result = run_command("predict", photos, "missing.png", "-b", bundle, "-o", out, "--json", cwd=tmp_path)

    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 2
    assert "missing.png" in result.stderr
    records = json.loads(result.stdout)
    assert {Path(record["image"]).name for record in records if "error" in record} == {"broken.png", "missing.png"}
    assert (out / "a.npy").is_file()
    assert not list(out.glob("broken*"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows delivers Ctrl-C to a whole console, pytest included")
def test_predict_leaves_whole_files_alone_when_interrupted(bundle: Path, photo: Path, tmp_path: Path) -> None:
    # Enough images that it cannot end by itself before the signal.
    (tmp_path / "photos").mkdir()
    for index in range(3000):
        (tmp_path / "photos" / f"{index}.jpg").symlink_to(photo)
    command = [str(EXECUTABLE), "predict", "photos", "-b", str(bundle), "-r", "ort", "-o", "out"]

    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + TIMEOUT_S
    while not list(tmp_path.glob("out/*.npy")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=TIMEOUT_S)

    assert process.returncode == 130
    assert stderr == "pixio-edge: interrupted\n"
    assert not [name for name in leftovers(tmp_path / "out") if name.startswith(".tmp")]
    assert all(np.load(path).shape == SIZE for path in tmp_path.glob("out/*.npy"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows names that are no text")
def test_predict_takes_a_name_that_is_no_text(bundle: Path, photo: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")  # Latin-1, as on old disks
    (tmp_path / name).write_bytes(photo.read_bytes())

    plain = run_command(
        "predict", name, "missing-\N{SNOWMAN}.png", "-b", bundle, "-o", tmp_path, cwd=tmp_path, env=ASCII
    )
    as_json = run_command("predict", name, "-b", bundle, "-o", tmp_path, "--json", cwd=tmp_path, env=ASCII)

    assert plain.returncode == 2
    assert len(plain.stderr.splitlines()) == 1, plain.stderr
    assert "caf" in plain.stdout
    assert json.loads(as_json.stdout)[0]["image"] == name
    assert (tmp_path / os.fsdecode(b"caf\xe9.npy")).is_file()


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (("--size", "tiny"), "--size"),
        (("--size", "64x64"), "64x64"),
        (("--precision", "fp12"), "fp12"),
        (("--runtime", "abacus"), "abacus"),
        (("--pin-cores", "3-1"), "--pin-cores"),
        (("--colormap", "beige"), "beige"),
        (("--threads", "0"), "--threads"),
        (("--nonsense",), "--nonsense"),
        (("--ply", "--fov", "200"), "200"),
    ],
)
def test_predict_explains_itself_in_one_line_when_an_option_is_wrong(
    arguments: tuple[str, ...], fragment: str, bundle: Path, photo: Path, tmp_path: Path
) -> None:
    result = run_command("predict", photo, "-b", bundle, "-o", tmp_path / "out", *arguments)

    assert_one_line_error(result, fragment)


def test_predict_keeps_older_results_when_a_later_run_fails(bundle: Path, photo: Path, tmp_path: Path) -> None:
    assert run_command("predict", photo, "-b", bundle, "-o", tmp_path).returncode == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    result = run_command("predict", photo, "-b", bundle, "-o", tmp_path, "--colormap", "beige")

    assert result.returncode == 2
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path in before} == before
    assert set(tmp_path.iterdir()) == set(before)
