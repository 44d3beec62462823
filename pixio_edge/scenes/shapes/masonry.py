"""Parts of buildings: walls with set-back windows, roofs, balconies, blocks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pixio_edge.scenes.mesh import Mesh, merge, transform
from pixio_edge.scenes.shapes.hulls import creased, quads

# Slots of every building.
WALL, GLASS, FRAME, ROOF, DOOR, TRIM, SIGN, BASE, CURTAIN = range(9)
Corner = tuple[float, float, float]
Quad = list[Corner]


@dataclass(frozen=True, slots=True)
class Opening:
    """A window or door in a wall.

    Attributes:
        left: x of its left edge, metres.
        right: x of its right edge.
        slot: What closes it.
        bars: Number of upright bars across it.
    """

    left: float
    right: float
    slot: int = GLASS
    bars: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A storey's strip of a wall that has openings, all of one height.

    Attributes:
        low: z of their lower edge, metres.
        high: z of their upper edge.
        openings: From left to right.
        slot: Of the wall between them.
    """

    low: float
    high: float
    openings: tuple[Opening, ...]
    slot: int = WALL


def wall(width: float, height: float, rows: Iterable[Row], *, deep: float = 0.14, sills: bool = True) -> Mesh:
    """A wall in the plane y = 0 that faces -y, x from -width/2 to width/2, with set-back openings.

    Args:
        width: Metres.
        height: Metres.
        rows: From the bottom up, not overlapping.
        deep: How far openings are set back.
        sills: Windows have a sill that stands out.
    """
    half, below = width / 2, 0.0
    faces: list[tuple[Quad, int]] = []
    for row in rows:
        if row.low > below:
            faces.append((_flat(-half, half, below, row.low), row.slot))
        edge = -half
        for opening in row.openings:
            faces.append((_flat(edge, opening.left, row.low, row.high), row.slot))
            faces += _opening(opening, row, deep, sills)
            edge = opening.right
        faces.append((_flat(edge, half, row.low, row.high), row.slot))
        below = row.high
    if below < height:
        faces.append((_flat(-half, half, below, height), WALL))
    return quads([face for face, _ in faces], [slot for _, slot in faces])


def _flat(x0: float, x1: float, z0: float, z1: float, y: float = 0.0) -> Quad:
    return [(x0, y, z0), (x1, y, z0), (x1, y, z1), (x0, y, z1)]


def _opening(opening: Opening, row: Row, deep: float, sills: bool) -> list[tuple[Quad, int]]:
    a, b, low, high = opening.left, opening.right, row.low, row.high
    faces = [
        ([(a, 0.0, low), (a, deep, low), (a, deep, high), (a, 0.0, high)], row.slot),
        ([(b, deep, low), (b, 0.0, low), (b, 0.0, high), (b, deep, high)], row.slot),
        ([(a, deep, high), (b, deep, high), (b, 0.0, high), (a, 0.0, high)], row.slot),
    ]
    edge = 0.06
    if opening.slot in {GLASS, CURTAIN}:
        faces += [
            (_flat(a, b, low, high, deep), FRAME),
            (_flat(a + edge, b - edge, low + edge, high - edge, deep - 0.015), opening.slot),
        ]
        step = (b - a) / (opening.bars + 1)
        for i in range(opening.bars):
            x = a + (i + 1) * step
            faces.append((_flat(x - 0.03, x + 0.03, low + edge, high - edge, deep - 0.03), FRAME))
    else:
        faces.append((_flat(a, b, low, high, deep), opening.slot))
    if sills and low > 0.5:
        out = -0.07
        top = [(a - 0.06, out, low), (b + 0.06, out, low), (b + 0.06, deep, low), (a - 0.06, deep, low)]
        faces += [(_flat(a - 0.06, b + 0.06, low - 0.06, low, out), TRIM), (top, TRIM)]
    else:
        faces.append(([(a, 0.0, low), (b, 0.0, low), (b, deep, low), (a, deep, low)], TRIM))
    return faces


def block(low: Corner, high: Corner, slot: int) -> Mesh:
    """A box between two corners, without its underside."""
    (a, b, c), (d, e, f) = low, high
    sides = [
        [(a, b, c), (d, b, c), (d, b, f), (a, b, f)],
        [(d, b, c), (d, e, c), (d, e, f), (d, b, f)],
        [(d, e, c), (a, e, c), (a, e, f), (d, e, f)],
        [(a, e, c), (a, b, c), (a, b, f), (a, e, f)],
        [(a, b, f), (d, b, f), (d, e, f), (a, e, f)],
    ]
    return quads(sides, slot)


def picture(x0: float, x1: float, z0: float, z1: float, y: float) -> Mesh:
    """A sign or poster on a front, in a slot that is stretched."""
    return quads([_flat(x0, x1, z0, z1, y)], SIGN, fit=True)


def around(front: Mesh, back: Mesh, left: Mesh, right: Mesh, size: tuple[float, float]) -> Mesh:
    """Four walls of `wall` set up around the origin; size: width and depth of the building, metres."""
    half_x, half_y = size[0] / 2, size[1] / 2
    placed = []
    for mesh, turn, shift in (
        (front, 0.0, (0.0, -half_y, 0.0)),
        (right, 0.5 * math.pi, (half_x, 0.0, 0.0)),
        (back, math.pi, (0.0, half_y, 0.0)),
        (left, 1.5 * math.pi, (-half_x, 0.0, 0.0)),
    ):
        c, s = math.cos(turn), math.sin(turn)
        placed.append(transform(mesh, np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]), shift))
    return merge(placed)


def flat_roof(width: float, depth: float, height: float, parapet: float) -> Mesh:
    """A roof with a parapet around it."""
    x, y, t = width / 2, depth / 2, 0.25
    faces = [
        [(-x, -y, height), (x, -y, height), (x, y, height), (-x, y, height)],
    ]
    roof = quads(faces, ROOF)
    out = 0.05
    bars = [
        block((-x - out, -y - out, height - 0.15), (x + out, -y + t, height + parapet), TRIM),
        block((-x - out, y - t, height - 0.15), (x + out, y + out, height + parapet), TRIM),
        block((-x - out, -y, height - 0.15), (-x + t, y, height + parapet), TRIM),
        block((x - t, -y, height - 0.15), (x + out, y, height + parapet), TRIM),
    ]
    return merge([roof, *bars])


def pitched_roof(
    width: float, depth: float, height: float, rise: float, *, hip: float = 0.0, over: float = 0.35
) -> Mesh:
    """A roof whose ridge runs along x, with its gables.

    Args:
        width: Of the building, metres.
        depth: Of the building.
        height: Of its walls.
        rise: Of the ridge over them.
        hip: How far the ridge is drawn in at both ends; 0: gables.
        over: How far the eaves stand out.
    """
    x, y, top = width / 2 + over * (hip > 0) + 0.15, depth / 2 + over, height + rise
    drop = height - over * rise / (depth / 2)
    r = max(0.05, x - hip)
    points = np.array([(-x, -y, drop), (x, -y, drop), (x, y, drop), (-x, y, drop), (-r, 0, top), (r, 0, top)])
    faces = np.array([(0, 1, 5), (0, 5, 4), (2, 3, 4), (2, 4, 5)])
    ends = np.array([(1, 2, 5), (3, 0, 4)])
    parts = [creased(points, faces, ROOF)]
    if hip > 0:
        parts.append(creased(points, ends, ROOF))
    else:
        gable = np.array([(width / 2, -depth / 2, height), (width / 2, depth / 2, height), (width / 2, 0, top - 0.02)])
        parts.append(creased(np.concatenate([gable, gable * [-1, 1, 1]]), np.array([(0, 1, 2), (4, 3, 5)]), WALL))
    for side in (-1.0, 1.0):
        a, b, e = side * x, -side * x, side * y
        parts.append(quads([[(a, e, drop - 0.14), (b, e, drop - 0.14), (b, e, drop), (a, e, drop)]], TRIM))
    return merge(parts)


def balcony(x: float, z: float, width: float, deep: float, front: float, *, closed: bool) -> Mesh:
    """A slab with a parapet or railing before the wall at y = front."""
    a, b, out = x - width / 2, x + width / 2, front - deep
    parts = [block((a, out, z - 0.16), (b, front, z), TRIM)]
    parts.append(quads([[(a, out, z - 0.16), (a, front, z - 0.16), (b, front, z - 0.16), (b, out, z - 0.16)]], TRIM))
    if closed:
        parts.append(block((a, out, z), (b, out + 0.08, z + 1.0), BASE))
        parts += [block((e, out, z), (e + 0.08, front, z + 1.0), BASE) for e in (a, b - 0.08)]
        return merge(parts)
    parts.append(block((a, out, z + 0.98), (b, out + 0.05, z + 1.04), FRAME))
    parts += [block((e, out, z + 0.98), (e + 0.05, front, z + 1.04), FRAME) for e in (a, b - 0.05)]
    for post in np.linspace(a, b - 0.03, 9):
        parts.append(quads([_flat(float(post), float(post) + 0.03, z, z + 1.0, out + 0.02)], FRAME))
    return merge(parts)
