"""Pots, pans, small machines and tools of kitchens."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Mesh, Model, merge
from pixio_edge.scenes.shapes import ball, box, circle, cylinder, extrude, lathe, moved, rounded, tube
from pixio_edge.scenes.shapes.profiles import hollow, ring, silhouette, spline, thing
from pixio_edge.scenes.things.stuff import (
    BLACK,
    CERAMIC,
    DARK_METAL,
    FABRIC,
    METAL,
    PAPER,
    PLASTIC,
    STEEL,
    WHITE,
    WOOD,
    bright,
    pick,
)


def _lid(radius: float, height: float) -> Mesh:
    line = [(radius, height), (0.98 * radius, height + 0.006), (0.4 * radius, height + 0.022), (0.0, height + 0.024)]
    knob = lathe([(0.006, height + 0.02), (0.014, height + 0.04), (0.0, height + 0.046)], sides=8, slot=1)
    return merge([lathe(line, sides=18, cap=False), knob])


def pot(rng: np.random.Generator) -> Model:
    """A pot with two handles or one long one, with or without its lid."""
    u = rng.uniform
    radius = u(0.07, 0.15)
    height = radius * u(0.7, 1.6)
    parts = [lathe(hollow([(0.94 * radius, 0), (radius, 0.06 * height), (radius, height)], 0.004), sides=18)]
    if u() < 0.6:
        for side in (0.0, math.pi):
            bow = [(radius, -0.04, 0.8 * height), (radius + 0.035, 0, 0.83 * height), (radius, 0.04, 0.8 * height)]
            parts.append(moved(tube(spline(bow, 6), 0.006, slot=1), yaw=side))
    else:
        parts.append(tube([(radius, 0, 0.85 * height), (radius + u(0.14, 0.2), 0, 0.95 * height)], 0.011, slot=1))
    if u() < 0.6:
        parts.append(_lid(radius, height))
    return thing(parts, [pick(rng, (STEEL, METAL, CERAMIC, DARK_METAL)), pick(rng, (BLACK, STEEL, WOOD))])


def pan(rng: np.random.Generator) -> Model:
    """A frying pan."""
    u = rng.uniform
    radius, height = u(0.09, 0.16), u(0.03, 0.07)
    parts = [lathe(hollow([(0.8 * radius, 0), (radius, height)], 0.004), sides=20)]
    end = (radius + u(0.15, 0.22), 0, height + u(0, 0.05))
    parts.append(tube([(0.97 * radius, 0, 0.8 * height), end], (0.009, 0.013), slot=1))
    return thing(
        [moved(merge(parts), yaw=u(0, 6.28))], [pick(rng, (DARK_METAL, BLACK, STEEL)), pick(rng, (BLACK, WOOD, STEEL))]
    )


def cutlery(rng: np.random.Generator) -> Model:
    """Some of knife, fork and spoon side by side, sometimes on a napkin."""
    u = rng.uniform
    parts: list[Mesh] = []
    for i in range(int(rng.integers(1, 4))):
        length = u(0.15, 0.21)
        grip = extrude(
            [(-0.004, -0.5 * length), (0.004, -0.5 * length), (0.003, 0.2 * length), (-0.003, 0.2 * length)], 0.004
        )
        if i == 0:
            head = [extrude(circle(0.019, 10, squash=1.5), 0.005, at=(0, 0.33 * length, 0))]
        elif i == 1:
            head = [box((0.022, 0.02, 0.003), at=(0, 0.25 * length, 0.001))]
            head += [
                box((0.003, 0.05, 0.003), at=(x, 0.25 * length + 0.03, 0.001)) for x in (-0.009, -0.003, 0.003, 0.009)
            ]
        else:
            head = [
                extrude(
                    [(-0.006, 0.2 * length), (0.006, 0.2 * length), (0.009, 0.4 * length), (-0.006, 0.5 * length)],
                    0.003,
                )
            ]
        parts.append(moved(merge([grip, *head]), (i * 0.04, u(-0.01, 0.01), 0.002), yaw=u(-0.15, 0.15)))
    if u() < 0.4:
        parts.append(box((0.2, 0.22, 0.002), slot=1))
    return thing(parts, [STEEL, pick(rng, (FABRIC, PAPER))])


def knife_block(rng: np.random.Generator) -> Model:
    """A slanting block with handles that stick out."""
    u = rng.uniform
    width, height = u(0.09, 0.14), u(0.18, 0.25)
    block = extrude(
        [(-0.08, 0), (0.07, 0), (0.07, 0.35 * height), (-0.02, height), (-0.09, 0.8 * height)], width, axis="x"
    )
    parts = [block]
    count = int(rng.integers(3, 7))
    for i in range(count):
        x, row = ((i + 0.5) / count - 0.5) * 0.8 * width, i % 2
        parts.append(
            moved(
                box((0.015, 0.024, u(0.08, 0.12)), bevel=0.004, slot=1),
                (x, -0.07 + 0.045 * row, (0.8 + 0.1 * row) * height),
                pitch=0.45,
            )
        )
    return thing(parts, [pick(rng, (WOOD, WOOD, BLACK)), pick(rng, (BLACK, WOOD, STEEL))])


def cutting_board(rng: np.random.Generator) -> Model:
    """A board with a knife on it, lying or upright."""
    u = rng.uniform
    width, depth = u(0.22, 0.45), u(0.16, 0.3)
    board = extrude(rounded(width, depth, 0.02), u(0.01, 0.03))
    if u() < 0.3:
        return thing([moved(board, pitch=math.pi / 2 - 0.15)], [pick(rng, (WOOD, PLASTIC))])
    top = float(board.vertices[:, 2].max())
    blade = [(-0.1, -0.015), (0.08, -0.015), (0.1, 0.0), (0.08, 0.02), (-0.1, 0.02)]
    knife = merge(
        [extrude(blade, 0.002, slot=1), moved(box((0.12, 0.025, 0.015), bevel=0.004, slot=2), (-0.155, 0.003, 0))]
    )
    return thing(
        [board, moved(knife, (u(-0.03, 0.05), u(-0.05, 0.05), top), yaw=u(-0.6, 0.6))],
        [pick(rng, (WOOD, WOOD, PLASTIC)), STEEL, BLACK],
    )


def utensil_jar(rng: np.random.Generator) -> Model:
    """A pot of spoons, whisks and spatulas."""
    u = rng.uniform
    radius, height = u(0.045, 0.07), u(0.12, 0.18)
    parts = [lathe(hollow([(0.95 * radius, 0), (radius, height)], 0.005), sides=14)]
    for _ in range(int(rng.integers(3, 9))):
        turn, length, slot = u(0, 6.28), u(0.24, 0.34), 1 + int(rng.integers(3))
        stick = tube([(0, 0, 0), (0, 0, 0.75 * length)], 0.005, sides=5, slot=slot)
        if u() < 0.5:
            head = ball((0.028, 0.008, 0.04), at=(0, 0, 0.85 * length), slot=slot)
        else:
            head = box((u(0.03, 0.06), 0.005, 0.28 * length), at=(0, 0, 0.72 * length), slot=slot)
        leaning = moved(merge([stick, head]), pitch=u(0.1, 0.28))
        parts.append(
            moved(leaning, (0.4 * radius * math.sin(-turn), 0.4 * radius * math.cos(turn), 0.008), yaw=turn + math.pi)
        )
    return thing(parts, [pick(rng, (CERAMIC, STEEL, WOOD)), WOOD, STEEL, pick(rng, (BLACK, bright(rng)))])


def dish_rack(rng: np.random.Generator) -> Model:
    """A rack of wire with plates and cups drying."""
    u = rng.uniform
    width, depth, height = u(0.35, 0.5), u(0.25, 0.35), u(0.09, 0.14)
    parts = [box((width, depth, 0.012), slot=0)]
    for z in (0.03, height):
        rail = [
            (*(p), z)
            for p in [
                (-width / 2, -depth / 2),
                (width / 2, -depth / 2),
                (width / 2, depth / 2),
                (-width / 2, depth / 2),
                (-width / 2, -depth / 2),
            ]
        ]
        parts.append(tube(rail, 0.003, sides=4, slot=1))
    for x in np.linspace(-width / 2, width / 2, 7):
        parts += [
            tube([(x, side * depth / 2, 0), (x, side * depth / 2, height)], 0.002, sides=3, slot=1) for side in (-1, 1)
        ]
    x, radius = -0.42 * width, u(0.09, 0.13)
    while x < 0.1 * width:
        dish = moved(
            lathe([(0.6 * radius, 0), (radius, 0.015), (0.6 * radius, 0.005), (0, 0.005)], sides=12, slot=2),
            roll=math.pi / 2 + u(-0.1, 0.1),
        )
        parts.append(moved(dish, (x, 0, radius + 0.012)))
        x += u(0.03, 0.07)
    for i in range(2):
        parts.append(lathe([(0.045, 0.012), (0.035, 0.1)], at=(0.32 * width, (i - 0.5) * 0.12, 0), sides=10, slot=2))
    return thing(parts, [pick(rng, (WHITE, BLACK, PLASTIC)), pick(rng, (STEEL, WHITE, BLACK)), CERAMIC])


def paper_towel(rng: np.random.Generator) -> Model:
    """A roll on a stand, a toilet roll, a roll of tape."""
    u = rng.uniform
    radius, height = u(0.04, 0.07), u(0.1, 0.27)
    roll = lathe([(0.02, 0), (radius, 0), (radius, height), (0.02, height), (0.02, 0.001)], sides=16, cap=False)
    if u() < 0.5:
        parts = [
            moved(roll, (0, 0, 0.012)),
            cylinder(1.2 * radius, 0.012, sides=16, slot=1),
            tube([(0, 0, 0), (0, 0, height + 0.05)], 0.008, slot=1),
        ]
        return thing(parts, [PAPER, pick(rng, (WOOD, STEEL))])
    return thing([moved(roll, pitch=math.pi / 2 if u() < 0.4 else 0)], [PAPER])


def colander(rng: np.random.Generator) -> Model:
    """A sieve or bowl with feet and handles, upside down or upright."""
    u = rng.uniform
    radius, height = u(0.09, 0.14), u(0.08, 0.12)
    line = silhouette([(0.35 * radius, 0.02), (0.85 * radius, 0.4 * height), (radius, height)], 7)
    parts = [
        lathe(hollow(line, 0.004), sides=16),
        ring(0.4 * radius, 0.006, height=0.012),
        ring(radius, 0.005, height=height),
    ]
    for side in (0.0, math.pi):
        bow = [(radius, -0.04, height), (radius + 0.03, 0, height), (radius, 0.04, height)]
        parts.append(moved(tube(spline(bow, 5), 0.005), yaw=side))
    return thing([moved(merge(parts), pitch=math.pi if u() < 0.3 else 0)], [pick(rng, (STEEL, METAL, bright(rng)))])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "pot": ("kitchenware", pot, 8),
    "pan": ("kitchenware", pan, 5),
    "cutlery": ("kitchenware", cutlery, 5),
    "knife_block": ("kitchenware", knife_block, 3),
    "cutting_board": ("kitchenware", cutting_board, 5),
    "utensil_jar": ("kitchenware", utensil_jar, 4),
    "dish_rack": ("kitchenware", dish_rack, 3),
    "paper_towel": ("kitchenware", paper_towel, 5),
    "colander": ("kitchenware", colander, 3),
}
