"""Houses, shops and blocks of flats. Their front faces -y."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Look, Mesh, Model, merge
from pixio_edge.scenes.shapes import cylinder
from pixio_edge.scenes.shapes.hulls import quads
from pixio_edge.scenes.shapes.masonry import (
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

Rng = np.random.Generator
ROOFS = ((0.5, 0.27, 0.2), (0.38, 0.22, 0.18), (0.3, 0.3, 0.32), (0.22, 0.22, 0.23), (0.45, 0.38, 0.32))

RENDERING = (
    (0.9, 0.89, 0.86), (0.88, 0.83, 0.7), (0.8, 0.72, 0.56), (0.85, 0.85, 0.84), (0.68, 0.66, 0.63), (0.78, 0.6, 0.48),
    (0.62, 0.45, 0.36), (0.86, 0.76, 0.6), (0.5, 0.5, 0.5), (0.7, 0.75, 0.76), (0.83, 0.66, 0.58), (0.36, 0.35, 0.34),
)  # fmt: skip


def wall_look(rng: Rng) -> Look:
    """Brick, rendering in a colour that houses have, or any facade."""
    share = rng.random()
    if share < 0.3:
        return Look("brick", repeat_m=(1.0, 3.0))
    if share < 0.75:
        return Look("plaster", tint=RENDERING[int(rng.integers(len(RENDERING)))], repeat_m=(1.2, 4.0))
    return Look("facade" if share < 0.9 else "stone", repeat_m=(1.2, 4.0))


def looks(rng: Rng) -> tuple[Look, ...]:
    """Looks of the slots of `masonry`."""
    frame = ((0.93, 0.93, 0.92), (0.92, 0.92, 0.9), (0.2, 0.2, 0.21), (0.35, 0.24, 0.16))[int(rng.integers(4))]
    shade = float(rng.uniform(0.16, 0.34))
    return (
        wall_look(rng),
        Look("glass", tint=(0.95 * shade, shade, 1.08 * shade)),
        Look("paint", tint=frame),
        Look("roof", tint=ROOFS[int(rng.integers(len(ROOFS)))] if rng.random() < 0.6 else None, repeat_m=(1.0, 3.0)),
        Look("paint") if rng.random() < 0.6 else Look("wood"),
        Look("plaster", tint=(0.8, 0.79, 0.76) if rng.random() < 0.6 else None, repeat_m=(1.0, 3.0)),
        Look("print", fit=True),
        wall_look(rng),
        Look("glass", tint=(0.6, 0.58, 0.53)),
    )


def windows(
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
            windows(rng, width, count, wide, bars=bars),
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
        entrance = Opening(-side * width * 0.2 - 0.5, -side * width * 0.2 + 0.5, DOOR)
        pair = (Opening(x - wide / 2, x + wide / 2, DOOR), entrance)
        return Row(0.05, 2.2, tuple(sorted(pair, key=lambda o: o.left)))
    count = max(2, round(width / 2.6))
    at = int(rng.integers(count))
    spread = list(windows(rng, width, count, 1.1))
    middle = 0.5 * (spread[at].left + spread[at].right)
    spread[at] = Opening(middle - 0.5, middle + 0.5, DOOR)
    return Row(0.12, 2.15, tuple(spread))


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
    return Model(centred(merge(parts)), looks(rng))


def _dormer(x: float, depth: float, height: float, rise: float) -> Mesh:
    """A window that stands out of the front of a roof."""
    front, low = -0.3 * depth, height + 0.4 * rise
    top = min(low + 1.3, height + 0.95 * rise)
    body = block((x - 0.8, front, low - 0.4), (x + 0.8, 0.0, top), WALL)
    glass = pane(x - 0.55, x + 0.55, low + 0.15, top - 0.2, y=front - 0.02, slot=GLASS)
    return merge([body, glass, block((x - 0.95, front - 0.15, top - 0.02), (x + 0.95, 0.0, top + 0.1), ROOF)])


def pane(x0: float, x1: float, z0: float, z1: float, *, y: float, slot: int) -> Mesh:
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
    return Model(centred(merge(parts)), looks(rng))


def _shop_sign(rng: Rng, width: float, storey: float, front: float) -> list[Mesh]:
    """A band with a name, and mostly an awning."""
    half, z = width / 2 - 0.2, min(storey - 0.7, 2.7)
    parts = [picture(-half, half, z + 0.08, z + 0.55, front - 0.03)]
    if rng.random() < 0.5:
        out = float(rng.uniform(0.7, 1.6))
        a, b, edge = -half, half, front - out
        slope = [(a, edge, z - 0.45), (b, edge, z - 0.45), (b, front, z + 0.1), (a, front, z + 0.1)]
        parts += [quads([slope], DOOR), pane(a, b, z - 0.65, z - 0.45, y=edge, slot=DOOR)]
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
    return Model(centred(merge(parts)), looks(rng))


def centred(mesh: Mesh) -> Mesh:
    """The mesh moved so that its box is centred on the origin in x and y."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    shift = np.array([-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]], dtype=np.float32)
    return Mesh(mesh.vertices + shift, mesh.normals, mesh.uv, mesh.triangles, mesh.slots)


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "house": ("house", house, 12),
    "terrace": ("terrace", terrace, 12),
    "flats": ("block", flats, 7),
}
