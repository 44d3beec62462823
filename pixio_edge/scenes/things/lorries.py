"""Lorries and buses. Their front faces -y."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Look, Mesh, Model, merge
from pixio_edge.scenes.shapes import box
from pixio_edge.scenes.shapes.hulls import quads, wheel
from pixio_edge.scenes.shapes.masonry import block

Rng = np.random.Generator
PAINT, GLASS, BLACK, RIM, LIGHT, CARGO, PICTURE = range(7)


def vehicle_looks(rng: Rng) -> tuple[Look, ...]:
    """Looks of the slots of lorries, buses and two-wheelers."""
    white = rng.random() < 0.4
    return (
        Look("carpaint", tint=(0.9, 0.9, 0.9)) if rng.random() < 0.4 else Look("carpaint"),
        Look("glass", tint=(0.14, 0.16, 0.18)),
        Look("rubber", tint=(0.1, 0.1, 0.105)),
        Look("metal", tint=(0.5, 0.5, 0.52)),
        Look("glass", tint=(0.85, 0.85, 0.86)),
        Look("paint", tint=(0.9, 0.9, 0.88)) if white else Look("paint"),
        Look("print", fit=True),
    )


def _face(x0: float, x1: float, z0: float, z1: float, y: float) -> list[tuple[float, float, float]]:
    return [(x0, y, z0), (x1, y, z0), (x1, y, z1), (x0, y, z1)]


def _side(y0: float, y1: float, z0: float, z1: float, x: float) -> list[tuple[float, float, float]]:
    """A face on a long side; x tells which."""
    a, b = (y0, y1) if x > 0 else (y1, y0)
    return [(x, a, z0), (x, b, z0), (x, b, z1), (x, a, z1)]


def _twin_wheels(half: float, r: float, axles: list[float]) -> list[Mesh]:
    return [wheel(r, 0.32, (s * (half - 0.16), y, r), s, slots=(BLACK, RIM)) for y in axles for s in (-1.0, 1.0)]


def lorry(rng: Rng) -> Model:
    """A lorry with a cab and a box, tank-like tarpaulin or open bed."""
    length, half = float(rng.uniform(6, 11)), float(rng.uniform(1.05, 1.25))
    height, cab = float(rng.uniform(2.7, 3.8)), float(rng.uniform(1.6, 2.2))
    front, high = -length / 2, min(height, 2.8)
    parts = [block((-half, front, 0.45), (half, front + cab, high), PAINT)]
    faces = [(_face(-0.9 * half, 0.9 * half, 1.55, high - 0.25, front - 0.01), GLASS)]
    faces += [
        (_face(-half, half, 0.4, 0.75, front - 0.02), BLACK),
        (_face(-0.6 * half, 0.6 * half, 0.85, 1.35, front - 0.01), BLACK),
    ]
    faces += [(_face(s * 0.75 * half - 0.15, s * 0.75 * half + 0.15, 0.5, 0.68, front - 0.03), LIGHT) for s in (-1, 1)]
    faces += [(_side(front + 0.35, front + 1.2, 1.6, high - 0.35, s * (half + 0.01)), GLASS) for s in (-1, 1)]
    parts.append(quads([f for f, _ in faces], [s for _, s in faces]))
    low = float(rng.uniform(0.85, 1.1))
    if rng.random() < 0.75:
        parts.append(block((-half, front + cab + 0.15, low), (half, length / 2, height), CARGO))
        if rng.random() < 0.4:
            pictures = [
                _side(front + cab + 0.8, length / 2 - 0.6, low + 0.4, height - 0.4, s * (half + 0.012)) for s in (-1, 1)
            ]
            parts.append(quads(pictures, PICTURE, fit=True))
    else:
        parts.append(block((-half, front + cab + 0.15, low), (half, length / 2, low + 0.5), CARGO))
        parts.append(box((1.6 * half, 0.5 * (length - cab), 0.9), at=(0, 0.2 * cab, low + 0.3), bevel=0.2, slot=BLACK))
    parts.append(block((-0.7 * half, front + 0.4, 0.4), (0.7 * half, length / 2 - 0.2, low), BLACK))
    parts += _twin_wheels(
        half,
        0.48,
        [front + 0.95, length / 2 - 1.2, length / 2 - 2.3 if length > 8 else length / 2 - 1.2][: 2 + (length > 8)],
    )
    parts += [box((0.12, 0.2, 0.45), at=(s * (half + 0.18), front + 0.25, 1.7), slot=BLACK) for s in (-1, 1)]
    return Model(merge(parts), vehicle_looks(rng))


def bus(rng: Rng) -> Model:
    """A city bus or coach."""
    length, half, height = float(rng.uniform(9, 12.5)), 1.25, float(rng.uniform(2.9, 3.4))
    front, back = -length / 2, length / 2
    parts = [box((2 * half, length, height - 0.35), at=(0, 0, 0.35), bevel=0.18, slot=PAINT)]
    low, high = 1.25, height - 0.35
    faces = [(_face(-0.88 * half, 0.88 * half, 1.0, height - 0.55, front - 0.01), GLASS)]
    faces.append((_face(-0.6 * half, 0.6 * half, height - 0.5, height - 0.22, front - 0.012), LIGHT))
    faces += [(_face(s * 0.75 * half - 0.16, s * 0.75 * half + 0.16, 0.6, 0.8, front - 0.02), LIGHT) for s in (-1, 1)]
    count = int(rng.integers(5, 9))
    step = (length - 0.8) / count
    for i in range(count):
        y = front + 0.4 + i * step
        faces += [(_side(y + 0.06, y + step - 0.06, low, high, s * (half + 0.008)), GLASS) for s in (-1, 1)]
    faces += [(_side(y, y + 1.1, 0.4, high, half + 0.012), GLASS) for y in (front + 0.6, 0.2)]
    faces.append(
        (
            [
                (0.85 * half, back + 0.01, 1.5),
                (-0.85 * half, back + 0.01, 1.5),
                (-0.85 * half, back + 0.01, height - 0.5),
                (0.85 * half, back + 0.01, height - 0.5),
            ],
            GLASS,
        )
    )
    parts.append(quads([f for f, _ in faces], [s for _, s in faces]))
    parts.append(block((-half - 0.006, front + 0.2, 0.3), (half + 0.006, back - 0.2, 0.5), BLACK))
    parts += _twin_wheels(half + 0.02, 0.47, [front + 2.4, back - 2.9])
    return Model(merge(parts), vehicle_looks(rng))


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "lorry": ("lorry", lorry, 5),
    "bus": ("bus", bus, 3),
}
