"""Colour of visible points: textures with mip levels, one light with shadow, ambient light, gloss, haze and sky."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from pixio_edge.training.geometry import PackedScenes
from pixio_edge.training.raycast import FAR, first_blocker
from pixio_edge.training.terrain import terrain_normal
from pixio_edge.training.textures import BACKDROP_SIZE, MIP_LEVELS, TILE_PX, TextureAtlas, mip_offset

# Slots of the table row, see geometry.PackedScenes.
_SIZE, _SURFACE = slice(12, 15), 15


def surface_points(
    scenes: PackedScenes, points: Tensor, slot: Tensor, on_terrain: Tensor, view: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Normal, texture coordinates, texture index and surface row of each visible point.

    Args:
        scenes: Packed scenes.
        points: World points (B, P, 3).
        slot: Primitive of each point (B, P).
        on_terrain: Points of the height field (B, P).
        view: Directions from the eye (B, P, 3); normals are turned against them.

    Returns:
        Unit normals (B, P, 3); coordinates in repeats (B, P, 2); texture index (B, P); surface rows
        (B, P, SURFACE_FIELDS).
    """
    batch = torch.arange(scenes.batch, device=points.device)[:, None]
    row = scenes.table[batch, slot]  # (B, P, 31)
    to_local = row[..., :9].reshape(*slot.shape, 3, 3)
    local = (to_local @ points[..., None])[..., 0] - row[..., 9:12]
    kinds = _kind_of_slot(scenes, points.device)[slot]
    local_normal = _local_normal(local, kinds)
    size = row[..., _SIZE]
    # Gradient of the implicit surface in world axes: (R / s) n.
    normal = normalize((to_local * local_normal[..., None]).sum(-2), dim=-1)
    axis = local_normal.abs().argmax(-1)
    surface = torch.where(on_terrain[..., None], scenes.terrain_surface[:, None], row[..., _SURFACE:])
    fit = surface[..., 8:9] > 0
    metric = local * size
    plane = torch.where(fit, (local + 1) / 2, metric / surface[..., 3:4].clamp(min=1e-3))
    terrain_plane = points / surface[..., 3:4].clamp(min=1e-3)
    plane = torch.where(on_terrain[..., None], terrain_plane, plane)
    axis = torch.where(on_terrain, 2, axis)
    u = torch.where(axis == 0, plane[..., 1], plane[..., 0])
    v = torch.where(axis == 2, plane[..., 1], -plane[..., 2])
    up = axis == 2
    texture = torch.where(up, torch.where(local[..., 2] > 0, surface[..., 1], surface[..., 2]), surface[..., 0])
    texture = torch.where(on_terrain, surface[..., 1], texture)
    slope = terrain_normal(scenes.terrain, points[..., 0], points[..., 1])
    normal = torch.where(on_terrain[..., None], slope, normal)
    normal = torch.where((normal * view).sum(-1, keepdim=True) > 0, -normal, normal)
    return normal, torch.stack([u, v], dim=-1), texture.long(), surface


def sample_textures(atlas: TextureAtlas, texture: Tensor, uv: Tensor, footprint: Tensor) -> Tensor:
    """Bilinear lookup with wrap-around in the mip level that fits the footprint.

    Args:
        atlas: Textures.
        texture: Index (B, P).
        uv: Coordinates in repeats (B, P, 2).
        footprint: Width of a pixel on the surface in repeats (B, P).

    Returns:
        RGB in [0, 1], (B, P, 3).
    """
    level = (footprint * TILE_PX).clamp(min=1.0).log2().round().clamp(max=MIP_LEVELS - 1).long()
    side = TILE_PX >> level
    position = (uv - uv.floor()) * side[..., None] - 0.5
    corner = position.floor()
    weight = position - corner
    start = texture * atlas.texels.shape[1] + mip_offset(level)
    x0, y0 = (corner[..., 0].long() % side), (corner[..., 1].long() % side)
    x1, y1 = (x0 + 1) % side, (y0 + 1) % side
    texels = atlas.texels.view(-1)
    wx, wy = weight[..., 0:1], weight[..., 1:2]
    top = _unpack(texels[start + y0 * side + x0]) * (1 - wx) + _unpack(texels[start + y0 * side + x1]) * wx
    low = _unpack(texels[start + y1 * side + x0]) * (1 - wx) + _unpack(texels[start + y1 * side + x1]) * wx
    return top * (1 - wy) + low * wy


def sample_backdrop(scenes: PackedScenes, atlas: TextureAtlas, view: Tensor) -> Tensor:
    """Panorama colour in a direction, RGB in [0, 1], (B, P, 3)."""
    unit = normalize(view, dim=-1)
    height, width = BACKDROP_SIZE
    turn = torch.atan2(unit[..., 0], unit[..., 1]) + scenes.backdrop[:, 1:2]
    x = ((turn / (2 * torch.pi)) % 1.0 * width).long().clamp(0, width - 1)
    y = ((0.5 - torch.asin(unit[..., 2].clamp(-1, 1)) / torch.pi) * height).long().clamp(0, height - 1)
    panorama = scenes.backdrop[:, 0].long()[:, None]
    return _unpack(atlas.backdrops[panorama, y, x])


def shade(
    scenes: PackedScenes,
    atlas: TextureAtlas,
    hits: tuple[Tensor, Tensor, Tensor],
    view: Tensor,
    size: tuple[int, int],
    *,
    compiled: bool,
) -> Tensor:
    """Colour of every camera ray.

    Args:
        scenes: Packed scenes.
        atlas: Textures.
        hits: Depth (B, P), slot (B, P), on-terrain flag (B, P).
        view: Camera rays of unit depth (B, P, 3).
        size: (H, W).
        compiled: Use the fused loops of `torch.compile` for shadows.

    Returns:
        RGB (B, H * W, 3), about [0, 1] and above in highlights.
    """
    depth, slot, on_terrain = hits
    missed = depth >= FAR
    safe = torch.where(missed, 1.0, depth)
    points = scenes.origin[:, None] + view * safe[..., None]
    normal, uv, texture, surface = surface_points(scenes, points, slot, on_terrain, view)
    sight = normalize(view, dim=-1)
    slant = (normal * sight).sum(-1).abs().clamp(min=0.15)
    pixel = safe / (scenes.focal[:, None] * size[1]) / slant
    repeat = torch.where(surface[..., 8] > 0, 1.0, surface[..., 3].clamp(min=1e-3))
    plain = atlas.mean_colours()[texture]
    textured = sample_textures(atlas, texture, uv, pixel / repeat)
    albedo = (plain + surface[..., 9:10] * (textured - plain)) * surface[..., 4:7]
    to_light, reach, lit = _light_at(scenes, points)
    shadow = _shadow(scenes, points, normal, (to_light, reach), size, compiled=compiled)
    light = scenes.light[:, None]
    facing = (normal * to_light).sum(-1).clamp(min=0.0)
    halfway = normalize(to_light - sight, dim=-1)
    highlight = surface[..., 7] * (normal * halfway).sum(-1).clamp(min=0.0) ** 24
    # Light from everywhere is never equal: more from above, a little more from one side, so that faces differ.
    ambient = light[..., 5] * (0.62 + 0.28 * normal[..., 2] + 0.12 * normal[..., 0])
    direct = light[..., 4] * lit * (1 - shadow)
    colour = albedo * (ambient[..., None] + (direct * facing)[..., None] * light[..., 6:9])
    colour = colour + (direct * highlight)[..., None] * light[..., 6:9]
    sky = sample_backdrop(scenes, atlas, view)
    haze = 1 - torch.exp(-light[..., 10] * safe)
    colour = colour + haze[..., None] * (sky.mean(dim=1, keepdim=True) - colour)
    return torch.where(missed[..., None], sky, colour)


def _light_at(scenes: PackedScenes, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Direction to the light, distance to it, and falloff."""
    light = scenes.light[:, None]
    is_lamp = light[..., 0:1] > 0
    towards = torch.where(is_lamp, light[..., 1:4] - points, light[..., 1:4].expand_as(points))
    distance = towards.norm(dim=-1)
    falloff = torch.where(is_lamp[..., 0], 4.0 / (1.0 + distance * distance), 1.0)
    return normalize(towards, dim=-1), torch.where(is_lamp[..., 0], distance, FAR), falloff


def _shadow(
    scenes: PackedScenes,
    points: Tensor,
    normal: Tensor,
    light: tuple[Tensor, Tensor],
    size: tuple[int, int],
    *,
    compiled: bool,
) -> Tensor:
    """Share of the light that is blocked, (B, P): at half resolution with a jittered light, which softens its edge."""
    to_light, reach = light
    height, width = size

    def half(values: Tensor) -> Tensor:
        return values.reshape(-1, *size, *values.shape[2:])[:, ::2, ::2].flatten(1, 2)

    generator = torch.Generator(device="cpu").manual_seed(0)
    jitter = torch.randn(half(points).shape[1:], generator=generator).to(points.device) * scenes.light[:, None, 9:10]
    direction = half(to_light) + jitter / torch.where(half(reach) >= FAR, 1.0, half(reach).clamp(min=0.3))[..., None]
    start = half(points) + 1e-2 * half(normal)
    blocked = first_blocker(scenes, start, direction.contiguous(), compiled=compiled) < half(reach)
    grid = blocked.float().reshape(-1, 1, height // 2, width // 2)
    full = interpolate(grid, size=size, mode="bilinear", align_corners=False)
    return full[:, 0].flatten(1)


def _local_normal(local: Tensor, kinds: Tensor) -> Tensor:
    """Outward normal in unit coordinates for boxes (0), balls (1) and cylinders (2), (B, P, 3)."""
    largest = local.abs().argmax(-1, keepdim=True)
    box = torch.zeros_like(local).scatter_(-1, largest, local.gather(-1, largest).sign())
    radial = local[..., :2].norm(dim=-1)
    cap = local[..., 2].abs() > radial
    side = torch.cat([local[..., :2], torch.zeros_like(local[..., 2:])], dim=-1)
    lid = torch.cat([torch.zeros_like(local[..., :2]), local[..., 2:].sign()], dim=-1)
    cylinder = torch.where(cap[..., None], lid, side)
    return torch.where((kinds == 0)[..., None], box, torch.where((kinds == 1)[..., None], local, cylinder))


def _kind_of_slot(scenes: PackedScenes, device: torch.device) -> Tensor:
    counts = [packed.to_local.shape[1] for packed in scenes.kinds.values()]
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).to(device)


def _unpack(texel: Tensor) -> Tensor:
    return torch.stack([texel >> 16 & 255, texel >> 8 & 255, texel & 255], dim=-1) / 255.0
