"""Tables, desks, shelves full of books and things, cabinets, wardrobes, boxes, and bins."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Look, Model
from pixio_edge.scenes.shapes import cylinder, lathe, tube
from pixio_edge.scenes.shapes.carpentry import Parts
from pixio_edge.scenes.things.seats import BLACK, FABRIC, METAL, PLASTIC, WOOD

FRONT = Look("furniture", gloss=(0.0, 0.5), repeat_m=(0.5, 2.0))
CARD = Look("cardboard", gloss=(0.0, 0.05))
BOOKS = tuple(Look("object", gloss=(0.0, 0.3), repeat_m=(0.1, 0.6)) for _ in range(6))


def table(rng: np.random.Generator) -> Model:
    """Rectangular table: four legs, trestles or two slab ends."""
    u = rng.uniform
    width, depth, height, slab = u(0.9, 2.2), u(0.65, 1.0), u(0.7, 0.78), u(0.018, 0.05)
    parts = Parts()
    parts.box((width, depth, slab), (0, 0, height - slab))
    thick, kind = u(0.03, 0.09), rng.integers(0, 3)
    if kind < 2:
        parts.legs(width - 0.06, depth - 0.06, height - slab, thick, 1)
        if kind == 0:
            for side in (-1, 1):
                parts.box((width - 0.1, 0.02, 0.09), (0, side * (depth / 2 - 0.05), height - slab - 0.09), 1)
                parts.box((0.02, depth - 0.1, 0.09), (side * (width / 2 - 0.05), 0, height - slab - 0.09), 1)
    else:
        for side in (-1, 1):
            x, splay = side * (width / 2 - u(0.12, 0.3)), u(0.12, 0.28)
            parts.box((0.05, depth * 0.8, 0.04), (x, 0, height - slab - 0.04), 1)
            for end in (-1, 1):
                y = end * depth * 0.3
                parts.box((0.04, 0.04, height - slab), (x, y + end * splay * 0.5, 0), 1, lean=-end * splay)
    parts.top(width * 0.96, depth * 0.94, (0, 0, height), 1.2)
    return parts.model([WOOD if u() < 0.75 else PLASTIC, WOOD if u() < 0.5 else METAL])


def round_table(rng: np.random.Generator) -> Model:
    """Round table on a pedestal or four legs; low or high."""
    u = rng.uniform
    height = u(0.4, 0.55) if u() < 0.4 else u(0.7, 0.76)
    radius, slab = u(0.25, 0.6), u(0.018, 0.04)
    parts = Parts()
    profile = np.array([[radius - 0.01, height - slab], [radius, height - slab / 2], [radius - 0.005, height]])
    parts.add(lathe(profile, sides=24, smooth=False))
    if u() < 0.5:
        stem = np.array(
            [[radius * 0.6, 0.0], [radius * 0.55, 0.02], [0.05, 0.05], [0.035, height * 0.5], [0.05, height - slab]]
        )
        parts.add(lathe(stem, sides=14, slot=1))
    else:
        for i in range(int(rng.integers(3, 5))):
            x, y = math.cos(i * 1.5708 + 0.8), math.sin(i * 1.5708 + 0.8)
            leg = np.array(
                [[x * radius * 0.9, y * radius * 0.9, 0], [x * radius * 0.6, y * radius * 0.6, height - slab]]
            )
            parts.add(tube(leg, np.array([0.012, 0.022]), sides=6, slot=1))
    parts.top(radius * 1.36, radius * 1.36, (0, 0, height), 1.2)
    return parts.model([WOOD, WOOD if u() < 0.6 else METAL])


def coffee_table(rng: np.random.Generator) -> Model:
    """Low table, often with a shelf below."""
    u = rng.uniform
    width, depth, height = u(0.5, 1.3), u(0.42, 0.75), u(0.33, 0.5)
    parts = Parts()
    parts.box((width, depth, 0.035), (0, 0, height - 0.035))
    parts.legs(width, depth, height - 0.035, u(0.03, 0.08), 1)
    if u() < 0.6:
        parts.box((width * 0.95, depth * 0.95, 0.02), (0, 0, height * 0.35), 1)
        parts.top(width * 0.8, depth * 0.8, (0, 0, height * 0.35 + 0.02), height * 0.6 - 0.06)
    parts.top(width * 0.95, depth * 0.95, (0, 0, height), 0.6)
    return parts.model([WOOD, WOOD if u() < 0.6 else METAL])


def desk(rng: np.random.Generator) -> Model:
    """Desk with drawers at one side, or a metal frame; the back may have a modesty panel or a screen wall."""
    u = rng.uniform
    width, depth, height = u(1.0, 1.9), u(0.58, 0.85), u(0.7, 0.78)
    parts = Parts()
    parts.box((width, depth, 0.03), (0, 0, height - 0.03))
    side = -1 if u() < 0.5 else 1
    if u() < 0.6:
        wide = u(0.36, 0.48)
        x = side * (width / 2 - wide / 2 - 0.02)
        drawers(parts, (wide, depth - 0.06, height - 0.03), (x, 0, 0), int(rng.integers(2, 5)))
        parts.box((0.03, depth - 0.04, height - 0.03), (-side * (width / 2 - 0.03), 0, 0), 1)
    else:
        for end in (-1, 1):
            x = end * (width / 2 - 0.12)
            parts.box((0.06, depth * 0.9, 0.03), (x, 0, 0), 2)
            parts.box((0.07, 0.05, height - 0.05), (x, 0.08, 0.02), 2)
            parts.box((0.06, depth * 0.8, 0.03), (x, 0, height - 0.06), 2)
    if u() < 0.5:
        parts.box((width * 0.9, 0.02, 0.35), (0, depth / 2 - 0.05, height - 0.4), 1)
    if u() < 0.2:
        parts.box((width, 0.03, u(0.3, 0.5)), (0, depth / 2, height - 0.05), 3)
    parts.top(width * 0.96, depth * 0.92, (0, 0, height), 1.0)
    return parts.model([WOOD, FRONT, METAL, FABRIC])


def drawers(parts: Parts, size: tuple[float, float, float], at: tuple[float, float, float], count: int) -> None:
    """A chest of a size with drawer fronts (slot 1) and handles (slot 2), the middle of its base at `at`."""
    (wide, depth, high), (x, y, z) = size, at
    parts.box((wide, depth, high - 0.02), (x, y, z + 0.02), 1)
    each = (high - 0.06) / count
    for i in range(count):
        low = z + 0.04 + i * each
        parts.box((wide - 0.02, 0.018, each - 0.012), (x, y - depth / 2 - 0.009, low), 1)
        parts.box((min(0.14, wide * 0.4), 0.02, 0.014), (x, y - depth / 2 - 0.03, low + each * 0.62), 2)


def cardboard_box(rng: np.random.Generator) -> Model:
    """Cardboard box, closed with tape or open with its flaps out."""
    u = rng.uniform
    wide, depth, high = u(0.2, 0.65), u(0.18, 0.5), u(0.12, 0.5)
    parts = Parts()
    if u() < 0.5:
        parts.box((wide, depth, high), (0, 0, 0))
        parts.box((wide + 0.004, 0.05, 0.003), (0, 0, high - 0.001), 1)
        parts.box((wide * 0.3, 0.002, high * 0.4), (u(-0.2, 0.2) * wide, -depth / 2 - 0.001, high * 0.3), 2, fit=True)
        parts.top(wide * 0.9, depth * 0.9, (0, 0, high), 0.8)
    else:
        parts.box((wide, depth, 0.01), (0, 0, 0))
        for side in (-1, 1):
            parts.box((0.006, depth, high), (side * wide / 2, 0, 0))
            parts.box((wide, 0.006, high), (0, side * depth / 2, 0))
            parts.box((0.005, depth * 0.98, wide * 0.4), (side * wide / 2, 0, high), roll=side * u(0.3, 2.4))
            parts.box((wide * 0.98, 0.005, depth * 0.4), (0, side * depth / 2, high), lean=side * u(0.3, 2.4))
        parts.top(wide * 0.8, depth * 0.8, (0, 0, 0.012), high)
    return parts.model([CARD, Look("plastic", tint=(0.7, 0.6, 0.45)), Look("picture", fit=True)])


def crate(rng: np.random.Generator) -> Model:
    """Plastic crate or wooden box, open at the top."""
    u = rng.uniform
    wide, depth, high = u(0.3, 0.6), u(0.25, 0.42), u(0.12, 0.35)
    parts = Parts()
    parts.box((wide, depth, 0.012), (0, 0, 0))
    for side in (-1, 1):
        for low, tall in ((0.0, 0.4), (0.45, 0.2), (0.75, 0.25)):
            parts.box((0.012, depth, tall * high), (side * wide / 2, 0, low * high))
            parts.box((wide, 0.012, tall * high), (0, side * depth / 2, low * high))
    parts.legs(wide, depth, high, 0.03)
    parts.top(wide * 0.85, depth * 0.85, (0, 0, 0.012), high * 1.5)
    return parts.model([PLASTIC if u() < 0.6 else WOOD])


def bin_for_waste(rng: np.random.Generator) -> Model:
    """Waste-paper basket or pedal bin."""
    u = rng.uniform
    low, high, wide = u(0.1, 0.16), u(0.26, 0.7), u(1.0, 1.35)
    parts = Parts()
    parts.add(cylinder(low, high, top_radius=low * wide, sides=14))
    if u() < 0.6:
        parts.add(
            lathe(
                np.array([[low * wide * 1.03, high], [low * wide * 1.03, high + 0.03], [0.03, high + 0.06]]),
                sides=14,
                slot=1,
            )
        )
    return parts.model([PLASTIC if u() < 0.6 else METAL, BLACK])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "table": ("table", table, 12),
    "round_table": ("table", round_table, 8),
    "coffee_table": ("low_table", coffee_table, 8),
    "desk": ("desk", desk, 10),
    "cardboard_box": ("cardboard", cardboard_box, 10),
    "crate": ("crate", crate, 5),
    "bin_for_waste": ("bin", bin_for_waste, 5),
}
