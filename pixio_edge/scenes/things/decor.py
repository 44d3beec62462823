"""What stands on shelves and sills to be looked at: vases, busts, statues, clocks, frames, lamps."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Mesh, Model, merge
from pixio_edge.scenes.shapes import ball, box, card, cylinder, displaced, extrude, lathe, leaf_cards, moved, tube
from pixio_edge.scenes.shapes.profiles import band, hollow, silhouette, spline, thing
from pixio_edge.scenes.things.stuff import (
    BLACK,
    BRASS,
    CERAMIC,
    DARK_METAL,
    GLASS,
    LEAF,
    METAL,
    PICTURE,
    PLASTER,
    PRINT,
    STEEL,
    STONE,
    TERRACOTTA,
    WHITE,
    WOOD,
    bright,
    pick,
    plain,
)


def _vase_body(rng: np.random.Generator, height: float, slot: int) -> tuple[Mesh, float]:
    """An open vase, sometimes with a painted band of a slot, and the radius of its mouth."""
    u = rng.uniform
    r = height * u(0.18, 0.4)
    mouth = r * u(0.35, 0.9)
    line = [(u(0.4, 0.8) * r, 0), (r, u(0.2, 0.6)), (u(0.3, 0.8) * mouth, u(0.72, 0.88)), (mouth, 1.0)]
    curve = np.maximum(silhouette(line, 12) * (1.0, height), (0.01, 0.0))
    parts = [lathe(hollow(curve, 0.004), sides=14)]
    if u() < 0.4:
        low = u(0.1, 0.5)
        parts.append(band(curve, low * height, (low + u(0.08, 0.4)) * height, slot=slot, sides=14))
    return merge(parts), mouth


def vase(rng: np.random.Generator) -> Model:
    """An empty vase or amphora."""
    body, _ = _vase_body(rng, rng.uniform(0.12, 0.5), 1)
    return thing([body], [pick(rng, (CERAMIC, CERAMIC, GLASS, TERRACOTTA, METAL)), pick(rng, (PRINT, CERAMIC))])


def flowers(rng: np.random.Generator) -> Model:
    """A vase of flowers or twigs."""
    u = rng.uniform
    height = u(0.12, 0.28)
    body, mouth = _vase_body(rng, height, 3)
    parts, spread = [body], u(0.25, 0.6)
    for _ in range(int(rng.integers(5, 11))):
        turn, lean, length = u(0, 6.28), spread * u(0, 1), u(0.15, 0.35)
        out = mouth * 0.5 + length * math.sin(lean)
        tip = (out * math.cos(turn), out * math.sin(turn), height + length * math.cos(lean))
        root = (0.4 * mouth * math.cos(turn), 0.4 * mouth * math.sin(turn), 0.8 * height)
        parts.append(tube([root, tip], 0.0025, sides=3, slot=1))
        size = u(0.02, 0.045)
        if u() < 0.65:
            bloom = lathe(
                [(0.004, -size), (size, 0.2 * size), (0.5 * size, 0.3 * size), (0, 0.1 * size)], sides=7, slot=2
            )
            parts.append(moved(bloom, tip, pitch=lean * math.sin(-turn), roll=lean * math.cos(turn)))
        parts.append(leaf_cards(rng.normal(np.add(root, tip) / 2, 0.03, (4, 3)), 0.06, rng, slimness=0.35, slot=1))
    return thing(parts, [pick(rng, (CERAMIC, GLASS, METAL)), LEAF, bright(rng), PRINT])


def _head(rng: np.random.Generator, s: float) -> list[Mesh]:
    """A head of height about 2.4 s on a neck from z = 0, face to -y."""
    u = rng.uniform
    z = 2.1 * s
    parts = [
        cylinder(0.45 * s, 1.4 * s, at=(0, 0.05 * s, 0), sides=8),
        ball((0.76 * s, 0.92 * s, 1.05 * s), at=(0, 0, z), detail=2),
    ]
    parts.append(ball((0.55 * s, 0.5 * s, 0.5 * s), at=(0, -0.35 * s, z - 0.55 * s)))
    parts.append(
        moved(cylinder(0.2 * s, 0.45 * s, top_radius=0.06 * s, sides=5), (0, -0.85 * s, z - 0.25 * s), pitch=0.25)
    )
    parts.append(box((0.9 * s, 0.2 * s, 0.14 * s), at=(0, -0.78 * s, z + 0.18 * s), bevel=0.05 * s))
    hair = displaced(
        ball((0.85 * s, 0.95 * s, u(0.8, 1.0) * s), at=(0, 0.18 * s, z + 0.35 * s), detail=2), rng, 0.06 * s, 0.5 * s
    )
    parts.append(hair)
    parts += [ball((0.1 * s, 0.16 * s, 0.24 * s), at=(x * s, 0.05 * s, z - 0.1 * s), detail=0) for x in (-0.8, 0.8)]
    if u() < 0.4:
        parts.append(
            displaced(
                ball((0.5 * s, 0.35 * s, 0.6 * s), at=(0, -0.5 * s, z - 0.85 * s), detail=2), rng, 0.05 * s, 0.4 * s
            )
        )
    return parts


def bust(rng: np.random.Generator) -> Model:
    """A head with shoulders on a foot."""
    u = rng.uniform
    s = u(0.05, 0.13)
    shoulders = ball((1.7 * s, 0.9 * s, 1.0 * s), at=(0, 0.1 * s, 1.3 * s), detail=2)
    shoulders.vertices[:, 2] = np.maximum(shoulders.vertices[:, 2], 0.75 * s)
    foot = lathe([(0.9 * s, 0), (0.9 * s, 0.15 * s), (0.5 * s, 0.3 * s), (0.5 * s, 0.8 * s)], sides=12, slot=1)
    head = moved(merge(_head(rng, s)), (0, 0, 1.7 * s), pitch=u(-0.1, 0.15), yaw=u(-0.4, 0.4))
    stuff = pick(rng, (PLASTER, WHITE, STONE, BRASS, TERRACOTTA, DARK_METAL))
    return thing([shoulders, head, foot], [stuff, pick(rng, (stuff, WOOD, BLACK))])


def head(rng: np.random.Generator) -> Model:
    """A mask or head alone, of a shop window or a statue."""
    s = rng.uniform(0.06, 0.11)
    return thing(_head(rng, s), [pick(rng, (PLASTER, WHITE, STONE, TERRACOTTA, BLACK))])


def figurine(rng: np.random.Generator) -> Model:
    """A standing or abstract figure on a plinth."""
    u = rng.uniform
    s = u(0.15, 0.6)
    parts = [box((0.4 * s, 0.35 * s, 0.12 * s), slot=1)]
    sway = u(-0.08, 0.08, 4) * s
    spine = spline([(0, 0, 0.12 * s), (sway[0], sway[1], 0.4 * s), (sway[2], 0, 0.7 * s), (sway[2], 0, 0.85 * s)], 9)
    girth = np.array([0.15, 0.15, 0.12, 0.12, 0.13, 0.13, 0.11, 0.05, 0.04]) * s * u(0.8, 1.2, 9)
    parts.append(displaced(tube(spine, girth, sides=9), rng, 0.015 * s, 0.15 * s))
    parts.append(ball((0.07 * s, 0.08 * s, 0.1 * s), at=(sway[2], 0, 0.93 * s)))
    for side in (-1, 1):
        hand = (side * u(0.1, 0.35) * s, u(-0.25, 0.1) * s, u(0.4, 0.95) * s)
        arm = spline([(sway[2] + side * 0.1 * s, 0, 0.72 * s), (side * 0.2 * s, -0.02 * s, 0.56 * s), hand], 5)
        parts.append(tube(arm, np.linspace(0.045, 0.025, 5) * s, sides=6))
    stuff = pick(rng, (PLASTER, STONE, BRASS, WOOD, DARK_METAL, CERAMIC))
    return thing([moved(merge(parts), yaw=u(-0.8, 0.8))], [stuff, pick(rng, (stuff, WOOD, STONE))])


def abstract_form(rng: np.random.Generator) -> Model:
    """Sculpture: a bent knot, a torus or a worn stone."""
    u = rng.uniform
    s, kind = u(0.06, 0.18), u()
    if kind < 0.35:
        body = displaced(ball((s, 0.8 * s, 1.1 * s), detail=4), rng, 0.12 * s, 1.3 * s)
    else:
        t = np.linspace(0, 2 * math.pi, 40)
        p, q = (2, 3) if kind < 0.7 else (1, int(rng.integers(1, 4)))
        r = s * (1 + 0.4 * np.cos(q * t))
        path = np.stack([r * np.cos(p * t), r * np.sin(p * t), 0.45 * s * np.sin(q * t)], 1)
        body = moved(tube(path, u(0.15, 0.28) * s, sides=8), pitch=u(0.8, 1.57))
    return thing([body], [pick(rng, (STONE, BRASS, CERAMIC, STEEL, WOOD))])


def picture_frame(rng: np.random.Generator) -> Model:
    """A framed photograph on its stand, or a small mirror."""
    u = rng.uniform
    width = u(0.1, 0.35)
    height, border = width * u(0.65, 1.5), u(0.01, 0.03)
    parts = [box((width + 2 * border, 0.012, border), at=(0, 0, z)) for z in (0, height + border)]
    parts += [box((border, 0.014, height + 2 * border), at=(side * (width + border) / 2, 0, 0)) for side in (-1, 1)]
    parts += [
        moved(card(width, height, slot=1, fit=True), (0, -0.002, border)),
        box((width, 0.004, height), at=(0, 0.003, border), slot=2),
    ]
    leaning = moved(merge(parts), pitch=-u(0.12, 0.3))
    stay = tube([(0, 0.4 * height, 0.003), (0, 0.14 * height, 0.7 * height)], 0.006, sides=4, slot=2)
    return thing([leaning, stay], [pick(rng, (WOOD, BLACK, WHITE, BRASS)), PICTURE, BLACK])


def clock(rng: np.random.Generator) -> Model:
    """An alarm clock with bells or a mantel clock."""
    u = rng.uniform
    radius = u(0.035, 0.1)
    face = [moved(cylinder(radius, 0.045, sides=18), (0, 0.02, 1.2 * radius), pitch=math.pi / 2)]
    face.append(moved(cylinder(0.88 * radius, 0.002, sides=16, slot=1), (0, -0.026, 1.2 * radius), pitch=math.pi / 2))
    for angle, long in ((u(0, 6.28), 0.7), (u(0, 6.28), 0.45)):
        end = (long * radius * math.cos(angle), -0.03, 1.2 * radius + long * radius * math.sin(angle))
        face.append(tube([(0, -0.03, 1.2 * radius), end], 0.03 * radius, sides=4, slot=2))
    if u() < 0.5:
        for side in (-1, 1):
            face.append(tube([(0, 0, radius), (side * 0.8 * radius, 0, 0)], 0.06 * radius, slot=2))
            face.append(
                ball((0.4 * radius, 0.4 * radius, 0.25 * radius), at=(side * 0.6 * radius, 0, 2.15 * radius), slot=2)
            )
    else:
        face.append(box((2.4 * radius, 0.055, 1.3 * radius), at=(0, 0.002, 0), bevel=0.01))
    return thing(face, [pick(rng, (WOOD, bright(rng), BRASS, BLACK)), WHITE, pick(rng, (BLACK, BRASS))])


def lattice(rng: np.random.Generator) -> Model:
    """A screen of crossed bars that lets one see through."""
    u = rng.uniform
    width, height, n = u(0.2, 0.5), u(0.2, 0.55), int(rng.integers(3, 7))
    thick, slant = u(0.006, 0.014), u() < 0.5
    parts = [box((width, 0.02, 2 * thick), at=(0, 0, z)) for z in (0, height - 2 * thick)]
    parts += [box((2 * thick, 0.02, height), at=(side * (width / 2 - thick), 0, 0)) for side in (-1, 1)]
    for i in range(1, 2 * n if slant else n):
        t = i / (2 * n if slant else n)
        if slant:
            for flip in (-1, 1):
                a = (min(1.0, 2 * t), max(0.0, 2 * t - 1))
                b = (max(0.0, 2 * t - 1), min(1.0, 2 * t))
                ends = [(flip * (p[0] - 0.5) * width, 0.004 * flip, p[1] * height) for p in (a, b)]
                parts.append(tube(ends, thick / 2, sides=4))
        else:
            parts.append(box((thick, 0.012, height), at=((t - 0.5) * width, 0, 0)))
            parts.append(box((width, 0.012, thick), at=(0, 0, t * height)))
    parts += [box((0.03, 0.14, 0.02), at=(side * 0.4 * width, 0, 0)) for side in (-1, 1)]
    return thing(parts, [pick(rng, (WOOD, METAL, BLACK, WHITE))])


def globe(rng: np.random.Generator) -> Model:
    """A globe in its arm."""
    radius = rng.uniform(0.08, 0.16)
    t = np.linspace(-1.9, 1.2, 10)
    arm = np.stack([1.1 * radius * np.cos(t), np.zeros(10), 1.1 * radius * np.sin(t) + 1.35 * radius], 1)
    parts = [ball((radius,) * 3, at=(0, 0, 1.35 * radius), detail=3), tube(arm, 0.05 * radius, slot=1)]
    parts.append(
        lathe([(0.6 * radius, 0), (0.55 * radius, 0.08 * radius), (0.08 * radius, 0.25 * radius)], sides=14, slot=1)
    )
    return thing(parts, [plain((0.4, 0.55, 0.68), rng), pick(rng, (BRASS, BLACK, WOOD))])


def arch_bridge(rng: np.random.Generator) -> Model:
    """Bookends, an arch or steps: plain solid forms."""
    u = rng.uniform
    s, depth = u(0.06, 0.2), u(0.05, 0.15)
    if u() < 0.5:
        turn = np.linspace(0, math.pi, 9)
        outer = np.stack([s * np.cos(turn), 1.2 * s * np.sin(turn)], 1)
        outline = np.concatenate([outer, 0.6 * outer[::-1]])
    else:
        n = int(rng.integers(2, 5))
        steps = [(x, z) for i in range(n) for x, z in ((i / n, 1 - i / n), ((i + 1) / n, 1 - i / n))]
        outline = np.asarray([(0, 0), *steps, (1, 0)]) * s
    return thing([extrude(outline, depth, axis="y")], [pick(rng, (STONE, WOOD, WHITE, BRASS, bright(rng)))])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "vase": ("decor", vase, 8),
    "flowers": ("decor", flowers, 6),
    "bust": ("decor", bust, 4),
    "head": ("decor", head, 3),
    "figurine": ("decor", figurine, 6),
    "abstract_form": ("decor", abstract_form, 6),
    "picture_frame": ("decor", picture_frame, 5),
    "clock": ("decor", clock, 5),
    "lattice": ("decor", lattice, 5),
    "globe": ("decor", globe, 2),
    "arch": ("decor", arch_bridge, 3),
}
