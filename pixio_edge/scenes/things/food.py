"""Food, as it lies on counters and tables, and what it is sold in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Mesh, Model, merge
from pixio_edge.scenes.shapes import ball, box, cylinder, displaced, extrude, lathe, leaf_cards, moved, sheet, tube
from pixio_edge.scenes.shapes.outlines import Points
from pixio_edge.scenes.shapes.profiles import hollow, silhouette, spline, thing
from pixio_edge.scenes.things.stuff import (
    CARDBOARD,
    CERAMIC,
    CRUST,
    LEAF,
    OBJECT,
    PRINT,
    WHITE,
    WICKER,
    WOOD,
    bright,
    pick,
    plain,
)

_PEELS = (
    (0.75, 0.12, 0.08),
    (0.85, 0.5, 0.1),
    (0.55, 0.68, 0.15),
    (0.86, 0.78, 0.2),
    (0.35, 0.1, 0.2),
    (0.3, 0.45, 0.1),
)


def _apple(
    radius: float, squash: float, *, at: tuple[float, float, float] = (0, 0, 0), slot: int = 0, sides: int = 12
) -> Mesh:
    line = silhouette(
        [(0.03, 0.12), (0.7, 0.05), (1, 0.9 * squash), (0.6, 1.7 * squash), (0.05, 1.5 * squash)], sides - 3
    )
    return lathe(line * radius, sides=sides, at=at, slot=slot)


def fruit(rng: np.random.Generator) -> Model:
    """An apple, orange, lemon, pear, tomato or melon."""
    u = rng.uniform
    radius, kind = u(0.025, 0.045), u()
    if kind < 0.4:
        body = _apple(radius, u(0.8, 1.1))
    elif kind < 0.7:
        radius = radius if u() < 0.6 else u(0.07, 0.12)
        body = ball((radius, radius, radius * u(0.85, 1.0)), at=(0, 0, radius), detail=2)
    elif kind < 0.85:
        body = ball((radius * 1.4, radius, radius), at=(0, 0, radius), detail=2)
    else:
        line = silhouette([(0.0, 0.0), (1, 0.8), (0.5, 1.9), (0.3, 2.3), (0, 2.4)], 10) * radius
        body = lathe(line, sides=12)
    high = float(body.vertices[:, 2].max())
    stem = tube([(0, 0, 0.9 * high), (0.005, 0, high + 0.3 * radius)], 0.002, sides=4, slot=1)
    whole = moved(merge([body, stem]), roll=u(0.2, 1.5) if u() < 0.6 else 0.0)
    return thing([whole], [plain(_PEELS[int(rng.integers(6))], rng), plain((0.25, 0.18, 0.08), rng)])


def fruit_bowl(rng: np.random.Generator) -> Model:
    """A bowl heaped with fruit."""
    u = rng.uniform
    radius, height = u(0.11, 0.17), u(0.05, 0.1)
    line = silhouette([(0.45 * radius, 0), (0.8 * radius, 0.35 * height), (radius, height)], 6)
    parts = [lathe(hollow(line, 0.005), sides=16)]
    looks = [pick(rng, (CERAMIC, WOOD, WICKER))] + [plain(_PEELS[int(rng.integers(6))], rng) for _ in range(3)]
    for i in range(int(rng.integers(5, 11))):
        r = u(0.03, 0.042)
        level = 0.25 * height if i < 6 else 0.25 * height + 1.5 * r
        away = (0.62 if i < 6 else 0.25) * radius
        turn = i * 1.05 + u(-0.2, 0.2)
        at = (away * np.cos(turn), away * np.sin(turn), level + 0.4 * r)
        parts.append(_apple(r, u(0.8, 1.1), at=at, slot=1 + int(rng.integers(3)), sides=9))
    return thing(parts, looks)


def bananas(rng: np.random.Generator) -> Model:
    """One banana or a hand of them."""
    u = rng.uniform
    parts = []
    count = int(rng.integers(1, 6))
    for i in range(count):
        angle = (i - count / 2) * 0.35
        x = np.linspace(-1, 1, 7)
        path = np.stack([0.09 * x, 0.05 * x**2 + 0.02 * i, np.full(7, 0.018)], 1)
        radii = 0.017 * np.sqrt(np.clip(1.08 - x**4, 0.05, 1))
        parts.append(moved(tube(path, radii, sides=6), yaw=angle, pitch=u(-0.1, 0.1)))
    return thing(parts, [plain((0.88, 0.74, 0.2), rng)])


def vegetable(rng: np.random.Generator) -> Model:
    """A carrot, cucumber, pepper, cabbage or a bunch of leaves."""
    u = rng.uniform
    kind = int(rng.integers(4))
    if kind == 0:
        length = u(0.12, 0.3)
        root = tube(
            spline([(0, 0, 0), (0.5 * length, 0.01, 0), (length, 0, 0)], 6), np.linspace(u(0.012, 0.022), 0.006, 6)
        )
        tuft = leaf_cards(rng.normal((-0.03, 0, 0.01), 0.012, (14, 3)), 0.06, rng, slot=1)
        return thing([root, tuft], [plain(_PEELS[int(rng.integers(1, 6))], rng), LEAF])
    if kind == 1:
        line = silhouette([(0.3, 0), (0.9, 0.2), (1.0, 1.2), (0.6, 1.9), (0.1, 1.7)], 9) * u(0.03, 0.045)
        pepper = displaced(lathe(line, sides=14), rng, 0.003, 0.05)
        return thing([moved(pepper, roll=u(0, 1.5))], [plain(_PEELS[int(rng.integers(6))], rng)])
    if kind == 2:
        radius = u(0.06, 0.1)
        head = displaced(ball((radius, radius, 0.85 * radius), detail=3), rng, 0.05 * radius, 0.8 * radius)
        return thing([head], [LEAF])
    heap = rng.normal(0, 1, (60, 3)) * (0.06, 0.05, 0.03)
    return thing([leaf_cards(heap, u(0.04, 0.08), rng, slimness=0.8)], [LEAF])


def bread(rng: np.random.Generator) -> Model:
    """A loaf, baguette or roll."""
    u = rng.uniform
    length = u(0.08, 0.4)
    width = u(0.06, 0.12) if length > 0.12 else 0.8 * length
    height = width * u(0.55, 0.9)
    loaf = ball((length / 2, width / 2, height / 2), detail=3)
    loaf.vertices[:, 2] = np.maximum(loaf.vertices[:, 2], -0.3 * height)
    return thing([displaced(loaf, rng, 0.05 * width, 0.7 * width)], [CRUST])


def cake(rng: np.random.Generator) -> Model:
    """A cake, pie or cheese with a piece missing."""
    u = rng.uniform
    radius, height, missing = u(0.07, 0.14), u(0.03, 0.09), u(0.2, 2.2)
    turns = np.linspace(missing / 2, 2 * np.pi - missing / 2, 18)
    outline = [(0.0, 0.0), *zip(radius * np.cos(turns), radius * np.sin(turns), strict=True)]
    parts = [extrude(outline, 0.8 * height, slot=1), extrude(outline, 0.2 * height, at=(0, 0, 0.8 * height))]
    parts.append(cylinder(1.3 * radius, 0.006, at=(0, 0, -0.006), sides=18, slot=2))
    return thing(parts, [pick(rng, (CRUST, WHITE, bright(rng))), CRUST, CERAMIC])


def carton(rng: np.random.Generator) -> Model:
    """Milk or juice: a carton with a gable or a flat top."""
    u = rng.uniform
    width, depth, height = u(0.06, 0.1), u(0.05, 0.09), u(0.1, 0.22)
    parts = [box((width, depth, height), fit=True)]
    if u() < 0.6:
        peak = depth * 0.5
        gable = [(-depth / 2, height), (depth / 2, height), (0, height + peak)]
        parts.append(extrude(gable, width, axis="x", slot=1))
        parts.append(box((width, 0.004, 0.02), at=(0, 0, height + peak - 0.002), slot=1))
        height += 0.5 * peak
    parts.append(cylinder(0.014, 0.012, at=(0, -0.2 * depth, height), sides=10, slot=2))
    return thing(parts, [PRINT, pick(rng, (WHITE, bright(rng))), bright(rng)])


def packet(rng: np.random.Generator) -> Model:
    """A bag of crisps, coffee or flour, standing or lying."""
    u = rng.uniform
    width, height, depth, full = u(0.09, 0.2), u(0.12, 0.28), u(0.04, 0.09), u(0.1, 0.35)

    def bulge(x: Points, y: Points) -> Points:
        across = np.cos(np.pi * np.clip(x / width, -0.5, 0.5)) ** 0.6
        along = np.sin(np.pi * np.clip(full + (1 - full) * (y / height + 0.5), 0, 1)) ** 0.7
        result: Points = depth / 2 * across * along
        return result

    half = sheet(width, height, rows=8, columns=6, height=bulge)
    half.uv[:] = half.uv / (width, -height) + 0.5
    bag = displaced(merge([half, moved(half, roll=np.pi)]), rng, 0.003, 0.05)
    return thing([moved(bag, pitch=np.pi / 2 if u() < 0.6 else 0.0)], [PRINT])


def packed_box(rng: np.random.Generator) -> Model:
    """Cereal, tea, medicine, crackers: a printed box, upright or on its side."""
    u = rng.uniform
    height = u(0.06, 0.32)
    width = height * u(0.45, 0.9)
    size = [width, width * u(0.2, 0.7), height]
    if u() < 0.35:
        size = [size[0], size[2], size[1]]
    return thing([box(size, fit=True)], [PRINT])


def egg_box(rng: np.random.Generator) -> Model:
    """A tray of eggs."""
    columns, rows = int(rng.integers(2, 6)), int(rng.integers(2, 4))
    parts = [box((columns * 0.048, rows * 0.048, 0.03), bevel=0.006)]
    for i in range(columns):
        for j in range(rows):
            if rng.uniform() < 0.85:
                at = ((i - columns / 2 + 0.5) * 0.048, (j - rows / 2 + 0.5) * 0.048, 0.036)
                parts.append(ball((0.021, 0.021, 0.027), at=at, detail=1, slot=1))
    return thing(parts, [pick(rng, (CARDBOARD, bright(rng))), plain((0.85, 0.7, 0.55), rng)])


def pizza_box(rng: np.random.Generator) -> Model:
    """Flat boxes on one another."""
    u = rng.uniform
    side, parts, z = u(0.24, 0.4), [], 0.0
    for _ in range(int(rng.integers(1, 4))):
        thick = u(0.03, 0.05)
        parts.append(moved(box((side, side, thick)), (u(-0.01, 0.01), u(-0.01, 0.01), z), yaw=u(-0.1, 0.1)))
        z += thick
    return thing(parts, [pick(rng, (CARDBOARD, OBJECT))])


def meal(rng: np.random.Generator) -> Model:
    """A plate with something on it."""
    u = rng.uniform
    radius = u(0.09, 0.14)
    dish = [(0.6 * radius, 0), (radius, 0.018), (0.98 * radius, 0.021), (0.65 * radius, 0.006), (0, 0.006)]
    parts = [lathe(dish, sides=18)]
    for slot in (1, 2, 3):
        size = u(0.015, 0.05, 3)
        lump = displaced(ball(size.tolist(), detail=1), rng, 0.004, 0.03)
        lump.slots[:] = slot
        parts.append(moved(lump, (u(-0.4, 0.4) * radius, u(-0.4, 0.4) * radius, 0.4 * size[2] + 0.006)))
    return thing(parts, [CERAMIC, CRUST, LEAF, plain(_PEELS[int(rng.integers(6))], rng)])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "fruit": ("food", fruit, 10),
    "fruit_bowl": ("food", fruit_bowl, 4),
    "bananas": ("food", bananas, 3),
    "vegetable": ("food", vegetable, 8),
    "bread": ("food", bread, 4),
    "cake": ("food", cake, 4),
    "drink_carton": ("food", carton, 5),
    "packet": ("food", packet, 6),
    "packed_box": ("food", packed_box, 10),
    "egg_box": ("food", egg_box, 2),
    "pizza_box": ("food", pizza_box, 3),
    "meal": ("food", meal, 4),
}
