"""Frames of a camera through GStreamer: a reader of raw frames, and a thread that keeps the newest.

`gst-launch-1.0` runs as a child and writes raw RGB frames to a pipe. That needs neither an OpenCV with GStreamer (the
opencv-python-headless wheel has none, and JetPack's python3-opencv is built for another numpy) nor GStreamer's Python
bindings, and a camera stack that crashes takes only the child with it.
"""

from __future__ import annotations

import os
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from threading import Condition, Thread
from types import TracebackType
from typing import IO, Protocol

import numpy as np
from camera_pipelines import with_sink
from numpy.typing import NDArray

from pixio_edge.errors import InputError, RuntimeUnavailableError

LAUNCHER = "gst-launch-1.0"

FIRST_FRAME_S = 10.0
"""Argus needs one to three seconds to power a sensor and settle; silence for this long means that it hangs."""

STOP_S = 3.0
"""How long a pipeline may take to release the camera before it is killed."""

_LOG_LINES = 3
"""Last lines of GStreamer's output that an error repeats: the reason stands near the end."""

# What GStreamer says of an element of NVIDIA's plugins where they are missing (gst_parse_launch, in its default
# language); the daemon of the camera has nothing to do with it.
_NO_ELEMENT = 'no element "nv'
_FIX_MISSING = (
    "Fix: sudo apt install nvidia-l4t-gstreamer, then rm -rf ~/.cache/gstreamer-1.0; not on a Jetson there is no CSI "
    "camera, so use --usb or --pattern"
)


class Camera(Protocol):
    """What `LatestFrame` reads; `stop` and `kill` may be called from another thread than `read`."""

    def open(self) -> None:
        """Start delivering."""

    def read(self) -> NDArray[np.uint8] | None:
        """Wait for the next frame, uint8 (H, W, 3) RGB, a new array; None at the end."""

    def stop(self) -> None:
        """Ask it to end; `read` returns None soon."""

    def kill(self) -> None:
        """End it at once; `read` returns None."""

    def close(self) -> None:
        """Release everything; called by the thread that reads, after its last `read`."""


class GstCamera:
    """Raw RGB frames of a GStreamer pipeline that runs as a child process.

    Args:
        pipeline: Elements that end in video/x-raw,format=RGB; the sink is added here.
        size: (height, width) of its frames; the width is a multiple of 4.
        launcher: The program that runs pipelines.
    """

    def __init__(self, pipeline: str, size: tuple[int, int], *, launcher: str = LAUNCHER) -> None:
        self._pipeline = pipeline
        self._size = size
        self._launcher = launcher
        self._process: subprocess.Popen[bytes] | None = None
        self._frames = -1
        self._log: IO[bytes] | None = None
        self._is_stopping = False
        self.frames_read = 0

    def open(self) -> None:
        """Start the pipeline.

        Raises:
            RuntimeUnavailableError: GStreamer's command line tool is not installed.
        """
        if shutil.which(self._launcher) is None:
            raise RuntimeUnavailableError(
                f"camera: {self._launcher} not found, expected GStreamer's tools. Fix: sudo apt install "
                "gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
            )
        self._frames, sink = os.pipe()
        # Not standard output: nvarguscamerasrc prints messages there, in the middle of a frame.
        command = [self._launcher, "-q", *shlex.split(with_sink(self._pipeline, sink))]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the child
        try:
            # A session of its own, so that Ctrl-C reaches this program alone and the pipeline is stopped in order.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=(sink,),
                start_new_session=True,
            )
        finally:
            os.close(sink)

    def read(self) -> NDArray[np.uint8] | None:
        """Wait for the next frame, uint8 (H, W, 3) RGB, a new array; None after `stop`.

        Raises:
            InputError: The pipeline ended by itself, or delivers nothing.
        """
        frame = np.empty((*self._size, 3), np.uint8)
        rest = frame.data.cast("B")
        while rest:
            ready, _, _ = select.select([self._frames], [], [], FIRST_FRAME_S)
            if not ready:
                raise InputError(f"camera: no frame for {FIRST_FRAME_S:.0f} s{self._reason()}. {self._fix()}")
            count = os.readv(self._frames, [rest])
            if count == 0:
                if self._is_stopping:
                    return None
                raise InputError(f"camera: the pipeline ended{self._reason()}. {self._fix()}")
            rest = rest[count:]
        self.frames_read += 1
        return frame

    def stop(self) -> None:
        """Ask the pipeline to release the camera; keep reading until `read` returns None."""
        self._is_stopping = True
        if self._process is not None:
            # As by Ctrl-C. A camera that is not released in order can leave nvargus-daemon stuck until it is restarted.
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End the pipeline at once; `read` returns None."""
        self._is_stopping = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Wait for the end of the pipeline, or bring it about, and release the pipe; may be called again."""
        if self._process is not None:
            if not self._is_stopping:
                self.kill()
            self._process.wait()
        if self._frames >= 0:
            os.close(self._frames)
            self._frames = -1
        if self._log is not None:
            self._log.close()
            self._log = None

    def _reason(self) -> str:
        lines = self._log_lines()
        errors = [line for line in lines if "error" in line.lower()]
        return f" ({'; '.join((errors or lines)[-_LOG_LINES:])})" if lines else ""

    def _log_lines(self) -> list[str]:
        if self._log is None:
            return []
        size = os.fstat(self._log.fileno()).st_size
        text = os.pread(self._log.fileno(), size, 0).decode(errors="replace")
        return [line.strip() for line in text.splitlines() if line.strip()]

    def _fix(self) -> str:
        if any(_NO_ELEMENT in line for line in self._log_lines()):
            return _FIX_MISSING
        if "nvarguscamerasrc" in self._pipeline:
            return (
                "Fix: sudo systemctl restart nvargus-daemon, check that 'ls /dev/video*' lists the sensor, and see the "
                "camera part of docs/jetson.md"
            )
        return f"Fix: run it alone to see why: {self._launcher} {self._pipeline} ! fakesink"


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame with its arrival.

    Args:
        rgb: uint8 (H, W, 3).
        arrived_s: `time.monotonic()` when its last byte was read; what the sensor and the signal processor took before
            is not in it.
        number: Count of frames of the camera, from 0; a gap is what was skipped.
    """

    rgb: NDArray[np.uint8]
    arrived_s: float
    number: int


class LatestFrame:
    """Reads a camera on a thread and keeps only its newest frame; use it as a context manager.

    A reader that is slower than the camera skips frames instead of falling behind.

    Args:
        camera: Opened and ended by this object.
    """

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._changed = Condition()
        self._frame: Frame | None = None
        self._failure: BaseException | None = None
        self._is_ended = False
        self._is_stopped = False
        self._thread = Thread(target=self._read_all, name="camera", daemon=True)
        self.skipped = 0
        """Frames that were replaced by a newer one before anyone took them."""

    def take(self) -> Frame | None:
        """Wait for a frame that was not taken yet; None at the end.

        Raises:
            InputError: The camera failed.
        """
        with self._changed:
            while self._frame is None and not self._is_ended:
                self._changed.wait(STOP_S)  # a wait without a limit cannot be interrupted everywhere
            frame, self._frame = self._frame, None
            if frame is None and self._failure is not None:
                raise self._failure
            return frame

    def __enter__(self) -> LatestFrame:
        self._camera.open()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_stopped = True
        self._camera.stop()
        self._thread.join(STOP_S)
        if self._thread.is_alive():
            self._camera.kill()
            self._thread.join()

    def _read_all(self) -> None:
        try:
            for number in range(2**62):
                rgb = self._camera.read()
                if rgb is None:
                    break
                self._put(Frame(rgb, time.monotonic(), number))
        except BaseException as failure:  # handed to the caller's thread by take()
            self._failure = None if self._is_stopped else failure
        finally:
            self._camera.close()
            with self._changed:
                self._is_ended = True
                self._changed.notify_all()

    def _put(self, frame: Frame) -> None:
        with self._changed:
            if self._frame is not None:
                self.skipped += 1
            self._frame = frame
            self._changed.notify_all()
