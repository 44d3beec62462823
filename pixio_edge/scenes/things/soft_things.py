"""Cushions, towels, clothes, shoes and bags."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Mesh, Model, merge
from pixio_edge.scenes.shapes import ball, box, card, cylinder, displaced, extrude, lathe, moved, rounded, sheet, tube
from pixio_edge.scenes.shapes.outlines import Points
from pixio_edge.scenes.shapes.profiles import silhouette, spline, thing
from pixio_edge.scenes.things.stuff import (
    BLACK,
    FABRIC,
    LEATHER,
    PAPER,
    PLASTIC,
    PLUSH,
    PRINT,
    RUBBER,
    WHITE,
    bright,
    pick,
)


def _pillow(width: float, depth: float, thick: float, *, slot: int = 0) -> Mesh:
    """Two bulging sheets, sewn at the edge, that lie around z = 0."""

    def bulge(x: Points, y: Points) -> Points:
        shape: Points = thick / 2 * np.sqrt(np.cos(np.pi * x / width).clip(0) * np.cos(np.pi * y / depth).clip(0))
        return shape

    half = sheet(width, depth, rows=6, columns=6, height=bulge, slot=slot)
    return merge([half, moved(half, roll=math.pi)])


def cushion(rng: np.random.Generator) -> Model:
    """A cushion or pillow, lying or leaning on an edge."""
    u = rng.uniform
    width = u(0.3, 0.65)
    body = displaced(_pillow(width, width * u(0.55, 1.0), u(0.1, 0.2)), rng, 0.01, 0.25)
    lean = u(1.0, 1.4) if u() < 0.5 else u(-0.1, 0.1)
    return thing([moved(body, pitch=lean)], [FABRIC])


def folded_towels(rng: np.random.Generator) -> Model:
    """Folded towels or clothes on one another."""
    u = rng.uniform
    width, depth, z = u(0.22, 0.4), u(0.16, 0.3), 0.0
    parts = []
    for i in range(int(rng.integers(1, 7))):
        thick = u(0.02, 0.06)
        layers = max(1, int(thick / 0.022))
        for layer in range(layers):
            size = (width * u(0.94, 1.0), depth * u(0.94, 1.0), thick / layers)
            parts.append(
                box(
                    size,
                    at=(u(-0.01, 0.01), u(-0.01, 0.01), z + layer * thick / layers),
                    bevel=0.4 * thick / layers,
                    slot=i % 3,
                )
            )
        z += thick
    return thing([displaced(merge(parts), rng, 0.004, 0.2)], [PLUSH, FABRIC, pick(rng, (PLUSH, WHITE))])


def draped_cloth(rng: np.random.Generator) -> Model:
    """A cloth thrown down: folds that rise and fall, or hung over a thing."""
    u = rng.uniform
    width, depth = u(0.2, 0.7), u(0.2, 0.6)
    waves = rng.normal(size=(4, 2)) * (u(6, 16) / max(width, depth))
    phases, high, hump = rng.uniform(0, 6.28, 4), u(0.008, 0.03), u(0, 0.12) if u() < 0.4 else 0.0

    def folds(x: Points, y: Points) -> Points:
        level = sum(np.abs(np.sin(w[0] * x + w[1] * y + p)) for w, p in zip(waves, phases, strict=True))
        bump = hump * np.exp(-(((x / (0.25 * width)) ** 2 + (y / (0.25 * depth)) ** 2) ** 2))
        result: Points = high * level + bump
        return result

    return thing([displaced(sheet(width, depth, rows=14, columns=16, height=folds), rng, 0.02, 0.3)], [FABRIC])


def _shoe(rng: np.random.Generator, length: float, shaft: float) -> Mesh:
    """One shoe with its toe at -y."""
    width = 0.36 * length
    t = np.linspace(0, 2 * math.pi, 14, endpoint=False)
    foot = np.stack([width / 2 * np.cos(t) * (1 + 0.18 * np.sin(-t)), length / 2 * np.sin(t)], 1)
    sole = extrude(foot, rng.uniform(0.02, 0.035), slot=1)
    toe = ball((0.46 * width, 0.27 * length, 0.2 * length), at=(0, -0.22 * length, 0.07 * length), detail=2)
    heel = ball((0.42 * width, 0.25 * length, 0.25 * length), at=(0, 0.22 * length, 0.11 * length), detail=1)
    opening = lathe(
        [(0.34 * width, 0), (0.36 * width, shaft), (0.28 * width, shaft), (0.28 * width, 0.02)], sides=10, cap=False
    )
    leg = moved(opening, (0, 0.22 * length, 0.08 * length), scale=(1.0, 1.35, 1.0), pitch=-0.1)
    laces = box((0.2 * width, 0.22 * length, 0.012), slot=2)
    upper = merge([toe, heel, leg, moved(laces, (0, -0.1 * length, 0.24 * length), pitch=0.5)])
    upper.vertices[:, 2] = np.maximum(upper.vertices[:, 2], 0.004)
    return merge([sole, upper])


def shoes(rng: np.random.Generator) -> Model:
    """A pair of shoes or boots, or one fallen over."""
    u = rng.uniform
    length, shaft = u(0.2, 0.32), u(0.05, 0.12) if u() < 0.7 else u(0.2, 0.35)
    one = _shoe(rng, length, shaft)
    other = moved(one, (0.45 * length, u(-0.06, 0.06), 0), yaw=u(-0.4, 0.4), scale=(-1, 1, 1))
    if u() < 0.25:
        other = moved(one, (0.6 * length, 0, 0.2 * length), roll=math.pi / 2)
    return thing(
        [one, other],
        [pick(rng, (LEATHER, FABRIC, bright(rng), BLACK)), pick(rng, (RUBBER, WHITE)), pick(rng, (WHITE, BLACK))],
    )


def hat(rng: np.random.Generator) -> Model:
    """A hat, cap or helmet."""
    u = rng.uniform
    radius, height = 0.095, u(0.09, 0.14)
    brim = u(1.05, 1.9) * radius
    line = [
        (brim, u(0, 0.015)),
        (radius, 0.012),
        (u(0.8, 1.0) * radius, 0.75 * height),
        (0.6 * radius, height),
        (0, u(0.85, 1.0) * height),
    ]
    body = moved(lathe(silhouette(line, 12), sides=16), scale=(0.9, 1.1, 1))
    parts = [body]
    if brim < 1.2 * radius:
        peak = extrude(rounded(0.15, 0.12, 0.055, steps=3), 0.006, at=(0, -0.14, 0.008))
        parts.append(moved(peak, pitch=0.06))
    return thing(parts, [pick(rng, (FABRIC, LEATHER, bright(rng)))])


def backpack(rng: np.random.Generator) -> Model:
    """A rucksack or school bag with pockets and straps."""
    u = rng.uniform
    width, depth, height = u(0.25, 0.36), u(0.13, 0.22), u(0.35, 0.5)
    trunk = ball((width / 2, depth / 2, height / 2), at=(0, 0, height / 2), detail=4)
    shape = np.abs((trunk.vertices - (0, 0, height / 2)) / (width / 2, depth / 2, height / 2))
    grown = 1 / np.maximum((shape**4).sum(1, keepdims=True) ** 0.25, 0.3)
    trunk.vertices[:] = (trunk.vertices - (0, 0, height / 2)) * grown + (0, 0, height / 2)
    pocket = ball((0.38 * width, 0.3 * depth, 0.24 * height), at=(0, -0.45 * depth, 0.28 * height), detail=2, slot=1)
    bag = displaced(merge([trunk, pocket]), rng, 0.008, 0.2)
    bag.vertices[:, 2] = np.maximum(bag.vertices[:, 2], 0.01)
    grip = spline(
        [(-0.04, 0.3 * depth, 0.97 * height), (0, 0.3 * depth, 1.08 * height), (0.04, 0.3 * depth, 0.97 * height)], 5
    )
    parts = [bag, tube(grip, 0.009, slot=2)]
    for side in (-1, 1):
        strap = [
            (side * 0.2 * width, 0.45 * depth, 0.92 * height),
            (side * 0.34 * width, 0.75 * depth, 0.5 * height),
            (side * 0.38 * width, 0.42 * depth, 0.1 * height),
        ]
        parts.append(tube(spline(strap, 7), 0.015, sides=5, slot=2))
    return thing(
        [moved(merge(parts), pitch=-u(1.3, 1.6) if u() < 0.25 else u(-0.1, 0.1))],
        [pick(rng, (FABRIC, bright(rng), BLACK)), pick(rng, (FABRIC, bright(rng))), BLACK],
    )


def handbag(rng: np.random.Generator) -> Model:
    """A handbag or briefcase with a handle."""
    u = rng.uniform
    width, depth, height = u(0.22, 0.42), u(0.07, 0.16), u(0.16, 0.32)
    side = [(-depth / 2, 0), (depth / 2, 0), (u(0.1, 0.5) * depth, height), (-u(0.1, 0.5) * depth, height)]
    body = extrude(side, width, axis="x")
    bow = [
        (-0.2 * width, 0, height),
        (-0.18 * width, 0, height + u(0.04, 0.14)),
        (0.18 * width, 0, height + u(0.04, 0.14)),
        (0.2 * width, 0, height),
    ]
    parts = [body, tube(spline(bow, 9), 0.008, slot=1), box((0.05, depth, 0.03), at=(0, -0.012, 0.6 * height), slot=2)]
    return thing(
        parts,
        [pick(rng, (LEATHER, LEATHER, FABRIC, bright(rng))), pick(rng, (LEATHER, BLACK)), pick(rng, (BLACK, WHITE))],
    )


def paper_bag(rng: np.random.Generator) -> Model:
    """A shopping bag of paper or plastic with things looking out."""
    u = rng.uniform
    width, depth, height = u(0.18, 0.4), u(0.09, 0.2), u(0.22, 0.45)
    walls = [
        moved(card(width, height, fit=True), (0, -depth / 2, 0)),
        moved(card(width, height, fit=True), (0, depth / 2, 0), yaw=math.pi),
    ]
    for side in (-1, 1):
        fold = extrude(
            [
                (side * width / 2, -depth / 2),
                (side * (width / 2 - 0.02), 0),
                (side * width / 2, depth / 2),
                (side * (width / 2 - 0.002), 0),
            ],
            height,
            slot=1,
        )
        walls.append(fold)
    parts = [displaced(merge(walls), rng, 0.004, 0.15), box((0.98 * width, 0.98 * depth, 0.01), slot=1)]
    for side in (-1, 1):
        bow = [
            (-0.15 * width, side * depth / 2, height),
            (0, side * depth / 2, height + u(0.06, 0.12)),
            (0.15 * width, side * depth / 2, height),
        ]
        parts.append(tube(spline(bow, 7), 0.004, sides=4, slot=2))
    for _ in range(int(rng.integers(0, 4))):
        size = u(0.25, 0.45) * depth
        at = (u(-0.3, 0.3) * width, u(-0.15, 0.15) * depth, height * u(0.5, 0.8))
        parts.append(cylinder(size, u(0.2, 0.4) * height, at=at, sides=9, slot=3))
    return thing(
        parts, [pick(rng, (PRINT, PRINT, PAPER)), PAPER, pick(rng, (WHITE, BLACK)), pick(rng, (PLASTIC, bright(rng)))]
    )


def plastic_bag(rng: np.random.Generator) -> Model:
    """A full sack or carrier bag, tied at the top."""
    u = rng.uniform
    radius, height = u(0.1, 0.28), u(0.9, 1.6)
    line = [(0.6, 0), (0.95, 0.25), (1.0, 0.55), (0.55, 0.85), (0.12, 1.0), (u(0.2, 0.4), 1.0 + u(0.1, 0.25))]
    curve = silhouette(line, 12) * (radius, radius * height)
    body = displaced(lathe(curve, sides=18, cap=False), rng, 0.07 * radius, 0.45 * radius)
    return thing([body], [pick(rng, (BLACK, WHITE, PLASTIC, FABRIC))])


def umbrella(rng: np.random.Generator) -> Model:
    """A closed umbrella that lies."""
    u = rng.uniform
    length = u(0.3, 0.8)
    line = [(0.01, 0), (0.03, 0.1 * length), (0.025, 0.5 * length), (0.006, 0.85 * length), (0.004, length)]
    body = lathe(silhouette(line, 10), sides=8, smooth=False)
    t = np.linspace(0, math.pi, 6)
    hook = [(0, 0, 0.02), (0, 0, -0.1), *((0.03 - 0.03 * math.cos(a), 0, -0.1 - 0.03 * math.sin(a)) for a in t[1:])]
    return thing(
        [moved(merge([body, tube(hook, 0.008, slot=1)]), pitch=math.pi / 2, yaw=u(0, 3))],
        [pick(rng, (FABRIC, BLACK, bright(rng))), BLACK],
    )


def rolled_mat(rng: np.random.Generator) -> Model:
    """A rolled carpet, blanket or sleeping mat, lying."""
    u = rng.uniform
    radius, length = u(0.04, 0.1), u(0.2, 0.7)
    t = np.linspace(0, 1, 26)
    r = radius * (0.25 + 0.75 * t)
    outer = np.stack([r * np.cos(6.28 * 2.5 * t), r * np.sin(6.28 * 2.5 * t)], 1)
    spiral = np.concatenate([outer, (outer * (1 - 0.2 * radius / r[:, None]))[::-1]])
    return thing([extrude(spiral, length, axis="y")], [pick(rng, (FABRIC, PLUSH, bright(rng)))])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "cushion": ("cushion", cushion, 8),
    "folded_towels": ("cloth", folded_towels, 6),
    "draped_cloth": ("cloth", draped_cloth, 8),
    "shoes": ("clothes", shoes, 6),
    "hat": ("clothes", hat, 5),
    "backpack": ("bag", backpack, 6),
    "handbag": ("bag", handbag, 5),
    "paper_bag": ("bag", paper_bag, 5),
    "plastic_bag": ("bag", plastic_bag, 6),
    "umbrella": ("clothes", umbrella, 3),
    "rolled_mat": ("cloth", rolled_mat, 3),
}
