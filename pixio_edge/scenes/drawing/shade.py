"""Colour of visible points: textures, lamps with shadow, ambient light with occlusion, gloss, haze, panorama.

The kernels pass scalars and tuples: views of arrays would cost more than the arithmetic.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.drawing.assemble import CONTRAST, GLOSS, GLOW, RED, REPEAT
from pixio_edge.scenes.drawing.jit import Array, Corners, Point, exact_part, quick, quick_part
from pixio_edge.scenes.drawing.panorama import mirrored, panorama
from pixio_edge.scenes.drawing.shadow_map import lit_share
from pixio_edge.scenes.drawing.texels import last_level_share, texture_colour

# Lamps are no brighter than at this distance, metres.
_SOFT_M = 0.5
# Light that comes around a corner: lamps and windows are no points.
_WRAP = 0.1
# Below this, surfaces have no highlights or reflections worth their time.
_DULL = 0.02
_NO_MIRROR = 0.12
# How much of its own look a window pane shows.
_PANE = 0.2
# Most light of a sample.
_MOST = 4.0
# Cosine to the eye below which the footprint of a pixel grows no more.
_GRAZING = 0.01


class Surroundings(NamedTuple):
    """Light of a scene, as the kernels take it.

    Attributes:
        lamps: float64 (L, 8): position or direction, colour, whether it is the sun, whether it has the shadow map.
        ambient: float64 (3, 3): from above, from below, and the direction it rather comes from, times how much so.
        haze: float64 (4,), share per metre and colour.
        panorama: int32 (192, 512), packed RGB.
        sky: Yaw of the panorama, factor of its brightness.
        mirror: float32 (M, M, 3), what shiny things reflect, see `panorama.mirror_map`.
        shadow: float32 map.
        shadow_view: float64 (4, 4).
        shadow_light: World size of a texel of the map, whether it is of the sun, softness.
    """

    lamps: NDArray[np.float64]
    ambient: NDArray[np.float64]
    haze: NDArray[np.float64]
    panorama: NDArray[np.int32]
    sky: tuple[float, float]
    mirror: NDArray[np.float32]
    shadow: NDArray[np.float32]
    shadow_view: NDArray[np.float64]
    shadow_light: tuple[float, bool, int]


class Sight(NamedTuple):
    """A camera and what it sees, as the kernels take it.

    Attributes:
        eye: float64 (3,), world.
        rays: float64 (3, 3): world direction of sample (x, y) is `rays @ (x, y, 1)`, of depth 1.
        sample: Width of a pixel at 1 m.
        winner: int32 (2H + 1, 2W + 1), triangles.
        projected: float64 (V, 6), see `rasterise.project`.
        occlusion: float32 (H, W), share of the ambient light that arrives.
    """

    eye: NDArray[np.float64]
    rays: NDArray[np.float64]
    sample: float
    winner: NDArray[np.int32]
    projected: NDArray[np.float64]
    occlusion: NDArray[np.float32]


class Geometry(NamedTuple):
    """The mesh, as the kernels take it, see `assemble.World`; texels and mean colours of the atlas."""

    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    surface: NDArray[np.int32]
    looks: NDArray[np.float32]
    textures: NDArray[np.int32]
    texels: NDArray[np.int32]
    means: NDArray[np.float32]


@exact_part
def depth_and_weights(projected: Array, corners: Corners, x: float, y: float) -> tuple[float, float, float, float]:
    """Depth of a sample in a triangle, and its three barycentric weights there."""
    i, j, k = corners
    ax, ay, aw = projected[i, 0], projected[i, 1], projected[i, 2]
    bx, by, bw = projected[j, 0], projected[j, 1], projected[j, 2]
    cx, cy, cw = projected[k, 0], projected[k, 1], projected[k, 2]
    u = (by * cw - bw * cy) * x + (bw * cx - bx * cw) * y + (bx * cy - by * cx)
    v = (cy * aw - cw * ay) * x + (cw * ax - cx * aw) * y + (cx * ay - cy * ax)
    w = (ay * bw - aw * by) * x + (aw * bx - ax * bw) * y + (ax * by - ay * bx)
    # Of a sample inside, all three have the sign of their sum; rounding must not take it out of the triangle.
    if u + v + w < 0:
        u, v, w = -u, -v, -w
    u, v, w = max(u, 0.0), max(v, 0.0), max(w, 0.0)
    total = u + v + w
    if total == 0:
        u, total = 1.0, 1.0
    u, v, w = u / total, v / total, w / total
    return u * aw + v * bw + w * cw, u, v, w


@quick
def shade_samples(geometry: Geometry, light: Surroundings, sight: Sight, samples: Array, colour: Array) -> None:
    """Colours of samples.

    Args:
        geometry: The mesh.
        light: The light.
        sight: The camera.
        samples: int32 (N, 2), row and column of each.
        colour: float32 (2H + 1, 2W + 1, 3), linear light, written at the samples.
    """
    rays = sight.rays
    for i in range(len(samples)):
        y, x = samples[i, 0], samples[i, 1]
        dx = rays[0, 0] * x + rays[0, 1] * y + rays[0, 2]
        dy = rays[1, 0] * x + rays[1, 1] * y + rays[1, 2]
        dz = rays[2, 0] * x + rays[2, 1] * y + rays[2, 2]
        length = np.sqrt(dx * dx + dy * dy + dz * dz)
        toward = (dx / length, dy / length, dz / length)
        t = sight.winner[y, x]
        if t < 0:
            red, green, blue = panorama(light.panorama, light.sky, toward)
        else:
            red, green, blue = _seen(geometry, light, sight, (y, x, t), (toward, length))
        # Cut as a sensor does: else one sample outshines its pixel.
        colour[y, x, 0], colour[y, x, 1], colour[y, x, 2] = min(red, _MOST), min(green, _MOST), min(blue, _MOST)


@quick_part
def _seen(geometry: Geometry, light: Surroundings, sight: Sight, sample: Corners, ray: tuple[Point, float]) -> Point:
    """Light from a triangle: sample is row, column and triangle, the ray a unit direction and its length at depth 1."""
    y, x, t = sample
    toward, length = ray
    eye, looks = sight.eye, geometry.looks
    corners = (geometry.triangles[t, 0], geometry.triangles[t, 1], geometry.triangles[t, 2])
    depth, a, b, c = depth_and_weights(sight.projected, corners, x, y)
    far = depth * length
    point = (eye[0] + far * toward[0], eye[1] + far * toward[1], eye[2] + far * toward[2])
    normal, flat, density = _normal(geometry.vertices, corners, (a, b, c), toward)
    facing = -(normal[0] * toward[0] + normal[1] * toward[1] + normal[2] * toward[2])
    footprint = density * depth * sight.sample / np.sqrt(max(facing, _GRAZING))
    row = geometry.surface[t]
    albedo = _albedo(geometry, row, corners, (a, b, c, footprint))
    rows, columns = sight.occlusion.shape
    open_share = sight.occlusion[min(y // 2, rows - 1), min(x // 2, columns - 1)]
    glow = looks[row, GLOW]
    factors = (facing, open_share, looks[row, GLOSS], max(glow, 0.0))
    red, green, blue = _light(light, (point, normal, flat, toward), factors, albedo)
    if glow < 0:
        # A window pane: what is outside, behind a faint reflection.
        r, g, b = panorama(light.panorama, light.sky, toward)
        red, green, blue = _PANE * red - glow * r, _PANE * green - glow * g, _PANE * blue - glow * b
    haze = light.haze
    if haze[0] > 0:
        clear = np.exp(-haze[0] * far)
        red, green = haze[1] + (red - haze[1]) * clear, haze[2] + (green - haze[2]) * clear
        blue = haze[3] + (blue - haze[3]) * clear
    return red, green, blue


@quick_part
def _normal(vertices: Array, corners: Corners, weights: Point, toward: Point) -> tuple[Point, Point, float]:
    """Unit normals towards the eye, smooth and flat, and units of uv per metre."""
    v, (a, b, c) = vertices, corners
    ex, ey, ez = v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2]
    fx, fy, fz = v[c, 0] - v[a, 0], v[c, 1] - v[a, 1], v[c, 2] - v[a, 2]
    gx, gy, gz = ey * fz - ez * fy, ez * fx - ex * fz, ex * fy - ey * fx
    area = np.sqrt(gx * gx + gy * gy + gz * gz)
    uv = (v[b, 6] - v[a, 6]) * (v[c, 7] - v[a, 7]) - (v[b, 7] - v[a, 7]) * (v[c, 6] - v[a, 6])
    p, q, r = weights
    x = p * v[a, 3] + q * v[b, 3] + r * v[c, 3]
    y = p * v[a, 4] + q * v[b, 4] + r * v[c, 4]
    z = p * v[a, 5] + q * v[b, 5] + r * v[c, 5]
    scale = 1 / np.sqrt(max(x * x + y * y + z * z, 1e-24))
    # The flat normal tells which side is seen; that of a smooth surface may turn away a little at its outline.
    away = gx * toward[0] + gy * toward[1] + gz * toward[2]
    if (gx * x + gy * y + gz * z) * away > 0:
        scale = -scale
    size = (-1 if away > 0 else 1) / max(area, 1e-12)
    density = np.sqrt(abs(uv) * abs(size))
    return (x * scale, y * scale, z * scale), (gx * size, gy * size, gz * size), density


@quick_part
def _albedo(geometry: Geometry, row: int, corners: Corners, weights: tuple[float, float, float, float]) -> Point:
    """Colour of a surface; the last of the weights is the width of a pixel in units of uv."""
    looks, texture = geometry.looks, geometry.textures[row]
    red, green, blue = geometry.means[texture, 0], geometry.means[texture, 1], geometry.means[texture, 2]
    contrast = looks[row, CONTRAST]
    if contrast > 0.01:
        i, j, k = corners
        a, b, c, footprint = weights
        v = geometry.vertices
        scale = 1.0 / looks[row, REPEAT] if looks[row, REPEAT] > 0 else 1.0
        at = (
            scale * (a * v[i, 6] + b * v[j, 6] + c * v[k, 6]),
            scale * (a * v[i, 7] + b * v[j, 7] + c * v[k, 7]),
            footprint * scale,
        )
        r, g, b = texture_colour(geometry.texels, texture, at)
        contrast *= last_level_share(at[2])
        red, green, blue = red + contrast * (r - red), green + contrast * (g - green), blue + contrast * (b - blue)
    return (
        min(red * looks[row, RED], 0.95),
        min(green * looks[row, RED + 1], 0.95),
        min(blue * looks[row, RED + 2], 0.95),
    )


@quick_part
def _light(
    light: Surroundings,
    frame: tuple[Point, Point, Point, Point],
    factors: tuple[float, float, float, float],
    albedo: Point,
) -> Point:
    """Light that a point sends to the eye."""
    point, normal, flat, toward = frame
    facing, open_share, gloss, glow = factors
    ambient, lamps = light.ambient, light.lamps
    up = 0.5 + 0.5 * normal[2]
    share = open_share * (1 + normal[0] * ambient[2, 0] + normal[1] * ambient[2, 1] + normal[2] * ambient[2, 2])
    red = (ambient[1, 0] + (ambient[0, 0] - ambient[1, 0]) * up) * share + glow
    green = (ambient[1, 1] + (ambient[0, 1] - ambient[1, 1]) * up) * share + glow
    blue = (ambient[1, 2] + (ambient[0, 2] - ambient[1, 2]) * up) * share + glow
    shine_red, shine_green, shine_blue = 0.0, 0.0, 0.0
    for i in range(len(lamps)):
        (lx, ly, lz), share = _toward_lamp(lamps, i, point)
        cosine = (normal[0] * lx + normal[1] * ly + normal[2] * lz + _WRAP) / (1 + _WRAP)
        if cosine <= 0 or share <= 0:
            continue
        share *= 0.4 + 0.6 * open_share
        if lamps[i, 7] > 0:
            share *= lit_share(light.shadow, light.shadow_view, light.shadow_light, point, (normal, flat))
        red += share * cosine * lamps[i, 3]
        green += share * cosine * lamps[i, 4]
        blue += share * cosine * lamps[i, 5]
        if gloss > _DULL:
            shine = share * _highlight(normal, (lx - toward[0], ly - toward[1], lz - toward[2]), gloss)
            shine_red += shine * lamps[i, 3]
            shine_green += shine * lamps[i, 4]
            shine_blue += shine * lamps[i, 5]
    red, green, blue = red * albedo[0] + shine_red, green * albedo[1] + shine_green, blue * albedo[2] + shine_blue
    if gloss > _NO_MIRROR:
        share = gloss * open_share * (0.08 + 0.25 * gloss + 0.67 * (1 - min(1.0, max(facing, 0.0))) ** 5)
        twice = 2 * facing
        sent = (toward[0] + twice * normal[0], toward[1] + twice * normal[1], toward[2] + twice * normal[2])
        r, g, b = mirrored(light.mirror, sent)
        red, green, blue = red + share * (r - red), green + share * (g - green), blue + share * (b - blue)
    return red, green, blue


@quick_part
def _toward_lamp(lamps: Array, i: int, point: Point) -> tuple[Point, float]:
    """Unit direction to a lamp, and how much of its colour arrives."""
    x, y, z = lamps[i, 0], lamps[i, 1], lamps[i, 2]
    if lamps[i, 6] > 0:
        return (x, y, z), 1.0
    x, y, z = x - point[0], y - point[1], z - point[2]
    square = max(x * x + y * y + z * z, 1e-9)
    inverse = 1 / np.sqrt(square)
    return (x * inverse, y * inverse, z * inverse), 1 / max(square, _SOFT_M * _SOFT_M)


@quick_part
def _highlight(normal: Point, halfway: Point, gloss: float) -> float:
    """Strength of a highlight: a cosine to the power of 16 to 128, by squaring."""
    x, y, z = halfway
    tall = (normal[0] * x + normal[1] * y + normal[2] * z) / np.sqrt(max(x * x + y * y + z * z, 1e-12))
    tall = max(tall, 0.0)
    for _ in range(4 + int(gloss * 3.5)):
        tall *= tall
    return float(0.9 * gloss * tall)
