"""Which triangle is nearest at each sample of an image: homogeneous rasterisation, without clipping.

A vertex is projected to `(px, py, w)` such that the ray of sample (x, y) is `(x, y, 1)` in the same axes. A point of
the triangle a, b, c is `λa a + λb b + λc c` with all λ of one sign, where `λa` is proportional to `(b x c) . ray`: so
the three edge functions tell what is inside even if vertices lie behind the camera, and their sum over the determinant
is the inverse depth, linear in x and y. Edges that triangles share get the same numbers from both: there are no cracks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.drawing.assemble import World
from pixio_edge.scenes.drawing.jit import Array, Corners, Point, exact, exact_part

# Triangles nearer than this are not seen, metres.
NEAR_M = 0.05
# A triangle whose corners' directions span less than this share of what they could is seen edge-on: nothing is seen of
# it, and its depths would be rounding errors.
_EDGE_ON = 1e-12
# Samples by which the bounds of triangles are widened: their rounding must not open cracks that edges do not have.
_ROUNDING = 1e-3


def project(
    world: World, view: NDArray[np.float64], size: tuple[int, int], near: float, *, smallest: float = 1.0
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float64]]:
    """Nearest triangles of a view.

    Args:
        world: The mesh.
        view: float64 (4, 4). Rows give px, py, w and the value that is interpolated, from homogeneous world points.
            A camera has the value 1 and gets inverse depth; a map of the sun has w = 1 and its own value.
        size: (rows, columns) of samples, at whole px and py.
        near: Least w of what is seen; of no use where w is constant.
        smallest: Instances of fewer samples across are left out.

    Returns:
        The largest value at each sample (float32, 0 where there is none); its triangle (int32, -1 where there is none);
        the projected vertices (V, 6): px, py, w, value, px / w, py / w, filled for the instances in view.
    """
    best = np.zeros(size, np.float32)
    winner = np.full(size, -1, np.int32)
    projected = np.empty((len(world.vertices), 6))
    mesh = (world.vertices, world.triangles, world.vertex_starts, world.triangle_starts, world.spheres)
    _draw(mesh, (view, near, smallest), projected, best, winner)
    return best, winner, projected


@exact
def _draw(
    mesh: tuple[Array, ...], camera: tuple[Array, float, float], projected: Array, best: Array, winner: Array
) -> None:
    """Draw all instances in view."""
    vertices, triangles, vertex_starts, triangle_starts, spheres = mesh
    view, near, smallest = camera
    target = (best, winner)
    for i in range(len(spheres)):
        sphere = (spheres[i, 0], spheres[i, 1], spheres[i, 2], spheres[i, 3])
        if not _in_view(sphere, view, near, (best.shape[0] - 1, best.shape[1] - 1), smallest):
            continue
        for v in range(vertex_starts[i], vertex_starts[i + 1]):
            x, y, z = np.float64(vertices[v, 0]), np.float64(vertices[v, 1]), np.float64(vertices[v, 2])
            px = view[0, 0] * x + view[0, 1] * y + view[0, 2] * z + view[0, 3]
            py = view[1, 0] * x + view[1, 1] * y + view[1, 2] * z + view[1, 3]
            w = view[2, 0] * x + view[2, 1] * y + view[2, 2] * z + view[2, 3]
            projected[v, 0], projected[v, 1], projected[v, 2] = px, py, w
            projected[v, 3] = view[3, 0] * x + view[3, 1] * y + view[3, 2] * z + view[3, 3]
            inverse = 1 / w
            projected[v, 4], projected[v, 5] = px * inverse, py * inverse
        for t in range(triangle_starts[i], triangle_starts[i + 1]):
            corners = (triangles[t, 0], triangles[t, 1], triangles[t, 2])
            x0, x1, y0, y1 = _bounds(projected, corners, near, best.shape)
            if x0 <= x1 and y0 <= y1:
                _fill(projected, (corners, t, near), (x0, x1, y0, y1), target)


@exact_part
def _in_view(
    sphere: tuple[float, float, float, float], view: Array, near: float, last: tuple[int, int], smallest: float
) -> bool:
    """Whether a sphere may be seen: in front, large enough, and not beyond one of the sides."""
    x, y, z, radius = sphere
    w = view[2, 0] * x + view[2, 1] * y + view[2, 2] * z + view[2, 3]
    reach = radius * np.sqrt(view[2, 0] ** 2 + view[2, 1] ** 2 + view[2, 2] ** 2)
    if w + reach < near:
        return False
    for k in range(2):
        p = view[k, 0] * x + view[k, 1] * y + view[k, 2] * z + view[k, 3]
        end = last[1 - k]
        # Planes p >= 0 and p <= end * w, in world units by the lengths of their normals.
        a, b, c = view[k, 0], view[k, 1], view[k, 2]
        length = np.sqrt(a * a + b * b + c * c)
        if p < -radius * length:
            return False
        a, b, c = end * view[2, 0] - a, end * view[2, 1] - b, end * view[2, 2] - c
        if end * w - p < -radius * np.sqrt(a * a + b * b + c * c):
            return False
        if k == 0 and w > reach and 2 * radius * length < smallest * w:
            return False
    return True


@exact_part
def _bounds(projected: Array, corners: Corners, near: float, size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """First and last column and row that a triangle may cover; an empty range if there are none."""
    a, b, c = corners
    height, width = size
    if min(projected[a, 2], projected[b, 2], projected[c, 2]) < near:
        if max(projected[a, 2], projected[b, 2], projected[c, 2]) < near:
            return 0, -1, 0, -1
        return 0, width - 1, 0, height - 1
    xa, xb, xc = projected[a, 4], projected[b, 4], projected[c, 4]
    left = np.ceil(max(min(xa, xb, xc) - _ROUNDING, 0.0))
    right = np.floor(min(max(xa, xb, xc) + _ROUNDING, width - 1.0))
    if left > right:
        return 0, -1, 0, -1
    ya, yb, yc = projected[a, 5], projected[b, 5], projected[c, 5]
    top = np.ceil(max(min(ya, yb, yc) - _ROUNDING, 0.0))
    low = np.floor(min(max(ya, yb, yc) + _ROUNDING, height - 1.0))
    if top > low:
        return 0, -1, 0, -1
    return int(left), int(right), int(top), int(low)


@exact_part
def _fill(
    projected: Array,
    triangle: tuple[Corners, int, float],
    bounds: tuple[int, int, int, int],
    target: tuple[Array, Array],
) -> None:
    """Fill one triangle where it is nearer than what is there."""
    (a, b, c), index, near = triangle
    (x0, x1, y0, y1), (best, winner) = bounds, target
    ax, ay, aw, value_a = projected[a, 0], projected[a, 1], projected[a, 2], projected[a, 3]
    bx, by, bw, value_b = projected[b, 0], projected[b, 1], projected[b, 2], projected[b, 3]
    cx, cy, cw, value_c = projected[c, 0], projected[c, 1], projected[c, 2], projected[c, 3]
    ux, uy, uw = by * cw - bw * cy, bw * cx - bx * cw, bx * cy - by * cx
    vx, vy, vw = cy * aw - cw * ay, cw * ax - cx * aw, cx * ay - cy * ax
    wx, wy, ww = ay * bw - aw * by, aw * bx - ax * bw, ax * by - ay * bx
    determinant = ax * ux + ay * uy + aw * uw
    squares = (ax * ax + ay * ay + aw * aw) * (bx * bx + by * by + bw * bw) * (cx * cx + cy * cy + cw * cw)
    if determinant * determinant <= _EDGE_ON**2 * squares:
        return
    inverse = 1 / determinant
    gx = (ux * value_a + vx * value_b + wx * value_c) * inverse
    gy = (uy * value_a + vy * value_b + wy * value_c) * inverse
    gw = (uw * value_a + vw * value_b + ww * value_c) * inverse
    if determinant < 0:
        ux, uy, uw, vx, vy, vw, wx, wy, ww = -ux, -uy, -uw, -vx, -vy, -vw, -wx, -wy, -ww
    low_value, high_value, limit = _value_range((value_a, value_b, value_c), (aw, bw, cw), near)
    iu, iv, iw = 1 / ux, 1 / vx, 1 / wx
    for y in range(y0, y1 + 1):
        low, high = _clip(ux, iu, uy * y + uw, np.float64(x0), np.float64(x1))
        low, high = _clip(vx, iv, vy * y + vw, low, high)
        low, high = _clip(wx, iw, wy * y + ww, low, high)
        if low > high:
            continue
        along = gy * y + gw
        for x in range(int(np.ceil(low)), int(np.floor(high)) + 1):
            # Rounding must not take a steep triangle beyond its corners.
            value = min(max(along + gx * x, low_value), high_value)
            if value > best[y, x] and value <= limit:
                best[y, x] = value
                winner[y, x] = index


@exact_part
def _value_range(values: Point, depths: Point, near: float) -> tuple[float, float, float]:
    """Least and largest value of a triangle, and the largest that is seen: of what crosses the near plane, a part."""
    if min(depths[0], depths[1], depths[2]) < near:
        return 0.0, np.inf, 1 / near
    a, b, c = values[0] / depths[0], values[1] / depths[1], values[2] / depths[2]
    return min(a, b, c), max(a, b, c), np.inf


@exact_part
def _clip(slope: float, inverse: float, rest: float, low: float, high: float) -> tuple[float, float]:
    """The part of [low, high] where `slope * x + rest` is not negative; low > high if there is none."""
    if slope > 0:
        low = max(low, -rest * inverse)
    elif slope < 0:
        high = min(high, -rest * inverse)
    elif rest < 0:
        high = low - 1
    return low, high
