"""Depth and ambient occlusion at pixels: how much of the light from everywhere reaches a visible point."""

from __future__ import annotations

import numpy as np
from numba import njit

from pixio_edge.scenes.shade import weights_at

# Directions around a pixel, each looked at a near and a far sample.
_TAPS = 6
# Distances at which things still darken a point, metres, and in shares of the depth.
_REACH_M, _REACH_OF_DEPTH = 0.7, 0.25
# A surface does not occlude itself below this cosine, by the rounding of its normal.
_HORIZON = 0.08
_STRENGTH = 1.5
_DITHER = 4


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def pixel_geometry(geometry, sight, depth, normals) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    """Depth (H, W), inf for sky, and flat normals in the camera's axes (H, W, 3) at pixel centres."""
    height, width = depth.shape
    weights = np.empty(3)
    v = geometry.vertices
    rays = sight.rays
    for i in range(height):
        for j in range(width):
            y, x = 2 * i + 1, 2 * j + 1
            t = sight.winner[y, x]
            if t < 0:
                depth[i, j] = np.inf
                continue
            corners = geometry.triangles[t]
            depth[i, j] = weights_at(sight.projected, corners, x, y, weights)
            a, b, c = corners[0], corners[1], corners[2]
            ex, ey, ez = v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2]
            fx, fy, fz = v[c, 0] - v[a, 0], v[c, 1] - v[a, 1], v[c, 2] - v[a, 2]
            gx, gy, gz = ey * fz - ez * fy, ez * fx - ex * fz, ex * fy - ey * fx
            seen = 0.0
            for k in range(3):
                along = rays[k, 0] * x + rays[k, 1] * y + rays[k, 2]
                seen += along * (gx if k == 0 else gy if k == 1 else gz)
            size = max(np.sqrt(gx * gx + gy * gy + gz * gz), 1e-12)
            scale = -1 / size if seen > 0 else 1 / size
            normals[i, j, 0], normals[i, j, 1], normals[i, j, 2] = gx * scale, gy * scale, gz * scale


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def occlude(depth, normals, axes, focal, pattern, raw, smooth) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    """Ambient occlusion into `smooth` (H, W), 1 where everything is open.

    Args:
        depth: float32 (H, W).
        normals: float32 (H, W, 3), world.
        axes: float64 (3, 3), rows are the camera's right, down and forward in the world.
        focal: Pixels.
        pattern: float32 (16, TAPS, 2), unit circle offsets per place of the dither.
        raw: float32 (H, W), scratch.
        smooth: float32 (H, W).
    """
    height, width = depth.shape
    for i in range(height):
        for j in range(width):
            z = depth[i, j]
            raw[i, j] = 1.0
            if z == np.inf:
                continue
            nx, ny, nz = normals[i, j, 0], normals[i, j, 1], normals[i, j, 2]
            n0 = axes[0, 0] * nx + axes[0, 1] * ny + axes[0, 2] * nz
            n1 = axes[1, 0] * nx + axes[1, 1] * ny + axes[1, 2] * nz
            n2 = axes[2, 0] * nx + axes[2, 1] * ny + axes[2, 2] * nz
            px, py = (j + 0.5 - width / 2) / focal * z, (i + 0.5 - height / 2) / focal * z
            reach = min(_REACH_M + 0.02 * z, _REACH_OF_DEPTH * z + 0.1)
            pixels = min(max(focal * reach / z, 3.0), 0.2 * width)
            total = 0.0
            place = (i % _DITHER) * _DITHER + j % _DITHER
            for tap in range(2 * _TAPS):
                # Near samples find contacts, far ones corners.
                distance = pixels if tap < _TAPS else min(pixels, 2.0 + 0.22 * pixels)
                a = i + int(np.rint(pattern[place, tap % _TAPS, 1] * distance))
                b = j + int(np.rint(pattern[place, tap % _TAPS, 0] * distance))
                if a < 0 or b < 0 or a >= height or b >= width or depth[a, b] == np.inf:
                    continue
                q = depth[a, b]
                dx = (b + 0.5 - width / 2) / focal * q - px
                dy, dz = (a + 0.5 - height / 2) / focal * q - py, q - z
                square = dx * dx + dy * dy + dz * dz + 1e-9
                cosine = (n0 * dx + n1 * dy + n2 * dz) / np.sqrt(square) - _HORIZON
                if cosine > 0:
                    total += cosine * max(0.0, 1 - square / (reach * reach))
            raw[i, j] = max(0.0, 1 - _STRENGTH * total / _TAPS)
    _blur(raw, depth, smooth)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _blur(raw, depth, smooth) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    """Mean over the cell of the dither around each pixel, of what is about as far."""
    height, width = raw.shape
    for i in range(height):
        for j in range(width):
            z = depth[i, j]
            smooth[i, j] = 1.0
            if z == np.inf:
                continue
            total, count = 0.0, 0
            for a in range(max(0, i - 2), min(height, i + 2)):
                for b in range(max(0, j - 2), min(width, j + 2)):
                    if abs(depth[a, b] - z) < 0.05 * z:
                        total += raw[a, b]
                        count += 1
            smooth[i, j] = total / max(count, 1)


def dither_pattern() -> np.ndarray:
    """Offsets of the samples inside the unit circle for each place of a 4 x 4 cell, float32 (16, TAPS, 2)."""
    rng = np.random.default_rng(0)
    turns = (rng.permutation(_DITHER**2) / _DITHER**2)[:, None] / _TAPS + np.arange(_TAPS) / _TAPS
    radii = 0.3 + 0.7 * rng.random((_DITHER**2, _TAPS))
    angles = 2 * np.pi * turns
    return np.stack([np.cos(angles) * radii, np.sin(angles) * radii], axis=-1).astype(np.float32)
