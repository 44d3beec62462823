"""Renders scenes: exact depth, and colour as a camera would take it.

    layout -> scene -> one mesh -> map of the light -> per camera: nearest triangles, depth, occlusion, colour, photo

Image number `i` of a seed is the same in any batch. It is view `i mod VIEWS` of scene `i div VIEWS`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixio_edge.errors import SpecError
from pixio_edge.scenes.drawing.assemble import World, assemble
from pixio_edge.scenes.drawing.occlusion import dither_pattern, occlude, pixel_geometry
from pixio_edge.scenes.drawing.panorama import mirror_map, sky_light
from pixio_edge.scenes.drawing.pixels import blend, lend_colours
from pixio_edge.scenes.drawing.rasterise import NEAR_M, project
from pixio_edge.scenes.drawing.sensor import photograph, plain
from pixio_edge.scenes.drawing.shade import Geometry, Sight, Surroundings, shade_samples
from pixio_edge.scenes.drawing.shadow_map import ShadowMap, shadow_map
from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.library import Library
from pixio_edge.scenes.scene import VIEWS, Camera, Scene
from pixio_edge.scenes.selection import check_layouts, known_layouts
from pixio_edge.scenes.textures import TextureAtlas

# Of an image, in pixels: less shows nothing.
MIN_SIDE = 16
# Mean light of the sky above the horizon, as a share of the brightness of a scene.
_SKY = 0.5
# How much more of the light from everywhere comes from the side of the first lamp: walls and ground there are lit.
_ONE_SIDED = 0.3
_PATTERN = dither_pattern()


@dataclass(frozen=True, slots=True)
class Rendered:
    """Images with their geometry.

    Attributes:
        rgb: uint8 (N, H, W, 3).
        depth: float32 (N, H, W), metres along the optical axis; `inf` where nothing is hit (sky).
        focal_px: float32 (N,); the principal point is the image centre and pixels are square.
        kinds: Layout of each image.
    """

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    focal_px: NDArray[np.float32]
    kinds: tuple[str, ...]


def render(
    seed: int,
    indices: Sequence[int],
    size: tuple[int, int],
    atlas: TextureAtlas,
    library: Library,
    *,
    layouts: Mapping[str, float] | None = None,
    effects: bool = True,
) -> Rendered:
    """Render images of a seed; quick if the views of a scene come together.

    Args:
        seed: Seed of the whole data set.
        indices: Numbers of the images.
        size: (height, width).
        atlas: Textures.
        library: Models.
        layouts: Names in `layouts.LAYOUTS` with their weights, one of which is drawn for each scene; None: all.
        effects: Add camera effects.

    Raises:
        InputError: There is no such layout.
    """
    check_size(size)
    parts = []
    for number, views in _by_scene(indices):
        scene = sample_scene(seed, number, atlas, library, layouts)
        effects_seed = seed * 1_000_003 + number
        parts.append(render_scene(scene, library, atlas, size, seed=effects_seed, effects=effects, views=views))
    return join(parts)


def join(parts: Sequence[Rendered]) -> Rendered:
    """Images of several renderings of one size."""
    return Rendered(
        np.concatenate([part.rgb for part in parts]),
        np.concatenate([part.depth for part in parts]),
        np.concatenate([part.focal_px for part in parts]),
        tuple(kind for part in parts for kind in part.kinds),
    )


def sample_scene(
    seed: int, number: int, atlas: TextureAtlas, library: Library, layouts: Mapping[str, float] | None = None
) -> Scene:
    """Scene number `number` of a seed, of one of some layouts as their weights say.

    Raises:
        InputError: There is no such layout.
        SpecError: The layout does not set `VIEWS` cameras.
    """
    check_layouts(layouts or {})
    known = known_layouts()
    # In the order of their names: the same weights give the same scenes, however they were put.
    weights = dict(sorted((layouts or {}).items())) or {name: weight for name, (_, weight) in known.items()}
    rng = np.random.default_rng([seed, number])
    kit = Kit(rng, atlas, library)
    name = kit.weighted(weights)
    scene = known[name][0](kit)
    scene.kind = name
    if len(scene.cameras) != VIEWS:
        raise SpecError(f"layout '{name}': got {len(scene.cameras)} cameras, expected {VIEWS}. Fix: let it set as many")
    return scene


def check_size(size: tuple[int, int]) -> None:
    """Refuse a (height, width) that is too small to show anything.

    Raises:
        SpecError: A side is shorter than 16 pixels.
    """
    if min(size) < MIN_SIDE:
        raise SpecError(
            f"render size: got {size[0]}x{size[1]}, expected at least {MIN_SIDE} pixels. Fix: take larger sides"
        )


def render_scene(
    scene: Scene,
    library: Library,
    atlas: TextureAtlas,
    size: tuple[int, int],
    *,
    seed: int,
    effects: bool = True,
    views: Sequence[int] | None = None,
) -> Rendered:
    """Render the cameras of a scene.

    Args:
        scene: What stands where, light and cameras.
        library: Models that it names.
        atlas: Textures that it names.
        size: (height, width).
        seed: Seed of the camera effects.
        effects: Add them.
        views: Which cameras; None: all.

    Raises:
        SpecError: The scene names what is not there, see `placed.place`.
    """
    world = assemble(scene, library, len(atlas.texels))
    mesh = (world.vertices, world.triangles, world.surface, world.looks, world.textures)
    geometry = Geometry(*mesh, atlas.texels, atlas.means)
    light = _surroundings(scene, world, atlas)
    chosen = range(len(scene.cameras)) if views is None else views
    images, depths = [], []
    for view in chosen:
        colour, depth = _view(world, geometry, light, scene.cameras[view], size)
        images.append(photograph(colour, np.random.default_rng([seed, view])) if effects else plain(colour))
        depths.append(depth)
    focal = np.array([focal_px(scene.cameras[view], size[1]) for view in chosen], dtype=np.float32)
    return Rendered(np.stack(images), np.stack(depths), focal, (scene.kind,) * len(chosen))


def focal_px(camera: Camera, width: int) -> float:
    """Focal length in pixels."""
    return width / 2 / math.tan(camera.fov / 2)


def camera_axes(camera: Camera) -> NDArray[np.float64]:
    """Rows: the camera's right, down and forward in the world, float64 (3, 3)."""
    cos_yaw, sin_yaw = math.cos(camera.yaw), math.sin(camera.yaw)
    cos_pitch, sin_pitch = math.cos(camera.pitch), math.sin(camera.pitch)
    forward = np.array((-sin_yaw * cos_pitch, cos_yaw * cos_pitch, -sin_pitch))
    right = np.array((cos_yaw, sin_yaw, 0.0))
    down = np.cross(forward, right)
    c, s = math.cos(camera.roll), math.sin(camera.roll)
    return np.stack([c * right + s * down, c * down - s * right, forward])


def _view(
    world: World, geometry: Geometry, light: Surroundings, camera: Camera, size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Linear light (H, W, 3) and depth (H, W) of one camera."""
    height, width = size
    focal = focal_px(camera, width)
    axes, eye = camera_axes(camera), np.array(camera.position)
    # Samples are half pixels apart, those of odd rows and columns are pixel centres.
    inner = np.array(((2 * focal, 0.0, width), (0.0, 2 * focal, height), (0.0, 0.0, 1.0)))
    view = np.zeros((4, 4))
    view[:3, :3] = inner @ axes
    view[:3, 3], view[3, 3] = -view[:3, :3] @ eye, 1.0
    samples = (2 * height + 1, 2 * width + 1)
    _, winner, projected = project(world, view, samples, NEAR_M)
    occlusion = np.ones(size, np.float32)
    sight = Sight(eye, axes.T @ np.linalg.inv(inner), 1 / focal, winner, projected, occlusion)
    depth, normals = np.empty(size, np.float32), np.empty((*size, 3), np.float32)
    pixel_geometry(geometry, sight, axes, depth, normals)
    occlude(depth, normals, (focal, _PATTERN), occlusion, np.empty(size, np.float32))
    colour = np.empty((*samples, 3), np.float32)
    shade_samples(geometry, light, sight, _centres(size), colour)
    lonely = np.empty((samples[0] * samples[1], 2), np.int32)
    count = lend_colours(winner, world.surface, colour, lonely)
    shade_samples(geometry, light, sight, lonely[:count], colour)
    image = np.empty((*size, 3), np.float32)
    blend(colour, image)
    return image, depth


@functools.lru_cache(maxsize=4)
def _centres(size: tuple[int, int]) -> NDArray[np.int32]:
    rows, columns = np.meshgrid(np.arange(size[0]), np.arange(size[1]), indexing="ij")
    return np.ascontiguousarray(np.stack([2 * rows + 1, 2 * columns + 1], axis=-1).reshape(-1, 2), dtype=np.int32)


def _surroundings(scene: Scene, world: World, atlas: TextureAtlas) -> Surroundings:
    shadows = shadow_map(scene, world)
    lamps = np.array(
        [
            (*lamp.position, *lamp.colour, float(lamp.is_sun), float(index == shadows.lamp))
            for index, lamp in enumerate(scene.lamps)
        ],
        dtype=np.float64,
    ).reshape(-1, 8)
    sun = sum(sum(lamp.colour) / 3 for lamp in scene.lamps if lamp.is_sun)
    ambient = np.array((scene.ambient_above, scene.ambient_below, _side(scene, world)))
    level = min(1.8, max(0.3, float(ambient[0].mean()) + 0.35 * sun))
    image, yaw = atlas.backdrops[scene.backdrop], float(scene.backdrop_yaw)
    # However dark a panorama was taken: in daylight the sky is brighter than the ground.
    sky = sky_light(image)
    level *= min(5.0, max(0.4, _SKY / max(float(sky.mean()), 1e-3)))
    return Surroundings(
        lamps,
        ambient,
        np.array((scene.haze_per_m, *(level * sky))),
        image,
        (yaw, level),
        mirror_map(image, yaw, ambient),
        shadows.nearest,
        shadows.view,
        (shadows.texel, shadows.is_sun, _softness(scene, shadows)),
    )


def _side(scene: Scene, world: World) -> NDArray[np.float64]:
    """Towards the first lamp, times how much of the light from everywhere comes rather from there."""
    if not scene.lamps:
        return np.zeros(3)
    lamp = scene.lamps[0]
    middle = 0.0 if lamp.is_sun else np.median(world.spheres[:, :3], axis=0)
    toward = np.array(lamp.position) - middle
    result: NDArray[np.float64] = _ONE_SIDED * toward / max(float(np.linalg.norm(toward)), 1e-6)
    return result


def _softness(scene: Scene, shadows: ShadowMap) -> int:
    """Texels between the samples of the map: lamps are of different sizes, which their place tells."""
    if shadows.is_sun:
        return 1
    return 1 + int(1000 * abs(sum(scene.lamps[shadows.lamp].position))) % 3


def _by_scene(indices: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """Scene numbers with the views asked for, in the order of the indices."""
    group: list[int] = []
    for position, index in enumerate(indices):
        group.append(index % VIEWS)
        if position + 1 == len(indices) or indices[position + 1] // VIEWS != index // VIEWS:
            yield index // VIEWS, group
            group = []
