"""Things that belong together: a table with its chairs, a desk with what is on it, a sofa with its table."""

from __future__ import annotations

import math

from pixio_edge.scenes.indoors import mixes
from pixio_edge.scenes.indoors.dressing import clutter
from pixio_edge.scenes.indoors.rooms import Block, Room, Wall
from pixio_edge.scenes.indoors.setting import set_against, stand
from pixio_edge.scenes.kit import Kit, Placed, Spot
from pixio_edge.scenes.scene import Scene, Surface, Vector


def before(placed: Placed, out: float, side: float = 0.0) -> tuple[float, float]:
    """World x, y of a point that far before the front of a thing and to its right."""
    c, s = math.cos(placed.yaw), math.sin(placed.yaw)
    x, y = side, placed.low[1] - out
    return (placed.shift[0] + c * x - s * y, placed.shift[1] + s * x + c * y)


def chairs_at(kit: Kit, scene: Scene, room: Room, table: Placed, count: int, *, people: float = 0.1) -> None:
    """Chairs of one kind on the sides of a table, drawn up, pushed back, or turned; some with people."""
    index = kit.index("seat") if kit.chance(0.3) else kit.index("dining_chair")
    surfaces = kit.surfaces(kit.library.model(index))
    _, deep, _ = kit.size(index)
    sides = [(0.0, -1), (0.0, 1), (1.0, 0), (-1.0, 0)]
    spots: list[tuple[float, float, float]] = []
    for along, across in sides:
        long = table.high[0] - table.low[0] if across else table.high[1] - table.low[1]
        seats = max(1, int(long / 0.62))
        for i in range(seats):
            offset = (i - (seats - 1) / 2) * long / seats
            out = deep * kit.uniform(-0.25, 0.45)
            if across:
                edge = table.high[1] if across > 0 else table.low[1]
                spots.append((offset, edge + across * (out + deep * 0.2), 0.0 if across > 0 else math.pi))
            else:
                edge = table.high[0] if along > 0 else table.low[0]
                spots.append((edge + along * (out + deep * 0.2), offset, -math.pi / 2 * along))
    kit.quick.shuffle(spots)
    c, s = math.cos(table.yaw), math.sin(table.yaw)
    for x, y, turn in spots[:count]:
        at = (table.shift[0] + c * x - s * y, table.shift[1] + s * x + c * y)
        yaw = table.yaw + turn + (kit.normal(0.0, 0.15) if kit.chance(0.7) else kit.normal(0.0, 0.8))
        chair = draw_up(kit, scene, room, table, chair=(index, surfaces), place=(*at, yaw))
        if chair is None:
            continue
        if kit.chance(people):
            seat_person(kit, scene, at, yaw)
        elif kit.chance(0.2):
            clutter(kit, scene, chair, mixes.CHAIR, (0.3, 0.6), most=2)


def draw_up(
    kit: Kit,
    scene: Scene,
    room: Room,
    table: Placed,
    *,
    chair: tuple[int, tuple[Surface, ...]],
    place: tuple[float, float, float],
) -> Placed | None:
    """A chair at a table, which it may be below; None where something else is.

    Args:
        kit: Places it.
        scene: Gets it.
        room: Keeps what is taken.
        table: Table or desk.
        chair: Model and surfaces.
        place: x, y and yaw.
    """
    wide, deep, high = kit.size(chair[0])
    x, y, yaw = place
    # A little less than its extent: chairs of a row touch.
    half = 0.42 * max(wide, deep)
    block = Block(x - half, y - half, x + half, y + half, high)
    own = [other for other in room.blocks if _holds(other, table.shift)]
    others = Room(room.low, room.high, room.height, [], [other for other in room.blocks if other not in own])
    if not others.free(block):
        return None
    room.blocks.append(block)
    return kit.place(scene, chair[0], (x, y, 0.0), yaw, surfaces=chair[1])


def _holds(block: Block, point: Vector) -> bool:
    return block.x0 < point[0] < block.x1 and block.y0 < point[1] < block.y1


def seat_person(kit: Kit, scene: Scene, at: tuple[float, float], yaw: float) -> None:
    """Someone on the chair at x, y; the middle of a sitting body is well before that of its chair."""
    place = (at[0] + 0.2 * math.sin(yaw), at[1] - 0.2 * math.cos(yaw), 0.0)
    kit.place(scene, "sitting_person", place, yaw)


def dining(kit: Kit, scene: Scene, room: Room, mix: mixes.Mix = mixes.TABLE) -> Placed | None:
    """A table in the room with chairs around and things on it."""
    yaw = kit.pick((0.0, math.pi / 2)) + kit.normal(0.0, 0.05 if kit.chance(0.7) else 0.4)
    table = stand(kit, scene, room, "table", yaw=yaw, margin=0.2)
    if table is None:
        return None
    clutter(kit, scene, table, mix, (0.1, 0.65), most=40)
    chairs_at(kit, scene, room, table, kit.integer(1, 6))
    if kit.chance(0.35):
        over(kit, scene, room, table)
    return table


def over(kit: Kit, scene: Scene, room: Room, table: Placed) -> None:
    """A lamp that hangs above a table."""
    index = kit.index("pendant")
    kit.place(scene, index, (table.shift[0], table.shift[1], room.height - kit.size(index)[2]))


def workplace(kit: Kit, scene: Scene, room: Room, *, wall: Wall | None = None, free: bool = False) -> Placed | None:
    """A desk at a wall or in the room, with a screen and its things, a chair before it, and something above it."""
    if free:
        yaw = kit.pick((0.0, math.pi / 2, math.pi, -math.pi / 2)) + kit.normal(0.0, 0.05)
        desk = stand(kit, scene, room, "desk", yaw=yaw)
    else:
        desk = set_against(kit, scene, room, "desk", wall=wall, gap=kit.uniform(0.0, 0.08))
    if desk is None:
        return None
    equip_desk(kit, scene, desk)
    index = kit.index("office_chair" if kit.chance(0.75) else "seat")
    x, y = before(desk, kit.uniform(-0.1, 0.45), kit.uniform(-0.3, 0.3))
    yaw = desk.yaw + math.pi + (kit.normal(0.0, 0.3) if kit.chance(0.7) else kit.uniform(-3.0, 3.0))
    surfaces = kit.surfaces(kit.library.model(index))
    chair = draw_up(kit, scene, room, desk, chair=(index, surfaces), place=(x, y, yaw))
    if chair is not None and kit.chance(0.12):
        seat_person(kit, scene, (x, y), yaw)
    return desk


def equip_desk(kit: Kit, scene: Scene, desk: Placed) -> None:
    """Screen, keyboard and mouse near the middle of a desk's far half; other things over all of it."""
    for top in desk.tops[-1:]:
        taken = 0.0
        if kit.chance(0.75) and top.half[0] > 0.4:
            middle = kit.uniform(-0.4, 0.4) * top.half[0]
            screens = 2 if kit.chance(0.3) and top.half[0] > 0.7 else 1
            for i in range(screens):
                x = middle + (i - (screens - 1) / 2) * 0.6
                at = top.at(x, top.half[1] * kit.uniform(0.3, 0.6))
                kit.place(scene, "monitor", at, top.yaw + kit.normal(-0.3 * (2 * i - screens + 1), 0.12))
            kit.place(
                scene,
                "keyboard",
                top.at(middle + kit.normal(0, 0.05), -top.half[1] * 0.35),
                top.yaw + kit.normal(0, 0.1),
            )
            kit.place(scene, "mouse", top.at(middle + 0.32, -top.half[1] * 0.35), top.yaw + kit.normal(0, 0.3))
            taken = middle
        for side in (-1, 1):
            edge = taken + side * 0.4 if taken or kit.chance(0.5) else 0.0
            low, high = (edge, top.half[0]) if side > 0 else (-top.half[0], edge)
            if high - low > 0.12:
                spot = Spot(top.at((low + high) / 2, 0.0), ((high - low) / 2, top.half[1]), top.yaw, top.headroom)
                kit.scatter(scene, spot, mixes.DESK, kit.uniform(0.15, 0.75), most=24, aligned=0.6)


def lounge(kit: Kit, scene: Scene, room: Room) -> Placed | None:
    """A sofa, mostly at a wall, with a low table before it, a lamp beside it and perhaps an armchair."""
    if kit.chance(0.75):
        sofa = set_against(kit, scene, room, "sofa", gap=kit.uniform(0.02, 0.1), beside=0.15)
    else:
        sofa = stand(kit, scene, room, "sofa", yaw=kit.pick((0.0, math.pi / 2, math.pi, -math.pi / 2)))
    if sofa is None:
        return None
    if kit.chance(0.5):
        clutter(kit, scene, sofa, mixes.SOFA, (0.1, 0.4), most=6)
    elif kit.chance(0.25):
        side = kit.uniform(-0.3, 0.3) * (sofa.high[0] - sofa.low[0])
        x, y = before(sofa, -0.5 * (sofa.high[1] - sofa.low[1]), side)
        seat_person(kit, scene, (x, y), sofa.yaw)
    if kit.chance(0.8):
        x, y = before(sofa, kit.uniform(0.5, 0.85), kit.uniform(-0.3, 0.3))
        if kit.chance(0.6):
            kit.place(scene, "rug", (x, y, 0.001), sofa.yaw + kit.normal(0, 0.1))
        low_table = stand(kit, scene, room, "low_table", at=(x, y), yaw=sofa.yaw + kit.normal(0, 0.08), margin=0.0)
        clutter(kit, scene, low_table, mixes.TABLE, (0.1, 0.5))
        if kit.chance(0.5):
            x, y = before(sofa, kit.uniform(1.1, 1.8), kit.uniform(-1.2, 1.2))
            stand(kit, scene, room, "armchair", at=(x, y), yaw=sofa.yaw + math.pi + kit.uniform(-1.2, 1.2))
    if kit.chance(0.6):
        wall = _wall_behind(room, sofa)
        set_against(kit, scene, room, "floor_lamp", wall=wall, beside=1.0)
    return sofa


def media(kit: Kit, scene: Scene, room: Room) -> Placed | None:
    """A low cupboard with a television on it or above it."""
    chest = set_against(kit, scene, room, kit.pick(("chest_of_drawers", "low_table", "cabinet")), beside=0.1)
    if chest is None:
        return None
    height, wide = chest.high[2], chest.high[0] - chest.low[0]
    index = kit.index("television")
    if height < 0.95 and kit.size(index)[0] < wide + 0.4:
        x, y = before(chest, -0.5 * (chest.high[1] - chest.low[1]))
        kit.place(scene, index, (x, y, height), chest.yaw)
    else:
        clutter(kit, scene, chest, mixes.SHELF, (0.1, 0.5))
    return chest


def sleeping(kit: Kit, scene: Scene, room: Room) -> Placed | None:
    """A bed with its head at a wall and night tables."""
    bed = set_against(kit, scene, room, "bed", gap=0.02, beside=0.3)
    if bed is None:
        return None
    if kit.chance(0.6):
        clutter(kit, scene, bed, mixes.BED, (0.1, 0.4), most=8)
    wall = _wall_behind(room, bed)
    for side in (-1, 1):
        if kit.chance(0.6):
            index = kit.index(kit.pick(("chest_of_drawers", "round_table", "low_table")))
            if kit.size(index)[0] < 0.75 and kit.size(index)[2] < 0.8:
                along = _along(wall, bed) + side * (bed.high[0] + kit.size(index)[0] / 2 + 0.05)
                table = set_against(kit, scene, room, index, wall=wall, along=along)
                clutter(kit, scene, table, mixes.SHELF, (0.15, 0.6), most=8)
    return bed


def _along(wall: Wall, placed: Placed) -> float:
    """How far along a wall a thing stands."""
    c, s = math.cos(wall.turn), math.sin(wall.turn)
    return c * (placed.shift[0] - wall.x) + s * (placed.shift[1] - wall.y)


def _wall_behind(room: Room, placed: Placed) -> Wall:
    """The wall that a thing has at its back."""
    return min(room.walls, key=lambda wall: abs(math.remainder(wall.yaw - placed.yaw, 2 * math.pi)))
