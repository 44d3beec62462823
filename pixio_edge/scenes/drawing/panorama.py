"""What surrounds a scene: the panorama behind it, and a small map of what shiny things reflect."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.drawing.jit import Array, Point, quick, quick_part
from pixio_edge.scenes.drawing.texels import between
from pixio_edge.scenes.textures import BACKDROP_SIZE, GAMMA_TABLE

# Side of the map of reflections, a sphere unfolded to an octahedron and that to a square.
MIRROR_SIDE = 64


@quick_part
def panorama(image: Array, sky: tuple[float, float], toward: Point) -> Point:
    """Linear light of a panorama in a unit direction, bilinear.

    Args:
        image: int32 (192, 512), packed RGB.
        sky: Its yaw, and the factor of its brightness.
        toward: Unit direction.
    """
    height, width = BACKDROP_SIZE
    x = (np.arctan2(toward[0], toward[1]) + sky[0]) / (2 * np.pi)
    x = (x - np.floor(x)) * width - 0.5
    y = (0.5 - np.arcsin(min(1.0, max(-1.0, toward[2]))) / np.pi) * height - 0.5
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    top, low = max(0, y0), min(height - 1, y0 + 1)
    left, right = x0 % width, (x0 + 1) % width
    upper, lower = (image[top, left], image[top, right]), (image[low, left], image[low, right])
    red, green, blue = between(upper, lower, x - x0, y - y0)
    return red * sky[1], green * sky[1], blue * sky[1]


@quick_part
def mirrored(mirror: Array, sent: Point) -> Point:
    """Light from a unit direction in the map of reflections, bilinear."""
    x, y, z = sent
    size = 1 / max(abs(x) + abs(y) + abs(z), 1e-12)
    u, v = x * size, y * size
    if z < 0:
        u, v = (1 - abs(v)) * (1.0 if u >= 0 else -1.0), (1 - abs(u)) * (1.0 if v >= 0 else -1.0)
    last = MIRROR_SIDE - 1
    px, py = min(max((u + 1) * 0.5 * last, 0.0), last - 1e-3), min(max((v + 1) * 0.5 * last, 0.0), last - 1e-3)
    x0, y0 = int(px), int(py)
    fx, fy = px - x0, py - y0
    p, q, r, s = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
    m = mirror
    return (
        p * m[y0, x0, 0] + q * m[y0, x0 + 1, 0] + r * m[y0 + 1, x0, 0] + s * m[y0 + 1, x0 + 1, 0],
        p * m[y0, x0, 1] + q * m[y0, x0 + 1, 1] + r * m[y0 + 1, x0, 1] + s * m[y0 + 1, x0 + 1, 1],
        p * m[y0, x0, 2] + q * m[y0, x0 + 1, 2] + r * m[y0 + 1, x0, 2] + s * m[y0 + 1, x0 + 1, 2],
    )


@quick
def fill_mirror(image: Array, sky: tuple[float, float], ambient: Array, mirror: Array) -> None:
    """Write the map of reflections: the panorama in the light of the scene.

    Args:
        image: int32 (192, 512), packed RGB.
        sky: Yaw, brightness.
        ambient: float64 (2, 3), light from above and from below.
        mirror: float32 (MIRROR_SIDE, MIRROR_SIDE, 3).
    """
    last = MIRROR_SIDE - 1
    for i in range(MIRROR_SIDE):
        for j in range(MIRROR_SIDE):
            x, y = 2.0 * j / last - 1, 2.0 * i / last - 1
            z = 1 - abs(x) - abs(y)
            if z < 0:
                x, y = (1 - abs(y)) * (1.0 if x >= 0 else -1.0), (1 - abs(x)) * (1.0 if y >= 0 else -1.0)
            size = 1 / np.sqrt(x * x + y * y + z * z)
            light = panorama(image, (sky[0], 1.0), (x * size, y * size, z * size))
            up = 0.5 + 0.5 * z * size
            for k in range(3):
                mirror[i, j, k] = (ambient[1, k] + (ambient[0, k] - ambient[1, k]) * up) * (0.3 + 1.4 * light[k])


def mirror_map(image: NDArray[np.int32], yaw: float, ambient: NDArray[np.float64]) -> NDArray[np.float32]:
    """What shiny things of a scene reflect, float32 (MIRROR_SIDE, MIRROR_SIDE, 3); see `fill_mirror`."""
    mirror = np.empty((MIRROR_SIDE, MIRROR_SIDE, 3), np.float32)
    fill_mirror(image, (yaw, 1.0), ambient, mirror)
    return mirror


def sky_light(image: NDArray[np.int32]) -> NDArray[np.float64]:
    """Mean linear colour of a panorama from the horizon to half way up, (3,)."""
    height = BACKDROP_SIZE[0]
    band = image[height // 4 : height // 2 : 2, ::4]
    return np.array([GAMMA_TABLE[band >> bits & 255].mean() for bits in (16, 8, 0)])
