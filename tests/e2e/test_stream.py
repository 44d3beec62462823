"""`pixio-edge stream` from the outside."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import EXECUTABLE, TIMEOUT_S, assert_one_line_error, leftovers, run_command

from pixio_edge.video import VideoReader, VideoWriter

SIZE = (60, 80)
FRAMES = 12


def write_video(path: Path, frames: int) -> None:
    with VideoWriter(path, 25.0, SIZE) as writer:
        for index in range(frames):
            writer.write(np.full((*SIZE, 3), index * 20 % 256, np.uint8))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "drive.mp4"
    write_video(path, FRAMES)
    return path


def read_sizes(path: Path) -> list[tuple[int, ...]]:
    with VideoReader(path) as reader:
        return [frame.shape for frame in reader]


def test_stream_writes_image_and_depth_side_by_side_for_every_frame(bundle: Path, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "drive.depth.mp4"

    result = run_command("stream", video, "-b", bundle, "-o", out)

    assert result.returncode == 0, result.stderr
    assert f"{FRAMES} frames" in result.stdout
    assert " fps" in result.stdout
    assert read_sizes(out) == [(SIZE[0], 2 * SIZE[1], 3)] * FRAMES
    assert leftovers(tmp_path) == ["new/drive.depth.mp4"]


def test_stream_stops_and_reports_as_json_when_a_limit_is_given(bundle: Path, video: Path, tmp_path: Path) -> None:
    result = run_command("stream", video, "-b", bundle, "-r", "ort", "--max-frames", "5", "--json", cwd=tmp_path)

    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["frames"], report["interrupted"], report["output"]) == (5, False, None)
    assert report["fps"] > 0
    assert report["source"].startswith("ort/")
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows delivers Ctrl-C to a whole console, pytest included")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_stream_leaves_a_playable_video_when_interrupted(name: str, bundle: Path, tmp_path: Path) -> None:
    # Long enough that it cannot end by itself before the signal, some 20 s here.
    source, out = tmp_path / "long.avi", tmp_path / "out.mp4"
    write_video(source, 8000)

    process = subprocess.Popen(
        [str(EXECUTABLE), "stream", str(source), "-b", str(bundle), "-o", str(out), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_temporary_video(tmp_path, process)
    process.send_signal(getattr(signal, name))
    stdout, stderr = process.communicate(timeout=TIMEOUT_S)

    assert process.returncode == 0, stderr
    report = json.loads(stdout)
    assert report["interrupted"] is True
    assert 0 < report["frames"] < 8000
    assert abs(len(read_sizes(out)) - report["frames"]) <= 1  # the signal may fall between counting and writing
    assert leftovers(tmp_path) == ["long.avi", "out.mp4"]


def wait_for_temporary_video(folder: Path, process: subprocess.Popen[str]) -> None:
    """Wait until frames reach the disk: from then on there is something to lose."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if any(path.stat().st_size > 10_000 for path in folder.glob(".tmp-*")):
            return
        time.sleep(0.05)
    raise AssertionError(f"no video appeared, exit status {process.poll()}")


def test_stream_says_how_to_get_a_window_when_this_opencv_has_none(bundle: Path, video: Path, tmp_path: Path) -> None:
    if "GUI:                           NONE" not in cv2.getBuildInformation():
        pytest.skip("this OpenCV can draw windows")

    result = run_command("stream", video, "-b", bundle, "--show", cwd=tmp_path)

    assert_one_line_error(result, "--show", "headless")


@pytest.mark.parametrize(
    ("source", "fragment"),
    [
        ("missing.mp4", "no such file"),
        ("text.mp4", "not a video"),
        (".", "folder"),
        ("empty.mp4", "empty"),
        ("97", "camera 97"),
    ],
)
def test_stream_explains_itself_in_one_line_when_the_source_is_bad(
    source: str, fragment: str, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.mp4").write_text("this is text, not a video " * 50)
    (tmp_path / "empty.mp4").touch()

    result = run_command("stream", source, "-b", bundle, "-o", "out.mp4", cwd=tmp_path)

    assert_one_line_error(result, fragment)
    assert leftovers(tmp_path) == ["empty.mp4", "text.mp4"]


def test_stream_leaves_nothing_when_the_video_is_cut_off(bundle: Path, tmp_path: Path) -> None:
    whole, cut, out = tmp_path / "whole.avi", tmp_path / "cut.avi", tmp_path / "out.mp4"
    write_video(whole, 100)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])

    result = run_command("stream", cut, "-b", bundle, "-o", out)

    assert_one_line_error(result, "cut off")
    assert leftovers(tmp_path) == ["cut.avi", "whole.avi"]
