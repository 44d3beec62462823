"""Which triangle is nearest at each sample of an image: homogeneous rasterisation, without clipping.

A vertex is projected to `(px, py, w)` such that the ray of sample (x, y) is `(x, y, 1)` in the same axes. A point inside
the triangle a, b, c is `λa a + λb b + λc c` with all λ of one sign, where `λa` is proportional to `(b x c) . ray`: so the
three edge functions tell what is inside even if vertices lie behind the camera, and their sum over the determinant is
the inverse depth, linear in x and y. Edges that triangles share get the same numbers from both, so there are no cracks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.assemble import World
from pixio_edge.scenes.jit import exact

# Triangles nearer than this are not seen, metres.
NEAR_M = 0.05
# Instances smaller than this are left out, samples.
_SMALLEST = 0.35


def project(
    world: World, view: NDArray[np.float64], size: tuple[int, int], near: float
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float64]]:
    """Nearest triangles of a view.

    Args:
        world: The mesh.
        view: float64 (4, 4). Rows give px, py, w and the value that is interpolated, from homogeneous world points.
            A camera has the value 1 and gets inverse depth; a map of the sun has w = 1 and its own value.
        size: (rows, columns) of samples, at whole px and py.
        near: Least w of what is seen; of no use where w is constant.

    Returns:
        The largest value at each sample (float32, 0 where there is none); its triangle (int32, -1 where there is none);
        the projected vertices (V, 4), filled for the instances in view.
    """
    best = np.zeros(size, np.float32)
    winner = np.full(size, -1, np.int32)
    projected = np.empty((len(world.vertices), 4))
    _draw(
        (world.vertices, world.triangles, world.vertex_starts, world.triangle_starts, world.spheres),
        view,
        near,
        projected,
        best,
        winner,
    )
    return best, winner, projected


@exact
def _draw(mesh, view, near, projected, best, winner) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    vertices, triangles, vertex_starts, triangle_starts, spheres = mesh
    for i in range(len(spheres)):
        if not _in_view(spheres[i], view, near, best.shape):
            continue
        for v in range(vertex_starts[i], vertex_starts[i + 1]):
            x, y, z = np.float64(vertices[v, 0]), np.float64(vertices[v, 1]), np.float64(vertices[v, 2])
            for k in range(4):
                projected[v, k] = view[k, 0] * x + view[k, 1] * y + view[k, 2] * z + view[k, 3]
        for t in range(triangle_starts[i], triangle_starts[i + 1]):
            _triangle(
                projected[triangles[t, 0]],
                projected[triangles[t, 1]],
                projected[triangles[t, 2]],
                near,
                t,
                best,
                winner,
            )


@exact
def _in_view(sphere, view, near, size) -> bool:  # type: ignore[no-untyped-def] # noqa: ANN001
    """Whether a sphere may be seen: in front, large enough, and not beyond one of the sides."""
    x, y, z, radius = sphere[0], sphere[1], sphere[2], sphere[3]
    px = view[0, 0] * x + view[0, 1] * y + view[0, 2] * z + view[0, 3]
    py = view[1, 0] * x + view[1, 1] * y + view[1, 2] * z + view[1, 3]
    w = view[2, 0] * x + view[2, 1] * y + view[2, 2] * z + view[2, 3]
    reach_w = radius * np.sqrt(view[2, 0] ** 2 + view[2, 1] ** 2 + view[2, 2] ** 2)
    if w + reach_w < near:
        return False
    for k in range(2):
        p = px if k == 0 else py
        last = size[1] - 1 if k == 0 else size[0] - 1
        # Planes p >= 0 and p <= last * w, in world units by the lengths of their normals.
        a, b, c = view[k, 0], view[k, 1], view[k, 2]
        if p < -radius * np.sqrt(a * a + b * b + c * c):
            return False
        a, b, c = last * view[2, 0] - a, last * view[2, 1] - b, last * view[2, 2] - c
        if last * w - p < -radius * np.sqrt(a * a + b * b + c * c):
            return False
        if k == 0 and w > reach_w:
            scale = np.sqrt(view[0, 0] ** 2 + view[0, 1] ** 2 + view[0, 2] ** 2)
            if 2 * radius * scale < _SMALLEST * w:
                return False
    return True


@exact
def _triangle(a, b, c, near, index, best, winner) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    """Fill one triangle where it is nearer than what is there."""
    height, width = best.shape
    y0, y1, x0, x1 = 0, height - 1, 0, width - 1
    whole = a[2] >= near and b[2] >= near and c[2] >= near
    if whole:
        xa, xb, xc = a[0] / a[2], b[0] / b[2], c[0] / c[2]
        left, right = np.ceil(min(xa, xb, xc)), np.floor(max(xa, xb, xc))
        if left > right or right < 0 or left > x1:
            return
        ya, yb, yc = a[1] / a[2], b[1] / b[2], c[1] / c[2]
        top, low = np.ceil(min(ya, yb, yc)), np.floor(max(ya, yb, yc))
        if top > low or low < 0 or top > y1:
            return
        # A sample more on each side: rounding here must not open cracks that the edges do not have.
        x0, x1 = max(x0, int(left) - 1), min(x1, int(right) + 1)
        y0, y1 = max(y0, int(top) - 1), min(y1, int(low) + 1)
    elif a[2] < near and b[2] < near and c[2] < near:
        return
    ux, uy, uz = b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0]
    vx, vy, vz = c[1] * a[2] - c[2] * a[1], c[2] * a[0] - c[0] * a[2], c[0] * a[1] - c[1] * a[0]
    wx, wy, wz = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
    determinant = a[0] * ux + a[1] * uy + a[2] * uz
    if determinant == 0:
        return
    gx = (ux * a[3] + vx * b[3] + wx * c[3]) / determinant
    gy = (uy * a[3] + vy * b[3] + wy * c[3]) / determinant
    gz = (uz * a[3] + vz * b[3] + wz * c[3]) / determinant
    if determinant < 0:
        ux, uy, uz, vx, vy, vz, wx, wy, wz = -ux, -uy, -uz, -vx, -vy, -vz, -wx, -wy, -wz
    limit = np.inf if whole else 1 / near
    for y in range(y0, y1 + 1):
        low_x, high_x = _clip(ux, uy * y + uz, np.float64(x0), np.float64(x1))
        low_x, high_x = _clip(vx, vy * y + vz, low_x, high_x)
        low_x, high_x = _clip(wx, wy * y + wz, low_x, high_x)
        if low_x > high_x:
            continue
        along = gy * y + gz
        for x in range(int(np.ceil(low_x)), int(np.floor(high_x)) + 1):
            value = along + gx * x
            if value > best[y, x] and value <= limit:
                best[y, x] = value
                winner[y, x] = index


@exact
def _clip(slope, rest, low, high):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """The part of [low, high] where `slope * x + rest` is not negative; low > high if there is none."""
    if slope > 0:
        low = max(low, -rest / slope)
    elif slope < 0:
        high = min(high, -rest / slope)
    elif rest < 0:
        high = low - 1
    return low, high
