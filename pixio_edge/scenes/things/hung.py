"""What hangs on walls and before windows, and lies on floors."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Look, Model
from pixio_edge.scenes.shapes import cylinder, lathe, tube
from pixio_edge.scenes.shapes.carpentry import Parts, cushion, folds, grid
from pixio_edge.scenes.things.seats import BLACK, FABRIC, METAL, PLASTIC, WOOD

WHITE = Look("paint", gloss=(0.0, 0.3), tint=(0.93, 0.93, 0.91))
PAINT = Look("paint", gloss=(0.0, 0.3))
PICTURE = Look("picture", fit=True)
SCREEN = Look("screen", fit=True)


def curtain(rng: np.random.Generator) -> Model:
    """One or two curtains on a rod."""
    u = rng.uniform
    parts, wide, high = Parts(), u(1.0, 2.6), u(1.5, 2.4)
    rod = np.array([[-wide / 2 - 0.1, 0, high], [wide / 2 + 0.1, 0, high]])
    parts.add(tube(rod, 0.014, sides=6, slot=1))
    for side in (-1, 1) if u() < 0.8 else (-1,):
        part = wide * u(0.14, 0.45)
        cloth = folds(rng, part, high - 0.02, depth=u(0.05, 0.12), columns=round(20 + 30 * part))
        cloth.vertices[:, 0] += side * (wide - part) / 2
        parts.add(cloth)
    return parts.model([FABRIC, METAL if u() < 0.6 else WOOD])


def blind(rng: np.random.Generator) -> Model:
    """Venetian blind, lowered in part."""
    u = rng.uniform
    parts, wide, high, tilt = Parts(), u(0.8, 2.0), u(0.5, 1.5), u(-1.2, 1.2)
    parts.box((wide, 0.05, 0.05), (0, 0, high))
    for z in np.arange(0.03, high, 0.045):
        parts.box((wide, 0.04, 0.003), (0, 0, float(z)), 0, lean=tilt)
    return parts.model([WHITE if u() < 0.6 else PLASTIC])


def rug(rng: np.random.Generator) -> Model:
    """Carpet, square or round, with waves of a few millimetres."""
    u = rng.uniform
    parts, wide, deep = Parts(), u(0.6, 2.8), u(0.5, 2.0)
    if u() < 0.2:
        parts.add(cylinder(wide * 0.4, 0.012, sides=24, slot=1))
    else:
        parts.box((wide, deep, 0.01), (0, 0, 0), 0, fit=True)
        parts.box((wide + 0.06, deep - 0.06, 0.006), (0, 0, 0), 1)
    return parts.model([Look("fabric", fit=True), FABRIC])


def board(rng: np.random.Generator) -> Model:
    """Whiteboard or notice board with notes."""
    u = rng.uniform
    parts, wide, high = Parts(), u(0.6, 2.4), u(0.5, 1.25)
    parts.box((wide, 0.02, high), (0, 0, 0), 1)
    for side in (-1, 1):
        parts.box((0.03, 0.03, high), (side * wide / 2, 0, 0))
    for z in (0.0, high - 0.03):
        parts.box((wide, 0.03, 0.03), (0, 0, z))
    for _ in range(int(rng.integers(0, 14))):
        size = (u(0.08, 0.3), 0.004, u(0.08, 0.32))
        at = (u(-0.42, 0.42) * wide, -0.012 - u(0.0, 0.004), u(0.05, 0.95) * (high - size[2]))
        parts.box(size, at, 2 if u() < 0.7 else 3, fit=True, roll=u(-0.1, 0.1))
    if u() < 0.5:
        parts.box((wide * 0.8, 0.07, 0.02), (0, -0.04, 0.0))
    pale = Look("paint", gloss=(0.2, 0.6), tint=(0.93, 0.94, 0.94))
    return parts.model(
        [METAL if u() < 0.6 else WOOD, pale if u() < 0.6 else Look("cardboard"), PICTURE, Look("paper", fit=True)]
    )


def framed_picture(rng: np.random.Generator) -> Model:
    """Picture in a frame, or a poster, for a wall."""
    u = rng.uniform
    parts, wide, high = Parts(), u(0.2, 1.1), u(0.2, 0.9)
    parts.box((wide, 0.015, high), (0, 0, 0), 1, fit=True)
    if u() < 0.75:
        bar = u(0.012, 0.06)
        for side in (-1, 1):
            parts.box((bar, 0.035, high), (side * wide / 2, 0, 0))
        for z in (0.0, high - bar):
            parts.box((wide, 0.035, bar), (0, 0, z))
    return parts.model([WOOD if u() < 0.6 else METAL, PICTURE])


def television(rng: np.random.Generator) -> Model:
    """Flat screen, for a wall or with a foot."""
    u = rng.uniform
    wide = u(0.6, 1.5)
    high, parts = wide * 0.57, Parts()
    foot = u(0.04, 0.1)
    parts.box((wide, 0.04, high), (0, 0, foot))
    parts.box((wide - 0.03, 0.006, high - 0.03), (0, -0.022, foot + 0.015), 1, fit=True)
    for x in (-0.3, 0.3):
        parts.box((0.04, 0.22, 0.012), (x * wide, 0, 0))
        parts.box((0.04, 0.03, foot), (x * wide, 0, 0))
    return parts.model([BLACK, SCREEN])


def coat_rack(rng: np.random.Generator) -> Model:
    """Coats and bags on hooks, for a wall."""
    u = rng.uniform
    parts, count = Parts(), int(rng.integers(2, 6))
    high = u(0.8, 1.1)
    parts.box((count * 0.22, 0.025, 0.1), (0, 0, high))
    for i in range(count):
        x = (i - (count - 1) / 2) * 0.22
        parts.box((0.02, 0.07, 0.02), (x, -0.04, high + 0.03), 1)
        if u() < 0.85:
            drop = u(0.4, 0.98) * high
            size = (u(0.2, 0.34), u(0.1, 0.2), drop)
            parts.add(cushion(size, (x, -0.11, high + 0.02 - drop), 2 + i % 3, round_flat=0.5, round_side=0.8))
    return parts.model([WOOD, METAL, FABRIC, FABRIC, FABRIC])


def partition(rng: np.random.Generator) -> Model:
    """Office partition or folding screen."""
    u = rng.uniform
    parts, wide, high, count = Parts(), u(0.5, 0.9), u(1.2, 1.9), int(rng.integers(2, 4))
    x = y = 0.0
    turn = u(0.0, 0.6)
    for i in range(count):
        angle = turn if i % 2 else -turn
        dx, dy = wide * math.cos(angle), wide * math.sin(angle)
        parts.box((wide, 0.03, high), (x + dx / 2, y + dy / 2, 0.03), 0, yaw=angle)
        parts.box((0.03, 0.045, high + 0.03), (x, y, 0), 1)
        x, y = x + dx, y + dy
    parts.box((0.03, 0.045, high + 0.03), (x, y, 0), 1)
    return parts.model([FABRIC if u() < 0.6 else WOOD, METAL])


def clothes_heap(rng: np.random.Generator) -> Model:
    """Cloth thrown down: a crumpled heap."""
    u = rng.uniform
    n, wide = 12, u(0.25, 0.7)
    t = np.linspace(-1, 1, n)
    x, y = np.meshgrid(t, t)
    bumps = sum(u(0.1, 0.4) * np.sin(u(-6, 6) * x + u(-6, 6) * y + u(0, 6)) for _ in range(6))
    edge = np.clip(1.15 - np.maximum(np.abs(x), np.abs(y)) ** 2, 0.0, 1.0)
    z = wide * 0.22 * edge * (0.9 + np.asarray(bumps) * 0.6)
    wave = 0.1 * np.sin(3 * y + u(0, 6))
    points = np.stack(
        [wide * 0.5 * (x + wave), wide * u(0.35, 0.5) * (y + 0.1 * np.sin(3 * x)), np.maximum(z, 0.004)], axis=-1
    )
    parts = Parts()
    parts.add(grid(points, 0, uv_m=(wide * 1.3, wide * 1.3)))
    return parts.model([FABRIC])


def wall_detail(rng: np.random.Generator) -> Model:
    """Switch, sockets, vent, thermostat, alarm, small cabinet."""
    u = rng.uniform
    parts, kind = Parts(), rng.integers(0, 4)
    if kind == 0:
        for i in range(int(rng.integers(1, 4))):
            parts.box((0.08, 0.012, 0.08), (i * 0.082, 0, 0))
            parts.box((0.05, 0.006, 0.05), (i * 0.082, -0.008, 0.015), 1 if u() < 0.3 else 0)
    elif kind == 1:
        wide, high = u(0.15, 0.5), u(0.1, 0.35)
        parts.box((wide, 0.02, high), (0, 0, 0))
        for z in np.arange(0.02, high - 0.02, 0.025):
            parts.box((wide * 0.88, 0.01, 0.01), (0, -0.012, float(z)), 1)
    elif kind == 2:
        parts.box((u(0.1, 0.2), 0.05, u(0.1, 0.2)), (0, 0, 0))
        parts.box((0.06, 0.01, 0.03), (0, -0.028, 0.06), 1)
    else:
        wide, high = u(0.25, 0.6), u(0.3, 0.7)
        parts.box((wide, u(0.08, 0.18), high), (0, 0, 0), 2)
    return parts.model([WHITE, BLACK, METAL])


def mirror(rng: np.random.Generator) -> Model:
    """Mirror: a bright plane with a frame."""
    u = rng.uniform
    parts, wide, high = Parts(), u(0.35, 1.1), u(0.5, 1.4)
    parts.box((wide, 0.02, high), (0, 0, 0))
    parts.box((wide - 0.05, 0.006, high - 0.05), (0, -0.012, 0.025), 1, fit=True)
    return parts.model([WOOD if u() < 0.6 else METAL, Look("picture", fit=True, gloss=(0.5, 1.0))])


def posters(rng: np.random.Generator) -> Model:
    """Several posters, notes or photographs side by side."""
    u = rng.uniform
    parts, x = Parts(), 0.0
    for _ in range(int(rng.integers(2, 7))):
        wide, high = u(0.12, 0.5), u(0.15, 0.65)
        parts.box(
            (wide, 0.006, high), (x + wide / 2, 0, u(0.0, 0.25)), int(rng.integers(0, 3)), fit=True, roll=u(-0.04, 0.04)
        )
        x += wide + u(0.01, 0.15)
    return parts.model([PICTURE, PICTURE, Look("print", fit=True)])


def towel(rng: np.random.Generator) -> Model:
    """Towels, cloths or aprons on a rail."""
    u = rng.uniform
    parts, wide, high = Parts(), u(0.3, 0.9), u(0.4, 1.0)
    parts.add(tube(np.array([[-wide / 2, -0.06, high], [wide / 2, -0.06, high]]), 0.008, sides=6))
    for side in (-1, 1):
        parts.box((0.02, 0.07, 0.02), (side * wide / 2, -0.03, high - 0.01))
    for i in range(int(rng.integers(1, 3))):
        part, drop = wide * u(0.3, 0.48), u(0.5, 0.95) * high
        cloth = folds(rng, part, drop, depth=0.03, columns=14, slot=1 + i)
        cloth.vertices[:] += np.array([(i - 0.5) * wide * 0.45, -0.075, high - drop], dtype=np.float32)
        parts.add(cloth)
    return parts.model([METAL, FABRIC, FABRIC])


def air_conditioner(rng: np.random.Generator) -> Model:
    """Air conditioner, boiler or cable box on a wall."""
    u = rng.uniform
    parts = Parts()
    if u() < 0.6:
        wide, high = u(0.7, 1.0), u(0.25, 0.32)
        parts.add(cushion((wide, 0.22, high), (0, 0, 0), 0, round_flat=0.3, round_side=0.15))
        parts.box((wide * 0.9, 0.03, 0.05), (0, -0.1, 0.02), 1)
    else:
        parts.box((u(0.4, 0.5), 0.32, u(0.6, 0.8)), (0, 0, 0.2))
        for x in (-0.1, 0.0, 0.1):
            parts.box((0.02, 0.02, 0.25), (x, 0.1, 0), 2)
        parts.box((0.3, 0.02, 0.08), (0, -0.165, 0.3), 1)
    return parts.model([WHITE, BLACK, METAL])


def wall_lamp(rng: np.random.Generator) -> Model:
    """Lamp on a wall with a half shade."""
    u = rng.uniform
    parts, wide = Parts(), u(0.06, 0.14)
    parts.box((0.08, 0.02, 0.12), (0, 0.1, 0.05), 1)
    parts.box((0.02, 0.1, 0.02), (0, 0.05, 0.09), 1)
    parts.add(lathe(np.array([[wide, 0.0], [wide * u(0.4, 1.2), u(0.12, 0.25)]]), sides=12))
    return parts.model([Look("light"), METAL])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "curtain": ("curtain", curtain, 8),
    "blind": ("blind", blind, 4),
    "rug": ("rug", rug, 8),
    "board": ("board", board, 8),
    "framed_picture": ("wall_picture", framed_picture, 10),
    "television": ("television", television, 5),
    "coat_rack": ("coat_rack", coat_rack, 5),
    "partition": ("partition", partition, 4),
    "clothes_heap": ("cloth_heap", clothes_heap, 6),
    "wall_detail": ("wall_detail", wall_detail, 10),
    "mirror": ("mirror", mirror, 4),
    "posters": ("posters", posters, 8),
    "towel": ("towel", towel, 5),
    "air_conditioner": ("air_conditioner", air_conditioner, 4),
    "wall_lamp": ("wall_lamp", wall_lamp, 4),
}
