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
# Least and largest tangent of half the opening of the map of a lamp; what lies outside counts as lit.
_LAMP_OPENINGS = (0.5, 1.9)
# Shades and sockets nearer than this to a lamp cast no shadow, metres.
_LAMP_NEAR_M = 0.3
# Things of fewer texels of the map of the sun, or of a lamp, cast no shadow.
_SMALLEST_SUN, _SMALLEST_LAMP = 3.0, 1.5
# Texels by which a point leaves its surface, and by which it may be nearer to the light.
_LIFT, _BIAS = 0.5, 0.4
# Least cosine to the light that surfaces are taken to have: steeper ones are hardly lit.
_STEEPEST = 0.1
# Share of the map's side over which it fades to light at its border.
_FADE = 0.04
# Things that cameras see within this distance are what the map of a lamp is for, metres.
_NOTICED_M = 8.0
# What is larger across than twice this is a wall, metres.
_LARGE_M = 1.6
# Margin around them, as a factor of the tangent.
_MARGIN = 1.15
# Values of the map of the sun are heights above this far below, so that they are positive.
_BELOW_M = 2_000.0


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
        view, texel = _sun_view(scene, lamp, world) if lamp.is_sun else _lamp_view(scene, lamp, world)
        side, smallest = (SUN_SIDE, _SMALLEST_SUN) if lamp.is_sun else (LAMP_SIDE, _SMALLEST_LAMP)
        nearest, _, _ = project(world, view, (side, side), _LAMP_NEAR_M, smallest=smallest)
        return ShadowMap(index, nearest, view, texel, lamp.is_sun)
    return ShadowMap(-1, np.zeros((1, 1), np.float32), np.eye(4), 1.0, is_sun=True)


def _sun_view(scene: Scene, lamp: Lamp, world: World) -> tuple[NDArray[np.float64], float]:
    """Parallel view of what lies before the cameras."""
    direction = np.array(lamp.position) / math.hypot(*lamp.position)
    across, up = _axes(direction)
    ahead = np.array([_ahead(camera, 0.35 * _SUN_REACH_M) for camera in scene.cameras])
    centre = (ahead.min(axis=0) + ahead.max(axis=0)) / 2
    spread = float(np.ptp(ahead, axis=0).max()) / 2
    ends = np.linalg.norm(world.spheres[:, :3] - centre, axis=1) + world.spheres[:, 3]
    reach = min(_SUN_REACH_M + spread, float(ends.max(initial=1.0)))
    half = (SUN_SIDE - 1) / 2
    scale = half / reach
    view = np.zeros((4, 4))
    for row, axis in ((0, across), (1, up)):
        view[row, :3] = scale * axis
        view[row, 3] = half - scale * float(axis @ centre)
    view[2, 3] = 1.0
    view[3, :3], view[3, 3] = direction, _BELOW_M
    return view, 1 / scale


def _lamp_view(scene: Scene, lamp: Lamp, world: World) -> tuple[NDArray[np.float64], float]:
    """Perspective view of the things that the cameras see."""
    position = np.array(lamp.position)
    rays = _things(scene, world) - position
    rays = rays[np.linalg.norm(rays, axis=1) > _LAMP_NEAR_M]
    forward = np.array((0.0, 0.0, -1.0))
    if len(rays):
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        mean = rays.mean(axis=0)
        length = float(np.linalg.norm(mean))
        forward = mean / length if length > _STEEPEST else forward
    across, up = _axes(forward)
    half = (LAMP_SIDE - 1) / 2
    opening = _LAMP_OPENINGS[1]
    if len(rays):
        ahead = np.maximum(rays @ forward, 1e-3)
        sides = np.maximum(np.abs(rays @ across), np.abs(rays @ up)) / ahead
        opening = min(max(_MARGIN * float(np.quantile(sides, 0.95)), _LAMP_OPENINGS[0]), opening)
    focal = half / opening
    rows = np.stack([focal * across + half * forward, focal * up + half * forward, forward])
    view = np.zeros((4, 4))
    view[:3, :3], view[:3, 3], view[3, 3] = rows, -rows @ position, 1.0
    return view, 1 / focal


def _things(scene: Scene, world: World) -> NDArray[np.float64]:
    """Centres of the things, not the walls, that cameras see near them: float64 (N, 3)."""
    spheres = world.spheres[world.spheres[:, 3] < _LARGE_M]
    seen = np.zeros(len(spheres), np.bool_)
    for camera in scene.cameras:
        offsets = spheres[:, :3] - np.array(camera.position)
        ahead = offsets @ np.array(_direction(camera))
        across = np.sqrt(np.maximum((offsets**2).sum(axis=1) - ahead**2, 0.0))
        seen |= (ahead > 0) & (ahead < _NOTICED_M) & (across < ahead * math.tan(camera.fov / 2) + spheres[:, 3])
    centres: NDArray[np.float64] = spheres[seen, :3]
    return centres


def _direction(camera: Camera) -> tuple[float, float, float]:
    level = math.cos(camera.pitch)
    return (-math.sin(camera.yaw) * level, math.cos(camera.yaw) * level, -math.sin(camera.pitch))


def _ahead(camera: Camera, distance: float) -> tuple[float, float, float]:
    x, y, z = camera.position
    return (x - distance * math.sin(camera.yaw), y + distance * math.cos(camera.yaw), z)


def _axes(direction: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    helper = np.array((0.0, 0.0, 1.0)) if abs(direction[2]) < 0.9 else np.array((0.0, 1.0, 0.0))
    across = np.cross(helper, direction)
    across /= np.linalg.norm(across)
    return across, np.cross(direction, across)


@quick_part
def lit_share(
    nearest: Array, view: Array, light: tuple[float, bool, int], point: Point, normals: tuple[Point, Point]
) -> float:
    """Share of the light that reaches a point: a smooth mean over 4 x 4 samples of the map.

    Args:
        nearest: The map.
        view: Its view.
        light: World size of a texel (of a lamp at 1 m); whether it is the sun; texels between samples: softness.
        point: World point.
        normals: Unit normals towards the eye, smooth and flat.
    """
    texel, is_sun, stride = light
    smooth, flat = normals
    w = view[2, 0] * point[0] + view[2, 1] * point[1] + view[2, 2] * point[2] + view[2, 3]
    if w < _LAMP_NEAR_M:
        return 1.0
    away = _LIFT * texel * w
    x, y, z = point[0] + away * smooth[0], point[1] + away * smooth[1], point[2] + away * smooth[2]
    w = view[2, 0] * x + view[2, 1] * y + view[2, 2] * z + view[2, 3]
    px = (view[0, 0] * x + view[0, 1] * y + view[0, 2] * z + view[0, 3]) / w
    py = (view[1, 0] * x + view[1, 1] * y + view[1, 2] * z + view[1, 3]) / w
    side = nearest.shape[0]
    end = ((side - 1) // stride - 1) * stride
    if not (stride < px < end and stride < py < end):
        return 1.0
    value = view[3, 0] * x + view[3, 1] * y + view[3, 2] * z + view[3, 3]
    along, down = _slopes(view, (texel, is_sun, 0.5 * (side - 1)), (x, y, z), flat)
    if is_sun:
        threshold = value + _BIAS * texel
    else:
        threshold, along, down = (1.0 + _BIAS * texel) / w, along / w, down / w
    lit = _mean_lit(nearest, stride, (px, py), (threshold, along, down))
    # At its border the map fades to light: nothing is known of what is beyond.
    margin = min(px, py, side - 1 - px, side - 1 - py) / (_FADE * side)
    return float(lit + (1 - lit) * max(0.0, 1 - margin))


@quick_part
def _mean_lit(nearest: Array, stride: int, at: tuple[float, float], plane: Point) -> float:
    """Share of 4 x 4 samples around a place of the map that hold nothing nearer than a plane there.

    Args:
        nearest: The map.
        stride: Texels between samples.
        at: Column and row.
        plane: Its value at the place, and how that changes by a texel to the right and down: a surface must not shadow
            itself.
    """
    px, py = at
    threshold, along, down = plane
    x0, y0 = int(px / stride), int(py / stride)
    fx, fy = px / stride - x0, py / stride - y0
    lit = 0.0
    for j in range(4):
        row = (y0 - 1 + j) * stride
        level = threshold + down * (row - py)
        across = 0.0
        for i in range(4):
            column = (x0 - 1 + i) * stride
            if nearest[row, column] <= level + along * (column - px):
                across += 1 - fx if i == 0 else fx if i == 3 else 1.0
        lit += across * (1 - fy if j == 0 else fy if j == 3 else 1.0)
    return lit / 9


@quick_part
def _slopes(view: Array, light: tuple[float, bool, float], point: Point, normal: Point) -> tuple[float, float]:
    """How the value of the map changes by a texel to the right and down on a plane; of a lamp, as a share of it."""
    texel, is_sun, half = light
    nx, ny, nz = normal
    x = nx * view[0, 0] + ny * view[0, 1] + nz * view[0, 2]
    y = nx * view[1, 0] + ny * view[1, 1] + nz * view[1, 2]
    if is_sun:
        facing = nx * view[3, 0] + ny * view[3, 1] + nz * view[3, 2]
        scale = -texel * texel / max(facing, _STEEPEST)
    else:
        # Rows of the view hold the direction ahead besides those to the right and down.
        ahead = nx * view[2, 0] + ny * view[2, 1] + nz * view[2, 2]
        x, y = (x - half * ahead) * texel, (y - half * ahead) * texel
        w = view[2, 0] * point[0] + view[2, 1] * point[1] + view[2, 2] * point[2] + view[2, 3]
        px = view[0, 0] * point[0] + view[0, 1] * point[1] + view[0, 2] * point[2] + view[0, 3]
        py = view[1, 0] * point[0] + view[1, 1] * point[1] + view[1, 2] * point[2] + view[1, 3]
        # Minus the cosine to the lamp, times the length of its ray at depth 1.
        facing = ahead + x * texel * (px / w - half) + y * texel * (py / w - half)
        scale = -texel / max(-facing, _STEEPEST)
    return x * scale, y * scale
