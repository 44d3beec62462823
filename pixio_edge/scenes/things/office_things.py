"""Electronics and other things of desks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Mesh, Model, merge
from pixio_edge.scenes.shapes import ball, box, build, card, cylinder, extrude, lathe, moved, rounded, sheet, tube
from pixio_edge.scenes.shapes.outlines import Points
from pixio_edge.scenes.shapes.profiles import hollow, ring, spline, thing
from pixio_edge.scenes.things.stuff import (
    BLACK,
    FABRIC,
    GREY,
    METAL,
    PLASTIC,
    PRINT,
    SCREEN,
    STEEL,
    WHITE,
    WOOD,
    bright,
    pick,
)

_HOUSINGS = (BLACK, BLACK, WHITE, GREY, PLASTIC)


def keys(width: float, depth: float, rows: int, columns: int, *, slot: int) -> Mesh:
    """A field of keys, level and centred on the origin."""
    pitch, step = depth / rows, width / columns
    y, x = np.meshgrid((np.arange(rows) - rows / 2 + 0.5) * pitch, (np.arange(columns) - columns / 2 + 0.5) * step)
    middles = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 1, 3)
    key = np.array([(-0.4, -0.4, 0), (0.4, -0.4, 0), (0.4, 0.4, 0), (-0.4, 0.4, 0)]) * (step, pitch, 0)
    points = (middles + key).reshape(-1, 3)
    first = 4 * np.arange(rows * columns)[:, None]
    faces = np.concatenate([first + np.array([0, 1, 2]), first + np.array([0, 2, 3])])
    return build(points, np.tile([0.0, 0.0, 1.0], (len(points), 1)), points[:, :2], faces, slot)


def laptop(rng: np.random.Generator) -> Model:
    """An open laptop."""
    u = rng.uniform
    width = u(0.28, 0.38)
    depth, thick = width * u(0.62, 0.72), u(0.012, 0.022)
    angle = u(0.1, 0.6)
    parts = [extrude(rounded(width, depth, 0.012), thick)]
    field = keys(0.86 * width, 0.45 * depth, 5, 12, slot=2)
    parts.append(moved(field, (0, 0.16 * depth, thick + 0.001)))
    lid = merge(
        [
            box((width, 0.006, depth)),
            moved(card(0.95 * width, 0.92 * depth, slot=1, fit=True), (0, -0.004, 0.03 * depth)),
        ]
    )
    parts.append(moved(lid, (0, depth / 2, thick), pitch=-angle))
    pad = box((0.3 * width, 0.25 * depth, 0.001), at=(0, -0.28 * depth, thick), slot=2)
    return thing([*parts, pad], [pick(rng, (GREY, BLACK, STEEL, WHITE)), SCREEN, BLACK])


def closed_laptop(rng: np.random.Generator) -> Model:
    """A closed laptop or a tablet."""
    u = rng.uniform
    width = u(0.18, 0.37)
    depth, thick = width * u(0.62, 0.75), u(0.007, 0.025)
    parts = [extrude(rounded(width, depth, 0.012), thick)]
    face = box((0.94 * width, 0.92 * depth, 0.0006), at=(0, 0, thick), slot=1, fit=True)
    tablet = u() < 0.4
    return thing(parts + [face] * tablet, [pick(rng, (GREY, BLACK, STEEL, WHITE)), SCREEN])


def monitor(rng: np.random.Generator) -> Model:
    """A flat screen on a foot."""
    u = rng.uniform
    width = u(0.42, 0.8)
    height, lift = width * u(0.5, 0.66), u(0.08, 0.2)
    frame = merge(
        [box((width, 0.03, height), bevel=0.006), box((0.5 * width, 0.05, 0.5 * height), at=(0, 0.03, 0.2 * height))]
    )
    frame = merge([frame, moved(card(0.95 * width, 0.92 * height, slot=1, fit=True), (0, -0.0165, 0.04 * height))])
    parts = [moved(frame, (0, -0.03, lift), pitch=-u(0, 0.2))]
    parts.append(box((0.05, 0.03, lift + 0.3 * height), at=(0, 0.04, 0), slot=2))
    foot = rounded(0.45 * width, 0.2, u(0.02, 0.1), steps=3)
    parts.append(extrude(foot, 0.012, slot=2))
    return thing(parts, [pick(rng, _HOUSINGS), SCREEN, pick(rng, (BLACK, STEEL, GREY))])


def keyboard(rng: np.random.Generator) -> Model:
    """A keyboard."""
    u = rng.uniform
    width, depth = u(0.28, 0.46), u(0.11, 0.17)
    wedge = [(-depth / 2, 0), (depth / 2, 0), (depth / 2, u(0.012, 0.03)), (-depth / 2, 0.009)]
    rise = math.atan2(wedge[2][1] - 0.009, depth)
    field = moved(
        keys(0.95 * width, 0.88 * depth, 5, 16, slot=1), (0, 0, 0.5 * (wedge[2][1] + 0.009) + 0.002), pitch=rise
    )
    return thing([extrude(wedge, width, axis="x"), field], [pick(rng, _HOUSINGS), pick(rng, (BLACK, WHITE, GREY))])


def mouse(rng: np.random.Generator) -> Model:
    """A computer mouse on or without a pad."""
    u = rng.uniform
    line = ball((u(0.026, 0.034), u(0.045, 0.06), u(0.028, 0.038)), detail=2)
    line.vertices[:, 2] = np.maximum(line.vertices[:, 2], -0.002)
    parts = [line, cylinder(0.006, 0.012, at=(0, -0.03, 0.018), sides=8, slot=1)]
    if u() < 0.5:
        parts.append(extrude(rounded(0.24, 0.2, 0.015), 0.003, at=(0, 0, -0.006), slot=1))
    return thing(parts, [pick(rng, _HOUSINGS), pick(rng, (BLACK, FABRIC))])


def phone(rng: np.random.Generator) -> Model:
    """A mobile phone: lying, or propped up."""
    u = rng.uniform
    width, height = u(0.065, 0.08), u(0.135, 0.17)
    parts = [extrude(rounded(width, height, 0.01), 0.009)]
    parts.append(box((0.93 * width, 0.93 * height, 0.0006), at=(0, 0, 0.009), slot=1, fit=True))
    body = merge(parts)
    if u() < 0.25:
        body = merge([moved(body, pitch=1.2), box((0.06, 0.06, 0.02), at=(0, 0.01, -0.07), slot=0)])
    return thing([body], [pick(rng, _HOUSINGS), SCREEN])


def pen_cup(rng: np.random.Generator) -> Model:
    """A cup full of pens, scissors and rulers."""
    u = rng.uniform
    radius, height = u(0.035, 0.05), u(0.08, 0.12)
    profile = hollow([(radius, 0), (radius * u(1, 1.15), height)], 0.003)
    parts = [lathe(profile, sides=14 if u() < 0.7 else 4, smooth=False)]
    for _ in range(int(rng.integers(3, 11))):
        turn, away = u(0, 6.28), radius * 0.6
        foot = (-0.3 * away * math.cos(turn), -0.3 * away * math.sin(turn), 0.01)
        length = u(0.13, 0.2) / height
        tip = (away * math.cos(turn) * length, away * math.sin(turn) * length, height * length)
        parts.append(tube([foot, tip], u(0.003, 0.006), sides=5, slot=1 + int(rng.integers(3))))
    return thing(
        parts, [pick(rng, (METAL, PLASTIC, WOOD, bright(rng))), bright(rng), pick(rng, (WOOD, BLACK)), bright(rng)]
    )


def stapler(rng: np.random.Generator) -> Model:
    """A stapler, punch or tape dispenser."""
    u = rng.uniform
    length, width = u(0.11, 0.17), u(0.025, 0.045)
    if u() < 0.5:
        side = [(-0.5, 0), (0.5, 0), (0.5, 0.08), (-0.2, 0.1), (-0.2, 0.16), (0.45, 0.28), (0.3, 0.38), (-0.5, 0.3)]
        body = extrude(np.asarray(side) * length, width, axis="y")
        return thing([body], [pick(rng, (BLACK, bright(rng), METAL))])
    outline = spline([(-0.5, 0), (-0.48, 0.3), (-0.2, 0.42), (0.05, 0.2), (0.3, 0.15), (0.5, 0.25), (0.5, 0)], 14)
    roll = moved(
        cylinder(0.03, 0.8 * width, sides=14, slot=1), (-0.22 * length, 0.4 * width, 0.32 * length), pitch=math.pi / 2
    )
    return thing([extrude(outline * length, width, axis="y"), roll], [pick(rng, (BLACK, bright(rng))), WHITE])


def calculator(rng: np.random.Generator) -> Model:
    """A calculator, remote control or game pad of keys."""
    u = rng.uniform
    width, depth = u(0.045, 0.1), u(0.12, 0.22)
    parts = [extrude(rounded(width, depth, 0.008), 0.016)]
    parts.append(moved(keys(0.85 * width, 0.6 * depth, 6, 4, slot=1), (0, -0.12 * depth, 0.0175)))
    parts.append(box((0.8 * width, 0.15 * depth, 0.002), at=(0, 0.35 * depth, 0.016), slot=2, fit=True))
    return thing(parts, [pick(rng, _HOUSINGS), pick(rng, (WHITE, GREY, BLACK)), SCREEN])


def clipboard(rng: np.random.Generator) -> Model:
    """A notebook with rings or a clipboard with a form."""
    u = rng.uniform
    width, height = u(0.14, 0.24), u(0.2, 0.33)
    parts = [box((width, height, u(0.004, 0.015)))]
    top = float(parts[0].vertices[:, 2].max())
    parts.append(box((0.92 * width, 0.92 * height, 0.001), at=(0, 0, top), slot=1, fit=True))
    if u() < 0.5:
        parts.append(box((0.3 * width, 0.03, 0.014), at=(0, 0.45 * height, top), slot=2))
    else:
        rings = [
            moved(ring(0.007, 0.0015, sides=6, slot=2), (-width / 2, (i / 10 - 0.45) * height, top - 0.002), pitch=1.57)
            for i in range(10)
        ]
        parts += rings
    return thing(parts, [pick(rng, (WOOD, BLACK, bright(rng))), pick(rng, (PRINT, WHITE)), STEEL])


def waste_basket(rng: np.random.Generator) -> Model:
    """A paper basket with some paper in it."""
    u = rng.uniform
    radius, height = u(0.11, 0.16), u(0.24, 0.34)
    parts = [lathe(hollow([(u(0.7, 0.95) * radius, 0), (radius, height)], 0.004), sides=16 if u() < 0.7 else 4)]

    def heap(x: Points, y: Points) -> Points:
        result: Points = 0.05 * np.sin(30 * x) * np.cos(26 * y)
        return result

    full = sheet(1.3 * radius, 1.3 * radius, rows=4, columns=4, height=heap, slot=1)
    parts.append(moved(full, (0, 0, u(0.4, 0.9) * height)))
    return thing(parts, [pick(rng, (METAL, PLASTIC, BLACK)), WHITE])


def desk_organiser(rng: np.random.Generator) -> Model:
    """Letter trays on one another or a block of drawers."""
    u = rng.uniform
    width, depth, step = u(0.24, 0.3), u(0.28, 0.35), u(0.05, 0.09)
    parts = []
    count = int(rng.integers(2, 6))
    for i in range(count):
        z = i * step
        parts += [box((width, depth, 0.004), at=(0, 0, z)), box((width, 0.004, 0.8 * step), at=(0, depth / 2, z))]
        parts += [box((0.004, depth, step), at=(side * width / 2, 0, z)) for side in (-1, 1)]
        if u() < 0.7:
            parts.append(box((0.9 * width, 0.9 * depth, u(0.005, 0.5 * step)), at=(0, u(-0.02, 0), z + 0.004), slot=1))
    return thing(parts, [pick(rng, (BLACK, METAL, WOOD, PLASTIC)), WHITE])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "laptop": ("electronics", laptop, 6),
    "closed_laptop": ("electronics", closed_laptop, 4),
    "monitor": ("screen", monitor, 6),
    "keyboard": ("electronics", keyboard, 4),
    "mouse": ("electronics", mouse, 4),
    "phone": ("electronics", phone, 4),
    "pen_cup": ("stationery", pen_cup, 5),
    "stapler": ("stationery", stapler, 5),
    "calculator": ("electronics", calculator, 4),
    "clipboard": ("stationery", clipboard, 4),
    "waste_basket": ("bin", waste_basket, 4),
    "desk_organiser": ("stationery", desk_organiser, 4),
}
