"""Trifles that lie on tables: pens, keys, spectacles, notes, tubes, sponges."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Mesh, Model, merge
from pixio_edge.scenes.shapes import ball, box, circle, cylinder, displaced, extrude, lathe, moved, rounded, tube
from pixio_edge.scenes.shapes.profiles import hollow, ring, silhouette, spline, thing
from pixio_edge.scenes.things.stuff import (
    BLACK,
    BRASS,
    CERAMIC,
    FABRIC,
    GLASS,
    METAL,
    OBJECT,
    PAPER,
    PLASTIC,
    PRINT,
    STEEL,
    WHITE,
    WOOD,
    bright,
    pick,
)


def _lying_about(rng: np.random.Generator, parts: list[Mesh], reach: float) -> Mesh:
    """Each part put somewhere within `reach` of the origin, turned at random."""
    u = rng.uniform
    return merge([moved(part, (u(-reach, reach), u(-reach, reach), 0.0), yaw=u(0, 6.28)) for part in parts])


def pens(rng: np.random.Generator) -> Model:
    """Pens, pencils and markers that lie about."""
    u = rng.uniform
    parts = []
    for _ in range(int(rng.integers(1, 7))):
        length, radius, slot = u(0.11, 0.18), u(0.0035, 0.009), int(rng.integers(3))
        stops = [
            (0, 0, radius),
            (0.72 * length, 0, radius),
            (0.73 * length, 0, radius),
            (0.92 * length, 0, radius),
            (length, 0, radius),
        ]
        thick = np.array([0.9, 0.9, 1.0, 1.0, 0.2]) * radius
        parts.append(
            merge([tube(stops[:2], thick[:2], sides=6, slot=slot), tube(stops[2:], thick[2:], sides=6, slot=3)])
        )
    return thing(
        [_lying_about(rng, parts, 0.05)],
        [bright(rng), pick(rng, (WOOD, BLACK)), bright(rng), pick(rng, (BLACK, STEEL))],
    )


def keys(rng: np.random.Generator) -> Model:
    """A bunch of keys with a tag."""
    u = rng.uniform
    parts = [moved(ring(0.014, 0.0012, sides=9), (0, 0, 0.003))]
    for i in range(int(rng.integers(2, 5))):
        head = extrude(circle(0.011, 8), 0.002)
        shaft = extrude(
            [
                (0.009, -0.004),
                (0.03, -0.004),
                (0.033, -0.007),
                (0.037, -0.004),
                (0.045, 0),
                (0.045, 0.004),
                (0.009, 0.004),
            ],
            0.002,
        )
        parts.append(moved(merge([head, shaft]), (0, 0, 0.001 + 0.002 * i), yaw=i * 0.7 + u(-0.2, 0.2)))
    parts.append(moved(extrude(rounded(0.05, 0.03, 0.01), 0.006, slot=1), (-0.035, 0, 0), yaw=u(-0.4, 0.4)))
    return thing(parts, [pick(rng, (STEEL, BRASS)), pick(rng, (bright(rng), WOOD))])


def spectacles(rng: np.random.Generator) -> Model:
    """Glasses with open arms."""
    u = rng.uniform
    radius, tall = u(0.02, 0.026), u(0.8, 1.0)
    parts = []
    for side in (-1, 1):
        x = side * (radius + 0.01)
        rim = moved(ring(radius, 0.0018, sides=12), (x, 0, tall * radius), pitch=math.pi / 2, scale=(1, tall, 1))
        lens = moved(extrude(circle(radius, 12, squash=tall), 0.001, slot=1), (x, 0, tall * radius), pitch=math.pi / 2)
        arm = spline(
            [
                (side * (2 * radius + 0.01), 0, 1.4 * tall * radius),
                (side * 0.07, 0.08, 1.3 * tall * radius),
                (side * 0.068, 0.13, 0.003),
            ],
            6,
        )
        parts += [rim, lens, tube(arm, 0.0018, sides=4)]
    parts.append(tube([(-0.01, 0, 1.2 * tall * radius), (0.01, 0, 1.2 * tall * radius)], 0.0018, sides=4))
    return thing(
        [moved(merge(parts), yaw=u(0, 6.28))], [pick(rng, (BLACK, BRASS, bright(rng))), pick(rng, (GLASS, BLACK))]
    )


def note_blocks(rng: np.random.Generator) -> Model:
    """Sticky notes, cards or a pack of cards, some loose."""
    u = rng.uniform
    side = u(0.05, 0.1)
    parts = [box((side, side * u(0.7, 1.4), u(0.003, 0.04)), slot=0)]
    for i in range(int(rng.integers(0, 5))):
        loose = moved(
            box((side, side, 0.001), slot=1 + i % 2), (u(-0.08, 0.08), u(-0.08, 0.08), 0.001 * i), yaw=u(0, 3)
        )
        parts.append(loose)
    return thing(parts, [pick(rng, (bright(rng), PAPER, OBJECT)), bright(rng), PAPER])


def squeeze_tube(rng: np.random.Generator) -> Model:
    """Toothpaste, cream or glue: a tube that runs flat."""
    u = rng.uniform
    length, radius = u(0.08, 0.18), u(0.012, 0.026)
    body = lathe([(radius, t * length) for t in np.linspace(0, 1, 6)], sides=14, fit=True)
    share = body.vertices[:, 2:3] / length
    body.vertices[:, :1] *= 1 + 0.45 * share
    body.vertices[:, 1:2] *= 1 - 0.93 * share
    parts = [body, lathe([(0.55 * radius, -0.02), (0.62 * radius, 0.0)], sides=10, slot=1)]
    return thing([moved(merge(parts), pitch=math.pi / 2, yaw=u(0, 6))], [PRINT, pick(rng, (WHITE, bright(rng)))])


def remote_control(rng: np.random.Generator) -> Model:
    """A remote control."""
    u = rng.uniform
    width, depth = u(0.035, 0.055), u(0.13, 0.22)
    parts = [extrude(rounded(width, depth, 0.012), u(0.012, 0.022))]
    top = float(parts[0].vertices[:, 2].max())
    for row in range(6):
        for column in (-1, 0, 1):
            button = cylinder(
                0.0045, 0.003, sides=6, at=(column * 0.28 * width, (0.35 - 0.1 * row) * depth, top), slot=1 + (row == 0)
            )
            parts.append(button)
    return thing(
        [moved(merge(parts), yaw=u(0, 6))],
        [pick(rng, (BLACK, BLACK, WHITE, METAL)), pick(rng, (WHITE, BLACK, PLASTIC)), bright(rng)],
    )


def brush_cup(rng: np.random.Generator) -> Model:
    """A cup of brushes: for teeth, paint or make-up."""
    u = rng.uniform
    radius, height = u(0.03, 0.042), u(0.08, 0.12)
    parts = [lathe(hollow([(0.85 * radius, 0), (radius, height)], 0.003), sides=14)]
    for i in range(int(rng.integers(1, 6))):
        turn, length = u(0, 6.28), u(0.14, 0.22)
        stick = tube([(0, 0, 0), (0, 0, 0.85 * length)], 0.004, sides=5, slot=1 + i % 2)
        head = box((0.012, 0.014, 0.2 * length), at=(0, 0, 0.82 * length), slot=3)
        leaning = moved(merge([stick, head]), pitch=u(0.12, 0.3))
        parts.append(moved(leaning, (-0.5 * radius * math.sin(turn), 0.5 * radius * math.cos(turn), 0.005), yaw=turn))
    return thing(
        parts,
        [pick(rng, (CERAMIC, GLASS, STEEL)), bright(rng), pick(rng, (WOOD, bright(rng))), pick(rng, (WHITE, BLACK))],
    )


def sponges(rng: np.random.Generator) -> Model:
    """Sponges, bricks of foam, blocks of wood, soap."""
    u = rng.uniform
    parts = []
    for i in range(int(rng.integers(1, 4))):
        size = (u(0.06, 0.12), u(0.04, 0.08), u(0.02, 0.06))
        block = merge([box(size, bevel=0.004, slot=i % 2), box((size[0], size[1], 0.008), at=(0, 0, size[2]), slot=1)])
        parts.append(moved(block, (0.11 * i, u(-0.02, 0.02), 0), yaw=u(-0.5, 0.5)))
    return thing(parts, [pick(rng, (bright(rng), WOOD, WHITE)), pick(rng, (bright(rng), WOOD))])


def wooden_blocks(rng: np.random.Generator) -> Model:
    """Test pieces for a gripper: a block, a cylinder, a ring, a peg."""
    u = rng.uniform
    s = u(0.02, 0.045)
    shapes = [
        box((2 * s, s, s)),
        cylinder(0.7 * s, u(1, 3) * s, sides=14, slot=1),
        moved(ring(s, 0.35 * s, slot=2), (0, 0, 0.35 * s)),
        extrude([(0, 0), (1.5 * s, 0), (1.5 * s, s), (0.7 * s, s), (0.7 * s, 2 * s), (0, 2 * s)], s, slot=1),
        cylinder(s, 1.6 * s, top_radius=0.0, sides=14, slot=2),
    ]
    chosen = [shapes[int(i)] for i in rng.permutation(5)[: int(rng.integers(1, 5))]]
    parts = [moved(shape, (3.2 * s * (i % 2), 3.2 * s * (i // 2), 0), yaw=u(0, 3)) for i, shape in enumerate(chosen)]
    return thing(parts, [pick(rng, (WOOD, bright(rng))), pick(rng, (bright(rng), METAL)), bright(rng)])


def watch(rng: np.random.Generator) -> Model:
    """A wrist watch or bracelet on its side."""
    u = rng.uniform
    radius = u(0.025, 0.034)
    angles = np.linspace(0, 2 * math.pi, 17)
    outer = np.stack([radius * np.cos(angles), 0.8 * radius * np.sin(angles)], 1)
    strap = extrude(np.concatenate([outer, 0.9 * outer[::-1]]), u(0.012, 0.022))
    face = moved(cylinder(0.6 * radius, 0.008, sides=14, slot=1), (0, -0.8 * radius, 0.009), pitch=math.pi / 2)
    dial = moved(cylinder(0.52 * radius, 0.001, sides=12, slot=2), (0, -0.8 * radius - 0.008, 0.009), pitch=math.pi / 2)
    return thing(
        [merge([strap, face, dial])], [pick(rng, (BLACK, STEEL, bright(rng))), pick(rng, (STEEL, BRASS)), WHITE]
    )


def spools(rng: np.random.Generator) -> Model:
    """Reels of thread, wire or tape."""
    u = rng.uniform
    parts = []
    for i in range(int(rng.integers(1, 5))):
        r, h = u(0.015, 0.05), u(0.02, 0.07)
        reel = lathe(
            [
                (r, 0),
                (r, 0.1 * h),
                (0.7 * r, 0.12 * h),
                (0.7 * r, 0.88 * h),
                (r, 0.9 * h),
                (r, h),
                (0.25 * r, h),
                (0.25 * r, 0.02),
            ],
            sides=14,
        )
        yarn = lathe(
            [(0.9 * r, 0.14 * h), (0.95 * r, 0.5 * h), (0.9 * r, 0.86 * h)], sides=14, cap=False, slot=1 + i % 3
        )
        lying = moved(merge([reel, yarn]), (0, 0, r), pitch=math.pi / 2) if u() < 0.3 else merge([reel, yarn])
        parts.append(moved(lying, (0.1 * (i % 2), 0.1 * (i // 2), 0), yaw=u(0, 6)))
    return thing(parts, [pick(rng, (WOOD, WHITE, BLACK)), bright(rng), bright(rng), pick(rng, (BRASS, FABRIC))])


def pill_packs(rng: np.random.Generator) -> Model:
    """A box of pills, a strip of them and a jar."""
    u = rng.uniform
    strip = [box((0.09, 0.04, 0.001), slot=1)]
    strip += [
        ball((0.005, 0.008, 0.004), at=(0.016 * i - 0.032, y, 0.001), detail=0, slot=2)
        for i in range(5)
        for y in (-0.01, 0.01)
    ]
    carton = box((u(0.05, 0.13), u(0.02, 0.05), u(0.03, 0.08)), fit=True)
    parts = [carton, moved(merge(strip), (0, -0.08, 0), yaw=u(0, 3))]
    if u() < 0.6:
        parts.append(
            lathe(silhouette([(0.018, 0), (0.018, 0.045), (0.012, 0.052)], 5), at=(0.1, -0.02, 0), sides=12, slot=2)
        )
        parts.append(cylinder(0.014, 0.015, at=(0.1, -0.02, 0.05), sides=12, slot=1))
    return thing(parts, [PRINT, pick(rng, (STEEL, WHITE)), bright(rng)])


def pebbles(rng: np.random.Generator) -> Model:
    """Stones, shells, nuts or potatoes in a little heap."""
    u = rng.uniform
    parts, size = [], u(0.012, 0.04)
    for i in range(int(rng.integers(3, 10))):
        radii = size * rng.uniform(0.6, 1.1, 3)
        lump = displaced(ball(radii.tolist(), detail=1), rng, 0.08 * size, size)
        lump.slots[:] = i % 2
        level = radii[2] if i < 6 else 2.2 * size
        parts.append(
            moved(lump, (u(-2.5, 2.5) * size * (0.4 if i >= 6 else 1), u(-2, 2) * size * (0.4 if i >= 6 else 1), level))
        )
    return thing(parts, [pick(rng, (WOOD, OBJECT, bright(rng))), pick(rng, (WOOD, METAL, OBJECT))])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "pens": ("stationery", pens, 6),
    "keys": ("stationery", keys, 2),
    "spectacles": ("stationery", spectacles, 3),
    "note_blocks": ("stationery", note_blocks, 4),
    "squeeze_tube": ("bottle", squeeze_tube, 4),
    "remote_control": ("electronics", remote_control, 4),
    "brush_cup": ("stationery", brush_cup, 4),
    "sponges": ("kitchenware", sponges, 4),
    "wooden_blocks": ("toy", wooden_blocks, 6),
    "watch": ("decor", watch, 2),
    "spools": ("tool", spools, 4),
    "pill_packs": ("stationery", pill_packs, 3),
    "pebbles": ("food", pebbles, 4),
}
