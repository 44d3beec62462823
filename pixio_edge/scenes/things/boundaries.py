"""Pieces of fences, walls and railings along x; their outer side is to -y."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Look, Model, merge
from pixio_edge.scenes.shapes import box, extrude, tube
from pixio_edge.scenes.shapes.hulls import quads

Rng = np.random.Generator
STEEL = Look("metal", tint=(0.5, 0.51, 0.52))
DARK = Look("metal", tint=(0.2, 0.21, 0.21))


def picket_fence(rng: Rng) -> Model:
    """3 m of upright boards or bars along x."""
    height, count = float(rng.uniform(0.8, 2.2)), int(rng.integers(12, 30))
    wide = 3.0 / count * float(rng.uniform(0.25, 0.95))
    parts = [
        box((wide, 0.02, height * (1 - 0.1 * (i % 2))), at=(-1.5 + 3.0 * (i + 0.5) / count, 0, 0.03))
        for i in range(count)
    ]
    parts += [box((3.0, 0.04, 0.07), at=(0, 0.03, z * height)) for z in (0.2, 0.75)]
    parts.append(box((0.1, 0.1, height + 0.1), at=(-1.5, 0.03, 0)))
    looks = (Look("wood"), Look("paint", tint=(0.92, 0.92, 0.9)), Look("paint"), DARK)
    return Model(merge(parts), (looks[int(rng.integers(4))],))


def mesh_fence(rng: Rng) -> Model:
    """3 m of wire fence along x, drawn as thick wires."""
    height, step = float(rng.uniform(1.0, 2.2)), float(rng.uniform(0.15, 0.35))
    faces = []
    for z in np.arange(0.08, height, step):
        faces.append([(-1.5, 0, z), (1.5, 0, z), (1.5, 0, z + 0.012), (-1.5, 0, z + 0.012)])
    for x in np.arange(-1.5, 1.5, 0.5 * step):
        faces.append([(x, 0, 0.05), (x + 0.012, 0, 0.05), (x + 0.012, 0, height), (x, 0, height)])
    post = tube([(-1.5, 0, 0), (-1.5, 0, height + 0.08)], 0.03, sides=5)
    look = (Look("metal", tint=(0.15, 0.3, 0.2)), STEEL, DARK)[int(rng.integers(3))]
    return Model(merge([quads(np.array(faces)), post]), (look,))


def garden_wall(rng: Rng) -> Model:
    """3 m of wall along x with a coping, some with pillars."""
    height, deep = float(rng.uniform(0.4, 2.3)), float(rng.uniform(0.15, 0.4))
    parts = [box((3.0, deep, height)), box((3.02, deep + 0.1, 0.08), at=(0, 0, height), slot=1)]
    if rng.random() < 0.5:
        parts += [box((deep + 0.15, deep + 0.15, height + 0.25), at=(-1.5, 0, 0), slot=1)]
    wall = Look("brick", repeat_m=(0.8, 2.0)) if rng.random() < 0.5 else Look("facade", repeat_m=(0.8, 2.0))
    return Model(merge(parts), (wall, Look("concrete") if rng.random() < 0.6 else Look("stone")))


def street_railing(rng: Rng) -> Model:
    """2.5 m of railing along x."""
    height, bars = float(rng.uniform(0.9, 1.2)), int(rng.integers(3, 20))
    parts = [tube([(-1.25, 0, z), (1.25, 0, z)], 0.025, sides=4) for z in (0.15, height)]
    parts += [tube([(x, 0, 0.0), (x, 0, height)], 0.012 + 0.08 / bars, sides=4) for x in np.linspace(-1.25, 1.15, bars)]
    return Model(merge(parts), ((STEEL, DARK, Look("metal"))[int(rng.integers(3))],))


def guard_rail(rng: Rng) -> Model:
    """4 m of crash barrier along x; its face is to -y."""
    profile = [(-0.04, 0.42), (-0.1, 0.5), (-0.04, 0.58), (-0.1, 0.67), (-0.04, 0.75), (-0.02, 0.75), (-0.02, 0.42)]
    rail = extrude(profile, 4.0, axis="x", smooth=False)
    posts = [box((0.06, 0.1, 0.72), at=(x, 0.03, 0)) for x in (-1.0, 1.0)]
    return Model(merge([rail, *posts]), (STEEL,))


def jersey_barrier(rng: Rng) -> Model:
    """2 m of a heavy barrier of concrete or plastic along x."""
    height, foot = float(rng.uniform(0.75, 1.05)), float(rng.uniform(0.22, 0.32))
    outline = [(-foot, 0), (foot, 0), (foot, 0.08), (0.45 * foot, 0.35), (0.3 * foot, height), (-0.3 * foot, height)]
    outline += [(-0.45 * foot, 0.35), (-foot, 0.08)]
    parts = [extrude(outline, 0.98, axis="x", at=(x, 0, 0), slot=i) for i, x in enumerate((-0.5, 0.5))]
    red, white = Look("plastic", tint=(0.8, 0.22, 0.15)), Look("plastic", tint=(0.88, 0.87, 0.84))
    return Model(merge(parts), (red, white) if rng.random() < 0.5 else (Look("concrete"), Look("concrete", same_as=0)))


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "picket_fence": ("fence", picket_fence, 6),
    "mesh_fence": ("fence", mesh_fence, 4),
    "street_railing": ("fence", street_railing, 4),
    "garden_wall": ("garden_wall", garden_wall, 6),
    "jersey_barrier": ("jersey_barrier", jersey_barrier, 4),
    "guard_rail": ("guard_rail", guard_rail, 1),
}
