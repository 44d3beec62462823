"""Close things of all sizes in layers before a wall, a curtain or a board, seen about level from 0.5 m on."""

from __future__ import annotations

import math

import numpy as np

from pixio_edge.scenes import mixes
from pixio_edge.scenes.groups import along_walls, on_walls
from pixio_edge.scenes.heaps import fallen
from pixio_edge.scenes.kit import Kit, Placed, Spot
from pixio_edge.scenes.layout_room import begin_room
from pixio_edge.scenes.rooms import Room, hang, stand
from pixio_edge.scenes.scene import Camera, Scene
from pixio_edge.scenes.viewpoints import VIEWS, Stance, look_at, sees_freely, things_seen

_STANCE = Stance((0.35, 1.5), (0.0, 0.0), (0.65, 1.15), 0.04, 0.12)
_SUPPORTS = {
    "low_table": 2.0,
    "cardboard": 2.5,
    "seat": 2.0,
    "table": 1.0,
    "storage": 1.0,
    "crate": 1.5,
    "desk": 0.7,
    "shelf": 0.7,
    "island": 0.4,
    "bookcase": 0.3,
    "floor_lamp": 0.7,
    "plant": 1.0,
    "bin": 0.7,
    "rack": 0.3,
}
_BEHIND = ("curtain", "board", "wall_picture", "wall_shelf", "curtain", "window", "television")


def still_life(kit: Kit) -> Scene:
    """Supports of different height crowded with things, in front of a decorated wall."""
    scene, room = begin_room(kit, "still_life", (2.2, 4.2), (2.6, 4.5), doors=1)
    back = room.walls[2] if len(room.walls) == 4 else max(room.walls, key=lambda wall: wall.length)
    if kit.chance(0.3):
        hang(kit, scene, room, "curtain", 0.02, wall=back, along=back.length / 2, scale=(back.length / 2.6, 1.0, 1.0))
    for _ in range(kit.integer(1, 5)):
        kind = kit.pick(_BEHIND)
        hang(kit, scene, room, kind, kit.uniform(0.3, 1.2), wall=back)
    along_walls(kit, scene, room, ("bookcase", "shelf", "rack", "storage"), kit.integer(0, 3))
    mix = kit.pick((mixes.ANY, mixes.ANY, mixes.TOYS, mixes.TABLE, mixes.STORE, mixes.DECOR))
    supports = _supports(kit, scene, room, kit.integer(5, 14))
    for placed in supports:
        scale = kit.uniform(0.9, 1.5)
        for top in placed.tops:
            kit.scatter(
                scene,
                top,
                mix,
                kit.uniform(0.25, 0.7),
                most=kit.integer(2, 10),
                aligned=0.5,
                scale=(0.9 * scale, 1.2 * scale),
            )
            if kit.chance(0.15):
                fallen(kit, scene, top, mix, 1)
    floor = Spot((0.0, 0.0, 0.0), (room.high[0] * 0.9, room.high[1] * 0.9), 0.0, 1.0)
    _on_free_floor(kit, scene, room, floor, mix)
    _panels(kit, scene, room, kit.integer(0, 4))
    on_walls(kit, scene, room, kit.integer(0, 3), ("wall_picture", "wall_shelf", "board"))
    scene.cameras = _views(kit, scene, room, supports)
    return scene


def _supports(kit: Kit, scene: Scene, room: Room, count: int) -> list[Placed]:
    """Tables, chairs, boxes close to each other; boxes carry further boxes."""
    placed: list[Placed] = []
    for _ in range(count):
        yaw = kit.normal(0.0, 0.25) if kit.chance(0.6) else None
        thing = stand(kit, scene, room, kit.weighted(_SUPPORTS), yaw=yaw, margin=0.0)
        if thing is not None:
            placed.append(thing)
    return placed


def _on_free_floor(kit: Kit, scene: Scene, room: Room, floor: Spot, mix: mixes.Mix) -> None:
    """Things on the floor between the supports."""
    for _ in range(kit.integer(0, 12)):
        stand(kit, scene, room, kit.weighted(mix), margin=0.02)
    if kit.chance(0.2):
        fallen(kit, scene, floor, mix, kit.integer(1, 4))


def _panels(kit: Kit, scene: Scene, room: Room, count: int) -> None:
    """Pictures, boards and doors that stand about and lean, at any angle: slanted planes."""
    for _ in range(count):
        x = kit.uniform(room.low[0] + 0.3, room.high[0] - 0.3)
        y = kit.uniform(room.low[1] + 0.6, room.high[1] - 0.2)
        if room.clear((x, y, 0.05), 0.12):
            kind = kit.pick(("wall_picture", "wall_picture", "board", "lattice"))
            index = kit.index(kind)
            scale = kit.uniform(0.8, 1.6)
            tilt = (kit.uniform(-0.5, 0.1), kit.normal(0.0, 0.15))
            kit.place(scene, index, (x, y, 0.0), kit.normal(0.0, 0.8), scale=scale, tilt=tilt)


def _views(kit: Kit, scene: Scene, room: Room, supports: list[Placed]) -> list[Camera]:
    """About level cameras that look through the layers, each from another place."""
    places = np.array([instance.shift for instance in scene.instances])
    cameras: list[Camera] = []
    for _ in range(VIEWS):
        best, best_score = None, -1.0
        for _ in range(40):
            if supports:
                aim = kit.pick(supports)
                target = (aim.shift[0], aim.shift[1], aim.high[2] + kit.uniform(-0.1, 0.35))
            else:
                target = (0.0, room.high[1], 1.0)
            reach, turn = kit.uniform(0.5, 2.6), kit.normal(-math.pi / 2, 0.7)
            position = (
                target[0] + reach * math.cos(turn),
                target[1] + reach * math.sin(turn),
                kit.uniform(*_STANCE.height),
            )
            camera = look_at(kit, position, target, _STANCE)
            near = min((math.dist(position, other.position) for other in cameras), default=9.0)
            if not room.clear(position, 0.1) or near < 0.25 or not sees_freely(room, camera):
                continue
            score = things_seen(camera, places, reach=3.5) * kit.uniform(0.5, 1.0)
            if score > best_score:
                best, best_score = camera, score
        cameras.append(best or look_at(kit, (0.0, room.low[1] + 0.3, 1.3), (0.0, room.high[1], 0.7), _STANCE))
    return cameras
