"""Shells of rooms: walls with their openings, floor, ceiling, skirting, as one mesh."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from pixio_edge.scenes.indoors.rooms import Patch, Room, Wall
from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.mesh import Look, Mesh, merge
from pixio_edge.scenes.scene import Scene, Surface, Vector
from pixio_edge.scenes.shapes.carpentry import Parts
from pixio_edge.scenes.shapes.hulls import quads

# Slots of a shell.
WALL, ACCENT, TRIM, CEILING, FLOOR, LOWER = range(6)
# Slot and corners of a rectangle.
Face = tuple[int, tuple[Vector, Vector, Vector, Vector]]


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
    faces: list[Face] = []
    for number, wall in enumerate(room.walls):
        faces += _wall_faces(wall, room.height, lower, ACCENT if number == 0 else WALL)
        for hole in (patch for patch in wall.patches if patch.is_hole):
            faces += _reveal(wall, hole, thickness)
    for x0, y0, x1, y1 in _floor_rectangles(room):
        h = room.height
        faces.append((FLOOR, ((x0, y0, 0.0), (x1, y0, 0.0), (x1, y1, 0.0), (x0, y1, 0.0))))
        faces.append((CEILING, ((x0, y1, h), (x1, y1, h), (x1, y0, h), (x0, y0, h))))
    shell = quads(np.array([corners for _, corners in faces]), [slot for slot, _ in faces])
    mesh = merge([shell, *_trim(kit, room)])
    kit.add(scene, mesh, [looks[slot] for slot in range(6)])


def _floor_rectangles(room: Room) -> list[tuple[float, float, float, float]]:
    (x0, y0), (x1, y1) = room.low, room.high
    if room.notch is None:
        return [(x0, y0, x1, y1)]
    notch = room.notch
    upper = (x0, notch.y0, notch.x0, y1) if notch.x0 > x0 else (notch.x1, notch.y0, x1, y1)
    return [(x0, y0, x1, notch.y0), upper]


def _wall_faces(wall: Wall, height: float, lower: float, slot: int) -> list[Face]:
    """Rectangles of a wall around its holes, and those of its lower part."""
    holes = [patch for patch in wall.patches if patch.is_hole]
    xs = sorted({0.0, wall.length, *(hole.start for hole in holes), *(hole.end for hole in holes)})
    zs = sorted({0.0, lower, height, *(hole.low for hole in holes), *(hole.high for hole in holes)})
    faces: list[Face] = []
    for a, b in pairwise(xs):
        (xa, ya), (xb, yb) = wall.at(a, 0.0), wall.at(b, 0.0)
        for low, high in pairwise(zs):
            middle = ((a + b) / 2, (low + high) / 2)
            if high - low < 1e-6 or any(
                hole.start < middle[0] < hole.end and hole.low < middle[1] < hole.high for hole in holes
            ):
                continue
            corners = ((xb, yb, low), (xa, ya, low), (xa, ya, high), (xb, yb, high))
            faces.append((LOWER if middle[1] < lower else slot, corners))
    return faces


def _reveal(wall: Wall, hole: Patch, thickness: float) -> list[Face]:
    """The four inner faces of a hole."""
    faces: list[Face] = []
    corners = ((hole.start, hole.low), (hole.end, hole.low), (hole.end, hole.high), (hole.start, hole.high))
    for (a, za), (b, zb) in zip(corners, [*corners[1:], corners[0]], strict=True):
        near_a, near_b, far_a, far_b = wall.at(a, 0), wall.at(b, 0), wall.at(a, -thickness), wall.at(b, -thickness)
        slot = FLOOR if za == zb == 0.0 else TRIM
        faces.append((slot, ((*near_a, za), (*near_b, zb), (*far_b, zb), (*far_a, za))))
    return faces


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


def add_relief(kit: Kit, scene: Scene, room: Room, looks: dict[int, Surface]) -> None:
    """Chimney breasts, shafts and half pillars at walls; beams below the ceiling. Before any furniture.

    Args:
        kit: Draws them.
        scene: Gets them.
        room: Keeps what is taken.
        looks: Surface by slot, see `shell_looks`.
    """
    parts, count = Parts(), 0
    for _ in range(kit.integer(1, 3) if kit.chance(0.4) else 0):
        wall, wide, deep = kit.pick(room.walls), kit.uniform(0.15, 1.3), kit.uniform(0.08, 0.45)
        if wall.length < wide + 0.4:
            continue
        along = wide / 2 if kit.chance(0.3) else kit.uniform(wide / 2, wall.length - wide / 2)
        high = room.height if kit.chance(0.75) else kit.uniform(0.8, 1.3)
        patch = Patch(along - wide / 2, along + wide / 2, 0.0, high)
        block = wall.block(patch, 0.0, deep)
        if wall.free(patch) and room.free(block, margin=0.01):
            wall.patches.append(patch)
            room.blocks.append(block)
            parts.box((wide, deep, high), (*wall.at(along, deep / 2), 0.0), WALL, yaw=wall.turn)
            count += 1
    if kit.chance(0.12):
        step, wide, high = kit.uniform(0.6, 2.0), kit.uniform(0.08, 0.25), kit.uniform(0.08, 0.25)
        y = room.low[1] + kit.uniform(0.2, step)
        while y < room.high[1]:
            parts.box((room.high[0] - room.low[0], wide, high), (0.0, y, room.height - high), TRIM)
            y += step
            count += 1
    if count:
        kit.add(scene, parts.mesh(), [looks[slot] for slot in range(6)])
