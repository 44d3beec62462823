"""Lamps that stand on tables, lanterns and candles."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Model, merge
from pixio_edge.scenes.shapes import ball, box, cylinder, lathe, moved, tube
from pixio_edge.scenes.shapes.profiles import ring, silhouette, thing
from pixio_edge.scenes.things.stuff import (
    BLACK,
    BRASS,
    CERAMIC,
    FABRIC,
    LIGHT,
    STEEL,
    WHITE,
    WOOD,
    bright,
    pick,
)


def candles(rng: np.random.Generator) -> Model:
    """Candles, on sticks or on a dish."""
    u = rng.uniform
    parts = []
    for i in range(int(rng.integers(1, 5))):
        x, y = 0.09 * i, u(-0.04, 0.04)
        if u() < 0.5:
            radius, height = u(0.02, 0.045), u(0.04, 0.2)
            parts.append(cylinder(radius, height, at=(x, y, 0.004), sides=12, slot=1))
            parts.append(cylinder(1.3 * radius, 0.004, at=(x, y, 0), sides=12))
        else:
            height = u(0.08, 0.25)
            line = silhouette(
                [(0.045, 0), (0.04, 0.01), (0.01, 0.03), (0.014, 0.5 * height), (0.008, 0.7 * height), (0.022, height)],
                12,
            )
            parts.append(lathe(line, at=(x, y, 0), sides=10))
            parts.append(cylinder(0.011, u(0.05, 0.22), at=(x, y, height), sides=8, slot=1))
    return thing(parts, [pick(rng, (BRASS, STEEL, WOOD, CERAMIC)), pick(rng, (WHITE, bright(rng)))])


def table_lamp(rng: np.random.Generator) -> Model:
    """A lamp with a shade of cloth, lit or not."""
    u = rng.uniform
    height, shade = u(0.3, 0.6), u(0.09, 0.2)
    tall = shade * u(0.9, 1.5)
    base = silhouette(
        [
            (u(0.05, 0.09), 0),
            (u(0.02, 0.08), 0.3 * height),
            (u(0.015, 0.06), 0.5 * height),
            (0.01, height - tall + 0.04),
        ],
        12,
    )
    parts = [lathe(base, sides=12)]
    cloth = [(shade, height - tall), (u(0.5, 1.0) * shade, height)]
    parts.append(lathe(cloth, sides=16, cap=False, slot=1))
    parts += [ball((0.03, 0.03, 0.04), at=(0, 0, height - 0.55 * tall), slot=2)]
    return thing(parts, [pick(rng, (CERAMIC, WOOD, BRASS, STEEL)), pick(rng, (FABRIC, LIGHT, WHITE)), LIGHT])


def desk_lamp(rng: np.random.Generator) -> Model:
    """A lamp with a jointed arm."""
    u = rng.uniform
    knee, tip = (0.0, u(0.02, 0.15), u(0.2, 0.35)), (0.0, u(-0.3, -0.1), u(0.3, 0.5))
    parts = [cylinder(u(0.07, 0.1), 0.02, sides=16), tube([(0, 0, 0), knee, tip], 0.008)]
    parts.append(ball((0.016,) * 3, at=knee, detail=0))
    shade = lathe([(0.02, 0.06), (0.03, 0.03), (u(0.05, 0.08), -0.06)], sides=14, cap=False)
    glow = cylinder(0.035, 0.005, at=(0, 0, -0.05), sides=10, slot=1)
    parts.append(moved(merge([shade, glow]), tip, pitch=-u(0, 0.7)))
    return thing([moved(merge(parts), yaw=u(-1, 1))], [pick(rng, (BLACK, STEEL, WHITE, bright(rng))), LIGHT])


def lantern(rng: np.random.Generator) -> Model:
    """A lantern: a cage with a candle."""
    u = rng.uniform
    width, height = u(0.09, 0.16), u(0.16, 0.32)
    parts = [box((width, width, 0.02)), box((0.05, 0.05, 0.1), at=(0, 0, 0.02), slot=1)]
    parts += [box((0.012, 0.012, height), at=(x * 0.45 * width, y * 0.45 * width, 0)) for x in (-1, 1) for y in (-1, 1)]
    parts.append(
        moved(
            cylinder(0.75 * width, 0.4 * width, top_radius=0.1 * width, sides=4, smooth=False),
            (0, 0, height),
            yaw=math.pi / 4,
        )
    )
    parts.append(moved(ring(0.2 * width, 0.004), (0, 0, height + 0.55 * width), pitch=math.pi / 2))
    return thing(parts, [pick(rng, (BLACK, BRASS, WHITE, WOOD)), WHITE])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "candles": ("decor", candles, 4),
    "table_lamp": ("lamp", table_lamp, 6),
    "desk_lamp": ("lamp", desk_lamp, 4),
    "lantern": ("decor", lantern, 3),
}
