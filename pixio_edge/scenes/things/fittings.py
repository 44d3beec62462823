"""What is fixed to rooms or hangs in them: doors, windows, curtains, radiators, stairs, lamps, ducts, boards, rugs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Look, Model
from pixio_edge.scenes.shapes import cylinder, tube
from pixio_edge.scenes.shapes.carpentry import Parts
from pixio_edge.scenes.things.seats import METAL, PLASTIC, WOOD

PAINT = Look("paint", gloss=(0.0, 0.3))
WHITE = Look("paint", gloss=(0.0, 0.3), tint=(0.93, 0.93, 0.91))
LIGHT = Look("light")
PICTURE = Look("picture", fit=True)
SCREEN = Look("screen", fit=True)
# Doors and the openings that they fill are of this size, metres.
DOOR_WIDTH, DOOR_HEIGHT = 0.86, 2.02
# Frames stand so far into the opening: in one plane with its sides, either would be seen by chance.
_LAP_M = 0.004


def _door_leaf(rng: np.random.Generator, parts: Parts, hinge: float, swing: float) -> None:
    """A leaf (slot 1) with panels and a handle (slot 2) hinged at x = hinge, opened by `swing` radians."""
    u = rng.uniform
    sign = 1.0 if hinge < 0 else -1.0
    turn = -sign * swing
    c, s = math.cos(turn), math.sin(turn)

    def put(
        size: tuple[float, float, float], along: float, out: float, z: float, slot: int, *, fit: bool = False
    ) -> None:
        x, y = sign * along, out
        parts.box(size, (hinge + c * x - s * y, s * x + c * y, z), slot, yaw=turn, fit=fit)

    wide = DOOR_WIDTH - 0.01
    put((wide, 0.04, DOOR_HEIGHT - 0.01), wide / 2, 0.0, 0.005, 1)
    kind = rng.integers(0, 4)
    for side in (-1, 1):
        if kind == 0:
            put((wide * 0.68, 0.012, 0.75), wide / 2, side * 0.022, 0.15, 1)
            put((wide * 0.68, 0.012, 0.8), wide / 2, side * 0.022, 1.05, 1)
        elif kind == 1:
            put((wide * 0.66, 0.006, u(0.7, 1.6)), wide / 2, side * 0.021, 0.3, 3)
        put((0.03, 0.05, 0.03), wide - 0.07, side * 0.04, 1.0, 2)
        put((0.13, 0.02, 0.025), wide - 0.11, side * 0.065, 1.0, 2)
    if u() < 0.2:
        put((u(0.15, 0.3), 0.045, u(0.15, 0.42)), wide / 2, 0.0, 1.4, 4, fit=True)


def _door_frame(rng: np.random.Generator, parts: Parts, deep: float) -> None:
    casing = rng.uniform(0.05, 0.1) + _LAP_M
    for side in (-1, 1):
        parts.box((casing, deep, DOOR_HEIGHT + casing - _LAP_M), (side * ((DOOR_WIDTH + casing) / 2 - _LAP_M), 0, 0))
    parts.box((DOOR_WIDTH - 2 * _LAP_M, deep, casing), (0, 0, DOOR_HEIGHT - _LAP_M))


def door(rng: np.random.Generator) -> Model:
    """Closed door with its frame, to be put flat on a wall."""
    parts = Parts()
    _door_frame(rng, parts, 0.06)
    _door_leaf(rng, parts, -DOOR_WIDTH / 2, 0.0)
    return parts.model([WHITE if rng.uniform() < 0.5 else WOOD, Look("furniture"), METAL, Look("glass"), PICTURE])


def open_door(rng: np.random.Generator) -> Model:
    """Leaf of an open door without frame: its hinge is at one end of the opening behind it (y = 0 is not the wall)."""
    parts = Parts()
    _door_leaf(rng, parts, -DOOR_WIDTH / 2 if rng.uniform() < 0.5 else DOOR_WIDTH / 2, 0.0)
    return parts.model([WHITE, Look("furniture"), METAL, Look("glass"), PICTURE])


def door_frame(rng: np.random.Generator) -> Model:
    """Frame of an opening without a leaf; it stands out of walls of up to 0.16 m on both sides."""
    parts = Parts()
    _door_frame(rng, parts, rng.uniform(0.17, 0.24))
    return parts.model([WHITE if rng.uniform() < 0.5 else WOOD])


def window_frame(rng: np.random.Generator) -> Model:
    """Frame, mullions and sill of 1 m by 1 m; scale it to the opening."""
    parts, bar = Parts(), rng.uniform(0.03, 0.07)
    for side in (-1, 1):
        parts.box((bar, 0.07, 1.0), (side * (1 - bar) / 2, 0, 0))
    for z in (0.0, 1 - bar):
        parts.box((1.0, 0.07, bar), (0, 0, z))
    for x in {0: (), 1: (0.0,), 2: (-0.17, 0.17)}[int(rng.integers(0, 3))]:
        parts.box((bar, 0.06, 1.0), (x, 0, 0))
    if rng.uniform() < 0.4:
        parts.box((1.0, 0.06, bar * 0.7), (0, 0, rng.uniform(0.3, 0.75)))
    return parts.model([WHITE if rng.uniform() < 0.7 else WOOD])


def bright_window(rng: np.random.Generator) -> Model:
    """Window with light behind its panes, to be put flat on a wall; sometimes with a sill."""
    u = rng.uniform
    parts, wide, high, bar = Parts(), u(0.7, 2.4), u(0.9, 1.6), u(0.04, 0.08)
    parts.box((wide, 0.01, high), (0, 0.02, 0), 1, fit=True)
    panes = max(1, round(wide / u(0.5, 1.0)))
    for i in range(panes + 1):
        parts.box((bar, 0.06, high), ((i / panes - 0.5) * (wide - bar), 0, 0))
    for z in (0.0, high - bar) if u() < 0.6 else (0.0, high * u(0.4, 0.8), high - bar):
        parts.box((wide, 0.05, bar), (0, 0, z))
    if u() < 0.6:
        parts.box((wide + 0.1, 0.2, 0.03), (0, -0.07, -0.03))
        parts.top(wide, 0.16, (0, -0.09, 0.0), high)
    return parts.model([WHITE if u() < 0.7 else WOOD, Look("window", fit=True)])


def radiator(rng: np.random.Generator) -> Model:
    """Radiator of ribs or with a flat front."""
    u = rng.uniform
    parts, wide, high, deep = Parts(), u(0.5, 1.6), u(0.35, 0.7), u(0.07, 0.14)
    if u() < 0.5:
        for x in np.arange(-wide / 2, wide / 2, 0.055):
            parts.box((0.042, deep, high), (float(x), 0, 0.1))
        for z in (0.14, high + 0.04):
            parts.box((wide, deep * 0.5, 0.03), (0, 0, z))
    else:
        parts.box((wide, deep * 0.3, high), (0, -deep * 0.35, 0.1))
        parts.box((wide, deep, 0.02), (0, 0, 0.09 + high))
        for x in np.arange(-wide / 2 + 0.03, wide / 2, 0.06):
            parts.box((0.03, 0.012, high - 0.06), (float(x), -deep * 0.5, 0.13))
    parts.box((0.025, 0.025, 0.12), (wide / 2 - 0.05, 0, 0.0), 1)
    parts.box((0.06, 0.06, 0.05), (wide / 2 + 0.03, -0.02, 0.12), 1)
    return parts.model([WHITE, METAL])


def stairs(rng: np.random.Generator) -> Model:
    """A flight of stairs going up towards the back, with a railing."""
    u = rng.uniform
    steps, wide, rise, run = int(rng.integers(5, 14)), u(0.85, 1.5), u(0.16, 0.19), u(0.25, 0.3)
    parts, closed = Parts(), u() < 0.7
    for i in range(steps):
        parts.box((wide, run + 0.03, 0.04), (0, i * run, (i + 1) * rise - 0.04))
        if closed:
            parts.box((wide - 0.04, run, (i + 1) * rise - 0.04), (0, i * run + 0.02, 0), 1)
    slope = math.atan2(rise, run)
    long = steps * math.hypot(rise, run)
    for side in (-1, 1) if u() < 0.5 else (-1,):
        x = side * (wide / 2 - 0.03)
        for i in range(0, steps, int(rng.integers(1, 3))):
            parts.box((0.025, 0.025, 0.88), (x, i * run, (i + 1) * rise), 2)
        start, end = (
            np.array([x, 0.0, rise + 0.9]),
            np.array([x, long * math.cos(slope), rise + 0.9 + long * math.sin(slope)]),
        )
        parts.add(tube(np.stack([start, end]), 0.028, sides=6, slot=3))
    return parts.model([WOOD if u() < 0.6 else Look("stone"), PAINT if u() < 0.6 else WOOD, METAL, WOOD])


def railing(rng: np.random.Generator) -> Model:
    """Banister of bars or a panel."""
    u = rng.uniform
    parts, wide, high = Parts(), u(1.0, 3.0), u(0.85, 1.1)
    parts.box((wide, 0.05, 0.04), (0, 0, high - 0.04), 1)
    parts.box((wide, 0.03, 0.03), (0, 0, 0.08))
    for x in np.arange(-wide / 2 + 0.02, wide / 2, u(0.09, 0.16)):
        parts.box((0.018, 0.018, high - 0.1), (float(x), 0, 0.08))
    for x in (-wide / 2, wide / 2):
        parts.box((0.05, 0.05, high), (x, 0, 0))
    return parts.model([METAL if u() < 0.6 else WOOD, WOOD])


def duct(rng: np.random.Generator) -> Model:
    """Ventilation duct or bundle of pipes below a ceiling, along x."""
    u = rng.uniform
    parts, long = Parts(), u(2.5, 6.0)
    if u() < 0.5:
        radius = u(0.1, 0.25)
        path = np.array([[-long / 2, 0, radius], [long / 2, 0, radius]])
        parts.add(tube(path, radius, sides=14))
        for x in np.arange(-long / 2, long / 2, 0.9):
            ring = np.array([[float(x), 0, radius], [float(x) + 0.04, 0, radius]])
            parts.add(tube(ring, radius * 1.06, sides=14))
    else:
        for i in range(int(rng.integers(2, 6))):
            radius = u(0.015, 0.06)
            parts.add(
                tube(np.array([[-long / 2, i * 0.14, 0.06], [long / 2, i * 0.14, 0.06]]), radius, sides=8, slot=i % 2)
            )
    return parts.model([METAL, PLASTIC])


def pillar(rng: np.random.Generator) -> Model:
    """Square or round pillar, 2.6 m high."""
    u = rng.uniform
    parts, wide, high = Parts(), u(0.2, 0.6), 2.6
    if u() < 0.5:
        parts.box((wide, wide, high), (0, 0, 0))
    else:
        parts.add(cylinder(wide / 2, high, sides=18))
    if u() < 0.4:
        parts.box((wide + 0.06, wide + 0.06, 0.12), (0, 0, 0), 1)
    return parts.model([Look("plaster", repeat_m=(0.5, 2.0)), PAINT])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "door": ("door", door, 8),
    "open_door": ("door_leaf", open_door, 4),
    "door_frame": ("door_frame", door_frame, 4),
    "window_frame": ("window_frame", window_frame, 5),
    "bright_window": ("window", bright_window, 8),
    "radiator": ("radiator", radiator, 6),
    "stairs": ("stairs", stairs, 5),
    "railing": ("railing", railing, 4),
    "duct": ("duct", duct, 5),
    "pillar": ("pillar", pillar, 5),
}
