"""Offices, halls, sheds, towers and churches. Their front faces -y."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Model, merge
from pixio_edge.scenes.shapes import tube
from pixio_edge.scenes.shapes.hulls import quads
from pixio_edge.scenes.shapes.masonry import (
    BASE,
    CURTAIN,
    DOOR,
    GLASS,
    ROOF,
    TRIM,
    WALL,
    Opening,
    Row,
    around,
    block,
    flat_roof,
    picture,
    pitched_roof,
    wall,
)
from pixio_edge.scenes.things.buildings import centred, looks, pane, windows

Rng = np.random.Generator


def office(rng: Rng) -> Model:
    """An office building with rows of large windows."""
    width, depth = float(rng.uniform(12, 26)), float(rng.uniform(10, 16))
    floors, storey = int(rng.integers(3, 9)), float(rng.uniform(3.1, 3.7))
    height, low, high = floors * storey, float(rng.uniform(0.15, 0.9)), storey - float(rng.uniform(0.15, 0.7))
    walls, pitch = [], float(rng.uniform(1.6, 4.0))
    for extent in (width, width, depth, depth):
        count = max(2, round(extent / pitch))
        wide = extent / count * (0.97 if rng.random() < 0.5 else 0.8)
        rows = [Row(i * storey + low, i * storey + high, _tight(rng, extent, count, wide)) for i in range(floors)]
        walls.append(wall(extent, height, rows, deep=float(rng.uniform(0.06, 0.3)), sills=False))
    parts = [around(walls[0], walls[1], walls[2], walls[3], (width, depth)), flat_roof(width, depth, height, 0.5)]
    parts.append(block((-2.0, -depth / 2 - 1.8, 2.9), (2.0, -depth / 2, 3.1), TRIM))
    parts.append(block((-0.2 * width, -0.2 * depth, height), (0.1 * width, 0.2 * depth, height + 2.2), BASE))
    return Model(centred(merge(parts)), looks(rng))


def _tight(rng: Rng, width: float, count: int, wide: float) -> tuple[Opening, ...]:
    """Windows next to each other."""
    pitch = width / count
    wide = min(wide, pitch - 0.12)
    return tuple(
        Opening(-width / 2 + (i + 0.5) * pitch - wide / 2, -width / 2 + (i + 0.5) * pitch + wide / 2,
                CURTAIN if rng.random() < 0.12 else GLASS)
        for i in range(count)
    )  # fmt: skip


def hall(rng: Rng) -> Model:
    """A warehouse or supermarket: long, low, with gates and a sign."""
    width, depth, height = float(rng.uniform(14, 32)), float(rng.uniform(10, 18)), float(rng.uniform(4, 8))
    gates = []
    count = int(rng.integers(2, 6))
    for i in range(count):
        x, wide = (i + 0.5 - count / 2) * width / count, float(rng.uniform(0.3, 0.7)) * width / count
        gates.append(Opening(x - wide / 2, x + wide / 2, DOOR if rng.random() < 0.5 else GLASS, 2))
    strip = Row(height - 1.4, height - 0.6, windows(rng, depth, max(2, int(depth / 3)), 1.8))
    front = wall(width, height, [Row(0.05, min(3.4, height - 1.2), tuple(gates))], deep=0.2)
    sides = [wall(depth, height, [strip]) for _ in range(2)]
    parts = [around(front, wall(width, height, []), sides[0], sides[1], (width, depth))]
    parts.append(
        flat_roof(width, depth, height, 0.4) if rng.random() < 0.6 else pitched_roof(width, depth, height, 0.15 * depth)
    )
    parts.append(picture(-0.18 * width, 0.18 * width, height - 1.0, height - 0.1, -depth / 2 - 0.05))
    return Model(centred(merge(parts)), looks(rng))


def shed(rng: Rng) -> Model:
    """A garage or garden shed."""
    width, depth, height = float(rng.uniform(2.4, 6)), float(rng.uniform(3, 6)), float(rng.uniform(2.2, 2.8))
    wide = min(2.5, 0.7 * width)
    front = wall(width, height, [Row(0.02, 2.0, (Opening(-wide / 2, wide / 2, DOOR),))])
    plain = [wall(depth, height, []) for _ in range(2)]
    parts = [around(front, wall(width, height, []), plain[0], plain[1], (width, depth))]
    roof = (
        flat_roof(width, depth, height, 0.15)
        if rng.random() < 0.5
        else pitched_roof(width, depth, height, 0.35 * width, over=0.2)
    )
    return Model(centred(merge([*parts, roof])), looks(rng))


def tower_far(rng: Rng) -> Model:
    """A tall building for the distance: its windows are flush."""
    width, depth = float(rng.uniform(12, 24)), float(rng.uniform(10, 18))
    floors, storey = int(rng.integers(6, 16)), 3.1
    height = floors * storey
    parts = [block((-width / 2, -depth / 2, 0), (width / 2, depth / 2, height), WALL)]
    faces: list[list[tuple[float, float, float]]] = []
    count = int(rng.integers(3, 7))
    for floor in range(floors):
        low, high = floor * storey + 0.9, floor * storey + 2.5
        for i in range(count):
            a, b = ((i + e) / count * width - width / 2 for e in (0.18, 0.82))
            y = -depth / 2 - 0.04
            faces.append([(a, y, low), (b, y, low), (b, y, high), (a, y, high)])
        for x, side in ((-width / 2 - 0.04, -1), (width / 2 + 0.04, 1)):
            e = side * 0.42 * depth
            faces.append([(x, -e, low), (x, e, low), (x, e, high), (x, -e, high)])
    parts.append(quads(faces, GLASS))
    return Model(centred(merge([*parts, flat_roof(width, depth, height, 0.6)])), looks(rng))


def church(rng: Rng) -> Model:
    """A nave with a tower at its end."""
    width, depth, height = float(rng.uniform(14, 22)), float(rng.uniform(8, 11)), float(rng.uniform(6, 9))
    arches = windows(rng, width, 5, 1.2)
    walls = [wall(width, height, [Row(1.5, height - 1, arches)]) for _ in range(2)]
    parts = [around(walls[0], walls[1], wall(depth, height, []), wall(depth, height, []), (width, depth))]
    parts.append(pitched_roof(width, depth, height, 0.6 * depth))
    side, x, top = 2.6, -width / 2 - 2.2, height + float(rng.uniform(6, 12))
    parts.append(block((x - side, -side, 0), (x + side, side, top), WALL))
    parts.append(
        tube([(x, 0, top), (x, 0, top + float(rng.uniform(3, 11)))], [side * math.sqrt(2), 0.05], sides=4, slot=ROOF)
    )
    parts.append(pane(x - 0.6, x + 0.6, top - 3, top - 1, y=-side - 0.03, slot=GLASS))
    return Model(centred(merge(parts)), looks(rng))


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "office": ("block", office, 6),
    "hall": ("hall", hall, 5),
    "shed": ("shed", shed, 4),
    "tower_far": ("tower", tower_far, 4),
    "church": ("church", church, 2),
}
