"""Depth and ambient occlusion at pixels: how much of the light from everywhere reaches a visible point."""

from __future__ import annotations

from typing import Any

import numpy as np

from pixio_edge.scenes.drawing.jit import Array, Point, exact, quick, quick_part
from pixio_edge.scenes.drawing.shade import Geometry, Sight, depth_and_weights

# Directions around a pixel, each looked at a near and a far sample.
_TAPS = 6
# Distances at which things still darken a point, metres, and in shares of the depth.
_REACH_M, _REACH_OF_DEPTH = 0.7, 0.25
# A surface does not occlude itself below this cosine, by the rounding of its normal.
_HORIZON = 0.08
_STRENGTH = 2.0
_DITHER = 4


@exact
def pixel_geometry(geometry: Geometry, sight: Sight, axes: Array, depth: Array, normals: Array) -> None:
    """Depth (H, W), inf for sky, and flat normals in the camera's axes (H, W, 3) at pixel centres."""
    height, width = depth.shape
    v, triangles, rays, winner, projected = (
        geometry.vertices,
        geometry.triangles,
        sight.rays,
        sight.winner,
        sight.projected,
    )
    for i in range(height):
        for j in range(width):
            y, x = 2 * i + 1, 2 * j + 1
            t = winner[y, x]
            if t < 0:
                depth[i, j] = np.inf
                continue
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            depth[i, j] = depth_and_weights(projected, (a, b, c), x, y)[0]
            ex, ey, ez = v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2]
            fx, fy, fz = v[c, 0] - v[a, 0], v[c, 1] - v[a, 1], v[c, 2] - v[a, 2]
            gx, gy, gz = ey * fz - ez * fy, ez * fx - ex * fz, ex * fy - ey * fx
            seen = gx * (rays[0, 0] * x + rays[0, 1] * y + rays[0, 2])
            seen += gy * (rays[1, 0] * x + rays[1, 1] * y + rays[1, 2])
            seen += gz * (rays[2, 0] * x + rays[2, 1] * y + rays[2, 2])
            size = max(np.sqrt(gx * gx + gy * gy + gz * gz), 1e-12)
            scale = -1 / size if seen > 0 else 1 / size
            for k in range(3):
                normals[i, j, k] = scale * (axes[k, 0] * gx + axes[k, 1] * gy + axes[k, 2] * gz)


@quick
def occlude(depth: Array, normals: Array, camera: tuple[float, Array], smooth: Array, raw: Array) -> None:
    """Ambient occlusion into `smooth` (H, W), 1 where everything is open.

    Args:
        depth: float32 (H, W), inf for sky.
        normals: float32 (H, W, 3), in the camera's axes.
        camera: Focal length in pixels; offsets of samples in the unit circle, float32 (16, TAPS, 2), for each place of
            the dither.
        smooth: float32 (H, W).
        raw: float32 (H, W), scratch.
    """
    height, width = depth.shape
    raw[:] = 1
    focal, pattern = camera
    pixel = np.float32(1 / focal)
    for i in range(height):
        # Every other pixel: the mean over a cell of the dither fills the rest.
        for j in range(i & 1, width, 2):
            z = depth[i, j]
            if z == np.inf:
                continue
            normal = (normals[i, j, 0], normals[i, j, 1], normals[i, j, 2])
            place = (i % _DITHER) * _DITHER + j % _DITHER
            raw[i, j] = _open_share(depth, (i, j, z, pixel), normal, pattern, place)
    _blur(raw, depth, smooth)


@quick_part
def _open_share(depth: Array, at: tuple[int, int, Any, Any], normal: Point, pattern: Array, place: int) -> Any:
    """How open one pixel is."""
    i, j, z, pixel = at
    height, width = depth.shape
    middle_x, middle_y = np.float32(0.5 - width / 2), np.float32(0.5 - height / 2)
    px, py = (j + middle_x) * pixel * z, (i + middle_y) * pixel * z
    reach = min(np.float32(_REACH_M) + np.float32(0.02) * z, np.float32(_REACH_OF_DEPTH) * z + np.float32(0.1))
    far = min(max(reach / (pixel * z), np.float32(3.0)), np.float32(0.2) * width)
    near = min(far, np.float32(2.0) + np.float32(0.22) * far)
    inverse_square = 1 / (reach * reach)
    total = np.float32(0.0)
    for tap in range(2 * _TAPS):
        # Near samples find contacts, far ones corners.
        tick = tap if tap < _TAPS else tap - _TAPS
        distance = far if tap < _TAPS else near
        a = i + int(pattern[place, tick, 1] * distance + np.float32(1000.5)) - 1000
        b = j + int(pattern[place, tick, 0] * distance + np.float32(1000.5)) - 1000
        if a < 0 or b < 0 or a >= height or b >= width:
            continue
        q = depth[a, b]
        if q - z > reach or z - q > reach:
            continue
        dx, dy, dz = (b + middle_x) * pixel * q - px, (a + middle_y) * pixel * q - py, q - z
        square = dx * dx + dy * dy + dz * dz + np.float32(1e-9)
        fade = 1 - square * inverse_square
        if fade <= 0:
            continue
        cosine = (normal[0] * dx + normal[1] * dy + normal[2] * dz) / np.sqrt(square) - np.float32(_HORIZON)
        if cosine > 0:
            total += cosine * fade
    return max(np.float32(0.0), 1 - np.float32(_STRENGTH / _TAPS) * total)


@quick
def _blur(raw: Array, depth: Array, smooth: Array) -> None:
    """Mean over the cell of the dither around each pixel, of what is about as far."""
    height, width = raw.shape
    for i in range(height):
        for j in range(width):
            z = depth[i, j]
            smooth[i, j] = 1.0
            if z == np.inf:
                continue
            total, count = np.float32(0.0), 0
            margin = np.float32(0.05) * z
            for a in range(max(0, i - 2), min(height, i + 2)):
                first = max(0, j - 2)
                for b in range(first + ((a + first) & 1), min(width, j + 2), 2):
                    if abs(depth[a, b] - z) < margin:
                        total += raw[a, b]
                        count += 1
            if count > 0:
                smooth[i, j] = total / count


def dither_pattern() -> np.ndarray:
    """Offsets of the samples inside the unit circle for each place of a 4 x 4 cell, float32 (16, TAPS, 2)."""
    rng = np.random.default_rng(0)
    turns = (rng.permutation(_DITHER**2) / _DITHER**2)[:, None] / _TAPS + np.arange(_TAPS) / _TAPS
    radii = 0.3 + 0.7 * rng.random((_DITHER**2, _TAPS))
    angles = 2 * np.pi * turns
    return np.stack([np.cos(angles) * radii, np.sin(angles) * radii], axis=-1).astype(np.float32)
