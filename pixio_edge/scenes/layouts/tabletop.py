"""Tabletops as a robot arm or someone at the table sees them."""

from __future__ import annotations

import math

from pixio_edge.scenes.indoors import mixes
from pixio_edge.scenes.indoors.crowd import Crowd, crowd_of
from pixio_edge.scenes.indoors.dressing import along_walls, clutter
from pixio_edge.scenes.indoors.groups import chairs_at, equip_desk
from pixio_edge.scenes.indoors.heaps import fallen, heap
from pixio_edge.scenes.indoors.packing import pack_rows, sprinkle
from pixio_edge.scenes.indoors.rooms import Block, Room
from pixio_edge.scenes.indoors.setting import set_against, stand
from pixio_edge.scenes.indoors.viewpoints import Stance, look_at
from pixio_edge.scenes.kit import Kit, Placed, Spot
from pixio_edge.scenes.layouts.room import begin_room, finish_room
from pixio_edge.scenes.mesh import Look
from pixio_edge.scenes.scene import VIEWS, Camera, Scene
from pixio_edge.scenes.shapes import box

# An arm's camera, someone at the table, a phone held over it.
_STANCE = Stance((0.0, 0.0), (0.35, 1.3), (0.75, 1.3), 0.08, 0.1)
_TABLES = ("table", "table", "round_table", "desk", "low_table", "island", "table")
# Below this many things on a table, more are put between them.
_FEW = 5
_MIXES = (mixes.ANY, mixes.TABLE, mixes.DESK, mixes.COUNTER, mixes.SMALL, mixes.TOYS, mixes.TOOLS, mixes.DECOR)


def tabletop(kit: Kit) -> Scene:
    """5 to 40 things on a table, standing, lying, in trays and heaps, seen 15 to 75 degrees from above."""
    scene, room = begin_room(kit, "tabletop", (2.4, 5.0), (2.4, 5.5))
    table = _table(kit, scene, room)
    top = max(table.tops, key=lambda spot: spot.centre[2])
    if kit.chance(0.3):
        top = _cloth(kit, scene, top)
    _lay(kit, scene, table, top)
    _around(kit, scene, room, table)
    crowd = crowd_of(kit, scene)
    scene.cameras = [_view(kit, room, top, crowd) for _ in range(VIEWS)]
    return scene


def _lay(kit: Kit, scene: Scene, table: Placed, top: Spot) -> None:
    """Things on the table: a workplace, a heap, or anything side by side."""
    mix = kit.pick(_MIXES)
    style = kit.uniform(0.0, 1.0)
    if style < 0.12:
        equip_desk(kit, scene, table)
    elif style < 0.27:
        part = _part(kit, top, 0.2)
        heap(kit, scene, part, mix, kit.integer(6, 20))
        for x, y in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
            half = (top.half[0] / 2, top.half[1] / 2)
            corner = Spot(top.at(x * half[0], y * half[1]), half, top.yaw, top.headroom)
            if math.dist(corner.centre, part.centre) > 0.3:
                kit.scatter(scene, corner, mix, kit.uniform(0.1, 0.5), most=10, aligned=0.3)
    else:
        spot = _part(kit, top, kit.uniform(0.3, 0.7)) if kit.chance(0.6) else top
        small = kit.uniform(0.0, 1.5)
        mixed = mix | {key: mix.get(key, 0.0) + small * weight for key, weight in mixes.SMALL.items()}
        if kit.chance(0.5):
            gap = (0.008, kit.log_uniform(0.04, 0.3))
            things = pack_rows(kit, scene, spot, mixed, gap=gap, turned=kit.uniform(0.2, 1.0), most=45)
        else:
            things = kit.scatter(scene, spot, mixed, kit.uniform(0.15, 0.8), most=60, aligned=kit.uniform(0.0, 0.6))
        sprinkle(kit, scene, top, mixes.SMALL, things, count=kit.integer(0, 8) if len(things) > _FEW else 20)
        for thing in things:
            if thing.tops and kit.chance(0.7):
                clutter(kit, scene, thing, mixes.SMALL, (0.2, 0.6), most=6)
    if kit.chance(0.4):
        fallen(kit, scene, top, mix, kit.integer(1, 5))


def _table(kit: Kit, scene: Scene, room: Room) -> Placed:
    """Any table; in the middle of the room where it does not fit elsewhere."""
    kind = kit.pick(_TABLES)
    placed = set_against(kit, scene, room, kind) if kit.chance(0.5) else stand(kit, scene, room, kind, margin=0.2)
    if placed is not None:
        return placed
    placed = kit.place(scene, "table", (0.0, 0.0, 0.0), kit.pick((0.0, math.pi)))
    room.things.append(placed)
    room.blocks.append(Block(placed.low[0], placed.low[1], placed.high[0], placed.high[1], placed.high[2]))
    return placed


def _cloth(kit: Kit, scene: Scene, top: Spot) -> Spot:
    """A cloth, board or mat over most of the table."""
    share = kit.uniform(0.7, 1.03)
    half, thick = (top.half[0] * share, top.half[1] * share), kit.uniform(0.002, 0.012)
    look = kit.pick((Look("fabric"), Look("plastic"), Look("paper"), Look("wood"), Look("rubber")))
    kit.add(scene, box((2 * half[0], 2 * half[1], thick)), (kit.surface(look),), top.centre, top.yaw)
    x, y, z = top.centre
    return Spot((x, y, z + thick), half, top.yaw, top.headroom)


def _part(kit: Kit, top: Spot, half: float) -> Spot:
    """A piece of a spot, of half extent at most `half`."""
    a, b = min(half, top.half[0]), min(half, top.half[1])
    at = top.at(kit.uniform(a - top.half[0], top.half[0] - a), kit.uniform(b - top.half[1], top.half[1] - b))
    return Spot(at, (a, b), top.yaw, top.headroom)


def _around(kit: Kit, scene: Scene, room: Room, table: Placed) -> None:
    """What is behind and beside the table."""
    if table.high[2] > 0.65 and kit.chance(0.6):
        chairs_at(kit, scene, room, table, kit.integer(1, 4), people=0.15)
    along_walls(kit, scene, room, ("bookcase", "shelf", "storage", "table", "sofa", "rack"), count=kit.integer(2, 7))
    finish_room(kit, scene, room, pictures=(2, 9), loose=(0, 10))


def _view(kit: Kit, room: Room, top: Spot, crowd: Crowd) -> Camera:
    """A camera above the table, inside the room."""
    best, best_score = None, 0.0
    for _ in range(30):
        share = kit.uniform(0.0, 0.8)
        target = top.at(kit.uniform(-share, share) * top.half[0], kit.uniform(-share, share) * top.half[1])
        turn, rise, reach = kit.uniform(-math.pi, math.pi), kit.uniform(0.25, 1.3), kit.uniform(*_STANCE.distance)
        flat = reach * math.cos(rise)
        position = (
            target[0] + flat * math.cos(turn),
            target[1] + flat * math.sin(turn),
            target[2] + reach * math.sin(rise),
        )
        if not room.clear(position, 0.08):
            continue
        camera = look_at(kit, position, (target[0], target[1], target[2] + 0.05), _STANCE)
        score = crowd.seen(camera, reach=2.0) * kit.uniform(0.3, 1.0)
        if score > best_score:
            best, best_score = camera, score
            if kit.chance(0.25):
                break
    x, y, z = top.centre
    return best or look_at(kit, (x, y - 0.3, min(z + 1.0, room.height - 0.1)), top.centre, _STANCE)
