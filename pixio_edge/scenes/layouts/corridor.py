"""Corridors, halls, stairways: long rooms that are looked along."""

from __future__ import annotations

import math

from pixio_edge.scenes.indoors import mixes
from pixio_edge.scenes.indoors.crowd import crowd_of
from pixio_edge.scenes.indoors.dressing import along_walls, on_floor, on_walls
from pixio_edge.scenes.indoors.openings import add_door, add_windows
from pixio_edge.scenes.indoors.rooms import Room, make_room
from pixio_edge.scenes.indoors.setting import stand
from pixio_edge.scenes.indoors.shells import add_shell, shell_looks
from pixio_edge.scenes.indoors.viewpoints import Stance, look_at, room_views, sees_freely
from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.light import room_light
from pixio_edge.scenes.scene import VIEWS, Camera, Scene, Surface
from pixio_edge.scenes.things.fittings import DOOR_WIDTH

_SOME_THINGS = 4
_STANCE = Stance((0.25, 1.8), (0.0, 0.0), (0.8, 1.45), 0.05, 0.1)


def corridor(kit: Kit) -> Scene:
    """A corridor or hall with doors on both sides, lamps, radiators, furniture, people."""
    scene = Scene("corridor")
    hall = kit.chance(0.3)
    width = kit.uniform(3.0, 7.0) if hall else kit.uniform(1.2, 2.8)
    length = kit.uniform(5.0, 22.0)
    room = make_room(kit, width, length, kit.uniform(2.3, 3.2 if not hall else 4.5), corner=0.15)
    looks = shell_looks(kit, tiles=0.25)
    _doors(kit, scene, room, looks)
    add_windows(kit, scene, room, kit.integer(0, 4))
    room_light(kit, scene, (*room.low, 0.0), (*room.high, room.height))
    add_shell(kit, scene, room, looks)
    _repeated(kit, scene, room)
    kinds = ("storage", "seat", "bookcase", "rack", "shelf", "low_table", "sofa", "table", "radiator", "railing")
    along_walls(kit, scene, room, kinds, count=2 + int(length * kit.uniform(0.2, 0.8)), filled=0.5)
    pictures = 2 + int(length * kit.uniform(0.0, 0.6))
    on_walls(kit, scene, room, pictures, ("wall_picture", "board", "coat_rack", "wall_picture"))
    on_floor(kit, scene, room, 1 + int(length * kit.uniform(0.0, 0.6)), mixes.FLOOR | {"plant": 1.0, "seat": 0.5})
    for _ in range(kit.integer(0, 3) if kit.chance(0.4) else 0):
        stand(kit, scene, room, "pedestrian")
    if kit.chance(0.2):
        stand(kit, scene, room, "stairs", yaw=0.0)
    scene.cameras = _views(kit, scene, room)
    return scene


def _doors(kit: Kit, scene: Scene, room: Room, looks: dict[int, Surface]) -> None:
    """Doors of one kind, about evenly along the long walls."""
    index = kit.index("door")
    surfaces = kit.surfaces(kit.library.model(index))
    for wall in room.walls:
        step = kit.uniform(1.6, 4.0)
        start = kit.uniform(0.2, 1.5)
        while start + DOOR_WIDTH < wall.length - 0.2:
            if kit.chance(0.75 if wall.length > 4 else 0.4):
                add_door(kit, scene, room, wall, start, looks=looks, closed=0.65, leaf=(index, surfaces))
            start += step


def _repeated(kit: Kit, scene: Scene, room: Room) -> None:
    """Lamps in a row, beams or pillars, a duct along the ceiling."""
    (x0, y0), (x1, y1) = room.low, room.high
    lamp, beams = kit.index(kit.pick(("ceiling_lamp", "ceiling_lamp", "pendant"))), kit.chance(0.15)
    step, pillars = kit.uniform(1.5, 3.5), x1 - x0 > 3.5 and kit.chance(0.4)
    surfaces = kit.surfaces(kit.library.model(lamp))
    pillar = kit.index("pillar")
    scale = room.height / kit.size(pillar)[2]
    y = y0 + step / 2
    while y < y1 - 0.3:
        kit.place(scene, lamp, ((x0 + x1) / 2, y, room.height - kit.size(lamp)[2]), 0.0, surfaces=surfaces)
        if pillars:
            for side in (-1, 1):
                kit.place(
                    scene,
                    pillar,
                    ((x0 + x1) / 2 + side * 0.3 * (x1 - x0), y + step / 2, 0.0),
                    0.0,
                    scale=(0.6, 0.6, scale),
                )
        if beams:
            kit.place(scene, "duct", ((x0 + x1) / 2, y + step / 2, room.height - 0.3), 0.0, scale=(0.5, 1.0, 1.0))
        y += step
    if kit.chance(0.25):
        duct = kit.index("duct")
        size = kit.size(duct)
        at = (kit.uniform(x0 + 0.3, x1 - 0.3), (y0 + y1) / 2, room.height - size[2] - 0.02)
        kit.place(scene, duct, at, math.pi / 2, scale=((y1 - y0) / size[0], 1.0, 1.0))


def _views(kit: Kit, scene: Scene, room: Room) -> list[Camera]:
    """Three along the corridor, at any height and side, and one as in any room."""
    crowd = crowd_of(kit, scene)
    cameras: list[Camera] = []
    for attempt in range(60):
        if len(cameras) == VIEWS - 1:
            break
        share, ahead = kit.uniform(0.03, 0.8), kit.chance(0.6)
        y = room.low[1] + (share if ahead else 1.0 - share) * (room.high[1] - room.low[1])
        x = kit.uniform(room.low[0] + 0.25, room.high[0] - 0.25)
        position = (x, y, kit.uniform(*_STANCE.height))
        sign = 1.0 if ahead else -1.0
        target = (
            kit.uniform(0.7 * room.low[0], 0.7 * room.high[0]),
            y + sign * kit.uniform(2.0, 8.0),
            kit.uniform(0.4, 1.5),
        )
        camera = look_at(kit, position, target, _STANCE)
        if not (room.clear(position, 0.15) and sees_freely(room, camera)):
            continue
        # A corridor may be nearly empty; where it is not, a wall alone is no view of it.
        if crowd.seen(camera, reach=10.0) >= (_SOME_THINGS if attempt < 30 else 0):
            cameras.append(camera)
    return cameras + room_views(kit, scene, room, count=VIEWS - len(cameras))
