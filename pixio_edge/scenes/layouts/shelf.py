"""Shelves that fill the image: libraries, shops, stores, a wall of cupboards."""

from __future__ import annotations

import math

from pixio_edge.scenes.indoors import mixes
from pixio_edge.scenes.indoors.crowd import Crowd, crowd_of
from pixio_edge.scenes.indoors.dressing import clutter, on_floor, on_walls
from pixio_edge.scenes.indoors.groups import before
from pixio_edge.scenes.indoors.rooms import Room, Wall
from pixio_edge.scenes.indoors.setting import hang, set_against, stand
from pixio_edge.scenes.indoors.viewpoints import Stance, look_at, room_views, sees_freely
from pixio_edge.scenes.kit import Kit, Placed
from pixio_edge.scenes.layouts.room import begin_room
from pixio_edge.scenes.scene import VIEWS, Camera, Scene

_STANCE = Stance((0.3, 1.9), (0.5, 2.0), (0.75, 1.25), 0.06, 0.2)
# Sensible views of which the fullest is taken, give or take.
_CANDIDATES = 4
_KINDS = (
    ("bookcase",),
    ("bookcase", "shelf"),
    ("shelf",),
    ("rack", "shelf"),
    ("rack",),
    ("storage", "shelf", "bookcase", "desk", "low_table"),
)


def shelf(kit: Kit) -> Scene:
    """One to three walls lined with shelves of a kind, things in every board, and some before them."""
    scene, room = begin_room(kit, "shelf", (1.8, 5.0), (2.2, 6.0), doors=1)
    kinds, mix = (
        kit.pick(_KINDS),
        kit.pick((mixes.SHELF, mixes.ANY, mixes.STORE, mixes.COUNTER, mixes.TOYS, mixes.DECOR)),
    )
    first, shelves = kit.integer(0, len(room.walls) - 1), []
    for i in range(kit.integer(1, 3)):
        shelves += _line(kit, scene, room, room.walls[(first + i) % len(room.walls)], kinds)
    for placed in shelves:
        clutter(kit, scene, placed, mix, (0.3, 0.75), most=12)
    for _ in range(kit.integer(0, 4)):
        clutter(
            kit, scene, stand(kit, scene, room, kit.pick(("seat", "cardboard", "low_table", "table"))), mix, (0.1, 0.5)
        )
    on_walls(kit, scene, room, kit.integer(0, 4), ("wall_picture", "board", "wall_shelf"))
    on_floor(kit, scene, room, kit.integer(0, 6))
    crowd = crowd_of(kit, scene)
    near = [_view(kit, room, shelves, crowd) for _ in range(VIEWS)] if shelves else []
    cameras = [camera for camera in near if camera is not None]
    scene.cameras = cameras + room_views(kit, scene, room, count=VIEWS - len(cameras))
    return scene


def _line(kit: Kit, scene: Scene, room: Room, wall: Wall, kinds: tuple[str, ...]) -> list[Placed]:
    """Shelves side by side along a wall; where a door or window leaves no room, boards above."""
    placed: list[Placed] = []
    index = kit.index(kit.pick(kinds))
    same, along = kit.chance(0.5), kit.uniform(0.0, 0.4)
    while along < wall.length - 0.4:
        if not same:
            index = kit.index(kit.pick(kinds))
        wide = kit.size(index)[0]
        unit = set_against(kit, scene, room, index, wall=wall, along=along + wide / 2, gap=0.005)
        if unit is None:
            board = hang(kit, scene, room, "wall_shelf", low=kit.uniform(0.8, 1.6), wall=wall, along=along + 0.3)
            if board is not None:
                placed.append(board)
            along += 0.3
            continue
        placed.append(unit)
        along += wide + (0.004 if kit.chance(0.8) else kit.uniform(0.05, 0.5))
    return placed


def _view(kit: Kit, room: Room, shelves: list[Placed], crowd: Crowd) -> Camera | None:
    """Before one shelf, at it straight or at a slant; the fullest of some."""
    best, best_score, found = None, 0.0, 0
    for _ in range(20):
        aim = kit.pick(shelves)
        out = kit.uniform(*_STANCE.distance)
        x, y = before(aim, out, kit.normal(0.0, 0.6) * out)
        target = (aim.shift[0], aim.shift[1], aim.shift[2] + aim.high[2] * kit.uniform(0.2, 0.95))
        height = min(target[2] + kit.normal(0.15, 0.35), room.height - 0.2)
        position = (x, y, max(height, 0.2))
        camera = look_at(kit, position, target, _STANCE)
        if room.clear(position, 0.1) and sees_freely(room, camera) and math.dist(position, target) > 0.4:
            score = crowd.seen(camera, reach=3.0) * kit.uniform(0.3, 1.0)
            if score > best_score:
                best, best_score = camera, score
            found += 1
            if found == _CANDIDATES:
                break
    return best
