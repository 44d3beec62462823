"""Doors, windows and what is behind them."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from pixio_edge.scenes.indoors.rooms import Block, Patch, Room, Wall, keep_clear, open_wall
from pixio_edge.scenes.indoors.setting import hang, set_against
from pixio_edge.scenes.indoors.shells import ACCENT, CEILING, FLOOR, WALL
from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.scene import Scene, Surface
from pixio_edge.scenes.shapes.hulls import quads
from pixio_edge.scenes.things.fittings import DOOR_HEIGHT, DOOR_WIDTH

_THICKNESS = 0.16
# What may stand at the far wall of the room behind an open door.
_BEHIND = ("storage", "bookcase", "shelf", "seat", "sofa", "table", "rack", "desk", "fridge", "bed")


def add_doors(kit: Kit, scene: Scene, room: Room, looks: dict[int, Surface], count: int) -> None:
    """Some doors anywhere."""
    for _ in range(count):
        wall = kit.pick(room.walls)
        if wall.length > DOOR_WIDTH + 0.4:
            add_door(kit, scene, room, wall, kit.uniform(0.15, wall.length - DOOR_WIDTH - 0.15), looks=looks)


def add_door(
    kit: Kit,
    scene: Scene,
    room: Room,
    wall: Wall,
    start: float,
    *,
    looks: dict[int, Surface],
    closed: float = 0.45,
    leaf: tuple[int, tuple[Surface, ...]] | None = None,
) -> None:
    """A closed door, or an open one with a piece of the next room behind; nothing where there is no room for it.

    Args:
        kit: Draws it.
        scene: Gets it.
        room: Keeps what is taken.
        wall: Which wall.
        start: Begin of the opening along the wall, metres.
        looks: Surfaces of the shell.
        closed: How often it is closed.
        leaf: Model and surfaces of a closed door; None draws them.
    """
    if kit.chance(closed):
        index, surfaces = leaf or (kit.index("door"), None)
        scheme = None if surfaces is None else dict(enumerate(surfaces))
        placed = hang(kit, scene, room, index, low=0.0, wall=wall, along=start + DOOR_WIDTH / 2, scheme=scheme)
        if placed is not None:
            keep_clear(room, wall, start, start + DOOR_WIDTH)
    elif open_wall(room, wall, Patch(start, start + DOOR_WIDTH, 0.0, min(DOOR_HEIGHT, room.height - 0.05))):
        _next_room(kit, scene, wall, start, height=room.height, looks=looks)
        x, y = wall.at(start + DOOR_WIDTH / 2, -_THICKNESS / 2)
        kit.place(scene, "door_frame", (x, y, 0.0), wall.yaw)
        if kit.chance(0.7):
            _leaf(kit, scene, room, wall, start)


def _leaf(kit: Kit, scene: Scene, room: Room, wall: Wall, start: float) -> None:
    """The leaf of an open door, swung into this room or the next one."""
    left, inward = kit.chance(0.5), kit.chance(0.6)
    swing = kit.uniform(0.7, 1.6) * (1.0 if inward else -1.0)
    turn = wall.turn + swing if left else wall.turn + math.pi - swing
    hinge_x, hinge_y = wall.at(start if left else start + DOOR_WIDTH, 0.0 if inward else -_THICKNESS)
    half = DOOR_WIDTH / 2
    x, y = hinge_x + half * math.cos(turn), hinge_y + half * math.sin(turn)
    kit.place(scene, "open_door", (x, y, 0.0), turn)
    if inward:
        end_x, end_y = 2 * x - hinge_x, 2 * y - hinge_y
        xs, ys = sorted((hinge_x, end_x)), sorted((hinge_y, end_y))
        room.blocks.append(Block(xs[0] - 0.03, ys[0] - 0.03, xs[1] + 0.03, ys[1] + 0.03, DOOR_HEIGHT))


def _next_room(kit: Kit, scene: Scene, wall: Wall, start: float, *, height: float, looks: dict[int, Surface]) -> None:
    """Three walls, floor and ceiling behind an open door, with some things."""
    left, right = start - kit.uniform(0.3, 2.5), start + DOOR_WIDTH + kit.uniform(0.3, 2.5)
    near, far = -_THICKNESS, -_THICKNESS - kit.uniform(1.2, 5.0)
    corners = [wall.at(left, near), wall.at(left, far), wall.at(right, far), wall.at(right, near)]
    faces = []
    for (xa, ya), (xb, yb) in pairwise(corners):
        faces.append(((xa, ya, 0.0), (xb, yb, 0.0), (xb, yb, height), (xa, ya, height)))
    (xa, ya), (xb, yb), (xc, yc), (xd, yd) = corners
    faces.append(((xd, yd, 0.0), (xc, yc, 0.0), (xb, yb, 0.0), (xa, ya, 0.0)))
    faces.append(((xa, ya, height), (xb, yb, height), (xc, yc, height), (xd, yd, height)))
    other = kit.chance(0.5)
    surfaces = [looks[ACCENT if other else WALL], looks[FLOOR], looks[CEILING]]
    kit.add(scene, quads(np.array(faces), [0, 0, 0, 1, 2]), surfaces)
    along = left + 0.1
    while along < right - 0.5 and kit.chance(0.85):
        index = kit.index(kit.pick(_BEHIND))
        wide, deep, high = kit.size(index)
        if along + wide > right - 0.05 or high > height:
            break
        x, y = wall.at(along + wide / 2, far + deep / 2 + 0.02)
        kit.place(scene, index, (x, y, 0.0), wall.yaw)
        along += wide + kit.uniform(0.02, 0.8)
    if kit.chance(0.5):
        x, y = wall.at(kit.uniform(start, start + DOOR_WIDTH), far + 0.03)
        kit.place(scene, "wall_picture", (x, y, kit.uniform(1.2, 1.6)), wall.yaw)


def add_windows(
    kit: Kit, scene: Scene, room: Room, count: int, *, open_share: float = 0.35, heated: float = 0.5
) -> None:
    """Windows with curtains, blinds and radiators.

    Args:
        kit: Draws them.
        scene: Gets them.
        room: Keeps what is taken of its walls.
        count: How many are tried.
        open_share: How many are holes through which the backdrop is seen; the others are bright panes.
        heated: How often a radiator stands below.
    """
    for _ in range(count):
        wall = kit.pick(room.walls)
        wide, high, low = kit.uniform(0.7, 2.4), kit.uniform(0.9, 1.5), kit.uniform(0.75, 1.05)
        if wall.length < wide + 0.3 or low + high > room.height - 0.1:
            continue
        along = kit.uniform(wide / 2 + 0.1, wall.length - wide / 2 - 0.1)
        if kit.chance(open_share):
            if not open_wall(room, wall, Patch(along - wide / 2, along + wide / 2, low, low + high)):
                continue
            x, y = wall.at(along, -_THICKNESS * 0.6)
            kit.place(scene, "window_frame", (x, y, low), wall.yaw, scale=(wide, 1.0, high))
        else:
            index = kit.index("bright_window")
            size = kit.size(index)
            if (
                hang(
                    kit, scene, room, index, low=low, wall=wall, along=along, scale=(wide / size[0], 1, high / size[2])
                )
                is None
            ):
                continue
        _dress(kit, scene, room, wall, (along, wide, low, high))
        if kit.chance(heated):
            set_against(kit, scene, room, "radiator", wall=wall, along=along, gap=0.04)


def _dress(kit: Kit, scene: Scene, room: Room, wall: Wall, window: tuple[float, float, float, float]) -> None:
    """Curtains or a blind."""
    along, wide, low, high = window
    if kit.chance(0.55):
        index = kit.index("curtain")
        size = kit.size(index)
        bottom = 0.05 if kit.chance(0.6) else low - 0.1
        tall = min(low + high + 0.15, room.height - 0.03) - bottom
        x, y = wall.at(along, 0.09)
        kit.place(scene, index, (x, y, bottom), wall.yaw, scale=((wide + 0.5) / size[0], 1.0, tall / size[2]))
    elif kit.chance(0.4):
        index = kit.index("blind")
        size = kit.size(index)
        drop = high * kit.uniform(0.2, 1.0)
        x, y = wall.at(along, 0.05)
        at = (x, y, low + high - drop)
        kit.place(scene, index, at, wall.yaw, scale=(wide / size[0], 1.0, drop / size[2]))
