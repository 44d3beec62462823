"""Depth of known solids against closed forms, and the culling and fused loops against plain ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scene_making import PLAIN, pack, scene_seen_from
from torch import Tensor

from pixio_edge.training import raycast
from pixio_edge.training.geometry import SLOTS, Camera, PackedKind, PackedScenes, Scene, Terrain, rotation_from
from pixio_edge.training.kit import Kit
from pixio_edge.training.raycast import FAR, Rays, first_blocker, first_of_kind, nearest_hit, nearest_of_kind
from pixio_edge.training.scenes import LAYOUTS, camera_rays, render, sample_scene, trace
from pixio_edge.training.session import can_compile
from pixio_edge.training.terrain import terrain_height, terrain_hit, terrain_normal
from pixio_edge.training.textures import TextureAtlas, load_atlas

SIZE = (48, 64)
FOV = 1.2
# float32 in unit coordinates of a primitive: a few times 2^-24 of distances that are up to a hundred of its radii.
RELATIVE = 2e-5


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def atlas() -> TextureAtlas:
    return load_atlas()


def depth_of(scene: Scene) -> Tensor:
    packed = pack(scene)
    depth, _ = nearest_hit(packed, camera_rays(packed, SIZE), SIZE, compiled=False)
    return depth.reshape(SIZE).double()


def pixel_rays(camera: Camera) -> tuple[Tensor, Tensor]:
    """Slopes of the rays through the pixel centres of a level camera: to the right and downwards, per metre forward."""
    focal = 0.5 / math.tan(camera.fov / 2) * SIZE[1]
    u = (torch.arange(SIZE[1], dtype=torch.float64) + 0.5 - SIZE[1] / 2) / focal
    v = (torch.arange(SIZE[0], dtype=torch.float64) + 0.5 - SIZE[0] / 2) / focal
    return u.expand(SIZE), v[:, None].expand(SIZE)


def assert_depth(depth: Tensor, expected: Tensor) -> None:
    assert torch.equal(depth < FAR, expected < FAR)
    torch.testing.assert_close(depth, expected, rtol=RELATIVE, atol=0)


def test_floor_has_the_depth_of_a_plane() -> None:
    camera = Camera((3.0, -2.0, 1.5), fov=FOV)
    scene = scene_seen_from(camera)
    scene.add("box", (0, 0, -1), (500, 500, 1), PLAIN)
    _, v = pixel_rays(camera)

    assert_depth(depth_of(scene), torch.where(v > 0, 1.5 / v, FAR))


def test_wall_has_one_depth_all_over_when_it_is_faced() -> None:
    scene = scene_seen_from(Camera((0, 0, 1), fov=FOV))
    scene.add("box", (0, 5, 0), (50, 1, 50), PLAIN)

    assert_depth(depth_of(scene), torch.full(SIZE, 4.0, dtype=torch.float64))


@pytest.mark.parametrize("yaw", [0.4, -0.7])
def test_wall_has_the_depth_of_a_slanted_plane_when_it_is_turned(yaw: float) -> None:
    camera = Camera((0, 0, 0), fov=FOV)
    scene = scene_seen_from(camera)
    scene.add("box", (0, 4, 0), (90, 1, 90), PLAIN, yaw=yaw)
    u, _ = pixel_rays(camera)
    normal = (math.sin(yaw), -math.cos(yaw))  # of the face towards the camera
    distance = 1 + normal[1] * 4

    assert_depth(depth_of(scene), distance / (normal[0] * u + normal[1]))


def test_room_is_seen_from_within() -> None:
    camera = Camera((0, 0, 0), fov=FOV)
    scene = scene_seen_from(camera)
    scene.add("box", (0, 0, 0), (2, 3, 1), PLAIN, inside=True)
    u, v = pixel_rays(camera)
    inf = torch.tensor(torch.inf, dtype=torch.float64)

    assert_depth(depth_of(scene), torch.minimum(torch.minimum(2 / u.abs(), 1 / v.abs()), inf.clamp(max=3)))


def test_ball_has_the_depth_of_a_sphere() -> None:
    camera = Camera((0, 0, 0), fov=FOV)
    scene = scene_seen_from(camera)
    centre, radius = torch.tensor([0.3, 4.0, -0.2], dtype=torch.float64), 1.2
    scene.add("ball", tuple(centre.tolist()), (radius, radius, radius), PLAIN)
    u, v = pixel_rays(camera)
    direction = torch.stack([u, torch.ones_like(u), -v], dim=-1)
    a, b = direction.square().sum(-1), direction @ centre
    root = b.square() - a * (centre.square().sum() - radius**2)

    expected = torch.where(root > 0, (b - root.clamp(min=0).sqrt()) / a, FAR)
    depth = depth_of(scene)

    # A ray that grazes the ball may round to either side.
    clear = root.abs() > 1e-4
    assert 100 < int((expected < FAR).sum()) < 1500
    assert_depth(depth[clear], expected[clear])


def test_cylinder_has_the_depth_of_its_side_and_of_its_lid() -> None:
    camera = Camera((0, 0, 1.0), fov=FOV)
    scene = scene_seen_from(camera)
    away, radius, half = 3.0, 0.8, 0.4
    scene.add("cylinder", (0, away, 0), (radius, radius, half), PLAIN)
    u, v = pixel_rays(camera)
    root = away**2 - (1 + u.square()) * (away**2 - radius**2)
    near, far = ((away + sign * root.clamp(min=0).sqrt()) / (1 + u.square()) for sign in (-1, 1))
    lid, base = (1 - half) / v, (1 + half) / v

    entry, leaving = torch.maximum(near, lid), torch.minimum(far, base)
    expected = torch.where((v > 0) & (root > 0) & (leaving > entry), entry, FAR)
    clear = (root.abs() > 1e-4) & ((leaving - entry).abs() > 1e-4)

    assert (expected == lid)[clear].any()
    assert (expected == near)[clear].any()
    assert_depth(depth_of(scene)[clear], expected[clear])


@pytest.mark.parametrize("kind", ["box", "ball", "cylinder"])
def test_depth_is_that_of_a_solid_at_any_angle_when_points_are_put_back_into_it(kind: str) -> None:
    """Every hit lies on the surface of a solid that is turned, stretched and far out, under a tilted camera."""
    turn, size = rotation_from(0.7, 0.4, -1.1), np.array([0.6, 1.1, 0.35])
    centre = np.array([52.0, 47.0, 2.0])
    camera = Camera((50.0, 43.0, 2.5), yaw=-0.4, pitch=0.1, roll=0.3, fov=FOV)
    scene = scene_seen_from(camera)
    scene.add(kind, tuple(centre.tolist()), tuple(size.tolist()), PLAIN, rotation=turn)
    packed = pack(scene)
    rays = camera_rays(packed, SIZE)

    depth, _ = nearest_hit(packed, rays, SIZE, compiled=False)
    hit = depth[0] < FAR
    points = np.array(camera.position) + (rays[0][hit] * depth[0][hit, None]).double().numpy()
    local = (points - centre) @ turn / size

    radial = np.hypot(local[:, 0], local[:, 1])
    surface = {
        "box": np.abs(local).max(axis=1),
        "ball": np.linalg.norm(local, axis=1),
        "cylinder": np.maximum(radial, np.abs(local[:, 2])),
    }[kind]
    assert hit.sum() > 50
    # World coordinates near 50 m have steps of 4 micrometres in float32, the smallest half extent is 0.35 m.
    np.testing.assert_allclose(surface, 1.0, atol=1e-4)


def test_camera_angles_mean_what_they_say() -> None:
    size = (16, 16)

    def centre_ray(**angles: float) -> Tensor:
        packed = pack(scene_seen_from(Camera((0, 0, 0), fov=0.01, **angles)))
        return camera_rays(packed, size).mean(dim=1)[0]

    torch.testing.assert_close(centre_ray(), torch.tensor([0.0, 1.0, 0.0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(centre_ray(yaw=math.pi / 2), torch.tensor([-1.0, 0.0, 0.0]), atol=1e-5, rtol=0)
    down = centre_ray(pitch=math.pi / 6)
    torch.testing.assert_close(down, torch.tensor([0.0, math.sqrt(0.75), -0.5]), atol=1e-5, rtol=0)


def brute_force(packed: PackedScenes, rays: Tensor) -> Tensor:
    """Depth over all primitives, without tiles."""
    best = torch.full(rays.shape[:2], FAR)
    for kind, solids in packed.kinds.items():
        depth, _ = nearest_of_kind(kind, solids, Rays(packed.origin[:, None], rays), raycast.NEAR_M)
        best = torch.minimum(best, depth)
    return best


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tiles_see_what_all_primitives_together_show(
    layout: str, atlas: TextureAtlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raycast, "CANDIDATES", SLOTS)  # crowded tiles drop what is farthest; none is crowded here
    packed = pack(*(sample_scene(5, index, atlas, layout) for index in range(3)))
    rays = camera_rays(packed, SIZE)

    depth, slot = nearest_hit(packed, rays, SIZE, compiled=False)
    expected = brute_force(packed, rays)

    assert torch.equal(depth, expected)
    assert torch.equal(depth, first_of_slot(packed, rays, slot).where(expected < FAR, torch.tensor(FAR)))


def first_of_slot(packed: PackedScenes, rays: Tensor, slot: Tensor) -> Tensor:
    """Depth of the one primitive that each pixel says it shows."""
    found, base = torch.full(rays.shape[:2], FAR), 0
    for kind, solids in packed.kinds.items():
        for index in range(SLOTS[kind]):
            one = PackedKind(*(values[:, index : index + 1] for values in solids))
            depth = first_of_kind(kind, one, Rays(packed.origin[:, None], rays), raycast.NEAR_M)
            found = torch.where(slot == base + index, depth, found)
        base += SLOTS[kind]
    return found


def test_tiles_leave_candidates_out_when_they_see_only_part_of_a_scene(atlas: TextureAtlas) -> None:
    """Or the test above would compare brute force with itself."""
    packed = pack(sample_scene(5, 0, atlas, "street"))
    boxes = packed.kinds["box"]

    chosen = raycast.tile_candidates(packed, boxes, SIZE, raycast.CANDIDATES["box"])

    assert chosen.shape == (1, 3 * 4, raycast.CANDIDATES["box"])
    assert len({tuple(sorted(tile.tolist())) for tile in chosen[0]}) > 4


def test_light_is_blocked_by_what_stands_between_and_not_by_the_room() -> None:
    scene = scene_seen_from(Camera((0, 0, 0)))
    scene.add("box", (0, 0, 0), (5, 5, 5), PLAIN, inside=True)
    scene.add("ball", (0, 0, 2), (0.5, 0.5, 0.5), PLAIN)
    packed = pack(scene)
    points = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]])
    up = torch.tensor([[[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]])

    blocked = first_blocker(packed, points, up, compiled=False)

    torch.testing.assert_close(blocked, torch.tensor([[1.5, FAR]]))


WAVES = np.array([[0.3, 0.2, 0.4, 0.5], [-0.7, 0.5, 2.0, 0.15], *([0.0] * 4 for _ in range(4))])


def terrain_scene() -> Scene:
    scene = scene_seen_from(Camera((0, 0, 2.5), pitch=0.25, fov=FOV))
    scene.terrain = Terrain(WAVES, PLAIN)
    return scene


def test_terrain_depth_is_a_root_of_its_height() -> None:
    packed = pack(terrain_scene())
    rays = camera_rays(packed, SIZE)

    depth = terrain_hit(packed.terrain, packed.origin[:, None], rays)
    hit = depth < FAR
    points = packed.origin[:, None] + rays * depth[..., None]
    gap = points[..., 2] - terrain_height(packed.terrain, points[..., 0], points[..., 1])

    assert 0.5 < float(hit.float().mean()) < 1.0
    # Coordinates of up to 250 m in float32 have steps of 15 micrometres.
    assert gap[hit].abs().max() < 1e-4


def test_terrain_is_not_passed_over_when_the_march_is_checked_against_a_fine_one() -> None:
    packed = pack(terrain_scene())
    rays = camera_rays(packed, SIZE)[:, ::7]

    depth = terrain_hit(packed.terrain, packed.origin[:, None], rays)
    finer = terrain_hit(packed.terrain, packed.origin[:, None], rays, steps=1500)

    near = finer < 15  # steps grow with the distance, and beyond it crests may be missed
    assert near.float().mean() > 0.2
    torch.testing.assert_close(depth[near], finer[near], rtol=1e-4, atol=0)


def test_terrain_normal_is_at_right_angles_to_its_slopes() -> None:
    waves = torch.tensor(WAVES, dtype=torch.float64)[None]
    x, y = torch.tensor([[0.3, -4.0, 11.0]]).double(), torch.tensor([[2.0, 0.7, -5.0]]).double()
    step = 1e-5

    normal = terrain_normal(waves, x, y)
    along_x = (terrain_height(waves, x + step, y) - terrain_height(waves, x - step, y)) / (2 * step)
    along_y = (terrain_height(waves, x, y + step) - terrain_height(waves, x, y - step)) / (2 * step)

    torch.testing.assert_close(normal.norm(dim=-1), torch.ones_like(x))
    torch.testing.assert_close(normal[..., 0] + along_x * normal[..., 2], torch.zeros_like(x), atol=1e-8, rtol=0)
    torch.testing.assert_close(normal[..., 1] + along_y * normal[..., 2], torch.zeros_like(x), atol=1e-8, rtol=0)


def test_terrain_hides_what_lies_behind_it_and_not_what_stands_before_it(atlas: TextureAtlas) -> None:
    scene = terrain_scene()
    scene.add("box", (0, 3, 2), (0.3, 0.3, 0.3), PLAIN)
    scene.add("box", (0, 30, -20), (30, 0.3, 3), PLAIN)
    packed = pack(scene)
    rays = camera_rays(packed, SIZE)

    depth, _ = trace(packed, atlas, SIZE, compiled=False)
    solids = brute_force(packed, rays).reshape(SIZE)
    ground = terrain_hit(packed.terrain, packed.origin[:, None], rays).reshape(SIZE)

    assert (solids < ground).any()
    assert ((solids < FAR) & (ground < solids)).any()
    expected = torch.minimum(solids, ground)
    assert torch.equal(depth[0], expected.where(expected < FAR, torch.tensor(torch.inf)))


needs_compiler = pytest.mark.skipif(
    not can_compile(), reason="fused loops need a C++ compiler, and none is on the path"
)


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize(
    ("plain", "fused"),
    [(nearest_of_kind, raycast.fused_nearest_of_kind), (first_of_kind, raycast.fused_first_of_kind)],
    ids=["nearest", "first"],
)
@pytest.mark.parametrize("kind", SLOTS)
def test_fused_loop_equals_the_plain_one(
    kind: str, plain: Callable[..., object], fused: Callable[[], Callable[..., object]], atlas: TextureAtlas
) -> None:
    packed = pack(*(sample_scene(5, index, atlas, "loose_shapes") for index in range(2)))
    arguments = (kind, packed.kinds[kind], Rays(packed.origin[:, None], camera_rays(packed, (32, 32))), 0.05)
    torch._dynamo.reset()
    counted = torch._dynamo.utils.counters["frames"]
    counted.clear()

    ours, theirs = plain(*arguments), fused()(*arguments)

    assert counted["ok"] == 1  # it was compiled, and whole
    torch.testing.assert_close(theirs, ours, rtol=RELATIVE, atol=0)


@pytest.mark.slow
@needs_compiler
def test_fused_images_equal_plain_ones(atlas: TextureAtlas) -> None:
    torch._dynamo.reset()
    counted = torch._dynamo.utils.counters["frames"]
    counted.clear()

    plain, fused = (render(4, range(6), SIZE, atlas, compiled=compiled) for compiled in (False, True))
    compilations = counted["ok"]
    render(4, range(6, 12), SIZE, atlas, compiled=True)

    assert compilations == 2 * len(SLOTS)  # nearest hit and first blocker, for each kind
    assert counted["ok"] == compilations  # and none again for the next batch
    # Pixels on a silhouette may fall to either side.
    assert torch.isclose(plain.depth, fused.depth, rtol=RELATIVE).float().mean() > 0.999
    assert ((plain.rgb.int() - fused.rgb.int()).abs() <= 1).float().mean() > 0.995


def test_thin_structures_are_hit_when_rays_go_through_them() -> None:
    """A pole of 3 cm at 20 m, thinner than a pixel: exact arithmetic, so no ray through it misses."""
    scene = scene_seen_from(Camera((0, 0, 1)))
    scene.add("cylinder", (0, 20, 1), (0.015, 0.015, 1), PLAIN)
    packed = pack(scene)
    x = torch.linspace(-0.014, 0.014, 29)
    directions = torch.stack([x / 20, torch.ones_like(x), torch.zeros_like(x)], dim=-1)[None]

    depth = brute_force(packed, directions)

    # In units of its radius the pole is 1333 away, where float32 has steps of 1e-4.
    torch.testing.assert_close(depth, 20 - (0.015**2 - x.square()).sqrt()[None], rtol=1e-5, atol=0)


def test_kit_draws_stay_in_their_ranges(atlas: TextureAtlas) -> None:
    kit = Kit(np.random.default_rng(0), atlas.uses, atlas.backdrops.shape[0])

    for _ in range(200):
        assert 2.0 <= kit.uniform(2, 3) < 3.0
        assert kit.integer(1, 3) in (1, 2, 3)
        assert 0 <= kit.backdrop() < atlas.backdrops.shape[0]
        assert kit.texture("wall") in atlas.uses["wall"]
        direction = kit.sun().direction
        assert math.isclose(math.hypot(*direction), 1.0, abs_tol=1e-9)
        assert direction[2] > 0
