"""Things of the house of 20 to 60 cm: fans, irons, helmets, instruments, sports things."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Model, Top, merge
from pixio_edge.scenes.shapes import ball, box, card, cylinder, displaced, extrude, lathe, moved, tube
from pixio_edge.scenes.shapes.profiles import ring, silhouette, spline, thing
from pixio_edge.scenes.things.stuff import (
    BLACK,
    FABRIC,
    GREY,
    METAL,
    PLASTIC,
    SCREEN,
    STEEL,
    WHITE,
    WOOD,
    bright,
    pick,
)


def desk_fan(rng: np.random.Generator) -> Model:
    """A fan in its cage on a foot."""
    u = rng.uniform
    radius, height = u(0.1, 0.2), u(0.18, 0.35)
    cage = [
        ring(r * radius, 0.003, sides=16, height=z) for r, z in ((1.0, 0.0), (0.7, 0.035), (0.35, 0.05), (0.7, -0.035))
    ]
    for i in range(10):
        turn = i * math.pi / 5
        spoke = [(0.1 * radius, 0.052), (0.7 * radius, 0.036), (radius, 0.0), (0.7 * radius, -0.036)]
        cage.append(tube([(r * math.cos(turn), r * math.sin(turn), z) for r, z in spoke], 0.0018, sides=3))
    for i in range(4):
        blade = extrude(
            [(0.02, -0.01), (0.85 * radius, -0.4 * radius), (0.9 * radius, 0.1 * radius), (0.02, 0.02)], 0.003, slot=1
        )
        cage.append(moved(blade, pitch=0.25, yaw=i * math.pi / 2))
    motor = cylinder(0.3 * radius, 0.1, at=(0, 0, -0.12), sides=12)
    front = moved(merge([*cage, motor]), (0, -0.02, height), pitch=math.pi / 2 - u(-0.2, 0.3))
    parts = [
        front,
        tube([(0, 0.05, 0), (0, 0.04, height)], 0.013),
        cylinder(0.75 * radius, 0.02, sides=16, at=(0, 0.03, 0)),
    ]
    return thing(parts, [pick(rng, (WHITE, BLACK, bright(rng), METAL)), pick(rng, (PLASTIC, bright(rng)))])


def clothes_iron(rng: np.random.Generator) -> Model:
    """An iron, flat or on its heel."""
    u = rng.uniform
    sole = spline(
        [(-0.05, 0.12), (-0.055, 0.0), (-0.03, -0.09), (0, -0.13), (0.03, -0.09), (0.055, 0.0), (0.05, 0.12)], 14
    )
    parts = [extrude(sole, 0.012, slot=1), extrude(0.92 * sole, 0.045, at=(0, 0, 0.012))]
    arch = spline([(0, -0.06, 0.05), (0, -0.04, 0.12), (0, 0.05, 0.125), (0, 0.1, 0.05)], 8)
    parts.append(tube(arch, 0.016, sides=7))
    if u() < 0.4:
        return thing([moved(merge(parts), pitch=-math.pi / 2)], [bright(rng), STEEL])
    cord = spline([(0, 0.1, 0.1), (0.02, 0.2, 0.05), (0.1, 0.25, 0.005), (0.2, 0.18, 0.005)], 10)
    return thing([*parts, tube(cord, 0.004, sides=4, slot=2)], [bright(rng), STEEL, BLACK])


def hair_dryer(rng: np.random.Generator) -> Model:
    """A hair dryer that lies."""
    u = rng.uniform
    barrel = lathe(silhouette([(0.03, -0.06), (0.045, -0.03), (0.04, 0.05), (0.025, 0.13)], 8), sides=14)
    grip = moved(box((0.03, 0.14, 0.035), bevel=0.01, slot=1), (0, -0.09, 0.0))
    lying = merge([moved(barrel, roll=math.pi / 2), grip])
    return thing([moved(lying, yaw=u(0, 6))], [pick(rng, (BLACK, bright(rng), WHITE)), BLACK])


def sewing_machine(rng: np.random.Generator) -> Model:
    """A sewing machine."""
    u = rng.uniform
    s = u(0.36, 0.45)
    arm = [
        (-0.5, 0),
        (0.5, 0),
        (0.5, 0.75),
        (-0.45, 0.75),
        (-0.5, 0.6),
        (-0.5, 0.35),
        (-0.35, 0.35),
        (-0.35, 0.5),
        (0.25, 0.5),
        (0.25, 0.18),
        (-0.5, 0.18),
    ]
    parts = [extrude(np.asarray(arm) * s, 0.3 * s, axis="y")]
    parts.append(moved(cylinder(0.12 * s, 0.06 * s, sides=14, slot=1), (0.5 * s, 0, 0.6 * s), roll=math.pi / 2))
    parts.append(tube([(-0.42 * s, 0, 0.5 * s), (-0.42 * s, 0, 0.18 * s)], 0.01 * s, slot=2))
    parts.append(cylinder(0.04 * s, 0.1 * s, at=(0.1 * s, 0, 0.75 * s), sides=8, slot=3))
    return thing(parts, [pick(rng, (WHITE, BLACK, bright(rng))), BLACK, STEEL, bright(rng)])


def typewriter(rng: np.random.Generator) -> Model:
    """A typewriter, till or old telephone exchange: a wedge with a roll and keys."""
    u = rng.uniform
    width, depth, height = u(0.28, 0.4), u(0.28, 0.38), u(0.1, 0.18)
    side = [
        (-0.5 * depth, 0),
        (0.5 * depth, 0),
        (0.5 * depth, height),
        (0.1 * depth, height),
        (-0.5 * depth, 0.3 * height),
    ]
    parts = [extrude(side, width, axis="x")]
    roll = moved(
        cylinder(0.025, 1.2 * width, sides=12, slot=1), (-0.6 * width, 0.3 * depth, height + 0.01), roll=math.pi / 2
    )
    page = moved(card(0.7 * width, u(0.08, 0.2), slot=2), (0, 0.3 * depth, height + 0.02), pitch=-0.3)
    slope = math.atan2(0.7 * height, 0.6 * depth)
    for row in range(4):
        for column in range(9):
            y = (-0.46 + 0.12 * row) * depth
            z = 0.3 * height + (y + 0.5 * depth) * math.tan(slope)
            parts.append(box((0.016, 0.016, 0.01), at=((column - 4) * 0.085 * width, y, z), slot=1))
    return thing([*parts, roll, page], [pick(rng, (BLACK, bright(rng), GREY)), BLACK, WHITE])


def vacuum_cleaner(rng: np.random.Generator) -> Model:
    """A vacuum cleaner with its hose."""
    u = rng.uniform
    body = displaced(ball((0.15, 0.22, 0.13), at=(0, 0, 0.15), detail=3), rng, 0.008, 0.2)
    parts = [
        body,
        *(moved(cylinder(0.08, 0.03, sides=12, slot=1), (x, 0.1, 0.08), roll=math.pi / 2) for x in (-0.18, 0.15)),
    ]
    hose = spline([(0, -0.18, 0.2), (0.1, -0.4, 0.3), (0.35, -0.45, 0.1), (0.4, -0.2, 0.03), (0.3, 0.1, 0.03)], 16)
    parts += [tube(hose, 0.02, sides=6, slot=1), tube([(0.3, 0.1, 0.03), (0.25, 0.7, 0.03)], 0.017, slot=2)]
    parts.append(box((0.26, 0.08, 0.05), at=(0.25, 0.72, 0), bevel=0.01, slot=1))
    return thing([moved(merge(parts), yaw=u(0, 6))], [bright(rng), BLACK, pick(rng, (STEEL, BLACK))])


def wool(rng: np.random.Generator) -> Model:
    """Balls of wool with needles."""
    u = rng.uniform
    parts = []
    for i in range(int(rng.integers(2, 6))):
        r = u(0.03, 0.06)
        at = (0.09 * (i % 2), 0.08 * (i // 2), r)
        parts.append(displaced(ball((r, r, 0.9 * r), at=at, detail=2, slot=i % 3), rng, 0.002, 0.02))
    parts.append(tube([(0, 0, 0.05), (0.22, 0.15, 0.14)], 0.003, sides=4, slot=3))
    return thing(parts, [FABRIC, bright(rng), bright(rng), pick(rng, (STEEL, WOOD))])


def radio(rng: np.random.Generator) -> Model:
    """A portable radio or alarm with handle and dial."""
    u = rng.uniform
    width, depth, height = u(0.18, 0.34), u(0.07, 0.12), u(0.11, 0.2)
    parts = [box((width, depth, height), bevel=u(0.004, 0.03))]
    front = -depth / 2 - 0.001
    parts.append(moved(card(0.45 * width, 0.7 * height, slot=1), (-0.22 * width, front, 0.15 * height)))
    parts.append(moved(card(0.35 * width, 0.25 * height, slot=2, fit=True), (0.25 * width, front, 0.6 * height)))
    for x in (0.15, 0.33):
        parts.append(
            moved(cylinder(0.1 * height, 0.015, sides=10, slot=3), (x * width, front, 0.3 * height), pitch=math.pi / 2)
        )
    parts.append(
        tube(
            [(0.4 * width, 0.2 * depth, height), (u(0, 0.7) * width, 0.2 * depth, height + u(0.1, 0.25))],
            0.002,
            sides=4,
            slot=3,
        )
    )
    if u() < 0.5:
        bow = [
            (-0.4 * width, 0, height),
            (-0.38 * width, 0, 1.25 * height),
            (0.38 * width, 0, 1.25 * height),
            (0.4 * width, 0, height),
        ]
        parts.append(tube(bow, 0.006))
    return thing(
        parts,
        [pick(rng, (WOOD, bright(rng), BLACK, GREY)), pick(rng, (FABRIC, BLACK)), SCREEN, pick(rng, (STEEL, BLACK))],
    )


def projector(rng: np.random.Generator) -> Model:
    """A projector, set-top box or amplifier."""
    u = rng.uniform
    width, depth, height = u(0.24, 0.44), u(0.2, 0.32), u(0.06, 0.14)
    parts = [box((width, depth, height), at=(0, 0, 0.01), bevel=0.008)]
    lens = lathe([(0.035, 0), (0.035, 0.03), (0.028, 0.032), (0.02, 0.02), (0, 0.018)], sides=14, slot=1)
    parts.append(moved(lens, (u(-0.3, 0.3) * width, -depth / 2, 0.55 * height + 0.01), pitch=math.pi / 2))
    parts.append(
        moved(card(0.3 * width, 0.3 * height, slot=2, fit=True), (-0.3 * width, -depth / 2 - 0.001, 0.4 * height))
    )
    parts += [
        cylinder(0.015, 0.012, at=(x * width, y * depth, 0), sides=8, slot=1) for x in (-0.4, 0.4) for y in (-0.4, 0.4)
    ]
    return thing(
        parts,
        [pick(rng, (WHITE, BLACK, METAL)), BLACK, SCREEN],
        [Top((0, 0, height + 0.01), (0.4 * width, 0.4 * depth))],
    )


def folding_steps(rng: np.random.Generator) -> Model:
    """A low stool of steps or a foot rest."""
    u = rng.uniform
    width, depth, height = u(0.3, 0.42), u(0.22, 0.36), u(0.18, 0.45)
    count = max(1, round(height / 0.2))
    parts = []
    for i in range(count):
        z, y = height * (i + 1) / count, depth * (i / count - 0.3)
        parts.append(box((width, 0.9 * depth / count, 0.022), at=(0, y, z - 0.022)))
        parts += [
            box((0.025, 0.8 * depth / count, z - 0.02), at=(side * 0.45 * width, y, 0), slot=1) for side in (-1, 1)
        ]
    return thing(parts, [pick(rng, (WOOD, PLASTIC, bright(rng))), pick(rng, (WOOD, METAL, WHITE))])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "desk_fan": ("appliance", desk_fan, 3),
    "clothes_iron": ("tool", clothes_iron, 2),
    "hair_dryer": ("electronics", hair_dryer, 2),
    "sewing_machine": ("decor", sewing_machine, 2),
    "typewriter": ("decor", typewriter, 2),
    "cylinder_vacuum": ("floor_thing", vacuum_cleaner, 3),
    "wool": ("toy", wool, 3),
    "radio": ("electronics", radio, 4),
    "projector": ("electronics", projector, 3),
    "folding_steps": ("floor_thing", folding_steps, 3),
}
