"""sensor_msgs/Image to RGB pixels, and depth to sensor_msgs/Image; without cv_bridge, which is built for one numpy.

Layouts are those of sensor_msgs/msg/Image and sensor_msgs/image_encodings.hpp: rows of `step` bytes, of which the first
`width` pixels count.
"""

from __future__ import annotations

import sys
from array import array
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pixio_edge.errors import InputError

IS_BIG_ENDIAN = sys.byteorder == "big"

# Encoding: channels, and OpenCV's conversion to RGB; None where the pixels are RGB already.
PACKED: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "8UC1": (1, cv2.COLOR_GRAY2RGB),
    "uyvy": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuyv": (2, cv2.COLOR_YUV2RGB_YUYV),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2RGB_YUYV),
}
# 16 bits a channel, in the byte order of the message; the upper 8 bits are used.
DEEP: dict[str, str] = {"mono16": "mono8", "rgb16": "rgb8", "bgr16": "bgr8", "rgba16": "rgba8", "bgra16": "bgra8"}
# A plane of luminance, then one of half the height with interleaved colour.
PLANAR: dict[str, int] = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}

PAIRED = (*PLANAR, *(name for name, (channels, _) in PACKED.items() if channels == 2))
"""Encodings in which two neighbouring columns share a colour."""

ENCODINGS = (*PACKED, *DEEP, *PLANAR)


class ImageMessage(Protocol):
    """The fields of sensor_msgs/msg/Image that are used."""

    header: Any
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


def decode_image(message: ImageMessage) -> NDArray[np.uint8]:
    """Pixels of an image message, uint8 (H, W, 3) RGB; a view of its data for rgb8, else a new array.

    YUV is read as BT.601 with limited range, which is what cameras send.

    Raises:
        InputError: The encoding is not one of `ENCODINGS`, or size, step and data do not fit together.
    """
    encoding = message.encoding
    if encoding in DEEP:
        return _decode_deep(message)
    if encoding in PLANAR:
        _check_even(message, message.height)
        plane = _rows(message, message.height * 3 // 2, message.width)
        return _convert(plane, PLANAR[encoding])
    if encoding not in PACKED:
        raise InputError(
            f"image message: got encoding {encoding!r}, expected one of {', '.join(ENCODINGS)}. "
            f"Fix: {_advice(encoding)}"
        )
    channels, conversion = PACKED[encoding]
    if channels == 2:
        _check_even(message, 2)
    rows = _rows(message, message.height, message.width * channels)
    pixels = _pixels(rows, message.width, channels)
    return pixels if conversion is None else _convert(pixels, conversion)


def fill_depth_image(message: ImageMessage, depth: NDArray[np.float32], header: Any) -> None:
    """Write float32 (H, W) into an image message as 32FC1, with the stamp and frame of `header`."""
    height, width = depth.shape
    copy_header(header, message.header)
    message.height, message.width = height, width
    message.encoding = "32FC1"
    message.is_bigendian = int(IS_BIG_ENDIAN)
    message.step = width * depth.itemsize
    message.data = byte_array(depth)


def copy_header(source: Any, target: Any) -> None:
    """Give a std_msgs/msg/Header the stamp and the frame of another."""
    target.stamp = source.stamp
    target.frame_id = source.frame_id


def byte_array(values: NDArray[Any]) -> array[int]:
    """The bytes of an array, in row order, as the type that message fields take without looking at each byte."""
    payload = array("B")
    payload.frombytes(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return payload


def _decode_deep(message: ImageMessage) -> NDArray[np.uint8]:
    channels, conversion = PACKED[DEEP[message.encoding]]
    rows = _rows(message, message.height, message.width * channels * 2)
    samples = rows.view(">u2" if message.is_bigendian else "<u2")
    pixels = _pixels((samples >> 8).astype(np.uint8), message.width, channels)
    return pixels if conversion is None else _convert(pixels, conversion)


def _pixels(rows: NDArray[np.uint8], width: int, channels: int) -> NDArray[np.uint8]:
    """(H, W * channels) as (H, W, channels), or (H, W) for one channel; a view."""
    if channels == 1:
        return rows
    return np.lib.stride_tricks.as_strided(
        rows, (rows.shape[0], width, channels), (rows.strides[0], channels, 1), writeable=False
    )


def _rows(message: ImageMessage, count: int, used: int) -> NDArray[np.uint8]:
    """The first `used` bytes of `count` rows, uint8 (count, used), a view. The last row may lack its padding."""
    data = np.frombuffer(message.data, np.uint8)
    needed = message.step * (count - 1) + used
    if min(count, used) < 1 or message.step < used or data.size < needed:
        raise InputError(
            f"image message: got {message.width}x{message.height} {message.encoding} with a step of {message.step} and "
            f"{data.size} bytes, expected a step of at least {used} and {max(needed, 1)} bytes. Fix: check the driver"
        )
    return np.lib.stride_tricks.as_strided(data, (count, used), (message.step, 1), writeable=False)


def _check_even(message: ImageMessage, height: int) -> None:
    if message.width % 2 or height % 2:
        raise InputError(
            f"image message: got {message.width}x{message.height} {message.encoding}, expected even sides, as colours "
            "are shared by pairs. Fix: check the driver"
        )


def _convert(pixels: NDArray[np.uint8], conversion: int) -> NDArray[np.uint8]:
    rgb: NDArray[np.uint8] = cv2.cvtColor(np.ascontiguousarray(pixels), conversion)  # type: ignore[assignment]
    return rgb


def _advice(encoding: str) -> str:
    if encoding.startswith("bayer"):
        return "run the debayer node of image_proc, and subscribe to its output"
    if encoding == "8UC3":
        return "let the driver say rgb8 or bgr8; 8UC3 leaves the order open"
    return "let the driver publish rgb8 or bgr8"
