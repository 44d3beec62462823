"""Toys and game things."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Model, merge
from pixio_edge.scenes.shapes import ball, box, cylinder, extrude, lathe, moved, tube
from pixio_edge.scenes.shapes.profiles import ring, silhouette, thing
from pixio_edge.scenes.things.stuff import BLACK, OBJECT, PLASTIC, PRINT, STEEL, WHITE, WOOD, bright, pick


def traffic_cone(rng: np.random.Generator) -> Model:
    """A small cone with stripes."""
    u = rng.uniform
    height = u(0.12, 0.35)
    radius = height * u(0.25, 0.4)
    steps = np.linspace(0, 1, 6)
    parts = [box((2.5 * radius, 2.5 * radius, 0.04 * height))]
    for i, (low, high) in enumerate(itertools.pairwise(steps)):
        line = [(radius * (1 - 0.85 * t), (0.04 + 0.96 * t) * height) for t in (low, high)]
        parts.append(lathe(line, sides=14, cap=i == 4, slot=i % 2))
    return thing(parts, [bright(rng), pick(rng, (WHITE, bright(rng)))])


def ring_stack(rng: np.random.Generator) -> Model:
    """Rings of falling size on a peg."""
    u = rng.uniform
    radius, thick, count = u(0.05, 0.09), u(0.009, 0.015), int(rng.integers(4, 8))
    parts = [
        lathe(
            [
                (radius, 0),
                (radius, 0.015),
                (0.2 * radius, 0.02),
                (0.008, 0.02 + 2 * thick * count),
                (0, 0.03 + 2 * thick * count),
            ]
        )
    ]
    for i in range(count):
        parts.append(
            ring(radius * (0.9 - 0.55 * i / count), thick, height=0.02 + thick * (2 * i + 1), sides=14, slot=1 + i % 4)
        )
    return thing(parts, [WOOD, *(bright(rng) for _ in range(4))])


def block_tower(rng: np.random.Generator) -> Model:
    """Building blocks: a tower or castle of several shapes."""
    u = rng.uniform
    side, parts = u(0.025, 0.05), []
    for column in range(int(rng.integers(1, 5))):
        z, x, y = 0.0, (column % 2) * 1.3 * side, (column // 2) * 1.3 * side
        for _ in range(int(rng.integers(1, 6))):
            slot, shift = int(rng.integers(5)), (x + u(-0.1, 0.1) * side, y + u(-0.1, 0.1) * side, z)
            shape = box((side, side, side), slot=slot) if u() < 0.7 else cylinder(0.5 * side, side, sides=10, slot=slot)
            parts.append(moved(shape, shift, yaw=u(-0.4, 0.4)))
            z += side
        if u() < 0.6:
            slot = int(rng.integers(5))
            parts.append(
                cylinder(0.6 * side, side, top_radius=0.0, sides=4 if u() < 0.5 else 10, at=(x, y, z), slot=slot)
            )
    return thing(parts, [pick(rng, (WOOD, bright(rng))), *(bright(rng) for _ in range(4))])


def scattered_blocks(rng: np.random.Generator) -> Model:
    """Blocks that lie about."""
    u = rng.uniform
    side, parts = u(0.02, 0.04), []
    for i in range(int(rng.integers(4, 10))):
        away, turn = 0.05 + 0.016 * i, i * 2.4 + u(0, 0.8)
        size = side * rng.choice([1.0, 1.0, 2.0], 3)
        at = (away * math.cos(turn), away * math.sin(turn), 0)
        parts.append(moved(box(size.tolist(), slot=int(rng.integers(4))), at, yaw=u(0, 3)))
    return thing(parts, [pick(rng, (WOOD, bright(rng))), *(bright(rng) for _ in range(3))])


def toy_ball(rng: np.random.Generator) -> Model:
    """A ball of any size."""
    radius = rng.uniform(0.02, 0.13)
    body = ball((radius,) * 3, at=(0, 0, radius), detail=3)
    return thing([body], [pick(rng, (bright(rng), WHITE, OBJECT, PLASTIC))])


def toy_car(rng: np.random.Generator) -> Model:
    """A car or lorry of plastic or wood."""
    u = rng.uniform
    s, width = u(0.07, 0.3), u(0.38, 0.5)
    hood, roof = u(0.22, 0.34), u(0.38, 0.5)
    side = [
        (-0.5, 0.1),
        (0.5, 0.1),
        (0.5, hood),
        (0.42, hood + 0.02),
        (u(0.2, 0.35), roof),
        (-0.1, roof),
        (-0.22, hood),
        (-0.5, hood - 0.03),
    ]
    parts = [moved(extrude(np.asarray(side) * s, width * s, axis="y"))]
    window = [(0.32, hood + 0.02), (0.18, roof - 0.03), (-0.08, roof - 0.03), (-0.16, hood + 0.02)]
    parts.append(extrude(np.asarray(window) * s, width * s + 0.004, axis="y", slot=2))
    for x in (-0.3, 0.3):
        for y in (-1, 1):
            wheel = moved(
                lathe([(0.11 * s, 0), (0.11 * s, 0.08 * s), (0.05 * s, 0.07 * s)], sides=12, slot=1), pitch=math.pi / 2
            )
            parts.append(moved(wheel, (x * s, y * width * s / 2 + 0.04 * s, 0.11 * s)))
    turned = moved(merge(parts), yaw=math.pi / 2)
    return thing([turned], [bright(rng), pick(rng, (BLACK, BLACK, WOOD)), pick(rng, (BLACK, WHITE))])


def toy_train(rng: np.random.Generator) -> Model:
    """An engine with waggons."""
    u = rng.uniform
    s, parts = u(0.04, 0.08), []
    for i in range(int(rng.integers(2, 5))):
        x = i * 2.3 * s
        parts.append(box((2 * s, s, 0.3 * s), at=(x, 0, 0.25 * s), slot=1 + i % 3))
        if i == 0:
            boiler = moved(cylinder(0.42 * s, 1.2 * s, sides=10), (x - s, 0, 0.9 * s), roll=math.pi / 2)
            parts += [boiler, cylinder(0.15 * s, 0.5 * s, at=(x - 0.6 * s, 0, 1.25 * s), top_radius=0.25 * s, slot=1)]
            parts.append(box((0.8 * s, s, 1.3 * s), at=(x + 0.6 * s, 0, 0.5 * s), slot=2))
        elif u() < 0.7:
            parts.append(box((1.8 * s, 0.9 * s, u(0.4, 1.0) * s), at=(x, 0, 0.55 * s), slot=i % 4))
        for wx in (-0.6, 0.6):
            parts.append(
                moved(cylinder(0.3 * s, 1.1 * s, sides=10, slot=3), (x + wx * s, 0.55 * s, 0.3 * s), pitch=math.pi / 2)
            )
    return thing(
        [moved(merge(parts), yaw=u(-0.2, 0.2))], [bright(rng), bright(rng), pick(rng, (WOOD, bright(rng))), BLACK]
    )


def puzzle_cube(rng: np.random.Generator) -> Model:
    """A cube of coloured tiles, or a die."""
    side, n = rng.uniform(0.045, 0.07), 3
    parts = [box((side, side, side), slot=0)]
    tile = side / n
    for axis in range(3):
        for i in range(n):
            for j in range(n):
                at = ((i - 1) * tile, (j - 1) * tile, side / 2 - 0.0008)
                piece = box((0.86 * tile, 0.86 * tile, 0.0016), at=at, slot=1 + int(rng.integers(5)))
                turn = ((0.0, 0.0), (math.pi / 2, 0.0), (0.0, math.pi / 2))[axis]
                parts.append(moved(piece, (0, 0, side / 2), pitch=turn[0], roll=turn[1]))
    return thing([moved(merge(parts), yaw=rng.uniform(0, 1.5))], [BLACK, *(bright(rng) for _ in range(4)), WHITE])


def chess_piece(rng: np.random.Generator) -> Model:
    """A turned piece: chess, skittle, spinning top or pepper mill."""
    u = rng.uniform
    height = u(0.05, 0.3)
    r = height * u(0.15, 0.25)
    line = [
        (r, 0),
        (r, 0.06),
        (u(0.5, 0.8) * r, 0.15),
        (u(0.3, 0.6) * r, 0.45),
        (u(0.35, 0.9) * r, 0.65),
        (0.3 * r, 0.72),
        (u(0.4, 0.8) * r, 0.86),
    ]
    curve = silhouette([*line, (0.0, 1.0)], 18)
    return thing([lathe(curve * (1, height), sides=12)], [pick(rng, (WOOD, BLACK, WHITE, bright(rng)))])


def game_box(rng: np.random.Generator) -> Model:
    """Board games on one another."""
    u = rng.uniform
    parts, z = [], 0.0
    for _ in range(int(rng.integers(1, 5))):
        size = (u(0.2, 0.4), u(0.2, 0.3), u(0.03, 0.08))
        parts.append(moved(box(size, fit=True), (u(-0.02, 0.02), u(-0.02, 0.02), z), yaw=u(-0.15, 0.15)))
        z += size[2]
    return thing(parts, [PRINT])


def drum(rng: np.random.Generator) -> Model:
    """A drum, tambourine or tin with a pattern."""
    u = rng.uniform
    radius, height = u(0.06, 0.14), u(0.06, 0.18)
    parts = [
        cylinder(radius, height, sides=16),
        ring(radius, 0.006, height=0.01, slot=1),
        ring(radius, 0.006, height=height, slot=1),
    ]
    zigzag = [
        (radius * 1.02 * math.cos(a), radius * 1.02 * math.sin(a), (0.1 + 0.8 * (i % 2)) * height)
        for i, a in enumerate(np.linspace(0, 2 * math.pi, 17))
    ]
    return thing([*parts, tube(zigzag, 0.003, sides=3, slot=2)], [bright(rng), pick(rng, (STEEL, WOOD)), WHITE])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "traffic_cone": ("toy", traffic_cone, 3),
    "ring_stack": ("toy", ring_stack, 3),
    "block_tower": ("toy", block_tower, 6),
    "scattered_blocks": ("toy", scattered_blocks, 4),
    "toy_ball": ("toy", toy_ball, 5),
    "toy_car": ("toy", toy_car, 6),
    "toy_train": ("toy", toy_train, 3),
    "puzzle_cube": ("toy", puzzle_cube, 2),
    "chess_piece": ("toy", chess_piece, 5),
    "game_box": ("toy", game_box, 4),
    "drum": ("toy", drum, 2),
}
