"""Depth of a CSI or USB camera on a Jetson: the newest frame in, depth out, frames per second and latency printed.

python examples/jetson/camera.py --bundle depth-bundle                      # first CSI camera
python examples/jetson/camera.py --bundle depth-bundle --serve 8080         # to look at in a browser
python examples/jetson/camera.py --usb /dev/video0 --record depth.mp4
python examples/jetson/camera.py --pattern --max-frames 100                 # no camera: GStreamer's test picture

Ctrl-C ends it in order: the camera is released and a recording is playable.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from camera_outputs import BrowserView, Recording, parse_address, side_by_side
from camera_pipelines import FLIPS, Mode, csi_pipeline, pattern_pipeline, usb_pipeline
from camera_sources import GstCamera, LatestFrame

from pixio_edge import DepthEstimator, DepthMap, PixioEdgeError
from pixio_edge.manifest import Precision

REPORT_S = 1.0
"""Time between two lines of output."""

WINDOW_FRAMES = 120
"""Frames that the printed median and 95th percentile are over: four seconds at 30 per second."""


@dataclass(slots=True)
class Rate:
    """Frames per second and latency of the loop.

    Latency is from the arrival of a frame in this program to its finished depth. Exposure, readout and the image signal
    processor come on top: film a running clock together with the browser view to see the whole.
    """

    started_s: float
    frames: int = 0
    reported_s: float = 0.0
    reported_frames: int = 0
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW_FRAMES))
    fps: float = 0.0

    def add(self, arrived_s: float, finished_s: float) -> None:
        """Count one frame."""
        self.frames += 1
        self.latencies_ms.append((finished_s - arrived_s) * 1e3)

    def is_due(self, now_s: float) -> bool:
        """Whether it is time for a line of output; takes the rate since the last one when it is."""
        since_s = now_s - (self.reported_s or self.started_s)
        if since_s < REPORT_S:
            return False
        self.fps = (self.frames - self.reported_frames) / since_s
        self.reported_s, self.reported_frames = now_s, self.frames
        return True

    def line(self, depth: DepthMap, skipped: int) -> str:
        """What to print."""
        median, late = np.percentile(np.array(self.latencies_ms), (50, 95))
        predict_ms = depth.timing.total_ms if depth.timing is not None else float("nan")
        return (
            f"{self.fps:5.1f} fps, latency {median:.1f} ms (95%: {late:.1f}), predict {predict_ms:.1f} ms, "
            f"{skipped} frames skipped [{depth.source}]"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the loop; returns the exit status: 0, or 2 with one line of explanation."""
    options = parse(arguments)
    # A service manager stops with SIGTERM: the camera has to be released then too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run(options)
    except KeyboardInterrupt:
        pass  # before the first frame; run() itself takes care of a later one
    except PixioEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Depth of a CSI or USB camera on a Jetson.")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--csi", type=int, default=0, metavar="SENSOR", help="CSI camera (default: %(default)s)")
    source.add_argument("--usb", metavar="DEVICE", help="USB camera instead, e.g. /dev/video0")
    source.add_argument("--pattern", action="store_true", help="GStreamer's test picture instead")
    parser.add_argument("--mode", default="1280x720@30", metavar="WxH@FPS", help="of the camera (default: %(default)s)")
    parser.add_argument("--scale-to", metavar="WxH", help="CSI: scale frames to this before anything else")
    parser.add_argument("--flip", type=int, default=0, choices=FLIPS, help="CSI: 2 is rotated by 180 degrees")
    parser.add_argument("--raw", action="store_true", help="USB: ask for raw frames instead of Motion JPEG")
    parser.add_argument("--bundle", default="nano", help="name or folder (default: %(default)s)")
    parser.add_argument("--runtime", help="e.g. tensorrt, ort (default: the best that is usable)")
    parser.add_argument("--precision", choices=("fp32", "fp16", "bf16", "int8"), help="default: the bundle's")
    parser.add_argument("--serve", metavar="[HOST:]PORT", help="show image and depth in a browser")
    parser.add_argument("--record", metavar="FILE", help="write image and depth to a video, e.g. depth.mp4")
    parser.add_argument("--max-frames", type=int, metavar="N", help="stop after so many")
    return parser.parse_args(arguments)


def open_camera(options: argparse.Namespace) -> tuple[GstCamera, Mode]:
    """The camera that was asked for, not started yet, and the mode of its frames.

    Raises:
        InputError: An option is out of range.
    """
    mode = Mode.parse(options.mode)
    if options.pattern:
        return GstCamera(pattern_pipeline(mode), (mode.height, mode.width)), mode
    if options.usb is not None:
        pipeline = usb_pipeline(mode, device=options.usb, is_mjpeg=not options.raw)
        return GstCamera(pipeline, (mode.height, mode.width)), mode
    frame = mode if options.scale_to is None else Mode.parse(f"{options.scale_to}@{mode.fps}")
    size = (frame.height, frame.width)
    pipeline = csi_pipeline(mode, sensor_id=options.csi, flip_method=options.flip, frame=size)
    return GstCamera(pipeline, size), frame


def run(options: argparse.Namespace) -> None:
    """Open everything, loop until the end, Ctrl-C or the limit, and release everything.

    Raises:
        PixioEdgeError: The bundle, the runtime, the camera or an output fails.
    """
    camera, mode = open_camera(options)
    with ExitStack() as stack:
        precision = cast("Precision | None", options.precision)
        opened = DepthEstimator.open(options.bundle, runtime=options.runtime, precision=precision)
        estimator = stack.enter_context(opened)
        # The first prediction loads the graph or engine: before the camera runs, so that no frame waits for it.
        estimator.predict(np.zeros((mode.height, mode.width, 3), np.uint8))
        view = stack.enter_context(BrowserView(parse_address(options.serve))) if options.serve else None
        if view is not None:
            print(f"look at http://{view.address[0]}:{view.address[1]}/")
        recording = stack.enter_context(Recording(options.record, mode.fps)) if options.record else None
        frames = stack.enter_context(LatestFrame(camera))
        rate = Rate(started_s=time.monotonic())
        try:
            loop(estimator, frames, rate, view=view, recording=recording, max_frames=options.max_frames)
        except KeyboardInterrupt:
            print("stopped")
        seconds = time.monotonic() - rate.started_s
        print(f"{rate.frames} frames in {seconds:.1f} s, {frames.skipped} skipped")


def loop(
    estimator: DepthEstimator,
    frames: LatestFrame,
    rate: Rate,
    *,
    view: BrowserView | None,
    recording: Recording | None,
    max_frames: int | None,
) -> None:
    """Predict each newest frame; put your robot's code here.

    Raises:
        PixioEdgeError: The camera or the prediction fails.
    """
    while (frame := frames.take()) is not None:
        depth = estimator.predict(frame.rgb)
        finished_s = time.monotonic()
        rate.add(frame.arrived_s, finished_s)
        # Your code: depth.values is float32 (H, W); depth.kind says whether it is metres or relative inverse depth.
        is_watched = view is not None and view.is_watched
        if is_watched or recording is not None:
            panel = side_by_side(frame.rgb, depth.colorize())
            if view is not None and is_watched:
                view.show(panel)
            if recording is not None:
                recording.add(panel, frame.arrived_s)
        if rate.is_due(finished_s):
            print(rate.line(depth, frames.skipped), flush=True)
        if max_frames is not None and rate.frames >= max_frames:
            return


if __name__ == "__main__":
    sys.exit(main())
