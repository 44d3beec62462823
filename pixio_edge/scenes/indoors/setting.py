"""Setting things against walls, hanging them on walls, and standing them on the free floor of a room."""

from __future__ import annotations

import math

from pixio_edge.scenes.indoors.rooms import Block, Patch, Room, Wall
from pixio_edge.scenes.kit import Kit, Placed
from pixio_edge.scenes.scene import Scene, Surface, Vector

_TRIES = 10
# What hangs higher than this keeps cameras away; what hangs lower is flat, metres.
_ABOVE_THINGS_M = 0.25


def set_against(
    kit: Kit,
    scene: Scene,
    room: Room,
    category: str | int,
    *,
    wall: Wall | None = None,
    along: float | None = None,
    gap: float = 0.01,
    beside: float = 0.35,
    surfaces: tuple[Surface, ...] | None = None,
) -> Placed | None:
    """Put a thing on the floor with its back to a wall; None where there is no room for it.

    Args:
        kit: Draws the place.
        scene: Gets the thing.
        room: Keeps what is taken.
        category: Category, name or index.
        wall: Which; None tries several.
        along: Middle of the thing along the wall, metres; None draws it.
        gap: Between back and wall, metres.
        beside: How often it is put right beside something else or into a corner.
        surfaces: One per slot; None draws them.
    """
    wide, deep, high = kit.size(index := category if isinstance(category, int) else kit.index(category))
    for _ in range(_TRIES if along is None else 1):
        chosen = wall or kit.pick(room.walls)
        if chosen.length < wide + 0.02 or high > room.height - 0.02:
            continue
        place = along if along is not None else _draw_along(kit, chosen, wide, beside)
        patch = Patch(place - wide / 2, place + wide / 2, 0.0, high)
        block = chosen.block(patch, gap, gap + deep)
        if patch.start >= 0 and patch.end <= chosen.length and chosen.free(patch) and room.free(block):
            chosen.patches.append(patch)
            room.blocks.append(block)
            at = (*chosen.at(place, gap + deep / 2), 0.0)
            room.things.append(kit.place(scene, index, at, chosen.yaw, surfaces=surfaces))
            return room.things[-1]
    return None


def _draw_along(kit: Kit, wall: Wall, wide: float, beside: float) -> float:
    if kit.chance(beside):
        standing = [patch for patch in wall.patches if patch.low < 0.05 and not patch.is_hole]
        spots = [wide / 2 + 0.02, wall.length - wide / 2 - 0.02]
        for patch in standing:
            spots += [patch.end + wide / 2 + 0.01, patch.start - wide / 2 - 0.01]
        return kit.pick(spots)
    return kit.uniform(wide / 2, wall.length - wide / 2)


def hang(
    kit: Kit,
    scene: Scene,
    room: Room,
    category: str | int,
    *,
    low: float,
    wall: Wall | None = None,
    along: float | None = None,
    scale: Vector = (1.0, 1.0, 1.0),
    scheme: dict[int, Surface] | None = None,
) -> Placed | None:
    """Put a thing on a wall with its lower edge at a height; None where there is no room for it.

    Args:
        kit: Draws the place.
        scene: Gets the thing.
        room: Has the walls.
        category: Category, name or index.
        low: Height of its lower edge, metres.
        wall: Which; None tries several.
        along: Its middle along the wall; None draws it.
        scale: Factors of its extents.
        scheme: Surfaces of some of its slots; the others are drawn.
    """
    size = kit.size(index := category if isinstance(category, int) else kit.index(category))
    wide, deep, high = (extent * factor for extent, factor in zip(size, scale, strict=True))
    for _ in range(_TRIES if along is None else 1):
        chosen = wall or kit.pick(room.walls)
        place = along if along is not None else kit.uniform(wide / 2 + 0.02, chosen.length - wide / 2 - 0.02)
        patch = Patch(place - wide / 2, place + wide / 2, low, low + high)
        fits = chosen.length > wide + 0.06 and low + high < room.height - 0.02
        if fits and chosen.free(patch):
            chosen.patches.append(patch)
            if low > _ABOVE_THINGS_M:
                room.blocks.append(chosen.block(patch, 0.0, deep))
            at = (*chosen.at(place, deep / 2 + 0.002), low)
            looks = kit.surfaces(kit.library.model(index), scheme)
            return kit.place(scene, index, at, chosen.yaw, scale=scale, surfaces=looks)
    return None


def stand(
    kit: Kit,
    scene: Scene,
    room: Room,
    category: str | int,
    *,
    at: tuple[float, float] | None = None,
    yaw: float | None = None,
    margin: float = 0.03,
    surfaces: tuple[Surface, ...] | None = None,
) -> Placed | None:
    """Put a thing on the free floor; None where there is no room for it.

    Args:
        kit: Draws place and turn where they are not given.
        scene: Gets the thing.
        room: Keeps what is taken.
        category: Category, name or index.
        at: World x, y; None draws it.
        yaw: Turn; None draws it.
        margin: Free space around it, metres; negative where things may overlap, as a chair under a table.
        surfaces: One per slot; None draws them.
    """
    index = category if isinstance(category, int) else kit.index(category)
    wide, deep, high = kit.size(index)
    for _ in range(_TRIES if at is None else 1):
        turn = kit.uniform(-math.pi, math.pi) if yaw is None else yaw
        c, s = abs(math.cos(turn)), abs(math.sin(turn))
        half_x, half_y = (c * wide + s * deep) / 2 + margin, (s * wide + c * deep) / 2 + margin
        x, y = at or _anywhere(kit, room, half_x, half_y)
        if high > room.height - 0.02 or not room.free(Block(x - half_x, y - half_y, x + half_x, y + half_y, high)):
            continue
        half_x, half_y = half_x - margin, half_y - margin
        room.blocks.append(Block(x - half_x, y - half_y, x + half_x, y + half_y, high))
        placed = kit.place(scene, index, (x, y, 0.0), turn, surfaces=surfaces)
        room.things.append(placed)
        return placed
    return None


def _anywhere(kit: Kit, room: Room, half_x: float, half_y: float) -> tuple[float, float]:
    """A place for a rectangle of these half extents; the middle of a room that is too small for it."""
    reach_x = max(0.0, (room.high[0] - room.low[0]) / 2 - half_x)
    reach_y = max(0.0, (room.high[1] - room.low[1]) / 2 - half_y)
    x, y = (room.low[0] + room.high[0]) / 2, (room.low[1] + room.high[1]) / 2
    return (x + kit.uniform(-reach_x, reach_x), y + kit.uniform(-reach_y, reach_y))
