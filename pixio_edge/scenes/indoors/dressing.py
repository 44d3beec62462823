"""What every room has besides its furniture groups: full shelves, pictures, loose things, lamps and ducts."""

from __future__ import annotations

from collections.abc import Sequence

from pixio_edge.scenes.indoors import mixes
from pixio_edge.scenes.indoors.packing import pack_rows
from pixio_edge.scenes.indoors.rooms import Room
from pixio_edge.scenes.indoors.setting import hang, set_against, stand
from pixio_edge.scenes.kit import Kit, Placed
from pixio_edge.scenes.scene import Scene

# Lower edges of what does not hang at eye level, metres.
_LEVELS = {"coat_rack": 0.75, "towel": 0.8, "air_conditioner": 1.95, "wall_lamp": 1.6}


def clutter(
    kit: Kit,
    scene: Scene,
    placed: Placed | None,
    mix: mixes.Mix,
    density: tuple[float, float] = (0.12, 0.65),
    *,
    most: int = 25,
) -> list[Placed]:
    """Things on all tops of a thing; nothing where nothing was placed."""
    if placed is None:
        return []
    things: list[Placed] = []
    for top in placed.tops:
        if top.half[0] > 0.3 and kit.chance(0.3):
            gap = (0.005, kit.log_uniform(0.03, 0.4))
            things += pack_rows(kit, scene, top, mix, gap=gap, turned=kit.uniform(0.0, 0.7), most=most)
            continue
        things += kit.scatter(scene, top, mix, kit.uniform(*density), most=most, aligned=kit.uniform(0.1, 0.8))
    return things


def along_walls(
    kit: Kit,
    scene: Scene,
    room: Room,
    kinds: Sequence[str],
    *,
    count: int,
    mix: mixes.Mix = mixes.SHELF,
    filled: float = 0.85,
) -> None:
    """Cupboards, shelves and such along the walls, with things in and on them."""
    for _ in range(count):
        placed = set_against(kit, scene, room, kit.pick(kinds), gap=kit.uniform(0.0, 0.06))
        if kit.chance(filled):
            clutter(kit, scene, placed, mix, (0.15, 0.65), most=14)


def on_walls(kit: Kit, scene: Scene, room: Room, count: int, kinds: Sequence[str]) -> None:
    """Pictures, boards, clocks, shelves on the walls, most at eye level."""
    for _ in range(count):
        kind = kit.pick(kinds)
        index = kit.index(kind)
        high = kit.size(index)[2]
        low = _LEVELS[kind] if kind in _LEVELS else 1.55 - high / 2 + kit.normal(0.0, 0.15)
        if kind == "wall_detail":
            low = kit.pick((0.3, 1.1, 1.1, 1.5, 2.1))
        placed = hang(kit, scene, room, index, low=max(low, 0.3))
        clutter(kit, scene, placed, mixes.SHELF, (0.2, 0.6), most=12)


def on_floor(kit: Kit, scene: Scene, room: Room, count: int, mix: mixes.Mix = mixes.FLOOR) -> None:
    """Loose things on the floor: half of them at walls and furniture, half anywhere."""
    for _ in range(count):
        kind = kit.weighted(mix)
        if kit.chance(0.5):
            placed = set_against(kit, scene, room, kind, gap=kit.uniform(0.0, 0.1), beside=0.7)
        else:
            placed = stand(kit, scene, room, kind)
        if placed is None:
            continue
        if kit.chance(0.6):
            clutter(kit, scene, placed, mixes.STORE, (0.2, 0.6), most=4)
        if kind == "cardboard" and kit.chance(0.4):
            _stack(kit, scene, placed)


def _stack(kit: Kit, scene: Scene, placed: Placed) -> None:
    """One or two more boxes on a box."""
    level = placed.shift[2] + placed.high[2]
    for _ in range(kit.integer(1, 2)):
        index = kit.index("cardboard")
        factor = min(1.0, (placed.high[0] - placed.low[0]) / kit.size(index)[0])
        at = (placed.shift[0], placed.shift[1], level)
        kit.place(scene, index, at, placed.yaw + kit.normal(0.0, 0.2), scale=factor)
        level += kit.size(index)[2] * factor


def below_ceiling(kit: Kit, scene: Scene, room: Room) -> None:
    """Lamps, ducts and pipes below the ceiling."""
    if kit.chance(0.75):
        kind = kit.pick(("pendant", "ceiling_lamp"))
        index = kit.index(kind)
        high = kit.size(index)[2]
        columns = kit.integer(1, 3) if kind == "ceiling_lamp" else kit.integer(1, 2)
        for i in range(columns):
            x = room.low[0] + (room.high[0] - room.low[0]) * (i + 0.5) / columns
            y = (room.low[1] + room.high[1]) / 2 + kit.normal(0.0, 0.2)
            kit.place(scene, index, (x, y, room.height - high), 0.0)
    if kit.chance(0.12):
        index = kit.index("duct")
        y = kit.uniform(room.low[1] + 0.3, room.high[1] - 0.3)
        at = ((room.low[0] + room.high[0]) / 2, y, room.height - kit.size(index)[2] - 0.02)
        scale = ((room.high[0] - room.low[0]) / kit.size(index)[0], 1.0, 1.0)
        kit.place(scene, index, at, 0.0, scale=scale)
