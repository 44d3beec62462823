"""Points in space from metric depth: pinhole intrinsics, unprojection, PLY files.

The camera looks along +z; x points right and y down, as rows and columns of the image do. Units are metres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixio_edge.errors import InputError, OutputError
from pixio_edge.files import atomic_path


@dataclass(frozen=True, slots=True)
class Intrinsics:
    """Pinhole camera of an image at its original size.

    Args:
        fx: Focal length along x, in pixels.
        fy: Focal length along y, in pixels.
        cx: Column of the principal point, in pixels; the centre of the left-most pixel is 0.
        cy: Row of the principal point, in pixels; the centre of the top pixel is 0.

    Raises:
        InputError: A value is not finite, or a focal length is not positive.
    """

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.fx, self.fy, self.cx, self.cy))) or self.fx <= 0 or self.fy <= 0:
            raise InputError(
                f"intrinsics: got fx={self.fx}, fy={self.fy}, cx={self.cx}, cy={self.cy}, expected finite numbers and "
                "positive focal lengths in pixels. Fix: take them from the camera, or use Intrinsics.from_fov"
            )

    @classmethod
    def from_fov(cls, size: tuple[int, int], horizontal_deg: float) -> Intrinsics:
        """Square pixels and a centred principal point.

        Args:
            size: (height, width) of the image.
            horizontal_deg: Angle between the left and the right edge of the image, in degrees; phones have 60 to 75.

        Raises:
            InputError: The angle is not between 0 and 180, or a side is below 1.
        """
        height, width = size
        if not 0.0 < horizontal_deg < 180.0 or min(size) < 1:
            raise InputError(
                f"field of view: got {horizontal_deg} degrees for {height}x{width} pixels, expected an angle between 0 "
                "and 180 and a size of at least 1x1. Fix: give the horizontal angle in degrees, e.g. 65"
            )
        focal_px = width / 2 / math.tan(math.radians(horizontal_deg) / 2)
        return cls(fx=focal_px, fy=focal_px, cx=(width - 1) / 2, cy=(height - 1) / 2)


@dataclass(frozen=True, slots=True, eq=False)
class PointCloud:
    """Points seen by a camera, in row order of the image.

    Args:
        points: float32 (N, 3), metres: x right, y down, z forward.
        colors: uint8 (N, 3) RGB, or None.
    """

    points: NDArray[np.float32]
    colors: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        colors = self.colors
        if self.points.ndim != 2 or self.points.shape[1] != 3 or self.points.dtype != np.float32:
            raise InputError(
                f"points: got {self.points.dtype.name} {self.points.shape}, expected float32 (N, 3). Fix: convert them"
            )
        if colors is not None and (colors.shape != self.points.shape or colors.dtype != np.uint8):
            raise InputError(
                f"colors: got {colors.dtype.name} {colors.shape}, expected uint8 {self.points.shape}. "
                "Fix: give one RGB colour per point"
            )

    def __len__(self) -> int:
        return len(self.points)

    def save_ply(self, path: str | Path) -> None:
        """Write a binary little-endian PLY file (x, y, z in metres; red, green, blue if there are colours).

        Raises:
            OutputError: The suffix is not .ply, or the file cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() != ".ply":
            raise OutputError(f"cannot write {path}: got suffix {path.suffix!r}, expected .ply. Fix: rename it")
        columns = [("x", "<f4", "float"), ("y", "<f4", "float"), ("z", "<f4", "float")]
        if self.colors is not None:
            columns += [("red", "u1", "uchar"), ("green", "u1", "uchar"), ("blue", "u1", "uchar")]
        vertices = np.empty(len(self), dtype=[(name, dtype) for name, dtype, _ in columns])
        for axis, name in enumerate("xyz"):
            vertices[name] = self.points[:, axis]
        if self.colors is not None:
            for channel, name in enumerate(("red", "green", "blue")):
                vertices[name] = self.colors[:, channel]
        properties = "".join(f"property {kind} {name}\n" for name, _, kind in columns)
        header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(self)}\n{properties}end_header\n"
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.write(header.encode("ascii"))
            file.write(vertices.tobytes())


def unproject(
    depth_m: NDArray[np.float32], intrinsics: Intrinsics, *, rgb: NDArray[np.uint8] | None, max_depth: float
) -> PointCloud:
    """Turn each pixel with a depth in (0, `max_depth`] into a point; the others are left out.

    Args:
        depth_m: float32 (H, W): distance along the optical axis in metres, not along the ray.
        intrinsics: Camera of this size.
        rgb: uint8 (H, W, 3) colours, or None.
        max_depth: Largest depth to keep, in metres.
    """
    rows, columns = np.nonzero((depth_m > 0) & (depth_m <= max_depth))  # NaN compares false
    z = depth_m[rows, columns]
    points = np.empty((len(z), 3), np.float32)
    points[:, 0] = (columns - intrinsics.cx) / intrinsics.fx * z
    points[:, 1] = (rows - intrinsics.cy) / intrinsics.fy * z
    points[:, 2] = z
    return PointCloud(points=points, colors=None if rgb is None else rgb[rows, columns])
