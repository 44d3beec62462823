"""Meshes out of bare vertices and faces: normals that are smooth up to a crease, and uv in metres from the box around.

Vehicles, buildings, people and plants are built with these; `shapes` has the ready-made bodies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.mesh import Mesh

Array = NDArray[np.float64]
# Triangles smaller than this (m^2) are dropped: collapsed corners of lofts.
SMALLEST_AREA = 1e-7


def creased(
    vertices: NDArray[np.floating],
    triangles: NDArray[np.integer],
    slots: int | NDArray[np.integer] = 0,
    *,
    crease_deg: float = 40.0,
) -> Mesh:
    """A mesh of shared vertices, smooth where faces meet at less than an angle.

    Args:
        vertices: (V, 3), metres.
        triangles: (T, 3), counter-clockwise seen from outside; those without area are dropped.
        slots: One slot, or one per triangle (T,).
        crease_deg: Faces that meet at more than this keep a hard edge.

    Returns:
        The mesh, with uv in metres along the two axes that each face lies in best.
    """
    points = np.asarray(vertices, dtype=np.float64)
    faces = np.asarray(triangles, dtype=np.int64)
    each = np.broadcast_to(np.asarray(slots, dtype=np.int64), (len(faces),))
    cross = np.cross(points[faces[:, 1]] - points[faces[:, 0]], points[faces[:, 2]] - points[faces[:, 0]])
    double_area = np.linalg.norm(cross, axis=1)
    keep = double_area > 2 * SMALLEST_AREA
    faces, each, cross, double_area = faces[keep], each[keep], cross[keep], double_area[keep]
    units = cross / double_area[:, None]
    normals = _corner_normals(faces, units, double_area, math.cos(math.radians(crease_deg)))
    axis = np.abs(units).argmax(axis=1)
    return _weld(points, faces, normals, axis, each)


def _corner_normals(faces: NDArray[np.int64], units: Array, weights: Array, cosine: float) -> Array:
    """Normal of each corner of each triangle, (T, 3, 3): the weighted mean over the faces that meet there smoothly."""
    ids = faces.reshape(-1)
    order = np.argsort(ids, kind="stable")
    counts = np.bincount(ids)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    table = np.full((len(counts), int(counts.max())), -1, dtype=np.int64)
    table[ids[order], np.arange(len(ids)) - starts[ids[order]]] = order // 3
    around = table[ids]
    own = np.repeat(units, 3, axis=0)
    near = np.einsum("ck,cnk->cn", own, units[around]) > cosine
    share = np.where(near & (around >= 0), weights[around], 0.0)
    total: Array = np.einsum("cn,cnk->ck", share, units[around])
    total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    return total.reshape(-1, 3, 3)


def _weld(points: Array, faces: NDArray[np.int64], normals: Array, axis: NDArray[np.int64], slots: Array) -> Mesh:
    """One vertex for corners that share place, normal and uv axes."""
    steps = np.rint(normals.reshape(-1, 3) * 60 + 64).astype(np.int64)
    key = ((faces.reshape(-1) << 21 | steps[:, 0] << 14 | steps[:, 1] << 7 | steps[:, 2]) << 2) | np.repeat(axis, 3)
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    place = points[faces.reshape(-1)[first]]
    columns = np.array([[1, 2], [0, 2], [0, 1]])[np.repeat(axis, 3)[first]]
    return Mesh(
        place.astype(np.float32),
        normals.reshape(-1, 3)[first].astype(np.float32),
        np.take_along_axis(place, columns, axis=1).astype(np.float32),
        inverse.reshape(-1, 3).astype(np.int32),
        slots.astype(np.int32),
    )


def loft(rings: NDArray[np.floating], slots: int | NDArray[np.integer] = 0, *, crease_deg: float = 40.0) -> Mesh:
    """The skin over a row of open rings, (N, M, 3): quads between neighbours on neighbouring rings.

    Seen from outside, the next point of a ring is to the right where the next ring is above.

    Args:
        rings: Metres; a ring whose points coincide closes an end.
        slots: One slot, or one per quad (N - 1, M - 1).
        crease_deg: See `creased`.
    """
    count, points = rings.shape[:2]
    corner = (np.arange(count - 1)[:, None] * points + np.arange(points - 1)[None, :]).reshape(-1)
    low = np.stack([corner, corner + 1, corner + points + 1], axis=1)
    high = np.stack([corner, corner + points + 1, corner + points], axis=1)
    each = np.broadcast_to(np.asarray(slots), (count - 1, points - 1)).reshape(-1)
    triangles = np.concatenate([low, high])
    return creased(rings.reshape(-1, 3), triangles, np.concatenate([each, each]), crease_deg=crease_deg)


def quads(
    corners: NDArray[np.floating] | Sequence[object], slots: int | Sequence[int] = 0, *, fit: bool = False
) -> Mesh:
    """Flat four-cornered faces, (N, 4, 3): lower left, lower right, upper right, upper left, seen from outside.

    Args:
        corners: Metres.
        slots: One slot, or one per quad.
        fit: uv from 0 to 1 over each, as a picture; otherwise metres along its lower edge and up, from the origin.
    """
    places = np.asarray(corners, dtype=np.float64).reshape(-1, 4, 3)
    across = places[:, 1] - places[:, 0]
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    normal = np.cross(places[:, 1] - places[:, 0], places[:, 3] - places[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    up = np.cross(normal, across)
    uv = np.stack([np.einsum("nck,nk->nc", places, across), np.einsum("nck,nk->nc", places, up)], axis=-1)
    if fit:
        uv = np.broadcast_to(np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]]), (len(places), 4, 2))
    corner = np.arange(len(places))[:, None] * 4
    triangles = np.concatenate([corner + np.array(half) for half in ((0, 1, 2), (0, 2, 3))])
    each = np.broadcast_to(np.asarray(slots), (len(places),))
    return Mesh(
        places.reshape(-1, 3).astype(np.float32),
        np.repeat(normal, 4, axis=0).astype(np.float32),
        uv.reshape(-1, 2).astype(np.float32),
        triangles.astype(np.int32),
        np.concatenate([each, each]).astype(np.int32),
    )


def wheel(
    radius: float, width: float, at: Sequence[float], side: float, *, slots: tuple[int, int], sides: int = 9
) -> Mesh:
    """A wheel with its axle along x, its outer face to `side` (+1 or -1); slots of tyre and rim."""
    turn = np.linspace(0, 2 * math.pi, sides + 1)
    profile = [(-0.5, 1.0), (0.5, 1.0), (0.42, 0.66), (0.34, 0.0)]
    rings = np.array(
        [
            [
                (at[0] + side * x * width, at[1] + r * radius * math.cos(t), at[2] + r * radius * math.sin(t))
                for t in turn
            ]
            for x, r in profile
        ]
    )
    each = np.repeat(np.array([[slots[0]], [slots[0]], [slots[1]]]), sides, axis=1)
    return loft(rings if side > 0 else rings[:, ::-1], each)
