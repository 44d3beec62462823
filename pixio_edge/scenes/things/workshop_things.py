"""What stands about in workshops and sheds: tins of paint, buckets, drawers of parts."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Model, Top
from pixio_edge.scenes.shapes import box, card, cylinder, lathe, moved, tube
from pixio_edge.scenes.shapes.profiles import handle, hollow, spline, thing
from pixio_edge.scenes.things.stuff import (
    BLACK,
    DARK_METAL,
    METAL,
    PLASTIC,
    PRINT,
    STEEL,
    WHITE,
    bright,
    pick,
)


def paint_can(rng: np.random.Generator) -> Model:
    """A tin of paint with its bow, open or closed."""
    u = rng.uniform
    radius = u(0.05, 0.12)
    height = radius * u(1.6, 2.4)
    line = [
        (radius, 0),
        (radius, height),
        (0.92 * radius, height - 0.004),
        (0.85 * radius, height - u(0.008, 0.05)),
        (0, height - 0.02),
    ]
    side = lathe(
        [(radius + 0.001, 0.1 * height), (radius + 0.001, 0.85 * height)], sides=16, cap=False, slot=1, fit=True
    )
    turn = np.linspace(0, math.pi, 9)
    bow = np.stack(
        [radius * np.cos(turn), 1.05 * radius * np.sin(turn) * u(-1, 1), 0.85 * height + 0.5 * radius * np.sin(turn)], 1
    )
    return thing([lathe(line, sides=16), side, tube(bow, 0.003, sides=4)], [pick(rng, (STEEL, WHITE)), PRINT])


def spray_can(rng: np.random.Generator) -> Model:
    """A spray can or glue stick."""
    u = rng.uniform
    radius, height = u(0.02, 0.035), u(0.12, 0.22)
    can = lathe([(radius, 0), (radius, 0.85 * height), (0.6 * radius, 0.93 * height)], sides=14, fit=True)
    return thing(
        [can, lathe([(0.8 * radius, 0.86 * height), (0.8 * radius, height)], sides=12, slot=1)],
        [PRINT, pick(rng, (bright(rng), WHITE))],
    )


def tool_box(rng: np.random.Generator) -> Model:
    """A box for tools with a handle, closed."""
    u = rng.uniform
    width, depth, height = u(0.3, 0.55), u(0.17, 0.28), u(0.14, 0.26)
    parts = [
        box((width, depth, 0.65 * height), bevel=0.01),
        box((1.01 * width, 1.03 * depth, 0.33 * height), at=(0, 0, 0.67 * height), bevel=0.02, slot=1),
    ]
    grip = [
        (-0.2 * width, 0, height),
        (-0.18 * width, 0, 1.2 * height),
        (0.18 * width, 0, 1.2 * height),
        (0.2 * width, 0, height),
    ]
    parts.append(tube(grip, 0.012, slot=2))
    parts += [box((0.04, 0.012, 0.05), at=(x * width, -depth / 2 - 0.004, 0.55 * height), slot=2) for x in (-0.3, 0.3)]
    return thing(parts, [pick(rng, (bright(rng), BLACK, METAL)), pick(rng, (bright(rng), BLACK)), BLACK])


def vice(rng: np.random.Generator) -> Model:
    """A bench vice or clamp."""
    u = rng.uniform
    s, gap = u(0.08, 0.16), u(0.1, 0.5)
    parts = [lathe([(0.6 * s, 0), (0.6 * s, 0.2 * s), (0.3 * s, 0.35 * s), (0.3 * s, 0.6 * s)], sides=12)]
    parts.append(box((s, 1.2 * s, 0.45 * s), at=(0, 0.2 * s, 0.55 * s), bevel=0.05 * s))
    for y in (-0.4, -0.4 - gap):
        parts.append(box((1.1 * s, 0.2 * s, 0.4 * s), at=(0, y * s, 0.85 * s), slot=1))
    parts.append(tube([(0, 0.3 * s, 0.75 * s), (0, -(1.0 + gap) * s, 0.75 * s)], 0.09 * s, slot=1))
    parts.append(
        tube([(-0.5 * s, -(0.95 + gap) * s, 0.75 * s), (0.5 * s, -(0.95 + gap) * s, 0.75 * s)], 0.035 * s, slot=1)
    )
    return thing(parts, [pick(rng, (bright(rng), DARK_METAL, METAL)), STEEL])


def bucket(rng: np.random.Generator) -> Model:
    """A bucket or flower pot, empty, or a watering can."""
    u = rng.uniform
    radius = u(0.1, 0.17)
    height = radius * u(1.5, 2.2)
    parts = [lathe(hollow([(0.72 * radius, 0), (radius, 0.97 * height), (1.05 * radius, height)], 0.004), sides=18)]
    turn, fallen = np.linspace(0, math.pi, 9), u(-1, 1)
    drop = math.sqrt(max(0.0, 1 - fallen**2))
    bow = np.stack(
        [
            1.03 * radius * np.cos(turn),
            radius * np.sin(turn) * drop,
            0.95 * height + 1.0 * radius * np.sin(turn) * abs(fallen),
        ],
        1,
    )
    parts.append(tube(bow, 0.004, sides=4, slot=1))
    if u() < 0.25:
        spout = spline(
            [(0.8 * radius, 0, 0.3 * height), (1.6 * radius, 0, 0.7 * height), (2.2 * radius, 0, 1.1 * height)], 5
        )
        parts += [
            tube(spout, np.linspace(0.025, 0.012, 5)),
            moved(cylinder(0.035, 0.02, top_radius=0.012), spout[-1].tolist(), roll=-0.7),
        ]
        parts.append(moved(handle(0.08, 0.2 * height, 0.9 * height, at=0.8 * radius, thickness=0.01), yaw=math.pi))
    return thing(parts, [pick(rng, (PLASTIC, bright(rng), METAL)), STEEL])


def extinguisher(rng: np.random.Generator) -> Model:
    """A fire extinguisher or gas bottle."""
    u = rng.uniform
    radius, height = u(0.06, 0.1), u(0.35, 0.55)
    line = [(radius, 0), (radius, 0.75 * height), (0.75 * radius, 0.85 * height), (0.02, 0.9 * height), (0.02, height)]
    parts = [lathe(line, sides=16), box((0.03, 0.12, 0.03), at=(0, -0.03, height - 0.01), slot=1)]
    hose = spline([(0.02, 0, height), (radius + 0.04, 0, 0.8 * height), (radius + 0.015, 0, 0.3 * height)], 7)
    parts += [tube(hose, 0.008, slot=1), moved(card(0.1, 0.2, slot=2, fit=True), (0, -radius - 0.001, 0.35 * height))]
    return thing(parts, [pick(rng, (bright(rng), METAL)), BLACK, PRINT])


def parts_drawer(rng: np.random.Generator) -> Model:
    """A small cabinet of many drawers."""
    u = rng.uniform
    columns, rows = int(rng.integers(2, 6)), int(rng.integers(3, 7))
    width, step = u(0.055, 0.09), u(0.04, 0.06)
    total, height = columns * width, rows * step
    parts = [box((total + 0.01, 0.15, height + 0.01))]
    for i in range(columns):
        for j in range(rows):
            out = u(0.01, 0.06) if u() < 0.1 else 0.004
            at = ((i + 0.5) * width - total / 2, -0.05 - out, j * step + 0.007)
            parts.append(box((0.9 * width, 0.05, 0.88 * step), at=at, slot=1 + (i + j) % 2))
    return thing(
        parts,
        [pick(rng, (BLACK, METAL, bright(rng))), pick(rng, (PLASTIC, WHITE)), pick(rng, (PLASTIC, bright(rng)))],
        [Top((0, 0, height + 0.01), (0.45 * total, 0.06))],
    )


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "paint_can": ("tool", paint_can, 4),
    "spray_can": ("bottle", spray_can, 3),
    "tool_box": ("tool", tool_box, 4),
    "vice": ("tool", vice, 2),
    "bucket": ("container", bucket, 5),
    "extinguisher": ("tool", extinguisher, 2),
    "parts_drawer": ("container", parts_drawer, 3),
}
