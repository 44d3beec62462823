"""Close things of all sizes in layers before a wall, a curtain or a board, seen about level from 0.5 m on."""

from __future__ import annotations

import math

from pixio_edge.scenes.indoors import mixes
from pixio_edge.scenes.indoors.crowd import crowd_of
from pixio_edge.scenes.indoors.dressing import along_walls, on_walls
from pixio_edge.scenes.indoors.heaps import fallen
from pixio_edge.scenes.indoors.rooms import Block, Room
from pixio_edge.scenes.indoors.setting import hang
from pixio_edge.scenes.indoors.viewpoints import Stance, look_at, sees_freely
from pixio_edge.scenes.kit import Kit, Placed, Spot
from pixio_edge.scenes.layouts.room import begin_room
from pixio_edge.scenes.mesh import Look
from pixio_edge.scenes.scene import VIEWS, Camera, Scene
from pixio_edge.scenes.shapes import box

_STANCE = Stance((0.3, 1.6), (0.4, 1.6), (0.65, 1.15), 0.04, 0.12)
# What carries things, by row: low in front, high at the back; "" leaves the floor free.
_LOW = {
    "": 2.0,
    "cardboard": 2.0,
    "crate": 2.0,
    "low_table": 1.5,
    "bench": 1.0,
    "container": 1.0,
    "bin": 0.7,
    "stool": 1.0,
}
_HIGH = {
    "": 0.7,
    "seat": 2.0,
    "table": 1.5,
    "storage": 2.0,
    "desk": 1.0,
    "island": 0.7,
    "shelf": 1.5,
    "bookcase": 0.7,
    "floor_lamp": 0.8,
    "floor_plant": 1.0,
    "rack": 0.5,
    "room_thing": 1.5,
    "easel": 0.5,
    "cardboard": 1.0,
}
# Below this many things the rows are gone through once more.
_FEW = 14
_BEHIND = ("curtain", "board", "wall_picture", "wall_shelf", "posters", "window", "television", "mirror")
_MIXES = (mixes.ANY, mixes.ANY, mixes.TOYS, mixes.TABLE, mixes.STORE, mixes.DECOR, mixes.TOOLS, mixes.SHELF)


def still_life(kit: Kit) -> Scene:
    """Rows of supports crowded with things, in front of a decorated wall."""
    scene, room = begin_room(kit, "still_life", (2.0, 3.6), (2.6, 4.2), doors=1, corner=0.0)
    for wall in room.walls[1:]:
        if kit.chance(0.3):
            size = kit.size(index := kit.index("curtain"))
            scale = (wall.length / size[0] * kit.uniform(0.5, 0.95), 1.0, 1.0)
            hang(kit, scene, room, index, low=0.02, wall=wall, along=wall.length / 2, scale=scale)
    for _ in range(kit.integer(2, 7)):
        hang(kit, scene, room, kit.pick(_BEHIND), low=kit.uniform(0.2, 1.3))
    along_walls(kit, scene, room, ("bookcase", "shelf", "rack", "storage"), count=kit.integer(0, 3))
    mix = kit.pick(_MIXES)
    supports = _rows(kit, scene, room, mix) if kit.chance(0.45) else _stage(kit, scene, room, mix)
    if len(supports) < _FEW:
        supports += _rows(kit, scene, room, mix)
    _panels(kit, scene, room, kit.integer(0, 5))
    on_walls(kit, scene, room, kit.integer(0, 4), ("wall_picture", "wall_shelf", "board", "posters"))
    scene.cameras = _views(kit, scene, room, supports)
    return scene


def _rows(kit: Kit, scene: Scene, room: Room, mix: mixes.Mix) -> list[Placed]:
    """Supports side by side in rows from the back wall to the front, each with things on it."""
    placed: list[Placed] = []
    front = room.low[1] + kit.uniform(0.5, 1.3)
    y, scale = room.high[1] - 0.1, kit.uniform(0.9, 1.6)
    while y > front:
        high = y > front + 0.6 * (room.high[1] - front) or kit.chance(0.25)
        deepest, x = 0.25, room.low[0] + kit.uniform(0.0, 0.3)
        while x < room.high[0] - 0.2:
            kind = kit.weighted(_HIGH if high else _LOW)
            if not kind:
                thing = _on_floor(kit, scene, room, (x, y), mix=mix, scale=scale)
            else:
                thing = _support(kit, scene, room, kind, (x, y))
            if thing is None:
                x += 0.2
                continue
            placed.append(thing)
            fill(kit, scene, thing, mix, scale)
            deepest = max(deepest, thing.high[1] - thing.low[1])
            x += thing.high[0] - thing.low[0] + kit.uniform(-0.02, 0.15)
        y -= deepest * kit.uniform(0.7, 1.1)
    return placed


def _stage(kit: Kit, scene: Scene, room: Room, mix: mixes.Mix) -> list[Placed]:
    """Two to four wide steps that rise towards the back wall, crowded, with panels between them."""
    placed: list[Placed] = []
    level, y = kit.uniform(0.3, 0.85), room.low[1] + kit.uniform(0.9, 1.5)
    look = Look(kit.pick(("fabric", "wood", "paint", "plastic", "paper", "stone")), repeat_m=(0.3, 1.5))
    scale = kit.log_uniform(0.9, 1.9)
    while y < room.high[1] - 0.15:
        deep = min(kit.uniform(0.25, 0.8), room.high[1] - y)
        wide = (room.high[0] - room.low[0]) * kit.uniform(0.7, 1.0)
        block = Block(-wide / 2, y, wide / 2, y + deep, level)
        room.blocks.append(block)
        kit.add(scene, box((wide, deep, level)), (kit.surface(look),), (0.0, y + deep / 2, 0.0))
        spot = Spot((0.0, y + deep / 2, level), (wide / 2, deep / 2), 0.0, 1.2)
        size = (0.8 * scale, 1.25 * scale)
        placed += kit.scatter(
            scene, spot, mix, kit.uniform(0.35, 0.9), most=kit.integer(6, 30), aligned=0.5, scale=size
        )
        if kit.chance(0.3):
            fallen(kit, scene, spot, mix, kit.integer(1, 3))
        if kit.chance(0.35):
            index = kit.index(kit.pick(("wall_picture", "board", "lattice", "posters", "books", "mirror")))
            at = spot.at(kit.uniform(-0.7, 0.7) * wide / 2, spot.half[1])
            scale_of = kit.uniform(0.4, 0.9)
            kit.place(scene, index, at, kit.normal(0.0, 0.4), scale=scale_of, tilt=(kit.uniform(-0.35, 0.0), 0.0))
        y += deep
        level += kit.uniform(0.0, 0.3) if kit.chance(0.7) else kit.uniform(-0.3, 0.0)
        level = max(level, 0.05)
        scale *= kit.uniform(0.9, 1.25)
    return placed


def _support(kit: Kit, scene: Scene, room: Room, kind: str, corner: tuple[float, float]) -> Placed | None:
    """A thing whose back left corner is about there."""
    index = kit.index(kind)
    wide, deep, high = kit.size(index)
    x, y = corner[0] + wide / 2, corner[1] - deep / 2
    block = Block(x - wide / 2, y - deep / 2, x + wide / 2, y + deep / 2, high)
    if wide > 1.4 or high > 1.5 or not room.free(block):
        return None
    room.blocks.append(block)
    yaw = kit.normal(0.0, 0.12) if kit.chance(0.75) else kit.normal(math.pi, 0.5)
    placed = kit.place(scene, index, (x, y, 0.0), yaw)
    room.things.append(placed)
    return placed


def _on_floor(
    kit: Kit, scene: Scene, room: Room, corner: tuple[float, float], *, mix: mixes.Mix, scale: float
) -> Placed | None:
    """A larger thing right on the floor."""
    index = kit.index(kit.weighted(mix))
    factor = scale * kit.uniform(1.0, 2.0)
    wide, deep, high = (factor * extent for extent in kit.size(index))
    x, y = corner[0] + wide / 2, corner[1] - deep / 2
    block = Block(x - wide / 2, y - deep / 2, x + wide / 2, y + deep / 2, high)
    if wide > 0.8 or not room.free(block):
        return None
    room.blocks.append(block)
    return kit.place(scene, index, (x, y, 0.0), kit.uniform(-math.pi, math.pi), scale=factor)


def fill(kit: Kit, scene: Scene, placed: Placed, mix: mixes.Mix, scale: float) -> None:
    """Crowd all tops of a thing; sometimes a box on it carries further things."""
    for top in placed.tops:
        size = (0.85 * scale, 1.15 * scale)
        if kit.chance(0.2) and top.headroom > 0.5 and min(top.half) > 0.12:
            index = kit.index(kit.pick(("cardboard", "crate", "book_stack")))
            factor = min(1.0, 1.6 * top.half[0] / kit.size(index)[0], 1.6 * top.half[1] / kit.size(index)[1])
            upper = kit.place(scene, index, top.centre, top.yaw + kit.normal(0.0, 0.2), scale=factor)
            for spot in upper.tops:
                kit.scatter(scene, spot, mix, 0.5, most=4, scale=size)
            continue
        kit.scatter(scene, top, mix, kit.uniform(0.3, 0.9), most=20, aligned=0.5, scale=size)
        if kit.chance(0.15):
            fallen(kit, scene, top, mix, 1)


def _panels(kit: Kit, scene: Scene, room: Room, count: int) -> None:
    """Pictures, boards and lattices that stand about and lean, at any angle: slanted planes."""
    for _ in range(count):
        x = kit.uniform(room.low[0] + 0.3, room.high[0] - 0.3)
        y = kit.uniform(room.low[1] + 0.9, room.high[1] - 0.2)
        if room.clear((x, y, 0.05), 0.1):
            index = kit.index(kit.pick(("wall_picture", "wall_picture", "board", "lattice", "easel", "mirror")))
            tilt = (kit.uniform(-0.5, 0.1), kit.normal(0.0, 0.15))
            kit.place(scene, index, (x, y, 0.0), kit.normal(0.0, 0.8), scale=kit.uniform(0.8, 1.6), tilt=tilt)


def _views(kit: Kit, scene: Scene, room: Room, supports: list[Placed]) -> list[Camera]:
    """About level cameras before the front row or between the rows, each in another place."""
    crowd = crowd_of(kit, scene)
    cameras: list[Camera] = []
    for _ in range(VIEWS):
        best, best_score, found = None, 0.0, 0
        for _ in range(50):
            camera = _view(kit, room, supports)
            near = min((math.dist(camera.position, other.position) for other in cameras), default=9.0)
            if not room.clear(camera.position, 0.08) or near < 0.25 or not sees_freely(room, camera):
                continue
            score = crowd.seen(camera, reach=3.5) * kit.uniform(0.5, 1.0)
            found += 1
            if score > best_score:
                best, best_score = camera, score
            if found == 8:
                break
        cameras.append(best or look_at(kit, (0.0, room.low[1] + 0.3, 1.5), (0.0, room.high[1], 0.7), _STANCE))
    return cameras


def _view(kit: Kit, room: Room, supports: list[Placed]) -> Camera:
    """A camera that looks over one support at the next ones."""
    if not supports or kit.chance(0.1):
        target = (kit.uniform(*(0.5 * x for x in (room.low[0], room.high[0]))), room.high[1], 1.0)
    else:
        aim = kit.pick(supports)
        top = aim.shift[2] + aim.high[2]
        target = (aim.shift[0], aim.shift[1], min(top, 1.3) + kit.uniform(-0.15, 0.2))
    reach, turn = kit.uniform(*_STANCE.distance), kit.normal(-math.pi / 2, 0.7)
    height = target[2] + reach * kit.uniform(0.0, 0.65)
    position = (
        target[0] + reach * math.cos(turn),
        target[1] + reach * math.sin(turn),
        min(max(height, _STANCE.height[0]), room.height - 0.3),
    )
    return look_at(kit, position, target, _STANCE)
