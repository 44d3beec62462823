"""What rounding, filtering and bytes must not do to images."""

from __future__ import annotations

import gc
import math
import weakref
from dataclasses import replace

import cv2
import numpy as np
import pytest

from pixio_edge.errors import SpecError
from pixio_edge.scenes import render as rendering
from pixio_edge.scenes import textures
from pixio_edge.scenes.drawing import sensor
from pixio_edge.scenes.drawing.assemble import assemble
from pixio_edge.scenes.drawing.rasterise import NEAR_M, project
from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.library import Library, make_library
from pixio_edge.scenes.mesh import Look, Mesh, Model
from pixio_edge.scenes.render import camera_axes, focal_px, render_scene
from pixio_edge.scenes.scene import VIEWS, Camera, Instance, Lamp, Scene, Surface
from pixio_edge.scenes.shapes import box
from pixio_edge.scenes.textures import TextureAtlas, load_atlas

ROOT = np.eye(3)


@pytest.fixture(scope="module")
def atlas() -> TextureAtlas:
    return load_atlas()


@pytest.fixture(scope="module")
def library() -> Library:
    def cube(_: np.random.Generator) -> Model:
        return Model(box((1.0, 1.0, 1.0)), [Look("plastic")])

    return make_library({"cube": ("thing", cube, 1)})


def flat_triangles(corners: np.ndarray) -> Mesh:
    """Triangles (N, 3, 3) with normals up, each with the uv of its x and y."""
    points = corners.reshape(-1, 3).astype(np.float32)
    count = len(points)
    up = np.tile(np.float32((0, 0, 1)), (count, 1))
    rows = np.arange(count, dtype=np.int32).reshape(-1, 3)
    return Mesh(points, up, points[:, :2].copy(), rows, np.zeros(count // 3, np.int32))


def own(mesh: Mesh, surface: Surface, camera: Camera, **light: tuple[float, float, float]) -> Scene:
    return Scene("own", [camera], [Instance(-1, ROOT, (0.0, 0.0, 0.0), (surface,))], [mesh], **light)


@pytest.mark.parametrize("eye", [(0.0, 0.0, 0.0), (0.3, -1.7, 1.1), (2.6, 0.9, 0.7)])
def test_triangles_seen_edge_on_stay_within_the_depths_of_their_corners(
    eye: tuple[float, float, float], atlas: TextureAtlas, library: Library
) -> None:
    rng = np.random.default_rng(0)
    count, size = 2000, (49, 65)
    corners = rng.normal((0, 4, 0), 1, (count, 3, 3))
    # The third corner lies in the plane of the others and the eye, but for the rounding of its numbers.
    along = rng.uniform(-1, 2, (count, 1))
    corners[:, 2] = (along * corners[:, 0] + (1 - along) * corners[:, 1]) * rng.uniform(0.5, 2, (count, 1))
    level = rng.random(count) < 0.5
    corners[level, :, 2] = 0.0
    mesh = flat_triangles(corners + eye)
    camera = Camera(eye, fov=1.1)
    scene = own(mesh, Surface(0, gloss=0.8), camera)
    focal = focal_px(camera, size[1])
    view = np.zeros((4, 4))
    inner = np.array(((2 * focal, 0.0, size[1]), (0.0, 2 * focal, size[0]), (0.0, 0.0, 1.0)))
    view[:3, :3] = inner @ camera_axes(camera)
    view[:3, 3], view[3, 3] = -view[:3, :3] @ eye, 1.0

    best, winner, projected = project(
        assemble(scene, library, len(atlas.texels)), view, (2 * size[0] + 1, 2 * size[1] + 1), NEAR_M
    )
    depth = render_scene(scene, library, atlas, size, seed=0, effects=False).depth[0]

    def check(depths: np.ndarray, triangles: np.ndarray) -> None:
        seen = triangles >= 0
        corners = projected[mesh.triangles[triangles[seen]], 2]
        assert (depths[seen] >= np.maximum(corners.min(axis=1), NEAR_M) * (1 - 1e-6)).all()
        assert (depths[seen] <= corners.max(axis=1) * (1 + 1e-6)).all()

    check(1 / np.maximum(best, 1e-9).astype(np.float64), winner)
    check(depth, winner[1::2, 1::2])


def rms_of_rows(image: np.ndarray) -> float:
    return float(np.sqrt((image.std(axis=1) ** 2).mean()) / image.mean())


def test_far_ground_has_the_contrast_that_finer_images_of_it_have(
    atlas: TextureAtlas, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    shades = np.random.default_rng(3).integers(0, 256, (8, 8)).astype(np.uint8)
    blotches = cv2.resize(shades, (128, 128), interpolation=cv2.INTER_CUBIC)[..., None].repeat(3, axis=-1)
    texels = atlas.texels.copy()
    texels[0] = textures._mip_chain(blotches)
    corners = np.array([[(-300, -5, 0), (300, -5, 0), (300, 400, 0)], [(-300, -5, 0), (300, 400, 0), (-300, 400, 0)]])
    scene = own(flat_triangles(corners), Surface(0), Camera((0.0, 0.0, 1.5), pitch=0.15, fov=1.1))
    monkeypatch.setattr(rendering, "plain", lambda light: light)  # light itself

    def ground(size: tuple[int, int]) -> np.ndarray:
        return render_scene(scene, library, replace(atlas, texels=texels), size, seed=0, effects=False).rgb[0, ..., 1]

    coarse = ground((72, 96))
    fine = ground((576, 768)).reshape(72, 8, 96, 8).mean(axis=(1, 3))
    for rows in (slice(28, 35), slice(35, 45), slice(45, 60)):  # 15 m, 7 m and 4 m away
        assert 0.65 * rms_of_rows(fine[rows]) < rms_of_rows(coarse[rows]) < 1.3 * rms_of_rows(fine[rows])
        assert coarse[rows].mean() == pytest.approx(fine[rows].mean(), rel=0.08)


def test_mean_colour_of_a_texture_is_that_of_its_light(atlas: TextureAtlas) -> None:
    checks = np.kron(np.indices((16, 16)).sum(axis=0) % 2, np.ones((8, 8)))[..., None].repeat(3, axis=-1)
    texels = textures._mip_chain((255 * checks).astype(np.uint8))[None]

    np.testing.assert_allclose(replace(atlas, texels=texels).means, 0.5, atol=0.01)


@pytest.mark.parametrize("height", [0.04, 0.08])
@pytest.mark.parametrize("aside", [0.0, 0.001, 0.002])
def test_things_of_some_centimetres_throw_shadows(
    height: float, aside: float, atlas: TextureAtlas, library: Library
) -> None:
    floor = Instance(0, ROOT * np.array((8.0, 8.0, 0.05)), (0.0, 0.0, -0.05), (Surface(0, contrast=0.0),))
    thing = Instance(0, ROOT * height, (0.0, 0.0, 0.0), (Surface(0, contrast=0.0),))
    camera = Camera((0.0, 0.0, 1.0), pitch=math.pi / 2, fov=0.5)

    def seen(things: list[Instance], *, shadows: bool) -> np.ndarray:
        lamp = Lamp((1.5, aside, 2.4), (10.0,) * 3, shadows=shadows)
        scene = Scene("thing", [camera], [floor, *things], lamps=[lamp], ambient_above=(0.1,) * 3)
        return render_scene(scene, library, atlas, (96, 128), seed=0, effects=False).rgb[0].astype(int).sum(axis=-1)

    darker = seen([thing], shadows=True) < 0.85 * seen([thing], shadows=False)
    rows, columns = np.nonzero(darker)
    # A shadow is as long as 1.5 / 2.4 of the height, on the side away from the lamp.
    assert darker.sum() > 0.3 * (height * 1.5 / 2.4) * height * 250**2
    assert columns.mean() < 64 - 0.4 * height * 250 and abs(rows.mean() - 47.5) < 4
    # The bare floor does not shade itself.
    assert np.abs(seen([], shadows=True) - seen([], shadows=False)).max() <= 3


def test_dark_tones_are_smooth() -> None:
    ramp = np.linspace(0.0, 0.02, 512, dtype=np.float32)
    light = np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (16, 512, 3)))
    for seed in range(4):
        stored = np.empty(light.shape, np.uint8)
        curve = sensor._curve(np.random.default_rng(seed))
        sensor._develop(light, curve, (1.0, 1.0, 1.0, 0.0, 1.0, 0.0), (sensor._NOISE, 0), stored)
        tones = stored[8, 16:, 0].astype(int)
        assert np.diff(tones).min() >= 0 and np.diff(tones).max() <= 2
        assert tones[-1] > tones[0] + 8


def test_jpeg_keeps_red_and_blue_apart() -> None:
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2, 0], stripes[:, 1::2, 2] = 255, 255
    encoded = cv2.imencode(".jpg", cv2.cvtColor(stripes, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    expected = cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    np.testing.assert_array_equal(sensor.as_jpeg(stripes, 80), expected)


def test_an_atlas_that_nobody_uses_is_forgotten(atlas: TextureAtlas, library: Library) -> None:
    copied = replace(atlas)
    left = weakref.ref(copied)
    Kit(np.random.default_rng(0), copied, library)
    assert copied.means is copied.means

    del copied
    gc.collect()

    assert left() is None


def test_a_layout_with_too_few_cameras_is_told_so(
    atlas: TextureAtlas, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def narrow(_: Kit) -> Scene:
        return Scene("narrow", [Camera((0.0, 0.0, 0.0))] * (VIEWS - 1))

    monkeypatch.setattr(rendering, "known_layouts", lambda: {"narrow": (narrow, 1.0)})
    with pytest.raises(SpecError, match="3 cameras, expected 4"):
        rendering.sample_scene(0, 0, atlas, library)
