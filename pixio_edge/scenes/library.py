"""All models of the model modules, packed into flat arrays."""

from __future__ import annotations

import functools
import importlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixio_edge.errors import InputError
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
    """

    vertices: NDArray[np.float32]
    normals: NDArray[np.float32]
    uv: NDArray[np.float32]
    triangles: NDArray[np.int32]
    slots: NDArray[np.int32]
    vertex_starts: NDArray[np.int64]
    triangle_starts: NDArray[np.int64]
    spheres: NDArray[np.float64]


def pack_meshes(meshes: list[Mesh]) -> PackedMeshes:
    """Flat arrays of meshes, of which there may be none."""
    spheres = np.zeros((len(meshes), 4))
    for row, mesh in zip(spheres, meshes, strict=True):
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        row[:3] = (low.astype(np.float64) + high) / 2
        row[3] = np.linalg.norm(mesh.vertices - row[:3], axis=1).max()

    def joined(arrays: list[NDArray[Any]], width: int, dtype: type) -> NDArray[Any]:
        empty: NDArray[Any] = np.zeros((0, width) if width else (0,), dtype)
        return np.ascontiguousarray(np.concatenate([empty, *arrays]), dtype)

    return PackedMeshes(
        joined([mesh.vertices for mesh in meshes], 3, np.float32),
        joined([mesh.normals for mesh in meshes], 3, np.float32),
        joined([mesh.uv for mesh in meshes], 2, np.float32),
        joined([mesh.triangles for mesh in meshes], 3, np.int32),
        joined([mesh.slots for mesh in meshes], 0, np.int32),
        np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)], dtype=np.int64),
        np.cumsum([0, *(len(mesh.triangles) for mesh in meshes)], dtype=np.int64),
        spheres,
    )


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
        self.packed = pack_meshes([model.mesh for model in self.models])
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
