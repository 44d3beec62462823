"""Everything of a scene as one mesh in world axes, made once and seen by all its cameras."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.drawing.jit import Array, Point, exact, exact_part
from pixio_edge.scenes.drawing.placed import Placed, place
from pixio_edge.scenes.library import Library, PackedMeshes
from pixio_edge.scenes.scene import Scene

# Columns of `World.looks`.
REPEAT, RED, GREEN, BLUE, CONTRAST, GLOSS, GLOW = range(7)


@dataclass(frozen=True, slots=True)
class World:
    """One mesh with a bounding sphere per instance.

    Attributes:
        vertices: float32 (V, 8): world position, unit normal, uv; together, since they are read together.
        triangles: int32 (T, 3).
        surface: int32 (T,), row of `looks`.
        vertex_starts: int64 (I + 1,), per instance.
        triangle_starts: int64 (I + 1,).
        spheres: float64 (I, 4), world centre and radius.
        looks: float32 (S, 7), see the columns above.
        textures: int32 (S,).
    """

    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    surface: NDArray[np.int32]
    vertex_starts: NDArray[np.int64]
    triangle_starts: NDArray[np.int64]
    spheres: NDArray[np.float64]
    looks: NDArray[np.float32]
    textures: NDArray[np.int32]


def assemble(scene: Scene, library: Library, textures: int) -> World:
    """The scene as one mesh, in which compiled functions, which check nothing, find all that it names.

    Args:
        scene: What stands where.
        library: Models that its instances name.
        textures: Number of textures that its surfaces may name.

    Raises:
        SpecError: As for `place`.
    """
    placed = place(scene, library, textures)
    vertex_counts, triangle_counts = _counts(library.packed, placed)
    vertex_starts = np.concatenate([[0], np.cumsum(vertex_counts)])
    triangle_starts = np.concatenate([[0], np.cumsum(triangle_counts)])
    world = World(
        np.empty((int(vertex_starts[-1]), 8), np.float32),
        np.empty((int(triangle_starts[-1]), 3), np.int32),
        np.empty(int(triangle_starts[-1]), np.int32),
        vertex_starts,
        triangle_starts,
        np.empty((len(placed.meshes), 4)),
        placed.looks,
        placed.textures,
    )
    moves = (placed.matrices, placed.inverses, placed.shifts, placed.surface_starts[:-1])
    for packed, rows in ((library.packed, ~placed.is_own), (placed.own, placed.is_own)):
        _fill(
            (packed.vertices, packed.normals, packed.uv, packed.triangles, packed.slots),
            (packed.vertex_starts, packed.triangle_starts, packed.spheres),
            (np.flatnonzero(rows), placed.meshes, *moves),
            (world.vertices, world.triangles, world.surface),
            (vertex_starts, triangle_starts, world.spheres),
        )
    return world


def _counts(library: PackedMeshes, placed: Placed) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Vertices and triangles of each instance."""
    vertices, triangles = np.zeros(len(placed.meshes), np.int64), np.zeros(len(placed.meshes), np.int64)
    for packed, rows in ((library, ~placed.is_own), (placed.own, placed.is_own)):
        chosen = placed.meshes[rows]
        vertices[rows] = np.diff(packed.vertex_starts)[chosen]
        triangles[rows] = np.diff(packed.triangle_starts)[chosen]
    return vertices, triangles


@exact_part
def _turned(inverse: Array, x: float, y: float, z: float) -> Point:
    """Unit normal of a moved surface, by the inverse transpose; of unequal lengths, blends of them would be skewed."""
    a = inverse[0, 0] * x + inverse[1, 0] * y + inverse[2, 0] * z
    b = inverse[0, 1] * x + inverse[1, 1] * y + inverse[2, 1] * z
    c = inverse[0, 2] * x + inverse[1, 2] * y + inverse[2, 2] * z
    scale = 1 / np.sqrt(max(a * a + b * b + c * c, 1e-24))
    return a * scale, b * scale, c * scale


@exact
def _fill(
    source: tuple[Array, ...],
    bounds: tuple[Array, ...],
    instances: tuple[Array, ...],
    target: tuple[Array, ...],
    target_bounds: tuple[Array, ...],
) -> None:
    """Write the moved meshes of some instances."""
    vertices, normals, uv, triangles, slots = source
    vertex_starts, triangle_starts, spheres = bounds
    rows, meshes, matrices, inverses, shifts, surface_starts = instances
    out_vertices, out_triangles, out_surface = target
    out_vertex_starts, out_triangle_starts, out_spheres = target_bounds
    for row in rows:
        mesh = meshes[row]
        m, inverse, shift = matrices[row], inverses[row], shifts[row]
        to = out_vertex_starts[row]
        for i in range(vertex_starts[mesh], vertex_starts[mesh + 1]):
            x, y, z = np.float64(vertices[i, 0]), np.float64(vertices[i, 1]), np.float64(vertices[i, 2])
            for k in range(3):
                out_vertices[to, k] = m[k, 0] * x + m[k, 1] * y + m[k, 2] * z + shift[k]
            normal = _turned(inverse, normals[i, 0], normals[i, 1], normals[i, 2])
            out_vertices[to, 3], out_vertices[to, 4], out_vertices[to, 5] = normal
            out_vertices[to, 6], out_vertices[to, 7] = uv[i, 0], uv[i, 1]
            to += 1
        to, first = out_triangle_starts[row], out_vertex_starts[row]
        for i in range(triangle_starts[mesh], triangle_starts[mesh + 1]):
            for k in range(3):
                out_triangles[to, k] = triangles[i, k] + first
            out_surface[to] = slots[i] + surface_starts[row]
            to += 1
        largest = 0.0
        for k in range(3):
            centre = m[k, 0] * spheres[mesh, 0] + m[k, 1] * spheres[mesh, 1] + m[k, 2] * spheres[mesh, 2]
            out_spheres[row, k] = centre + shift[k]
            # Columns of the matrix are orthogonal, so their longest is the largest factor.
            largest = max(largest, m[0, k] ** 2 + m[1, k] ** 2 + m[2, k] ** 2)
        out_spheres[row, 3] = spheres[mesh, 3] * np.sqrt(largest)
