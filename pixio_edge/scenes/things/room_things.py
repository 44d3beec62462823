"""Larger things that stand about in rooms."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Look, Model
from pixio_edge.scenes.shapes import cylinder, lathe, tube
from pixio_edge.scenes.shapes.carpentry import Parts, cushion, folds
from pixio_edge.scenes.things.seats import BLACK, FABRIC, METAL, PLASTIC, WOOD

FRONT = Look("furniture", gloss=(0.0, 0.5))


def ladder(rng: np.random.Generator) -> Model:
    """Step ladder, unfolded."""
    u = rng.uniform
    parts, high, wide, lean = Parts(), u(1.0, 2.0), u(0.38, 0.5), u(0.2, 0.35)
    for side in (-1, 1):
        parts.box((0.03, 0.06, high), (side * wide / 2, -high * math.sin(lean) / 2, 0), lean=lean)
        parts.box((0.025, 0.03, high), (side * wide / 2, high * math.sin(lean) * 0.9, 0), lean=-lean * 0.7)
    for i in range(1, int(high / 0.25)):
        z = i * 0.25
        parts.box((wide, 0.09, 0.02), (0, (z / math.cos(lean) - high / 2) * math.sin(lean), z))
    return parts.model([METAL if u() < 0.6 else WOOD])


def suitcase(rng: np.random.Generator) -> Model:
    """Suitcase or trolley case with a handle."""
    u = rng.uniform
    parts, wide, deep, high = Parts(), u(0.36, 0.52), u(0.2, 0.3), u(0.5, 0.78)
    parts.add(cushion((wide, deep, high), (0, 0, 0.04), 0, round_flat=0.25, round_side=0.25))
    for x in (-0.4, 0.4):
        parts.box((0.05, deep * 0.9, 0.05), (x * wide, 0, 0), 1)
    lift = u(0.02, 0.4)
    for x in (-0.08, 0.08):
        parts.box((0.015, 0.015, lift), (x, deep * 0.3, high + 0.02), 2)
    parts.box((0.18, 0.025, 0.03), (0, deep * 0.3, high + 0.02 + lift), 1)
    parts.box((wide * 0.7, 0.02, high * 0.35), (0, -deep / 2, 0.1), 0)
    return parts.model([PLASTIC if u() < 0.5 else FABRIC, BLACK, METAL])


def vacuum_cleaner(rng: np.random.Generator) -> Model:
    """Vacuum cleaner with hose and pipe."""
    u = rng.uniform
    parts = Parts()
    parts.add(cushion((0.27, 0.42, 0.24), (0, 0.1, 0.02), 0, round_flat=0.6, round_side=0.6))
    for side in (-1, 1):
        parts.add(tube(np.array([[side * 0.12, 0.22, 0.1], [side * 0.15, 0.22, 0.1]]), 0.1, sides=12, slot=1))
    t = np.linspace(0, 1, 9)
    reach = u(0.3, 0.7)
    path = np.stack([reach * np.sin(t * 2.2), -0.15 - 0.5 * t, 0.2 + 0.55 * np.sin(t * 2.6)], axis=1)
    parts.add(tube(path, 0.022, sides=6, slot=1))
    end = path[-1]
    foot = np.array([end[0] + 0.1, end[1] - 0.35, 0.04])
    parts.add(tube(np.stack([end, foot]), 0.017, sides=6, slot=2))
    parts.box((0.28, 0.1, 0.06), (float(foot[0]), float(foot[1]), 0), 1)
    return parts.model([PLASTIC, BLACK, METAL])


def drying_rack(rng: np.random.Generator) -> Model:
    """Clothes horse with some washing."""
    u = rng.uniform
    parts, wide, deep, high = Parts(), u(0.8, 1.4), u(0.4, 0.6), u(0.8, 1.05)
    for end in (-1, 1):
        x = end * wide / 2
        parts.box((0.02, 0.02, high * 1.12), (x, -deep / 2, 0), lean=0.45)
        parts.box((0.02, 0.02, high * 1.12), (x, deep / 2, 0), lean=-0.45)
    for i in range(7):
        y = (i / 6 - 0.5) * deep
        parts.box((wide, 0.008, 0.008), (0, y, high))
        if u() < 0.55:
            cloth = folds(rng, u(0.2, 0.5), u(0.25, 0.7), depth=0.03, columns=10, slot=1 + i % 3)
            cloth.vertices[:] += np.array(
                [u(-0.3, 0.3) * wide, y, high - np.ptp(cloth.vertices[:, 2])], dtype=np.float32
            )
            parts.add(cloth)
    return parts.model([METAL, FABRIC, FABRIC, FABRIC])


def ironing_board(rng: np.random.Generator) -> Model:
    """Ironing board on crossed legs."""
    u = rng.uniform
    parts, long, high = Parts(), u(1.1, 1.3), u(0.8, 0.95)
    parts.add(cushion((long, 0.36, 0.05), (0, 0, high), 0, round_flat=0.4, round_side=0.5))
    for lean in (-0.75, 0.75):
        for y in (-0.13, 0.13):
            parts.box((0.022, 0.022, high / math.cos(0.75)), (-math.tan(lean) * high / 2, y, 0), 1, roll=lean)
    parts.top(long * 0.7, 0.26, (0, 0, high + 0.05), 0.5)
    return parts.model([FABRIC, METAL])


def piano(rng: np.random.Generator) -> Model:
    """Upright piano."""
    u = rng.uniform
    parts, wide, high = Parts(), u(1.4, 1.5), u(1.0, 1.25)
    parts.box((wide, 0.3, high), (0, 0.13, 0))
    parts.box((wide, 0.32, 0.1), (0, -0.14, 0.6))
    parts.box((wide * 0.92, 0.16, 0.015), (0, -0.21, 0.7), 1)
    for x in np.linspace(-0.45, 0.45, 24):
        parts.box((0.012, 0.09, 0.012), (float(x) * wide * 0.92, -0.17, 0.715), 2)
    for side in (-1, 1):
        parts.box((0.05, 0.3, 0.78), (side * wide * 0.48, -0.14, 0))
    parts.box((0.5, 0.03, 0.25), (0, -0.06, 0.85), 3, lean=0.2, fit=True)
    parts.top(wide * 0.9, 0.25, (0, 0.13, high), 0.5)
    return parts.model([WOOD, Look("paint", tint=(0.93, 0.92, 0.88)), BLACK, Look("print", fit=True)])


def fan(rng: np.random.Generator) -> Model:
    """Standing fan with a wire cage."""
    u = rng.uniform
    parts, high, wide = Parts(), u(0.8, 1.3), u(0.17, 0.23)
    parts.add(lathe(np.array([[0.2, 0.0], [0.19, 0.02], [0.03, 0.05], [0.015, high]]), sides=14))
    for y in (-0.06, 0.06):
        for radius in (wide, wide * 0.6):
            ring = [
                [radius * math.cos(t), y * (1.6 - radius / wide * 0.6), high + radius * math.sin(t)]
                for t in np.linspace(0, 2 * math.pi, 17)
            ]
            parts.add(tube(np.array(ring), 0.004, sides=4, slot=1))
    for i in range(4):
        turn = i * math.pi / 2 + 0.4
        parts.box((0.1, 0.02, wide * 0.85), (0, 0, high), 2, roll=turn)
    parts.add(cushion((0.1, 0.2, 0.1), (0, 0.05, high - 0.05), 0, round_flat=0.8, round_side=0.8))
    return parts.model([PLASTIC, METAL, PLASTIC])


def tripod(rng: np.random.Generator) -> Model:
    """Tripod with a camera or a lamp."""
    u = rng.uniform
    parts, high, wide = Parts(), u(0.9, 1.6), u(0.25, 0.45)
    for i in range(3):
        turn = i * 2 * math.pi / 3 + 0.5
        foot = np.array([wide * math.cos(turn), wide * math.sin(turn), 0.01])
        parts.add(tube(np.stack([foot, np.array([0, 0, high * 0.75])]), np.array([0.01, 0.016]), sides=5))
    parts.add(cylinder(0.014, high * 0.35, sides=6, at=(0, 0, high * 0.65)))
    if u() < 0.6:
        parts.box((0.14, 0.09, 0.1), (0, 0, high), 1)
        parts.add(tube(np.array([[0, -0.03, high + 0.05], [0, -0.16, high + 0.05]]), 0.035, sides=10, slot=1))
    else:
        parts.add(lathe(np.array([[0.12, 0.0], [0.07, 0.22]]), sides=12, at=(0, 0, high), slot=2))
    return parts.model([METAL if u() < 0.5 else BLACK, BLACK, Look("light")])


def easel(rng: np.random.Generator) -> Model:
    """Easel or flip chart."""
    u = rng.uniform
    parts, high, wide = Parts(), u(1.4, 1.8), u(0.5, 0.9)
    for x in (-1, 1):
        parts.box((0.03, 0.03, high), (x * wide * 0.5, -0.25, 0), lean=0.17, roll=-x * 0.12)
    parts.box((0.03, 0.03, high), (0, 0.35, 0), lean=-0.22)
    parts.box((wide * 0.8, 0.04, 0.03), (0, -0.16, 0.72))
    parts.box((wide, 0.015, u(0.6, 0.9)), (0, -0.13, 0.75), 1, lean=0.17, fit=True)
    return parts.model([WOOD if u() < 0.6 else METAL, Look("picture" if u() < 0.5 else "paper", fit=True)])


def fireplace(rng: np.random.Generator) -> Model:
    """Fireplace with a mantelpiece."""
    u = rng.uniform
    parts, wide, high = Parts(), u(1.1, 1.7), u(1.0, 1.3)
    for side in (-1, 1):
        parts.box((wide * 0.22, 0.35, high), (side * wide * 0.39, 0, 0))
    parts.box((wide, 0.35, high * 0.3), (0, 0, high * 0.7))
    parts.box((wide * 0.6, 0.03, high), (0, 0.16, 0), 1)
    parts.box((wide + 0.15, 0.42, 0.06), (0, -0.02, high), 2)
    parts.box((wide, 0.6, 0.03), (0, -0.2, 0))
    for _ in range(4):
        at = (u(-0.15, 0.15), u(-0.05, 0.05), 0.03)
        parts.box((0.4, 0.08, 0.08), at, 2, yaw=u(-0.5, 0.5), roll=u(-0.2, 0.2))
    parts.top(wide, 0.35, (0, -0.02, high + 0.06), 0.6)
    return parts.model([Look("stone") if u() < 0.5 else Look("brick"), BLACK, WOOD])


def planks(rng: np.random.Generator) -> Model:
    """Boards, poles, a mattress or panels that lean on a wall behind them."""
    u = rng.uniform
    parts, count = Parts(), int(rng.integers(1, 6))
    for i in range(count):
        high, lean = u(0.9, 2.0), u(0.08, 0.3)
        wide = u(0.04, 0.25) if u() < 0.6 else u(0.4, 1.0)
        y = -0.05 * i - high * math.sin(lean)
        parts.box((wide, u(0.015, 0.05), high), (u(-0.35, 0.35), y, 0), i % 3, lean=lean, roll=u(-0.08, 0.08))
    return parts.model([WOOD, Look("object"), FRONT])


def copier(rng: np.random.Generator) -> Model:
    """Copying machine or server cabinet."""
    u = rng.uniform
    parts, wide, deep, high = Parts(), u(0.55, 0.7), u(0.6, 0.75), u(0.85, 1.3)
    parts.box((wide, deep, high), (0, 0, 0.03))
    for z in np.linspace(0.1, 0.6, int(rng.integers(2, 5))):
        parts.box((wide * 0.9, 0.02, high * 0.13), (0, -deep / 2 - 0.01, float(z) * high), 1)
        parts.box((wide * 0.3, 0.02, 0.02), (0, -deep / 2 - 0.025, float(z) * high + high * 0.08), 2)
    parts.box((wide * 0.5, 0.18, 0.06), (wide * 0.1, -deep * 0.4, high + 0.03), 2, lean=0.2)
    parts.box((wide, deep * 0.7, 0.1), (0, deep * 0.12, high + 0.03), 1)
    parts.top(wide * 0.8, deep * 0.5, (0, deep * 0.12, high + 0.13), 0.5)
    pale = Look("plastic", tint=(0.8, 0.8, 0.78))
    return parts.model([pale if u() < 0.6 else BLACK, pale, BLACK])


def trolley(rng: np.random.Generator) -> Model:
    """Trolley of two or three trays on wheels."""
    u = rng.uniform
    parts, wide, deep, high, levels = Parts(), u(0.4, 0.9), u(0.35, 0.5), u(0.7, 0.95), int(rng.integers(2, 4))
    parts.legs(wide, deep, high, 0.025, base=0.06)
    for x in (-1, 1):
        for y in (-1, 1):
            parts.box((0.025, 0.06, 0.06), (x * wide / 2, y * deep / 2, 0), 1)
    for level in range(levels):
        z = 0.14 + level * (high - 0.18) / (levels - 1)
        parts.box((wide, deep, 0.02), (0, 0, z), 2)
        parts.box((wide, 0.015, 0.07), (0, -deep / 2, z), 2)
        parts.top(wide * 0.9, deep * 0.85, (0, 0, z + 0.02), (high - 0.2) / (levels - 1) if level < levels - 1 else 0.6)
    return parts.model([METAL, BLACK, METAL if u() < 0.5 else PLASTIC])


def guitar(rng: np.random.Generator) -> Model:
    """Guitar on a stand."""
    u = rng.uniform
    parts, lean = Parts(), 0.2
    parts.add(cushion((0.38, 0.1, 0.3), (0, 0.0, 0.1), 0, round_flat=0.9, round_side=0.3, lean=lean))
    parts.add(cushion((0.29, 0.1, 0.26), (0, 0.06, 0.34), 0, round_flat=0.9, round_side=0.3, lean=lean))
    parts.box((0.055, 0.03, 0.5), (0, 0.1, 0.52), 1, lean=lean)
    parts.box((0.08, 0.02, 0.16), (0, 0.2, 1.0), 1, lean=lean)
    for side in (-1, 1):
        parts.box((0.02, 0.02, 0.4), (side * 0.14, 0.15, 0.0), 2, lean=-0.3)
    return parts.model([WOOD if u() < 0.7 else PLASTIC, WOOD, BLACK])


def bean_bag(rng: np.random.Generator) -> Model:
    """Bean bag, large cushion, or sleeping bag on the floor."""
    u = rng.uniform
    parts, wide = Parts(), u(0.5, 0.95)
    parts.add(cushion((wide, wide * u(0.7, 1.0), u(0.15, 0.4)), (0, 0, 0), 0, round_flat=0.8, round_side=0.8))
    if u() < 0.6:
        parts.add(
            cushion(
                (wide * 0.9, wide * 0.4, u(0.3, 0.5)),
                (0, wide * 0.3, 0.05),
                0,
                round_flat=0.9,
                round_side=0.8,
                lean=0.2,
            )
        )
    return parts.model([FABRIC])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "ladder": ("room_thing", ladder, 4),
    "suitcase": ("room_thing", suitcase, 6),
    "vacuum_cleaner": ("room_thing", vacuum_cleaner, 3),
    "drying_rack": ("room_thing", drying_rack, 4),
    "ironing_board": ("room_thing", ironing_board, 3),
    "piano": ("wall_thing", piano, 3),
    "fan": ("room_thing", fan, 3),
    "tripod": ("room_thing", tripod, 4),
    "easel": ("room_thing", easel, 4),
    "fireplace": ("wall_thing", fireplace, 4),
    "planks": ("wall_thing", planks, 8),
    "copier": ("wall_thing", copier, 4),
    "trolley": ("room_thing", trolley, 5),
    "guitar": ("room_thing", guitar, 4),
    "bean_bag": ("room_thing", bean_bag, 5),
}
