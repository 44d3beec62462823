"""Rooms and what is set into them, and the views of the indoor layouts."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pixio_edge.scenes import layouts
from pixio_edge.scenes.indoors import mixes
from pixio_edge.scenes.indoors.crowd import crowd_of
from pixio_edge.scenes.indoors.packing import pack_rows
from pixio_edge.scenes.indoors.rooms import Patch, Room, make_room, open_wall
from pixio_edge.scenes.indoors.setting import hang, set_against, stand
from pixio_edge.scenes.indoors.shells import add_shell, shell_looks
from pixio_edge.scenes.indoors.viewpoints import Stance, look_at
from pixio_edge.scenes.kit import Kit, Spot
from pixio_edge.scenes.layouts import LAYOUTS
from pixio_edge.scenes.library import Library, build_library
from pixio_edge.scenes.mesh import Look
from pixio_edge.scenes.render import camera_axes, render_scene
from pixio_edge.scenes.scene import VIEWS, Camera, Scene
from pixio_edge.scenes.shapes.carpentry import Parts, cushion
from pixio_edge.scenes.textures import TextureAtlas, load_atlas
from pixio_edge.scenes.things.fittings import DOOR_HEIGHT, DOOR_WIDTH

INDOOR = ("room", "kitchen", "tabletop", "still_life", "shelf", "corridor", "hall")
SEEDS = range(6)
SIZE = (24, 32)


@pytest.fixture(scope="module")
def atlas() -> TextureAtlas:
    return load_atlas()


@pytest.fixture(scope="module")
def library() -> Library:
    return build_library()


@pytest.fixture(scope="module")
def scenes(atlas: TextureAtlas, library: Library) -> dict[str, list[Scene]]:
    return {name: [LAYOUTS[name][0](kit_of(seed, atlas, library)) for seed in SEEDS] for name in INDOOR}


def kit_of(seed: int, atlas: TextureAtlas, library: Library) -> Kit:
    return Kit(np.random.default_rng(seed), atlas, library)


def depths(scene: Scene, atlas: TextureAtlas, library: Library, size: tuple[int, int] = SIZE) -> np.ndarray:
    return render_scene(scene, library, atlas, size, seed=0, effects=False).depth


@pytest.mark.parametrize("name", INDOOR)
def test_each_view_of_a_scene_is_from_another_place(name, scenes):
    for scene in scenes[name]:
        assert len(scene.cameras) == VIEWS
        for one, other in itertools.combinations(scene.cameras, 2):
            assert math.dist(one.position, other.position) > 0.03 or abs(one.yaw - other.yaw) > 0.3
        spread = np.array([camera.position for camera in scene.cameras]).std(axis=0)
        assert np.linalg.norm(spread) > 0.1


@pytest.mark.parametrize("name", INDOOR)
def test_views_show_a_room_and_not_the_inside_of_a_thing_or_the_sky(name, scenes, atlas, library):
    near = sky = 0.0
    for scene in scenes[name][:3]:
        depth = depths(scene, atlas, library)
        solid = np.where(np.isfinite(depth), depth, 50.0)
        assert solid.min() > 0.05
        medians = np.median(solid.reshape(VIEWS, -1), axis=1)
        assert medians.min() > 0.25
        assert medians.max() < 20
        near += float((solid < 0.3).mean()) / 3
        sky += float(np.isinf(depth).mean()) / 3
    assert near < 0.1
    assert sky < 0.2


@pytest.mark.parametrize("name", INDOOR)
def test_views_show_many_things_at_several_distances(name, scenes, atlas, library):
    seen = []
    for scene in scenes[name]:
        crowd = crowd_of(kit_of(0, atlas, library), scene)
        seen += [crowd.seen(camera, reach=8.0) for camera in scene.cameras]
    # A view whose way is blocked counts as -1; a corridor may be nearly empty.
    assert np.mean(seen) > 10
    assert np.mean(np.array(seen) < 2) < 0.2


@pytest.mark.parametrize("name", INDOOR)
def test_a_scene_depends_on_its_seed_alone(name, scenes, atlas, library):
    again = LAYOUTS[name][0](kit_of(2, atlas, library))
    before = scenes[name][2]
    assert again.cameras == before.cameras
    assert [(i.model, i.shift, i.surfaces) for i in again.instances] == [
        (i.model, i.shift, i.surfaces) for i in before.instances
    ]


def closed_room(kit: Kit, corner: float = 0.0) -> Room:
    return make_room(kit, 4.0, 5.0, 2.5, corner=corner)


def look_around(room: Room) -> list[Camera]:
    x, y = 0.5 * room.low[0], 0.5 * room.low[1]
    return [
        Camera((x, y, 1.2), yaw, pitch, 0.0, 1.3) for yaw in np.arange(4) * math.pi / 2 for pitch in (-0.7, 0.0, 0.7)
    ]


@pytest.mark.parametrize("corner", [0.0, 1.0])
def test_a_room_without_openings_is_closed(corner, atlas, library):
    kit, scene = kit_of(1, atlas, library), Scene("test")
    room = closed_room(kit, corner)
    add_shell(kit, scene, room, shell_looks(kit))
    scene.cameras = look_around(room)
    depth = depths(scene, atlas, library)
    assert np.isfinite(depth).all()
    assert depth.max() < 8.0


def test_a_window_is_a_hole_in_its_wall(atlas, library):
    kit, scene = kit_of(1, atlas, library), Scene("test")
    room = closed_room(kit)
    # Wall 2 is that at the back; along it, x falls.
    assert open_wall(room, room.walls[2], Patch(1.0, 2.0, 0.8, 1.8))
    add_shell(kit, scene, room, shell_looks(kit))
    scene.cameras = [Camera((0.5, 0.0, 1.3), 0.0, 0.0, 0.0, 1.0), Camera((-1.5, 0.0, 1.3), 0.0, 0.0, 0.0, 0.3)]
    through, beside = depths(scene, atlas, library)
    assert np.isinf(through[12, 16])
    assert np.isfinite(beside).all()
    assert beside[12, 16] == pytest.approx(2.5, abs=1e-3)


@pytest.mark.parametrize("corner", [0.0, 1.0])
def test_things_set_into_a_room_do_not_meet(corner, atlas, library):
    kit, scene = kit_of(3, atlas, library), Scene("test")
    room = closed_room(kit, corner)
    for kind in ("storage", "bookcase", "desk", "sofa", "table", "seat", "counter", "cardboard") * 3:
        set_against(kit, scene, room, kind)
        stand(kit, scene, room, kind)
    assert len(room.things) > 8
    for one, other in itertools.combinations(room.blocks, 2):
        apart = one.x1 <= other.x0 or other.x1 <= one.x0 or one.y1 <= other.y0 or other.y1 <= one.y0
        assert apart, (one, other)
    for block in (block for block in room.blocks if block is not room.notch):
        assert block.x0 >= room.low[0] - 1e-6
        assert block.y1 <= room.high[1] + 1e-6


def test_a_thing_at_a_wall_has_its_back_to_it_and_its_front_to_the_room(atlas, library):
    kit = kit_of(4, atlas, library)
    for number in range(4):
        scene, room = Scene("test"), closed_room(kit)
        placed = set_against(kit, scene, room, "bookcase", wall=room.walls[number], gap=0.02)
        assert placed is not None
        front = np.array(placed.point(0.0, placed.low[1], 0.0))[:2]
        back = np.array(placed.point(0.0, placed.high[1], 0.0))[:2]
        to_wall = min(room.high[0] - abs(back[0]), room.high[1] - abs(back[1]))
        assert to_wall == pytest.approx(0.02, abs=1e-3)
        assert min(room.high[0] - abs(front[0]), room.high[1] - abs(front[1])) > 0.15


def test_pictures_do_not_cover_each_other(atlas, library):
    kit, scene = kit_of(5, atlas, library), Scene("test")
    room = closed_room(kit)
    for _ in range(40):
        hang(kit, scene, room, "wall_picture", low=1.2)
    for wall in room.walls:
        for one, other in itertools.combinations(wall.patches, 2):
            assert one.end <= other.start or other.end <= one.start


def test_rows_stay_on_their_spot_and_below_its_headroom(atlas, library):
    kit, scene = kit_of(6, atlas, library), Scene("test")
    spot = Spot((1.0, 2.0, 0.7), (0.5, 0.3), 0.6, 0.25)
    placed = pack_rows(kit, scene, spot, mixes.SMALL, gap=(0.005, 0.05), turned=0.0)
    assert len(placed) > 6
    c, s = math.cos(0.6), math.sin(0.6)
    for thing in placed:
        x, y = thing.shift[0] - 1.0, thing.shift[1] - 2.0
        along, across = c * x + s * y, -s * x + c * y
        assert abs(along) < 0.5
        assert abs(across) < 0.3
        assert thing.high[2] < 0.25


def test_a_camera_without_wander_has_its_target_in_the_middle(atlas, library):
    kit = kit_of(7, atlas, library)
    target = np.array([1.0, -2.0, 0.4])
    camera = look_at(kit, (0.2, 1.0, 1.5), tuple(target), Stance((1, 1), (1, 1), roll=0.0, wander=0.0))
    seen = camera_axes(camera) @ (target - np.array(camera.position))
    assert abs(seen[:2]).max() < 1e-6
    assert seen[2] > 0


@pytest.mark.parametrize("mix", [name for name in dir(mixes) if name.isupper()])
def test_mixes_name_categories_of_the_library(mix, library):
    for category in getattr(mixes, mix):
        assert library.of(category)


def test_boxes_lean_back_and_roll_to_the_right_about_their_base():
    parts = Parts()
    parts.box((0.1, 0.1, 1.0), (0, 0, 0), lean=0.3)
    assert parts.mesh().vertices[:, 1].max() == pytest.approx(math.sin(0.3) + 0.05 * math.cos(0.3), abs=1e-5)
    parts = Parts()
    parts.box((0.1, 0.1, 1.0), (0, 0, 0), roll=0.3)
    assert parts.mesh().vertices[:, 0].max() == pytest.approx(math.sin(0.3) + 0.05 * math.cos(0.3), abs=1e-5)


@pytest.mark.parametrize(
    "turn", [{}, {"lean": 0.5}, {"roll": 0.4}, {"yaw": 1.0}, {"lean": 0.3, "roll": 0.2, "yaw": 2.0}]
)
def test_faces_of_boxes_look_outward(turn):
    parts = Parts()
    parts.box((0.2, 0.3, 0.4), (0, 0, 0), **turn)
    mesh = parts.mesh()
    a, b, c = (mesh.vertices[mesh.triangles[:, i]].astype(float) for i in range(3))
    across = np.cross(b - a, c - a)
    middle = mesh.vertices.mean(axis=0)
    assert (np.einsum("tk,tk->t", across, (a + b + c) / 3 - middle) > 0).all()
    assert (np.einsum("tk,tk->t", across, mesh.normals[mesh.triangles[:, 0]]) > 0).all()


def test_cushions_are_closed_and_keep_their_size():
    mesh = cushion((0.6, 0.5, 0.2), (0, 0, 0.1))
    a, b, c = (mesh.vertices[mesh.triangles[:, i]].astype(float) for i in range(3))
    volume = np.einsum("tk,tk->t", a, np.cross(b, c)).sum() / 6
    assert 0.75 * 0.06 < volume < 0.06
    assert mesh.vertices[:, 2].min() == pytest.approx(0.1, abs=1e-6)
    assert np.ptp(mesh.vertices[:, 2]) == pytest.approx(0.2, abs=1e-5)


def test_models_are_centred_with_their_tops():
    parts = Parts()
    parts.box((0.4, 0.2, 0.5), (3.0, 1.0, 2.0))
    parts.top(0.4, 0.2, (3.0, 1.0, 2.5))
    model = parts.model([Look("wood")])
    assert model.low == pytest.approx([-0.2, -0.1, 0.0], abs=1e-6)
    assert model.tops[0].centre == pytest.approx((0.0, 0.0, 0.5), abs=1e-6)


@pytest.mark.parametrize("name", ["kitchen", "corridor", "shelf"])
def test_what_is_drawn_first_does_not_show_since_no_two_things_lie_in_one_plane(name, scenes, atlas, library):
    for scene in scenes[name][:3]:
        turned = replace(scene, instances=scene.instances[::-1])
        one, other = (
            render_scene(each, library, atlas, (48, 64), seed=0, effects=False).rgb.astype(int)
            for each in (scene, turned)
        )
        # Edges where things touch may fall to either.
        assert (np.abs(one - other).max(axis=-1) > 8).mean(axis=(1, 2)).max() < 0.003


def test_a_camera_right_before_anything_sees_badly_however_large_that_is(atlas, library):
    kit, scene = kit_of(0, atlas, library), Scene("screen")
    index = int(library.of("curtain")[0])
    wide, deep, high = kit.size(index)
    kit.place(scene, index, (1.0, 2.0, 0.0), math.pi / 2, scale=(2.0, 1.0, 1.0))
    crowd = crowd_of(kit, scene)
    # Turned by a right angle: its width lies along y, its depth along x.
    before, beside = 1.0 - deep / 2 - 0.1, 2.0 + wide + 0.1
    assert crowd.seen(Camera((before, 2.5, high / 2))) == -1
    assert crowd.seen(Camera((1.0, beside, high / 2))) == -1
    assert crowd.seen(Camera((before - 0.2, 2.5, high / 2))) >= 0
    assert crowd.seen(Camera((1.0, beside + 0.2, high / 2))) >= 0


@pytest.mark.parametrize("name", INDOOR)
def test_nothing_is_nearer_to_a_camera_than_a_hand_is_wide(name, scenes, atlas, library):
    near = [depths(scene, atlas, library).reshape(VIEWS, -1).min(axis=1) for scene in scenes[name]]
    assert np.mean(np.concatenate(near) < 0.15) < 0.02


def test_no_face_of_a_door_frame_lies_in_the_sides_of_its_opening(library):
    for index in library.of("door_frame"):
        x, _, z = library.model(index).mesh.vertices.T
        assert np.abs(np.abs(x) - DOOR_WIDTH / 2).min() > 0.002
        assert np.abs(z - DOOR_HEIGHT).min() > 0.002
        assert 0.98 * DOOR_WIDTH / 2 < np.abs(x).min() < DOOR_WIDTH / 2


def test_every_model_is_named_by_a_layout(library):
    folder = Path(layouts.__file__).parents[1]
    text = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py") if path.parent.name != "things")
    for name, category in zip(library.names, library.categories, strict=True):
        assert f'"{name}"' in text or f'"{category}"' in text
