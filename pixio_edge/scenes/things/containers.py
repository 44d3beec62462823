"""Baskets, boxes, tubs and cases of hand size and more."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Mesh, Model, Top, merge
from pixio_edge.scenes.shapes import ball, box, cylinder, displaced, lathe, leaf_cards, moved, sheet, tube
from pixio_edge.scenes.shapes.outlines import Points
from pixio_edge.scenes.shapes.profiles import hollow, ring, silhouette, spline, thing
from pixio_edge.scenes.things.stuff import (
    BLACK,
    CARDBOARD,
    FABRIC,
    LEAF,
    LEATHER,
    METAL,
    OBJECT,
    PAPER,
    PLASTIC,
    PLUSH,
    PRINT,
    STEEL,
    WHITE,
    WICKER,
    WOOD,
    bright,
    pick,
)


def _walls(width: float, depth: float, height: float, wall: float, *, slot: int = 0) -> list[Mesh]:
    """An open box of boards."""
    parts = [box((width, depth, wall), slot=slot)]
    parts += [box((width, wall, height), at=(0, side * (depth - wall) / 2, 0), slot=slot) for side in (-1, 1)]
    parts += [
        box((wall, depth - 2 * wall, height), at=(side * (width - wall) / 2, 0, 0), slot=slot) for side in (-1, 1)
    ]
    return parts


def _filling(rng: np.random.Generator, width: float, depth: float, height: float) -> list[Mesh]:
    """Things that lie in a box of this size, slots 1 to 3, looking over its rim a little."""
    u = rng.uniform
    parts: list[Mesh] = []
    for i in range(int(rng.integers(3, 9))):
        x, y, size = u(-0.32, 0.32) * width, u(-0.32, 0.32) * depth, u(0.12, 0.24) * min(width, depth)
        base, slot = height * u(0.1, 0.6), 1 + i % 3
        kind = u()
        if kind < 0.4:
            tall = u(0.3, 0.8) * height
            parts.append(
                moved(box((1.6 * size, 1.2 * size, tall), slot=slot), (x, y, base), yaw=u(0, 3), roll=u(-0.25, 0.25))
            )
        elif kind < 0.7:
            parts.append(
                moved(cylinder(0.6 * size, u(0.5, 1.0) * height, sides=10, slot=slot), (x, y, base), pitch=u(-0.3, 0.3))
            )
        else:
            parts.append(ball((size, size, 0.9 * size), at=(x, y, base + size), detail=1, slot=slot))
    return parts


def basket(rng: np.random.Generator) -> Model:
    """A wicker basket, empty, with cloth or with things, with or without a handle."""
    u = rng.uniform
    radius, squash = u(0.12, 0.24), u(0.65, 1.0)
    height = radius * u(0.5, 1.3)
    curve = silhouette([(u(0.65, 0.9) * radius, 0), (0.95 * radius, 0.5 * height), (radius, height)], 6)
    shell = [lathe(hollow(curve, 0.01), sides=18), ring(radius, 0.012, height=height, sides=16)]
    if u() < 0.4:
        bow = spline(
            [
                (-radius, 0, height),
                (-0.7 * radius, 0, height + 0.8 * radius),
                (0.7 * radius, 0, height + 0.8 * radius),
                (radius, 0, height),
            ],
            10,
        )
        shell.append(tube(bow, 0.01, sides=5))
    parts = [moved(merge(shell), scale=(1.0, squash, 1.0))]
    kind = u()
    if kind < 0.35:
        heap = displaced(
            ball((0.8 * radius, 0.8 * squash * radius, 0.4 * height), detail=3, slot=1),
            rng,
            0.08 * radius,
            0.4 * radius,
        )
        parts.append(moved(heap, (0, 0, 0.75 * height)))
    elif kind < 0.75:
        parts += _filling(rng, 1.3 * radius, 1.3 * squash * radius, height)
    return thing(parts, [WICKER, pick(rng, (FABRIC, PLUSH)), bright(rng), pick(rng, (PLASTIC, OBJECT))])


def box_of_things(rng: np.random.Generator) -> Model:
    """An open box or tub with things in it."""
    u = rng.uniform
    width, depth, height = u(0.2, 0.5), u(0.15, 0.4), u(0.08, 0.28)
    parts = _walls(width, depth, height, u(0.003, 0.014))
    parts += _filling(rng, width, depth, height)
    return thing(
        parts,
        [
            pick(rng, (PLASTIC, WOOD, CARDBOARD, METAL, bright(rng))),
            pick(rng, (OBJECT, bright(rng))),
            bright(rng),
            pick(rng, (WHITE, METAL)),
        ],
    )


def tub(rng: np.random.Generator) -> Model:
    """A plastic box with a lid, stacks of them."""
    u = rng.uniform
    width, depth, height, parts = u(0.18, 0.45), u(0.14, 0.35), u(0.07, 0.25), []
    z = 0.0
    for _ in range(int(rng.integers(1, 4))):
        parts.append(moved(box((width, depth, height), bevel=0.01), (u(-0.01, 0.01), u(-0.01, 0.01), z)))
        parts.append(box((1.05 * width, 1.06 * depth, 0.1 * height), at=(0, 0, z + 0.92 * height), slot=1))
        z += 1.02 * height
    return thing(
        parts,
        [pick(rng, (PLASTIC, WHITE, bright(rng))), pick(rng, (bright(rng), WHITE, BLACK))],
        [Top((0, 0, z), (0.4 * width, 0.4 * depth))],
    )


def tissue_box(rng: np.random.Generator) -> Model:
    """A box of tissues with one that stands out."""
    u = rng.uniform
    width, depth, height = (u(0.2, 0.25), u(0.11, 0.13), u(0.06, 0.1)) if u() < 0.6 else (0.11, 0.11, u(0.11, 0.14))

    def fold(x: Points, y: Points) -> Points:
        result: Points = 0.09 * np.exp(-((x / 0.03) ** 2)) * (1 - 40 * y**2) + 0.012 * np.sin(90 * x + 40 * y)
        return result

    tissue = displaced(sheet(0.11, 0.07, rows=6, columns=8, height=fold, slot=1), rng, 0.008, 0.06)
    tissue.vertices[:, 2] = np.maximum(tissue.vertices[:, 2], -0.005)
    return thing([box((width, depth, height), fit=True), moved(tissue, (0, 0, height))], [PRINT, PAPER])


def suitcase(rng: np.random.Generator) -> Model:
    """A suitcase, upright on wheels or lying."""
    u = rng.uniform
    width, depth, height = u(0.35, 0.5), u(0.18, 0.28), u(0.5, 0.72)
    parts = [box((width, depth, height), at=(0, 0, 0.05), bevel=u(0.02, 0.06))]
    parts += [
        box((1.02 * width, 0.02, 1.01 * height), at=(0, y * depth, 0.05), bevel=0.005, slot=1) for y in (-0.2, 0.2)
    ]
    parts += [
        moved(cylinder(0.025, 0.03, sides=8, slot=1), (x * width, y * depth, 0.025), pitch=math.pi / 2)
        for x in (-0.4, 0.4)
        for y in (-0.35, 0.4)
    ]
    if u() < 0.6:
        bar = u(0.1, 0.45)
        parts.append(
            tube(
                [
                    (-0.12, 0.4 * depth, height),
                    (-0.12, 0.4 * depth, height + bar),
                    (0.12, 0.4 * depth, height + bar),
                    (0.12, 0.4 * depth, height),
                ],
                0.009,
                slot=2,
            )
        )
    whole = merge(parts)
    return thing(
        [moved(whole, pitch=-math.pi / 2) if u() < 0.25 else whole],
        [pick(rng, (FABRIC, BLACK, bright(rng), METAL, LEATHER)), BLACK, STEEL],
    )


def gift(rng: np.random.Generator) -> Model:
    """A wrapped parcel with a ribbon and a bow, or some."""
    u = rng.uniform
    parts, z = [], 0.0
    for i in range(int(rng.integers(1, 4))):
        size = (u(0.1, 0.3) * 0.85**i, u(0.1, 0.25) * 0.85**i, u(0.05, 0.16))
        at = (u(-0.02, 0.02), u(-0.02, 0.02), z)
        whole = [
            box(size, slot=i % 2),
            box((0.025, size[1] + 0.004, size[2] + 0.002), slot=2),
            box((size[0] + 0.004, 0.025, size[2] + 0.002), slot=2),
        ]
        parts.append(moved(merge(whole), at, yaw=u(-0.3, 0.3)))
        z += size[2] + 0.002
    for side in (0.4, 2.7):
        loop = spline([(0, 0, 0), (0.04, 0, 0.04), (0.06, 0, 0.01), (0, 0, 0.004)], 8)
        parts.append(moved(tube(loop, 0.005, sides=4, slot=2), (0, 0, z), yaw=side))
    return thing(parts, [OBJECT, pick(rng, (OBJECT, bright(rng))), bright(rng)])


def mail_parcels(rng: np.random.Generator) -> Model:
    """Small parcels with labels on one another."""
    u = rng.uniform
    parts, z = [], 0.0
    for _ in range(int(rng.integers(1, 6))):
        size = (u(0.14, 0.35), u(0.1, 0.28), u(0.03, 0.15))
        label = moved(box((0.09, 0.06, 0.001), slot=1, fit=True), (u(-0.02, 0.02), u(-0.02, 0.02), size[2]))
        tape = box((size[0] + 0.002, 0.04, size[2] + 0.0012), at=(0, 0, 0), slot=2)
        parts.append(moved(merge([box(size), label, tape]), (u(-0.03, 0.03), u(-0.03, 0.03), z), yaw=u(-0.3, 0.3)))
        z += size[2]
    return thing(parts, [CARDBOARD, PRINT, pick(rng, (PLASTIC, CARDBOARD))])


def bottle_crate(rng: np.random.Generator) -> Model:
    """A crate of bottles."""
    u = rng.uniform
    columns, rows, step = int(rng.integers(3, 5)), int(rng.integers(2, 4)), u(0.075, 0.095)
    width, depth, height = columns * step + 0.02, rows * step + 0.02, u(0.14, 0.26)
    parts = _walls(width, depth, height, 0.01)
    line = silhouette([(0.4 * step, 0.01), (0.4 * step, 0.17), (0.015, 0.24), (0.015, 0.3)], 7)
    for i in range(columns):
        for j in range(rows):
            if u() < 0.8:
                at = ((i + 0.5 - columns / 2) * step, (j + 0.5 - rows / 2) * step, 0)
                parts.append(lathe(line, at=at, sides=7, slot=1))
    return thing(parts, [pick(rng, (bright(rng), WOOD, PLASTIC)), pick(rng, (PLASTIC, bright(rng), BLACK))])


def tin(rng: np.random.Generator) -> Model:
    """A round or square tin or jewel box with a lid that may be off."""
    u = rng.uniform
    radius = u(0.04, 0.13)
    height = radius * u(0.5, 1.6)
    flat = (0.0, 0.0, height)
    if u() < 0.5:
        body, lid = cylinder(radius, height, sides=18), cylinder(1.03 * radius, 0.25 * height, sides=18, slot=1)
    else:
        body = box((2 * radius, 1.5 * radius, height), bevel=0.005)
        lid = box((2.05 * radius, 1.55 * radius, 0.25 * height), bevel=0.005, slot=1)
    if u() < 0.75:
        return thing(
            [body, moved(lid, (0, 0, 0.8 * height))],
            [pick(rng, (OBJECT, METAL, WOOD)), pick(rng, (OBJECT, METAL, WOOD))],
            [Top(flat, (0.6 * radius, 0.5 * radius))],
        )
    return thing(
        [body, moved(lid, (1.4 * radius, -0.4 * radius, 0.6 * radius), roll=1.1)],
        [pick(rng, (OBJECT, METAL)), pick(rng, (OBJECT, METAL, WOOD))],
    )


def herb_box(rng: np.random.Generator) -> Model:
    """A window box or crate with herbs and vegetables."""
    u = rng.uniform
    width, depth, height = u(0.25, 0.5), u(0.15, 0.25), u(0.08, 0.16)
    parts = _walls(width, depth, height, 0.01)
    where = rng.uniform(-0.5, 0.5, (130, 3)) * (0.95 * width, 0.95 * depth, u(0.06, 0.16)) + (0, 0, height + 0.02)
    parts.append(leaf_cards(where, u(0.04, 0.07), rng, slimness=0.7, slot=1))
    for _ in range(6):
        size = u(0.025, 0.04)
        parts.append(ball((size, size, size), at=(u(-0.4, 0.4) * width, u(-0.35, 0.35) * depth, height), slot=2))
    return thing(parts, [pick(rng, (WOOD, PLASTIC, METAL)), LEAF, bright(rng)])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "basket": ("container", basket, 6),
    "box_of_things": ("container", box_of_things, 8),
    "tub": ("container", tub, 5),
    "tissue_box": ("container", tissue_box, 4),
    "trolley_case": ("bag", suitcase, 5),
    "gift": ("container", gift, 4),
    "mail_parcels": ("container", mail_parcels, 5),
    "bottle_crate": ("container", bottle_crate, 3),
    "tin": ("container", tin, 5),
    "herb_box": ("container", herb_box, 3),
}
