"""Light of tiny scenes, each against what can be worked out by hand: how much of it, from where, through what."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from pixio_edge.scenes import render as rendering
from pixio_edge.scenes import textures
from pixio_edge.scenes.drawing.sensor import photograph, plain
from pixio_edge.scenes.library import Library, make_library
from pixio_edge.scenes.mesh import Look, Mesh, Model
from pixio_edge.scenes.render import camera_axes, focal_px, render_scene
from pixio_edge.scenes.scene import Camera, Instance, Lamp, Scene, Surface, Vector
from pixio_edge.scenes.shapes import ball, box, card, sheet
from pixio_edge.scenes.textures import BACKDROP_SIZE, TILE_PX, TextureAtlas, load_atlas

SIZE = (36, 48)
MIDDLE = (slice(16, 20), slice(22, 26))
EYE = Camera((0.0, 0.0, 0.0))
BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
# No surface sends back more than this share.
WHITEST = 0.95
Light = Callable[..., np.ndarray]


def checks(side: int) -> np.ndarray:
    v, u = np.mgrid[0:TILE_PX, 0:TILE_PX] // side
    return np.repeat((255 * ((u + v) % 2))[..., None], 3, axis=2).astype(np.uint8)


def dark_but(rows: slice, columns: range, colour: tuple[int, int, int]) -> np.ndarray:
    """A panorama with one light part; columns are counted to the right of what is straight ahead."""
    image = np.zeros((*BACKDROP_SIZE, 3), np.uint8)
    image[rows, np.array(columns, dtype=int) % BACKDROP_SIZE[1]] = colour
    return image


HEIGHT, WIDTH = BACKDROP_SIZE
SURFACES = {"white": np.full((TILE_PX, TILE_PX, 3), 255, np.uint8), **{f"checks{n}": checks(n) for n in (2, 8)}}
BACKDROPS = {
    "night": dark_but(slice(0), range(0), (0, 0, 0)),
    "grey": dark_but(slice(None), range(WIDTH), (150, 150, 150)),
    "column": dark_but(slice(None), range(-6, 6), (255, 0, 0)) + dark_but(slice(None), range(58, 70), (0, 255, 0)),
    "upper": dark_but(slice(HEIGHT // 2), range(WIDTH), (255, 255, 255)),
    "right": dark_but(slice(None), range(WIDTH // 2), (255, 255, 255)),
}


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> TextureAtlas:
    folder = tmp_path_factory.mktemp("textures")
    for group, images in (("surfaces", SURFACES), ("backdrops", BACKDROPS)):
        (folder / group).mkdir()
        for name, image in images.items():
            cv2.imwrite(str(folder / group / f"{name}.png"), image[..., ::-1])
        index = ["file,tag", *(f"{name}.png,other" for name in images)]
        (folder / group / "index.csv").write_text("\n".join(index), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(textures, "NOISE_TEXTURES", 1)
        patch.setattr(textures, "NOISE_BACKDROPS", 1)
        return load_atlas(folder)


@pytest.fixture(scope="module")
def library() -> Library:
    return make_library({"cube": ("thing", lambda _: Model(box(WHITE), [Look("plastic")]), 1)})


@pytest.fixture
def light(atlas: TextureAtlas, library: Library, monkeypatch: pytest.MonkeyPatch) -> Light:
    """Renders a mesh: linear light of each pixel, float64 (H, W, 3). There is no light but what a test gives."""
    taken: list[np.ndarray] = []

    def keep(colour: np.ndarray) -> np.ndarray:
        taken.append(colour.astype(np.float64))
        return plain(colour)

    monkeypatch.setattr(rendering, "plain", keep)

    def look(
        things: list[tuple[Mesh, Vector]],
        *lamps: Lamp,
        camera: Camera = EYE,
        texture: str = "white",
        matrix: np.ndarray | None = None,
        ambient: float = 0.0,
        haze: float = 0.0,
        backdrop: tuple[str, float] = ("night", 0.0),
        **look: float | Vector,
    ) -> np.ndarray:
        surface = Surface(atlas.origins.index(f"surfaces/{texture}.png"), **look)
        turn = np.eye(3) if matrix is None else matrix
        scene = Scene(
            "light",
            [camera],
            [Instance(-1 - i, turn, at, (surface,)) for i, (_, at) in enumerate(things)],
            [mesh for mesh, _ in things],
            list(lamps),
            ambient_above=(ambient,) * 3,
            ambient_below=(ambient,) * 3,
            haze_per_m=haze,
            backdrop=atlas.backdrop_origins.index(f"backdrops/{backdrop[0]}.png"),
            backdrop_yaw=backdrop[1],
        )
        render_scene(scene, library, atlas, SIZE, seed=0, effects=False)
        return taken.pop()

    return look


def wall(far: float, side: float = 60.0) -> list[tuple[Mesh, Vector]]:
    return [(card(side, side), (0.0, far, -side / 2))]


def column_at(angle: float, camera: Camera = EYE) -> float:
    """Where an image shows what lies so far to the right of its middle, radians."""
    return SIZE[1] / 2 - 0.5 + focal_px(camera, SIZE[1]) * math.tan(angle)


def test_haze_leaves_one_part_in_e_of_what_is_a_whole_length_away(light: Light) -> None:
    clear, hazy = (light(wall(4.0), glow=1.0, haze=haze)[MIDDLE].mean() for haze in (0.0, 0.25))
    assert clear == pytest.approx(WHITEST, rel=0.01)
    assert hazy / clear == pytest.approx(math.exp(-1), rel=0.01)


def test_a_wall_deep_in_haze_has_the_light_of_the_sky(light: Light) -> None:
    lower_half = [(card(1000.0, 400.0), (0.0, 400.0, -400.0))]
    rows = light(lower_half, haze=0.02, backdrop=("grey", 0.0)).mean(axis=(1, 2))
    assert rows[25] == pytest.approx(rows[10], rel=0.05)
    assert light(lower_half, backdrop=("grey", 0.0))[25].max() == 0 < rows[10]


def test_light_of_a_lamp_falls_with_the_square_of_the_distance(light: Light) -> None:
    narrow = Camera((0.0, 0.0, 0.0), fov=0.05)

    def at(distance: float) -> float:
        lamp = Lamp((0.0, 4.0 - distance, 0.0), (0.1, 0.1, 0.1))
        return float(light(wall(4.0), lamp, camera=narrow)[MIDDLE].mean())

    assert at(1.0) == pytest.approx(0.1 * WHITEST, rel=0.02)
    assert at(1.0) / at(2.0) == pytest.approx(4.0, rel=0.02)
    assert at(0.5) / at(1.0) == pytest.approx(4.0, rel=0.05)
    # Lamps are no points: what touches one is not infinitely bright.
    assert at(0.1) < 1.1 * at(0.5)


@pytest.mark.parametrize("angle", [-0.3, 0.0, 0.2])
def test_a_shiny_wall_shows_the_sun_where_angles_of_light_and_sight_agree(light: Light, angle: float) -> None:
    sun = Lamp((math.sin(angle), -math.cos(angle), 0.0), WHITE, is_sun=True)
    bright = light(wall(3.0), sun, tint=BLACK, gloss=1.0).mean(axis=-1)
    row, column = np.unravel_index(int(np.argmax(bright)), SIZE)
    assert bright.max() > 0.3 > 3 * np.median(bright)
    assert abs(row - SIZE[0] / 2 + 0.5) < 1.1
    assert column == pytest.approx(column_at(angle), abs=1.1)
    assert light(wall(3.0), sun, tint=BLACK, gloss=0.0).max() == 0


def test_a_shiny_wall_mirrors_what_lies_on_its_own_side(light: Light) -> None:
    def mirrored(turn: float, gloss: float = 1.0) -> float:
        # The wall faces the eye, turned so that it throws sight to the right or left by twice this angle.
        c, s = math.cos(turn), math.sin(turn)
        matrix = np.array(((c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0)))
        image = light(wall(8.0, 10.0), matrix=matrix, tint=BLACK, gloss=gloss, ambient=1.0, backdrop=("right", 0.0))
        return float(image[MIDDLE].mean())

    assert mirrored(math.pi / 4) > 3 * mirrored(-math.pi / 4) > 0
    assert mirrored(math.pi / 4, gloss=0.0) == 0


@pytest.mark.parametrize(("yaw", "turned"), [(0.0, 0.0), (0.3, 0.0), (-0.5, 0.0), (0.0, 0.4)])
def test_the_panorama_stands_in_the_world_and_turns_to_the_left(light: Light, yaw: float, turned: float) -> None:
    camera = Camera((0.0, 0.0, 0.0), yaw=turned, fov=2.0)
    image = light([(ball((0.1, 0.1, 0.1)), (0.0, -5.0, 0.0))], camera=camera, backdrop=("column", yaw))
    for channel, angle in ((0, 0.0), (1, math.pi / 4)):
        profile = image[12:24, :, channel].mean(axis=0)
        if (to_the_right := angle - yaw + turned) < 0.9:
            expected = column_at(to_the_right, camera)
            assert float((profile * np.arange(SIZE[1])).sum() / profile.sum()) == pytest.approx(expected, abs=1.0)


def test_the_upper_half_of_the_panorama_is_above_the_horizon(light: Light) -> None:
    image = light([(ball((0.1, 0.1, 0.1)), (0.0, -5.0, 0.0))], backdrop=("upper", 0.0)).mean(axis=(1, 2))
    assert image[:16].min() > 10 * image[20:].max()


def test_checks_finer_than_a_pixel_are_grey_and_coarser_ones_stay(light: Light) -> None:
    def contrast(texture: str, texels_per_pixel: float) -> float:
        repeat = 4.0 / focal_px(EYE, SIZE[1]) * TILE_PX / texels_per_pixel
        image = light(wall(4.0), texture=texture, repeat_m=repeat, glow=1.0).mean(axis=-1)
        return float(image.std() / image.mean())

    assert contrast("checks2", 0.5) > 0.6
    assert contrast("checks8", 3.5) > 0.3
    assert contrast("checks2", 9.0) < 0.05
    assert contrast("checks8", 30.0) < 0.05


def test_light_on_a_stretched_ball_follows_its_own_slope(light: Light) -> None:
    radii, middle = np.array((0.5, 0.5, 1.5)), np.array((0.0, 6.0, 0.0))
    camera = Camera((0.0, 0.0, 0.0), fov=0.75)
    toward = np.array((0.3, -0.5, math.sqrt(0.66)))
    image = light(
        [(ball((0.5, 0.5, 0.5), detail=8), tuple(middle))],
        Lamp(tuple(toward), WHITE, is_sun=True),
        camera=camera,
        matrix=np.diag(radii / 0.5),
    ).mean(axis=-1)

    focal = focal_px(camera, SIZE[1])
    rows, columns = np.indices(SIZE) + 0.5
    rays = np.stack([(columns - SIZE[1] / 2) / focal, (rows - SIZE[0] / 2) / focal, np.ones(SIZE)], axis=-1)
    rays = (rays @ camera_axes(camera)) / radii
    # In the axes of the unit ball: |t ray - middle| = 1.
    start = middle / radii
    a, b, c = (rays**2).sum(-1), rays @ start, start @ start - 1
    inside = b * b / a - c > 0.1
    hit = rays[inside] * ((b - np.sqrt(np.maximum(b * b - a * c, 0.0))) / a)[inside, None] - start
    normals = hit / radii
    cosine = normals @ toward / np.linalg.norm(normals, axis=1)
    seen, facing = image[inside][cosine > 0.1], cosine[cosine > 0.1]

    assert len(seen) > 100 and np.ptp(facing) > 0.6
    slope, least = np.polyfit(facing, seen, 1)
    assert slope > 0.8 * WHITEST
    assert np.abs(seen - slope * facing - least).mean() < 0.03


def floor_and_plate(high: float) -> list[tuple[Mesh, Vector]]:
    """A floor, and a thin plate of 0.3 m above it."""
    return [(box((6.0, 6.0, 0.1)), (0.0, 0.0, -0.1)), (box((0.3, 0.3, 0.01)), (0.0, 0.0, high))]


def test_a_plate_just_above_the_floor_throws_the_shadow_of_a_lamp(light: Light) -> None:
    high = 0.05
    above = Camera((-0.3, 0.0, 1.0), pitch=math.pi / 2, fov=0.6)
    colour = (6.0, 6.0, 6.0)
    shaded, lit = (
        light(floor_and_plate(high), Lamp((2.0, 0.0, 2.0), colour, shadows=shadows), camera=above).mean(axis=-1)
        for shadows in (True, False)
    )
    share = (shaded / lit)[MIDDLE[0]].mean(axis=0)

    # The plate ends at x = -0.15. From the lamp, that edge falls on the floor a little beyond -0.15 - 0.05.
    x = -0.3 + (np.arange(SIZE[1]) + 0.5 - SIZE[1] / 2) / focal_px(above, SIZE[1])
    assert share[(x > -0.2) & (x < -0.16)].mean() < 0.75
    assert share[x < -0.5].min() > 0.97


@pytest.mark.parametrize("slope", [0.0, 0.6])
def test_a_lit_floor_does_not_shade_itself(light: Light, slope: float) -> None:
    floor = sheet(6.0, 6.0, rows=8, columns=8, height=lambda x, y: slope * x)
    camera = Camera((0.0, 0.0, 2.5), pitch=math.pi / 2, fov=1.2)
    shaded, lit = (
        light([(floor, (0.0, 0.0, 0.0))], Lamp((1.0, 0.5, 2.5), (5.0,) * 3, shadows=shadows), camera=camera)
        for shadows in (True, False)
    )
    assert (lit - shaded).max() < 0.02 * lit.max()


def photos_of_a_grey_card(count: int = 24) -> np.ndarray:
    """Photos by different cameras, (N, H, W)."""
    grey = np.full((*SIZE, 3), 0.3, np.float32)
    photos = [photograph(grey, np.random.default_rng(seed)) for seed in range(count)]
    return np.array(photos, dtype=np.float64).mean(axis=-1)


def test_some_lenses_darken_the_corners_and_none_the_middle() -> None:
    photos = photos_of_a_grey_card()
    middle = photos[:, 14:22, 20:28].mean(axis=(1, 2))
    edges = np.mean([photos[:, 14:22, :8].mean(axis=(1, 2)), photos[:, 14:22, -8:].mean(axis=(1, 2))], axis=0)
    corners = [
        photos[:, y, x].mean(axis=(1, 2)) for y in (slice(6), slice(-6, None)) for x in (slice(8), slice(-8, None))
    ]
    darker = middle - np.mean(corners, axis=0)
    assert darker.min() > -2 and np.ptp(corners, axis=0).max() < 5
    assert (darker > 6).sum() >= 4 and (darker < 2).sum() >= 4
    strongest = int(np.argmax(darker))
    assert middle[strongest] > edges[strongest] + 1 > np.mean(corners, axis=0)[strongest] + 2


def test_some_sensors_are_noisy_and_others_clean() -> None:
    photos = photos_of_a_grey_card()
    # A pixel against its neighbours: what changes slowly is no noise.
    grain = np.std(photos[:, :, 1:-1] - (photos[:, :, :-2] + photos[:, :, 2:]) / 2, axis=(1, 2))
    assert (grain > 1.0).sum() >= 4 and (grain < 0.5).sum() >= 4
