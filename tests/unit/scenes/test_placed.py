from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pixio_edge.errors import SpecError
from pixio_edge.scenes.drawing.placed import place
from pixio_edge.scenes.library import Library, make_library, pack_meshes
from pixio_edge.scenes.mesh import Look, Mesh, Model, merge
from pixio_edge.scenes.scene import Instance, Scene, Surface
from pixio_edge.scenes.shapes import box

TEXTURES = 7
PLAIN = Surface(6)


@pytest.fixture(scope="module")
def library() -> Library:
    def two_boxes(_: np.random.Generator) -> Model:
        mesh = merge([box((1.0, 1.0, 1.0)), box((1.0, 1.0, 1.0), at=(0.0, 0.0, 1.0), slot=1)])
        return Model(mesh, [Look("wood"), Look("metal")])

    return make_library({"boxes": ("thing", two_boxes, 2)})


def own() -> Mesh:
    return box((1.0, 2.0, 3.0))


def scene(changed: Instance | None = None, mesh: Mesh | None = None) -> Scene:
    """Five instances, of which one may be replaced: the fourth."""
    instances = [Instance(i % 2, np.eye(3), (float(i), 0.0, 0.0), (PLAIN, PLAIN)) for i in range(4)]
    instances.append(Instance(-1, np.eye(3), (0.0, 0.0, 0.0), (PLAIN,)))
    if changed is not None:
        instances[3] = changed
    return Scene("attic", [], instances, [mesh or own()])


GOOD = Instance(1, np.eye(3), (0.0, 0.0, 0.0), (PLAIN, PLAIN))


def test_instances_that_name_what_is_there_are_taken(library: Library) -> None:
    placed = place(scene(), library, TEXTURES)

    assert placed.meshes.tolist() == [0, 1, 0, 1, 0]
    assert placed.is_own.tolist() == [False] * 4 + [True]
    assert placed.surface_starts.tolist() == [0, 2, 4, 6, 8, 9]
    assert placed.own.slot_counts.tolist() == [1]
    assert library.packed.slot_counts.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"surfaces": (PLAIN,)}, "fewer surfaces than its mesh has slots"),
        ({"surfaces": ()}, "fewer surfaces than its mesh has slots"),
        ({"surfaces": (PLAIN, Surface(TEXTURES))}, "a texture outside the 7 there are"),
        ({"surfaces": (Surface(-1), PLAIN)}, "a texture outside the 7 there are"),
        ({"surfaces": (Surface(0, gloss=float("nan")), PLAIN)}, "a look that is not finite"),
        ({"model": 2}, "a model that is not there"),
        ({"model": -2}, "a model that is not there"),
        ({"matrix": np.diag((1.0, 1.0, 0.0))}, "a matrix without inverse"),
        ({"matrix": np.full((3, 3), np.nan)}, "a matrix without inverse"),
        ({"shift": (0.0, float("inf"), 0.0)}, "shift that is not finite"),
    ],
)
def test_instance_is_refused_by_name_when_it_names_what_is_not_there(
    changes: dict[str, object], message: str, library: Library
) -> None:
    changed = replace(GOOD, **changes)  # type: ignore[arg-type]

    with pytest.raises(SpecError, match=rf"scene 'attic', instance 3 \(.*{message}"):
        place(scene(changed), library, TEXTURES)


def with_nan(name: str) -> Callable[[Mesh], Mesh]:
    def change(mesh: Mesh) -> Mesh:
        values = getattr(mesh, name).copy()
        values[5, 1] = np.nan
        return replace(mesh, **{name: values})

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_nan("vertices"), "vertices that are not finite"),
        (with_nan("normals"), "normals that are not finite"),
        (with_nan("uv"), "uv that are not finite"),
        (lambda mesh: replace(mesh, triangles=mesh.triangles + 1), "triangles of vertices that it does not have"),
        (lambda mesh: replace(mesh, triangles=mesh.triangles - 1), "triangles of vertices that it does not have"),
        (lambda mesh: replace(mesh, slots=mesh.slots - 1), "negative slots"),
        (lambda mesh: replace(mesh, slots=mesh.slots[1:]), r"slots \(11,\), expected"),
        (lambda mesh: replace(mesh, normals=mesh.normals[1:]), r"normals \(23, 3\)"),
        (lambda mesh: replace(mesh, triangles=mesh.triangles[:0], slots=mesh.slots[:0]), "none of them empty"),
    ],
)
def test_mesh_is_refused_by_name_when_it_cannot_be_drawn(
    change: Callable[[Mesh], Mesh], message: str, library: Library
) -> None:
    with pytest.raises(SpecError, match=rf"mesh of scene 'attic', own\[0\]: got .*{message}"):
        place(scene(mesh=change(own())), library, TEXTURES)
    with pytest.raises(SpecError, match=rf"mesh of second: got .*{message}"):
        pack_meshes([own(), change(own()), own()], ["first", "second", "third"])


def test_scene_without_anything_is_placed(library: Library) -> None:
    assert len(place(Scene("empty"), library, TEXTURES).meshes) == 0
