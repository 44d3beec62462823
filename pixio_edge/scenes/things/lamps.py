"""Lamps of rooms: from the ceiling, standing, and on walls."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Look, Model
from pixio_edge.scenes.shapes import cylinder, lathe, tube
from pixio_edge.scenes.shapes.carpentry import Parts
from pixio_edge.scenes.things.seats import BLACK, FABRIC, METAL

LIGHT = Look("light")
WHITE = Look("paint", gloss=(0.0, 0.3), tint=(0.93, 0.93, 0.91))


def pendant(rng: np.random.Generator) -> Model:
    """Lamp that hangs from the ceiling on a cable: a cone, a bell, a ball or a drum."""
    u = rng.uniform
    drop, wide = u(0.3, 1.0), u(0.1, 0.28)
    shades = (
        [[wide, 0.0], [0.05, wide * 1.1]],
        [[wide, 0.0], [wide * 0.9, 0.08], [wide * 0.5, 0.18], [0.04, 0.26]],
        [[0.02, 0.0], [wide * 0.7, wide * 0.3], [wide, wide], [wide * 0.7, wide * 1.7], [0.03, wide * 2]],
        [[wide, 0.0], [wide, wide * 0.8]],
    )
    shade = np.array(shades[int(rng.integers(0, 4))])
    parts = Parts()
    parts.add(lathe(shade, sides=16, slot=0))
    parts.add(cylinder(wide * 0.5, 0.02, sides=10, at=(0, 0, 0.0), slot=1))
    top = float(shade[-1, 1])
    parts.box((0.008, 0.008, drop), (0, 0, top), 2)
    parts.box((0.1, 0.1, 0.03), (0, 0, top + drop - 0.03), 2)
    return parts.model([LIGHT if u() < 0.5 else METAL, LIGHT, BLACK])


def ceiling_panel(rng: np.random.Generator) -> Model:
    """Flat lamp below the ceiling: round, square, or a long tube in a housing."""
    u = rng.uniform
    parts, kind = Parts(), rng.integers(0, 3)
    if kind == 0:
        parts.add(lathe(np.array([[0.05, 0.0], [u(0.12, 0.25), 0.03], [0.26, 0.08]]), sides=18, slot=1))
    elif kind == 1:
        side = u(0.3, 0.62)
        parts.box((side, side, 0.03), (0, 0, 0.0), 1)
        parts.box((side + 0.04, side + 0.04, 0.03), (0, 0, 0.01))
    else:
        long = u(0.6, 1.5)
        parts.box((0.12, long, 0.05), (0, 0, 0.04))
        parts.box((0.05, long - 0.05, 0.04), (0, 0, 0.0), 1)
    return parts.model([WHITE, LIGHT])


def floor_lamp(rng: np.random.Generator) -> Model:
    """Standing lamp with a shade, straight or on an arc."""
    u = rng.uniform
    parts, high, wide = Parts(), u(1.3, 1.8), u(0.14, 0.25)
    parts.add(cylinder(u(0.11, 0.17), 0.025, sides=14, slot=1))
    bend = u(0.0, 0.5) if u() < 0.3 else 0.0
    path = np.array(
        [[bend * t**3, 0.0, 0.02 + high * math.sin(t * 1.45) / math.sin(1.45)] for t in np.linspace(0, 1, 7)]
    )
    parts.add(tube(path, 0.012, sides=6, slot=1))
    shade = np.array([[wide, 0.0], [wide * u(0.5, 0.95), u(0.2, 0.32)]])
    parts.add(lathe(shade, sides=16, at=(bend, 0, high - 0.2), slot=0))
    return parts.model([LIGHT if u() < 0.6 else FABRIC, METAL])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "pendant": ("pendant", pendant, 8),
    "ceiling_panel": ("ceiling_lamp", ceiling_panel, 6),
    "floor_lamp": ("floor_lamp", floor_lamp, 6),
}
