"""Balls, helmets, weights and instruments."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Model, merge
from pixio_edge.scenes.shapes import ball, box, cylinder, extrude, lathe, moved, rounded, tube
from pixio_edge.scenes.shapes.profiles import handle, silhouette, spline, thing
from pixio_edge.scenes.things.stuff import (
    BLACK,
    BRASS,
    METAL,
    OBJECT,
    PRINT,
    RUBBER,
    STEEL,
    WHITE,
    WOOD,
    bright,
    pick,
)


def helmet(rng: np.random.Generator) -> Model:
    """A bicycle or motorcycle helmet."""
    u = rng.uniform
    shell = ball((0.125, 0.15, u(0.11, 0.16)), at=(0, 0, 0.06), detail=3)
    shell.vertices[:, 2] = np.maximum(shell.vertices[:, 2], 0.0)
    parts = [shell]
    if u() < 0.5:
        visor = ball((0.118, 0.148, 0.06), at=(0, -0.012, 0.08), detail=3, slot=1)
        parts.append(visor)
    else:
        parts += [
            moved(box((0.022, 0.2, 0.02), slot=1, bevel=0.005), (x, -0.01, 0.185 - abs(x)), pitch=0.05)
            for x in (-0.06, 0, 0.06)
        ]
    return thing([merge(parts)], [pick(rng, (bright(rng), WHITE, BLACK)), BLACK])


def dumbbells(rng: np.random.Generator) -> Model:
    """Weights for exercise."""
    u = rng.uniform
    radius, length = u(0.035, 0.07), u(0.12, 0.25)
    bar = tube([(0, -length / 2, radius), (0, length / 2, radius)], 0.014, slot=1)
    heads = [
        moved(
            cylinder(radius, 0.3 * length, sides=6 if u() < 0.5 else 14, smooth=False),
            (0, y, radius),
            pitch=math.pi / 2,
        )
        for y in (-0.3 * length, 0.6 * length)
    ]
    one = merge([bar, *heads])
    return thing(
        [one, moved(one, (2.4 * radius, 0.03, 0), yaw=u(-0.3, 0.3))] if u() < 0.6 else [one],
        [pick(rng, (RUBBER, bright(rng), METAL)), STEEL],
    )


def trophy(rng: np.random.Generator) -> Model:
    """A cup with two handles on a plinth."""
    u = rng.uniform
    s = u(0.1, 0.3)
    line = [(0.16, 0.2), (0.05, 0.28), (0.06, 0.42), (0.2, 0.6), (u(0.18, 0.3), 1.0)]
    parts = [box((0.4 * s, 0.4 * s, 0.2 * s), slot=1), lathe(silhouette(line, 14) * s, sides=14)]
    for side in (0.0, math.pi):
        parts.append(moved(handle(0.16 * s, 0.6 * s, 0.92 * s, at=0.18 * s, thickness=0.018 * s), yaw=side))
    return thing(parts, [pick(rng, (BRASS, STEEL)), pick(rng, (WOOD, BLACK))])


def violin(rng: np.random.Generator) -> Model:
    """A small string instrument that lies or leans."""
    u = rng.uniform
    s = u(0.3, 0.45)
    half = spline([(0.0, -0.5), (0.28, -0.4), (0.22, -0.12), (0.14, 0.0), (0.2, 0.16), (0.12, 0.28), (0.0, 0.3)], 14)
    outline = np.concatenate([half, (half * (-1, 1))[::-1][1:-1]]) * s
    parts = [extrude(outline, 0.09 * s), box((0.06 * s, 0.75 * s, 0.03 * s), at=(0, 0.45 * s, 0.1 * s), slot=1)]
    parts.append(box((0.12 * s, 0.02 * s, 0.07 * s), at=(0, -0.12 * s, 0.09 * s), slot=1))
    parts.append(ball((0.04 * s, 0.06 * s, 0.04 * s), at=(0, 0.85 * s, 0.1 * s), slot=1))
    return thing([moved(merge(parts), pitch=-u(-0.02, 0.03), yaw=u(0, 6))], [WOOD, pick(rng, (BLACK, WOOD))])


def skateboard(rng: np.random.Generator) -> Model:
    """A skateboard or scooter deck with wheels."""
    u = rng.uniform
    deck = extrude(rounded(0.2, u(0.6, 0.8), 0.09, steps=4), 0.014, at=(0, 0, 0.09))
    parts = [deck]
    for y in (-0.22, 0.22):
        parts.append(tube([(-0.08, y, 0.035), (0.08, y, 0.035)], 0.01, slot=1))
        parts += [
            moved(cylinder(0.028, 0.035, sides=10, slot=2), (x, y, 0.028), roll=math.pi / 2) for x in (-0.1, 0.065)
        ]
    whole = merge(parts)
    return thing(
        [moved(whole, pitch=math.pi) if u() < 0.25 else moved(whole, yaw=u(0, 3))],
        [pick(rng, (WOOD, OBJECT, BLACK)), STEEL, bright(rng)],
    )


def sports_ball(rng: np.random.Generator) -> Model:
    """A football, basketball or ball of patches."""
    radius = rng.uniform(0.09, 0.13)
    body = ball((radius,) * 3, at=(0, 0, radius), detail=3)
    middles = body.vertices[body.triangles].mean(axis=1) - (0, 0, radius)
    axes = rng.normal(size=(6, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    body.slots[:] = (np.abs(middles @ axes.T) > 0.82 * radius).any(axis=1)
    return thing([body], [pick(rng, (WHITE, bright(rng), OBJECT)), pick(rng, (BLACK, bright(rng), PRINT))])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "helmet": ("clothes", helmet, 4),
    "dumbbells": ("tool", dumbbells, 3),
    "trophy": ("decor", trophy, 3),
    "violin": ("decor", violin, 2),
    "skateboard": ("floor_thing", skateboard, 3),
    "sports_ball": ("toy", sports_ball, 4),
}
