"""People who sit on chairs, their feet on the floor before them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Look, Model
from pixio_edge.scenes.shapes import ball, tube
from pixio_edge.scenes.shapes.carpentry import Parts, cushion

_CLOTH = Look("fabric", repeat_m=(0.3, 1.2))


def sitting_person(rng: np.random.Generator) -> Model:
    """Someone on a chair, the hands in the lap, on a table before them, or holding something up."""
    u = rng.uniform
    parts, seat, tall, wide = Parts(), u(0.44, 0.5), u(0.52, 0.62), u(0.34, 0.46)
    lean = u(-0.25, 0.2)
    hip_y = 0.1
    parts.add(cushion((wide * 0.9, 0.26, 0.24), (0, hip_y, seat - 0.02), 1, round_flat=0.6, round_side=0.7))
    parts.add(cushion((wide, 0.23, tall), (0, hip_y, seat + 0.04), 0, round_flat=0.55, round_side=0.7, lean=lean))
    top = np.array([0.0, hip_y + tall * math.sin(lean), seat + 0.04 + tall * math.cos(lean)])
    parts.add(tube(np.array([[0, 0, -0.04], [0, -0.01, 0.09]]) + top, 0.05, sides=7, slot=2))
    head = top + np.array([u(-0.03, 0.03), -0.02, 0.19])
    parts.add(ball((0.078, 0.098, 0.12), at=tuple(head), detail=1, slot=2))
    parts.add(ball((0.088, 0.1, 0.11), at=tuple(head + np.array([0, 0.025, 0.035])), detail=1, slot=3))
    reach = u(0.1, 0.42)
    for side in (-1, 1):
        knee_x, knee_y = side * u(0.08, 0.2), hip_y - u(0.4, 0.48)
        foot_y = knee_y + u(-0.15, 0.2)
        leg = [[side * 0.1, hip_y, seat + 0.07], [knee_x, knee_y, seat + 0.05], [knee_x, foot_y, 0.06]]
        parts.add(tube(np.array(leg), np.array([0.085, 0.065, 0.05]), sides=8, slot=1))
        parts.add(cushion((0.09, 0.26, 0.08), (knee_x, foot_y - 0.07, 0.0), 4, round_flat=0.6, round_side=0.6))
        shoulder = top + np.array([side * wide * 0.47, 0.0, -0.07])
        elbow = shoulder + np.array([side * 0.06, -0.06 - 0.2 * reach, -0.25])
        hand = np.array([side * u(0.05, 0.2), elbow[1] - reach * 0.7, seat + u(0.2, 0.36)])
        parts.add(tube(np.stack([shoulder, elbow, hand]), np.array([0.055, 0.045, 0.03]), sides=7, slot=0))
        parts.add(ball((0.04, 0.055, 0.03), at=tuple(hand), detail=0, slot=2))
    return parts.model([_CLOTH, _CLOTH, Look("skin"), Look("hair"), Look("rubber")])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "sitting_person": ("sitting_person", sitting_person, 10),
}
