"""Chairs, stools, armchairs, sofas, benches, and beds."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Look, Mesh, Model
from pixio_edge.scenes.shapes import cylinder, lathe, tube
from pixio_edge.scenes.shapes.carpentry import Parts, cushion, grid

WOOD = Look("wood", gloss=(0.0, 0.35), repeat_m=(0.4, 1.5))
FABRIC = Look("fabric", gloss=(0.0, 0.05), repeat_m=(0.15, 0.8))
PLASTIC = Look("plastic", gloss=(0.1, 0.5))
METAL = Look("metal", gloss=(0.3, 0.9))
BLACK = Look("plastic", gloss=(0.1, 0.4), tint=(0.10, 0.10, 0.11))
LEATHER = Look("leather", gloss=(0.1, 0.4), repeat_m=(0.5, 1.5))


def dining_chair(rng: np.random.Generator) -> Model:
    """Wooden or metal chair with four legs and a back of slats, bars or one board."""
    u = rng.uniform
    width, depth, seat, back, thick = u(0.38, 0.5), u(0.38, 0.48), u(0.42, 0.48), u(0.35, 0.58), u(0.022, 0.045)
    parts = Parts()
    parts.legs(width, depth, seat - 0.03, thick)
    parts.box((width, depth, 0.03), (0, 0, seat - 0.03))
    if u() < 0.5:
        parts.add(cushion((width * 0.98, depth * 0.96, 0.06), (0, 0, seat - 0.01), 1))
    if u() < 0.5:
        for side in (-1, 1):
            parts.box((thick * 0.7, depth, thick), (side * (width - thick) / 2, 0, seat * u(0.25, 0.5)))
    lean = u(0.03, 0.22)
    y = depth / 2 - thick / 2
    for side in (-1, 1):
        parts.box((thick, thick, back), (side * (width - thick) / 2, y, seat), lean=lean)
    kind = rng.integers(0, 4)
    if kind == 0:
        parts.box((width, thick * 0.6, back * u(0.4, 0.9)), (0, y, seat + 0.08), lean=lean)
    elif kind == 1:
        for x in np.linspace(-0.4, 0.4, int(rng.integers(3, 7))):
            parts.box((thick * 0.6, thick * 0.5, back), (float(x) * width, y, seat), lean=lean)
    elif kind == 2:
        bars = int(rng.integers(2, 5))
        for i in range(bars):
            rise = back * (i + 0.7) / bars
            parts.box(
                (width, thick * 0.5, back / bars * 0.5), (0, y + rise * math.sin(lean), seat + rise * 0.95), lean=lean
            )
    else:
        parts.add(cushion((width, 0.06, back * 0.9), (0, y, seat + 0.06), 1, lean=lean))
    parts.box((width, thick, thick * 1.6), (0, y + back * math.sin(lean), seat + back * math.cos(lean) - 0.02))
    parts.top(width * 0.9, depth * 0.8, (0, -0.03, seat + 0.03), 0.6)
    return parts.model([METAL if u() < 0.25 else WOOD, FABRIC])


def shell_chair(rng: np.random.Generator) -> Model:
    """One curved shell of plastic or plywood on four thin legs, as in canteens and schools."""
    u = rng.uniform
    width, seat, back = u(0.42, 0.52), u(0.42, 0.47), u(0.34, 0.46)
    run = np.array(
        [[-0.24, -0.02], [-0.2, 0.01], [0.0, -0.015], [0.16, 0.0], [0.22, 0.08], [0.25, back * 0.5], [0.3, back]]
    )
    across = np.linspace(-0.5, 0.5, 7)
    cup = u(0.0, 0.1)
    points = np.empty((len(run), 7, 3))
    points[..., 0] = across[None] * width * np.array([0.9, 1, 1, 1, 1, 1, 0.85])[:, None]
    points[..., 1] = run[:, :1] - cup * 4 * across[None] ** 2 * (run[:, 1:] > 0.05)
    points[..., 2] = seat + run[:, 1:] + cup * 3 * across[None] ** 2 * (run[:, 1:] < 0.05)
    parts = Parts()
    parts.add(grid(points, 1))
    splay, radius = u(0.0, 0.08), u(0.008, 0.014)
    for x in (-1, 1):
        for y in (-1, 1):
            leg = np.array([[x * (0.18 + splay), y * (0.16 + splay), 0.0], [x * 0.16, y * 0.13, seat]])
            parts.add(tube(leg, radius, sides=5, slot=0))
    parts.top(width * 0.8, 0.3, (0, -0.02, seat), 0.6)
    return parts.model([METAL if u() < 0.7 else WOOD, PLASTIC if u() < 0.7 else WOOD])


def office_chair(rng: np.random.Generator) -> Model:
    """Swivel chair on a five-armed base with castors."""
    u = rng.uniform
    seat, width, back = u(0.42, 0.54), u(0.46, 0.54), u(0.4, 0.75)
    parts = Parts()
    for i in range(5):
        turn = i * 2 * math.pi / 5
        x, y = math.cos(turn), math.sin(turn)
        arm = np.array([[x * 0.3, y * 0.3, 0.07], [0.0, 0.0, 0.12]])
        parts.add(tube(arm, np.array([0.018, 0.03]), sides=5, slot=0))
        parts.box((0.04, 0.05, 0.055), (x * 0.3, y * 0.3, 0.0), 0, yaw=turn)
    parts.add(cylinder(0.028, seat - 0.1, sides=8, slot=0))
    parts.add(cushion((width, width * 0.96, 0.11), (0, -0.02, seat - 0.06), 1))
    lean = u(0.05, 0.3)
    parts.box((0.08, 0.025, 0.3), (0, width * 0.48, seat - 0.05), 0, lean=lean)
    parts.add(cushion((width * u(0.85, 1.0), 0.09, back), (0, width * 0.46, seat + 0.1), 1, lean=lean, round_side=0.5))
    if u() < 0.3:
        parts.add(cushion((0.3, 0.08, 0.18), (0, width * 0.5 + back * lean, seat + 0.14 + back), 1, lean=lean))
    if u() < 0.7:
        for side in (-1, 1):
            parts.box((0.03, 0.06, 0.24), (side * width * 0.53, 0.03, seat - 0.02), 0)
            parts.box((0.07, 0.26, 0.03), (side * width * 0.54, 0.0, seat + 0.21), 0)
    return parts.model([BLACK if u() < 0.7 else METAL, FABRIC if u() < 0.7 else LEATHER])


def stool(rng: np.random.Generator) -> Model:
    """Low or bar stool, round or square, with three or four legs or a column."""
    u = rng.uniform
    height, radius = (u(0.4, 0.5) if u() < 0.6 else u(0.6, 0.8)), u(0.15, 0.2)
    parts = Parts()
    column = u() < 0.25
    if column:
        parts.add(lathe(np.array([[radius * 1.1, 0.0], [radius * 1.1, 0.015], [0.03, 0.03], [0.03, height]]), sides=14))
    else:
        count, splay = int(rng.integers(3, 5)), u(0.0, 0.06)
        for i in range(count):
            turn = 2 * math.pi * (i + 0.5) / count
            x, y = math.cos(turn), math.sin(turn)
            reach = radius * 0.8 + splay
            parts.add(
                tube(
                    np.array([[x * reach, y * reach, 0], [x * radius * 0.75, y * radius * 0.75, height]]),
                    0.015,
                    sides=6,
                )
            )
        if u() < 0.6:
            ring = np.array([[math.cos(a), math.sin(a), 0.0] for a in np.linspace(0, 2 * math.pi, 13)]) * (
                radius * 0.85
            )
            parts.add(tube(ring + np.array([0, 0, height * 0.35]), 0.009, sides=5))
    if u() < 0.5:
        parts.add(cushion((2 * radius, 2 * radius, u(0.05, 0.12)), (0, 0, height - 0.01), 1, round_side=1.0))
    else:
        parts.add(
            lathe(
                np.array([[radius * 0.95, height], [radius, height + 0.01], [radius, height + 0.035]]), sides=16, slot=1
            )
        )
    parts.top(radius * 1.3, radius * 1.3, (0, 0, height + 0.035), 0.6)
    return parts.model([METAL if column or u() < 0.4 else WOOD, FABRIC if u() < 0.4 else WOOD])


def armchair(rng: np.random.Generator) -> Model:
    """Upholstered armchair."""
    return _sofa(rng, 1)


def sofa(rng: np.random.Generator) -> Model:
    """Sofa of two or three seats with loose cushions."""
    return _sofa(rng, int(rng.integers(2, 4)))


def _sofa(rng: np.random.Generator, seats: int) -> Model:
    u = rng.uniform
    each, depth, seat, back = u(0.52, 0.78), u(0.75, 0.98), u(0.36, 0.46), u(0.32, 0.5)
    arm, arm_height = u(0.08, 0.24), u(0.12, 0.28)
    width, foot = seats * each, u(0.03, 0.16)
    parts = Parts()
    parts.legs(width + arm, depth * 0.9, foot, 0.05, 1)
    base = seat - 0.14 - foot
    parts.add(cushion((width + 1.6 * arm, depth, base + 0.04), (0, 0, foot), 0, round_flat=0.15, round_side=0.15))
    back_deep = u(0.14, 0.24)
    for i in range(seats):
        x = (i - (seats - 1) / 2) * each
        size = (each * 0.99, depth - back_deep, 0.16)
        parts.add(cushion(size, (x, -back_deep / 2, seat - 0.14), 2, round_flat=0.3, round_side=0.2))
        parts.add(
            cushion(
                (each * 0.97, back_deep, back),
                (x, depth / 2 - back_deep * 0.8, seat),
                2,
                lean=u(0.08, 0.25),
                round_side=0.4,
            )
        )
    size = (width + 1.4 * arm, back_deep * 0.7, seat + back * u(0.6, 0.95) - foot)
    parts.add(cushion(size, (0, depth / 2 - back_deep * 0.3, foot), 0, round_flat=0.2, round_side=0.2))
    for side in (-1, 1):
        place = (side * (width + arm) / 2, 0.0, foot)
        parts.add(cushion((arm, depth, seat + arm_height - foot), place, 0, round_flat=0.25, round_side=0.25))
    for _ in range(int(rng.integers(0, 3)) if seats > 1 else int(rng.integers(0, 2))):
        big = u(0.34, 0.5)
        at = (u(-0.45, 0.45) * width, depth / 2 - back_deep - u(0.05, 0.2), seat + 0.01)
        parts.add(cushion((big, 0.15, big), at, 3, round_flat=0.6, round_side=0.8, lean=u(0.2, 0.6), yaw=u(-0.5, 0.5)))
    if u() < 0.25:
        parts.add(_throw(rng, u(0.5, 0.9), depth, seat + 0.03))
    same = Look("fabric", gloss=(0.0, 0.05), repeat_m=(0.15, 0.8), same_as=0 if u() < 0.8 else None)
    body = LEATHER if u() < 0.25 else FABRIC
    parts.top(width * 0.8, depth * 0.4, (0, -depth * 0.15, seat + 0.02), 0.5)
    return parts.model([body, WOOD, same, FABRIC, FABRIC])


def _throw(rng: np.random.Generator, width: float, depth: float, seat: float) -> Mesh:
    """A blanket over the seat and its front edge."""
    run = np.array(
        [
            [-depth / 2 - 0.04, seat - 0.3],
            [-depth / 2 - 0.02, seat - 0.02],
            [-depth / 4, seat + 0.02],
            [depth / 6, seat + 0.04],
        ]
    )
    x = np.linspace(-0.5, 0.5, 9) * width + rng.uniform(-0.2, 0.2)
    points = np.empty((4, 9, 3))
    points[..., 0] = x[None] + rng.normal(0, 0.01, (4, 9))
    points[..., 1] = run[:, :1] + rng.normal(0, 0.012, (4, 9))
    points[..., 2] = run[:, 1:] + rng.normal(0, 0.012, (4, 9))
    return grid(points, 4, uv_m=(width, 0.9))


def bench(rng: np.random.Generator) -> Model:
    """Indoor bench or pouffe."""
    u = rng.uniform
    width, depth, height = u(0.5, 1.5), u(0.32, 0.5), u(0.38, 0.47)
    parts = Parts()
    if u() < 0.4:
        parts.add(cushion((width, depth, height), (0, 0, 0), 1, round_flat=0.3, round_side=0.3))
    else:
        parts.legs(width, depth, height, u(0.03, 0.06))
        parts.box((width, depth, 0.04), (0, 0, height - 0.04))
        if u() < 0.5:
            parts.add(cushion((width, depth, 0.08), (0, 0, height), 1))
    parts.top(width * 0.9, depth * 0.9, (0, 0, height), 0.6)
    return parts.model([WOOD if u() < 0.7 else METAL, FABRIC])


def bed(rng: np.random.Generator) -> Model:
    """Single or double bed: frame, headboard at the back, mattress, pillows, folded or crumpled duvet."""
    u = rng.uniform
    width, length, level = (u(0.85, 1.1) if u() < 0.4 else u(1.35, 1.9)), u(1.95, 2.15), u(0.3, 0.48)
    parts = Parts()
    foot = u(0.05, 0.2)
    parts.legs(width, length, foot + 0.02, 0.07)
    parts.box((width, length, level - foot - 0.1), (0, 0, foot))
    parts.add(cushion((width * 0.99, length * 0.98, 0.22), (0, 0, level - 0.12), 1, round_flat=0.2, round_side=0.1))
    if u() < 0.75:
        parts.box((width + 0.04, u(0.03, 0.1), level + u(0.2, 0.7)), (0, length / 2 + 0.03, 0), 0 if u() < 0.6 else 4)
    if u() < 0.3:
        parts.box((width + 0.02, 0.04, level + u(0.0, 0.3)), (0, -length / 2 - 0.02, 0))
    surface = level + 0.1
    count = 1 if width < 1.2 else 2
    for i in range(count * int(rng.integers(1, 3))):
        x = (i % count - (count - 1) / 2) * width * 0.48
        at = (x + u(-0.05, 0.05), length / 2 - u(0.22, 0.4), surface - 0.01 + 0.09 * (i // count))
        parts.add(
            cushion(
                (u(0.5, 0.7), u(0.35, 0.45), u(0.1, 0.18)),
                at,
                3,
                round_flat=0.8,
                round_side=0.5,
                lean=-u(0, 0.5),
                yaw=u(-0.3, 0.3),
            )
        )
    parts.add(_duvet(rng, width, length, surface))
    parts.top(width * 0.7, length * 0.5, (0, -length * 0.15, surface + 0.07), 0.8)
    return parts.model([WOOD, FABRIC, FABRIC, FABRIC, FABRIC])


def _duvet(rng: np.random.Generator, width: float, length: float, level: float) -> Mesh:
    """A duvet with waves that hangs over both sides and the foot of the bed."""
    u = rng.uniform
    rows, columns = 15, 17
    hang = u(0.1, 0.35)
    end = length * u(-0.05, 0.28)
    s = np.linspace(-width / 2 - hang, width / 2 + hang, columns)
    t = np.linspace(-length / 2 - hang * u(0.0, 1.0), end, rows)
    over_x, over_y = np.maximum(np.abs(s) - width / 2, 0), np.maximum(-length / 2 - t, 0)
    x = np.clip(s, -width / 2 - 0.03, width / 2 + 0.03)
    y = np.maximum(t, -length / 2 - 0.03)
    waves = np.zeros((rows, columns))
    for _ in range(5):
        waves += u(0.004, 0.022) * np.sin(u(-9, 9) * s[None] + u(-9, 9) * t[:, None] + u(0, 6))
    points = np.empty((rows, columns, 3))
    points[..., 0], points[..., 1] = x[None] + 0.5 * waves, y[:, None] + 0.5 * waves
    points[..., 2] = np.maximum(level + 0.06 + waves - over_x[None] - over_y[:, None], 0.02)
    return grid(points, 2, uv_m=(width + 2 * hang, length))


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "dining_chair": ("seat", dining_chair, 10),
    "shell_chair": ("seat", shell_chair, 6),
    "office_chair": ("seat", office_chair, 8),
    "stool": ("seat", stool, 6),
    "armchair": ("sofa", armchair, 6),
    "sofa": ("sofa", sofa, 8),
    "bench": ("seat", bench, 4),
    "bed": ("bed", bed, 8),
}
