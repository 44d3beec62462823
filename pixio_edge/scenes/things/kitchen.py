"""Kitchen units, appliances, and what stands in bathrooms. Counters are of one height, so that they line up."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Look, Model
from pixio_edge.scenes.shapes import cylinder, lathe, tube
from pixio_edge.scenes.shapes.carpentry import Parts, cushion
from pixio_edge.scenes.things.seats import BLACK, METAL, WOOD

COUNTER_HEIGHT = 0.9
COUNTER_DEPTH = 0.6
WORKTOP = Look("stone", gloss=(0.1, 0.7), repeat_m=(0.4, 1.2))
FRONT = Look("furniture", gloss=(0.1, 0.7), repeat_m=(0.5, 2.0))
CHROME = Look("chrome", gloss=(0.0, 0.2))
WHITE = Look("plastic", gloss=(0.2, 0.6), tint=(0.93, 0.93, 0.92))
GLASS = Look("plastic", gloss=(0.7, 1.0), tint=(0.06, 0.06, 0.07))
LABEL = Look("picture", fit=True)


def _body(parts: Parts, wide: float, *, worktop: bool = True) -> None:
    """Plinth, carcass (slot 1) and worktop (slot 0)."""
    parts.box((wide, COUNTER_DEPTH - 0.08, 0.1), (0, 0.04, 0), 3)
    parts.box((wide, COUNTER_DEPTH - 0.04, COUNTER_HEIGHT - 0.14), (0, 0.02, 0.1), 1)
    if worktop:
        parts.box((wide + 0.002, COUNTER_DEPTH + 0.03, 0.04), (0, -0.005, COUNTER_HEIGHT - 0.04))


def _fronts(rng: np.random.Generator, parts: Parts, wide: float) -> None:
    """Doors or drawers (slot 1) with handles (slot 2)."""
    front = -COUNTER_DEPTH / 2 + 0.01
    count = 1 if wide < 0.55 else int(rng.integers(1, 3))
    drawers = rng.uniform() < 0.4
    levels = ((0.12, 0.28), (0.42, 0.26), (0.7, 0.14)) if drawers else ((0.12, 0.72),)
    columns = 1 if drawers else count
    each = wide / columns
    for i in range(columns):
        x = (i - (columns - 1) / 2) * each
        for low, high in levels:
            parts.box((each - 0.008, 0.02, high - 0.006), (x, front, low), 1)
            parts.box((min(0.18, each * 0.5), 0.03, 0.014), (x, front - 0.022, low + high - 0.06), 2)


def base_unit(rng: np.random.Generator) -> Model:
    """Counter with doors or drawers."""
    parts, wide = Parts(), float(rng.choice([0.4, 0.5, 0.6, 0.8, 0.9]))
    _body(parts, wide)
    _fronts(rng, parts, wide)
    parts.top(wide, COUNTER_DEPTH * 0.9, (0, 0, COUNTER_HEIGHT), 0.5)
    return parts.model([WORKTOP, FRONT, METAL, BLACK])


def sink_unit(rng: np.random.Generator) -> Model:
    """Counter with one or two sinks, a draining board and a tap."""
    u = rng.uniform
    parts, wide, basin, deep = Parts(), float(rng.choice([0.8, 0.9, 1.2])), u(0.34, 0.46), 0.17
    _body(parts, wide, worktop=False)
    _fronts(rng, parts, wide)
    x0, y0, long = u(-0.1, 0.1), -0.03, u(0.34, 0.4)
    left, right = wide / 2 + x0 - basin / 2, wide / 2 - x0 - basin / 2
    z = COUNTER_HEIGHT - 0.04
    parts.box((left, 0.63, 0.04), (-wide / 2 + left / 2, -0.005, z))
    parts.box((right, 0.63, 0.04), (wide / 2 - right / 2, -0.005, z))
    for end in (-1, 1):
        edge = y0 + end * long / 2
        far = end * 0.315 - 0.005
        parts.box((basin, abs(far - edge), 0.04), (x0, (far + edge) / 2, z))
        parts.box((basin, 0.01, deep), (x0, edge, COUNTER_HEIGHT - deep), 4)
        parts.box((0.01, long, deep), (x0 + end * basin / 2, y0, COUNTER_HEIGHT - deep), 4)
    parts.box((basin, long, 0.01), (x0, y0, COUNTER_HEIGHT - deep), 4)
    _tap(rng, parts, x0, 0.2, COUNTER_HEIGHT)
    parts.top(right * 0.9, 0.5, (wide / 2 - right / 2, 0, COUNTER_HEIGHT), 0.4)
    parts.top(left * 0.9, 0.5, (-wide / 2 + left / 2, 0, COUNTER_HEIGHT), 0.4)
    parts.top(basin * 0.8, long * 0.8, (x0, y0, COUNTER_HEIGHT - deep + 0.012), 0.3)
    return parts.model([WORKTOP, FRONT, METAL, BLACK, CHROME])


def _tap(rng: np.random.Generator, parts: Parts, x: float, y: float, z: float) -> None:
    """A curved tap towards the front (slot 4)."""
    high, reach = rng.uniform(0.12, 0.34), rng.uniform(0.14, 0.22)
    bend = np.linspace(0, math.pi, 6)
    arc = [[x, y - reach / 2 + reach / 2 * math.cos(t), z + high + reach / 2 * math.sin(t)] for t in bend]
    parts.add(tube(np.array([[x, y, z], *arc, [x, y - reach, z + high - 0.03]]), 0.012, sides=6, slot=4))
    parts.add(cylinder(0.025, 0.05, sides=8, at=(x, y, z), slot=4))
    parts.box((0.012, 0.012, 0.09), (x + 0.03, y, z + 0.05), 4, roll=0.9)


def cooker(rng: np.random.Generator) -> Model:
    """Oven with a hob of four plates or gas burners."""
    u = rng.uniform
    parts, wide = Parts(), 0.6
    _body(parts, wide)
    front = -COUNTER_DEPTH / 2 + 0.005
    parts.box((0.59, 0.03, 0.5), (0, front, 0.18), 2)
    parts.box((0.44, 0.012, 0.3), (0, front - 0.018, 0.25), 5)
    parts.box((0.46, 0.035, 0.02), (0, front - 0.03, 0.62), 4)
    parts.box((0.59, 0.03, 0.13), (0, front, 0.71), 2)
    for x in np.linspace(-0.24, 0.24, int(rng.integers(4, 7))):
        parts.box((0.035, 0.03, 0.035), (float(x), front - 0.025, 0.76), 3)
    parts.box((0.56, 0.5, 0.008), (0, 0, COUNTER_HEIGHT), 5)
    gas = u() < 0.45
    for x in (-0.14, 0.14):
        for y in (-0.12, 0.12):
            radius = u(0.06, 0.1)
            parts.add(cylinder(radius, 0.004 if not gas else 0.02, sides=12, at=(x, y, COUNTER_HEIGHT + 0.008), slot=3))
            if gas:
                for turn in (0.0, 1.5708):
                    parts.box((0.22, 0.008, 0.01), (x, y, COUNTER_HEIGHT + 0.032), 3, yaw=turn)
    parts.top(0.5, 0.46, (0, 0, COUNTER_HEIGHT + (0.042 if gas else 0.012)), 0.4)
    return parts.model([WORKTOP, FRONT, METAL if u() < 0.6 else WHITE, BLACK, CHROME, GLASS])


def dishwasher(rng: np.random.Generator) -> Model:
    """Dishwasher, or washing machine with a round door, under a worktop."""
    u = rng.uniform
    parts, washing = Parts(), u() < 0.5
    _body(parts, 0.6)
    front = -COUNTER_DEPTH / 2 + 0.005
    parts.box((0.592, 0.03, 0.72), (0, front, 0.1), 2)
    parts.box((0.592, 0.032, 0.1), (0, front - 0.002, 0.74), 4 if u() < 0.5 else 2)
    if washing:
        ring = [[0.2 * math.cos(t), front - 0.03, 0.42 + 0.2 * math.sin(t)] for t in np.linspace(0, 2 * math.pi, 17)]
        parts.add(tube(np.array(ring), 0.03, sides=6, slot=4))
        parts.box((0.3, 0.02, 0.3), (0, front - 0.012, 0.27), 3)
        parts.box((0.07, 0.02, 0.07), (0.15, front - 0.02, 0.755), 4)
    else:
        parts.box((0.45, 0.035, 0.02), (0, front - 0.03, 0.7), 4)
    parts.top(0.58, 0.5, (0, 0, COUNTER_HEIGHT), 0.5)
    return parts.model([WORKTOP, FRONT, WHITE if u() < 0.7 else METAL, GLASS, CHROME])


def fridge(rng: np.random.Generator) -> Model:
    """Fridge with one, two or side-by-side doors, magnets and notes on it."""
    u = rng.uniform
    wide, depth, high = u(0.55, 0.92), u(0.6, 0.72), u(1.25, 2.0)
    parts = Parts()
    parts.box((wide, depth - 0.06, high), (0, 0.03, 0))
    front = -depth / 2 + 0.02
    split = u(0.3, 0.7) if u() < 0.7 else 1.0
    for low, top in ((0.02, split), (split, 1.0)) if split < 1 else ((0.02, 1.0),):
        columns = 2 if wide > 0.8 else 1
        for i in range(columns):
            each = wide / columns
            x = (i - (columns - 1) / 2) * each
            parts.box((each - 0.01, 0.05, (top - low) * high - 0.012), (x, front, low * high))
            side = (1 if i == 0 else -1) * (each / 2 - 0.05)
            parts.box(
                (0.02, 0.045, min(0.45, (top - low) * high * 0.5)),
                (x + side, front - 0.04, (low + (top - low) * 0.3) * high),
                1,
            )
    for _ in range(int(rng.integers(0, 7))):
        size = (u(0.05, 0.2), 0.003, u(0.05, 0.25))
        parts.box(size, (u(-0.35, 0.3) * wide, front - 0.027, high * u(0.5, 0.82)), 2, fit=True, roll=u(-0.1, 0.1))
    parts.top(wide * 0.9, depth * 0.8, (0, 0, high), 0.35)
    return parts.model([WHITE if u() < 0.6 else METAL, METAL, LABEL])


def hood(rng: np.random.Generator) -> Model:
    """Extractor hood with a chimney; hangs over the cooker."""
    u = rng.uniform
    parts, wide = Parts(), u(0.6, 0.9)
    parts.box((wide, 0.48, 0.06), (0, 0, 0))
    flare = np.array([[wide * 0.62, 0.06], [0.2, 0.06 + u(0.05, 0.3)]])
    parts.add(lathe(flare, sides=4, smooth=False, at=(0, 0.02, 0)))
    parts.box((0.28, 0.26, u(0.5, 0.8)), (0, 0.1, 0.1))
    return parts.model([METAL if u() < 0.7 else WHITE])


def wall_cupboard(rng: np.random.Generator) -> Model:
    """Cupboard that hangs on the wall above a counter."""
    u = rng.uniform
    wide, depth, high = float(rng.choice([0.4, 0.6, 0.8, 0.9])), u(0.3, 0.37), u(0.55, 0.9)
    parts, doors = Parts(), 1 if wide < 0.55 else 2
    parts.box((wide, depth, high), (0, 0, 0), 0)
    for i in range(doors):
        each = wide / doors
        x = (i - (doors - 1) / 2) * each
        parts.box((each - 0.006, 0.018, high - 0.006), (x, -depth / 2 - 0.009, 0.003), 0)
        if u() < 0.25:
            parts.box((each * 0.75, 0.006, high * 0.8), (x, -depth / 2 - 0.02, high * 0.1), 2)
        edge = (each / 2 - 0.04) * (1 if i == 0 else -1)
        parts.box((0.014, 0.03, 0.12), (x + edge, -depth / 2 - 0.032, 0.05), 1)
    parts.top(wide * 0.9, depth * 0.8, (0, 0, high), 0.35)
    return parts.model([FRONT, METAL, GLASS])


def wall_shelf(rng: np.random.Generator) -> Model:
    """One to three boards on brackets, for things."""
    u = rng.uniform
    wide, depth, step, count = u(0.5, 1.4), u(0.16, 0.3), u(0.25, 0.36), int(rng.integers(1, 4))
    parts = Parts()
    for level in range(count):
        parts.box((wide, depth, 0.022), (0, 0, level * step))
        for side in (-1, 1):
            parts.box((0.02, depth * 0.9, 0.1), (side * wide * 0.4, depth * 0.05, level * step - 0.1), 1)
        parts.top(wide * 0.96, depth * 0.9, (0, 0, level * step + 0.022), step - 0.05 if level < count - 1 else 0.3)
    return parts.model([WOOD, METAL])


def island(rng: np.random.Generator) -> Model:
    """Kitchen island or shop counter, free on all sides."""
    u = rng.uniform
    wide, depth, high = u(1.2, 2.4), u(0.6, 1.0), u(0.85, 1.1)
    parts = Parts()
    parts.box((wide - 0.1, depth - 0.12, 0.08), (0, 0, 0), 3)
    parts.box((wide - 0.04, depth - 0.06, high - 0.12), (0, 0, 0.08), 1)
    parts.box((wide, depth, 0.04), (0, 0, high - 0.04))
    for x in np.arange(-wide / 2 + 0.3, wide / 2 - 0.2, 0.5):
        parts.box((0.49, 0.02, high - 0.16), (float(x), -depth / 2 + 0.02, 0.1), 1)
        parts.box((0.14, 0.03, 0.014), (float(x), -depth / 2, high - 0.16), 2)
    parts.top(wide * 0.96, depth * 0.92, (0, 0, high), 0.8)
    return parts.model([WORKTOP, FRONT, METAL, BLACK])


def toilet(rng: np.random.Generator) -> Model:
    """Toilet with a cistern."""
    u = rng.uniform
    parts = Parts()
    bowl = np.array([[0.1, 0.0], [0.11, 0.15], [0.17, 0.33], [0.185, 0.39]])
    parts.add(lathe(bowl, sides=16, at=(0, -0.05, 0)))
    parts.add(cushion((0.37, 0.46, 0.05), (0, -0.05, 0.38), 0, round_side=0.8))
    if u() < 0.4:
        parts.add(cushion((0.37, 0.04, 0.42), (0, 0.16, 0.41), 0, round_flat=0.6, lean=0.2))
    parts.box((0.38, 0.17, 0.36), (0, 0.26, 0.4))
    parts.box((0.4, 0.19, 0.03), (0, 0.26, 0.76))
    parts.box((0.25, 0.3, 0.3), (0, 0.18, 0.0))
    parts.top(0.34, 0.15, (0, 0.26, 0.79), 0.3)
    return parts.model([WHITE])


def washbasin(rng: np.random.Generator) -> Model:
    """Washbasin on a column or a cupboard, with a tap."""
    u = rng.uniform
    parts, wide, depth, high = Parts(), u(0.45, 0.8), u(0.4, 0.5), u(0.8, 0.88)
    if u() < 0.5:
        parts.box((wide, depth * 0.9, 0.5), (0, 0.02, u(0.0, 0.3)), 1)
    else:
        parts.add(cylinder(0.1, high - 0.15, top_radius=0.08, sides=10))
    parts.box((wide * 0.8, depth * 0.6, 0.02), (0, -0.03, high - 0.14))
    for side in (-1, 1):
        parts.box((wide * 0.12, depth, 0.15), (side * wide * 0.44, 0, high - 0.15))
        parts.box(
            (wide, depth * 0.14 if side < 0 else depth * 0.3, 0.15),
            (0, side * depth * (0.43 if side < 0 else 0.35), high - 0.15),
        )
    _tap(rng, parts, 0, depth * 0.36, high)
    parts.top(wide * 0.3, depth * 0.2, (wide * 0.3, depth * 0.36, high), 0.3)
    parts.top(wide * 0.3, depth * 0.2, (-wide * 0.3, depth * 0.36, high), 0.3)
    return parts.model([WHITE, FRONT, METAL, METAL, CHROME])


def bathtub(rng: np.random.Generator) -> Model:
    """Bathtub along a wall, its long side to the front."""
    u = rng.uniform
    long, wide, high = u(1.5, 1.8), u(0.7, 0.8), u(0.5, 0.6)
    parts = Parts()
    for side in (-1, 1):
        parts.box((long, 0.07, high), (0, side * (wide / 2 - 0.035), 0), 0 if side > 0 else 1)
        parts.box((0.1, wide, high), (side * (long / 2 - 0.05), 0, 0))
        parts.box((long, 0.085, 0.03), (0, side * (wide / 2 - 0.04), high))
    parts.box((long, wide, 0.1), (0, 0, 0))
    _tap(rng, parts, -long * 0.3, wide / 2 - 0.04, high + 0.03)
    parts.top(long * 0.8, 0.07, (0, -wide / 2 + 0.04, high + 0.03), 0.3)
    return parts.model([WHITE, WHITE if u() < 0.6 else WORKTOP, METAL, METAL, CHROME])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "base_unit": ("counter", base_unit, 10),
    "sink_unit": ("sink", sink_unit, 6),
    "cooker": ("cooker", cooker, 5),
    "dishwasher": ("white_goods", dishwasher, 5),
    "fridge": ("fridge", fridge, 7),
    "hood": ("hood", hood, 4),
    "wall_cupboard": ("wall_unit", wall_cupboard, 8),
    "wall_shelf": ("wall_shelf", wall_shelf, 6),
    "island": ("island", island, 5),
    "toilet": ("bath", toilet, 3),
    "washbasin": ("bath", washbasin, 5),
    "bathtub": ("bath", bathtub, 3),
}
