"""Houses, blocks of flats, shops, offices and halls. Their front faces -y."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.hulls import quads
from pixio_edge.scenes.masonry import (
    BASE,
    CURTAIN,
    DOOR,
    FRAME,
    GLASS,
    ROOF,
    TRIM,
    WALL,
    Opening,
    Row,
    around,
    balcony,
    block,
    flat_roof,
    picture,
    pitched_roof,
    wall,
)
from pixio_edge.scenes.mesh import Look, Mesh, Model, merge
from pixio_edge.scenes.shapes import cylinder, tube

Rng = np.random.Generator
ROOFS = ((0.5, 0.27, 0.2), (0.38, 0.22, 0.18), (0.3, 0.3, 0.32), (0.22, 0.22, 0.23), (0.45, 0.38, 0.32))


def _looks(rng: Rng) -> tuple[Look, ...]:
    frame = ((0.93, 0.93, 0.92), (0.92, 0.92, 0.9), (0.2, 0.2, 0.21), (0.35, 0.24, 0.16))[int(rng.integers(4))]
    shade = float(rng.uniform(0.16, 0.34))
    return (
        Look("facade", repeat_m=(1.2, 4.0)),
        Look("glass", tint=(0.95 * shade, shade, 1.08 * shade)),
        Look("paint", tint=frame),
        Look("roof", tint=ROOFS[int(rng.integers(len(ROOFS)))] if rng.random() < 0.6 else None, repeat_m=(1.0, 3.0)),
        Look("paint") if rng.random() < 0.6 else Look("wood"),
        Look("plaster", tint=(0.8, 0.79, 0.76) if rng.random() < 0.6 else None, repeat_m=(1.0, 3.0)),
        Look("print", fit=True),
        Look("facade", repeat_m=(1.0, 3.0)),
        Look("glass", tint=(0.6, 0.58, 0.53)),
    )


def _windows(
    rng: Rng, width: float, count: int, wide: float, *, edge: float = 0.5, bars: int = 0
) -> tuple[Opening, ...]:
    """Evenly spread windows, some with drawn curtains."""
    pitch = (width - 2 * edge) / count
    wide = min(wide, 0.8 * pitch)
    centres = -width / 2 + edge + pitch * (np.arange(count) + 0.5)
    drawn = rng.random(count) < 0.22
    return tuple(
        Opening(float(x) - wide / 2, float(x) + wide / 2, CURTAIN if d else GLASS, bars)
        for x, d in zip(centres, drawn, strict=True)
    )


def _storeys(rng: Rng, width: float, floors: int, storey: float, first: float) -> list[Row]:
    """Rows of windows of one pattern."""
    count = max(1, round(width / rng.uniform(2.2, 3.4)))
    wide, tall = float(rng.uniform(0.8, 1.7)), float(rng.uniform(1.1, 1.75))
    sill, bars = float(rng.uniform(0.65, 0.95)), int(rng.integers(0, 3))
    return [
        Row(
            first + i * storey + sill,
            first + i * storey + min(sill + tall, storey - 0.2),
            _windows(rng, width, count, wide, bars=bars),
        )
        for i in range(floors)
    ]


def _ground_floor(rng: Rng, width: float, storey: float, kind: str) -> Row:
    """Door and windows, a shop front, or garage doors."""
    if kind == "shop":
        parts, edge = [], -width / 2 + 0.25
        door = edge + float(rng.uniform(0.1, 0.7)) * (width - 1.6)
        for a, b in ((edge, door - 0.12), (door, door + 1.0), (door + 1.12, width / 2 - 0.25)):
            if b - a > 0.4:
                parts.append(Opening(a, b, GLASS, max(0, int((b - a) / 1.8))))
        return Row(0.12, min(storey - 0.7, 2.7), tuple(parts), BASE)
    if kind == "garage":
        wide = min(2.6, 0.4 * width)
        side = float(rng.choice([-1, 1]))
        x = side * (width / 2 - 0.5 - wide / 2)
        door = Opening(-side * width * 0.2 - 0.5, -side * width * 0.2 + 0.5, DOOR)
        pair = (Opening(x - wide / 2, x + wide / 2, DOOR), door)
        return Row(0.05, 2.2, tuple(sorted(pair, key=lambda o: o.left)))
    count = max(2, round(width / 2.6))
    at = int(rng.integers(count))
    windows = list(_windows(rng, width, count, 1.1))
    middle = 0.5 * (windows[at].left + windows[at].right)
    doors = [Opening(middle - 0.5, middle + 0.5, DOOR) if i == at else w for i, w in enumerate(windows)]
    return Row(0.12, 2.15, tuple(doors))


def _shell(rng: Rng, size: tuple[float, float], floors: int, storey: float, *, ground: str, sides: bool) -> Mesh:
    """Four walls with windows; sides: the narrow ends have windows as well."""
    width, depth = size
    height = floors * storey
    front = [_ground_floor(rng, width, storey, ground), *_storeys(rng, width, floors - 1, storey, storey)]
    back = _storeys(rng, width, floors, storey, 0.0)
    ends = [_storeys(rng, depth, floors, storey, 0.0) if sides else [] for _ in range(2)]
    walls = [
        wall(width, height, front),
        wall(width, height, back, sills=False),
        *(wall(depth, height, rows) for rows in ends),
    ]
    return around(walls[0], walls[1], walls[2], walls[3], size)


def _chimneys(rng: Rng, width: float, ridge: float, count: int) -> list[Mesh]:
    parts = []
    for _ in range(count):
        x = float(rng.uniform(-0.4, 0.4)) * width
        parts.append(block((x - 0.35, -0.3, ridge - 1.2), (x + 0.35, 0.3, ridge + float(rng.uniform(0.3, 0.9))), BASE))
        parts.append(cylinder(0.12, 0.35, sides=6, at=(x, 0, ridge + 0.4), slot=ROOF))
    return parts


def house(rng: Rng) -> Model:
    """A detached house with a pitched roof, and a porch or steps."""
    width, depth = float(rng.uniform(7, 13)), float(rng.uniform(7, 10))
    floors, storey = int(rng.integers(1, 3)), float(rng.uniform(2.6, 3.0))
    height, rise = floors * storey, float(rng.uniform(0.25, 0.55)) * depth
    shell = _shell(rng, (width, depth), floors, storey, ground="garage" if rng.random() < 0.35 else "door", sides=True)
    hip = float(rng.uniform(1.5, 3.5)) if rng.random() < 0.35 else 0.0
    parts = [
        shell,
        pitched_roof(width, depth, height, rise, hip=hip),
        *_chimneys(rng, width, height + rise, int(rng.integers(0, 3))),
    ]
    if rng.random() < 0.5:
        x, deep = float(rng.uniform(-0.25, 0.25)) * width, float(rng.uniform(0.9, 1.8))
        parts += _porch(x, float(rng.uniform(1.6, 2.8)), deep, -depth / 2)
    for _ in range(int(rng.integers(0, 3)) if hip == 0 else 0):
        parts.append(_dormer(float(rng.uniform(-0.33, 0.33)) * width, depth, height, rise))
    return Model(_centred(merge(parts)), _looks(rng))


def _dormer(x: float, depth: float, height: float, rise: float) -> Mesh:
    """A window that stands out of the front of a roof."""
    front, low = -0.3 * depth, height + 0.4 * rise
    top = min(low + 1.3, height + 0.95 * rise)
    body = block((x - 0.8, front, low - 0.4), (x + 0.8, 0.0, top), WALL)
    glass = _pane(x - 0.55, x + 0.55, low + 0.15, top - 0.2, y=front - 0.02, slot=GLASS)
    return merge([body, glass, block((x - 0.95, front - 0.15, top - 0.02), (x + 0.95, 0.0, top + 0.1), ROOF)])


def _pane(x0: float, x1: float, z0: float, z1: float, *, y: float, slot: int) -> Mesh:
    """A flat piece before a front."""
    return quads([[(x0, y, z0), (x1, y, z0), (x1, y, z1), (x0, y, z1)]], slot)


def _porch(x: float, width: float, deep: float, front: float) -> list[Mesh]:
    """A small roof on two posts over a step."""
    a, b, y = x - width / 2, x + width / 2, front - deep
    return [
        block((a, y, 0.0), (b, front, 0.16), TRIM),
        block((a - 0.15, y - 0.15, 2.35), (b + 0.15, front, 2.5), ROOF),
        block((a, y, 0.16), (a + 0.14, y + 0.14, 2.35), FRAME),
        block((b - 0.14, y, 0.16), (b, y + 0.14, 2.35), FRAME),
    ]


def terrace(rng: Rng) -> Model:
    """A house of a row, without windows in its ends."""
    width, depth = float(rng.uniform(5, 9.5)), float(rng.uniform(8, 11))
    floors, storey = int(rng.integers(2, 5)), float(rng.uniform(2.7, 3.4))
    height = floors * storey
    shop = rng.random() < 0.35
    parts = [_shell(rng, (width, depth), floors, storey, ground="shop" if shop else "door", sides=False)]
    if shop:
        parts += _shop_sign(rng, width, storey, -depth / 2)
    if rng.random() < 0.65:
        rise = float(rng.uniform(0.2, 0.4)) * depth
        parts += [
            pitched_roof(width, depth, height, rise),
            *_chimneys(rng, width, height + rise, int(rng.integers(0, 2))),
        ]
        if rng.random() < 0.3:
            parts.append(_dormer(0.0, depth, height, rise))
    else:
        parts.append(flat_roof(width, depth, height, float(rng.uniform(0.2, 0.9))))
    for z in [i * storey for i in range(1, floors)] if rng.random() < 0.4 else []:
        parts.append(block((-width / 2, -depth / 2 - 0.08, z - 0.1), (width / 2, -depth / 2, z + 0.08), TRIM))
    return Model(_centred(merge(parts)), _looks(rng))


def _shop_sign(rng: Rng, width: float, storey: float, front: float) -> list[Mesh]:
    """A band with a name, and mostly an awning."""
    half, z = width / 2 - 0.2, min(storey - 0.7, 2.7)
    parts = [picture(-half, half, z + 0.08, z + 0.55, front - 0.03)]
    if rng.random() < 0.5:
        out = float(rng.uniform(0.7, 1.6))
        a, b, edge = -half, half, front - out
        slope = [(a, edge, z - 0.45), (b, edge, z - 0.45), (b, front, z + 0.1), (a, front, z + 0.1)]
        parts += [quads([slope], DOOR), _pane(a, b, z - 0.65, z - 0.45, y=edge, slot=DOOR)]
    return parts


def flats(rng: Rng) -> Model:
    """A block of flats, mostly with balconies."""
    width, depth = float(rng.uniform(12, 24)), float(rng.uniform(9, 13))
    floors, storey = int(rng.integers(3, 7)), float(rng.uniform(2.7, 3.1))
    height = floors * storey
    parts = [_shell(rng, (width, depth), floors, storey, ground="door", sides=True)]
    if rng.random() < 0.75:
        parts.append(flat_roof(width, depth, height, float(rng.uniform(0.2, 1.0))))
    else:
        parts.append(pitched_roof(width, depth, height, float(rng.uniform(2, 4)), hip=float(rng.uniform(2, 4))))
    columns = int(rng.integers(0, 4))
    closed, wide, deep = bool(rng.random() < 0.5), float(rng.uniform(2, 3.6)), float(rng.uniform(0.9, 1.6))
    for x in np.linspace(-0.36, 0.36, columns) * width:
        parts += [balcony(float(x), i * storey, wide, deep, -depth / 2, closed=closed) for i in range(1, floors)]
    return Model(_centred(merge(parts)), _looks(rng))


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
    return Model(_centred(merge(parts)), _looks(rng))


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
    strip = Row(height - 1.4, height - 0.6, _windows(rng, depth, max(2, int(depth / 3)), 1.8))
    front = wall(width, height, [Row(0.05, min(3.4, height - 1.2), tuple(gates))], deep=0.2)
    sides = [wall(depth, height, [strip]) for _ in range(2)]
    parts = [around(front, wall(width, height, []), sides[0], sides[1], (width, depth))]
    parts.append(
        flat_roof(width, depth, height, 0.4) if rng.random() < 0.6 else pitched_roof(width, depth, height, 0.15 * depth)
    )
    parts.append(picture(-0.18 * width, 0.18 * width, height - 1.0, height - 0.1, -depth / 2 - 0.05))
    return Model(_centred(merge(parts)), _looks(rng))


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
    return Model(_centred(merge([*parts, roof])), _looks(rng))


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
    return Model(_centred(merge([*parts, flat_roof(width, depth, height, 0.6)])), _looks(rng))


def church(rng: Rng) -> Model:
    """A nave with a tower at its end."""
    width, depth, height = float(rng.uniform(14, 22)), float(rng.uniform(8, 11)), float(rng.uniform(6, 9))
    arches = _windows(rng, width, 5, 1.2)
    walls = [wall(width, height, [Row(1.5, height - 1, arches)]) for _ in range(2)]
    parts = [around(walls[0], walls[1], wall(depth, height, []), wall(depth, height, []), (width, depth))]
    parts.append(pitched_roof(width, depth, height, 0.6 * depth))
    side, x, top = 2.6, -width / 2 - 2.2, height + float(rng.uniform(6, 12))
    parts.append(block((x - side, -side, 0), (x + side, side, top), WALL))
    parts.append(
        tube([(x, 0, top), (x, 0, top + float(rng.uniform(3, 11)))], [side * math.sqrt(2), 0.05], sides=4, slot=ROOF)
    )
    parts.append(_pane(x - 0.6, x + 0.6, top - 3, top - 1, y=-side - 0.03, slot=GLASS))
    return Model(_centred(merge(parts)), _looks(rng))


def _centred(mesh: Mesh) -> Mesh:
    """The mesh moved so that its box is centred on the origin in x and y."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    shift = np.array([-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]], dtype=np.float32)
    return Mesh(mesh.vertices + shift, mesh.normals, mesh.uv, mesh.triangles, mesh.slots)


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "house": ("house", house, 12),
    "terrace": ("terrace", terrace, 12),
    "flats": ("block", flats, 7),
    "office": ("block", office, 6),
    "hall": ("hall", hall, 5),
    "shed": ("shed", shed, 4),
    "tower_far": ("tower", tower_far, 4),
    "church": ("church", church, 2),
}
