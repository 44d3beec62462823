"""Intrinsics out of sensor_msgs/CameraInfo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pixio_edge.depth import Intrinsics
from pixio_edge.errors import InputError


class CameraInfoMessage(Protocol):
    """The fields of sensor_msgs/msg/CameraInfo that are used."""

    height: int
    width: int
    d: Sequence[float]
    k: Sequence[float]
    p: Sequence[float]
    binning_x: int
    binning_y: int
    roi: Any


def intrinsics_of(message: CameraInfoMessage, size: tuple[int, int], *, is_rectified: bool) -> Intrinsics:
    """Pinhole camera of the image that goes with a camera info, after its region of interest and binning.

    Args:
        message: The camera info.
        size: (height, width) of the image.
        is_rectified: Whether the image is one of the rectified topics, whose camera is P; else it is K.

    Raises:
        InputError: The camera is not calibrated, or the image has another size.
    """
    fx, fy, cx, cy = _camera(message, is_rectified)
    if fx == 0 or fy == 0:
        raise InputError(
            f"camera info: got an uncalibrated camera ({'P' if is_rectified else 'K'} is zero), expected focal "
            "lengths. Fix: calibrate it with the camera_calibration package, or give the driver a camera_info_url"
        )
    binning_x, binning_y = message.binning_x or 1, message.binning_y or 1
    roi = message.roi
    expected = ((roi.height or message.height) // binning_y, (roi.width or message.width) // binning_x)
    if expected != size:
        raise InputError(
            f"camera info: it is for images of {expected[1]}x{expected[0]}, got one of {size[1]}x{size[0]}. Fix: "
            "subscribe to the image and the camera info of one camera, and let image_proc resize both"
        )
    return Intrinsics(
        fx=fx / binning_x,
        fy=fy / binning_y,
        cx=(cx - roi.x_offset) / binning_x,
        cy=(cy - roi.y_offset) / binning_y,
    )


def is_distorted(message: CameraInfoMessage) -> bool:
    """Whether the lens bends lines, so that points from a raw image are off towards its corners."""
    return any(value != 0 for value in message.d)


def _camera(message: CameraInfoMessage, is_rectified: bool) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy of P, which is 3x4 row by row, or of K, which is 3x3."""
    fx, fy, cx, cy = (0, 5, 2, 6) if is_rectified else (0, 4, 2, 5)
    matrix = message.p if is_rectified else message.k
    return float(matrix[fx]), float(matrix[fy]), float(matrix[cx]), float(matrix[cy])
