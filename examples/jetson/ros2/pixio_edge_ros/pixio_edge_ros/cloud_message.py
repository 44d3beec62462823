"""Points to sensor_msgs/PointCloud2 with the fields x, y, z and rgb, as PCL and RViz read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pixio_edge.depth import Intrinsics, PointCloud
from pixio_edge.point_cloud import unproject
from pixio_edge_ros.image_message import IS_BIG_ENDIAN, byte_array, copy_header

FLOAT32 = 7
"""sensor_msgs/msg/PointField.FLOAT32."""

POINT = np.dtype([("x", "f4"), ("y", "f4"), ("z", "f4"), ("rgb", "u4")])
"""One point in memory, 16 bytes in the byte order of this machine: metres, then red << 16 | green << 8 | blue. By
convention the colour is announced as a float with these bits."""


class CloudMessage(Protocol):
    """The fields of sensor_msgs/msg/PointCloud2 that are used."""

    header: Any
    height: int
    width: int
    fields: Any
    is_bigendian: bool
    point_step: int
    row_step: int
    data: Any
    is_dense: bool


def make_cloud(
    depth_m: NDArray[np.float32], rgb: NDArray[np.uint8], intrinsics: Intrinsics, *, stride: int, max_depth_m: float
) -> PointCloud:
    """Coloured points of every `stride`-th row and column whose depth is in (0, `max_depth_m`].

    Args:
        depth_m: float32 (H, W) metres; NaN and infinite values are left out.
        rgb: uint8 (H, W, 3).
        intrinsics: Camera of the full image.
        stride: 1 takes every pixel.
        max_depth_m: Farthest point, in metres.
    """
    # Pixel (row, column) of the thinned image is pixel (stride * row, stride * column) of the full one.
    thinned = Intrinsics(
        fx=intrinsics.fx / stride, fy=intrinsics.fy / stride, cx=intrinsics.cx / stride, cy=intrinsics.cy / stride
    )
    return unproject(depth_m[::stride, ::stride], thinned, rgb=rgb[::stride, ::stride], max_depth=max_depth_m)


def pack_points(cloud: PointCloud) -> NDArray[np.void]:
    """Points as records of `POINT`, (N,); black where there are no colours."""
    packed = np.zeros(len(cloud), POINT)
    for axis, name in enumerate("xyz"):
        packed[name] = cloud.points[:, axis]
    if cloud.colors is not None:
        red, green, blue = cloud.colors.astype(np.uint32).T
        packed["rgb"] = red << 16 | green << 8 | blue
    return packed


def fill_cloud(message: CloudMessage, cloud: PointCloud, header: Any, make_field: Callable[..., Any]) -> None:
    """Write points into a message, unordered, with the stamp and frame of `header`.

    Args:
        message: The message to fill.
        cloud: Points in the optical frame of the camera: x right, y down, z forward.
        header: Header of the image.
        make_field: sensor_msgs/msg/PointField, or what takes its keywords.
    """
    copy_header(header, message.header)
    message.height, message.width = 1, len(cloud)
    message.fields = [make_field(name=name, offset=4 * at, datatype=FLOAT32, count=1) for at, name in enumerate(_NAMES)]
    message.is_bigendian = IS_BIG_ENDIAN
    message.point_step = POINT.itemsize
    message.row_step = POINT.itemsize * len(cloud)
    message.data = byte_array(pack_points(cloud))
    message.is_dense = True


_NAMES = ("x", "y", "z", "rgb")
