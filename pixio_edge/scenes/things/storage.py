"""Chests, cupboards, shelves full of books and things, racks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Look, Model
from pixio_edge.scenes.shapes.carpentry import Parts
from pixio_edge.scenes.things.furniture import BOOKS, CARD, FRONT, drawers
from pixio_edge.scenes.things.seats import METAL, PLASTIC, WOOD


def chest_of_drawers(rng: np.random.Generator) -> Model:
    """Chest of one or two columns of drawers, or a night table."""
    u = rng.uniform
    columns = int(rng.integers(1, 4))
    wide, depth, high = columns * u(0.38, 0.6), u(0.36, 0.52), u(0.45, 1.2)
    parts, foot = Parts(), u(0.0, 0.15)
    parts.legs(wide, depth, foot + 0.03, 0.05)
    for i in range(columns):
        at = ((i - (columns - 1) / 2) * wide / columns, 0.0, foot)
        drawers(parts, (wide / columns, depth, high - foot), at, max(2, round(high / u(0.18, 0.3))))
    parts.box((wide + 0.03, depth + 0.04, 0.025), (0, -0.005, high))
    parts.top(wide, depth, (0, 0, high + 0.025), 1.0)
    return parts.model([WOOD, FRONT, METAL])


def cabinet(rng: np.random.Generator) -> Model:
    """Cupboard with doors: low sideboard to high wardrobe."""
    u = rng.uniform
    high = u(0.7, 1.1) if u() < 0.4 else u(1.6, 2.3)
    doors = int(rng.integers(1, 5))
    each, depth = u(0.36, 0.6), u(0.35, 0.62)
    wide = each * doors
    parts = Parts()
    parts.box((wide, depth - 0.02, 0.06), (0, 0.01, 0))
    parts.box((wide, depth, high - 0.06), (0, 0, 0.06))
    panel, bar = u() < 0.4, u() < 0.6
    for i in range(doors):
        x = (i - (doors - 1) / 2) * each
        front = -depth / 2 - 0.01
        parts.box((each - 0.006, 0.02, high - 0.1), (x, front, 0.09), 1)
        if panel:
            parts.box((each * 0.7, 0.012, high * 0.4), (x, front - 0.014, high * 0.1 + 0.05), 1)
            parts.box((each * 0.7, 0.012, high * 0.38), (x, front - 0.014, high * 0.55), 1)
        edge = each / 2 - 0.04 if i % 2 == 0 else 0.04 - each / 2
        size = (0.015, 0.03, 0.16) if bar else (0.03, 0.03, 0.03)
        parts.box(size, (x + edge, front - 0.022, high * 0.55 if high > 1.2 else high * 0.7), 2)
    parts.top(wide * 0.95, depth * 0.9, (0, 0, high), 0.8 if high < 1.2 else 0.35)
    return parts.model([WOOD, FRONT, METAL])


def _row_of_books(
    rng: np.random.Generator, parts: Parts, at: tuple[float, float, float], end: float, high: float
) -> None:
    """Standing books of changing size from x of `at` to `end`, now and then a gap or a leaning one."""
    u = rng.uniform
    x, y, z = at
    while x < end - 0.03:
        thick = u(0.012, 0.05)
        if u() < 0.06:
            x += u(0.03, 0.2)
            continue
        tall, deep = min(u(0.17, 0.3), high - 0.015), u(0.12, 0.2)
        roll = u(0.1, 0.35) if u() < 0.06 else 0.0
        parts.box(
            (thick, deep, tall * math.cos(roll)), (x + thick / 2, y + deep / 2, z), int(rng.integers(1, 7)), roll=roll
        )
        x += thick + 0.001 + tall * math.sin(roll) * 0.7


def bookcase(rng: np.random.Generator) -> Model:
    """Shelves filled with books; some boards are left for other things."""
    u = rng.uniform
    wide, depth, high = u(0.5, 1.3), u(0.22, 0.36), u(0.8, 2.2)
    levels = max(2, round(high / u(0.28, 0.42)))
    parts = _case(wide, depth, high, levels, closed=u() < 0.7)
    step = (high - 0.06) / levels
    for level in range(levels):
        z = 0.06 + level * step + 0.02
        if u() < 0.68:
            end = wide / 2 - 0.03 if u() < 0.7 else u(-0.2, 0.3) * wide
            _row_of_books(rng, parts, (-wide / 2 + 0.03, -depth / 2 + 0.02, z), end, step - 0.02)
            if end < wide * 0.2:
                parts.top(wide * 0.4 - end, depth * 0.8, ((end + wide * 0.45) / 2, 0, z), step - 0.05)
        else:
            parts.top(wide * 0.9, depth * 0.85, (0, 0, z), step - 0.05)
    parts.top(wide, depth, (0, 0, high), 0.4)
    return parts.model([WOOD, *BOOKS])


def _case(wide: float, depth: float, high: float, levels: int, *, closed: bool) -> Parts:
    """Sides, boards and perhaps the back of a bookcase."""
    parts = Parts()
    for side in (-1, 1):
        parts.box((0.022, depth, high), (side * (wide - 0.022) / 2, 0, 0))
    step = (high - 0.06) / levels
    for level in range(levels + 1):
        z = high - 0.022 if level == levels else 0.06 + level * step
        parts.box((wide - 0.04, depth - 0.01, 0.02), (0, 0, z))
    if closed:
        parts.box((wide - 0.02, 0.01, high), (0, depth / 2 - 0.006, 0))
    return parts


def open_shelf(rng: np.random.Generator) -> Model:
    """Shelves or a grid of boxes for things, wood or metal."""
    u = rng.uniform
    columns, levels = int(rng.integers(1, 4)), int(rng.integers(2, 6))
    each, depth, step = u(0.35, 0.8), u(0.28, 0.5), u(0.3, 0.45)
    wide, high = columns * each, levels * step + 0.08
    parts = _case(wide, depth, high, levels, closed=u() < 0.4)
    for i in range(1, columns):
        parts.box((0.02, depth, high - 0.08), ((i - columns / 2) * each, 0, 0.06))
    for level in range(levels):
        for i in range(columns):
            at = ((i - (columns - 1) / 2) * each, 0.0, 0.06 + level * (high - 0.06) / levels + 0.02)
            if u() < 0.2:
                parts.box((each * 0.85, depth * 0.9, step * u(0.5, 0.8)), at, 1)
            else:
                parts.top(each * 0.88, depth * 0.85, at, step - 0.06)
    parts.top(wide * 0.95, depth, (0, 0, high), 0.4)
    return parts.model([WOOD, Look("fabric", repeat_m=(0.1, 0.5))])


def metal_rack(rng: np.random.Generator) -> Model:
    """Storage rack of angle posts and boards, loaded with boxes."""
    u = rng.uniform
    wide, depth, high, levels = u(0.8, 2.0), u(0.35, 0.7), u(1.5, 2.4), int(rng.integers(3, 6))
    parts = Parts()
    parts.legs(wide, depth, high, 0.04)
    for level in range(levels):
        z = 0.1 + level * (high - 0.15) / (levels - 1)
        parts.box((wide, depth, 0.03), (0, 0, z - 0.03), 1 if level % 2 else 0)
        room = (high - 0.15) / (levels - 1) - 0.08
        x = -wide / 2 + 0.05
        while x < wide / 2 - 0.2 and u() < 0.75:
            size = (min(u(0.15, 0.5), wide / 2 - x - 0.02), depth * u(0.5, 0.95), min(u(0.1, 0.4), room))
            parts.box(size, (x + size[0] / 2, u(-0.1, 0.1) * depth, z), int(rng.integers(2, 5)), yaw=u(-0.06, 0.06))
            x += size[0] + u(0.01, 0.1)
        if x < wide * 0.3:
            parts.top(wide / 2 - x - 0.05, depth * 0.9, ((x + wide / 2) / 2, 0, z), room)
    return parts.model([METAL, WOOD, CARD, Look("object", repeat_m=(0.2, 0.6)), PLASTIC])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "chest_of_drawers": ("storage", chest_of_drawers, 8),
    "cabinet": ("storage", cabinet, 12),
    "bookcase": ("bookcase", bookcase, 14),
    "open_shelf": ("shelf", open_shelf, 12),
    "metal_rack": ("rack", metal_rack, 8),
}
