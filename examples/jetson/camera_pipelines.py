"""GStreamer pipelines of the cameras that a Jetson has, as text for `gst-launch-1.0`; all end in raw RGB frames."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from pixio_edge.errors import InputError

FLIPS = (0, 2, 4, 6)
"""Of `nvvidconv`'s flip methods those that keep the sides: none, rotated by 180 degrees, mirrored, upside down."""


@dataclass(frozen=True, slots=True)
class Mode:
    """Size and rate of frames.

    Args:
        width: Columns, a multiple of 4: GStreamer pads each RGB row to 4 bytes, and such rows need no padding.
        height: Rows, even: cameras deliver 4:2:0 colour.
        fps: Frames per second.

    Raises:
        InputError: A value is out of range.
    """

    width: int
    height: int
    fps: int

    def __post_init__(self) -> None:
        if self.width < 4 or self.width % 4 or self.height < 2 or self.height % 2 or not 0 < self.fps < 1000:
            raise InputError(
                f"camera mode: got {self.width}x{self.height} at {self.fps} frames per second, expected a width that "
                "is a multiple of 4, an even height and a rate of 1 to 999. Fix: use 1280x720@30"
            )

    @classmethod
    def parse(cls, text: str) -> Mode:
        """Read WIDTHxHEIGHT@FPS, as camera data sheets write it.

        Raises:
            InputError: It has another form.
        """
        size, _, fps = text.partition("@")
        width, _, height = size.partition("x")
        if not (width.isdecimal() and height.isdecimal() and fps.isdecimal()):
            raise InputError(f"camera mode: got {text!r}, expected WIDTHxHEIGHT@FPS. Fix: use 1280x720@30")
        return cls(int(width), int(height), int(fps))

    def caps(self, media: str, pixel_format: str | None = None) -> str:
        """GStreamer's description of these frames, e.g. "video/x-raw,width=1280,height=720,framerate=30/1"."""
        form = "" if pixel_format is None else f",format={pixel_format}"
        return f"{media}{form},width={self.width},height={self.height},framerate={self.fps}/1"


def csi_pipeline(mode: Mode, *, sensor_id: int = 0, flip_method: int = 0, frame: tuple[int, int] | None = None) -> str:
    """Pipeline from a CSI camera through the image signal processor (`nvarguscamerasrc`), up to raw RGB.

    Args:
        mode: What the sensor delivers; Argus takes the sensor mode that fits best.
        sensor_id: Which camera, 0 for the first.
        flip_method: One of `FLIPS`.
        frame: (height, width) to scale to, on the video image compositor and so at no cost; None keeps the size.

    Raises:
        InputError: A value is out of range.
    """
    if sensor_id < 0 or flip_method not in FLIPS:
        raise InputError(
            f"CSI camera: got sensor {sensor_id} and flip {flip_method}, expected a sensor from 0 and a flip that is "
            f"one of {', '.join(map(str, FLIPS))}. Fix: --csi 0 --flip 0"
        )
    scaled = mode if frame is None else Mode(frame[1], frame[0], mode.fps)
    return " ! ".join(
        (
            f"nvarguscamerasrc sensor-id={sensor_id}",
            mode.caps("video/x-raw(memory:NVMM)", "NV12"),
            f"nvvidconv flip-method={flip_method}",
            # nvvidconv cannot write 3-byte pixels, so the last step to RGB is on the processor.
            f"video/x-raw,format=RGBA,width={scaled.width},height={scaled.height}",
            "videoconvert",
            "video/x-raw,format=RGB",
        )
    )


def usb_pipeline(mode: Mode, *, device: str = "/dev/video0", is_mjpeg: bool = True) -> str:
    """Pipeline from a USB camera (`v4l2src`), up to raw RGB.

    Args:
        mode: One that the camera lists in `v4l2-ctl --list-formats-ext`.
        device: The video device.
        is_mjpeg: Whether to ask for Motion JPEG: over USB 2, raw frames of 1280x720 come at 10 per second.
    """
    source = f"v4l2src device={shlex.quote(device)}"
    frames = f"{mode.caps('image/jpeg')} ! jpegdec" if is_mjpeg else mode.caps("video/x-raw")
    return f"{source} ! {frames} ! videoconvert ! video/x-raw,format=RGB"


def pattern_pipeline(mode: Mode) -> str:
    """GStreamer's moving test picture at the rate of a camera, for a host without one."""
    return f"videotestsrc is-live=true pattern=ball ! {mode.caps('video/x-raw', 'RGB')}"


def with_sink(pipeline: str, descriptor: int) -> str:
    """Let a pipeline write to a file descriptor, dropping its older frame when the reader is slow."""
    queue = "queue leaky=downstream max-size-buffers=1 max-size-bytes=0 max-size-time=0"
    return f"{pipeline} ! {queue} ! fdsink fd={descriptor} sync=false"
