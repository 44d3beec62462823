import gc
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pixio_edge import video
from pixio_edge.errors import InputError
from pixio_edge.video import DEFAULT_FPS, VideoReader

SIZE = (48, 64)
FRAMES = 40

CODEC_ERROR = 4
"""Grey levels by which MPEG-4 and Motion JPEG change a flat frame; measured 3. Neighbouring frames differ by 5."""

MEMORY_GROWTH_KIB = 8 * 1024
"""600 frames of 240x320 take 135 MB when they are kept; measured 0.5 MB when they are not."""


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """No test of this module may leave a thread behind; one that an earlier test left may end meanwhile."""
    before = set(threading.enumerate())
    yield
    gc.collect()
    assert set(threading.enumerate()) <= before


def flat(level: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    frame = np.zeros((*size, 3), np.uint8)
    frame[..., 0] = level
    return frame


def write_video(path: Path, frames: int = FRAMES, size: tuple[int, int] = SIZE) -> Path:
    """Red that grows by 5 levels per frame, written by OpenCV itself."""
    codec = cv2.VideoWriter.fourcc(*("MJPG" if path.suffix == ".avi" else "mp4v"))
    writer = cv2.VideoWriter(str(path), codec, 25.0, size[::-1])
    assert writer.isOpened()
    for index in range(frames):
        writer.write(np.ascontiguousarray(flat(5 * index % 256, size)[..., ::-1]))
    writer.release()
    return path


class FakeCapture:
    """Stands in for a camera: frames come as fast as they are read, numbered in the red channel."""

    def __init__(self, frames: int = 200, failure: Exception | None = None) -> None:
        self.frames_read = 0
        self.is_released = False
        self.threads: set[int] = set()
        self._frames = frames
        self._failure = failure

    def isOpened(self) -> bool:  # noqa: N802  (OpenCV's name)
        return True

    def get(self, _: int) -> float:
        return 0.0

    def read(self) -> tuple[bool, NDArray[np.uint8] | None]:
        self.threads.add(threading.get_ident())
        if self.frames_read == self._frames:
            if self._failure is not None:
                raise self._failure
            return False, None
        self.frames_read += 1
        return True, np.ascontiguousarray(flat(self.frames_read)[..., ::-1])

    def release(self) -> None:
        self.is_released = True


def use_capture(monkeypatch: pytest.MonkeyPatch, capture: FakeCapture) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", lambda _: capture)


def wait_until(condition: object) -> None:
    deadline = time.monotonic() + 10
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_reader_gives_every_frame_in_order_as_rgb_when_reading_a_file(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"été{suffix}")

    with VideoReader(path) as reader:
        frames = list(reader)

    assert len(frames) == FRAMES
    for index, frame in enumerate(frames):
        assert (frame.shape, frame.dtype) == ((*SIZE, 3), np.uint8)
        assert frame.flags.c_contiguous
        assert np.abs(frame.astype(int) - flat(5 * index)).max() <= CODEC_ERROR
    assert (reader.fps, reader.frame_count, reader.size, reader.dropped_frames) == (25.0, FRAMES, SIZE, 0)


def test_frames_are_the_callers_own(tmp_path: Path) -> None:
    with VideoReader(write_video(tmp_path / "a.mp4")) as reader:
        first, second = next(reader), next(reader)
        first[:] = 0

        assert not np.shares_memory(first, second)
        assert second.any()


def test_reader_opens_nothing_before_its_first_use(tmp_path: Path) -> None:
    reader = VideoReader(tmp_path / "gone.mp4")

    with pytest.raises(InputError, match=r"no such file, expected a video. Fix:"):
        next(reader)


def test_reader_decodes_ahead_on_exactly_one_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = threading.active_count()
    capture = FakeCapture()
    use_capture(monkeypatch, capture)
    (tmp_path / "fake.mp4").write_bytes(b"x")

    with VideoReader(tmp_path / "fake.mp4", read_ahead=3) as reader:
        wait_until(lambda: capture.frames_read == 4)  # three in the queue, one in the hand of the thread
        time.sleep(0.05)

        assert capture.frames_read == 4
        assert threading.active_count() == before + 1
        assert len(list(reader)) == 200

    assert len(capture.threads - {threading.get_ident()}) == 1
    assert capture.is_released


def test_two_loops_continue_where_the_first_one_stopped(tmp_path: Path) -> None:
    with VideoReader(write_video(tmp_path / "a.mp4")) as reader:
        for index, _ in enumerate(reader):
            if index == 9:
                break

        assert len(list(reader)) == FRAMES - 10


def test_reader_ends_its_thread_when_abandoned_midway(tmp_path: Path) -> None:
    before = threading.active_count()
    reader = VideoReader(write_video(tmp_path / "a.mp4"))
    next(reader)
    assert threading.active_count() == before + 1

    del reader
    gc.collect()

    assert threading.active_count() == before


def test_close_ends_the_thread_and_the_loop_when_called_midway(tmp_path: Path) -> None:
    reader = VideoReader(write_video(tmp_path / "a.mp4"))
    next(reader)

    reader.close()
    reader.close()

    assert list(reader) == []
    with pytest.raises(InputError, match="the reader is closed"):
        reader.open()


def test_process_ends_cleanly_when_a_reader_is_still_open(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    code = f"from pixio_edge.video import VideoReader\nreader = VideoReader({str(path)!r})\nnext(reader)"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)

    assert (result.returncode, result.stderr) == (0, "")


def test_error_of_the_thread_reaches_the_caller_after_the_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    use_capture(monkeypatch, FakeCapture(frames=3, failure=RuntimeError("decoder broke")))
    reader = VideoReader("rtsp://camera", read_ahead=10)

    with pytest.raises(RuntimeError, match="decoder broke"):
        list(reader)
    reader.close()


def test_live_source_drops_the_oldest_frames_when_nobody_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    capture = FakeCapture(frames=100)
    use_capture(monkeypatch, capture)

    with VideoReader("0", read_ahead=2) as reader:
        wait_until(lambda: capture.is_released)
        levels = [int(frame[0, 0, 0]) for frame in reader]

        assert levels == [99, 100]
        assert reader.dropped_frames == 98
        assert (reader.fps, reader.frame_count) == (DEFAULT_FPS, None)


@pytest.mark.parametrize(
    ("source", "expected"),
    [("0", 0), (3, 3), ("rtsp://host/a", "rtsp://host/a"), ("a.mp4", Path("a.mp4")), (Path("0"), Path("0"))],
)
def test_source_is_a_camera_an_address_or_a_path(source: int | str | Path, expected: int | str | Path) -> None:
    assert video._parse_source(source) == expected


def test_digits_are_a_file_when_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(write_video(tmp_path / "a.mp4"), tmp_path / "7")

    with VideoReader("7") as reader:
        assert reader.size == SIZE


def test_reader_says_what_is_wrong_when_the_camera_is_missing(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"camera 97: cannot be opened.*Fix: check the index"):
        VideoReader(97).open()

    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "is a folder"), (b"", "the file is empty"), (b"no video\n" * 500, "not a video that can be decoded")],
)
def test_reader_says_what_is_wrong_when_there_is_no_video(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "clip.mp4"
    path.mkdir() if content is None else path.write_bytes(content)

    with pytest.raises(InputError, match=message) as caught:
        VideoReader(path).open()

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_reader_keeps_the_decoders_messages_off_stderr(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])  # FFmpeg would say "moov atom not found"
    code = f"from pixio_edge.video import VideoReader; VideoReader({str(path)!r}).open()"

    # A process of its own: FFmpeg takes its level when the first video is opened.
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)

    assert "InputError" in result.stderr
    assert "moov" not in result.stderr


def test_reader_refuses_at_once_when_the_index_of_a_file_is_cut_off(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")  # the index of this container lies at its end
    path.write_bytes(path.read_bytes()[:-200])

    with pytest.raises(InputError, match="cut off"):
        VideoReader(path).open()


def test_reader_gives_what_there_is_and_then_says_truncated(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames = []

    with pytest.raises(InputError, match=rf"ends after \d+ frames, expected {FRAMES}: it is cut off"):
        for frame in VideoReader(path):
            frames.append(frame)

    assert 5 < len(frames) < 30


def test_read_ahead_is_refused_below_one() -> None:
    with pytest.raises(InputError, match="read_ahead: got 0"):
        VideoReader("a.mp4", read_ahead=0)


def resident_kib() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_memory_stays_flat_over_many_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.avi", frames=700, size=(240, 320))
    with VideoReader(path) as reader:
        for _ in range(100):
            next(reader)
        before = resident_kib()

        count = sum(1 for _ in reader)

        assert count == 600
        assert resident_kib() - before < MEMORY_GROWTH_KIB
