"""Video files that are either complete or absent."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pixio_edge.env import silence_ffmpeg
from pixio_edge.errors import InputError, OutputError
from pixio_edge.files import atomic_path
from pixio_edge.image import check_rgb
from pixio_edge.image_reading import quiet_opencv

if TYPE_CHECKING:
    import cv2

# What the FFmpeg inside the opencv-python wheels encodes without a further library.
_CODECS = {".mp4": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}


class VideoWriter:
    """Writes frames to a video file; use it as a context manager.

    The file appears under its name when the block ends without an exception, and not at all otherwise. Codecs need even
    sides: of an odd size the last row or column is left out.

    Args:
        path: File with suffix .mp4, .mov, .mkv (MPEG-4) or .avi (Motion JPEG).
        fps: Frames per second.
        size: (height, width) of the frames, at least 2x2.

    Raises:
        OutputError: The suffix is unknown.
        InputError: `fps` or `size` is out of range.
    """

    def __init__(self, path: str | Path, fps: float, size: tuple[int, int]) -> None:
        self._path = Path(path)
        self._fps = fps
        self._size = size
        self._stack = ExitStack()
        self._writer: cv2.VideoWriter | None = None
        self._temporary = self._path
        self._buffer = np.empty((*size, 3), np.uint8)
        self.frames_written = 0
        if self._path.suffix.lower() not in _CODECS:
            raise OutputError(
                f"cannot write {path}: got suffix {self._path.suffix!r}, expected one of {', '.join(_CODECS)}. "
                "Fix: use .mp4"
            )
        if not 0 < fps < 1000 or min(size) < 2:
            raise InputError(
                f"video: got {fps} frames per second of size {size}, expected 0 < fps < 1000 and sides of at least 2. "
                "Fix: take both from the VideoReader"
            )

    def write(self, rgb: NDArray[np.uint8]) -> None:
        """Append one frame, uint8 (H, W, 3) RGB of the size of the video.

        Raises:
            InputError: The frame has another dtype, layout or size.
            OutputError: The writer is not open.
        """
        import cv2  # noqa: PLC0415  (importing OpenCV takes longer than the rest of the package together)

        check_rgb(rgb)
        if rgb.shape[:2] != tuple(self._size):
            raise InputError(
                f"video frame: got size {rgb.shape[:2]}, expected {tuple(self._size)}. "
                "Fix: resize it, or open the writer with the size of the first frame"
            )
        if self._writer is None:
            raise OutputError(f"cannot write {self._path}: the writer is not open. Fix: use it in a with block")
        self._writer.write(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR, dst=self._buffer))
        self.frames_written += 1

    def __enter__(self) -> VideoWriter:
        import cv2  # noqa: PLC0415

        with ExitStack() as stack:
            self._temporary = stack.enter_context(atomic_path(self._path))
            silence_ffmpeg()
            codec = cv2.VideoWriter.fourcc(*_CODECS[self._path.suffix.lower()])
            with quiet_opencv(cv2):
                writer = cv2.VideoWriter(str(self._temporary), codec, self._fps, self._size[::-1])
            if not writer.isOpened():
                raise OutputError(
                    f"cannot write {self._path}: OpenCV cannot open it for writing. "
                    "Fix: choose a folder you may write to, or another suffix"
                )
            stack.callback(writer.release)
            self._writer = writer
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.release()
            self._writer = None
        if error is not None:
            self._stack.__exit__(kind, error, trace)  # removes the file
            return
        with self._stack:  # renames the file, or removes it when the check fails
            self._check_written()

    def _check_written(self) -> None:
        """OpenCV does not report failed writes, e.g. on a full disk: look whether the last frame can be read back."""
        import cv2  # noqa: PLC0415

        if self.frames_written == 0:
            raise OutputError(f"cannot write {self._path}: no frame was written. Fix: write at least one frame")
        with quiet_opencv(cv2):
            capture = cv2.VideoCapture(str(self._temporary))
            count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
            capture.set(cv2.CAP_PROP_POS_FRAMES, self.frames_written - 1)
            is_complete = count >= self.frames_written and capture.read()[0]
            capture.release()
        if not is_complete:
            raise OutputError(
                f"cannot write {self._path}: the file is incomplete, the disk is probably full. "
                "Fix: free some space or choose another folder"
            )
