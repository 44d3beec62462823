"""Tools and other things of the hand: hammers, drills, torches, paint, ropes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Mesh, Model, merge
from pixio_edge.scenes.shapes import box, circle, cylinder, extrude, lathe, moved, rounded, tube
from pixio_edge.scenes.shapes.profiles import ring, silhouette, spline, thing
from pixio_edge.scenes.things.stuff import (
    BLACK,
    BRASS,
    DARK_METAL,
    METAL,
    PLASTIC,
    RUBBER,
    STEEL,
    WHITE,
    WOOD,
    bright,
    pick,
)


def hammer(rng: np.random.Generator) -> Model:
    """A hammer or mallet that lies."""
    u = rng.uniform
    length, size = u(0.22, 0.36), u(0.018, 0.04)
    grip = tube([(0, -length / 2, size), (0, 0, size), (0, length / 2, size)], (0.014, 0.01, 0.011), sides=7)
    head = moved(cylinder(size, u(0.08, 0.13), sides=8, slot=1), (-0.05, 0.45 * length, size), roll=math.pi / 2)
    claw = extrude([(0, 0), (0.05, 0), (0.06, -0.03), (0, -0.012)], 0.02, at=(0.03, 0.45 * length + 0.01, size), slot=1)
    return thing([grip, head, claw], [pick(rng, (WOOD, bright(rng), RUBBER)), pick(rng, (STEEL, DARK_METAL, WOOD))])


def screwdriver(rng: np.random.Generator) -> Model:
    """A screwdriver, chisel, brush or file."""
    u = rng.uniform
    length, r = u(0.14, 0.3), u(0.011, 0.018)
    line = silhouette([(0.6 * r, 0), (r, 0.02), (0.8 * r, 0.06), (r, 0.09), (0.4 * r, 0.11)], 9)
    grip = lathe(line, sides=8)
    if u() < 0.7:
        blade = tube([(0, 0, 0.1), (0, 0, length)], 0.0035, sides=6, slot=1)
    else:
        blade = box((u(0.02, 0.07), 0.012, length - 0.1), at=(0, 0, 0.1), slot=1)
    return thing(
        [moved(merge([grip, blade]), pitch=math.pi / 2, yaw=u(0, 3))], [pick(rng, (bright(rng), WOOD, BLACK)), STEEL]
    )


def wrench(rng: np.random.Generator) -> Model:
    """A spanner."""
    u = rng.uniform
    length, width = u(0.12, 0.3), u(0.012, 0.022)
    jaw = 1.3 * width
    outline = [
        (-width / 2, 0),
        (-0.6 * width, length - 2 * jaw),
        (-jaw, length - jaw),
        (-jaw, length),
        (-0.5 * jaw, length),
        (-0.5 * jaw, length - 0.8 * jaw),
    ]
    mirrored = [(-x, y) for x, y in outline[::-1]]
    return thing(
        [extrude([*outline, *mirrored], u(0.005, 0.009)), ring(0.8 * width, 0.005, height=0.004)],
        [pick(rng, (STEEL, DARK_METAL))],
    )


def pliers(rng: np.random.Generator) -> Model:
    """Pliers or scissors, a little open."""
    u = rng.uniform
    length, gap, parts = u(0.12, 0.2), u(0.1, 0.35), []
    loops = u() < 0.5
    for side in (-1, 1):
        grip = spline(
            [(0, 0.3 * length, 0.008), (side * 0.02, 0.2 * length, 0.008), (side * 0.024, -0.4 * length, 0.008)], 6
        )
        half = [tube(grip, 0.003 if loops else 0.007, sides=5)]
        if loops:
            half.append(moved(ring(0.02, 0.004, sides=9), (side * 0.03, -0.45 * length, 0.008)))
        jaw = [(0, 0.25 * length), (side * 0.012, 0.3 * length), (side * 0.003, (0.9 if loops else 0.55) * length)]
        half.append(extrude(jaw, 0.008, at=(0, 0, 0.004), slot=1))
        parts.append(moved(merge(half), yaw=-side * gap))
    return thing(parts, [pick(rng, (bright(rng), BLACK)), STEEL])


def drill(rng: np.random.Generator) -> Model:
    """A cordless drill or hot-air gun, standing on its battery or lying."""
    u = rng.uniform
    body = lathe([(0.02, -0.09), (0.034, -0.07), (0.034, 0.05), (0.022, 0.08)], sides=12)
    chuck = lathe([(0.02, 0.08), (0.022, 0.1), (0.01, 0.13)], sides=10, slot=1)
    bit = tube([(0, 0, 0.12), (0, 0, u(0.16, 0.24))], 0.003, slot=1)
    gun = moved(merge([body, chuck, bit]), (0, 0, 0.2), pitch=math.pi / 2)
    grip = moved(box((0.036, 0.05, 0.15), bevel=0.012, slot=1), (0, 0.055, 0.03), pitch=0.15)
    battery = box((0.07, 0.11, 0.045), at=(0, 0.045, 0), bevel=0.01)
    whole = merge([gun, grip, battery])
    return thing([moved(whole, roll=math.pi / 2) if u() < 0.4 else whole], [bright(rng), BLACK])


def saw(rng: np.random.Generator) -> Model:
    """A hand saw or a trowel: a blade with a handle."""
    u = rng.uniform
    length, width = u(0.25, 0.5), u(0.06, 0.12)
    blade = extrude(
        [(0, -width / 2), (length, -0.2 * width), (length, 0.1 * width), (0, width / 2)], 0.003, at=(0, 0, 0.01), slot=1
    )
    outer = spline(
        [(0.02, 0.5 * width), (-0.06, 0.6 * width), (-0.11, 0), (-0.06, -0.6 * width), (0.02, -0.5 * width)], 10
    )
    inner = 0.5 * outer[::-1] + (-0.02, 0)
    grip = extrude(np.concatenate([outer, inner]), 0.022)
    return thing([moved(merge([blade, grip]), yaw=u(0, 3))], [pick(rng, (WOOD, bright(rng))), STEEL])


def tape_measure(rng: np.random.Generator) -> Model:
    """A tape measure with some tape out, or a padlock of the same shape."""
    u = rng.uniform
    body = extrude(rounded(0.07, 0.065, 0.025, steps=3), 0.035)
    out = u(0.02, 0.3)
    tape = box((out, 0.002, 0.02), at=(0.02 + out / 2, -0.03, 0.006), slot=1)
    return thing([body, tape], [pick(rng, (bright(rng), BLACK)), pick(rng, (STEEL, bright(rng)))])


def torch(rng: np.random.Generator) -> Model:
    """A flashlight, lying or standing."""
    u = rng.uniform
    length, r = u(0.1, 0.26), u(0.012, 0.02)
    wide = r * u(1.2, 2.2)
    line = [
        (r, 0),
        (r, 0.7 * length),
        (wide, 0.82 * length),
        (wide, length),
        (0.85 * wide, length - 0.005),
        (0, length - 0.012),
    ]
    body = lathe(line, sides=12)
    return thing(
        [moved(body, pitch=math.pi / 2, yaw=u(-2, 2)) if u() < 0.6 else body], [pick(rng, (BLACK, bright(rng), STEEL))]
    )


def rope_coil(rng: np.random.Generator) -> Model:
    """A coil of rope, hose or wire."""
    u = rng.uniform
    radius, thick, turns = u(0.06, 0.2), u(0.004, 0.014), int(rng.integers(3, 6))
    t = np.linspace(0, 1, 12 * turns + 1)
    r = radius * (1 + 0.08 * np.sin(t * 40))
    path = np.stack(
        [r * np.cos(2 * math.pi * turns * t), r * np.sin(2 * math.pi * turns * t), thick + 1.6 * thick * turns * t], 1
    )
    tail = path[-1] + np.array([[0.08, 0.05, -thick * turns]])
    return thing([tube(np.concatenate([path, tail]), thick, sides=5)], [pick(rng, (bright(rng), WHITE, BLACK, BRASS))])


def pipes(rng: np.random.Generator) -> Model:
    """Pipe pieces, bars or battens in a heap."""
    u = rng.uniform
    parts: list[Mesh] = []
    radius, length = u(0.01, 0.035), u(0.15, 0.7)
    for i in range(int(rng.integers(2, 8))):
        x, z = (i % 4) * 2.1 * radius, radius + (i // 4) * 1.8 * radius
        bar = tube(
            [(x, -length / 2 * u(0.6, 1), z), (x + u(-0.02, 0.02), length / 2 * u(0.6, 1), z)],
            radius,
            sides=8 if u() < 0.6 else 4,
        )
        parts.append(bar)
    return thing([moved(merge(parts), yaw=u(-0.5, 0.5))], [pick(rng, (METAL, BRASS, WOOD, PLASTIC, DARK_METAL))])


def gear(rng: np.random.Generator) -> Model:
    """A cog wheel, flange or pulley, lying or on edge."""
    u = rng.uniform
    radius, teeth, depth = u(0.03, 0.11), int(rng.integers(8, 20)), u(0.01, 0.04)
    points = circle(radius, 4 * teeth)
    points *= np.where(np.arange(4 * teeth) % 4 < 2, 1.0, u(0.8, 0.9))[:, None]
    body = merge(
        [
            extrude(points, depth, smooth=False),
            lathe([(0.4 * radius, 0), (0.4 * radius, 1.6 * depth)], sides=10, slot=1),
        ]
    )
    return thing(
        [moved(body, pitch=math.pi / 2) if u() < 0.3 else body], [pick(rng, (METAL, STEEL, bright(rng))), DARK_METAL]
    )


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "hammer": ("tool", hammer, 3),
    "screwdriver": ("tool", screwdriver, 5),
    "wrench": ("tool", wrench, 3),
    "pliers": ("tool", pliers, 4),
    "drill": ("tool", drill, 4),
    "saw": ("tool", saw, 3),
    "tape_measure": ("tool", tape_measure, 2),
    "torch": ("tool", torch, 3),
    "rope_coil": ("tool", rope_coil, 4),
    "pipes": ("tool", pipes, 5),
    "gear": ("tool", gear, 4),
}
