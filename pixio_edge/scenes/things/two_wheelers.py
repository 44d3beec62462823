"""Bicycles, motorcycles and riders. Their front faces -y."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Look, Mesh, Model, merge
from pixio_edge.scenes.shapes import ball, box, moved, tube
from pixio_edge.scenes.shapes.hulls import quads, wheel
from pixio_edge.scenes.things.lorries import BLACK, CARGO, LIGHT, PAINT, RIM, vehicle_looks

Rng = np.random.Generator


def _thin_wheel(r: float, y: float, width: float) -> Mesh:
    """A spoked wheel: its tyre as a ring, some spokes."""
    turn = np.linspace(0, 2 * math.pi, 15)
    ring = tube(
        np.stack([0 * turn, y + r * np.cos(turn), r + r * np.sin(turn) * (1 - width / r)], axis=1),
        width,
        sides=4,
        slot=BLACK,
    )
    spokes = [
        tube(
            [(0, y - r * math.cos(a), r - r * math.sin(a)), (0, y + r * math.cos(a), r + r * math.sin(a))],
            0.006,
            sides=3,
            slot=RIM,
        )
        for a in (0.1, 0.9, 1.7, 2.5)
    ]
    return merge([ring, *spokes])


def _bicycle(rng: Rng) -> list[Mesh]:
    r = float(rng.uniform(0.3, 0.36))
    front, back, seat, bar = -0.52, 0.5, 0.92, 1.0
    crank = (0.0, 0.05, 0.28)
    pipes: list[list[tuple[float, float, float]]] = [
        [(0, back, r), (0, 0.18, seat - 0.12)],
        [(0, back, r), crank],
        [crank, (0, 0.2, seat)],
        [crank, (0, -0.36, bar - 0.22)],
        [(0, 0.17, seat - 0.15), (0, -0.38, bar - 0.15)],
        [(0, front, r), (0, -0.38, bar - 0.2), (0, -0.35, bar)],
    ]
    parts = [tube(pipe, 0.02, sides=5, slot=PAINT) for pipe in pipes]
    parts += [_thin_wheel(r, front, 0.022), _thin_wheel(r, back, 0.022)]
    parts.append(
        tube(
            [(-0.28, -0.28, bar), (-0.1, -0.36, bar), (0.1, -0.36, bar), (0.28, -0.28, bar)], 0.015, sides=4, slot=BLACK
        )
    )
    parts.append(ball((0.08, 0.14, 0.04), at=(0, 0.22, seat + 0.03), detail=0, slot=BLACK))
    if rng.random() < 0.3:
        parts.append(box((0.34, 0.26, 0.24), at=(0, -0.56, 0.78), slot=RIM))
    return parts


def _grounded(parts: list[Mesh]) -> Mesh:
    mesh = merge(parts)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    return moved(mesh, (-float(low[0] + high[0]) / 2, -float(low[1] + high[1]) / 2, -float(low[2])))


def bicycle(rng: Rng) -> Model:
    """A parked bicycle that leans a little."""
    lean = float(rng.uniform(0.02, 0.14))
    return Model(_grounded([moved(merge(_bicycle(rng)), roll=lean)]), vehicle_looks(rng))


def motorcycle(rng: Rng) -> Model:
    """A motorcycle or scooter on its stand."""
    r = float(rng.uniform(0.24, 0.33))
    front, back = -0.68, 0.62
    parts = [wheel(r, 0.12, (s * 0.012, y, r), s, slots=(BLACK, RIM)) for y in (front, back) for s in (-1.0, 1.0)]
    parts.append(ball((0.15, 0.3, 0.16), at=(0, -0.15, 0.82), slot=PAINT))
    parts.append(box((0.24, 0.75, 0.1), at=(0, 0.4, 0.74), bevel=0.04, slot=BLACK))
    parts.append(box((0.3, 0.5, 0.4), at=(0, 0.0, 0.28), bevel=0.08, slot=RIM))
    parts.append(box((0.2, 0.4, 0.16), at=(0, 0.62, 0.58), bevel=0.05, slot=PAINT))
    parts += [tube([(s * 0.08, front, r), (s * 0.1, -0.45, 1.0)], 0.03, sides=5, slot=RIM) for s in (-1, 1)]
    parts.append(
        tube(
            [(-0.36, -0.3, 1.02), (-0.1, -0.42, 1.02), (0.1, -0.42, 1.02), (0.36, -0.3, 1.02)],
            0.02,
            sides=4,
            slot=BLACK,
        )
    )
    parts.append(ball((0.1, 0.08, 0.1), at=(0, -0.52, 0.88), detail=0, slot=LIGHT))
    if rng.random() < 0.5:
        parts.append(
            quads([[(-0.2, -0.56, 0.55), (0.2, -0.56, 0.55), (0.17, -0.45, 1.25), (-0.17, -0.45, 1.25)]], PAINT)
        )
    return Model(_grounded([moved(merge(parts), roll=float(rng.uniform(0.03, 0.12)))]), vehicle_looks(rng))


def rider(rng: Rng) -> Model:
    """Someone who rides a bicycle."""
    skin, coat, legs = 7, 8, 9
    parts = _bicycle(rng)
    lean = float(rng.uniform(0.15, 0.6))
    hip = np.array([0.0, 0.2, 0.98])
    shoulder = hip + 0.52 * np.array([0.0, -math.sin(lean), math.cos(lean)])
    trunk = tube(
        [hip, 0.5 * (hip + shoulder), shoulder, shoulder + np.array([0, -0.01, 0.05])],
        [0.15, 0.16, 0.17, 0.07],
        sides=8,
        slot=coat,
    )
    head = shoulder + np.array([0, -0.08, 0.24])
    parts += [
        trunk,
        ball((0.085, 0.1, 0.12), at=head.tolist(), slot=skin),
        ball((0.1, 0.12, 0.1), at=(head + np.array([0, 0.01, 0.05])).tolist(), slot=CARGO),
    ]
    phase = float(rng.uniform(0, 6.3))
    for side in (-1.0, 1.0):
        turn = phase + (math.pi if side > 0 else 0.0)
        foot = np.array([side * 0.12, 0.05 + 0.16 * math.cos(turn), 0.3 + 0.16 * math.sin(turn)])
        knee = 0.5 * (hip + foot) + [side * 0.1, -0.24, 0.12]
        parts.append(tube([hip + np.array([side * 0.08, 0, 0]), knee, foot], [0.085, 0.065, 0.045], slot=legs))
        parts.append(box((0.09, 0.26, 0.08), at=(foot[0], foot[1] - 0.05, foot[2] - 0.08), slot=BLACK))
        hand = np.array([side * 0.26, -0.29, 1.02])
        elbow = 0.5 * (shoulder + hand) + [side * 0.1, 0.03, -0.06]
        parts.append(
            tube([shoulder + np.array([side * 0.16, 0, -0.03]), elbow, hand], [0.055, 0.045, 0.035], slot=coat)
        )
    return Model(_grounded(parts), (*vehicle_looks(rng), Look("skin"), Look("fabric"), Look("fabric")))


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "bicycle": ("cycle", bicycle, 6),
    "motorcycle": ("cycle", motorcycle, 4),
    "rider": ("rider", rider, 4),
}
