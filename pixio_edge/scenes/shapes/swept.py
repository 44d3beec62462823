"""Bars along a path and prisms over an outline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pixio_edge.scenes.mesh import Mesh
from pixio_edge.scenes.shapes.building_blocks import build, cross, grid_triangles, shared_normals
from pixio_edge.scenes.shapes.outlines import counter_clockwise, triangulate


def tube(path: ArrayLike, radius: float | ArrayLike, *, sides: int = 6, slot: int = 0) -> Mesh:
    """A round bar along a path with closed ends.

    Args:
        path: (n, 3), metres; no two points in a row are the same.
        radius: One, or one per point.
        sides: Around it.
        slot: Of all its triangles.
    """
    line = np.asarray(path, dtype=np.float64)
    radii = np.broadcast_to(np.asarray(radius, dtype=np.float64), (len(line),))
    step = np.diff(line, axis=0)
    step /= np.linalg.norm(step, axis=1, keepdims=True)
    along = np.concatenate([step[:1], step[:-1] + step[1:], step[-1:]])
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    across = _carried(along)
    angles = np.linspace(0.0, 2 * math.pi, sides + 1)
    c, s = np.cos(angles)[None, :, None], np.sin(angles)[None, :, None]
    unit = c * across[:, None] + s * cross(along, across)[:, None]
    rings = line[:, None] + unit * radii[:, None, None]
    length = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))]
    turn, distance = np.meshgrid(angles * float(radii.max()), length)
    uv = np.stack([turn.reshape(-1), distance.reshape(-1)], axis=1)
    points = np.concatenate([rings.reshape(-1, 3), rings[0, :-1], rings[-1, :-1]])
    ends = np.repeat([-along[0], along[-1]], sides, axis=0)
    first = len(line) * (sides + 1)
    fans = [
        (first + k * sides, first + k * sides + i, first + k * sides + i + 1)
        for k in (0, 1)
        for i in range(1, sides - 1)
    ]
    uv_ends = np.concatenate([uv[:sides], uv[-sides - 1 : -1]])
    return build(
        points,
        np.concatenate([unit.reshape(-1, 3), ends]),
        np.concatenate([uv, uv_ends]),
        np.concatenate([grid_triangles(len(line) - 1, sides), np.asarray(fans)]),
        slot,
    )


def _carried(along: NDArray[np.float64]) -> NDArray[np.float64]:
    """A unit vector across each of some unit directions, (n, 3), which turns as little as possible between them."""
    first = [0.0, 0.0, 0.0]
    first[int(np.abs(along[0]).argmin())] = 1.0
    x, y, z = first
    result = []
    for dx, dy, dz in along.tolist():
        part = x * dx + y * dy + z * dz
        x, y, z = x - part * dx, y - part * dy, z - part * dz
        size = max(math.sqrt(x * x + y * y + z * z), 1e-9)
        x, y, z = x / size, y / size, z / size
        result.append((x, y, z))
    return np.array(result)


def extrude(
    outline: ArrayLike,
    depth: float,
    *,
    axis: Literal["x", "y", "z"] = "z",
    at: Sequence[float] = (0.0, 0.0, 0.0),
    slot: int = 0,
    smooth: bool = True,
) -> Mesh:
    """A prism over a polygon, possibly concave.

    Args:
        outline: (n, 2), metres: x and y for axis "z", x and z for "y", y and z for "x".
        depth: Length along the axis: from 0 upwards for "z", centred about 0 otherwise.
        axis: Direction of extrusion.
        at: Origin of the outline.
        slot: Of all its triangles.
        smooth: Gentle bends of the outline look round.
    """
    points = counter_clockwise(outline)
    n = len(points)
    step = np.roll(points, -1, axis=0) - points
    length = np.linalg.norm(step, axis=1)
    faces = np.stack([step[:, 1], -step[:, 0]], axis=1) / np.maximum(length, 1e-12)[:, None]
    first, second = shared_normals(faces, closed=True) if smooth else (faces, faces)
    low, high = (0.0, depth) if axis == "z" else (-depth / 2, depth / 2)
    following, along = np.roll(points, -1, axis=0), np.cumsum(length) - length
    flat = [points, following, following, points, points, points]
    levels = [low, low, high, high, low, high]
    n2 = [first, second, second, first, np.zeros((n, 2)), np.zeros((n, 2))]
    n1 = [0.0, 0.0, 0.0, 0.0, -1.0, 1.0]
    uv = [(along, low), (along + length, low), (along + length, high), (along, high)]
    sides = [np.stack([u, np.full(n, v)], axis=1) for u, v in uv]
    k = np.arange(n)
    quads = [np.stack([k, n + k, 2 * n + k], 1), np.stack([k, 2 * n + k, 3 * n + k], 1)]
    lid = np.asarray(triangulate(points))
    vertices = np.concatenate([np.column_stack([p, np.full(n, z)]) for p, z in zip(flat, levels, strict=True)])
    normals = np.concatenate([np.column_stack([p, np.full(n, z)]) for p, z in zip(n2, n1, strict=True)])
    order = {"x": [2, 0, 1], "y": [0, 2, 1], "z": [0, 1, 2]}[axis]
    faces3 = np.concatenate([*quads, 4 * n + lid, 5 * n + lid])
    shifted = vertices[:, order] + np.asarray(at, dtype=np.float64)
    return build(shifted, normals[:, order], np.concatenate([*sides, points, points]), faces3, slot)
