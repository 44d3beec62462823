"""Cameras, loudspeakers and other small machines."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Model, Top, merge
from pixio_edge.scenes.shapes import ball, box, card, cylinder, displaced, extrude, lathe, moved, tube
from pixio_edge.scenes.shapes.profiles import silhouette, spline, thing
from pixio_edge.scenes.things.office_things import keys
from pixio_edge.scenes.things.stuff import BLACK, FABRIC, GREY, PLASTIC, SCREEN, STEEL, WHITE, WOOD, bright, pick

_HOUSINGS = (BLACK, BLACK, WHITE, GREY, PLASTIC)


def desk_phone(rng: np.random.Generator) -> Model:
    """A telephone with a receiver and a curled lead."""
    u = rng.uniform
    width, depth = u(0.16, 0.22), u(0.18, 0.24)
    wedge = [(-depth / 2, 0), (depth / 2, 0), (depth / 2, u(0.05, 0.1)), (-depth / 2, 0.025)]
    rise = math.atan2(wedge[2][1] - 0.025, depth)
    level = 0.5 * (wedge[2][1] + 0.025)
    arch = spline([(0, -0.09, 0.0), (0, -0.07, 0.028), (0, 0.07, 0.028), (0, 0.09, 0.0)], 8)
    receiver = merge(
        [
            tube(arch, 0.014),
            box((0.045, 0.05, 0.02), at=(0, -0.085, -0.01)),
            box((0.045, 0.05, 0.02), at=(0, 0.085, -0.01)),
        ]
    )
    parts = [extrude(wedge, width, axis="x"), moved(receiver, (-0.3 * width, 0, level + 0.012), pitch=rise)]
    parts.append(moved(keys(0.09, 0.09, 4, 3, slot=1), (0.18 * width, -0.03, level - 0.008), pitch=rise))
    turns = np.linspace(0, 1, 40)
    lead = np.stack(
        [0.008 * np.cos(50 * turns) - 0.55 * width, 0.2 * (turns - 0.5), 0.01 + 0.008 * np.sin(50 * turns)], 1
    )
    return thing([*parts, tube(lead, 0.003, sides=3)], [pick(rng, _HOUSINGS), pick(rng, (WHITE, BLACK, GREY))])


def headphones(rng: np.random.Generator) -> Model:
    """Headphones that lie on their side or stand."""
    u = rng.uniform
    radius = u(0.075, 0.09)
    turn = np.linspace(-0.15, math.pi + 0.15, 12)
    band = np.stack([radius * np.cos(turn), np.zeros(12), radius * 1.1 * np.sin(turn)], 1)
    cup = moved(
        lathe([(0.03, -0.012), (0.042, -0.006), (0.04, 0.012), (0.02, 0.018)], sides=12, slot=1), roll=math.pi / 2
    )
    parts = [tube(band, u(0.006, 0.012)), moved(cup, (radius, 0, -0.03)), moved(cup, (-radius, 0, -0.03), yaw=math.pi)]
    return thing(
        [moved(merge(parts), pitch=-u(1.1, 1.5) if u() < 0.7 else 0)],
        [pick(rng, _HOUSINGS), pick(rng, (BLACK, FABRIC))],
    )


def camera(rng: np.random.Generator) -> Model:
    """A photo camera."""
    u = rng.uniform
    width, height, radius = u(0.1, 0.14), u(0.06, 0.09), u(0.024, 0.036)
    length = u(0.03, 0.1)
    barrel = lathe(
        [(radius, 0), (radius, 0.4 * length), (0.9 * radius, 0.45 * length), (0.95 * radius, length)], sides=14
    )
    glass = cylinder(0.7 * radius, 0.002, at=(0, 0, length), slot=1)
    parts = [box((width, 0.045, height), bevel=0.008), box((0.4 * width, 0.04, 0.025), at=(0, 0, height), bevel=0.008)]
    parts.append(moved(merge([barrel, glass]), (0, -0.02, 0.5 * height), pitch=math.pi / 2))
    strap = spline(
        [
            (width / 2, 0, 0.8 * height),
            (0.8 * width, 0.05, 0.01),
            (0.3 * width, 0.12, 0.004),
            (-width / 2, 0.02, 0.8 * height),
        ],
        12,
    )
    parts.append(tube(strap, 0.004, sides=4, slot=2))
    return thing(parts, [pick(rng, (BLACK, BLACK, GREY)), SCREEN, pick(rng, (BLACK, FABRIC))])


def speaker(rng: np.random.Generator) -> Model:
    """A loudspeaker or radio."""
    u = rng.uniform
    width = u(0.1, 0.25)
    depth, height = width * u(0.6, 1.2), width * u(0.6, 2.0)
    parts = [box((width, depth, height), bevel=0.01)]
    radius = 0.38 * min(width, height)
    cone = lathe(
        [
            (radius, 0),
            (radius, 0.008),
            (0.9 * radius, 0.009),
            (0.5 * radius, 0.001),
            (0.3 * radius, 0.004),
            (0.0, 0.006),
        ],
        sides=16,
        slot=1,
    )
    parts.append(moved(cone, (0, -depth / 2, 0.42 * height), pitch=math.pi / 2))
    if height > 1.3 * width:
        parts.append(
            moved(cylinder(0.5 * radius, 0.006, sides=14, slot=1), (0, -depth / 2, 0.8 * height), pitch=math.pi / 2)
        )
    return thing(parts, [pick(rng, (WOOD, BLACK, WHITE)), BLACK], [Top((0, 0, height), (0.45 * width, 0.45 * depth))])


def router(rng: np.random.Generator) -> Model:
    """A router with aerials, a hard disk, a hub."""
    u = rng.uniform
    width, depth, height = u(0.12, 0.25), u(0.08, 0.17), u(0.02, 0.05)
    parts = [box((width, depth, height), bevel=0.008)]
    for i in range(int(rng.integers(0, 4))):
        x = (i - 1) * 0.35 * width
        parts.append(
            tube([(x, depth / 2, 0.5 * height), (x + u(-0.02, 0.02), depth / 2, height + u(0.06, 0.14))], 0.005, slot=1)
        )
    return thing(parts, [pick(rng, _HOUSINGS), BLACK])


def printer(rng: np.random.Generator) -> Model:
    """A printer with paper in it."""
    u = rng.uniform
    width, depth, height = u(0.38, 0.48), u(0.3, 0.4), u(0.14, 0.28)
    side = [
        (-0.5, 0),
        (0.5, 0),
        (0.5, 0.85),
        (0.3, 1),
        (-0.25, 1),
        (-0.5, 0.6),
        (-0.5, 0.35),
        (-0.35, 0.3),
        (-0.35, 0.1),
        (-0.5, 0.1),
    ]
    body = extrude(np.asarray(side) * (depth, height), width, axis="x")
    page = moved(card(0.21, 0.2, slot=1), (0, 0.4 * depth, 0.85 * height), pitch=-0.35)
    out = box((0.22, 0.2, 0.008), at=(0, -0.45 * depth, 0.12 * height), slot=1)
    top = Top((0, 0, height), (0.4 * width, 0.2 * depth))
    return thing([body, page, out], [pick(rng, _HOUSINGS), WHITE], [top])


def computer(rng: np.random.Generator) -> Model:
    """A desktop computer or a box of electronics."""
    u = rng.uniform
    width, depth, height = u(0.08, 0.22), u(0.2, 0.45), u(0.2, 0.45)
    if u() < 0.4:
        width, height = height, 0.5 * width
    parts = [box((width, depth, height), bevel=0.004)]
    for i in range(int(rng.integers(2, 6))):
        parts.append(box((0.8 * width, 0.004, 0.04 * height), at=(0, -depth / 2, (0.9 - 0.14 * i) * height), slot=1))
    return thing(
        parts,
        [pick(rng, _HOUSINGS), pick(rng, (BLACK, GREY, STEEL))],
        [Top((0, 0, height), (0.4 * width, 0.4 * depth))],
    )


def cables(rng: np.random.Generator) -> Model:
    """A tangle or coil of cable with a plug."""
    u = rng.uniform
    turns, radius = u(1.0, 3.5), u(0.04, 0.12)
    t = np.linspace(0, 1, 46)
    wobble = 1 + 0.25 * np.sin(t * u(9, 25) + u(0, 6)) + 0.15 * np.sin(t * u(20, 40))
    path = np.stack(
        [radius * wobble * np.cos(6.28 * turns * t), radius * u(0.5, 1) * wobble * np.sin(6.28 * turns * t)], 1
    )
    height = 0.006 + 0.012 * np.abs(np.sin(t * 17)) * u(0.2, 1)
    lead = tube(np.column_stack([path, height]), u(0.0025, 0.005), sides=4)
    plug = box((0.02, 0.035, 0.016), at=(path[-1, 0], path[-1, 1], 0), slot=0)
    return thing([lead, plug], [pick(rng, (BLACK, BLACK, WHITE, bright(rng)))])


def game_pad(rng: np.random.Generator) -> Model:
    """A game controller."""
    u = rng.uniform
    body = displaced(ball((0.075, 0.045, 0.02), detail=2), rng, 0.002, 0.05)
    parts = [body]
    for side in (-1, 1):
        grip = spline([(side * 0.05, 0, 0), (side * 0.075, -0.04, -0.008), (side * 0.07, -0.075, -0.016)], 5)
        parts.append(tube(grip, np.linspace(0.022, 0.014, 5), sides=7))
        parts.append(
            lathe(
                [(0.006, 0.012), (0.006, 0.026), (0.012, 0.03), (0, 0.033)],
                at=(side * 0.03, -0.012, 0),
                sides=8,
                slot=1,
            )
        )
    return thing([moved(merge(parts), pitch=u(-0.1, 0.1))], [pick(rng, (BLACK, WHITE, bright(rng))), BLACK])


def microphone(rng: np.random.Generator) -> Model:
    """A microphone, webcam or small spot on a stand with a round foot."""
    u = rng.uniform
    height = u(0.15, 0.4)
    bend = spline([(0, 0, 0), (0, 0.01, 0.5 * height), (0, -0.02, 0.85 * height), (0, -0.08, height)], 8)
    head = moved(
        lathe(silhouette([(0.008, 0), (0.022, 0.03), (0.026, 0.06), (0, 0.085)], 7), sides=10, slot=1),
        (0, -0.07, height),
        pitch=1.3,
    )
    return thing(
        [cylinder(u(0.04, 0.08), 0.012, sides=16), tube(bend, 0.006), head], [BLACK, pick(rng, (GREY, STEEL, BLACK))]
    )


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "desk_phone": ("electronics", desk_phone, 3),
    "headphones": ("electronics", headphones, 4),
    "camera": ("electronics", camera, 3),
    "speaker": ("electronics", speaker, 5),
    "router": ("electronics", router, 4),
    "printer": ("electronics", printer, 3),
    "computer": ("electronics", computer, 4),
    "cables": ("cable", cables, 6),
    "game_pad": ("electronics", game_pad, 2),
    "microphone": ("electronics", microphone, 3),
}
