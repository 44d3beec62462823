from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from pixio_edge.errors import InputError
from pixio_edge.scenes import library as module
from pixio_edge.scenes.kit import Kit, Spot
from pixio_edge.scenes.library import Library, make_library
from pixio_edge.scenes.light import daylight, room_light
from pixio_edge.scenes.materials import MATERIALS, USES
from pixio_edge.scenes.mesh import Look, Model, Top
from pixio_edge.scenes.scene import Scene, Surface
from pixio_edge.scenes.shapes import box
from pixio_edge.scenes.textures import TextureAtlas, load_atlas


@pytest.fixture(scope="module")
def atlas() -> TextureAtlas:
    return load_atlas()


@pytest.fixture(scope="module")
def library() -> Library:
    def brick(rng: np.random.Generator) -> Model:
        size = tuple(rng.uniform(0.05, 0.2, 3))
        return Model(box(size), [Look("plastic"), Look("wood"), Look("picture", fit=True)])

    def table(_: np.random.Generator) -> Model:
        return Model(box((1.0, 0.6, 0.7)), [Look("wood")], [Top((0.1, 0.0, 0.7), (0.4, 0.3), 0.5)])

    def pole(_: np.random.Generator) -> Model:
        return Model(box((0.1, 0.1, 2.0)), [Look("metal"), Look("metal", same_as=0)])

    return make_library({"brick": ("small", brick, 6), "table": ("table", table, 1), "pole": ("small", pole, 1)})


def make_kit(atlas: TextureAtlas, library: Library, seed: int = 0) -> Kit:
    return Kit(np.random.default_rng(seed), atlas, library)


def world(kit: Kit, scene: Scene, number: int) -> np.ndarray:
    instance = scene.instances[number]
    vertices = kit.library.models[instance.model].mesh.vertices
    return vertices @ instance.matrix.T + instance.shift


def test_models_are_found_by_name_and_by_category(library: Library) -> None:
    assert len(library.of("brick")) == 6
    assert set(library.of("small")) == {*library.of("brick"), *library.of("pole")}
    assert len({library.highs[i] for i in library.of("brick")}) == 6
    with pytest.raises(InputError, match="'chair': unknown, expected one of brick, pole, small, table"):
        library.of("chair")


def test_a_variant_depends_on_its_name_and_number_alone(library: Library) -> None:
    def brick(rng: np.random.Generator) -> Model:
        return Model(box(tuple(rng.uniform(0.05, 0.2, 3))), [Look("plastic")])

    alone = make_library({"brick": ("other", brick, 2)})
    assert alone.highs == [library.highs[i] for i in library.of("brick")[:2]]
    assert make_library({"brick": ("other", brick, 2)}, seed=1).highs != alone.highs


def test_draws_stay_in_their_ranges(atlas: TextureAtlas, library: Library) -> None:
    kit = make_kit(atlas, library)
    assert {kit.integer(2, 4) for _ in range(100)} == {2, 3, 4}
    assert all(0.1 <= kit.log_uniform(0.1, 10) < 10 for _ in range(100))
    assert 0.3 < np.mean([kit.log_uniform(0.1, 10) < 1 for _ in range(500)]) < 0.7
    assert {kit.weighted({"a": 1.0, "b": 0.0, "c": 2.0}) for _ in range(100)} == {"a", "c"}
    assert make_kit(atlas, library).uniform(0, 1) == make_kit(atlas, library).uniform(0, 1)
    assert make_kit(atlas, library, 1).uniform(0, 1) != make_kit(atlas, library).uniform(0, 1)


def test_a_turned_table_brings_its_top_along(atlas: TextureAtlas, library: Library) -> None:
    kit, scene = make_kit(atlas, library), Scene("x")
    placed = kit.place(scene, "table", (1.0, 2.0, 0.5), math.pi / 2, scale=2.0)

    assert placed.tops[0].centre == pytest.approx((1.0, 2.2, 1.9))
    assert placed.tops[0].half == (0.8, 0.6) and placed.tops[0].headroom == 1.0
    assert placed.tops[0].at(0.1, 0.0) == pytest.approx((1.0, 2.3, 1.9))
    assert placed.point(0.0, -0.3, 0.0) == pytest.approx((1.6, 2.0, 0.5))  # its front looks along +x


def test_a_tilted_thing_lies_on_what_it_was_put_on(atlas: TextureAtlas, library: Library) -> None:
    kit, scene = make_kit(atlas, library), Scene("x")
    kit.place(scene, "pole", (0.0, 0.0, 0.3), 0.4, tilt=(math.pi / 2, 0.0))
    kit.place(scene, "pole", (0.0, 0.0, 0.3), 0.4, tilt=(0.3, 0.2))

    lying, leaning = world(kit, scene, 0), world(kit, scene, 1)
    assert lying[:, 2].min() == pytest.approx(0.3, abs=1e-6)
    assert lying[:, 2].max() == pytest.approx(0.4, abs=1e-6)
    assert leaning[:, 2].min() == pytest.approx(0.3, abs=1e-6)


def test_scattered_things_stay_on_the_spot_apart_and_below_the_shelf_above(
    atlas: TextureAtlas, library: Library
) -> None:
    kit, scene = make_kit(atlas, library), Scene("x")
    spot = Spot((3.0, -1.0, 0.8), (0.5, 0.4), 0.7, headroom=0.5)
    placed = kit.scatter(scene, spot, {"small": 1.0}, 0.5)

    assert len(placed) > 5
    assert all(kit.library.names[thing.index] == "brick" for thing in placed)  # a pole is too tall
    c, s = math.cos(-spot.yaw), math.sin(-spot.yaw)
    boxes = []
    for number in range(len(placed)):
        points = world(kit, scene, number) - spot.centre
        x, y = c * points[:, 0] - s * points[:, 1], s * points[:, 0] + c * points[:, 1]
        assert abs(x).max() <= 0.5 and abs(y).max() <= 0.4 and points[:, 2].min() == pytest.approx(0, abs=1e-6)
        boxes.append((x.min(), x.max(), y.min(), y.max()))
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert a[1] <= b[0] or b[1] <= a[0] or a[3] <= b[2] or b[3] <= a[2]


def test_slots_share_draws_and_schemes(atlas: TextureAtlas, library: Library) -> None:
    kit = make_kit(atlas, library)
    pole, brick = library.models[library.of("pole")[0]], library.models[0]
    first, second = kit.surfaces(pole)
    assert first == second
    given = Surface(5)
    assert kit.surfaces(brick, {1: given})[1] is given
    assert kit.surfaces(brick)[2].repeat_m == 0  # stretched


@pytest.mark.parametrize("use", USES)
def test_every_use_draws_surfaces_of_sensible_colour(use: str, atlas: TextureAtlas, library: Library) -> None:
    kit = make_kit(atlas, library)
    for _ in range(20):
        surface = kit.surface(Look(use))
        colour = [
            mean * tint for mean, tint in zip(kit.paintbox.palette.means[surface.texture], surface.tint, strict=True)
        ]
        assert min(colour) >= 0 and max(colour) < 1.3
        assert 0 <= surface.contrast <= 1 and 0 <= surface.gloss <= 1
    assert sum(share for share, _ in MATERIALS[use]) == pytest.approx(1)


def test_a_fixed_tint_is_the_colour_of_a_surface(atlas: TextureAtlas, library: Library) -> None:
    kit = make_kit(atlas, library)
    surface = kit.surface(Look("plastic", tint=(0.8, 0.2, 0.5)))
    mean = kit.paintbox.palette.means[surface.texture]
    colour = np.array(mean) * surface.tint / np.array((0.8, 0.2, 0.5)) ** 2.2
    assert np.ptp(colour) < 1e-6 and 0.8 <= colour[0] <= 1.2


def test_light_has_few_lamps_and_one_that_casts_shadows(atlas: TextureAtlas, library: Library) -> None:
    for seed in range(30):
        kit, outside, inside = make_kit(atlas, library, seed), Scene("x"), Scene("y")
        daylight(kit, outside)
        room_light(kit, inside, (-2.0, -3.0, 0.0), (2.0, 3.0, 2.5))
        assert math.hypot(*outside.lamps[0].position) == pytest.approx(1) and outside.lamps[0].position[2] > 0.2
        assert 1 <= len(inside.lamps) <= 4 and sum(lamp.shadows for lamp in inside.lamps) == 1
        for lamp in inside.lamps:
            assert abs(lamp.position[0]) <= 2 and abs(lamp.position[1]) <= 3 and 0 < lamp.position[2] <= 2.5


def test_every_module_with_models_is_in_the_library() -> None:
    folder = Path(module.__file__).parent / "things"
    with_models = {file.stem for file in folder.glob("*.py") if "\nMODELS" in file.read_text(encoding="utf-8")}
    assert with_models == set(module.MODULES)
