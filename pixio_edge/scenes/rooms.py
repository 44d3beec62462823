"""Rooms: floor plans, walls with openings, what is taken of floor and walls, and things set against them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.carpentry import Parts
from pixio_edge.scenes.hulls import quads
from pixio_edge.scenes.kit import Kit, Placed
from pixio_edge.scenes.mesh import Look, Mesh, merge
from pixio_edge.scenes.scene import Scene, Surface, Vector

# Free space that is kept before a door, metres.
_DOOR_CLEARANCE = 0.75
_TRIES = 10
# Slots of a shell.
WALL, ACCENT, TRIM, CEILING, FLOOR, LOWER = range(6)


@dataclass(frozen=True, slots=True)
class Block:
    """What is taken of the floor: a rectangle in the world up to a height."""

    x0: float
    y0: float
    x1: float
    y1: float
    top: float


@dataclass(frozen=True, slots=True)
class Patch:
    """What is taken of a wall: from start to end along it, from low to high."""

    start: float
    end: float
    low: float
    high: float
    is_hole: bool = False


@dataclass(slots=True)
class Wall:
    """A straight wall; the room is to the left of its direction.

    Attributes:
        x, y: Where it starts.
        turn: Direction, radians from +x.
        length: Metres.
        patches: Doors, windows and things on and before it.
    """

    x: float
    y: float
    turn: float
    length: float
    patches: list[Patch] = field(default_factory=list)

    def at(self, along: float, out: float) -> tuple[float, float]:
        """World x, y of a point that far along the wall and that far into the room."""
        c, s = math.cos(self.turn), math.sin(self.turn)
        return (self.x + c * along - s * out, self.y + s * along + c * out)

    @property
    def yaw(self) -> float:
        """Turn of a thing with its back to this wall."""
        return self.turn + math.pi

    def free(self, patch: Patch) -> bool:
        """Whether nothing is there yet."""
        return not any(
            patch.start < other.end and patch.end > other.start and patch.low < other.high and patch.high > other.low
            for other in self.patches
        )


@dataclass(slots=True)
class Room:
    """A room with upright walls at right angles, floor at z = 0.

    Attributes:
        low, high: Corners of its rectangle, metres.
        height: Of the ceiling.
        walls: All walls.
        blocks: What stands in it; a notch of an L-shaped room is one too.
        things: What was set into it, most important first: what cameras look at.
    """

    low: tuple[float, float]
    high: tuple[float, float]
    height: float
    walls: list[Wall]
    blocks: list[Block] = field(default_factory=list)
    things: list[Placed] = field(default_factory=list)
    notch: Block | None = None

    def free(self, block: Block, *, margin: float = 0.0) -> bool:
        """Whether a block is inside the room and meets no other."""
        if block.x0 < self.low[0] - margin or block.x1 > self.high[0] + margin:
            return False
        if block.y0 < self.low[1] - margin or block.y1 > self.high[1] + margin:
            return False
        return not any(
            block.x0 < other.x1 and block.x1 > other.x0 and block.y0 < other.y1 and block.y1 > other.y0
            for other in self.blocks
        )

    def clear(self, point: Vector, margin: float) -> bool:
        """Whether a point is inside and farther than a margin from walls and from what stands there."""
        x, y, z = point
        if not (self.low[0] + margin < x < self.high[0] - margin and self.low[1] + margin < y < self.high[1] - margin):
            return False
        if not margin / 2 < z < self.height - margin / 2:
            return False
        return not any(
            block.x0 - margin < x < block.x1 + margin
            and block.y0 - margin < y < block.y1 + margin
            and z < block.top + margin
            for block in self.blocks
        )

    def taken(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which points, (N, 3), are outside or in something that stands here."""
        x, y, z = points[:, 0, None], points[:, 1, None], points[:, 2, None]
        outside = (x < self.low[0]) | (x > self.high[0]) | (y < self.low[1]) | (y > self.high[1])
        outside |= (z < 0.0) | (z > self.height)
        if not self.blocks:
            return outside[:, 0]
        sides = np.array([(block.x0, block.y0, block.x1, block.y1, block.top) for block in self.blocks]).T
        inside = (x > sides[0]) & (x < sides[2]) & (y > sides[1]) & (y < sides[3]) & (z < sides[4])
        result: NDArray[np.bool_] = outside[:, 0] | inside.any(axis=1)
        return result


def make_room(kit: Kit, width: float, length: float, height: float, *, corner: float = 0.0) -> Room:
    """A room centred on the origin.

    Args:
        kit: Draws the notch.
        width: Along x, metres.
        length: Along y.
        height: Of the ceiling.
        corner: How often one corner is cut out, which makes it L-shaped.
    """
    x, y = width / 2, length / 2
    points = [(-x, -y), (x, -y), (x, y), (-x, y)]
    notch = None
    if kit.chance(corner):
        wide, deep = kit.uniform(0.2, 0.45) * width, kit.uniform(0.2, 0.45) * length
        notch = Block(x - wide, y - deep, x + 1.0, y + 1.0, height + 1.0)
        points[2:3] = [(x, y - deep), (x - wide, y - deep), (x - wide, y)]
        if kit.chance(0.5):
            notch = Block(-notch.x1, notch.y0, -notch.x0, notch.y1, notch.top)
            points = [(-a, b) for a, b in reversed(points)]
    walls = []
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        walls.append(Wall(x0, y0, math.atan2(y1 - y0, x1 - x0), math.hypot(x1 - x0, y1 - y0)))
    return Room((-x, -y), (x, y), height, walls, [notch] if notch else [], [], notch)


def open_wall(room: Room, wall: Wall, patch: Patch) -> bool:
    """Cut a hole into a wall; False where something is."""
    if not wall.free(patch) or patch.start < 0.05 or patch.end > wall.length - 0.05:
        return False
    wall.patches.append(Patch(patch.start, patch.end, patch.low, patch.high, True))
    if patch.low < 0.3:
        keep_clear(room, wall, patch.start, patch.end)
    return True


def keep_clear(room: Room, wall: Wall, start: float, end: float) -> None:
    """Nothing is to stand before a door."""
    (xa, ya), (xb, yb) = wall.at(start, 0.0), wall.at(end, _DOOR_CLEARANCE)
    room.blocks.append(Block(min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb), 0.0))


def shell_looks(kit: Kit, *, tiles: float = 0.0) -> dict[int, Surface]:
    """Surfaces of a shell by slot.

    Args:
        kit: Draws them.
        tiles: How often the lower part of the walls is tiled or panelled.
    """
    wall = kit.surface(Look("wall", repeat_m=(0.8, 3.0)))
    lower = wall
    if kit.chance(tiles):
        lower = kit.surface(Look("tiles" if kit.chance(0.7) else "wood", repeat_m=(0.4, 1.5)))
    elif kit.chance(0.1):
        lower = kit.surface(Look("paint"))
    return {
        WALL: wall,
        ACCENT: kit.surface(Look("wall", repeat_m=(0.8, 3.0))) if kit.chance(0.4) else wall,
        TRIM: kit.surface(Look("paint", tint=(0.92, 0.92, 0.9)) if kit.chance(0.6) else Look("wood")),
        CEILING: kit.surface(Look("ceiling", repeat_m=(0.6, 2.0))),
        FLOOR: kit.surface(Look("floor", gloss=(0.0, 0.4), repeat_m=(0.6, 2.5))),
        LOWER: lower,
    }


def add_shell(kit: Kit, scene: Scene, room: Room, looks: dict[int, Surface], *, thickness: float = 0.16) -> None:
    """Walls with their openings, floor, ceiling and skirting as a mesh of the scene.

    Args:
        kit: Draws the details.
        scene: Gets the mesh.
        room: The room, with all its openings cut.
        looks: Surface by slot, see `shell_looks`.
        thickness: Depth of the openings, metres.
    """
    lower = kit.uniform(0.8, 1.5)
    faces: list[tuple[tuple[float, float, float], ...]] = []
    slots: list[int] = []
    for number, wall in enumerate(room.walls):
        _wall_faces(wall, room.height, lower, ACCENT if number == 0 else WALL, faces, slots)
        for hole in (patch for patch in wall.patches if patch.is_hole):
            _reveal(wall, hole, thickness, faces, slots)
    for x0, y0, x1, y1 in _floor_rectangles(room):
        faces.append(((x0, y0, 0.0), (x1, y0, 0.0), (x1, y1, 0.0), (x0, y1, 0.0)))
        h = room.height
        faces.append(((x0, y1, h), (x1, y1, h), (x1, y0, h), (x0, y0, h)))
        slots += [FLOOR, CEILING]
    mesh = merge([quads(np.array(faces), slots), *_trim(kit, room)])
    kit.add(scene, mesh, [looks[slot] for slot in range(6)])


def _floor_rectangles(room: Room) -> list[tuple[float, float, float, float]]:
    (x0, y0), (x1, y1) = room.low, room.high
    if room.notch is None:
        return [(x0, y0, x1, y1)]
    notch = room.notch
    upper = (x0, notch.y0, notch.x0, y1) if notch.x0 > x0 else (notch.x1, notch.y0, x1, y1)
    return [(x0, y0, x1, notch.y0), upper]


def _wall_faces(
    wall: Wall, height: float, lower: float, slot: int, faces: list[tuple[Vector, ...]], slots: list[int]
) -> None:
    """Rectangles of a wall around its holes, and those of its lower part."""
    holes = [patch for patch in wall.patches if patch.is_hole]
    xs = sorted({0.0, wall.length, *(hole.start for hole in holes), *(hole.end for hole in holes)})
    zs = sorted({0.0, lower, height, *(hole.low for hole in holes), *(hole.high for hole in holes)})
    for a, b in zip(xs, xs[1:], strict=False):
        (xa, ya), (xb, yb) = wall.at(a, 0.0), wall.at(b, 0.0)
        for low, high in zip(zs, zs[1:], strict=False):
            middle = ((a + b) / 2, (low + high) / 2)
            if high - low < 1e-6 or any(
                hole.start < middle[0] < hole.end and hole.low < middle[1] < hole.high for hole in holes
            ):
                continue
            faces.append(((xb, yb, low), (xa, ya, low), (xa, ya, high), (xb, yb, high)))
            slots.append(LOWER if middle[1] < lower else slot)


def _reveal(wall: Wall, hole: Patch, thickness: float, faces: list[tuple[Vector, ...]], slots: list[int]) -> None:
    """The four inner faces of a hole."""
    corners = ((hole.start, hole.low), (hole.end, hole.low), (hole.end, hole.high), (hole.start, hole.high))
    for (a, za), (b, zb) in zip(corners, [*corners[1:], corners[0]], strict=True):
        near_a, near_b, far_a, far_b = wall.at(a, 0), wall.at(b, 0), wall.at(a, -thickness), wall.at(b, -thickness)
        faces.append(((*near_a, za), (*near_b, zb), (*far_b, zb), (*far_a, za)))
        slots.append(FLOOR if za == zb == 0.0 else TRIM)


def _trim(kit: Kit, room: Room) -> list[Mesh]:
    """Skirting along the walls where there are no doors; sometimes coving below the ceiling."""
    parts, high, deep = Parts(), kit.uniform(0.05, 0.14), kit.uniform(0.01, 0.025)
    skirting, coving = kit.chance(0.8), kit.uniform(0.04, 0.12) if kit.chance(0.25) else 0.0
    if not skirting and not coving:
        return []
    for wall in room.walls:
        if coving:
            x, y = wall.at(wall.length / 2, coving / 2)
            parts.box((wall.length, coving, coving), (x, y, room.height - coving), TRIM, yaw=wall.turn)
        start = 0.0
        doors = sorted((p for p in wall.patches if p.low < 0.05 and p.high > 1.5 and p.is_hole), key=lambda p: p.start)
        for begin, end in [*((door.start, door.end) for door in doors), (wall.length, wall.length)]:
            if skirting and begin - start > 0.05:
                x, y = wall.at((start + begin) / 2, deep / 2)
                parts.box((begin - start, deep, high), (x, y, 0.0), TRIM, yaw=wall.turn)
            start = end
    return [parts.mesh()]


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
    index = category if isinstance(category, int) else kit.index(category)
    wide, deep, high = kit.size(index)
    if high > room.height - 0.02:
        return None
    for _ in range(_TRIES if along is None else 1):
        chosen = wall or kit.pick(room.walls)
        if chosen.length < wide + 0.02:
            continue
        place = along if along is not None else _draw_along(kit, chosen, wide, beside)
        patch = Patch(place - wide / 2, place + wide / 2, 0.0, high)
        (xa, ya), (xb, yb) = chosen.at(patch.start, gap), chosen.at(patch.end, gap + deep)
        block = Block(min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb), high)
        if patch.start < 0 or patch.end > chosen.length or not chosen.free(patch) or not room.free(block):
            continue
        chosen.patches.append(patch)
        room.blocks.append(block)
        x, y = chosen.at(place, gap + deep / 2)
        placed = kit.place(scene, index, (x, y, 0.0), chosen.yaw, surfaces=surfaces)
        room.things.append(placed)
        return placed
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
    low: float,
    *,
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
    index = category if isinstance(category, int) else kit.index(category)
    size = kit.size(index)
    wide, deep, high = (extent * factor for extent, factor in zip(size, scale, strict=True))
    if low + high > room.height - 0.02:
        return None
    for _ in range(_TRIES if along is None else 1):
        chosen = wall or kit.pick(room.walls)
        if chosen.length < wide + 0.06:
            continue
        place = along if along is not None else kit.uniform(wide / 2 + 0.02, chosen.length - wide / 2 - 0.02)
        patch = Patch(place - wide / 2, place + wide / 2, low, low + high)
        if not chosen.free(patch):
            continue
        chosen.patches.append(patch)
        x, y = chosen.at(place, deep / 2 + 0.002)
        surfaces = kit.surfaces(kit.library.model(index), scheme)
        return kit.place(scene, index, (x, y, low), chosen.yaw, scale=scale, surfaces=surfaces)
    return None


def stand(
    kit: Kit,
    scene: Scene,
    room: Room,
    category: str | int,
    at: tuple[float, float] | None = None,
    yaw: float | None = None,
    *,
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
    if high > room.height - 0.02:
        return None
    for _ in range(_TRIES if at is None else 1):
        turn = kit.uniform(-math.pi, math.pi) if yaw is None else yaw
        c, s = abs(math.cos(turn)), abs(math.sin(turn))
        half_x, half_y = (c * wide + s * deep) / 2 + margin, (s * wide + c * deep) / 2 + margin
        if at is None:
            if 2 * half_x > room.high[0] - room.low[0] or 2 * half_y > room.high[1] - room.low[1]:
                return None
            x = kit.uniform(room.low[0] + half_x, room.high[0] - half_x)
            y = kit.uniform(room.low[1] + half_y, room.high[1] - half_y)
        else:
            x, y = at
        if not room.free(Block(x - half_x, y - half_y, x + half_x, y + half_y, high)):
            continue
        half_x, half_y = half_x - margin, half_y - margin
        room.blocks.append(Block(x - half_x, y - half_y, x + half_x, y + half_y, high))
        placed = kit.place(scene, index, (x, y, 0.0), turn, surfaces=surfaces)
        room.things.append(placed)
        return placed
    return None
