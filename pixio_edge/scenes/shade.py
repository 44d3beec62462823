"""Colour of visible points: textures, lamps with shadow, ambient light with occlusion, gloss, haze, panorama."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pixio_edge.scenes.assemble import BLUE, CONTRAST, GLOSS, GLOW, GREEN, RED, REPEAT
from pixio_edge.scenes.shadow_map import lit_share
from pixio_edge.training.textures import BACKDROP_SIZE, MIP_LEVELS, TILE_PX

GAMMA_TABLE = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)
_MIP_STARTS = np.cumsum([0, *((TILE_PX >> level) ** 2 for level in range(MIP_LEVELS))]).astype(np.int64)
# Lamps are no brighter than at this distance, metres.
_SOFT_M = 0.5
# Light that comes around a corner: lamps and windows are no points.
_WRAP = 0.1


class Surroundings(NamedTuple):
    """Light of a scene, as the kernels take it.

    Attributes:
        lamps: float64 (L, 8): position or direction, colour, whether it is the sun, whether it has the shadow map.
        above: float32 (3,), ambient light.
        below: float32 (3,).
        haze: Share per metre.
        haze_colour: float32 (3,).
        panorama: int32 (192, 512), packed RGB.
        turn: Its yaw.
        level: Factor of its brightness.
        shadow: float32 map.
        shadow_view: float64 (4, 4).
        texel: World size of a texel of the map.
        sun_shadow: Whether the map is of the sun.
        spread: Softness of shadows, texels.
    """

    lamps: NDArray[np.float64]
    above: NDArray[np.float32]
    below: NDArray[np.float32]
    haze: float
    haze_colour: NDArray[np.float32]
    panorama: NDArray[np.int32]
    turn: float
    level: float
    shadow: NDArray[np.float32]
    shadow_view: NDArray[np.float64]
    texel: float
    sun_shadow: bool
    spread: float


class Sight(NamedTuple):
    """A camera and what it sees, as the kernels take it.

    Attributes:
        eye: float64 (3,), world.
        rays: float64 (3, 3): world direction of sample (x, y) is `rays @ (x, y, 1)`, of depth 1.
        sample: Width of a pixel at 1 m.
        winner: int32 (2H + 1, 2W + 1), triangles.
        projected: float64 (V, 4).
        occlusion: float32 (H, W), share of the ambient light that arrives.
    """

    eye: NDArray[np.float64]
    rays: NDArray[np.float64]
    sample: float
    winner: NDArray[np.int32]
    projected: NDArray[np.float64]
    occlusion: NDArray[np.float32]


class Geometry(NamedTuple):
    """The mesh, as the kernels take it; see `assemble.World`. `texels` and `means` are the atlas'."""

    vertices: NDArray[np.float32]
    normals: NDArray[np.float32]
    uv: NDArray[np.float32]
    triangles: NDArray[np.int32]
    surface: NDArray[np.int32]
    looks: NDArray[np.float32]
    textures: NDArray[np.int32]
    texels: NDArray[np.int32]
    means: NDArray[np.float32]


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def weights_at(projected, corners, x, y, out):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    """Barycentric weights of a sample in a triangle into `out`; the depth is returned."""
    a, b, c = projected[corners[0]], projected[corners[1]], projected[corners[2]]
    ux, uy, uz = b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0]
    vx, vy, vz = c[1] * a[2] - c[2] * a[1], c[2] * a[0] - c[0] * a[2], c[0] * a[1] - c[1] * a[0]
    wx, wy, wz = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
    out[0], out[1], out[2] = ux * x + uy * y + uz, vx * x + vy * y + vz, wx * x + wy * y + wz
    total = out[0] + out[1] + out[2]
    determinant = a[0] * ux + a[1] * uy + a[2] * uz
    out[0], out[1], out[2] = out[0] / total, out[1] / total, out[2] / total
    return determinant / total


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def shade_samples(geometry, light, sight, samples, colour):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    """Colours of samples.

    Args:
        geometry: The mesh.
        light: The light.
        sight: The camera.
        samples: int32 (N, 2), row and column of each.
        colour: float32 (2H + 1, 2W + 1, 3), linear light, written at the samples.
    """
    weights, direction, point = np.empty(3), np.empty(3), np.empty(3)
    normal, albedo, result = np.empty(3), np.empty(3, np.float32), np.empty(3, np.float32)
    for i in range(len(samples)):
        y, x = samples[i, 0], samples[i, 1]
        for k in range(3):
            direction[k] = sight.rays[k, 0] * x + sight.rays[k, 1] * y + sight.rays[k, 2]
        length = np.sqrt(direction[0] ** 2 + direction[1] ** 2 + direction[2] ** 2)
        t = sight.winner[y, x]
        if t < 0:
            for k in range(3):
                direction[k] /= length
            panorama(light.panorama, light.turn, direction, result)
            for k in range(3):
                colour[y, x, k] = result[k] * light.level
            continue
        corners = geometry.triangles[t]
        depth = weights_at(sight.projected, corners, x, y, weights)
        for k in range(3):
            point[k] = sight.eye[k] + depth * direction[k]
            direction[k] /= length
        density = _normal(geometry, corners, weights, direction, normal)
        look = geometry.looks[geometry.surface[t]]
        facing = -(normal[0] * direction[0] + normal[1] * direction[1] + normal[2] * direction[2])
        footprint = density * depth * sight.sample / np.sqrt(max(facing, 0.06))
        _albedo(geometry, t, weights, footprint, albedo)
        open_share = sight.occlusion[
            min(y // 2, sight.occlusion.shape[0] - 1), min(x // 2, sight.occlusion.shape[1] - 1)
        ]
        _light(light, point, normal, direction, (facing, open_share, look[GLOSS], look[GLOW]), albedo, result)
        clear = np.exp(-light.haze * depth * length)
        for k in range(3):
            colour[y, x, k] = result[k] * clear + light.haze_colour[k] * (1 - clear)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _normal(geometry, corners, weights, direction, normal):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Unit normal towards the eye into `normal`; returns units of uv per metre."""
    a, b, c = corners[0], corners[1], corners[2]
    v, n, uv = geometry.vertices, geometry.normals, geometry.uv
    ex, ey, ez = v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2]
    fx, fy, fz = v[c, 0] - v[a, 0], v[c, 1] - v[a, 1], v[c, 2] - v[a, 2]
    gx, gy, gz = ey * fz - ez * fy, ez * fx - ex * fz, ex * fy - ey * fx
    area = np.sqrt(gx * gx + gy * gy + gz * gz)
    flat = (uv[b, 0] - uv[a, 0]) * (uv[c, 1] - uv[a, 1]) - (uv[b, 1] - uv[a, 1]) * (uv[c, 0] - uv[a, 0])
    for k in range(3):
        normal[k] = weights[0] * n[a, k] + weights[1] * n[b, k] + weights[2] * n[c, k]
    # The flat normal tells which side is seen; that of a smooth surface may turn away a little at its outline.
    side = gx * normal[0] + gy * normal[1] + gz * normal[2]
    seen = gx * direction[0] + gy * direction[1] + gz * direction[2]
    scale = 1 / max(np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2), 1e-12)
    if side * seen > 0:
        scale = -scale
    for k in range(3):
        normal[k] *= scale
    return np.sqrt(abs(flat) / max(area, 1e-12))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _albedo(geometry, t, weights, footprint, albedo) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    """Colour of the surface into `albedo`; `footprint` is the width of a pixel in units of uv."""
    row = geometry.surface[t]
    look, texture = geometry.looks[row], geometry.textures[row]
    contrast = look[CONTRAST]
    mean = geometry.means[texture]
    albedo[0], albedo[1], albedo[2] = mean[0], mean[1], mean[2]
    if contrast > 0.01:
        a, b, c = geometry.triangles[t, 0], geometry.triangles[t, 1], geometry.triangles[t, 2]
        uv = geometry.uv
        scale = 1.0 / look[REPEAT] if look[REPEAT] > 0 else 1.0
        u = scale * (weights[0] * uv[a, 0] + weights[1] * uv[b, 0] + weights[2] * uv[c, 0])
        v = scale * (weights[0] * uv[a, 1] + weights[1] * uv[b, 1] + weights[2] * uv[c, 1])
        wide = footprint * scale * TILE_PX
        level = 0
        while wide > 1.5 and level < MIP_LEVELS - 1:
            wide *= 0.5
            level += 1
        _bilinear(geometry.texels[texture], level, u, v, contrast, albedo)
    for k in range(3):
        albedo[k] = min(albedo[k] * look[RED + k], np.float32(0.95))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _bilinear(texels, level, u, v, contrast, albedo) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    """Mix the texture at (u, v) in repeats into `albedo`, which holds its mean."""
    side = TILE_PX >> level
    start = _MIP_STARTS[level]
    x, y = (u - np.floor(u)) * side - 0.5, (v - np.floor(v)) * side - 0.5
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    fx, fy = np.float32(x - x0), np.float32(y - y0)
    mask = side - 1
    left, right, top, low = x0 & mask, (x0 + 1) & mask, start + (y0 & mask) * side, start + ((y0 + 1) & mask) * side
    p, q, r, s = texels[top + left], texels[top + right], texels[low + left], texels[low + right]
    for k in range(3):
        bits = 16 - 8 * k
        one = GAMMA_TABLE[p >> bits & 255] * (1 - fx) + GAMMA_TABLE[q >> bits & 255] * fx
        two = GAMMA_TABLE[r >> bits & 255] * (1 - fx) + GAMMA_TABLE[s >> bits & 255] * fx
        albedo[k] += contrast * (one * (1 - fy) + two * fy - albedo[k])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def panorama(image, turn, direction, out) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    """Linear light of a panorama in a unit direction into `out`, bilinear."""
    height, width = BACKDROP_SIZE
    x = (np.arctan2(direction[0], direction[1]) + turn) / (2 * np.pi)
    x = (x - np.floor(x)) * width - 0.5
    y = (0.5 - np.arcsin(min(1.0, max(-1.0, direction[2]))) / np.pi) * height - 0.5
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    fx, fy = x - x0, y - y0
    top, low = max(0, y0), min(height - 1, y0 + 1)
    left, right = x0 % width, (x0 + 1) % width
    for k in range(3):
        bits = 16 - 8 * k
        one = GAMMA_TABLE[image[top, left] >> bits & 255] * (1 - fx) + GAMMA_TABLE[image[top, right] >> bits & 255] * fx
        two = GAMMA_TABLE[image[low, left] >> bits & 255] * (1 - fx) + GAMMA_TABLE[image[low, right] >> bits & 255] * fx
        out[k] = one * (1 - fy) + two * fy


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _light(light, point, normal, direction, factors, albedo, result) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    """Light that a point sends to the eye into `result`."""
    facing, open_share, gloss, glow = factors
    up = 0.5 + 0.5 * normal[2]
    for k in range(3):
        ambient = light.below[k] + (light.above[k] - light.below[k]) * up
        result[k] = albedo[k] * (ambient * open_share + glow)
    power, strength = 12.0 + 90.0 * gloss, 0.9 * gloss
    for i in range(len(light.lamps)):
        lamp = light.lamps[i]
        lx, ly, lz, reach = lamp[0], lamp[1], lamp[2], 1.0
        if lamp[6] == 0:
            lx, ly, lz = lx - point[0], ly - point[1], lz - point[2]
            square = lx * lx + ly * ly + lz * lz
            reach = 1 / max(square, _SOFT_M * _SOFT_M)
            far = 1 / np.sqrt(max(square, 1e-12))
            lx, ly, lz = lx * far, ly * far, lz * far
        cosine = (normal[0] * lx + normal[1] * ly + normal[2] * lz + _WRAP) / (1 + _WRAP)
        if cosine <= 0:
            continue
        share = reach * (0.5 + 0.5 * open_share)
        if lamp[7] > 0:
            share *= lit_share(
                light.shadow, light.shadow_view, light.texel, light.sun_shadow, point, normal, light.spread
            )
        hx, hy, hz = lx - direction[0], ly - direction[1], lz - direction[2]
        tall = (normal[0] * hx + normal[1] * hy + normal[2] * hz) / np.sqrt(max(hx * hx + hy * hy + hz * hz, 1e-12))
        highlight = strength * max(tall, 0.0) ** power if gloss > 0.02 else 0.0
        for k in range(3):
            result[k] += (albedo[k] * cosine + highlight) * share * lamp[3 + k]
    if gloss > 0.1:
        _mirror(light, normal, direction, facing, gloss * open_share, result)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mirror(light, normal, direction, facing, gloss, result) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    """Add what shines back of the surroundings."""
    sent, sky = np.empty(3), np.empty(3, np.float32)
    for k in range(3):
        sent[k] = direction[k] + 2 * facing * normal[k]
    panorama(light.panorama, light.turn, sent, sky)
    share = gloss * (0.08 + 0.25 * gloss + 0.67 * (1 - min(1.0, max(facing, 0.0))) ** 5)
    up = 0.5 + 0.5 * sent[2]
    for k in range(3):
        ambient = light.below[k] + (light.above[k] - light.below[k]) * up
        result[k] = result[k] * (1 - share) + share * ambient * (0.3 + 1.4 * sky[k])
