import dataclasses
import math

import numpy as np
import pytest

from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.layouts import LAYOUTS
from pixio_edge.scenes.library import build_library
from pixio_edge.scenes.outdoors.land import Frame, strips
from pixio_edge.scenes.outdoors.site import Site
from pixio_edge.scenes.outdoors.skies import skies
from pixio_edge.scenes.render import render_scene
from pixio_edge.scenes.scene import Scene
from pixio_edge.scenes.shapes.hulls import creased, loft, quads
from pixio_edge.scenes.shapes.masonry import Opening, Row, wall
from pixio_edge.scenes.textures import BACKDROP_SIZE, load_atlas

OUTDOOR = ("street", "country", "park", "square", "yard", "building", "forest")
SOLID = {"terrace", "house", "block", "hall", "shed", "tower", "car", "van", "bus", "lorry", "freight"}
FRAME = Frame(3.0, 2.0, bend=0.002, slope=0.02, waves=((0.03, 0.4, 1.0),), banks=(0.05, -0.04), hills=(8.0, 20.0))


@pytest.fixture(scope="module")
def atlas():
    return load_atlas()


@pytest.fixture(scope="module")
def library():
    return build_library()


@pytest.fixture(scope="module")
def scenes(atlas, library):
    return {
        name: [LAYOUTS[name][0](Kit(np.random.default_rng(seed), atlas, library)) for seed in range(3)]
        for name in OUTDOOR
    }


def _site(atlas, library, frame=FRAME):
    return Site(Kit(np.random.default_rng(0), atlas, library), Scene("test"), frame)


@pytest.mark.parametrize("name", OUTDOOR)
def test_a_layout_has_four_views_from_different_places_over_many_things(scenes, name):
    for scene in scenes[name]:
        places = [camera.position for camera in scene.cameras]

        assert len(places) == 4
        assert min(math.dist(a, b) for i, a in enumerate(places) for b in places[:i]) > 0.3
        assert len(scene.instances) >= 25
        assert any(lamp.is_sun for lamp in scene.lamps)
        assert all(0.6 < camera.fov < 1.7 for camera in scene.cameras)


@pytest.mark.parametrize("name", OUTDOOR)
def test_everything_has_a_surface_for_each_slot(scenes, library, name):
    for scene in scenes[name]:
        for thing in scene.instances:
            mesh = library.models[thing.model].mesh if thing.model >= 0 else scene.own[-1 - thing.model]
            assert int(mesh.slots.max()) < len(thing.surfaces)


@pytest.mark.parametrize("name", OUTDOOR)
def test_no_camera_is_inside_a_building_or_vehicle(scenes, library, name):
    for scene in scenes[name]:
        solid = [thing for thing in scene.instances if thing.model >= 0 and library.categories[thing.model] in SOLID]
        for camera in scene.cameras:
            for thing in solid:
                own = np.linalg.solve(thing.matrix, np.subtract(camera.position, thing.shift))
                low, high = library.lows[thing.model], library.highs[thing.model]
                assert not all(a < x < b for a, x, b in zip(low, own, high, strict=True))


@pytest.mark.parametrize("name", OUTDOOR)
def test_views_show_things_at_different_depths(scenes, library, atlas, name):
    rendered = render_scene(scenes[name][0], library, atlas, (36, 48), seed=0, effects=False)

    for depth in rendered.depth:
        seen = depth[np.isfinite(depth)]
        assert seen.size > 0.35 * depth.size
        assert seen.min() > 0.1
        assert np.percentile(seen, 98) > 1.15 * np.percentile(seen, 2)


def test_a_layout_is_the_same_for_a_seed(atlas, library):
    first, again = (LAYOUTS["street"][0](Kit(np.random.default_rng(7), atlas, library)) for _ in range(2))

    assert first.cameras == again.cameras
    assert [thing.shift for thing in first.instances] == [thing.shift for thing in again.instances]


@pytest.mark.parametrize("crossing", [None, (30.0, 4.0)])
def test_heights_of_arrays_are_those_of_single_places(crossing):
    frame = dataclasses.replace(FRAME, crossing=crossing)
    rng = np.random.default_rng(0)
    u, v = rng.uniform(-300, 300, 400), rng.uniform(-60, 200, 400)
    u[:200] *= 0.03

    single = [frame.height(float(a), float(b)) for a, b in zip(u, v, strict=True)]

    np.testing.assert_allclose(frame.heights(u, v), single, atol=1e-9)


def test_the_pavement_is_a_kerb_higher_than_the_road_and_level_with_a_crossing_one():
    frame = Frame(3.0, 2.0, kerb=0.12, bumps=0.0, crossing=(30.0, 4.0))

    assert frame.height(3.5, 0.0) - frame.height(2.5, 0.0) == pytest.approx(0.12)
    assert frame.height(3.5, 30.0) == frame.height(2.5, 30.0)
    assert frame.crossed(33.9)
    assert not frame.crossed(34.1)


def test_a_bend_leads_to_the_right_and_goes_straight_on():
    frame = Frame(3.0, 0.0, bend=0.002)
    x, heading = frame.middle(100.0)

    assert x == pytest.approx(0.5 * 0.002 * 100**2)
    assert math.tan(heading) == pytest.approx(0.2)
    assert frame.middle(260.0)[1] == frame.middle(160.0)[1]


def test_things_stand_on_the_ground_and_take_it(atlas, library):
    site = _site(atlas, library)
    placed = site.put("saloon", 1.0, 20.0)
    x, y, z = placed.shift

    assert z == pytest.approx(FRAME.height(1.0, 20.0))
    assert x == pytest.approx(FRAME.middle(20.0)[0] + 1.0)
    assert not site.free(x, y + 1.9, 0.1)
    assert not site.free(x, y, 0.1)
    assert site.free(x + 2.5, y, 0.5)
    assert site.look(1.0, 18.0, 1.5, 0.0) is None


def test_a_building_stands_on_the_lowest_ground_around(atlas, library):
    site = _site(atlas, library, Frame(3.0, 0.0, slope=0.1))
    placed = site.put("hall", 30.0, 20.0, sink=True)

    assert placed.shift[2] < FRAME.slope + 0.1 * (20.0 - 4.0)


def test_plants_of_one_kind_look_alike_in_a_scene_and_cars_do_not(atlas, library):
    site = _site(atlas, library)
    bush, car = library.of("bush")[0], library.of("saloon")[0]

    assert site.put(bush, 9.0, 0.0).surfaces == site.put(bush, 9.0, 9.0).surfaces
    assert site.put(car, 0.0, 0.0).surfaces != site.put(car, 0.0, 9.0).surfaces


def test_strips_face_up_and_have_one_slot_per_strip():
    points = np.array([[[x, y, 0.0] for x in (-2.0, 0.0, 1.0)] for y in (0.0, 5.0, 9.0)])
    mesh = strips(points, [4, 7])
    a, b, c = (mesh.vertices[mesh.triangles[:, i]] for i in range(3))
    cross = np.cross(b - a, c - a)

    assert (cross[:, 2] > 0).all()
    assert cross[:, 2].sum() / 2 == pytest.approx(27.0)
    np.testing.assert_allclose(mesh.normals, [[0, 0, 1]] * len(mesh.normals), atol=1e-6)
    assert {slot: cross[mesh.slots == slot, 2].sum() / 2 for slot in (4, 7)} == {4: 18.0, 7: 9.0}


@pytest.mark.parametrize(("angle", "smooth"), [(20.0, True), (60.0, False)])
def test_creases_stay_hard_and_gentle_bends_are_smooth(angle, smooth):
    rise = math.tan(math.radians(angle))
    points = np.array([(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0), (2, 0, rise), (2, 1, rise)])
    faces = np.array([(0, 2, 3), (0, 3, 1), (2, 4, 5), (2, 5, 3)])
    mesh = creased(points, faces)
    ridge = mesh.normals[np.isclose(mesh.vertices[:, 0], 1.0)]

    apart = math.degrees(math.acos(min(1.0, float((ridge @ ridge.T).min()))))
    assert apart == pytest.approx(angle / 3 if smooth else angle, abs=0.7)


def test_a_loft_over_rings_faces_outwards():
    turn = np.linspace(0, 2 * math.pi, 13)
    rings = np.array([[(math.cos(t), math.sin(t), z) for t in turn] for z in (0.0, 1.0)])
    mesh = loft(rings)
    a, b, c = (mesh.vertices[mesh.triangles[:, i]] for i in range(3))

    assert (np.sum(np.cross(b - a, c - a) * (a + b + c) * [1, 1, 0], axis=1) > 0).all()
    assert np.sum(mesh.normals * mesh.vertices * [1, 1, 0], axis=1).min() > 0.96


def test_quads_run_in_metres_or_over_the_picture():
    corners = [[(1, 0, 2), (4, 0, 2), (4, 0, 3), (1, 0, 3)]]

    np.testing.assert_allclose(np.ptp(quads(corners).uv, axis=0), (3, 1))
    np.testing.assert_allclose(quads(corners, fit=True).uv, [(0, 1), (1, 1), (1, 0), (0, 0)])
    np.testing.assert_allclose(quads(corners).normals[0], (0, -1, 0), atol=1e-7)


def test_a_wall_is_whole_around_its_windows():
    mesh = wall(6.0, 3.0, [Row(1.0, 2.0, (Opening(-2.0, -1.0), Opening(1.0, 2.5)))], sills=False)
    a, b, c = (mesh.vertices[mesh.triangles[:, i]].astype(np.float64) for i in range(3))
    front = np.isclose(a[:, 1], 0) & np.isclose(b[:, 1], 0) & np.isclose(c[:, 1], 0)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)[front].sum() / 2

    assert area == pytest.approx(18.0 - 2.5)
    assert mesh.vertices[:, 1].max() == pytest.approx(0.14)


def test_skies_are_told_from_rooms(atlas):
    height, width = BACKDROP_SIZE
    shade = np.linspace(150, 230, height).astype(np.int32)[:, None] * np.ones((1, width), np.int32)
    sky = shade << 16 | shade << 8 | 250
    room = np.full((height, width), 200 << 16 | 170 << 8 | 120, np.int32)
    beams = sky.copy()
    beams[:, ::12] = 0
    both = dataclasses.replace(atlas, backdrops=np.stack([room, sky, beams]))

    assert skies(both) == (1,)
    assert skies(dataclasses.replace(atlas, backdrops=np.stack([room, beams]))) == (0, 1)
