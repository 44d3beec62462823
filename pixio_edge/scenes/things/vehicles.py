"""Cars, vans, lorries, buses, bicycles and motorcycles. Their front faces -y."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.mesh import Look, Mesh, Model, merge
from pixio_edge.scenes.shapes.hulls import loft, quads, wheel
from pixio_edge.scenes.shapes.masonry import block

# Slots of everything here.
PAINT, GLASS, BLACK, RIM, HEAD, TAIL, PLATE = range(7)
# Colours that cars really have, and how often.
COLOURS = [
    ((0.13, 0.13, 0.14), 5),
    ((0.9, 0.9, 0.9), 5),
    ((0.66, 0.67, 0.69), 4),
    ((0.4, 0.41, 0.43), 4),
    ((0.14, 0.2, 0.42), 2),
    ((0.6, 0.1, 0.1), 2),
    ((0.3, 0.42, 0.6), 1),
    ((0.15, 0.3, 0.2), 1),
    ((0.7, 0.65, 0.55), 1),
    ((0.85, 0.65, 0.15), 1),
]


@dataclass(frozen=True, slots=True)
class CarShape:
    """Proportions of a car; `t` are shares of the length from the front.

    Attributes:
        length: Metres; like width, height, belt (where windows begin) and bonnet (its height at the windscreen).
        screen: t where the windscreen begins, roof: where the roof begins, tail: where it ends, boot: where the rear
            window ends.
        glass_from: t where side windows begin; glass_to: where they end.
        boot_height: Height behind the rear window.
        taper: Width of the roof over that of the body.
    """

    length: float
    width: float
    height: float
    belt: float
    bonnet: float
    screen: float
    roof: float
    tail: float
    boot: float
    glass_from: float
    glass_to: float
    boot_height: float
    taper: float
    wheel: float


# Ranges of the fields of `CarShape`, in their order.
RANGES: dict[str, tuple[tuple[float, float], ...]] = {
    "hatch": (
        (3.6, 4.3), (1.62, 1.8), (1.42, 1.56), (0.88, 0.96), (0.92, 1.0), (0.22, 0.28), (0.4, 0.46), (0.86, 0.92),
        (0.96, 0.985), (0.34, 0.37), (0.82, 0.88), (0.88, 0.95), (0.72, 0.8), (0.29, 0.33),
    ),
    "saloon": (
        (4.4, 5.0), (1.72, 1.9), (1.38, 1.5), (0.88, 0.95), (0.9, 0.98), (0.26, 0.31), (0.42, 0.47), (0.68, 0.74),
        (0.83, 0.88), (0.37, 0.39), (0.74, 0.8), (0.93, 1.02), (0.7, 0.78), (0.31, 0.34),
    ),
    "estate": (
        (4.4, 4.9), (1.7, 1.88), (1.42, 1.56), (0.88, 0.96), (0.92, 1.0), (0.25, 0.3), (0.4, 0.45), (0.9, 0.94),
        (0.97, 0.985), (0.34, 0.38), (0.88, 0.92), (0.9, 0.98), (0.72, 0.8), (0.31, 0.34),
    ),
    "suv": (
        (4.2, 4.9), (1.8, 1.98), (1.62, 1.85), (1.02, 1.14), (1.06, 1.18), (0.23, 0.28), (0.37, 0.42), (0.88, 0.94),
        (0.965, 0.985), (0.33, 0.36), (0.86, 0.91), (1.0, 1.1), (0.76, 0.84), (0.35, 0.4),
    ),
    "pickup": (
        (4.9, 5.5), (1.82, 2.0), (1.7, 1.9), (1.08, 1.18), (1.1, 1.2), (0.24, 0.28), (0.35, 0.38), (0.55, 0.64),
        (0.65, 0.67), (0.3, 0.32), (0.53, 0.6), (1.02, 1.12), (0.8, 0.86), (0.37, 0.41),
    ),
    "van": (
        (4.6, 6.0), (1.85, 2.1), (1.9, 2.6), (1.1, 1.25), (1.1, 1.2), (0.1, 0.15), (0.22, 0.27), (0.97, 0.975),
        (0.978, 0.982), (0.15, 0.17), (0.3, 0.34), (1.0, 1.2), (0.86, 0.93), (0.32, 0.36),
    ),
    "minibus": (
        (4.8, 5.8), (1.85, 2.05), (1.85, 2.3), (1.1, 1.2), (1.1, 1.2), (0.11, 0.16), (0.23, 0.28), (0.96, 0.97),
        (0.978, 0.982), (0.16, 0.18), (0.9, 0.94), (1.0, 1.2), (0.84, 0.92), (0.32, 0.36),
    ),
}  # fmt: skip


def _stations(shape: CarShape, front: float, rear: float, arch: float) -> list[float]:
    """Places along the length where a cross-section is drawn, shares of the length."""
    marks = [0.0, 0.015, 0.05, shape.screen, shape.roof, shape.tail, shape.boot, 0.985, 1.0]
    pillars = [shape.glass_from, shape.roof + 0.45 * (shape.glass_to - shape.roof), shape.glass_to]
    marks += [p + d for p in pillars for d in (-0.008, 0.008)]
    for centre in (front, rear):
        marks += [centre + arch / shape.length * k for k in (-1.0, -0.97, -0.7, 0.0, 0.7, 0.97, 1.0)]
    return sorted({round(t, 4) for t in marks if 0.0 <= t <= 1.0})


def _top(shape: CarShape, t: float) -> float:
    """Height of the outline at a share of the length."""
    knots = [
        0.0,
        0.015,
        0.05,
        shape.screen,
        shape.roof,
        0.5 * (shape.roof + shape.tail),
        shape.tail,
        shape.boot,
        0.985,
        1,
    ]
    heights = [
        0.7 * shape.bonnet, 0.76 * shape.bonnet, 0.82 * shape.bonnet, shape.bonnet, 0.975 * shape.height, shape.height,
        0.97 * shape.height, shape.boot_height, 0.96 * shape.boot_height, 0.9 * shape.boot_height,
    ]  # fmt: skip
    return float(np.interp(t, knots, heights))


def _body(shape: CarShape, front: float, rear: float) -> Mesh:
    """The shell with wheel arches, painted and glazed."""
    arch = shape.wheel * 1.2
    marks = _stations(shape, front, rear, arch)
    rings = []
    for t in marks:
        top = _top(shape, t)
        cabin = min(1.0, max(0.0, (top - shape.bonnet) / (shape.height - shape.bonnet)))
        half = 0.5 * shape.width * (1.0 - 0.16 * max(0.0, 1 - t / 0.07) ** 2 - 0.12 * max(0.0, (t - 0.94) / 0.06) ** 2)
        off = min(abs(t - front), abs(t - rear)) * shape.length
        sill = 0.24 if off > 0.98 * arch else 0.2 + math.sqrt(max(arch**2 - off**2, 0.01)) * 0.98
        belt = min(shape.belt + 0.06 * (t - 0.4), top - 0.05)
        roof = half * (0.9 + (shape.taper - 0.9) * cabin)
        middle = max(min(0.72, belt - 0.04), sill + 0.02)
        side = [
            (half * 0.95, sill),
            (half, middle),
            (half * 0.975, max(belt, middle + 0.02)),
            (roof, top - 0.035),
            (roof * 0.8, top),
        ]
        rings.append([(-x, t, z) for x, z in side] + [(x, t, z) for x, z in reversed(side)])
    places = np.array(rings)
    places[..., 1] = (places[..., 1] - 0.5) * shape.length
    ends = places[[0, -1]].copy()
    ends[..., 0] = 0.0
    return loft(np.concatenate([ends[:1], places, ends[1:]]), _glazing(shape, marks), crease_deg=32)


def _glazing(shape: CarShape, marks: list[float]) -> NDArray[np.int64]:
    """Slot of each quad of the shell, (stations + 1, 9)."""
    slots = np.full((len(marks) + 1, 9), PAINT)
    middle = [shape.glass_from, shape.roof + 0.45 * (shape.glass_to - shape.roof), shape.glass_to]
    for index in range(len(marks) - 1):
        t = 0.5 * (marks[index] + marks[index + 1])
        if shape.screen < t < shape.roof or shape.tail < t < shape.boot:
            slots[index + 1, [3, 4, 5]] = GLASS
        pillar = any(abs(t - p) < 0.008 for p in middle)
        if shape.glass_from < t < shape.glass_to and not pillar:
            slots[index + 1, [2, 6]] = GLASS
    return slots


def _details(shape: CarShape, rng: np.random.Generator) -> list[Mesh]:
    """Lights, grille, plates, bumpers, mirrors, the dark floor."""
    half, front, rear = 0.5 * shape.width, -0.5 * shape.length - 0.006, 0.5 * shape.length + 0.006
    w, low, high = half * 0.8, 0.5 * shape.bonnet, 0.68 * shape.bonnet
    lamp = rng.uniform(0.2, 0.38) * shape.width * 0.5
    faces = [
        (_front(-w, -w + lamp, low + 0.04, high, front), HEAD),
        (_front(w - lamp, w, low + 0.04, high, front), HEAD),
    ]
    faces.append((_front(-w + lamp + 0.04, w - lamp - 0.04, low - rng.uniform(0, 0.15), high - 0.03, front), BLACK))
    faces.append((_front(-w, w, 0.25, 0.36, front), BLACK))
    faces.append((_front(-0.26, 0.26, 0.42, 0.53, front - 0.006), PLATE))
    tall = shape.boot_height * 0.88
    deep = rng.uniform(0.12, 0.4)
    faces += [
        (_back(-w, -w + lamp * 0.8, tall - deep, tall, rear), TAIL),
        (_back(w - lamp * 0.8, w, tall - deep, tall, rear), TAIL),
    ]
    plate = 0.5 if rng.random() < 0.4 else tall - 0.2
    faces += [(_back(-0.26, 0.26, plate, plate + 0.11, rear + 0.004), PLATE), (_back(-w, w, 0.27, 0.42, rear), BLACK)]
    parts = [quads([f for f, _ in faces], [s for _, s in faces])]
    parts.append(block((-half * 0.9, front + 0.3, 0.2), (half * 0.9, rear - 0.3, 0.3), BLACK))
    at = (shape.glass_from - 0.5) * shape.length
    for side in (-1, 1):
        x = sorted((side * (half - 0.03), side * (half + 0.17)))
        parts.append(block((x[0], at, shape.belt + 0.02), (x[1], at + 0.1, shape.belt + 0.16), PAINT))
    return parts


def _front(x0: float, x1: float, z0: float, z1: float, y: float) -> list[tuple[float, float, float]]:
    return [(x0, y, z0), (x1, y, z0), (x1, y, z1), (x0, y, z1)]


def _back(x0: float, x1: float, z0: float, z1: float, y: float) -> list[tuple[float, float, float]]:
    return [(x1, y, z0), (x0, y, z0), (x0, y, z1), (x1, y, z1)]


def _looks(rng: np.random.Generator, paint: tuple[float, float, float] | None = None) -> tuple[Look, ...]:
    weights = np.array([w for _, w in COLOURS], dtype=float)
    colour = paint or COLOURS[int(rng.choice(len(COLOURS), p=weights / weights.sum()))][0]
    shine = float(rng.uniform(0.3, 0.6))
    return (
        Look("carpaint", tint=colour, gloss=(shine - 0.3, shine - 0.1)),
        Look("glass", tint=(0.14, 0.16, 0.18)),
        Look("rubber", tint=(0.1, 0.1, 0.105)),
        Look("metal", tint=(0.42, 0.43, 0.45), gloss=(0.2, 0.6)),
        Look("glass", tint=(0.85, 0.87, 0.9), gloss=(0.6, 0.9)),
        Look("plastic", tint=(0.5, 0.03, 0.03), gloss=(0.3, 0.7)),
        Look("plastic", tint=(0.85, 0.85, 0.8) if rng.random() < 0.7 else (0.85, 0.7, 0.1)),
    )


def _wheels(half: float, radius: float, axles: list[float], width: float = 0.21) -> list[Mesh]:
    return [
        wheel(radius, width, (side * (half - width * 0.5), y, radius), side, slots=(BLACK, RIM))
        for y in axles
        for side in (-1.0, 1.0)
    ]


def _car(rng: np.random.Generator, kind: str) -> Model:
    shape = CarShape(*(float(rng.uniform(*bounds)) for bounds in RANGES[kind]))
    front, rear = float(rng.uniform(0.17, 0.2)), float(rng.uniform(0.78, 0.81))
    body = _body(shape, front, rear)
    axles = [(front - 0.5) * shape.length, (rear - 0.5) * shape.length]
    wheels = _wheels(0.5 * shape.width - 0.005, shape.wheel, axles)
    inside, reach = 0.4 * shape.width, 1.15 * shape.wheel
    wheels += [block((-inside, y - reach, 0.16), (inside, y + reach, 2.0 * shape.wheel), BLACK) for y in axles]
    return Model(merge([body, *_details(shape, rng), *wheels]), _looks(rng))


def hatch(rng: np.random.Generator) -> Model:
    """A small car with a steep tail."""
    return _car(rng, "hatch")


def saloon(rng: np.random.Generator) -> Model:
    """A three-box car."""
    return _car(rng, "saloon")


def estate(rng: np.random.Generator) -> Model:
    """A long car with a load bay."""
    return _car(rng, "estate")


def suv(rng: np.random.Generator) -> Model:
    """A high car on large wheels."""
    return _car(rng, "suv")


def pickup(rng: np.random.Generator) -> Model:
    """A cabin and a bed."""
    return _car(rng, "pickup")


def van(rng: np.random.Generator) -> Model:
    """A van without rear windows."""
    return _car(rng, "van")


def minibus(rng: np.random.Generator) -> Model:
    """A van with windows all along."""
    return _car(rng, "minibus")


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "hatch": ("car", hatch, 8),
    "saloon": ("car", saloon, 7),
    "estate": ("car", estate, 5),
    "suv": ("car", suv, 6),
    "pickup": ("car", pickup, 2),
    "van": ("van", van, 5),
    "minibus": ("van", minibus, 3),
}
