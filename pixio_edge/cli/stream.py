"""`pixio-edge stream`: video or camera to a side-by-side video or a window."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixio_edge.cli.console import print_json
from pixio_edge.cli.options import (
    BundleOption,
    ColormapOption,
    JsonOption,
    PinCoresOption,
    PrecisionOption,
    ProviderOption,
    RuntimeOption,
    SizeOption,
    ThreadsOption,
    check_colormap,
    examples,
    parse_cores,
    parse_precision,
    parse_size,
)
from pixio_edge.errors import InputError, RuntimeUnavailableError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixio_edge.depth import DepthMap
    from pixio_edge.estimator import DepthEstimator
    from pixio_edge.video import VideoReader

EXAMPLES = examples(
    "pixio-edge stream drive.mp4 -o drive.depth.mp4",
    "pixio-edge stream 0 --show",
    "pixio-edge stream rtsp://camera/live --max-frames 300 --json",
)

WINDOW = "pixio-edge"
KEYS_THAT_CLOSE = (27, ord("q"))


@dataclass(slots=True)
class Progress:
    """Running totals of a stream."""

    started: float = field(default_factory=time.perf_counter)
    frames: int = 0
    pre_ms: float = 0.0
    infer_ms: float = 0.0
    post_ms: float = 0.0
    source: str | None = None
    dropped: int = 0

    def add(self, depth: DepthMap) -> None:
        """Count one frame."""
        self.frames += 1
        self.source = depth.source
        if depth.timing is not None:
            self.pre_ms += depth.timing.pre_ms
            self.infer_ms += depth.timing.infer_ms
            self.post_ms += depth.timing.post_ms

    def to_json(self) -> dict[str, Any]:
        """Totals as means per frame."""
        seconds = time.perf_counter() - self.started
        count = max(self.frames, 1)
        return {
            "frames": self.frames,
            "dropped": self.dropped,
            "seconds": seconds,
            "fps": self.frames / seconds if seconds > 0 else 0.0,
            "pre_ms": self.pre_ms / count,
            "infer_ms": self.infer_ms / count,
            "post_ms": self.post_ms / count,
            "source": self.source,
        }


def stream(
    source: Annotated[str, typer.Argument(help="Video file, camera index such as 0, or URL.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Video to write: image and depth.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Show a window; q or Esc closes it.")] = False,
    max_frames: Annotated[
        int | None, typer.Option("--max-frames", "-n", min=1, help="Stop after so many frames.")
    ] = None,
    bundle: BundleOption = "nano",
    runtime: RuntimeOption = None,
    precision: PrecisionOption = None,
    size: SizeOption = None,
    threads: ThreadsOption = None,
    pin_cores: PinCoresOption = None,
    provider: ProviderOption = None,
    colormap: ColormapOption = "inferno",
    json: JsonOption = False,
) -> None:
    """Estimate depth frame by frame, reading ahead on one thread, and report frames per second.

    Of a camera or live URL the newest frames are taken; those that come too fast are dropped and counted. Ctrl-C is a
    normal way to stop: the video so far is finished and playable, and the exit status is 0.
    """
    from pixio_edge.estimator import DepthEstimator
    from pixio_edge.files import create_folder
    from pixio_edge.video import VideoReader

    check_colormap(colormap)
    if output is not None:
        create_folder(output.parent)
    if show:
        open_window()
    with (
        DepthEstimator.open(
            bundle,
            runtime=runtime,
            precision=parse_precision(precision),
            size=parse_size(size),
            threads=threads,
            pin_cores=parse_cores(pin_cores),
            provider=provider,
        ) as estimator,
        VideoReader(source) as reader,
    ):
        progress, interrupted = run(
            reader, estimator, output=output, show=show, max_frames=max_frames, colormap=colormap
        )
    report(progress, output=output, interrupted=interrupted, json=json)


def run(
    reader: VideoReader,
    estimator: DepthEstimator,
    *,
    output: Path | None,
    show: bool,
    max_frames: int | None,
    colormap: str,
) -> tuple[Progress, bool]:
    """Process frames until the source, the limit, the viewer or Ctrl-C ends; returns totals, and whether by Ctrl-C."""
    from pixio_edge.video import VideoWriter

    # A service manager stops a stream with SIGTERM; it deserves a playable file too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    progress = Progress()
    with ExitStack() as stack:
        writer: VideoWriter | None = None
        try:
            for frame in reader:
                depth = estimator.predict(frame)
                progress.add(depth)
                dropped = reader.dropped_frames
                if output is not None or show:
                    panel = side_by_side(frame, depth.colorize(colormap))
                    if output is not None and writer is None:
                        writer = stack.enter_context(VideoWriter(output, reader.fps, panel.shape[:2]))
                    if writer is not None:
                        # A camera drops what comes too fast; its video keeps real time by showing a frame for longer.
                        for _ in range(1 + dropped - progress.dropped):
                            writer.write(panel)
                    if show and not show_panel(panel):
                        break
                progress.dropped = dropped
                print_rate(progress)
                if max_frames is not None and progress.frames >= max_frames:
                    break
        except KeyboardInterrupt:
            return progress, True
    return progress, False


def side_by_side(frame: NDArray[np.uint8], colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Image left, depth right: uint8 RGB (H, 2W, 3)."""
    import numpy as np

    return np.concatenate((frame, colors), axis=1)


def open_window() -> None:
    """Open the window before any work, so that a machine without a display says so at once.

    Raises:
        RuntimeUnavailableError: This OpenCV draws no windows, or there is no display.
    """
    import cv2

    try:
        cv2.namedWindow(WINDOW, cv2.WINDOW_NORMAL)
    except cv2.error as error:
        raise RuntimeUnavailableError(
            "--show: this OpenCV has no window support (opencv-python-headless, or no display). "
            "Fix: write a file with -o out.mp4, or pip uninstall opencv-python-headless and pip install opencv-python"
        ) from error


def show_panel(panel: NDArray[np.uint8]) -> bool:
    """Draw one panel; False when the viewer asked to close."""
    import cv2

    cv2.imshow(WINDOW, panel[..., ::-1])
    return cv2.waitKey(1) & 0xFF not in KEYS_THAT_CLOSE


def print_rate(progress: Progress) -> None:
    """Keep one status line on a terminal; silent otherwise."""
    if sys.stderr.isatty() and progress.frames % 10 == 0:
        totals = progress.to_json()
        print(f"\r{totals['frames']} frames, {totals['fps']:.1f} fps ", end="", file=sys.stderr, flush=True)


def report(progress: Progress, *, output: Path | None, interrupted: bool, json: bool) -> None:
    """Print the totals.

    Raises:
        InputError: The source gave no frame.
    """
    if sys.stderr.isatty():
        print("\r", end="", file=sys.stderr)
    if progress.frames == 0 and not interrupted:
        raise InputError("the source gave no frame. Fix: check that the file plays, or that the camera is free")
    totals = progress.to_json() | {"output": str(output) if output else None, "interrupted": interrupted}
    if json:
        print_json(totals)
        return
    times = ", ".join(f"{step} {totals[f'{step}_ms']:.1f}" for step in ("pre", "infer", "post"))
    ending = " (interrupted)" if interrupted else ""
    written = f" -> {output}" if output and progress.frames else ""
    skipped = f" ({totals['dropped']} came too fast and were dropped)" if totals["dropped"] else ""
    rate = f"{totals['frames']} frames{skipped}, {totals['fps']:.1f} fps"
    print(f"{rate}, per frame {times} ms [{totals['source']}]{written}{ending}")
