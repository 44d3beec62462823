"""Dolls, stuffed animals and other figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pixio_edge.scenes.mesh import Mesh, Model, merge
from pixio_edge.scenes.shapes import ball, box, cylinder, lathe, moved, tube
from pixio_edge.scenes.shapes.profiles import silhouette, spline, thing
from pixio_edge.scenes.things.stuff import BLACK, PLASTIC, PLUSH, SKIN, WHITE, WOOD, bright, pick


def _limb(points: Sequence[tuple[float, float, float]], thick: float, thin: float, slot: int) -> Mesh:
    return tube(spline(points, 4), np.linspace(thick, thin, 4), sides=6, slot=slot)


def plush(rng: np.random.Generator) -> Model:
    """A sitting stuffed animal: bear, rabbit, dog."""
    u = rng.uniform
    s = u(0.12, 0.4)
    parts = [ball((0.24 * s, 0.2 * s, 0.28 * s), at=(0, 0, 0.27 * s), detail=2)]
    head, size = (0.0, -0.04 * s, 0.68 * s), u(0.18, 0.25) * s
    parts.append(ball((size, 0.9 * size, 0.9 * size), at=head, detail=2))
    parts.append(ball((0.5 * size, 0.5 * size, 0.4 * size), at=(0, head[1] - 0.8 * size, head[2] - 0.2 * size), slot=1))
    parts.append(ball((0.14 * size,) * 3, at=(0, head[1] - 1.3 * size, head[2] - 0.1 * size), detail=0, slot=2))
    long, out = u(0.25, 1.4), u(0.5, 0.8)
    for side in (-1, 1):
        ear = (side * out * size, head[1], head[2] + (0.7 + 0.5 * long) * size)
        parts.append(ball((0.3 * size, 0.15 * size, (0.25 + 0.6 * long) * size), at=ear))
        parts.append(
            ball(
                (0.1 * size,) * 3, at=(side * 0.4 * size, head[1] - 0.85 * size, head[2] + 0.2 * size), detail=0, slot=2
            )
        )
        parts.append(
            _limb(
                [
                    (side * 0.18 * s, 0, 0.4 * s),
                    (side * 0.3 * s, -0.1 * s, 0.3 * s),
                    (side * u(0.2, 0.4) * s, -0.2 * s, u(0.1, 0.3) * s),
                ],
                0.07 * s,
                0.06 * s,
                0,
            )
        )
        foot = (side * u(0.15, 0.28) * s, -0.36 * s, 0.09 * s)
        parts.append(
            _limb([(side * 0.12 * s, 0, 0.1 * s), (side * 0.16 * s, -0.2 * s, 0.09 * s), foot], 0.1 * s, 0.08 * s, 0)
        )
        parts.append(ball((0.09 * s, 0.05 * s, 0.1 * s), at=(foot[0], foot[1] - 0.02 * s, foot[2]), slot=1))
    return thing([merge(parts)], [PLUSH, pick(rng, (PLUSH, WHITE)), BLACK])


def doll(rng: np.random.Generator) -> Model:
    """A doll or action figure."""
    u = rng.uniform
    # Of height 1; scaled at the end.
    parts = [box((0.26, 0.14, 0.32), at=(0, 0, 0.42), bevel=0.05, slot=1)]
    parts.append(ball((0.1, 0.1, 0.12), at=(0, 0, 0.88), detail=1))
    parts.append(ball((0.11, 0.11, 0.1), at=(0, 0.015, 0.93), slot=2))
    parts.append(cylinder(0.04, 0.08, at=(0, 0, 0.73), sides=8))
    if u() < 0.4:
        skirt = silhouette([(0.24, 0.12), (0.16, 0.3), (0.1, 0.5)], 6)
        parts.append(lathe(skirt, sides=12, slot=1))
    for side in (-1, 1):
        hand, step = (side * u(0.2, 0.35), u(-0.25, 0.2), u(0.35, 0.7)), u(-0.08, 0.08)
        arm = [(side * 0.15, 0, 0.7), (side * 0.22, 0, 0.55), hand]
        parts.append(_limb(arm, 0.045, 0.03, int(rng.integers(2))))
        leg = [(side * 0.07, 0, 0.45), (side * 0.08, 0.5 * step, 0.22), (side * 0.09, step, 0.03)]
        parts.append(_limb(leg, 0.06, 0.04, 3))
        parts.append(box((0.07, 0.15, 0.05), at=(side * 0.09, step - 0.03, 0), slot=2))
    clothes = [pick(rng, (bright(rng), PLUSH)), pick(rng, (BLACK, bright(rng))), bright(rng)]
    return thing([moved(merge(parts), scale=u(0.1, 0.4))], [pick(rng, (SKIN, SKIN, bright(rng))), *clothes])


def animal(rng: np.random.Generator) -> Model:
    """A standing animal: dinosaur, horse, elephant, cow."""
    u = rng.uniform
    s, leg, neck, stout = u(0.06, 0.25), u(0.25, 0.55), u(0.1, 0.6), u(0.13, 0.24)
    high = leg + stout
    parts = [ball((stout * s, 0.42 * s, 1.1 * stout * s), at=(0, 0, high * s), detail=2)]
    head = (0.0, -(0.52 + 0.25 * neck) * s, (high + neck) * s)
    throat = spline([(0, -0.25 * s, high * s), (0, -0.42 * s, (high + 0.3 * neck) * s), head], 5)
    parts.append(tube(throat, np.linspace(0.9 * stout, 0.08, 5) * s, sides=7))
    parts.append(ball((0.09 * s, 0.17 * s, 0.1 * s), at=(0, head[1] - 0.07 * s, head[2])))
    if u() < 0.3:
        trunk = [
            (0, head[1] - 0.2 * s, head[2]),
            (0, head[1] - 0.3 * s, 0.6 * head[2]),
            (0, head[1] - 0.25 * s, 0.1 * s),
        ]
        parts.append(_limb(trunk, 0.05 * s, 0.03 * s, 0))
    drop, reach = u(-0.35, 0.25), u(0.5, 0.95)
    tail = [(0, 0.35 * s, high * s), (0, 0.5 * s, (high + 0.4 * drop) * s), (0, reach * s, (high + drop) * s)]
    parts.append(_limb(tail, u(0.03, 0.14) * s, 0.015 * s, 0))
    thick = u(0.05, 0.1) * s
    for x in (-1, 1):
        ear = (x * 0.09 * s, head[1] + 0.05 * s, head[2] + 0.1 * s)
        parts.append(ball((0.03 * s, 0.05 * s, 0.08 * s), at=ear, detail=0, slot=1))
        for y in (-0.27, 0.27):
            knee, foot = (
                (x * 0.11 * s, (y + u(-0.04, 0.04)) * s, 0.5 * high * s),
                (x * 0.12 * s, (y + u(-0.05, 0.05)) * s, 0),
            )
            parts.append(_limb([(x * 0.6 * stout * s, y * s, high * s), knee, foot], thick, 0.7 * thick, 0))
    return thing(parts, [pick(rng, (bright(rng), PLASTIC, WOOD, PLUSH)), pick(rng, (PLASTIC, WHITE))])


def rubber_duck(rng: np.random.Generator) -> Model:
    """A bath duck."""
    s = rng.uniform(0.06, 0.16)
    parts = [ball((0.4 * s, 0.5 * s, 0.3 * s), at=(0, 0, 0.28 * s), detail=2)]
    parts.append(ball((0.26 * s, 0.26 * s, 0.26 * s), at=(0, -0.25 * s, 0.68 * s), detail=2))
    parts.append(ball((0.12 * s, 0.16 * s, 0.05 * s), at=(0, -0.52 * s, 0.65 * s), slot=1))
    parts.append(moved(cylinder(0.16 * s, 0.3 * s, top_radius=0.0, sides=8), (0, 0.38 * s, 0.35 * s), pitch=-0.7))
    return thing(parts, [bright(rng), bright(rng)])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "plush": ("toy", plush, 8),
    "doll": ("toy", doll, 6),
    "toy_animal": ("toy", animal, 8),
    "rubber_duck": ("toy", rubber_duck, 2),
}
