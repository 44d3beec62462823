"""Quick building of furniture: many boxes at once, cushions, curtains, and a list that collects them into a model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.mesh import Floats, Look, Mesh, Model, Top, merge

Size = tuple[float, float, float]

# Faces of a unit box with x and y in -0.5..0.5 and z in 0..1, each seen from outside: lower left, lower right,
# upper right, upper left.
_CORNERS = np.array(
    [
        [[-1, -1, 0], [1, -1, 0], [1, -1, 2], [-1, -1, 2]],
        [[1, 1, 0], [-1, 1, 0], [-1, 1, 2], [1, 1, 2]],
        [[1, -1, 0], [1, 1, 0], [1, 1, 2], [1, -1, 2]],
        [[-1, 1, 0], [-1, -1, 0], [-1, -1, 2], [-1, 1, 2]],
        [[-1, -1, 2], [1, -1, 2], [1, 1, 2], [-1, 1, 2]],
        [[-1, 1, 0], [1, 1, 0], [1, -1, 0], [-1, -1, 0]],
    ],
    dtype=np.float64,
).reshape(24, 3) * np.array([0.5, 0.5, 0.5])
_NORMALS = np.repeat(
    np.array([[0, -1, 0], [0, 1, 0], [1, 0, 0], [-1, 0, 0], [0, 0, 1], [0, 0, -1]], dtype=np.float64), 4, axis=0
)
_UNIT_UV = np.tile(np.array([[0, 1], [1, 1], [1, 0], [0, 0]], dtype=np.float64), (6, 1))
# Which extents of a box its faces' u and v run along.
_U_AXIS = np.repeat([0, 0, 1, 1, 0, 0], 4)
_V_AXIS = np.repeat([2, 2, 2, 2, 1, 1], 4)
# Of cushions.
_SIDES, _RINGS = 12, 5
_TRIANGLES = (np.array([[0, 1, 2], [0, 2, 3]])[None] + 4 * np.arange(6)[:, None, None]).reshape(12, 3)


class Parts:
    """Collects the parts of one model; boxes are turned into triangles together, at the end."""

    def __init__(self) -> None:
        self._boxes: list[tuple[float, ...]] = []
        self._meshes: list[Mesh] = []
        self._tops: list[Top] = []

    def box(
        self,
        size: Size,
        at: Size,
        slot: int = 0,
        *,
        lean: float = 0.0,
        roll: float = 0.0,
        yaw: float = 0.0,
        fit: bool = False,
    ) -> None:
        """Add a sharp-edged box.

        Args:
            size: Full extents, metres.
            at: Middle of its base, about which it turns.
            slot: Look.
            lean: Turn about x, towards the back where positive, radians.
            roll: Turn about y, to the right where positive; after `lean`.
            yaw: Turn about z, to the left; after `roll`.
            fit: The slot's look is stretched over each face.
        """
        self._boxes.append((*size, *at, lean, roll, yaw, slot, fit))

    def legs(
        self, width: float, depth: float, height: float, thick: float, slot: int = 0, *, base: float = 0.0
    ) -> None:
        """Four square legs at the corners of a rectangle of outer size (width, depth)."""
        x, y = (width - thick) / 2, (depth - thick) / 2
        for sign_x, sign_y in ((-1, -1), (1, -1), (-1, 1), (1, 1)):
            self.box((thick, thick, height), (sign_x * x, sign_y * y, base), slot)

    def add(self, mesh: Mesh) -> None:
        """Add any mesh."""
        self._meshes.append(mesh)

    def top(self, width: float, depth: float, at: Size, headroom: float = 1.0) -> None:
        """A level rectangle on which things can stand, with its middle at `at`."""
        self._tops.append(Top(at, (width / 2, depth / 2), headroom))

    def mesh(self) -> Mesh:
        """All parts so far, where they are."""
        return merge([*self._meshes, *([boxes(np.array(self._boxes))] if self._boxes else [])])

    def model(self, looks: Sequence[Look]) -> Model:
        """All parts, moved so that the model is centred in x and y and its lowest point is at 0."""
        mesh = self.mesh()
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        shift = np.array([-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]], dtype=np.float32)
        moved = Mesh(mesh.vertices + shift, mesh.normals, mesh.uv, mesh.triangles, mesh.slots)
        tops = [
            Top(
                (top.centre[0] + float(shift[0]), top.centre[1] + float(shift[1]), top.centre[2] + float(shift[2])),
                top.half,
                top.headroom,
            )
            for top in self._tops
        ]
        return Model(moved, tuple(looks), tuple(tops))


def boxes(rows: NDArray[np.floating]) -> Mesh:
    """Boxes as one mesh.

    Args:
        rows: (N, 11): full extents, middle of the base, lean, roll, yaw, slot, and 1 where uv are to be 0..1.
    """
    count = len(rows)
    size, at = rows[:, :3], rows[:, 3:6]
    turn = _turns(rows[:, 6], rows[:, 7], rows[:, 8])
    vertices = np.einsum("nij,nkj->nki", turn, _CORNERS[None] * size[:, None]) + at[:, None]
    normals = np.einsum("nij,kj->nki", turn, _NORMALS)
    fit = rows[:, 10, None] > 0
    scale = np.stack([np.where(fit, 1.0, size[:, _U_AXIS]), np.where(fit, 1.0, size[:, _V_AXIS])], axis=-1)
    # Shifted by the place of the box, so that equal boxes side by side do not show the same piece of a texture.
    offset = np.where(fit, 0.0, np.stack([at[:, 0] + 0.7 * at[:, 1], at[:, 2] + 0.3 * at[:, 1]], axis=-1))
    uv = _UNIT_UV[None] * scale + offset[:, None]
    triangles = _TRIANGLES[None] + 24 * np.arange(count)[:, None, None]
    return Mesh(
        vertices.reshape(-1, 3).astype(np.float32),
        normals.reshape(-1, 3).astype(np.float32),
        uv.reshape(-1, 2).astype(np.float32),
        triangles.reshape(-1, 3).astype(np.int32),
        np.repeat(rows[:, 9].astype(np.int32), 12),
    )


def _turns(lean: Floats, roll: Floats, yaw: Floats) -> NDArray[np.float64]:
    """Rotations (N, 3, 3): yaw after roll after lean."""
    cx, sx, cy, sy, cz, sz = np.cos(lean), np.sin(-lean), np.cos(roll), np.sin(roll), np.cos(yaw), np.sin(yaw)
    rows = [
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
        [-sy, cy * sx, cy * cx],
    ]
    result: NDArray[np.float64] = np.moveaxis(np.array(rows, dtype=np.float64), 2, 0)
    return result


def grid(points: NDArray[np.floating], slot: int = 0, *, uv_m: tuple[float, float] = (1.0, 1.0)) -> Mesh:
    """A smooth sheet through a grid of points.

    Args:
        points: (R, C, 3), metres; the outer side is where rows go up and columns to the right.
        slot: Look.
        uv_m: Extent of the texture coordinates over the columns and rows.
    """
    rows, columns = points.shape[:2]
    along = np.gradient(points, axis=1)
    up = np.gradient(points, axis=0)
    normals = np.cross(along, up).reshape(-1, 3)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(lengths > 1e-12, normals / np.maximum(lengths, 1e-12), np.array([0.0, 0.0, 1.0]))
    u, v = np.meshgrid(np.linspace(0, uv_m[0], columns), np.linspace(uv_m[1], 0, rows))
    start = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)[None]).reshape(-1)
    quads = np.stack([start, start + 1, start + columns + 1, start, start + columns + 1, start + columns], axis=1)
    triangles = quads.reshape(-1, 3).astype(np.int32)
    return Mesh(
        points.reshape(-1, 3).astype(np.float32),
        normals.astype(np.float32),
        np.stack([u, v], axis=-1).reshape(-1, 2).astype(np.float32),
        triangles,
        np.full(len(triangles), slot, dtype=np.int32),
    )


def cushion(
    size: Size,
    at: Size,
    slot: int = 0,
    *,
    round_flat: float = 0.35,
    round_side: float = 0.3,
    lean: float = 0.0,
    yaw: float = 0.0,
) -> Mesh:
    """A rounded box (a superellipsoid of 120 triangles): seats, pillows, mattresses.

    Args:
        size: Full extents, metres.
        at: Middle of its base, about which it turns.
        slot: Look.
        round_flat: 0.2 (nearly a box) to 1 (a ball) in the outline seen from the side.
        round_side: The same seen from above.
        lean: Turn about x, towards the back where positive, radians.
        yaw: Turn about z.
    """
    half = np.array(size) / 2
    unit, normals = _superellipsoid(round_flat, round_side)
    normals = normals / half / np.linalg.norm(normals / half, axis=-1, keepdims=True)
    turn = _turns(np.array([lean]), np.array([0.0]), np.array([yaw]))[0]
    vertices = (unit * half + np.array([0, 0, half[2]])) @ turn.T + np.array(at)
    along = unit * half
    uv = np.stack([along[..., 0] + 0.5 * along[..., 2], along[..., 1] + along[..., 2]], axis=-1)
    result = grid(vertices, slot)
    # The first and last row are poles: half of their triangles have no area.
    keep = np.ones(len(result.triangles), dtype=bool)
    keep[2 * np.arange(_SIDES)] = False
    keep[2 * (_SIDES * _RINGS + np.arange(_SIDES)) + 1] = False
    return Mesh(
        result.vertices,
        (normals @ turn.T).reshape(-1, 3).astype(np.float32),
        uv.reshape(-1, 2).astype(np.float32),
        result.triangles[keep],
        result.slots[keep],
    )


def _superellipsoid(round_flat: float, round_side: float) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Points (rings, sides, 3) of a superellipsoid of half extent 1 and its normals, not of unit length."""
    around = np.arange(_SIDES + 1) * (2 * math.pi / _SIDES) + math.pi / _SIDES
    up = np.linspace(-math.pi / 2, math.pi / 2, _RINGS + 2)

    def spread(flat: float, side: float) -> NDArray[np.floating]:
        c, s = _power(np.cos(up), flat)[:, None], _power(np.sin(up), flat)[:, None]
        co, so = _power(np.cos(around), side)[None], _power(np.sin(around), side)[None]
        return np.stack([c * co, c * so, s * np.ones_like(co)], axis=-1)

    # The gradient of the implicit function, which is the normal, has the complementary exponents.
    return spread(round_flat, round_side), spread(2 - round_flat, 2 - round_side)


def _power(value: NDArray[np.floating], exponent: float) -> NDArray[np.floating]:
    """Signed power; rounding noise at the poles counts as 0."""
    clean = np.where(np.abs(value) < 1e-9, 0.0, value)
    result: NDArray[np.floating] = np.sign(clean) * np.abs(clean) ** exponent
    return result


def folds(
    rng: np.random.Generator, width: float, height: float, *, depth: float = 0.06, columns: int = 40, slot: int = 0
) -> Mesh:
    """A hanging cloth with vertical folds, facing -y, its lower edge at z = 0: curtains, towels, coats."""
    x = np.linspace(-width / 2, width / 2, columns)
    waves = rng.uniform(5, 14) * x + 0.8 * np.sin(rng.uniform(2, 6) * x + rng.uniform(0, 6))
    shape = np.sin(waves * 2) + 0.3 * np.sin(waves * 5.3 + 1)
    levels = np.linspace(0.0, 1.0, 4)
    sway = 1.0 - 0.35 * levels
    points = np.empty((len(levels), columns, 3))
    points[..., 0] = x[None] * (1 - 0.06 * np.sin(levels * math.pi))[:, None]
    points[..., 1] = shape[None] * (0.5 * depth * sway)[:, None]
    points[..., 2] = (levels * height)[:, None]
    return grid(points, slot, uv_m=(width * 1.4, height))
