"""Curves for silhouettes and handles, and what vessels have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from pixio_edge.scenes.mesh import Look, Mesh, Model, Top, merge
from pixio_edge.scenes.shapes import grounded, lathe, tube
from pixio_edge.scenes.shapes.outlines import Points


def spline(points: ArrayLike, count: int = 12) -> Points:
    """A smooth curve through points (Catmull-Rom), sampled evenly in the points' order.

    Args:
        points: (n, k), metres.
        count: Samples, first and last point included.
    """
    knots = np.asarray(points, dtype=np.float64)
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    t = np.linspace(0, len(knots) - 1, count)
    i = np.minimum(t.astype(int), len(knots) - 2)
    f = (t - i)[:, None]
    a, b, c, d = (padded[i + k] for k in range(4))
    result: Points = 0.5 * (2 * b + (c - a) * f + (2 * a - 5 * b + 4 * c - d) * f**2 + (3 * b - a - 3 * c + d) * f**3)
    return result


def silhouette(points: ArrayLike, count: int = 12) -> Points:
    """`spline` for radius and height: the radius never becomes negative."""
    line = spline(points, count)
    line[:, 0] = np.maximum(line[:, 0], 0.0)
    return line


def hollow(outside: ArrayLike, wall: float) -> Points:
    """Profile of an open vessel: up the outside, over the rim and down the inside.

    Args:
        outside: Radius and height from the bottom up, (n, 2), metres.
        wall: Thickness, metres.
    """
    out = np.asarray(outside, dtype=np.float64)
    inside = out[::-1] - np.array([wall, 0.0])
    inside = inside[(inside[:, 1] > out[0, 1] + wall) & (inside[:, 0] > 0.0)]
    floor = out[0, 1] + wall
    last = inside[-1, 0] if len(inside) else out[-1, 0] - wall
    return np.concatenate([out, inside, [(0.9 * last, floor), (0.0, floor)]])


def band(outside: ArrayLike, low: float, high: float, *, slot: int, sides: int = 16) -> Mesh:
    """A print or glaze around a vessel: its outside between two heights, just proud of it, uv from 0 to 1.

    Args:
        outside: Radius and height from the bottom up, (n, 2), metres; heights grow.
        low: Lowest height, metres.
        high: Highest height.
        slot: Of all its triangles.
        sides: As many as the vessel has.
    """
    line = np.asarray(outside, dtype=np.float64)
    heights = np.concatenate([[low], line[(line[:, 1] > low) & (line[:, 1] < high), 1], [high]])
    radii = np.interp(heights, line[:, 1], line[:, 0]) + 0.0008
    return lathe(np.stack([radii, heights], axis=1), sides=sides, cap=False, slot=slot, fit=True)


def handle(
    reach: float, low: float, high: float, *, at: float = 0.0, thickness: float = 0.005, slot: int = 0, sides: int = 6
) -> Mesh:
    """A bow from height `low` to `high` at x = `at` that reaches out to x = at + reach, metres."""
    middle, half = (low + high) / 2, (high - low) / 2
    bow = [(at, 0, low), (at + 0.8 * reach, 0, middle - 0.75 * half), (at + reach, 0, middle)]
    bow += [(at + 0.8 * reach, 0, middle + 0.8 * half), (at, 0, high)]
    return tube(spline(bow, 9), thickness, sides=sides, slot=slot)


def ring(radius: float, thickness: float, *, height: float = 0.0, sides: int = 12, slot: int = 0) -> Mesh:
    """A level torus around z whose tube is centred at `height`, metres."""
    angles = np.linspace(0, 2 * math.pi, sides + 1)
    path = np.stack([np.cos(angles) * radius, np.sin(angles) * radius, np.full_like(angles, height)], axis=1)
    return tube(path, thickness, sides=6, slot=slot)


def thing(parts: Sequence[Mesh], looks: Sequence[Look], tops: Sequence[Top] = ()) -> Model:
    """A model of parts, set down on z = 0 and centred."""
    return Model(grounded(merge(parts)), tuple(looks), tuple(tops))
