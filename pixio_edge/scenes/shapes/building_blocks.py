"""What the builders of meshes share: finished meshes from arrays, movement, normals of strips."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pixio_edge.scenes.mesh import Mesh, transform
from pixio_edge.scenes.shapes.outlines import Points

# Neighbouring faces that bend by less share normals, degrees.
CREASE_DEG = 50.0
# Triangles of a smaller share of their longest side squared are dropped: poles of balls, doubled points.
THIN = 1e-7


def cross(a: Points, b: Points) -> Points:
    """Cross products of rows, (n, 3); several times as quick as numpy's for short arrays."""
    result = np.empty(np.broadcast_shapes(a.shape, b.shape))
    result[:, 0] = a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1]
    result[:, 1] = a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2]
    result[:, 2] = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    return result


def build(vertices: ArrayLike, normals: ArrayLike, uv: ArrayLike, triangles: ArrayLike, slot: int = 0) -> Mesh:
    """A mesh of arrays of any float type: unit normals, no degenerate triangles, windings as the normals say."""
    points = np.asarray(vertices, dtype=np.float64)
    unit = np.asarray(normals, dtype=np.float64)
    unit = unit / np.maximum(np.sqrt(np.einsum("ij,ij->i", unit, unit)), 1e-12)[:, None]
    faces = np.asarray(triangles, dtype=np.int64).reshape(-1, 3)
    first = points[faces[:, 0]]
    one, other = points[faces[:, 1]] - first, points[faces[:, 2]] - first
    upright = cross(one, other)
    longest = np.maximum(np.einsum("ij,ij->i", one, one), np.einsum("ij,ij->i", other, other))
    keep = np.einsum("ij,ij->i", upright, upright) > (THIN * longest) ** 2
    inward = np.einsum("ij,ikj->i", upright, unit[faces]) < 0
    faces[inward] = faces[inward][:, ::-1]
    faces = faces[keep]
    return Mesh(
        points.astype(np.float32),
        unit.astype(np.float32),
        np.asarray(uv, dtype=np.float32),
        faces.astype(np.int32),
        np.full(len(faces), slot, dtype=np.int32),
    )


def moved(
    mesh: Mesh,
    at: Sequence[float] = (0.0, 0.0, 0.0),
    *,
    pitch: float = 0.0,
    roll: float = 0.0,
    yaw: float = 0.0,
    scale: float | Sequence[float] = 1.0,
) -> Mesh:
    """The mesh scaled, turned about x (`pitch`: its top goes to -y), y (`roll`: to x) and z (`yaw`), moved; radians."""
    cp, sp, cr, sr, cy, sy = (f(a) for a in (pitch, roll, yaw) for f in (math.cos, math.sin))
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_y = np.array([[cr, 0, sr], [0, 1, 0], [-sr, 0, cr]])
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return transform(mesh, about_z @ about_y @ about_x @ np.diag(np.broadcast_to(scale, (3,))), at)


def grounded(mesh: Mesh) -> Mesh:
    """The mesh moved so that it rests on z = 0 and its bounding box is centred in x and y."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    shift = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]], dtype=np.float32)
    return Mesh(mesh.vertices - shift, mesh.normals, mesh.uv, mesh.triangles, mesh.slots)


def grid_triangles(rows: int, columns: int) -> NDArray[np.int64]:
    """Triangles of a grid of (rows + 1) x (columns + 1) vertices."""
    base = (np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)).reshape(-1)
    right, up = base + 1, base + columns + 1
    return np.concatenate([np.stack([base, right, up + 1], 1), np.stack([base, up + 1, up], 1)])


def shared_normals(faces: Points, *, closed: bool) -> tuple[Points, Points]:
    """Normals at the first and second end of each face of a strip (n, k): averaged with gently bent neighbours."""
    limit = math.cos(math.radians(CREASE_DEG))
    before, after = np.roll(faces, 1, axis=0), np.roll(faces, -1, axis=0)
    if not closed:
        before[0], after[-1] = faces[0], faces[-1]
    first = np.where((faces * before).sum(1, keepdims=True) > limit, faces + before, faces)
    second = np.where((faces * after).sum(1, keepdims=True) > limit, faces + after, faces)
    return first, second
