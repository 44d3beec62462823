"""Triangle meshes of things that stand in scenes, and what they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Mesh:
    """Triangles in the axes of a thing: x to its right, y to its back, z up, metres; it rests on z = 0.

    Attributes:
        vertices: float32 (V, 3). Vertices are doubled along hard edges, so that each has one normal.
        normals: Unit float32 (V, 3). Either side of a triangle can be seen; shading turns the normal to the eye.
        uv: float32 (V, 2), metres along the surface, so that a texture keeps its size. In a slot whose look is `fit`
            they run from 0 to 1 over the face, u to the right and v down as in an image.
        triangles: int32 (T, 3), rows of vertices.
        slots: int32 (T,), which look of the model each triangle has.
    """

    vertices: Floats
    normals: Floats
    uv: Floats
    triangles: NDArray[np.int32]
    slots: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Look:
    """What a slot is made of, drawn anew for every thing that is placed.

    Attributes:
        use: Texture use of the kit: "wood", "fabric", "metal", "plastic", "object", "picture", "foliage", "skin", …;
            see `kit.USES`.
        fit: One texture is stretched over each face (pictures, screens, labels, facades).
        gloss: Range of the strength of highlights.
        tint: A fixed colour multiplier of a plain surface (black rubber, chrome, leaves); None draws one.
        repeat_m: Range of metres per texture repeat.
        same_as: Slot whose draw this one shares; None draws its own.
    """

    use: str
    fit: bool = False
    gloss: tuple[float, float] = (0.0, 0.2)
    tint: tuple[float, float, float] | None = None
    repeat_m: tuple[float, float] = (0.2, 1.5)
    same_as: int | None = None


@dataclass(frozen=True, slots=True)
class Top:
    """A level rectangle of a model on which other things can stand, in its own axes.

    Attributes:
        centre: (x, y, z) of the middle, metres.
        half: Half extents along x and y.
        headroom: Free height above it, metres; small inside a shelf.
    """

    centre: tuple[float, float, float]
    half: tuple[float, float]
    headroom: float = 1.0


@dataclass(frozen=True, slots=True)
class Model:
    """A thing: its mesh, what its slots are made of, and where things can stand on it."""

    mesh: Mesh
    looks: Sequence[Look]
    tops: Sequence[Top] = field(default_factory=tuple)

    @property
    def low(self) -> Floats:
        """Lowest x, y, z, (3,)."""
        result: Floats = self.mesh.vertices.min(axis=0)
        return result

    @property
    def high(self) -> Floats:
        """Highest x, y, z, (3,)."""
        result: Floats = self.mesh.vertices.max(axis=0)
        return result


def merge(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of several, slots as they are."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]).astype(np.float32),
        np.concatenate([mesh.normals for mesh in meshes]).astype(np.float32),
        np.concatenate([mesh.uv for mesh in meshes]).astype(np.float32),
        np.concatenate([mesh.triangles + start for mesh, start in zip(meshes, starts[:-1], strict=True)]).astype(
            np.int32
        ),
        np.concatenate([mesh.slots for mesh in meshes]).astype(np.int32),
    )


def transform(mesh: Mesh, matrix: NDArray[np.floating], shift: Sequence[float] = (0.0, 0.0, 0.0)) -> Mesh:
    """The mesh under `matrix @ vertex + shift`; uv stay, normals follow the inverse transpose.

    Args:
        mesh: What to move.
        matrix: 3x3, invertible.
        shift: Metres.
    """
    m = np.asarray(matrix, dtype=np.float64)
    normals = mesh.normals @ np.linalg.inv(m)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    vertices = mesh.vertices @ m.T + np.asarray(shift)
    triangles = mesh.triangles if np.linalg.det(m) > 0 else mesh.triangles[:, ::-1]
    return Mesh(
        vertices.astype(np.float32), normals.astype(np.float32), mesh.uv, np.ascontiguousarray(triangles), mesh.slots
    )
