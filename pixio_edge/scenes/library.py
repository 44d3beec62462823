"""All models of the model modules, packed into flat arrays."""

from __future__ import annotations

import functools
import importlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from pixio_edge.errors import InputError, SpecError
from pixio_edge.scenes.mesh import Mesh, Model

# Modules with MODELS.
MODULES = (
    "books",
    "boundaries",
    "buildings",
    "containers",
    "decor",
    "figures",
    "fittings",
    "food",
    "furniture",
    "gadgets",
    "handheld",
    "household",
    "hung",
    "indoor_plants",
    "kitchen",
    "kitchen_machines",
    "kitchenware",
    "lamps",
    "large_buildings",
    "lorries",
    "monuments",
    "office_things",
    "people",
    "room_things",
    "seats",
    "sitters",
    "small_lamps",
    "soft_things",
    "sports_things",
    "storage",
    "street_things",
    "tableware",
    "toys",
    "trifles",
    "two_wheelers",
    "undergrowth",
    "vegetation",
    "vehicles",
    "workshop_things",
)
Models = dict[str, tuple[str, Callable[[np.random.Generator], Model], int]]


@dataclass(frozen=True, slots=True)
class PackedMeshes:
    """Meshes one after another.

    Attributes:
        vertices: float32 (V, 3).
        normals: float32 (V, 3).
        uv: float32 (V, 2).
        triangles: int32 (T, 3), rows of the mesh's own vertices.
        slots: int32 (T,).
        vertex_starts: int64 (M + 1,).
        triangle_starts: int64 (M + 1,).
        spheres: float64 (M, 4): centre and radius of the bounding sphere.
        slot_counts: int64 (M,): looks that each mesh needs.
    """

    vertices: NDArray[np.float32]
    normals: NDArray[np.float32]
    uv: NDArray[np.float32]
    triangles: NDArray[np.int32]
    slots: NDArray[np.int32]
    vertex_starts: NDArray[np.int64]
    triangle_starts: NDArray[np.int64]
    spheres: NDArray[np.float64]
    slot_counts: NDArray[np.int64]


def pack_meshes(meshes: list[Mesh], names: Sequence[str]) -> PackedMeshes:
    """Flat arrays of meshes, of which there may be none.

    Args:
        meshes: What compiled functions, which check nothing, are to read.
        names: What each is called in messages.

    Raises:
        SpecError: A mesh is empty, has arrays of different lengths, numbers that are not finite, or triangles of
            vertices that it does not have.
    """
    for mesh, name in zip(meshes, names, strict=True):
        _check_lengths(mesh, name)

    def joined(arrays: list[NDArray[Any]], width: int, dtype: type) -> NDArray[Any]:
        empty: NDArray[Any] = np.zeros((0, width) if width else (0,), dtype)
        return np.ascontiguousarray(np.concatenate([empty, *arrays]), dtype)

    counts = np.array([(len(mesh.vertices), len(mesh.triangles)) for mesh in meshes], dtype=np.int64).reshape(-1, 2)
    starts = np.concatenate([np.zeros((1, 2), np.int64), counts.cumsum(axis=0)])
    packed = PackedMeshes(
        joined([mesh.vertices for mesh in meshes], 3, np.float32),
        joined([mesh.normals for mesh in meshes], 3, np.float32),
        joined([mesh.uv for mesh in meshes], 2, np.float32),
        joined([mesh.triangles for mesh in meshes], 3, np.int32),
        joined([mesh.slots for mesh in meshes], 0, np.int32),
        np.ascontiguousarray(starts[:, 0]),
        np.ascontiguousarray(starts[:, 1]),
        np.array([_sphere(mesh) for mesh in meshes]).reshape(-1, 4),
        np.array([int(mesh.slots.max()) + 1 for mesh in meshes], dtype=np.int64),
    )
    _check_values(packed, names)
    return packed


def _check_lengths(mesh: Mesh, name: str) -> None:
    """Refuse an empty mesh, and arrays that do not belong together."""
    vertices, triangles = len(mesh.vertices), len(mesh.triangles)
    expected: dict[str, tuple[int, ...]] = {"vertices": (vertices, 3), "normals": (vertices, 3), "uv": (vertices, 2)}
    expected |= {"triangles": (triangles, 3), "slots": (triangles,)}
    wrong = [key for key, shape in expected.items() if getattr(mesh, key).shape != shape]
    if wrong or not vertices or not triangles:
        got = ", ".join(f"{key} {getattr(mesh, key).shape}" for key in expected)
        raise SpecError(
            f"mesh of {name}: got {got}, expected vertices (V, 3), normals (V, 3), uv (V, 2), triangles (T, 3) and "
            "slots (T,), none of them empty. Fix: correct what builds it"
        )


def _check_values(packed: PackedMeshes, names: Sequence[str]) -> None:
    """Refuse numbers that are not finite, and triangles and slots outside their mesh."""
    if not names:
        return
    counts, corners = np.diff(packed.vertex_starts), packed.triangles.reshape(-1)
    rules = (
        (packed.vertices, packed.vertex_starts, "vertices that are not finite"),
        (packed.normals, packed.vertex_starts, "normals that are not finite"),
        (packed.uv, packed.vertex_starts, "uv that are not finite"),
    )
    for values, starts, what in rules:
        finite = np.isfinite(values)
        if not finite.all():
            row = int(np.flatnonzero(~finite.all(axis=1))[0])
            _refuse(names, int(np.searchsorted(starts, row, side="right")) - 1, what)
    firsts = packed.triangle_starts[:-1]
    outside = np.maximum.reduceat(corners, 3 * firsts) >= counts
    outside |= np.minimum.reduceat(corners, 3 * firsts) < 0
    if outside.any():
        _refuse(names, int(outside.argmax()), "triangles of vertices that it does not have")
    negative = np.minimum.reduceat(packed.slots, firsts) < 0
    if negative.any():
        _refuse(names, int(negative.argmax()), "negative slots")


def _refuse(names: Sequence[str], mesh: int, what: str) -> NoReturn:
    raise SpecError(f"mesh of {names[mesh]}: got {what}, expected none. Fix: correct what builds it")


def _sphere(mesh: Mesh) -> tuple[float, float, float, float]:
    """Centre and radius of a sphere around a mesh."""
    centre = (mesh.vertices.min(axis=0).astype(np.float64) + mesh.vertices.max(axis=0)) / 2
    return (*centre.tolist(), float(np.linalg.norm(mesh.vertices - centre, axis=1).max()))


class Library:
    """Models by name and category.

    Attributes:
        names: Name of each model; variants of one share it.
        categories: Category of each model.
        models: The models.
        packed: Their meshes.
        lows, highs: Lowest and highest corner of each model, metres.
    """

    def __init__(self, entries: list[tuple[str, str, Model]]) -> None:
        self.names = [name for name, _, _ in entries]
        self.categories = [category for _, category, _ in entries]
        self.models = [model for _, _, model in entries]
        self.packed = pack_meshes([model.mesh for model in self.models], self.names)
        self.lows = [_vector(model.low) for model in self.models]
        self.highs = [_vector(model.high) for model in self.models]
        self.groups: dict[str, list[int]] = {}
        for i, (name, category) in enumerate(zip(self.names, self.categories, strict=True)):
            for key in dict.fromkeys((name, category)):
                self.groups.setdefault(key, []).append(i)

    def of(self, key: str) -> list[int]:
        """Indices of the models of a category or a name.

        Raises:
            InputError: There is no such category or name.
        """
        group = self.groups.get(key)
        if group is None:
            raise InputError(
                f"models '{key}': unknown, expected one of {', '.join(sorted(self.groups))}. Fix: choose one of these"
            )
        return group

    def model(self, index: int) -> Model:
        """One model."""
        return self.models[index]


@functools.cache
def build_library(seed: int = 0) -> Library:
    """Every variant of every model; built once per process.

    Args:
        seed: Seed of their shapes. A variant depends on the seed, its name and its number alone.
    """
    return make_library(_all_models(), seed)


def make_library(models: Models, seed: int = 0) -> Library:
    """A library of some models, for tests and for looking at them."""
    entries = []
    for name, (category, make, variants) in models.items():
        for variant in range(variants):
            rng = np.random.default_rng([seed, zlib.crc32(name.encode()), variant])
            entries.append((name, category, make(rng)))
    return Library(entries)


def _all_models() -> Models:
    """MODELS of all modules that have some."""
    result: Models = {}
    for module in MODULES:
        result |= importlib.import_module(f"pixio_edge.scenes.things.{module}").MODELS
    return result


def _vector(values: NDArray[np.float32]) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))
