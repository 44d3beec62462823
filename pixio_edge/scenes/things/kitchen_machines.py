"""Kettles, toasters and other small machines of kitchens."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Model, Top
from pixio_edge.scenes.shapes import ball, box, card, cylinder, extrude, lathe, moved, tube
from pixio_edge.scenes.shapes.profiles import handle, hollow, silhouette, spline, thing
from pixio_edge.scenes.things.stuff import (
    BLACK,
    CERAMIC,
    GLASS,
    METAL,
    PLASTIC,
    SCREEN,
    STEEL,
    WHITE,
    WOOD,
    bright,
    pick,
)


def kettle(rng: np.random.Generator) -> Model:
    """An electric or stove kettle."""
    u = rng.uniform
    radius, height = u(0.065, 0.09), u(0.15, 0.24)
    line = silhouette(
        [
            (0.95 * radius, 0),
            (radius, 0.15 * height),
            (0.85 * radius, 0.6 * height),
            (0.6 * radius, 0.95 * height),
            (0.02, height),
        ],
        10,
    )
    parts = [lathe(line, sides=18), ball((0.016, 0.016, 0.014), at=(0, 0, height + 0.008), slot=1)]
    parts.append(
        tube(
            spline(
                [(-0.7 * radius, 0, 0.6 * height), (-radius, 0, 0.75 * height), (-1.2 * radius, 0, 0.9 * height)], 4
            ),
            (0.026, 0.02, 0.017, 0.013),
            sides=8,
        )
    )
    if u() < 0.6:
        parts.append(handle(u(0.05, 0.07), 0.15 * height, 0.92 * height, at=0.6 * radius, thickness=0.011, slot=1))
        parts.append(cylinder(1.1 * radius, 0.02, sides=16, at=(0, 0, -0.02), slot=1))
    else:
        bow = [
            (-0.7 * radius, 0, 0.85 * height),
            (-0.5 * radius, 0, 1.3 * height),
            (0.5 * radius, 0, 1.3 * height),
            (0.7 * radius, 0, 0.85 * height),
        ]
        parts.append(tube(spline(bow, 9), 0.009, slot=1))
    return thing(parts, [pick(rng, (STEEL, WHITE, METAL, bright(rng))), BLACK])


def toaster(rng: np.random.Generator) -> Model:
    """A toaster, sometimes with toast."""
    u = rng.uniform
    width, depth, height = u(0.24, 0.34), u(0.15, 0.2), u(0.16, 0.21)
    parts = [box((width, depth, height), bevel=u(0.02, 0.06))]
    for side in (-1, 1):
        parts.append(box((0.7 * width, 0.03, 0.002), at=(0, side * 0.04, height), slot=1))
        if u() < 0.4:
            parts.append(box((0.3 * width, 0.014, 0.05), at=(0, side * 0.04, height), slot=2))
    parts.append(box((0.02, 0.05, 0.02), at=(width / 2 + 0.01, 0, 0.6 * height), slot=1))
    return thing(parts, [pick(rng, (STEEL, WHITE, bright(rng), BLACK)), BLACK, WOOD])


def coffee_machine(rng: np.random.Generator) -> Model:
    """A coffee machine with its jug or cup."""
    u = rng.uniform
    width, depth, height = u(0.16, 0.3), u(0.22, 0.34), u(0.28, 0.4)
    foot, head = 0.12 * height, u(0.25, 0.4) * height
    side = [
        (-0.5, 0),
        (0.5, 0),
        (0.5, height),
        (-0.5, height),
        (-0.5, height - head),
        (0.05, height - head),
        (0.05, foot),
        (-0.5, foot),
    ]
    parts = [extrude([(y * depth, z) for y, z in side], width, axis="x")]
    radius = min(0.06, 0.22 * depth, 0.35 * width)
    tall = 0.75 * (height - head - foot)
    parts.append(
        lathe(
            silhouette([(0.8 * radius, 0), (radius, 0.4 * tall), (0.7 * radius, tall)], 6),
            at=(0, -0.25 * depth, foot),
            sides=14,
            slot=1,
        )
    )
    parts.append(
        moved(handle(0.03, 0.2 * tall, 0.85 * tall, at=0.8 * radius, thickness=0.006, slot=2), (0, -0.25 * depth, foot))
    )
    parts.append(moved(card(0.4 * width, 0.4 * head, slot=3, fit=True), (0, -depth / 2 - 0.001, height - 0.7 * head)))
    return thing(parts, [pick(rng, (BLACK, STEEL, WHITE, bright(rng))), pick(rng, (GLASS, CERAMIC)), BLACK, SCREEN])


def blender(rng: np.random.Generator) -> Model:
    """A blender or food mixer."""
    u = rng.uniform
    base, height = u(0.07, 0.1), u(0.3, 0.42)
    parts = [lathe([(base, 0), (base, 0.03), (0.75 * base, 0.35 * height)], sides=14)]
    parts.append(
        lathe([(0.6 * base, 0.35 * height), (u(0.75, 0.95) * base, 0.92 * height)], sides=8, smooth=False, slot=1)
    )
    parts.append(lathe([(0.9 * base, 0.92 * height), (0.8 * base, height), (0, height)], sides=12, slot=0))
    parts.append(handle(0.04, 0.45 * height, 0.85 * height, at=0.65 * base, thickness=0.009))
    parts.append(moved(cylinder(0.02, 0.015, sides=10, slot=2), (0, -0.9 * base, 0.15 * height), pitch=math.pi / 2))
    return thing(parts, [pick(rng, (BLACK, WHITE, bright(rng), STEEL)), GLASS, STEEL])


def kitchen_scale(rng: np.random.Generator) -> Model:
    """Scales with a bowl on top."""
    u = rng.uniform
    width, radius = u(0.18, 0.24), u(0.09, 0.13)
    side = [(-0.12, 0), (0.1, 0), (0.08, 0.06), (-0.08, 0.06)]
    parts = [extrude(side, width, axis="x"), cylinder(0.06, 0.015, at=(0, 0, 0.06), sides=12)]
    parts.append(moved(card(0.1, 0.04, slot=1, fit=True), (0, -0.115, 0.01), pitch=-0.6))
    if u() < 0.7:
        line = silhouette([(0.5 * radius, 0.075), (0.85 * radius, 0.1), (radius, 0.14)], 5)
        parts.append(lathe(hollow(line, 0.004), sides=16, slot=2))
    return thing(parts, [pick(rng, (WHITE, BLACK, STEEL, bright(rng))), SCREEN, pick(rng, (STEEL, GLASS, PLASTIC))])


def counter_oven(rng: np.random.Generator) -> Model:
    """A microwave or small oven."""
    u = rng.uniform
    width, depth, height = u(0.42, 0.55), u(0.3, 0.42), u(0.25, 0.32)
    parts = [box((width, depth, height), bevel=0.008)]
    parts.append(moved(card(0.68 * width, 0.75 * height, slot=1), (-0.11 * width, -depth / 2 - 0.002, 0.12 * height)))
    parts.append(
        tube(
            [(0.25 * width, -depth / 2 - 0.025, 0.2 * height), (0.25 * width, -depth / 2 - 0.025, 0.85 * height)],
            0.008,
            slot=2,
        )
    )
    parts.append(
        moved(card(0.15 * width, 0.15 * height, slot=3, fit=True), (0.38 * width, -depth / 2 - 0.002, 0.75 * height))
    )
    for i in range(3):
        parts.append(
            moved(
                cylinder(0.016, 0.015, sides=10, slot=2),
                (0.38 * width, -depth / 2, (0.55 - 0.18 * i) * height),
                pitch=math.pi / 2,
            )
        )
    return thing(
        parts,
        [pick(rng, (STEEL, WHITE, BLACK)), GLASS, STEEL, SCREEN],
        [Top((0, 0, height), (0.42 * width, 0.4 * depth), 0.5)],
    )


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "kettle": ("kitchenware", kettle, 5),
    "toaster": ("appliance", toaster, 4),
    "coffee_machine": ("appliance", coffee_machine, 5),
    "blender": ("appliance", blender, 3),
    "kitchen_scale": ("appliance", kitchen_scale, 3),
    "counter_oven": ("appliance", counter_oven, 4),
}
