"""Kitchens: lines of units along the walls, cupboards above, things on every counter."""

from __future__ import annotations

import math

from pixio_edge.scenes.indoors import mixes
from pixio_edge.scenes.indoors.crowd import crowd_of
from pixio_edge.scenes.indoors.dressing import clutter
from pixio_edge.scenes.indoors.groups import before, dining, over
from pixio_edge.scenes.indoors.rooms import Room, Wall
from pixio_edge.scenes.indoors.setting import hang, set_against, stand
from pixio_edge.scenes.indoors.viewpoints import Stance, look_at, room_views, sees_freely
from pixio_edge.scenes.kit import Kit, Placed
from pixio_edge.scenes.layouts.room import begin_room, finish_room
from pixio_edge.scenes.mesh import Look
from pixio_edge.scenes.scene import VIEWS, Camera, Scene, Surface

# Between neighbouring units, metres.
_SEAM = 0.003
_LINE = {"counter": 5.0, "sink": 1.2, "cooker": 1.0, "white_goods": 1.3}
_AT_COUNTER = Stance((1.1, 1.75), (0.35, 1.6), (0.8, 1.25), 0.08, 0.2)


def kitchen(kit: Kit) -> Scene:
    """A kitchen in L, U or one line, with an island or a table, seen from close by as well as from the door."""
    scene, room = begin_room(kit, "kitchen", (2.2, 4.5), (2.4, 5.5), tiles=0.6, doors=1, heated=0.1)
    scheme = {0: kit.surface(Look("stone", gloss=(0.1, 0.7), repeat_m=(0.4, 1.2))), 1: kit.surface(Look("furniture"))}
    if kit.chance(0.4):
        scheme[0] = kit.surface(Look("wood", gloss=(0.1, 0.5)))
    if kit.chance(0.35):
        scheme[1] = kit.surface(Look("plastic", gloss=(0.2, 0.7)))
    first = kit.integer(0, len(room.walls) - 1)
    counters: list[Placed] = []
    for i in range(kit.integer(2, 3)):
        counters += _line(
            kit, scene, room, room.walls[(first + i) % len(room.walls)], scheme=scheme, start=0.0 if i == 0 else 0.66
        )
    for placed in counters:
        clutter(kit, scene, placed, mixes.COUNTER, (0.1, 0.7), most=12)
    if kit.chance(0.25):
        island = stand(kit, scene, room, "island", yaw=kit.pick((0.0, math.pi / 2)), margin=0.3)
        clutter(kit, scene, island, mixes.COUNTER, (0.1, 0.5))
        if island is not None:
            counters.append(island)
            over(kit, scene, room, island)
    elif kit.chance(0.7):
        dining(kit, scene, room)
    for kind in ("fridge", "shelf", "storage", "rack", "bin", "seat", "floor_plant"):
        if kit.chance(0.4):
            clutter(kit, scene, set_against(kit, scene, room, kind), mixes.COUNTER, (0.1, 0.6), most=10)
    finish_room(kit, scene, room, pictures=(2, 8), loose=(0, 6))
    near = [_near_view(kit, scene, room, counters) for _ in range(kit.integer(1, 3))] if counters else []
    cameras = [camera for camera in near if camera is not None]
    scene.cameras = cameras + room_views(kit, scene, room, count=VIEWS - len(cameras))
    return scene


def _near_view(kit: Kit, scene: Scene, room: Room, counters: list[Placed]) -> Camera | None:
    """From before one counter along the line, down on what stands there; the fullest of some."""
    crowd = crowd_of(kit, scene)
    best, best_score = None, 3.0
    for _ in range(12):
        counter = kit.pick(counters)
        x, y = before(counter, kit.uniform(*_AT_COUNTER.distance), kit.uniform(-1.2, 1.2))
        position = (x, y, kit.uniform(*_AT_COUNTER.height))
        target = (counter.shift[0], counter.shift[1], kit.uniform(0.75, 1.15))
        camera = look_at(kit, position, target, _AT_COUNTER)
        if room.clear(position, 0.12) and sees_freely(room, camera):
            score = crowd.seen(camera, reach=2.5) * kit.uniform(0.5, 1.0)
            if score > best_score:
                best, best_score = camera, score
    return best


def _line(kit: Kit, scene: Scene, room: Room, wall: Wall, *, scheme: dict[int, Surface], start: float) -> list[Placed]:
    """Units side by side along a wall, with cupboards, a hood and shelves above."""
    placed: list[Placed] = []
    along, end = start, wall.length - (0.0 if kit.chance(0.75) else kit.uniform(0.0, 0.3) * wall.length)
    seen: set[str] = set()
    fronts = kit.chance(0.85)
    while along < end - 0.4:
        kind = kit.weighted({key: weight for key, weight in _LINE.items() if key not in seen})
        if not placed and kit.chance(0.3):
            kind = "fridge"
        index = kit.index(kind)
        wide = kit.size(index)[0]
        surfaces = kit.surfaces(kit.library.model(index), scheme if fronts and kind != "fridge" else None)
        unit = set_against(kit, scene, room, index, wall=wall, along=along + wide / 2, gap=0.0, surfaces=surfaces)
        if unit is None:
            along += 0.08
            continue
        if kind != "counter":
            seen.add(kind)
        placed.append(unit)
        _above(kit, scene, room, wall, unit=(kind, along + wide / 2), scheme=scheme)
        along += wide + _SEAM
    return placed


def _above(
    kit: Kit, scene: Scene, room: Room, wall: Wall, *, unit: tuple[str, float], scheme: dict[int, Surface]
) -> None:
    """What hangs above a unit, given as kind and middle along the wall."""
    kind, along = unit
    if kind == "cooker" and kit.chance(0.75):
        index = kit.index("hood")
        high = kit.size(index)[2]
        hang(kit, scene, room, index, low=min(1.6, room.height - high - 0.03), wall=wall, along=along)
    elif kit.chance(0.65):
        index = kit.index("wall_unit")
        low = kit.uniform(1.38, 1.5)
        if kit.chance(0.8):
            hang(kit, scene, room, index, low=low, wall=wall, along=along, scheme={0: scheme[1]})
    elif kit.chance(0.5):
        shelf = hang(kit, scene, room, "wall_shelf", low=kit.uniform(1.3, 1.5), wall=wall, along=along)
        clutter(kit, scene, shelf, mixes.COUNTER, (0.3, 0.6), most=12)
