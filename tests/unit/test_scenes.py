"""The renderer as a whole: seeds, batches, layouts, what rests on what."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scene_making import PLAIN, pack, scene_seen_from

from pixio_edge.errors import InputError, SpecError
from pixio_edge.training.furniture import small_thing
from pixio_edge.training.geometry import Camera, Light, Primitive, Scene, Surface
from pixio_edge.training.kit import Kit
from pixio_edge.training.scenes import LAYOUTS, RenderedBatch, render, sample_scene, trace
from pixio_edge.training.shading import sample_textures
from pixio_edge.training.textures import TILE_PX, TextureAtlas, load_atlas

SIZE = (48, 64)
OUTDOORS = {"street", "country"}
# A bowl's round bottom and a leaning book sink in a little; the book also floats, by at most this.
SINK_M, FLOAT_M = 0.06, 0.05


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def atlas() -> TextureAtlas:
    return load_atlas()


@pytest.fixture(scope="module")
def batches(atlas: TextureAtlas) -> dict[str, RenderedBatch]:
    return {layout: render(4, range(12), SIZE, atlas, layout=layout) for layout in LAYOUTS}


def equal(first: RenderedBatch, second: RenderedBatch) -> bool:
    return (
        torch.equal(first.rgb, second.rgb)
        and torch.equal(first.depth, second.depth)
        and torch.equal(first.focal_px, second.focal_px)
        and first.kinds == second.kinds
    )


def test_images_are_the_same_when_rendered_again_and_others_when_the_seed_differs(atlas: TextureAtlas) -> None:
    first, again = render(1, range(3), SIZE, atlas), render(1, range(3), SIZE, atlas)
    other = render(2, range(3), SIZE, atlas)

    assert equal(first, again)
    assert not (first.depth == other.depth).flatten(1).all(dim=1).any()


def test_image_is_the_same_in_any_batch(atlas: TextureAtlas) -> None:
    together = render(1, (5, 9, 7), SIZE, atlas)

    for row, index in enumerate((5, 9, 7)):
        alone = render(1, (index,), SIZE, atlas)
        assert torch.equal(alone.rgb[0], together.rgb[row])
        assert torch.equal(alone.depth[0], together.depth[row])


def test_geometry_is_the_same_without_camera_effects(atlas: TextureAtlas) -> None:
    with_effects, bare = render(1, range(2), SIZE, atlas), render(1, range(2), SIZE, atlas, effects=False)

    assert torch.equal(with_effects.depth, bare.depth)
    assert not torch.equal(with_effects.rgb, bare.rgb)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_renders_colour_and_positive_depth(layout: str, batches: dict[str, RenderedBatch]) -> None:
    batch = batches[layout]

    assert batch.kinds == (layout,) * 12
    assert batch.rgb.shape == (12, *SIZE, 3)
    assert batch.rgb.dtype == torch.uint8
    assert batch.depth.shape == (12, *SIZE)
    assert not batch.depth.isnan().any()
    assert (batch.depth > 0).all()
    spread = batch.rgb.float().flatten(1).std(dim=1)
    assert (spread > 4).all(), spread  # no image is a blank


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_has_sky_outdoors_alone(layout: str, batches: dict[str, RenderedBatch]) -> None:
    sky = batches[layout].depth.isinf().float().mean(dim=(1, 2))

    if layout in OUTDOORS:
        assert 0.05 < float(sky.mean()) < 0.6
        assert (sky < 0.95).all()
    else:
        assert (sky == 0).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_varies_in_depth_and_camera(layout: str, atlas: TextureAtlas, batches: dict[str, RenderedBatch]) -> None:
    batch = batches[layout]
    cameras = [sample_scene(4, index, atlas, layout).camera for index in range(12)]
    finite = torch.where(batch.depth.isinf(), torch.nan, batch.depth).flatten(1)

    assert batch.focal_px.min() * 1.3 < batch.focal_px.max()
    for values in ([c.pitch for c in cameras], [c.roll for c in cameras], [c.position[2] for c in cameras]):
        assert np.std(values) > 0.01
    assert (finite.nanquantile(0.9, dim=1) > 1.2 * finite.nanquantile(0.1, dim=1)).float().mean() > 0.8


def test_layouts_come_as_often_as_they_should(atlas: TextureAtlas) -> None:
    count = 300
    kinds = [sample_scene(11, index, atlas).kind for index in range(count)]

    assert math.isclose(sum(share for _, share in LAYOUTS.values()), 1.0)
    for layout, (_, share) in LAYOUTS.items():
        deviation = math.sqrt(share * (1 - share) / count)
        assert abs(kinds.count(layout) / count - share) < 4 * deviation, layout


def test_focal_length_is_that_of_the_field_of_view(atlas: TextureAtlas, batches: dict[str, RenderedBatch]) -> None:
    fov = sample_scene(4, 0, atlas, "room").camera.fov

    assert float(batches["room"].focal_px[0]) == pytest.approx(SIZE[1] / 2 / math.tan(fov / 2), rel=1e-6)


@pytest.mark.parametrize("size", [(50, 64), (48, 60)])
def test_size_is_refused_when_it_is_no_multiple_of_16(size: tuple[int, int], atlas: TextureAtlas) -> None:
    with pytest.raises(SpecError, match=f"got {size[0]}x{size[1]}, expected multiples of 16"):
        render(0, (0,), size, atlas)


def test_layout_is_refused_when_there_is_none_of_that_name(atlas: TextureAtlas) -> None:
    with pytest.raises(InputError, match="layout 'moon': unknown"):
        render(0, (0,), SIZE, atlas, layout="moon")


@pytest.mark.parametrize("layout", ["room", "corridor", "tabletop", "street"])
def test_thin_structures_are_present(layout: str, atlas: TextureAtlas) -> None:
    """Legs, boards, poles and bars of less than 10 cm, at least a few in a dozen scenes."""
    thin = sum(
        min(primitive.size) < 0.05
        for index in range(12)
        for primitive in sample_scene(4, index, atlas, layout).primitives
    )

    assert thin > 12


def lowest(primitive: Primitive) -> float:
    """Height of the lowest point of a solid."""
    half, turn = np.array(primitive.size), primitive.rotation
    if primitive.kind == "ball":
        return primitive.centre[2] - float(np.linalg.norm(turn[2] * half))
    return primitive.centre[2] - float(np.abs(turn[2] * half).sum())


def test_clutter_rests_on_its_surface(atlas: TextureAtlas) -> None:
    surface_m = 0.83
    bases = []
    for seed in range(60):
        scene = scene_seen_from(Camera((0, 0, 1)))
        kit = Kit(np.random.default_rng(seed), atlas.uses, atlas.backdrops.shape[0])
        small_thing(scene, kit, (1.0, 2.0, 0.0, 0.5), (0.1, -0.2, surface_m))
        bases.append(min(lowest(primitive) for primitive in scene.primitives) - surface_m)

    assert min(bases) > -SINK_M
    assert max(bases) < FLOAT_M
    assert np.mean(np.abs(bases) < 1e-9) > 0.6  # most stand exactly on it


@pytest.mark.parametrize("layout", ["room", "corridor", "tabletop"])
def test_nothing_lies_below_the_floor_indoors(layout: str, atlas: TextureAtlas) -> None:
    lowest_m = [
        lowest(primitive) for index in range(10) for primitive in sample_scene(4, index, atlas, layout).primitives
    ]

    assert min(lowest_m) > -SINK_M


def floor_in_light(atlas: TextureAtlas, *, intensity: float, below_slab: bool) -> torch.Tensor:
    """A floor seen from above under a sun at the zenith that casts hard shadows, (3, 64, 64)."""
    light = Light(None, (0.0, 0.0, 1.0), intensity, ambient=0.4, radius_m=0.0)
    scene = Scene(Camera((0, 0, 8), pitch=math.pi / 2, fov=1.0), light)
    scene.add("box", (0, 0, -1), (50, 50, 1), PLAIN)
    if below_slab:  # it is above the camera, so that only its shadow is seen
        scene.add("box", (0, 0, 12), (1.0, 1.0, 0.05), PLAIN)
    return trace(pack(scene), atlas, (64, 64), compiled=False)[1][0]


def test_shadow_takes_the_direct_light_and_leaves_the_ambient(atlas: TextureAtlas) -> None:
    lit = floor_in_light(atlas, intensity=1.0, below_slab=False)
    ambient = floor_in_light(atlas, intensity=0.0, below_slab=False)
    shaded = floor_in_light(atlas, intensity=1.0, below_slab=True)

    assert (ambient < 0.5 * lit).all()
    torch.testing.assert_close(shaded[:, 28:36, 28:36], ambient[:, 28:36, 28:36])
    torch.testing.assert_close(shaded[..., :8], lit[..., :8])


@pytest.mark.parametrize("contrast", [0.0, 0.5, 1.0])
def test_surface_fades_to_the_mean_colour_of_its_texture_when_its_contrast_falls(
    contrast: float, atlas: TextureAtlas
) -> None:
    light = Light(None, (0.0, 0.0, 1.0), intensity=0.0, ambient=0.5)
    scene = Scene(Camera((0, 0, 8), pitch=math.pi / 2, fov=1.0), light)
    scene.add("box", (0, 0, -1), (50, 50, 1), Surface(0, 0, 0, contrast=1.0))
    full = trace(pack(scene), atlas, (32, 32), compiled=False)[1]
    scene.primitives[0].surface.contrast = contrast
    faded = trace(pack(scene), atlas, (32, 32), compiled=False)[1]

    spread = full.std(dim=(2, 3))
    assert spread.max() > 0.05
    torch.testing.assert_close(faded.std(dim=(2, 3)), contrast * spread, atol=1e-5, rtol=1e-3)


def test_texture_lookup_gives_the_texel_at_its_centre_and_wraps_around(atlas: TextureAtlas) -> None:
    texel = int(atlas.texels[3, 5 * TILE_PX + 9])
    rgb = torch.tensor([texel >> 16 & 255, texel >> 8 & 255, texel & 255]) / 255.0
    uv = torch.tensor([[[9.5, 5.5], [9.5 + 4 * TILE_PX, 5.5 - 2 * TILE_PX]]]) / TILE_PX

    found = sample_textures(atlas, torch.tensor([[3, 3]]), uv, torch.full((1, 2), 1e-3))

    torch.testing.assert_close(found[0], rgb.expand(2, 3), atol=1e-4, rtol=0)


def test_texture_lookup_fades_to_its_mean_when_it_is_far_away(atlas: TextureAtlas) -> None:
    uv = torch.rand(1, 400, 2, generator=torch.Generator().manual_seed(0))
    texture = torch.full((1, 400), 7)

    near = sample_textures(atlas, texture, uv, torch.full((1, 400), 1e-3))
    far = sample_textures(atlas, texture, uv, torch.full((1, 400), 10.0))

    assert far.std(dim=1).mean() < 0.7 * near.std(dim=1).mean()
    torch.testing.assert_close(far.mean(dim=1), near.mean(dim=1), atol=0.05, rtol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device on this host")
def test_gpu_renders_what_the_cpu_renders(atlas: TextureAtlas) -> None:
    gpu = torch.device("cuda")

    ours, theirs = render(4, range(4), SIZE, atlas), render(4, range(4), SIZE, atlas.to(gpu), device=gpu)

    assert theirs.depth.device.type == "cuda"
    # The same float32 arithmetic in another order: pixels on a silhouette may fall to either side.
    close = torch.isclose(ours.depth, theirs.depth.cpu(), rtol=1e-4)
    assert close.float().mean() > 0.999
    assert ((ours.rgb.int() - theirs.rgb.cpu().int()).abs() <= 2).float().mean() > 0.98
