"""What the light of a scene reaches: a picture taken from the light, in which nearest means lit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.drawing.assemble import World
from pixio_edge.scenes.drawing.jit import Array, Point, quick_part
from pixio_edge.scenes.drawing.rasterise import project
from pixio_edge.scenes.scene import Camera, Lamp, Scene

SUN_SIDE, LAMP_SIDE = 896, 512
# Most of the half side of what the map of the sun covers, metres.
_SUN_REACH_M = 45.0
# Tangent of half the opening of the map of a lamp; what lies outside counts as lit.
_LAMP_OPENING = 1.9
# Shades and sockets nearer than this to a lamp cast no shadow, metres.
_LAMP_NEAR_M = 0.3
# Things of fewer texels cast no shadow.
_SMALLEST = 3.0
# Values of the map of the sun are heights above this far below, so that they are positive.
_BELOW_M = 10_000.0


@dataclass(frozen=True, slots=True)
class ShadowMap:
    """View from a light.

    Attributes:
        lamp: Which lamp of the scene it is of; -1: none casts shadows.
        nearest: float32 (side, side): height towards the sun, or inverse depth from a lamp.
        view: float64 (4, 4), see `rasterise.project`.
        texel: World size of a texel, metres, of a lamp at 1 m.
        is_sun: Whether the light is parallel.
    """

    lamp: int
    nearest: NDArray[np.float32]
    view: NDArray[np.float64]
    texel: float
    is_sun: bool


def shadow_map(scene: Scene, world: World) -> ShadowMap:
    """The map of the lamp of a scene that casts shadows, if there is one."""
    for index, lamp in enumerate(scene.lamps):
        if not lamp.shadows:
            continue
        view, texel = _sun_view(scene, lamp, world) if lamp.is_sun else _lamp_view(lamp, world)
        side = SUN_SIDE if lamp.is_sun else LAMP_SIDE
        nearest, _, _ = project(world, view, (side, side), _LAMP_NEAR_M, smallest=_SMALLEST)
        return ShadowMap(index, nearest, view, texel, lamp.is_sun)
    return ShadowMap(-1, np.zeros((1, 1), np.float32), np.eye(4), 1.0, is_sun=True)


def _sun_view(scene: Scene, lamp: Lamp, world: World) -> tuple[NDArray[np.float64], float]:
    """Parallel view of what lies before the cameras."""
    direction = np.array(lamp.position) / math.hypot(*lamp.position)
    across, up = _axes(direction)
    ahead = np.array([_ahead(camera, 0.35 * _SUN_REACH_M) for camera in scene.cameras])
    centre = (ahead.min(axis=0) + ahead.max(axis=0)) / 2
    spread = float(np.ptp(ahead, axis=0).max()) / 2
    reach = min(_SUN_REACH_M + spread, float((np.linalg.norm(world.spheres[:, :3] - centre, axis=1)).max()) + 5.0)
    half = (SUN_SIDE - 1) / 2
    scale = half / reach
    view = np.zeros((4, 4))
    for row, axis in ((0, across), (1, up)):
        view[row, :3] = scale * axis
        view[row, 3] = half - scale * float(axis @ centre)
    view[2, 3] = 1.0
    view[3, :3], view[3, 3] = direction, _BELOW_M
    return view, 1 / scale


def _lamp_view(lamp: Lamp, world: World) -> tuple[NDArray[np.float64], float]:
    """Perspective view towards the middle of the things around."""
    position = np.array(lamp.position)
    things = world.spheres[world.spheres[:, 3] < np.median(world.spheres[:, 3]) * 4 + 0.1]
    forward = things[:, :3].mean(axis=0) - position
    length = float(np.linalg.norm(forward))
    forward = forward / length if length > _LAMP_NEAR_M else np.array((0.0, 0.0, -1.0))
    across, up = _axes(forward)
    half = (LAMP_SIDE - 1) / 2
    focal = half / _LAMP_OPENING
    rows = np.stack([focal * across + half * forward, focal * up + half * forward, forward])
    view = np.zeros((4, 4))
    view[:3, :3], view[:3, 3], view[3, 3] = rows, -rows @ position, 1.0
    return view, 1 / focal


def _ahead(camera: Camera, distance: float) -> tuple[float, float, float]:
    x, y, z = camera.position
    return (x - distance * math.sin(camera.yaw), y + distance * math.cos(camera.yaw), z)


def _axes(direction: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    helper = np.array((0.0, 0.0, 1.0)) if abs(direction[2]) < 0.9 else np.array((0.0, 1.0, 0.0))
    across = np.cross(helper, direction)
    across /= np.linalg.norm(across)
    return across, np.cross(direction, across)


@quick_part
def lit_share(nearest: Array, view: Array, light: tuple[float, bool, int], point: Point, normal: Point) -> float:
    """Share of the light that reaches a point: a smooth mean over 4 x 4 samples of the map.

    Args:
        nearest: The map.
        view: Its view.
        light: World size of a texel (of a lamp at 1 m); whether it is the sun; texels between samples: softness.
        point: World point.
        normal: Unit normal towards the eye.
    """
    texel, is_sun, stride = light
    x, y, z = point
    w = view[2, 0] * x + view[2, 1] * y + view[2, 2] * z + view[2, 3]
    if w < _LAMP_NEAR_M:
        return 1.0
    # Leave the surface by its normal, by what the samples cover: else a surface shadows itself.
    away = texel * w * (0.8 + stride)
    x, y, z = x + away * normal[0], y + away * normal[1], z + away * normal[2]
    w = view[2, 0] * x + view[2, 1] * y + view[2, 2] * z + view[2, 3]
    px = (view[0, 0] * x + view[0, 1] * y + view[0, 2] * z + view[0, 3]) / (w * stride)
    py = (view[1, 0] * x + view[1, 1] * y + view[1, 2] * z + view[1, 3]) / (w * stride)
    last = nearest.shape[0] // stride - 3
    if not (1 < px < last and 1 < py < last):
        return 1.0
    if is_sun:
        threshold = view[3, 0] * x + view[3, 1] * y + view[3, 2] * z + view[3, 3] + 0.5 * texel
    else:
        threshold = (1.0 + 0.3 * texel) / w
    x0, y0 = int(px), int(py)
    fx, fy = px - x0, py - y0
    lit = 0.0
    for j in range(4):
        row = (y0 - 1 + j) * stride
        across = 0.0
        for i in range(4):
            if nearest[row, (x0 - 1 + i) * stride] <= threshold:
                across += 1 - fx if i == 0 else fx if i == 3 else 1.0
        lit += across * (1 - fy if j == 0 else fy if j == 3 else 1.0)
    return lit / 9
