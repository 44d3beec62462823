"""Boxes, bodies of revolution and balls."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from pixio_edge.scenes.mesh import Mesh
from pixio_edge.scenes.shapes.building_blocks import build, grid_triangles, shared_normals
from pixio_edge.scenes.shapes.outlines import Points

Pair = tuple[float, float]
Triple = tuple[float, float, float]


def box(
    size: Sequence[float],
    *,
    at: Sequence[float] = (0.0, 0.0, 0.0),
    bevel: float = 0.0,
    slot: int = 0,
    fit: bool = False,
) -> Mesh:
    """A box.

    Args:
        size: Full extents along x, y, z, metres.
        at: Middle of its base.
        bevel: Width of the rounding of its vertical and upper edges; 0: sharp.
        slot: Of all its triangles.
        fit: uv from 0 to 1 over each face.
    """
    half, height = (size[0] / 2, size[1] / 2), size[2]
    b = min(bevel, 0.45 * min(size))
    # Upright faces: front, right, back, left; each starts at its lower left corner as seen from outside.
    points: list[Triple] = []
    normals: list[Triple] = []
    uv: list[Pair] = []
    triangles: list[tuple[int, int, int]] = []
    for turn in range(4):
        w, d = (half[0], half[1]) if turn % 2 == 0 else (half[1], half[0])
        c, s = (1, 0, -1, 0)[turn], (0, 1, 0, -1)[turn]
        corners = [(-w + b, 0.0), (w - b, 0.0), (w - b, height - b), (-w + b, height - b)]
        points += [(c * x + s * d, s * x - c * d, z) for x, z in corners]
        normals += [(s, -c, 0)] * 4
        uv += [((x + w) / (2 * w), 1 - z / height) if fit else (x + w, z) for x, z in corners]
        triangles += [(4 * turn, 4 * turn + 1, 4 * turn + 2), (4 * turn, 4 * turn + 2, 4 * turn + 3)]
    square = [(x * (half[0] - b), y * (half[1] - b)) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    base = [points[4 * turn + end][:2] for turn in range(4) for end in ((0, 1) if b > 0 else (0,))]
    for z, up, corners in ((height, 1, square), (0.0, -1, base)):
        first = len(points)
        points += [(x, y, z) for x, y in corners]
        normals += [(0, 0, up)] * len(corners)
        uv += [(0.5 + x / (2 * half[0]), 0.5 - y / (2 * half[1])) if fit else (x, y) for x, y in corners]
        triangles += [(first, first + i, first + i + 1) for i in range(1, len(corners) - 1)]
    if b > 0:
        _add_bevels(points, normals, uv, triangles)
    return build(np.asarray(points) + np.asarray(at), normals, uv, triangles, slot)


def _add_bevels(
    points: list[Triple], normals: list[Triple], uv: list[Pair], triangles: list[tuple[int, int, int]]
) -> None:
    """Strips between the faces of `box`, whose corners keep the normals of the faces, so that they look round."""
    for turn in range(4):
        right, own, following = 4 * ((turn + 1) % 4), 4 * turn, (turn + 1) % 4
        # A strip repeats the edge of its first face; across two faces the texture would be squeezed into it.
        for strip, edge in (
            ((own + 1, right, right + 3, own + 2), (own + 1, own + 1, own + 2, own + 2)),
            ((own + 3, own + 2, 16 + following, 16 + turn), (own + 3, own + 2, own + 2, own + 3)),
            ((own + 2, right + 3, 16 + following), (own + 2, own + 2, own + 2)),
        ):
            first = len(points)
            for corner, source in zip(strip, edge, strict=True):
                points.append(points[corner])
                normals.append(normals[corner])
                uv.append(uv[source])
            triangles += [(first, first + i, first + i + 1) for i in range(1, len(strip) - 1)]


def lathe(
    profile: ArrayLike,
    *,
    sides: int = 16,
    smooth: bool = True,
    cap: bool = True,
    at: Sequence[float] = (0.0, 0.0, 0.0),
    slot: int = 0,
    fit: bool = False,
) -> Mesh:
    """A body of revolution about z.

    Args:
        profile: Radius and height, (n, 2), metres, from the bottom along the outside (and down the inside of a vessel).
        sides: Around the axis.
        smooth: Round; otherwise flat facets, and edges between all parts of the profile.
        cap: Closes both ends where their radius is not 0.
        at: Origin of the profile.
        slot: Of all its triangles.
        fit: uv from 0 to 1, once around and from top to bottom of the profile; caps as well.
    """
    line = np.asarray(profile, dtype=np.float64)
    if cap:
        line = np.concatenate([line[:1] * (0.0, 1.0), line, line[-1:] * (0.0, 1.0)])
    step = np.diff(line, axis=0)
    length = np.linalg.norm(step, axis=1)
    line, step, length = line[np.r_[True, length > 1e-9]], step[length > 1e-9], length[length > 1e-9]
    faces = np.stack([step[:, 1], -step[:, 0]], axis=1) / length[:, None]
    ends_n = shared_normals(faces, closed=False) if smooth else (faces, faces)
    along = np.r_[0.0, np.cumsum(length)]
    around = 2 * math.pi * float(line[:, 0].max())
    sector = np.arange(sides)[:, None]
    turns = (sector + np.array([0, 1])) * (2 * math.pi / sides)
    facing = turns if smooth else np.repeat((sector + 0.5) * (2 * math.pi / sides), 2, axis=1)
    # Vertices of each part of the profile at each side: (end of the part, side, edge of the side, part).
    ends = np.stack([line[:-1], line[1:]])
    points = _spun(ends, turns) + np.asarray(at, dtype=np.float64)
    normals = _spun(np.stack(ends_n), facing)
    uv = np.empty((*points.shape[:-1], 2))
    uv[..., 0] = (turns / (2 * math.pi) * (1.0 if fit else around))[None, :, :, None]
    distance = np.stack([along[:-1], along[1:]])[:, None, None]
    uv[..., 1] = 1 - distance / along[-1] if fit else distance
    n, half = len(step), 2 * sides
    base = (2 * np.arange(sides)[:, None] * n + np.arange(n)).reshape(-1)
    quad = [base, base + n, base + (half + 1) * n, base + half * n]
    triangles = np.concatenate([np.stack([quad[0], quad[1], quad[2]], 1), np.stack([quad[0], quad[2], quad[3]], 1)])
    return build(points.reshape(-1, 3), normals.reshape(-1, 3), uv.reshape(-1, 2), triangles, slot)


def _spun(ends: Points, turns: Points) -> Points:
    """Radius and height (2, n, 2) turned about z by (sides, 2): (2, sides, 2, n, 3)."""
    radius = ends[:, None, None, :, 0]
    result = np.empty((2, *turns.shape, ends.shape[1], 3))
    result[..., 0] = radius * np.cos(turns)[None, :, :, None]
    result[..., 1] = radius * np.sin(turns)[None, :, :, None]
    result[..., 2] = ends[:, None, None, :, 1]
    return result


def cylinder(
    radius: float,
    height: float,
    *,
    top_radius: float | None = None,
    sides: int = 12,
    at: Sequence[float] = (0.0, 0.0, 0.0),
    slot: int = 0,
    smooth: bool = True,
) -> Mesh:
    """A closed cylinder or cone that stands on `at`."""
    top = radius if top_radius is None else top_radius
    return lathe([(radius, 0.0), (top, height)], sides=sides, at=at, slot=slot, smooth=smooth)


def ball(radii: Sequence[float], *, at: Sequence[float] = (0.0, 0.0, 0.0), detail: int = 1, slot: int = 0) -> Mesh:
    """An ellipsoid around `at`; detail 0 has 24 triangles, 1 has 80, 2 has 168."""
    sides, rings = 6 + 4 * detail, 3 + 2 * detail
    tilt = np.linspace(-math.pi / 2, math.pi / 2, rings + 1)
    turn = np.linspace(0.0, 2 * math.pi, sides + 1)
    t, a = (grid.reshape(-1) for grid in np.meshgrid(tilt, turn, indexing="ij"))
    unit = np.stack([np.cos(t) * np.cos(a), np.cos(t) * np.sin(a), np.sin(t)], axis=1)
    scale = np.asarray(radii, dtype=np.float64)
    mean = float(scale.mean())
    return build(
        unit * scale + np.asarray(at), unit / scale, np.stack([a, t], axis=1) * mean, grid_triangles(rings, sides), slot
    )
