"""Large rooms with rows of furniture: open offices, canteens, libraries, shops, stores, lobbies, exhibitions."""

from __future__ import annotations

import math
from collections.abc import Callable

from pixio_edge.scenes.indoors import mixes
from pixio_edge.scenes.indoors.dressing import along_walls, clutter, on_floor, on_walls
from pixio_edge.scenes.indoors.groups import chairs_at, draw_up, equip_desk, lounge, seat_person
from pixio_edge.scenes.indoors.openings import add_doors, add_windows
from pixio_edge.scenes.indoors.rooms import Block, Room, make_room
from pixio_edge.scenes.indoors.setting import stand
from pixio_edge.scenes.indoors.shells import add_shell, shell_looks
from pixio_edge.scenes.indoors.viewpoints import Stance, room_views
from pixio_edge.scenes.kit import Kit, Placed
from pixio_edge.scenes.light import room_light
from pixio_edge.scenes.scene import Scene

_STANCES = (
    Stance((1.3, 1.8), (1.2, 8.0), (0.85, 1.4)),
    Stance((1.3, 1.8), (1.2, 8.0), (0.85, 1.4)),
    Stance((1.0, 1.7), (0.7, 2.0), (0.8, 1.25), 0.1),
    Stance((0.3, 1.0), (1.0, 6.0), (0.9, 1.45)),
    Stance((2.2, 4.0), (2.0, 8.0), (0.9, 1.4)),
)
# Of a grid: a hall of a thousand chairs takes as long as ten rooms.
_MOST_PLACES = 100
# Of tables, pairs of desks and pairs of shelves with what is on them.
_MOST_GROUPS = 24
_PLINTH_THINGS = {"decor": 3.0, "container": 0.5, "toy": 0.5, "plant": 1.0, "electronics": 0.5}


def hall(kit: Kit) -> Scene:
    """A large room of one purpose, with its things in rows, pillars, and people."""
    scene = Scene("hall")
    room = make_room(kit, kit.uniform(5.5, 14.0), kit.uniform(7.0, 18.0), kit.uniform(2.7, 5.5), corner=0.3)
    looks = shell_looks(kit, tiles=0.1)
    add_doors(kit, scene, room, looks, kit.integer(1, 4))
    add_windows(kit, scene, room, kit.integer(1, 8), open_share=0.5)
    room_light(kit, scene, (*room.low, 0.0), (*room.high, room.height))
    add_shell(kit, scene, room, looks)
    _pillars(kit, scene, room)
    for _ in range(kit.integer(1, 2)):
        kit.pick(_PURPOSES)(kit, scene, room)
    kinds = ("storage", "bookcase", "shelf", "rack", "seat", "table", "sofa", "low_table", "wall_thing")
    along_walls(kit, scene, room, kinds, count=kit.integer(3, 14))
    for _ in range(kit.integer(0, 6)):
        stand(kit, scene, room, kit.pick(("room_thing", "floor_plant", "floor_lamp", "partition", "seat", "bin")))
    for _ in range(kit.integer(0, 8) if kit.chance(0.5) else 0):
        stand(kit, scene, room, "pedestrian", margin=0.15)
    on_walls(kit, scene, room, kit.integer(3, 14), ("wall_picture", "board", "posters", "television", "wall_detail"))
    on_floor(kit, scene, room, kit.integer(0, 10))
    _lamps(kit, scene, room)
    scene.cameras = room_views(kit, scene, room, stances=_STANCES, reach=12.0)
    return scene


def _rows(kit: Kit, room: Room, step: tuple[float, float], fill: float) -> list[tuple[float, float]]:
    """Places in a grid that takes most of a room, each kept as often as `fill` says."""
    (x0, y0), (x1, y1) = room.low, room.high
    x0, x1 = x0 + kit.uniform(0.5, 1.5), x1 - kit.uniform(0.5, 1.5)
    y0, y1 = y0 + kit.uniform(0.5, 2.0), y1 - kit.uniform(0.5, 2.0)
    columns, rows = max(1, int((x1 - x0) / step[0])), max(1, int((y1 - y0) / step[1]))
    places = [
        (x0 + (i + 0.5) * (x1 - x0) / columns, y0 + (j + 0.5) * (y1 - y0) / rows)
        for i in range(columns)
        for j in range(rows)
        if kit.chance(fill)
    ]
    return places[:_MOST_PLACES]


def _tables(kit: Kit, scene: Scene, room: Room) -> None:
    """Canteen, restaurant or class room."""
    index = kit.index("table")
    wide, deep, _ = kit.size(index)
    turn = kit.pick((0.0, math.pi / 2))
    mix = kit.pick((mixes.TABLE, mixes.DESK))
    step = (wide + kit.uniform(0.6, 1.5), deep + kit.uniform(1.2, 1.8))
    for at in _rows(kit, room, step if turn == 0.0 else (step[1], step[0]), 0.85)[:_MOST_GROUPS]:
        table = stand(kit, scene, room, index, at=at, yaw=turn + kit.normal(0.0, 0.04))
        if table is not None:
            clutter(kit, scene, table, mix, (0.0, 0.3), most=8)
            chairs_at(kit, scene, room, table, kit.integer(1, 4), people=0.12)


def _desks(kit: Kit, scene: Scene, room: Room) -> None:
    """Open-plan office: desks back to back with chairs, some with partitions."""
    index, chair = kit.index("desk"), kit.index("office_chair")
    surfaces = kit.surfaces(kit.library.model(index))
    colours = kit.surfaces(kit.library.model(chair))
    wide, deep, _ = kit.size(index)
    for x, y in _rows(kit, room, (wide + kit.uniform(0.05, 0.6), 2 * deep + kit.uniform(1.8, 2.6)), 0.85)[
        :_MOST_GROUPS
    ]:
        for side in (-1, 1):
            yaw = 0.0 if side < 0 else math.pi
            at = (x, y + side * (deep / 2 + 0.02))
            desk = stand(kit, scene, room, index, at=at, yaw=yaw, margin=0.0, surfaces=surfaces)
            if desk is None:
                continue
            equip_desk(kit, scene, desk)
            seat = (x + kit.uniform(-0.25, 0.25), y + side * (deep + kit.uniform(0.2, 0.6)))
            turn = yaw + math.pi + kit.normal(0.0, 0.5)
            if kit.chance(0.15):
                continue
            drawn = draw_up(kit, scene, room, desk, chair=(chair, colours), place=(*seat, turn))
            if drawn is not None and kit.chance(0.15):
                seat_person(kit, scene, seat, turn)


def _shelves(kit: Kit, scene: Scene, room: Room) -> None:
    """Library, shop or store: rows of shelves with aisles between them."""
    kind = kit.pick(("bookcase", "shelf", "rack"))
    mix = kit.pick((mixes.SHELF, mixes.ANY, mixes.STORE, mixes.COUNTER, mixes.TOYS))
    index = kit.index(kind)
    wide, deep, _ = kit.size(index)
    for x, y in _rows(kit, room, (wide + 0.01, 2 * deep + kit.uniform(1.1, 1.9)), 0.8)[:_MOST_GROUPS]:
        for side in (-1, 1):
            at, yaw = (x, y + side * (deep / 2 + 0.01)), 0.0 if side < 0 else math.pi
            placed = stand(kit, scene, room, index, at=at, yaw=yaw, margin=0.0)
            if placed is not None and kit.chance(0.75):
                _fill_some(kit, scene, placed, mix)


def _fill_some(kit: Kit, scene: Scene, placed: Placed, mix: mixes.Mix) -> None:
    """Things on about half of the boards: a hall has thousands."""
    for top in placed.tops:
        if kit.chance(0.5):
            kit.scatter(scene, top, mix, kit.uniform(0.2, 0.6), most=5, aligned=0.7)


def _seats(kit: Kit, scene: Scene, room: Room) -> None:
    """Rows of chairs, as for a lecture, with people on some."""
    index = kit.index("seat")
    surfaces = kit.surfaces(kit.library.model(index))
    wide, deep, _ = kit.size(index)
    turn = kit.pick((0.0, math.pi))
    for at in _rows(kit, room, (wide + kit.uniform(0.05, 0.3), deep + kit.uniform(0.3, 0.7)), 0.8):
        yaw = turn + kit.normal(0.0, 0.08)
        seat = stand(kit, scene, room, index, at=at, yaw=yaw, margin=0.0, surfaces=surfaces)
        if seat is not None and kit.chance(0.12):
            seat_person(kit, scene, at, yaw)


def _lobby(kit: Kit, scene: Scene, room: Room) -> None:
    """Groups of sofas, counters, plants."""
    for _ in range(kit.integer(2, 5)):
        lounge(kit, scene, room)
    for _ in range(kit.integer(0, 3)):
        clutter(kit, scene, stand(kit, scene, room, "island"), mixes.DESK)
    for _ in range(kit.integer(1, 6)):
        stand(kit, scene, room, kit.pick(("floor_plant", "round_table", "bench", "floor_lamp")))


def _exhibits(kit: Kit, scene: Scene, room: Room) -> None:
    """Museum, gallery or workshop: plinths, crates and benches with things on them."""
    for at in _rows(kit, room, (kit.uniform(1.2, 2.4), kit.uniform(1.2, 2.4)), 0.7):
        kind = kit.weighted(
            {"cardboard": 1.0, "crate": 1.0, "low_table": 1.0, "island": 0.7, "table": 1.0, "storage": 1.0}
        )
        placed = stand(kit, scene, room, kind, at=at, yaw=kit.pick((0.0, math.pi / 2)) + kit.normal(0.0, 0.1))
        for top in placed.tops if placed is not None else ():
            kit.scatter(scene, top, _PLINTH_THINGS, kit.uniform(0.2, 0.6), most=5, scale=(1.0, 2.0))


_PURPOSES: tuple[Callable[[Kit, Scene, Room], None], ...] = (_tables, _desks, _shelves, _seats, _lobby, _exhibits)


def _pillars(kit: Kit, scene: Scene, room: Room) -> None:
    """Pillars in a wide grid."""
    if kit.chance(0.5):
        return
    index = kit.index("pillar")
    surfaces = kit.surfaces(kit.library.model(index))
    half = max(kit.size(index)[:2]) / 2
    for x, y in _rows(kit, room, (kit.uniform(3.0, 5.0), kit.uniform(3.0, 5.0)), 1.0):
        block = Block(x - half, y - half, x + half, y + half, room.height)
        if room.free(block):
            room.blocks.append(block)
            kit.place(scene, index, (x, y, 0.0), scale=(1.0, 1.0, room.height / kit.size(index)[2]), surfaces=surfaces)


def _lamps(kit: Kit, scene: Scene, room: Room) -> None:
    """Lamps of one kind in a grid below the ceiling."""
    index = kit.index(kit.pick(("ceiling_lamp", "ceiling_lamp", "pendant")))
    surfaces = kit.surfaces(kit.library.model(index))
    for x, y in _rows(kit, room, (kit.uniform(2.0, 3.5), kit.uniform(2.0, 3.5)), 1.0):
        kit.place(scene, index, (x, y, room.height - kit.size(index)[2]), surfaces=surfaces)
