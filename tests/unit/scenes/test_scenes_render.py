from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from pixio_edge.errors import InputError
from pixio_edge.scenes import render as rendering
from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.library import Library, make_library
from pixio_edge.scenes.mesh import Look, Mesh, Model
from pixio_edge.scenes.render import Rendered, camera_axes, focal_px, render, render_scene
from pixio_edge.scenes.scene import Camera, Instance, Lamp, Scene, Surface
from pixio_edge.scenes.shapes import ball, box, card
from pixio_edge.scenes.textures import TextureAtlas, load_atlas

SIZE = (36, 48)


@pytest.fixture(scope="module")
def atlas() -> TextureAtlas:
    return load_atlas()


@pytest.fixture(scope="module")
def library() -> Library:
    def cube(_: np.random.Generator) -> Model:
        return Model(box((1.0, 1.0, 1.0)), [Look("plastic")])

    def globe(_: np.random.Generator) -> Model:
        return Model(ball((0.5, 0.5, 0.5), detail=2), [Look("plastic")])

    return make_library({"cube": ("thing", cube, 1), "globe": ("thing", globe, 1)})


def white(texture: int, **changes: float) -> Surface:
    return replace(Surface(texture, contrast=0.0, tint=(1.0, 1.0, 1.0)), **changes)


def thing(model: int, at: tuple[float, float, float], *, scale: float = 1.0) -> Instance:
    return Instance(model, np.eye(3) * scale, at, (white(0),))


def soup(seed: int, triangles: int = 60) -> Mesh:
    """Triangles of all sizes around the origin: in front of a camera there, behind it, and through its plane."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 4, (triangles, 1, 3))
    corners = centres + rng.normal(0, 1, (triangles, 3, 3)) * rng.uniform(0.1, 5, (triangles, 1, 1))
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.repeat(flat / np.linalg.norm(flat, axis=1, keepdims=True), 3, axis=0)
    count = 3 * triangles
    return Mesh(
        corners.reshape(-1, 3).astype(np.float32),
        normals.astype(np.float32),
        np.zeros((count, 2), np.float32),
        np.arange(count, dtype=np.int32).reshape(-1, 3),
        np.zeros(triangles, np.int32),
    )


def cast(mesh: Mesh, camera: Camera, size: tuple[int, int]) -> np.ndarray:
    """Depth by intersecting every ray with every triangle (Moeller and Trumbore), in float64."""
    height, width = size
    rows, columns = np.meshgrid(np.arange(height) + 0.5 - height / 2, np.arange(width) + 0.5 - width / 2, indexing="ij")
    focal = focal_px(camera, width)
    rays = np.stack([columns / focal, rows / focal, np.ones(size)], axis=-1).reshape(-1, 1, 3) @ camera_axes(camera)
    a, b, c = (mesh.vertices[mesh.triangles[:, k]].astype(np.float64) for k in range(3))
    start = np.array(camera.position) - a
    p = np.cross(rays, c - a)
    determinant = ((b - a) * p).sum(-1)
    u = (start * p).sum(-1) / determinant
    q = np.cross(start, b - a)
    v = (rays * q).sum(-1) / determinant
    t = ((c - a) * q).sum(-1) / determinant
    hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0.05)
    return np.where(hit, t, np.inf).min(axis=1).reshape(size)


def one_view(scene: Scene, atlas: TextureAtlas, library: Library, **options: object) -> Rendered:
    return render_scene(scene, library, atlas, SIZE, seed=0, effects=False)


@pytest.mark.parametrize("seed", range(6))
def test_depth_is_that_of_a_ray_through_each_pixel_centre(seed: int, atlas: TextureAtlas, library: Library) -> None:
    camera = Camera((0.3, -0.2, 0.1), yaw=seed, pitch=0.3 * seed - 0.8, roll=0.4 * seed, fov=0.8 + 0.1 * seed)
    scene = Scene("soup", [camera], [Instance(-1, np.eye(3), (0.0, 0.0, 0.0), (white(0),))], [soup(seed)])

    got = one_view(scene, atlas, library).depth[0]
    expected = cast(scene.own[0], camera, SIZE)

    # A ray through an edge may fall on either side of it.
    agree = np.isclose(got, expected, rtol=1e-4)
    assert agree.mean() > 0.999
    assert np.isfinite(got).any()


def test_triangles_that_share_an_edge_leave_no_hole(atlas: TextureAtlas, library: Library) -> None:
    rng = np.random.default_rng(1)
    for _ in range(5):
        camera = Camera((0.0, 0.0, 1.5), yaw=rng.uniform(0, 6), pitch=rng.uniform(0.8, 1.4), roll=rng.uniform(-1, 1))
        u, v = np.meshgrid(np.linspace(-9, 9, 40), np.linspace(-9, 9, 40), indexing="ij")
        points = np.stack([u, v, 0 * u], axis=-1).reshape(-1, 3).astype(np.float32)
        points[:, :2] += rng.uniform(-0.1, 0.1, (1600, 2)).astype(np.float32)
        first = (np.arange(39)[:, None] * 40 + np.arange(39)).reshape(-1, 1)
        triangles = np.concatenate([first + np.array(rest) for rest in ((0, 40, 41), (0, 41, 1))]).astype(np.int32)
        up = np.tile(np.float32((0, 0, 1)), (1600, 1))
        mesh = Mesh(points, up, points[:, :2].copy(), triangles, np.zeros(len(triangles), np.int32))
        scene = Scene("floor", [camera], [Instance(-1, np.eye(3), (0.0, 0.0, 0.0), (white(0),))], [mesh])

        assert np.isfinite(one_view(scene, atlas, library).depth).all()


def test_camera_looks_along_y_turns_left_and_tips_down(atlas: TextureAtlas, library: Library) -> None:
    def column_of_cube(camera: Camera, at: tuple[float, float, float]) -> tuple[float, float]:
        scene = Scene("cube", [camera], [thing(0, at)])
        rows, columns = np.nonzero(np.isfinite(one_view(scene, atlas, library).depth[0]))
        return float(rows.mean()) - (SIZE[0] - 1) / 2, float(columns.mean()) - (SIZE[1] - 1) / 2

    ahead = (0.0, 8.0, -0.5)
    assert column_of_cube(Camera((0.0, 0.0, 0.0)), ahead) == pytest.approx((0, 0), abs=0.5)
    assert column_of_cube(Camera((0.0, 0.0, 0.0), yaw=0.2), ahead)[1] > 3
    assert column_of_cube(Camera((0.0, 0.0, 0.0), pitch=0.2), ahead)[0] < -3
    assert column_of_cube(Camera((0.0, 0.0, 0.0)), (2.0, 8.0, -0.5))[1] > 3
    assert column_of_cube(Camera((0.0, 0.0, 0.0)), (0.0, 8.0, 0.7))[0] < -3
    row, column = column_of_cube(Camera((0.0, 0.0, 0.0), roll=math.pi / 2), (0.0, 8.0, 0.7))
    assert column < -3 and abs(row) < 1


def test_a_thing_shades_the_floor_below_it(atlas: TextureAtlas, library: Library) -> None:
    floor = thing(0, (0.0, 0.0, -40.0), scale=40.0)
    camera = Camera((0.0, 0.0, 10.0), pitch=math.pi / 2, fov=0.9)
    for lamp in (Lamp((0.6, 0.0, 0.8), (1.0, 1.0, 1.0), True, True), Lamp((4.0, 0.0, 6.0), (60.0,) * 3, False, True)):
        scene = Scene("shade", [camera], [floor, thing(1, (0.0, 0.0, 1.0))], lamps=[lamp])
        without = replace_lamps(scene, replace(lamp, shadows=False))

        shaded, lit = one_view(scene, atlas, library).rgb[0], one_view(without, atlas, library).rgb[0]

        darker = shaded.astype(int).sum(-1) < 0.8 * lit.astype(int).sum(-1)
        assert 5 < darker.sum() < 200
        # The light comes from the right, so the shadow falls to the left.
        assert np.nonzero(darker)[1].mean() < SIZE[1] / 2


def replace_lamps(scene: Scene, lamp: Lamp) -> Scene:
    return Scene(scene.kind, scene.cameras, scene.instances, scene.own, [lamp])


def test_a_corner_is_darker_than_open_floor(atlas: TextureAtlas, library: Library) -> None:
    scene = Scene(
        "corner",
        [Camera((0.0, -3.0, 1.5), pitch=0.4)],
        [thing(0, (0.0, 0.0, -40.0), scale=40.0), thing(0, (0.0, 20.0, -1.0), scale=40.0)],
        lamps=[],
    )
    image = one_view(scene, atlas, library).rgb[0].astype(float).mean(-1)
    depth = one_view(scene, atlas, library).depth[0]
    corner = int(np.argmax(depth[:, 24]))
    assert image[min(corner + 1, 35), 24] < 0.85 * image[35, 24]


def test_images_of_a_seed_do_not_depend_on_their_batch(
    atlas: TextureAtlas, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def few(kit: Kit) -> Scene:
        scene = Scene("few", [Camera((kit.uniform(-1, 1), -5.0, 1.0), yaw=0.1 * view) for view in range(4)])
        for _ in range(5):
            kit.place(scene, "thing", (kit.uniform(-2, 2), kit.uniform(-2, 2), 0.0), kit.uniform(0, 6))
        return scene

    monkeypatch.setattr(rendering, "known_layouts", lambda: {"few": (few, 1.0)})

    whole = render(3, range(8), SIZE, atlas, library)
    part = render(3, [6, 5, 2], SIZE, atlas, library)

    assert np.array_equal(part.rgb, whole.rgb[[6, 5, 2]])
    assert np.array_equal(part.depth, whole.depth[[6, 5, 2]])
    assert whole.kinds == ("few",) * 8
    assert len(np.unique(whole.rgb[:, ::4, ::4].reshape(8, -1), axis=0)) == 8
    with pytest.raises(InputError, match="unknown"):
        render(3, [0], SIZE, atlas, library, layouts={"nowhere": 1.0})


def painted(atlas: TextureAtlas, image: np.ndarray) -> TextureAtlas:
    """The atlas with its first texture replaced by a small one, on every mip level."""
    packed = (image[..., 0].astype(np.int32) << 16) | (image[..., 1].astype(np.int32) << 8) | image[..., 2]
    levels = [np.kron(packed, np.ones((side // len(image),) * 2, np.int32)) for side in (128, 64, 32, 16, 8)]
    texels = atlas.texels.copy()
    texels[0] = np.concatenate([level.ravel() for level in levels])
    return replace(atlas, texels=texels)


def test_a_picture_hangs_the_right_way_round(atlas: TextureAtlas, library: Library) -> None:
    image = np.array([[(250, 0, 0), (0, 250, 0)], [(0, 0, 250), (250, 250, 250)]], dtype=np.uint8)
    picture = Surface(0, repeat_m=0.0, contrast=1.0)
    scene = Scene(
        "picture",
        [Camera((0.0, -1.2, 0.5), fov=0.6)],
        [Instance(-1, np.eye(3), (0.0, 0.0, 0.0), (picture,))],
        [card(1.0, 1.0, fit=True)],
        ambient_below=(1.0, 1.0, 1.0),
        ambient_above=(1.0, 1.0, 1.0),
    )
    rgb = one_view(scene, painted(atlas, image), library).rgb[0].astype(int)
    corners = [rgb[8, 12], rgb[8, 36], rgb[28, 12], rgb[28, 36]]
    assert [int(np.argmax(corner)) for corner in corners[:3]] == [0, 1, 2]
    assert corners[3].min() > 100 > min(corners[0])


def test_what_glows_needs_no_light_and_a_pane_shows_the_sky(atlas: TextureAtlas, library: Library) -> None:
    def seen(surface: Surface) -> np.ndarray:
        cube = Instance(0, np.eye(3), (0.0, 3.0, -0.5), (surface,))
        scene = Scene("cube", [Camera((0.0, 0.0, 0.0))], [cube], ambient_above=(0.0,) * 3, ambient_below=(0.0,) * 3)
        rgb = one_view(scene, atlas, library).rgb[0]
        return np.array((rgb[14:22, 20:28].mean(), rgb[14:22, :8].mean()))  # the cube, and the sky beside it

    dark, lit, pane = seen(white(0)), seen(white(0, glow=2.0)), seen(white(0, glow=-1.0))
    assert dark[0] < 2 < lit[0]
    assert 0.5 * pane[1] < pane[0] < 2 * pane[1]


def test_a_thing_thinner_than_a_pixel_is_seen_faintly(atlas: TextureAtlas, library: Library) -> None:
    wire = Instance(0, np.diag((0.012, 0.012, 2.0)), (0.04, 3.0, -1.0), (white(0, glow=3.0),))
    scene = Scene("wire", [Camera((0.0, 0.0, 0.0))], [wire])
    bare = Scene("bare", scene.cameras)
    difference = one_view(scene, atlas, library).rgb[0].astype(int) - one_view(bare, atlas, library).rgb[0]
    assert (np.abs(difference).sum(axis=(1, 2)) > 5).mean() > 0.5
