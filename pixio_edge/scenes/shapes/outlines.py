"""Outlines in the plane: closed polygons, counter-clockwise, and their triangles."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]


def circle(radius: float, sides: int = 12, *, squash: float = 1.0) -> Points:
    """A regular polygon around the origin, (sides, 2); `squash` scales its second axis."""
    angles = np.arange(sides) * (2.0 * math.pi / sides)
    return np.stack([np.cos(angles) * radius, np.sin(angles) * radius * squash], axis=1)


def rounded(width: float, depth: float, radius: float, *, steps: int = 2) -> Points:
    """A rectangle around the origin whose corners are arcs of `steps` sides, (4 * (steps + 1), 2)."""
    radius = min(radius, 0.499 * width, 0.499 * depth)
    corners = []
    for quarter, (x, y) in enumerate([(1, 1), (-1, 1), (-1, -1), (1, -1)]):
        angles = (quarter + np.arange(steps + 1) / steps) * (math.pi / 2)
        centre = (x * (width / 2 - radius), y * (depth / 2 - radius))
        corners.append(np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius + centre)
    return np.concatenate(corners)


def counter_clockwise(outline: ArrayLike) -> Points:
    """The outline as float64 (n, 2), turned around if it runs clockwise."""
    points = np.asarray(outline, dtype=np.float64)
    following = np.roll(points, -1, axis=0)
    area = float(np.sum(points[:, 0] * following[:, 1] - points[:, 1] * following[:, 0]))
    return points if area > 0 else np.ascontiguousarray(points[::-1])


def _cross(a: Sequence[float], b: Sequence[float], c: Sequence[float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def triangulate(outline: Points) -> list[tuple[int, int, int]]:
    """Triangles of a simple polygon, possibly concave, by cutting off ears; indices of its points.

    Args:
        outline: (n, 2), counter-clockwise, without self-intersections.
    """
    points = outline.tolist()
    left = list(range(len(points)))
    triangles: list[tuple[int, int, int]] = []
    while len(left) > 3:
        # Without an ear (points in one line) the flattest corner goes: the polygon is then thinner than rounding.
        cut = min(range(len(left)), key=lambda i: abs(_corner(points, left, i)))
        for i in range(len(left)):
            if _is_ear(points, left, i):
                triangles.append((left[i - 1], left[i], left[(i + 1) % len(left)]))
                cut = i
                break
        del left[cut]
    triangles.append((left[0], left[1], left[2]))
    return triangles


def _corner(points: list[list[float]], left: list[int], i: int) -> float:
    return _cross(points[left[i - 1]], points[left[i]], points[left[(i + 1) % len(left)]])


def _is_ear(points: list[list[float]], left: list[int], i: int) -> bool:
    a, b, c = left[i - 1], left[i], left[(i + 1) % len(left)]
    pa, pb, pc = points[a], points[b], points[c]
    if _cross(pa, pb, pc) <= 1e-12:
        return False
    for other in left:
        if other in {a, b, c}:
            continue
        p = points[other]
        if _cross(pa, pb, p) >= 0 and _cross(pb, pc, p) >= 0 and _cross(pc, pa, p) >= 0:
            return False
    return True
