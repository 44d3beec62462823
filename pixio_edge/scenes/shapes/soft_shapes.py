"""Builders of soft and irregular meshes: cloths, stones, leaves; see `shapes` for the rest."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from pixio_edge.scenes.mesh import Floats, Mesh
from pixio_edge.scenes.shapes.building_blocks import build, cross, grid_triangles
from pixio_edge.scenes.shapes.outlines import Points


def smooth_normals(vertices: ArrayLike, triangles: ArrayLike, like: Floats | None = None) -> Points:
    """Normals averaged over the triangles around each vertex, (V, 3).

    Args:
        vertices: (V, 3).
        triangles: (T, 3).
        like: Former normals: vertices at one place with the same former normal are averaged together, over uv seams.
    """
    points, faces = np.asarray(vertices, dtype=np.float64), np.asarray(triangles)
    upright = cross(points[faces[:, 1]] - points[faces[:, 0]], points[faces[:, 2]] - points[faces[:, 0]])
    key = np.round(points * 1e5).astype(np.int64)
    if like is not None:
        key = np.concatenate([key, np.round(like * 50).astype(np.int64)], axis=1)
    _, group = np.unique(key, axis=0, return_inverse=True)
    group = group.reshape(-1)
    total = np.zeros((int(group.max()) + 1, 3))
    for corner in range(3):
        np.add.at(total, group[faces[:, corner]], upright)
    return total[group]


def sheet(
    width: float,
    depth: float,
    *,
    rows: int,
    columns: int,
    height: Callable[[Points, Points], Points] | None = None,
    slot: int = 0,
) -> Mesh:
    """A level sheet centred on the origin, normals up.

    Args:
        width: Extent along x, metres.
        depth: Extent along y.
        rows: Cells along y.
        columns: Cells along x.
        height: z of arrays x and y of one shape; None: flat.
        slot: Of all its triangles.
    """
    grid = np.meshgrid(
        np.linspace(-depth / 2, depth / 2, rows + 1), np.linspace(-width / 2, width / 2, columns + 1), indexing="ij"
    )
    y, x = (axis.reshape(-1) for axis in grid)
    z = np.zeros_like(x) if height is None else np.broadcast_to(np.asarray(height(x, y), dtype=np.float64), x.shape)
    points = np.stack([x, y, z], axis=1)
    faces = grid_triangles(rows, columns)
    return build(points, smooth_normals(points, faces), np.stack([x, y], axis=1), faces, slot)


def displaced(mesh: Mesh, rng: np.random.Generator, amplitude: float, scale: float) -> Mesh:
    """The mesh bent by smooth noise; seams stay closed.

    Args:
        mesh: What to bend; it needs vertices closer than `scale`.
        rng: Source of the noise.
        amplitude: Metres of displacement, about (rms).
        scale: Metres between bumps.
    """
    points = mesh.vertices.astype(np.float64)
    waves = 7
    direction = rng.normal(size=(waves, 3))
    direction *= (2 * math.pi / scale) * rng.uniform(0.4, 1.3, (waves, 1)) / np.linalg.norm(direction, axis=1)[:, None]
    shift = rng.normal(size=(waves, 3)) * (amplitude / math.sqrt(waves / 2))
    bent = points + np.sin(points @ direction.T + rng.uniform(0, 2 * math.pi, waves)) @ shift
    normals = smooth_normals(bent, mesh.triangles, mesh.normals)
    lost = np.linalg.norm(normals, axis=1) < 1e-12
    normals[lost] = mesh.normals[lost]
    unit = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    return Mesh(bent.astype(np.float32), unit.astype(np.float32), mesh.uv, mesh.triangles, mesh.slots)


def leaf_cards(
    points: ArrayLike,
    size: float | ArrayLike,
    rng: np.random.Generator,
    *,
    slimness: float = 0.5,
    centre: ArrayLike | None = None,
    slot: int = 0,
) -> Mesh:
    """Leaves of two triangles each, folded a little along the middle, at random angles.

    Args:
        points: Where, (n, 3).
        size: Length of a leaf, or one per point, metres.
        rng: Source of the angles.
        slimness: Width over length.
        centre: Their normals lean away from it, so that a crown shades like one body; None: the points' mean.
        slot: Of all triangles.
    """
    where = np.asarray(points, dtype=np.float64)
    n = len(where)
    length = np.broadcast_to(np.asarray(size, dtype=np.float64), (n,))[:, None]
    along = rng.normal(size=(n, 3))
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = cross(along, rng.normal(size=(n, 3)))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    facing = cross(along, across)
    away = where - (where.mean(axis=0) if centre is None else np.asarray(centre))
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
    facing *= np.where((facing * away).sum(1, keepdims=True) < 0, -1.0, 1.0)
    side = across * length * slimness / 2 + facing * length * 0.12
    other = -across * length * slimness / 2 + facing * length * 0.12
    corners = np.stack([where - along * length / 2, where + side, where + along * length / 2, where + other], axis=1)
    normals = np.repeat((0.5 * facing + away)[:, None], 4, axis=1)
    half, wide = length[:, 0], length[:, 0] * slimness / 2
    zero = np.zeros(n)
    uv = np.stack(
        [
            np.stack([zero, zero], 1),
            np.stack([wide, half / 2], 1),
            np.stack([zero, half], 1),
            np.stack([-wide, half / 2], 1),
        ],
        axis=1,
    )
    uv = uv + rng.uniform(0, 1, (n, 1, 2))
    first = 4 * np.arange(n)[:, None]
    faces = np.concatenate([first + np.array([0, 1, 2]), first + np.array([0, 2, 3])])
    return build(corners.reshape(-1, 3), normals.reshape(-1, 3), uv.reshape(-1, 2), faces, slot)


def card(width: float, height: float, *, slot: int = 0, fit: bool = False) -> Mesh:
    """An upright rectangle that stands on the origin and faces -y."""
    points = [(-width / 2, 0, 0), (width / 2, 0, 0), (width / 2, 0, height), (-width / 2, 0, height)]
    uv = [(0, 1), (1, 1), (1, 0), (0, 0)] if fit else [(0, 0), (width, 0), (width, height), (0, height)]
    return build(points, [(0, -1, 0)] * 4, uv, [(0, 1, 2), (0, 2, 3)], slot)
