"""The result of a prediction: a depth map, and what can be made of it."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from pixio_edge.colormap import colorize_inverse
from pixio_edge.depth_png import decode_depth_png, encode_depth_png
from pixio_edge.errors import InputError, OutputError
from pixio_edge.files import write_bytes_atomic
from pixio_edge.image import check_rgb, write_image
from pixio_edge.metrics import align_inverse, depth_from_inverse
from pixio_edge.point_cloud import Intrinsics, PointCloud, unproject

__all__ = ["DepthMap", "Intrinsics", "Kind", "PointCloud", "Timing", "read_depth_png"]

Kind = Literal["relative_inverse", "metric"]

MAX_DEPTH_M = 80.0
"""Default limit in metres: what KITTI's protocol evaluates, and beyond what a small network places well."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time of one prediction went, in milliseconds: preparing the image, inference, restoring the size."""

    pre_ms: float
    infer_ms: float
    post_ms: float

    @property
    def total_ms(self) -> float:
        """The whole prediction."""
        return self.pre_ms + self.infer_ms + self.post_ms


@dataclass(frozen=True, slots=True, eq=False)
class DepthMap:
    """Depth of every pixel of one image.

    Args:
        values: float32 (H, W) at the original size of the image; not copied.
        kind: "relative_inverse": larger is nearer, known up to a scale and a shift. "metric": distance along the
            optical axis in metres.
        unit: "m" for metric depth, None for relative.
        timing: Time of the prediction, or None when the map was not predicted here.
        source: Runtime and artifact, e.g. "ort/onnx-fp32-256x256", or None.

    Raises:
        InputError: `values` is not float32 (H, W), or `kind` and `unit` do not belong together.
    """

    values: NDArray[np.float32]
    kind: Kind = "relative_inverse"
    unit: str | None = None
    timing: Timing | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        values = self.values
        if values.dtype != np.float32 or values.ndim != 2 or not values.size:
            raise InputError(
                f"depth values: got {values.dtype.name} {values.shape}, expected float32 (H, W). "
                "Fix: convert with values.astype(numpy.float32)"
            )
        if (self.kind, self.unit) not in {("metric", "m"), ("relative_inverse", None)}:
            raise InputError(
                f"depth map: got kind {self.kind!r} with unit {self.unit!r}, expected 'metric' with 'm' or "
                "'relative_inverse' with None. Fix: pass one of the two"
            )

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self.values.shape
        return height, width

    def inverse(self) -> NDArray[np.float32]:
        """Inverse depth, float32 (H, W): larger is nearer, whatever the kind.

        Relative maps: `values` itself, not a copy. Metric maps: 1 / metres, NaN where depth is not finite and positive.
        """
        if self.kind == "relative_inverse":
            return self.values
        valid = np.isfinite(self.values) & (self.values > 0)
        nothing = np.full(self.size, np.nan, np.float32)
        return cast("NDArray[np.float32]", np.divide(np.float32(1), self.values, out=nothing, where=valid))

    def colorize(self, colormap: str = "inferno", *, low: float = 2.0, high: float = 98.0) -> NDArray[np.uint8]:
        """False colours, uint8 (H, W, 3) RGB, a new array; near is the bright end for both kinds.

        Args:
            colormap: "inferno", "turbo", "magma", "plasma", "viridis", "cividis" or "gray".
            low: Percentile of inverse depth, 0..100, that becomes the first colour.
            high: Percentile that becomes the last colour. A constant map gets the middle colour; pixels without a
                finite value are grey.

        Raises:
            InputError: The colormap is unknown, or not 0 <= low < high <= 100.
        """
        return colorize_inverse(self.inverse(), colormap=colormap, low=low, high=high)

    def save(self, path: str | Path) -> None:
        """Write the map in the format of the suffix, whole or not at all.

        `.npy`: the float32 values. `.color.png`: as `save_color`. Any other `.png`: 16 bits with a record that
        `read_depth_png` understands: metric depth in millimetres, clipped at 65.535 m; relative values scaled linearly
        to 1..65535; 0 where there is no value.

        Raises:
            OutputError: The suffix is another one, or the file cannot be written.
        """
        path = Path(path)
        name = path.name.lower()
        if name.endswith(".color.png"):
            self.save_color(path)
        elif name.endswith(".png"):
            write_bytes_atomic(path, encode_depth_png(self.values, kind=self.kind, unit=self.unit, source=self.source))
        elif name.endswith(".npy"):
            buffer = io.BytesIO()
            np.save(buffer, self.values, allow_pickle=False)
            write_bytes_atomic(path, buffer.getbuffer())
        else:
            raise OutputError(
                f"cannot write {path}: got suffix {path.suffix!r}, expected .png, .color.png or .npy. "
                "Fix: rename it, or use save_color for other picture formats"
            )

    def save_color(self, path: str | Path, colormap: str = "inferno") -> None:
        """Write `colorize(colormap)` as a picture in the format of the suffix (.png, .jpg, .webp).

        Raises:
            InputError: The colormap is unknown.
            OutputError: The suffix is unknown, or the file cannot be written.
        """
        write_image(path, self.colorize(colormap))

    def align_to(
        self,
        depth_m: NDArray[np.float32],
        valid: NDArray[np.bool_] | None = None,
        *,
        max_depth: float = MAX_DEPTH_M,
    ) -> DepthMap:
        """Metric depth: the least-squares scale and shift in inverse depth that fit known depth.

        Args:
            depth_m: (H, W) known depth in metres, of any density.
            valid: bool (H, W): which of its pixels to use; None for those that are finite and positive.
            max_depth: Where the result is clamped, in metres.

        Returns:
            A new metric map with the timing and source of this one.

        Raises:
            InputError: Shapes differ, or no pixel is valid.
        """
        self._check_shape("known depth", depth_m.shape)
        inverse = self.inverse()
        usable = np.isfinite(inverse) & np.isfinite(depth_m) & (depth_m > 0)
        if valid is not None:
            self._check_shape("valid mask", valid.shape)
            usable &= valid
        scale, shift = align_inverse(inverse, depth_m, usable)
        aligned = depth_from_inverse(inverse, scale, shift, max_depth).astype(np.float32)
        return replace(self, values=aligned, kind="metric", unit="m")

    def to_point_cloud(
        self,
        intrinsics: Intrinsics,
        *,
        rgb: NDArray[np.uint8] | None = None,
        scale: float | None = None,
        shift: float | None = None,
        relative_depth_range: tuple[float, float] | None = None,
        max_depth: float | None = None,
    ) -> PointCloud:
        """Points in metres: x right, y down, z forward.

        A relative map has no unit, so it needs one of the two: `scale` (and `shift`), as in
        `1 / depth_m = scale * values + shift`; or `relative_depth_range`, for something to look at, not to measure.

        Args:
            intrinsics: Camera of the image at its original size.
            rgb: uint8 (H, W, 3) colours of the points: the image itself.
            scale: Relative maps: factor to 1/m. The shift is 0 when only this is given.
            shift: Relative maps: offset in 1/m.
            relative_depth_range: (near, far) in metres to which the largest and the smallest value are put.
            max_depth: Points beyond it are left out, in metres; by default `far`, or else `MAX_DEPTH_M`.

        Raises:
            InputError: A relative map without scale or range, a metric map with one, or `rgb` of another size.
        """
        if rgb is not None:
            check_rgb(rgb)
            self._check_shape("rgb", rgb.shape[:2])
        depth_m = self._metric_values(scale, shift, relative_depth_range)
        limit = MAX_DEPTH_M if relative_depth_range is None else relative_depth_range[1]
        return unproject(depth_m, intrinsics, rgb=rgb, max_depth=limit if max_depth is None else max_depth)

    def _metric_values(
        self, scale: float | None, shift: float | None, relative_depth_range: tuple[float, float] | None
    ) -> NDArray[np.float32]:
        """Depth in metres, infinite or negative where the inverse is at or below zero."""
        has_scale = scale is not None
        has_range = relative_depth_range is not None
        if self.kind == "metric":
            if has_scale or has_range or shift is not None:
                raise InputError(
                    "point cloud: got a scale, shift or range with a metric map, expected none. Fix: leave them out"
                )
            return self.values
        if has_scale == has_range or (shift is not None and not has_scale):
            raise InputError(
                "point cloud: a relative map has no unit, expected either scale (and shift) or relative_depth_range. "
                "Fix: use align_to first, or pass relative_depth_range=(1.0, 10.0) to look at its shape"
            )
        if relative_depth_range is not None:
            inverse = _spread(self.values, relative_depth_range)
        else:
            inverse = np.float32(scale or 0.0) * self.values + np.float32(shift or 0.0)
        with np.errstate(divide="ignore"):
            return cast("NDArray[np.float32]", np.float32(1) / inverse)

    def _check_shape(self, what: str, shape: tuple[int, ...]) -> None:
        if tuple(shape) != self.size:
            raise InputError(
                f"{what}: got shape {tuple(shape)}, expected {self.size} like the depth map. Fix: resize one of them"
            )


def read_depth_png(path: str | Path) -> DepthMap:
    """Read a 16-bit PNG that `DepthMap.save` wrote; pixels without a value are NaN.

    Raises:
        InputError: The file cannot be read, or was not written by this package.
    """
    values, record = decode_depth_png(Path(path))
    return DepthMap(values=values, kind=cast("Kind", record.kind), unit=record.unit, source=record.source)


def _spread(values: NDArray[np.float32], depth_range: tuple[float, float]) -> NDArray[np.float32]:
    """Inverse depth from 1/far at the smallest to 1/near at the largest value; a constant map lies at `far`."""
    near, far = depth_range
    if not 0 < near < far < float("inf"):
        raise InputError(
            f"relative_depth_range: got ({near}, {far}), expected 0 < near < far in metres. Fix: use (1.0, 10.0)"
        )
    finite = values[np.isfinite(values)]
    smallest, largest = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    share = (values - np.float32(smallest)) / np.float32(largest - smallest or 1.0)
    # In float32 the farthest points could round to just beyond `far` and be left out.
    inverse = np.maximum(
        share * np.float32(1 / near - 1 / far) + np.float32(1 / far), np.nextafter(np.float32(1 / far), 1)
    )
    return cast("NDArray[np.float32]", inverse.astype(np.float32))
