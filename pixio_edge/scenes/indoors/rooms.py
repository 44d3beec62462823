"""Rooms: floor plans, walls with openings, and what is taken of floor and walls."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.kit import Kit, Placed
from pixio_edge.scenes.scene import Vector

# Free space that is kept before a door, metres.
_DOOR_CLEARANCE = 0.75


@dataclass(frozen=True, slots=True)
class Block:
    """What is taken of a room: a rectangle of the floor from a base, mostly the floor itself, up to a top."""

    x0: float
    y0: float
    x1: float
    y1: float
    top: float
    base: float = 0.0


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

    def block(self, patch: Patch, near: float, far: float) -> Block:
        """What is taken before a patch, from one distance to the wall to another, metres."""
        (xa, ya), (xb, yb) = self.at(patch.start, near), self.at(patch.end, far)
        return Block(min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb), patch.high, patch.low)

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
            block.x0 < other.x1
            and block.x1 > other.x0
            and block.y0 < other.y1
            and block.y1 > other.y0
            and block.top > other.base
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
            and block.base - margin < z < block.top + margin
            for block in self.blocks
        )

    def taken(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which points, (N, 3), are outside or in something that stands here."""
        x, y, z = points[:, 0, None], points[:, 1, None], points[:, 2, None]
        outside = (x < self.low[0]) | (x > self.high[0]) | (y < self.low[1]) | (y > self.high[1])
        outside |= (z < 0.0) | (z > self.height)
        if not self.blocks:
            return outside[:, 0]
        sides = np.array([(block.x0, block.y0, block.x1, block.y1, block.top, block.base) for block in self.blocks]).T
        inside = (x > sides[0]) & (x < sides[2]) & (y > sides[1]) & (y < sides[3]) & (z < sides[4]) & (z > sides[5])
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
    # No height: cameras and things on the wall may be there.
    room.blocks.append(wall.block(Patch(start, end, 0.0, 0.0), 0.0, _DOOR_CLEARANCE))
