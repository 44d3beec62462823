"""Video frames in and out, one at a time, with bounded memory."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pixio_edge.env import silence_ffmpeg
from pixio_edge.errors import InputError
from pixio_edge.image_reading import quiet_opencv
from pixio_edge.video_writing import VideoWriter

if TYPE_CHECKING:
    import cv2

__all__ = ["DEFAULT_FPS", "VideoReader", "VideoWriter"]

DEFAULT_FPS = 30.0
"""Frame rate of sources that tell none, as many cameras do."""

_READ_AHEAD_FRAMES = 4
"""Enough to hide the slow key frames of a video; 11 MB at 1280x720."""

_TRUNCATED_SHARE = 0.9
"""Fewer than this share of the announced frames means that the file is cut off: containers without an exact count
(MKV, WebM) announce duration x average rate, which is a few frames off."""

_WAKE_UP_S = 0.5
"""A wait without a limit cannot be interrupted by Ctrl-C on Windows."""


class VideoReader:
    """Iterates over the frames of a video: uint8 (H, W, 3) RGB, new arrays owned by the caller.

    One thread decodes ahead into a short queue. Nothing is opened before the first use. Close it, use it as a context
    manager, or let it go: the thread ends in all three cases. Live sources (cameras, streams) drop the oldest frame
    when the queue is full, so that the next frame is always a recent one; files never drop any.

    Args:
        source: Path of a file, index of a camera (a number or its digits), or an address such as "rtsp://…".
        read_ahead: Frames that the queue holds, at least 1.
    """

    def __init__(self, source: int | str | Path, *, read_ahead: int = _READ_AHEAD_FRAMES) -> None:
        if read_ahead < 1:
            raise InputError(f"read_ahead: got {read_ahead}, expected at least 1. Fix: leave it out")
        self._source = _parse_source(source)
        self._read_ahead = read_ahead
        self._frames: _FrameQueue | None = None
        self._is_closed = False
        self._fps = DEFAULT_FPS
        self._frame_count: int | None = None
        self._size = (0, 0)

    def open(self) -> VideoReader:
        """Open the source, decode the first frame and start reading ahead; does nothing when open.

        Raises:
            InputError: The source is missing, empty, not a video, without a frame, or the reader was closed.
        """
        self._open_frames()
        return self

    def _open_once(self) -> None:
        if self._frames is None:  # what was read stays known after closing
            self._open_frames()

    def _open_frames(self) -> _FrameQueue:
        if self._is_closed:
            raise InputError(f"video {self._source}: the reader is closed. Fix: make a new VideoReader")
        if self._frames is not None:
            return self._frames
        capture, first = _open_capture(self._source)
        fps, frame_count = _read_rate(capture)
        self._fps = fps
        self._frame_count = None if isinstance(self._source, int) else frame_count
        self._size = (first.shape[0], first.shape[1])
        is_live = not isinstance(self._source, Path) and self._frame_count is None
        frames = _FrameQueue(capture, first, capacity=self._read_ahead, is_live=is_live)
        self._frames = frames
        # Also at garbage collection and at exit: the thread must not decode while the interpreter is taken down.
        weakref.finalize(self, frames.close)
        return frames

    @property
    def fps(self) -> float:
        """Frames per second; `DEFAULT_FPS` when the source does not tell."""
        self._open_once()
        return self._fps

    @property
    def frame_count(self) -> int | None:
        """Number of frames as announced by the file, which for some containers is an estimate; None when unknown."""
        self._open_once()
        return self._frame_count

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames, after the rotation that the file asks for."""
        self._open_once()
        return self._size

    @property
    def dropped_frames(self) -> int:
        """Frames of a live source that came faster than they were taken; always 0 for a file."""
        return 0 if self._frames is None else self._frames.dropped

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """The reader itself: a second loop goes on where the first one stopped."""
        return self

    def __next__(self) -> NDArray[np.uint8]:
        """Next frame.

        Raises:
            InputError: The file ends long before its announced number of frames (after all that could be decoded).
        """
        if self._is_closed:
            raise StopIteration
        frames = self._open_frames()
        frame = frames.take()
        if frame is None:
            self.close()
            self._check_complete(frames.taken)
            raise StopIteration
        return frame

    def close(self) -> None:
        """Stop the thread, wait for it and release the source; the reader cannot be opened again."""
        self._is_closed = True
        if self._frames is not None:
            self._frames.close()

    def __enter__(self) -> VideoReader:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_complete(self, taken: int) -> None:
        expected = self._frame_count
        if isinstance(self._source, Path) and expected is not None and taken < _TRUNCATED_SHARE * expected:
            raise InputError(
                f"{self._source}: the video ends after {taken} frames, expected {expected}: it is cut off or damaged. "
                "Fix: copy or download it again"
            )


class _FrameQueue:
    """Decodes on one thread into a bounded queue; knows nothing of the reader, so that the reader can be collected."""

    def __init__(self, capture: cv2.VideoCapture, first: NDArray[np.uint8], *, capacity: int, is_live: bool) -> None:
        self.dropped = 0
        self.taken = 0
        self._capture = capture
        self._capacity = capacity
        self._is_live = is_live
        self._queue: deque[NDArray[np.uint8]] = deque([first])
        self._changed = Condition()
        self._is_ended = False
        self._is_stopped = False
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._read_all, name="pixio-edge video reader", daemon=True)
        self._thread.start()

    def take(self) -> NDArray[np.uint8] | None:
        """The next frame, or None at the end."""
        with self._changed:
            while not self._queue and not self._is_ended:
                self._changed.wait(_WAKE_UP_S)
            if not self._queue:
                if self._failure is not None:
                    raise self._failure
                return None
            self.taken += 1
            self._changed.notify_all()
            return self._queue.popleft()

    def close(self) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
        self._thread.join()
        self._queue.clear()

    def _read_all(self) -> None:
        try:
            while not self._is_stopped:
                frame = _read_frame(self._capture)
                if frame is None or not self._put(frame):
                    break
        except BaseException as error:  # handed to the caller's thread by take()
            self._failure = error
        finally:
            self._capture.release()
            with self._changed:
                self._is_ended = True
                self._changed.notify_all()

    def _put(self, frame: NDArray[np.uint8]) -> bool:
        """Add a frame, waiting for room or dropping the oldest; False when stopped meanwhile."""
        with self._changed:
            while len(self._queue) >= self._capacity and not self._is_stopped:
                if self._is_live:
                    self._queue.popleft()
                    self.dropped += 1
                else:
                    self._changed.wait()
            self._queue.append(frame)
            self._changed.notify_all()
            return not self._is_stopped


def _parse_source(source: int | str | Path) -> int | str | Path:
    """A camera index, an address, or a path."""
    if isinstance(source, str):
        if source.isdecimal() and not Path(source).exists():
            return int(source)
        return source if "://" in source else Path(source)
    return source


def _open_capture(source: int | str | Path) -> tuple[cv2.VideoCapture, NDArray[np.uint8]]:
    import cv2  # noqa: PLC0415  (importing OpenCV takes longer than the rest of the package together)

    if isinstance(source, Path):
        _check_file(source)
    silence_ffmpeg()
    with quiet_opencv(cv2):
        capture = cv2.VideoCapture(source if isinstance(source, int) else str(source))
        first = _read_frame(capture) if capture.isOpened() else None
    if first is not None:
        return capture, first
    capture.release()
    if isinstance(source, int):
        raise InputError(
            f"camera {source}: cannot be opened or gives no picture, expected a camera. Fix: check the index, that no "
            "other program uses it, and your permissions (group 'video' on Linux)"
        )
    raise InputError(
        f"{source}: not a video that can be decoded, or cut off, expected MP4, MOV, AVI, MKV or WebM. "
        "Fix: copy it again, or convert it to MP4"
    )


def _check_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file, expected a video. Fix: check the path") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: is a folder, expected a video. Fix: name a file") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise InputError(f"{path}: cannot be read, expected a video. Fix: check its permissions") from error
    if is_empty:
        raise InputError(f"{path}: the file is empty, expected a video. Fix: copy or download it again")


def _read_frame(capture: cv2.VideoCapture) -> NDArray[np.uint8] | None:
    import cv2  # noqa: PLC0415

    is_read, bgr = capture.read()
    if not is_read:
        return None
    rgb: NDArray[np.uint8] = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr)  # type: ignore[assignment]
    return rgb


def _read_rate(capture: Any) -> tuple[float, int | None]:
    """Frames per second and number of frames; OpenCV gives 0, NaN or negative numbers for what it does not know."""
    import cv2  # noqa: PLC0415

    fps, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return (float(fps) if 0 < fps < 1000 else DEFAULT_FPS), (int(count) if 0 < count < 2**53 else None)
