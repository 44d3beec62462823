"""Where the camera loop shows depth: a page in a browser (Motion JPEG over HTTP), or a video that keeps real time."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from pixio_edge.errors import InputError, OutputError
from pixio_edge.video_writing import VideoWriter

JPEG_QUALITY = 80
"""Artefacts are invisible at arm's length, at a tenth of the bytes of a PNG."""

BOUNDARY = "frame"
PAGE = b'<!doctype html><title>pixio-edge</title><img src="/stream" style="width:100%">'

_WAKE_UP_S = 0.5
"""How often a connection without a new picture looks whether the server stops."""


def side_by_side(rgb: NDArray[np.uint8], colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Image left, depth right: uint8 RGB (H, 2W, 3), a new array."""
    return np.concatenate((rgb, colors), axis=1)


def parse_address(text: str) -> tuple[str, int]:
    """Read PORT, which serves this machine alone, or HOST:PORT.

    Raises:
        InputError: It has another form.
    """
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise InputError(f"address: got {text!r}, expected PORT or HOST:PORT. Fix: use 8080, or 0.0.0.0:8080")
    return host or "127.0.0.1", int(port)


class BrowserView:
    """Serves the newest picture to any number of browsers; use it as a context manager.

    There is no password: an address other than 127.0.0.1 lets the whole network see the camera.

    Args:
        address: (host, port); port 0 takes a free one.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._changed = Condition()
        self._jpeg = b""
        self._number = 0
        self._viewers = 0
        self._is_closed = False
        self._server: ThreadingHTTPServer | None = None

    @property
    def address(self) -> tuple[str, int]:
        """(host, port) that it listens on."""
        return self._address

    @property
    def is_watched(self) -> bool:
        """Whether somebody looks: nothing has to be drawn or encoded otherwise."""
        return self._viewers > 0

    def show(self, rgb: NDArray[np.uint8]) -> None:
        """Replace the picture, uint8 (H, W, 3)."""
        bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        is_encoded, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not is_encoded:
            raise OutputError("browser view: OpenCV cannot encode JPEG. Fix: install opencv-python-headless again")
        with self._changed:
            self._jpeg = jpeg.tobytes()
            self._number += 1
            self._changed.notify_all()

    def wait(self, seen: int) -> tuple[int, bytes] | None:
        """Wait for a picture newer than number `seen`; None when the view closes."""
        with self._changed:
            while self._number <= seen and not self._is_closed:
                self._changed.wait(_WAKE_UP_S)
            return None if self._is_closed else (self._number, self._jpeg)

    def count_viewer(self, change: int) -> None:
        """Note that a viewer came (1) or went (-1)."""
        with self._changed:
            self._viewers += change

    def __enter__(self) -> BrowserView:
        try:
            server = ThreadingHTTPServer(self._address, _handler_of(self))
        except OSError as error:
            host, port = self._address
            raise OutputError(
                f"browser view: cannot listen on {host}:{port} ({error}). Fix: use another port"
            ) from error
        server.daemon_threads = True
        self._server = server
        self._address = (self._address[0], server.server_port)
        Thread(target=server.serve_forever, name="browser view", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


def _handler_of(view: BrowserView) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/":
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(PAGE)))
                self.end_headers()
                self.wfile.write(PAGE)
            elif self.path == "/stream":
                self._send_pictures()
            else:
                self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the terminal for the rate of frames."""

        def _send_pictures(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            view.count_viewer(1)
            seen = 0
            try:
                while (picture := view.wait(seen)) is not None:
                    seen, jpeg = picture
                    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    self.wfile.write(head.encode("ascii") + jpeg + b"\r\n")
            except (BrokenPipeError, ConnectionResetError):
                return  # the browser went away
            finally:
                view.count_viewer(-1)

    return Handler


class Recording:
    """Writes pictures to a video at a fixed rate, repeating one while the next is late; use it as a context manager.

    Args:
        path: Video to write, e.g. depth.mp4; it appears when the block ends, also by Ctrl-C.
        fps: Frames per second of the video.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        self._path = Path(path)
        self._fps = fps
        self._writer: VideoWriter | None = None
        self._start_s = 0.0
        self.frames_written = 0

    def add(self, rgb: NDArray[np.uint8], arrived_s: float) -> None:
        """Show `rgb`, uint8 (H, W, 3), up to the time `arrived_s`, in seconds of a steady clock.

        Raises:
            InputError: The size changed.
            OutputError: The file cannot be written.
        """
        if self._writer is None:
            self._writer = VideoWriter(self._path, self._fps, (rgb.shape[0], rgb.shape[1])).__enter__()
            self._start_s = arrived_s
        for _ in range(frames_due(arrived_s - self._start_s, self._fps) - self.frames_written):
            self._writer.write(rgb)
            self.frames_written += 1

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.__exit__(kind, error, trace)


def frames_due(elapsed_s: float, fps: float) -> int:
    """How many frames a video of `fps` has to have `elapsed_s` seconds after its first, which counts."""
    return int(elapsed_s * fps + 1e-6) + 1  # 0.1 s * 30 is just below 3 in binary
