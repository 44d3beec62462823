"""Plants in pots."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.mesh import Look, Mesh, Model, merge
from pixio_edge.scenes.shapes import ball, box, build, cylinder, displaced, lathe, leaf_cards, moved, tube
from pixio_edge.scenes.shapes.profiles import hollow, silhouette, spline, thing
from pixio_edge.scenes.things.stuff import CERAMIC, LEAF, METAL, PLASTIC, SOIL, TERRACOTTA, WICKER, WOOD, bright, pick

# Slots of every plant.
POT, EARTH, GREEN, STEM = 0, 1, 2, 3


def _pot(rng: np.random.Generator, radius: float) -> tuple[list[Mesh], float]:
    """A pot with earth in it, and the height of the earth."""
    u = rng.uniform
    height = radius * u(1.2, 2.1)
    kind = u()
    if kind < 0.55:
        line = [
            (u(0.6, 0.9) * radius, 0),
            (radius, 0.8 * height),
            (1.05 * radius, 0.82 * height),
            (1.05 * radius, height),
        ]
        shell = lathe(hollow(line, 0.06 * radius), sides=16)
    elif kind < 0.8:
        curve = silhouette([(0.6 * radius, 0), (1.15 * radius, 0.5 * height), (0.9 * radius, height)], 7)
        shell = lathe(hollow(curve, 0.06 * radius), sides=16)
    else:
        shell = box((1.7 * radius, 1.7 * radius, 0.92 * height), bevel=0.05 * radius)
    parts = [shell, cylinder(0.92 * radius, 0.02 * radius, at=(0, 0, 0.9 * height), sides=12, slot=EARTH)]
    return parts, 0.92 * height


def _blade(path: NDArray[np.float64], widths: NDArray[np.float64], across: NDArray[np.float64], slot: int) -> Mesh:
    """A leaf as a strip along a path, (n, 3), of given full widths, folded a little along its middle."""
    n = len(path)
    half = widths[:, None] / 2 * across
    along = np.gradient(path, axis=0)
    up = np.cross(along, half + 1e-6 * across)
    up /= np.maximum(np.linalg.norm(up, axis=1, keepdims=True), 1e-9)
    fold = up * widths[:, None] * 0.12
    points = np.concatenate([path - half + fold, path, path + half + fold])
    normals = np.concatenate([up + 0.35 * across, up, up - 0.35 * across])
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))]
    uv = np.stack([np.concatenate([-widths / 2, 0 * widths, widths / 2]), np.tile(length, 3)], 1)
    k = np.arange(n - 1)
    quads = [(a * n + k, b * n + k, b * n + k + 1, a * n + k + 1) for a, b in ((0, 1), (1, 2))]
    faces = np.concatenate([np.stack(f, 1) for q in quads for f in ((q[0], q[1], q[2]), (q[0], q[2], q[3]))])
    return build(points, normals, uv, faces, slot)


def _arched_leaf(
    root: tuple[float, float, float],
    turn: float,
    length: float,
    rise: float,
    *,
    droop: float,
    width: float,
    count: int = 6,
) -> Mesh:
    """A leaf that rises from `root`, bends outwards and hangs: `rise` and `droop` in parts of its length."""
    t = np.linspace(0, 1, count)
    out, up = length * t * (1 - 0.25 * rise * t), length * (rise * t - droop * t**2)
    c, s = math.cos(turn), math.sin(turn)
    path = np.stack([out * c, out * s, up], 1) + root
    shape = width * np.sin(np.pi * np.clip(0.08 + 0.9 * t, 0, 1)) ** 0.8
    return _blade(path, shape, np.array([-s, c, 0.0]), GREEN)


def _looks(rng: np.random.Generator) -> list[Look]:
    return [pick(rng, (TERRACOTTA, CERAMIC, CERAMIC, PLASTIC, WICKER, METAL, bright(rng))), SOIL, LEAF, WOOD]


def broad_plant(rng: np.random.Generator) -> Model:
    """Large leaves on stalks: rubber plant, monstera, peace lily."""
    u = rng.uniform
    parts, level = _pot(rng, u(0.06, 0.17))
    reach = u(0.2, 0.6)
    for i in range(int(rng.integers(7, 16))):
        turn, high = i * 2.4 + u(-0.4, 0.4), reach * u(0.4, 1.3)
        foot, out = (0.02 * math.cos(turn), 0.02 * math.sin(turn), level), reach * u(0.1, 0.35)
        tip = (out * math.cos(turn), out * math.sin(turn), level + high)
        parts.append(tube([foot, tip], 0.004 + 0.006 * reach, sides=4, slot=GREEN))
        size = reach * u(0.35, 0.6)
        parts.append(_arched_leaf(tip, turn, size, u(0, 0.6), droop=u(0.3, 0.9), width=size * u(0.45, 0.8)))
    return thing(parts, _looks(rng))


def spiky_plant(rng: np.random.Generator) -> Model:
    """Stiff upright blades: snake plant, aloe, yucca."""
    u = rng.uniform
    radius = u(0.04, 0.14)
    parts, level = _pot(rng, radius)
    length, spread = radius * u(2.5, 5.5), u(0.15, 1.0)
    for i in range(int(rng.integers(8, 22))):
        turn, lean = i * 2.4, spread * u(0.2, 1.0)
        root = (0.4 * radius * math.cos(turn), 0.4 * radius * math.sin(turn), level)
        size = length * u(0.6, 1.0)
        t = np.linspace(0, 1, 4)
        c, s = math.cos(turn), math.sin(turn)
        out = size * math.sin(lean) * t**1.3
        path = np.stack([out * c, out * s, size * math.cos(lean) * t], 1) + root
        widths = radius * u(0.25, 0.5) * np.array([0.8, 1.0, 0.75, 0.04])
        parts.append(_blade(path, widths, np.array([-s, c, 0.0]), GREEN))
    return thing(parts, _looks(rng))


def fern(rng: np.random.Generator) -> Model:
    """Many long drooping leaves: fern, spider plant, grass."""
    u = rng.uniform
    radius = u(0.06, 0.13)
    parts, level = _pot(rng, radius)
    length, width, droop = radius * u(2.2, 4.5), u(0.012, 0.05), u(0.7, 1.7)
    for i in range(int(rng.integers(18, 36))):
        leaf = _arched_leaf(
            (0, 0, level), i * 2.4, length * u(0.6, 1.0), u(0.5, 1.6), droop=droop * u(0.6, 1.2), width=width
        )
        parts.append(leaf)
    return thing(parts, _looks(rng))


def cactus(rng: np.random.Generator) -> Model:
    """A column with arms, a ball, or flat ears."""
    u = rng.uniform
    radius = u(0.035, 0.1)
    parts, level = _pot(rng, radius)
    kind, thick = u(), radius * u(0.35, 0.6)
    if kind < 0.45:
        height = radius * u(2.5, 6)
        line = silhouette([(0.9 * thick, 0), (thick, 0.4 * height), (0.8 * thick, 0.9 * height), (0, height)], 8)
        parts.append(lathe(line, sides=9, smooth=False, at=(0, 0, level), slot=GREEN))
        for side in range(int(rng.integers(0, 4))):
            base = level + height * u(0.25, 0.6)
            arm = spline(
                [(0, 0, base), (1.8 * thick, 0, base + 0.1 * height), (2 * thick, 0, base + u(0.25, 0.45) * height)], 6
            )
            parts.append(moved(tube(arm, 0.5 * thick, sides=7, slot=GREEN), yaw=side * 2.1))
    elif kind < 0.7:
        parts.append(
            displaced(
                ball((0.85 * radius,) * 3, at=(0, 0, level + 0.5 * radius), detail=3, slot=GREEN),
                rng,
                0.05 * radius,
                0.3 * radius,
            )
        )
    else:
        for i in range(int(rng.integers(3, 8))):
            size, turn = radius * u(0.6, 1.0), u(0, 6.28)
            ear = moved(ball((0.6 * size, 0.2 * size, size), slot=GREEN, detail=1), (0, 0, size), roll=u(-0.6, 0.6))
            out = 0.45 * radius * min(i, 1)
            parts.append(
                moved(ear, (out * math.cos(turn), out * math.sin(turn), level + (i // 3) * 1.2 * radius), yaw=turn)
            )
    return thing(parts, _looks(rng))


def bushy_plant(rng: np.random.Generator) -> Model:
    """A round head of small leaves: basil, begonia, ivy."""
    u = rng.uniform
    radius = u(0.04, 0.14)
    parts, level = _pot(rng, radius)
    crown, count = radius * np.array([u(1.0, 2.0), u(1.0, 2.0), u(0.8, 1.8)]), int(rng.integers(90, 200))
    where = rng.normal(size=(count, 3))
    where /= np.linalg.norm(where, axis=1, keepdims=True)
    where *= rng.uniform(0.4, 1.0, (count, 1)) * crown
    middle = (0.0, 0.0, level + 0.8 * crown[2])
    size = radius * u(0.35, 0.7)
    parts.append(
        leaf_cards(
            where + middle, rng.uniform(0.7, 1.2, count) * size, rng, slimness=u(0.4, 0.9), centre=middle, slot=GREEN
        )
    )
    parts.append(tube([(0, 0, level), middle], 0.06 * radius, sides=4, slot=STEM))
    return thing(parts, _looks(rng))


def hanging_plant(rng: np.random.Generator) -> Model:
    """Shoots that fall over the rim of the pot, for shelves; it rests on its pot's base."""
    u = rng.uniform
    radius = u(0.05, 0.1)
    parts, level = _pot(rng, radius)
    leaves = []
    for i in range(int(rng.integers(6, 12))):
        turn, fall = i * 2.4 + u(-0.5, 0.5), min(u(0.5, 1.0) * level, level)
        c, s = math.cos(turn), math.sin(turn)
        stops = [
            (0.3 * radius, level),
            (1.1 * radius, level + 0.35 * radius),
            (1.35 * radius, level - 0.4 * fall),
            (1.3 * radius, level - 0.9 * fall),
        ]
        shoot = spline([(r * c, r * s, z) for r, z in stops], 8)
        parts.append(tube(shoot, 0.0025, sides=3, slot=STEM))
        leaves.append(spline(shoot, 14) + rng.normal(0, 0.012, (14, 3)))
    where = np.concatenate(leaves)
    where[:, 2] = np.maximum(where[:, 2], 0.03)
    parts.append(leaf_cards(where, u(0.03, 0.055), rng, slimness=0.7, slot=GREEN))
    return thing(parts, _looks(rng))


def palm(rng: np.random.Generator) -> Model:
    """A tall plant for the floor: a trunk or canes with long leaves."""
    u = rng.uniform
    radius = u(0.1, 0.18)
    parts, level = _pot(rng, radius)
    for _ in range(int(rng.integers(1, 4))):
        foot = (u(-0.4, 0.4) * radius, u(-0.4, 0.4) * radius, level)
        top = (foot[0] * 2.5, foot[1] * 2.5, level + u(0.1, 0.8))
        parts.append(
            tube(spline([foot, (foot[0], foot[1], (level + top[2]) / 2), top], 5), u(0.01, 0.025), sides=6, slot=STEM)
        )
        length, width = u(0.35, 0.7), u(0.04, 0.1)
        for i in range(int(rng.integers(9, 16))):
            parts.append(
                _arched_leaf(top, i * 2.4, length * u(0.7, 1), u(0.3, 1.4), droop=u(0.5, 1.4), width=width, count=5)
            )
    return thing(parts, _looks(rng))


def bonsai(rng: np.random.Generator) -> Model:
    """A small tree with pads of leaves."""
    u = rng.uniform
    s = u(0.1, 0.35)
    parts = [
        box((s, 0.6 * s, 0.2 * s), bevel=0.03 * s),
        box((0.9 * s, 0.5 * s, 0.01), at=(0, 0, 0.195 * s), slot=EARTH),
    ]
    trunk = spline(
        [
            (0, 0, 0.2 * s),
            (u(-0.2, 0.2) * s, 0, 0.5 * s),
            (u(-0.2, 0.2) * s, 0, 0.8 * s),
            (u(-0.3, 0.3) * s, 0, 1.1 * s),
        ],
        7,
    )
    parts.append(tube(trunk, np.linspace(0.09, 0.03, 7) * s, sides=7, slot=STEM))
    pads = [
        trunk[-1],
        *(trunk[int(rng.integers(3, 6))] + (u(-0.5, 0.5) * s, u(-0.3, 0.3) * s, 0.1 * s) for _ in range(3)),
    ]
    for pad in pads:
        parts.append(tube([trunk[3], pad], 0.02 * s, sides=4, slot=STEM))
        where = rng.normal(0, 1, (40, 3)) * np.array([0.2, 0.18, 0.07]) * s + pad
        parts.append(leaf_cards(where, 0.12 * s, rng, slimness=0.7, slot=GREEN))
    return thing([merge(parts)], _looks(rng))


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "broad_plant": ("plant", broad_plant, 6),
    "spiky_plant": ("plant", spiky_plant, 5),
    "fern": ("plant", fern, 4),
    "cactus": ("plant", cactus, 6),
    "bushy_plant": ("plant", bushy_plant, 6),
    "hanging_plant": ("plant", hanging_plant, 4),
    "palm": ("floor_plant", palm, 5),
    "bonsai": ("plant", bonsai, 3),
}
