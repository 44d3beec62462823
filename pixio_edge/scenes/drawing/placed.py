"""The instances of a scene as arrays, checked: compiled functions look things up without asking whether they exist."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixio_edge.errors import SpecError
from pixio_edge.scenes.library import Library, PackedMeshes, pack_meshes
from pixio_edge.scenes.scene import Scene, Surface


@dataclass(frozen=True, slots=True)
class Placed:
    """Instances as arrays.

    Attributes:
        own: The scene's own meshes.
        meshes: int64 (I,), row of `own` or of the library's meshes.
        is_own: bool (I,), which of the two.
        matrices: float64 (I, 3, 3).
        inverses: float64 (I, 3, 3), of the matrices.
        shifts: float64 (I, 3).
        surface_starts: int64 (I + 1,), rows of `looks` and `textures`.
        looks: float32 (S, 7), see the columns of `World.looks`.
        textures: int32 (S,).
    """

    own: PackedMeshes
    meshes: NDArray[np.int64]
    is_own: NDArray[np.bool_]
    matrices: NDArray[np.float64]
    inverses: NDArray[np.float64]
    shifts: NDArray[np.float64]
    surface_starts: NDArray[np.int64]
    looks: NDArray[np.float32]
    textures: NDArray[np.int32]


def place(scene: Scene, library: Library, textures: int) -> Placed:
    """The instances of a scene.

    Args:
        scene: What stands where.
        library: Models that its instances name.
        textures: Number of textures that its surfaces may name.

    Raises:
        SpecError: A mesh of its own cannot be used (see `pack_meshes`), or an instance has a model or texture that is
            not there, fewer surfaces than its mesh has slots, numbers that are not finite, or a matrix without inverse.
    """
    instances = scene.instances
    models = np.array([instance.model for instance in instances], dtype=np.int64)
    matrices = np.array([instance.matrix for instance in instances], dtype=np.float64).reshape(-1, 3, 3)
    looks, texture_rows = _looks([surface for instance in instances for surface in instance.surfaces])
    placed = Placed(
        pack_meshes(scene.own, [f"scene '{scene.kind}', own[{i}]" for i in range(len(scene.own))]),
        np.where(models < 0, -1 - models, models),
        models < 0,
        matrices,
        _inverses(matrices),
        np.array([instance.shift for instance in instances], dtype=np.float64).reshape(-1, 3),
        np.cumsum([0, *(len(instance.surfaces) for instance in instances)], dtype=np.int64),
        looks,
        texture_rows,
    )
    _check_places(placed, scene, library)
    _check_surfaces(placed, scene, library, textures)
    return placed


def _looks(surfaces: list[Surface]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    rows = [(s.repeat_m, *s.tint, s.contrast, s.gloss, s.glow) for s in surfaces]
    textures = np.array([surface.texture for surface in surfaces], dtype=np.int32)
    return np.array(rows, dtype=np.float32).reshape(-1, 7), textures


def _inverses(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverses; NaN where there is none."""
    result = np.full_like(matrices, np.nan)
    try:
        result[:] = np.linalg.inv(matrices)
    except np.linalg.LinAlgError:
        has_one = np.abs(np.linalg.det(matrices)) > 0
        result[has_one] = np.linalg.inv(matrices[has_one])
    return result


def _check_places(placed: Placed, scene: Scene, library: Library) -> None:
    there = np.where(placed.is_own, len(placed.own.slot_counts), len(library.names))
    _refuse(placed.meshes >= there, scene, library, "a model that is not there")
    numbers = np.concatenate([placed.inverses.reshape(-1, 9), placed.shifts], axis=1)
    _refuse(
        np.logical_not(np.isfinite(numbers).all(axis=1)),
        scene,
        library,
        "a matrix without inverse or a shift that is not finite",
    )


def _check_surfaces(placed: Placed, scene: Scene, library: Library, textures: int) -> None:
    counts = np.diff(placed.surface_starts)
    needed = np.empty_like(counts)
    for packed, rows in ((library.packed, ~placed.is_own), (placed.own, placed.is_own)):
        needed[rows] = packed.slot_counts[placed.meshes[rows]]
    _refuse(counts < needed, scene, library, "fewer surfaces than its mesh has slots")
    known = (placed.textures >= 0) & (placed.textures < textures)
    finite = np.isfinite(placed.looks).all(axis=1)
    for fine, what in ((known, f"a texture outside the {textures} there are"), (finite, "a look that is not finite")):
        if not fine.all():
            wrong = np.zeros(len(counts), np.bool_)
            wrong[np.searchsorted(placed.surface_starts, np.flatnonzero(~fine), side="right") - 1] = True
            _refuse(wrong, scene, library, what)


def _refuse(wrong: NDArray[np.bool_], scene: Scene, library: Library, what: str) -> None:
    """Name the first instance that is wrong, if there is one."""
    if not wrong.any():
        return
    index = int(wrong.argmax())
    model = scene.instances[index].model
    name = f"'{library.names[model]}'" if 0 <= model < len(library.names) else f"model {model}"
    raise SpecError(
        f"scene '{scene.kind}', instance {index} ({name}): got {what}, expected none. Fix: correct its layout"
    )
