"""Cameras for indoor scenes: where people, robots and arms look from, clear of what stands around."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pixio_edge.scenes.indoors.crowd import crowd_of
from pixio_edge.scenes.indoors.rooms import Room
from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.scene import VIEWS, Camera, Scene, Vector

_TRIES = 40
# Sensible views of which the fullest is taken, give or take.
_CANDIDATES = 7
# Rays of a camera that are looked along, as shares of its field of view to the right and up.
_RAYS = np.array([(x, y) for x in (-0.42, 0.0, 0.42) for y in (-0.3, 0.0, 0.3)])
# How far along all of them it is to see nothing, metres, and last how far along most of them.
_FREE_SIGHT = np.array([0.22, 0.4, 0.7])
_MOST_BLOCKED = 3


@dataclass(frozen=True, slots=True)
class Stance:
    """How a camera is held.

    Attributes:
        height: Range above the floor, metres.
        distance: Range to what it looks at, in the plane.
        fov: Range of the horizontal field of view, radians.
        roll: Standard deviation, radians.
        wander: Standard deviation of yaw and pitch around the target, radians.
    """

    height: tuple[float, float]
    distance: tuple[float, float]
    fov: tuple[float, float] = (0.8, 1.35)
    roll: float = 0.05
    wander: float = 0.18


HAND = Stance((1.15, 1.75), (0.9, 6.0))
NEAR = Stance((0.9, 1.7), (0.6, 1.6), (0.8, 1.2), 0.12, 0.22)
LOW = Stance((0.25, 0.9), (0.7, 4.0), (0.9, 1.45))
SCAN = Stance((0.6, 1.7), (0.5, 1.8), (0.8, 1.2), 0.22, 0.24)
TELE = Stance((1.0, 1.7), (1.8, 6.0), (0.55, 0.8), 0.03, 0.1)
HIGH = Stance((1.8, 2.6), (1.2, 5.0), (0.9, 1.5), 0.04)
# One after another for the views of a room, with their weights.
STANCES = ((0.42, HAND), (0.15, NEAR), (0.12, SCAN), (0.13, LOW), (0.1, TELE), (0.08, HIGH))


def draw_stance(kit: Kit) -> Stance:
    """One of the ways to hold a camera in a room."""
    left = kit.uniform(0.0, 1.0)
    for share, stance in STANCES:
        left -= share
        if left < 0:
            return stance
    return HAND


def look_at(kit: Kit, position: Vector, target: Vector, stance: Stance) -> Camera:
    """A camera that has the target somewhere near the middle of its image."""
    dx, dy, dz = (t - p for t, p in zip(target, position, strict=True))
    yaw = math.atan2(-dx, dy) + kit.normal(0.0, stance.wander)
    pitch = math.atan2(-dz, math.hypot(dx, dy)) + kit.normal(0.0, 0.7 * stance.wander)
    return Camera(
        position,
        yaw,
        min(max(pitch, -0.7), 1.4),
        kit.normal(0.0, stance.roll),
        kit.uniform(*stance.fov),
    )


def sees_freely(room: Room, camera: Camera) -> bool:
    """Whether nothing stands right before the camera, and most of its rays go on for a while."""
    outward = np.tan(camera.fov * _RAYS)
    c, s = math.cos(camera.yaw), math.sin(camera.yaw)
    cp, sp = math.cos(camera.pitch), math.sin(camera.pitch)
    ahead, right, up = np.array((-s * cp, c * cp, -sp)), np.array((c, s, 0.0)), np.array((-s * sp, c * sp, cp))
    rays = ahead + outward[:, :1] * right + outward[:, 1:] * up
    points = np.asarray(camera.position) + _FREE_SIGHT[:, None, None] * rays
    taken = room.taken(points.reshape(-1, 3)).reshape(len(_FREE_SIGHT), -1)
    return not taken[:-1].any() and int(taken[-1].sum()) <= _MOST_BLOCKED


def room_views(
    kit: Kit,
    scene: Scene,
    room: Room,
    *,
    stances: Sequence[Stance] | None = None,
    count: int = VIEWS,
    reach: float = 6.0,
) -> list[Camera]:
    """Cameras in different places of a room, most looking at something that stands there.

    Args:
        kit: Draws them.
        scene: What is seen; views with more things in them are preferred.
        room: The furnished room.
        stances: One of these each; None: as people and robots hold cameras.
        count: How many.
        reach: Things up to this distance count as seen, metres.
    """
    crowd = crowd_of(kit, scene)
    cameras: list[Camera] = []
    for _ in range(count):
        best: Camera | None = None
        best_score, found = 0.0, 0
        for attempt in range(_TRIES):
            camera = _draw(kit, room, draw_stance(kit) if stances is None else kit.pick(stances))
            if camera is None or not sees_freely(room, camera):
                continue
            if attempt < _TRIES // 2 and any(math.dist(camera.position, other.position) < 0.5 for other in cameras):
                continue
            score = crowd.seen(camera, reach=reach) * kit.uniform(0.4, 1.0)
            if score > best_score:
                best, best_score = camera, score
            found += 1
            if found == _CANDIDATES:
                break
        cameras.append(best or _from_corner(kit, room))
    return cameras


def _draw(kit: Kit, room: Room, stance: Stance) -> Camera | None:
    if room.things and kit.chance(0.85):
        thing = room.things[int(len(room.things) * kit.uniform(0.0, 1.0) ** 1.5)]
        x, y, z = thing.shift
        target = (x, y, z + thing.high[2] * kit.uniform(0.3, 1.0))
    else:
        wall = kit.pick(room.walls)
        x, y = wall.at(wall.length * kit.uniform(0.1, 0.9), 0.0)
        target = (x, y, kit.uniform(0.3, 1.7))
    turn, reach = kit.uniform(-math.pi, math.pi), kit.uniform(*stance.distance)
    position = (target[0] + reach * math.cos(turn), target[1] + reach * math.sin(turn), kit.uniform(*stance.height))
    return look_at(kit, position, target, stance) if room.clear(position, 0.15) else None


def _from_corner(kit: Kit, room: Room) -> Camera:
    """The last resort: from above head height, a little before a corner, down across the room."""
    for fraction in (0.9, 0.7, 0.5, 0.3, 0.1):
        for sign_x, sign_y in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            at = (
                (room.low[0] + room.high[0]) / 2 + sign_x * fraction * (room.high[0] - room.low[0]) / 2,
                (room.low[1] + room.high[1]) / 2 + sign_y * fraction * (room.high[1] - room.low[1]) / 2,
                room.height - 0.35,
            )
            if room.clear(at, 0.1):
                middle = ((room.low[0] + room.high[0]) / 2, (room.low[1] + room.high[1]) / 2, 0.7)
                return look_at(kit, at, middle, HIGH)
    return look_at(kit, (0.0, 0.0, room.height - 0.2), (0.0, 0.3 * room.high[1], 0.5), HIGH)
