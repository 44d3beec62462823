"""Batched procedural RGB-D renderer: indoor and outdoor scenes with exact metric depth.

    scenes -> camera rays -> nearest hit (raycast) -> colour (shading) -> camera effects (sensor)

Image number `i` of a seed is the same in any batch. The geometry and the depth are pure float arithmetic; the same
image on another device or with compiled loops differs by rounding only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pixio_edge.errors import InputError, SpecError
from pixio_edge.training import indoor, outdoor
from pixio_edge.training.geometry import PackedScenes, Scene, pack_scenes
from pixio_edge.training.kit import Kit
from pixio_edge.training.raycast import FAR, TILE, nearest_hit
from pixio_edge.training.sensor import photograph
from pixio_edge.training.shading import shade
from pixio_edge.training.terrain import terrain_hit
from pixio_edge.training.textures import TextureAtlas

# What a scene can be, and how often it is.
LAYOUTS: dict[str, tuple[Callable[[Kit], Scene], float]] = {
    "room": (indoor.room, 0.38),
    "corridor": (indoor.corridor, 0.08),
    "tabletop": (indoor.tabletop, 0.18),
    "loose_shapes": (indoor.loose_shapes, 0.06),
    "street": (outdoor.street, 0.26),
    "country": (outdoor.country, 0.04),
}


@dataclass(frozen=True, slots=True)
class RenderedBatch:
    """Images with their geometry.

    Attributes:
        rgb: uint8 (B, H, W, 3).
        depth: float32 (B, H, W), metres along the optical axis; `inf` where nothing is hit (sky).
        focal_px: float32 (B,); the principal point is the image centre and pixels are square.
        kinds: Layout of each image.
    """

    rgb: Tensor
    depth: Tensor
    focal_px: Tensor
    kinds: tuple[str, ...]


def sample_scene(seed: int, index: int, atlas: TextureAtlas, layout: str | None = None) -> Scene:
    """Scene number `index` of a seed.

    Args:
        seed: Seed of the whole data set.
        index: Number of the scene, at least 0.
        atlas: Textures to choose from; the geometry of a scene does not depend on how many there are.
        layout: Name in `LAYOUTS`; None draws one.

    Raises:
        InputError: There is no such layout.
    """
    if layout is not None and layout not in LAYOUTS:
        raise InputError(f"layout '{layout}': unknown, expected one of {', '.join(LAYOUTS)}. Fix: choose one of these")
    rng = np.random.default_rng([seed, index])
    kit = Kit(rng, atlas.uses, atlas.backdrops.shape[0])
    names = list(LAYOUTS)
    chosen = layout or names[int(rng.choice(len(names), p=[LAYOUTS[name][1] for name in names]))]
    scene = LAYOUTS[chosen][0](kit)
    scene.kind = chosen
    return scene


def render(
    seed: int,
    indices: Sequence[int],
    size: tuple[int, int],
    atlas: TextureAtlas,
    *,
    device: torch.device | None = None,
    compiled: bool = False,
    effects: bool = True,
    layout: str | None = None,
) -> RenderedBatch:
    """Render images of a seed.

    Args:
        seed: Seed of the whole data set.
        indices: Numbers of the images.
        size: (height, width), multiples of 16.
        atlas: Textures on the same device.
        device: Where to render; CPU by default.
        compiled: Fuse the intersection loops with `torch.compile` (CPU: needs a C++ compiler).
        effects: Add camera effects; without them the colours are the bare shading.
        layout: Render only this layout.

    Raises:
        InputError: There is no such layout.
        SpecError: The size is not a multiple of 16.
    """
    check_size(size)
    scenes = [sample_scene(seed, index, atlas, layout) for index in indices]
    packed = pack_scenes(scenes, device or torch.device("cpu"))
    with torch.inference_mode():
        depth, colour = trace(packed, atlas, size, compiled=compiled)
        if effects:
            # One generator per image keeps an image independent of its batch.
            colour = torch.cat(
                [
                    photograph(image[None], torch.Generator().manual_seed(seed * 1_000_003 + index))
                    for image, index in zip(colour, indices, strict=True)
                ]
            )
        rgb = (colour.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    return RenderedBatch(rgb, depth, packed.focal * size[1], tuple(scene.kind for scene in scenes))


def check_size(size: tuple[int, int]) -> None:
    """Refuse a (height, width) that is not cut into whole tiles.

    Raises:
        SpecError: A side is not a positive multiple of 16.
    """
    if size[0] % TILE or size[1] % TILE or min(size) < TILE:
        raise SpecError(f"render size: got {size[0]}x{size[1]}, expected multiples of {TILE}. Fix: round both sides")


def trace(packed: PackedScenes, atlas: TextureAtlas, size: tuple[int, int], *, compiled: bool) -> tuple[Tensor, Tensor]:
    """Depth (B, H, W) in metres, `inf` for sky, and colour (B, 3, H, W), about [0, 1], before camera effects."""
    rays = camera_rays(packed, size)
    depth, slot = nearest_hit(packed, rays, size, compiled=compiled)
    on_terrain = torch.zeros_like(slot, dtype=torch.bool)
    with_terrain = packed.terrain[..., 3].abs().sum(-1) > 0
    if bool(with_terrain.any()):
        ground = torch.full_like(depth, FAR)
        ground[with_terrain] = terrain_hit(
            packed.terrain[with_terrain], packed.origin[with_terrain, None], rays[with_terrain]
        )
        on_terrain = ground < depth
        depth = torch.minimum(depth, ground)
    colour = shade(packed, atlas, (depth, slot, on_terrain), rays, size, compiled=compiled)
    metres = torch.where(depth >= FAR, torch.inf, depth).reshape(-1, *size)
    return metres, colour.transpose(1, 2).reshape(-1, 3, *size)


def camera_rays(scenes: PackedScenes, size: tuple[int, int]) -> Tensor:
    """World directions of unit camera depth through every pixel centre, (B, H * W, 3)."""
    height, width = size
    rows = torch.arange(height, device=scenes.origin.device) + 0.5 - height / 2
    columns = torch.arange(width, device=scenes.origin.device) + 0.5 - width / 2
    v, u = torch.meshgrid(rows, columns, indexing="ij")
    focal = (scenes.focal * width)[:, None, None]
    camera = torch.stack([u / focal, v / focal, torch.ones_like(u / focal)], dim=-1).flatten(1, 2)
    return camera @ scenes.camera
