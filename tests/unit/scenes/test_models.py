import functools
import importlib
import pkgutil
import zlib
from collections import Counter

import numpy as np
import pytest

import pixio_edge.scenes.things

# How far a thing may stand above the ground or reach into it, metres, and plants of the open besides, in parts of their
# height: roots reach down, and the lowest leaves of a bush hang above the ground.
REST, REST_OF_PLANTS = 0.03, 0.15
# Twice the smallest area that a triangle may have, square metres: less has no direction in float32.
SMALLEST = 1e-11
MODULES = [
    module
    for info in pkgutil.iter_modules(pixio_edge.scenes.things.__path__)
    if hasattr(module := importlib.import_module(f"pixio_edge.scenes.things.{info.name}"), "MODELS")
]
MODELS = {name: entry for module in MODULES for name, entry in module.MODELS.items()}


@functools.cache
def _model(name, variant=0):
    return _made(name, variant)


def _made(name, variant):
    return MODELS[name][1](np.random.default_rng([0, zlib.crc32(name.encode()), variant]))


def test_every_name_is_given_once():
    counts = Counter(name for module in MODULES for name in module.MODELS)

    assert [name for name, count in counts.items() if count > 1] == []


def test_a_name_that_is_a_category_too_is_of_that_category():
    categories = {category for category, _, _ in MODELS.values()}

    assert [n for n, (category, _, _) in MODELS.items() if n in categories and category != n] == []


def test_there_are_many_kinds_of_things():
    assert len(MODELS) >= 200


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_a_sound_mesh(name):
    model = _model(name)
    mesh = model.mesh

    assert all(np.isfinite(array).all() for array in (mesh.vertices, mesh.normals, mesh.uv))
    assert len(mesh.vertices) == len(mesh.normals) == len(mesh.uv)
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-3)
    assert mesh.triangles.min() >= 0
    assert mesh.triangles.max() < len(mesh.vertices)
    assert len(mesh.slots) == len(mesh.triangles)
    assert mesh.slots.min() >= 0
    assert mesh.slots.max() < len(model.looks)
    a, b, c = (mesh.vertices[mesh.triangles[:, i]].astype(np.float64) for i in range(3))
    assert np.linalg.norm(np.cross(b - a, c - a), axis=1).min() > SMALLEST


@pytest.mark.parametrize("name", MODELS)
def test_a_model_rests_on_the_ground_over_its_origin_and_its_tops_are_inside_it(name):
    model = _model(name)
    low, high = model.low.astype(np.float64), model.high.astype(np.float64)

    plant = MODELS[name][1].__module__.rpartition(".")[2] in {"vegetation", "undergrowth"}
    assert abs(low[2]) <= REST + plant * REST_OF_PLANTS * high[2]
    assert (low[:2] <= 0.01).all()
    assert (high[:2] >= -0.01).all()
    for top in model.tops:
        centre, half = np.array(top.centre), np.array([*top.half, 0.0])
        assert (centre - half >= low - 1e-3).all()
        assert (centre + half <= high + 1e-3).all()
        assert top.headroom > 0


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_the_same_for_a_seed(name):
    first, again = _model(name), _made(name, 0)

    np.testing.assert_array_equal(first.mesh.vertices, again.mesh.vertices)
    assert first.looks == again.looks


def test_most_models_have_another_shape_each_time():
    fixed = [name for name in MODELS if np.allclose(_model(name).high, _model(name, 1).high, rtol=1e-4, atol=0)]

    assert len(fixed) < 0.05 * len(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_looks_share_only_the_draw_of_an_earlier_slot(name):
    looks = _model(name).looks

    assert all(look.same_as is None or 0 <= look.same_as < slot for slot, look in enumerate(looks))
    assert all(0 <= look.gloss[0] <= look.gloss[1] <= 1 for look in looks)
