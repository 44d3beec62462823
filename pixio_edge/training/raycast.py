"""Nearest and any-hit ray intersection with batches of convex primitives and a height field.

Every primitive is an intersection of slabs and quadrics, so a ray is inside it over one interval [near, far] of its
parameter. The functions are plain tensor arithmetic: on a CPU, `torch.compile` fuses each into one vectorised loop
(about ten times eager speed).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from pixio_edge.training.geometry import PackedKind, PackedScenes

FAR = 1e9
# Nothing nearer than this is seen.
NEAR_M = 0.05
# A surface does not shade itself.
SHADOW_START_M = 1e-2
# Side of a culling tile in pixels, and how many primitives of each kind a tile can meet.
TILE = 16
CANDIDATES = {"box": 20, "ball": 8, "cylinder": 8}
# Keeps a slab test finite for a ray parallel to it.
_PARALLEL = 1e-9


Axes = tuple[Tensor, Tensor, Tensor]


class Rays(NamedTuple):
    """Rays origin + t direction in world axes.

    Attributes:
        origin: (B, P, 3), or (B, 1, 3) when all start at one point.
        direction: (B, P, 3), of any length.
    """

    origin: Tensor
    direction: Tensor


def box_interval(o: Axes, d: Axes) -> tuple[Tensor, Tensor]:
    """Interval in which o + t d lies in [-1, 1]^3 (slab method, Kay and Kajiya 1986); empty ones have near > far."""
    inverse = [1.0 / torch.where(x.abs() < _PARALLEL, _PARALLEL, x) for x in d]
    middle = [-x * i for x, i in zip(o, inverse, strict=True)]
    half = [i.abs() for i in inverse]
    near = torch.maximum(torch.maximum(middle[0] - half[0], middle[1] - half[1]), middle[2] - half[2])
    far = torch.minimum(torch.minimum(middle[0] + half[0], middle[1] + half[1]), middle[2] + half[2])
    return near, far


def ball_interval(o: Axes, d: Axes) -> tuple[Tensor, Tensor]:
    """Interval in which o + t d lies in the unit ball; empty intervals have near > far."""
    a = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
    # Work from the point of closest approach: the textbook b^2 - 4ac loses all digits for small far balls.
    closest = -(o[0] * d[0] + o[1] * d[1] + o[2] * d[2]) / a
    px, py, pz = o[0] + closest * d[0], o[1] + closest * d[1], o[2] + closest * d[2]
    gap = 1.0 - (px * px + py * py + pz * pz)
    half = torch.sqrt(torch.clamp(gap, min=0.0) / a)
    half = torch.where(gap > 0, half, -1.0)
    return closest - half, closest + half


def cylinder_interval(o: Axes, d: Axes) -> tuple[Tensor, Tensor]:
    """Interval in which o + t d lies in the capped unit cylinder about z; empty intervals have near > far."""
    a = d[0] * d[0] + d[1] * d[1] + _PARALLEL
    closest = -(o[0] * d[0] + o[1] * d[1]) / a
    px, py = o[0] + closest * d[0], o[1] + closest * d[1]
    gap = 1.0 - (px * px + py * py)
    half = torch.sqrt(torch.clamp(gap, min=0.0) / a)
    half = torch.where(gap > 0, half, -1.0)
    inverse = 1.0 / torch.where(d[2].abs() < _PARALLEL, _PARALLEL, d[2])
    middle, cap = -o[2] * inverse, inverse.abs()
    return torch.maximum(closest - half, middle - cap), torch.minimum(closest + half, middle + cap)


_INTERVALS = {"box": box_interval, "ball": ball_interval, "cylinder": cylinder_interval}


def _to_local(to_local: Tensor, vector: Tensor) -> Axes:
    """Rotate and scale (B, P, 3) or (B, 1, 3) into the axes of every primitive: three (B, P, N)."""
    x, y, z = (vector[..., axis, None] for axis in range(3))
    m = to_local[:, None]
    return (
        m[..., 0, 0] * x + m[..., 0, 1] * y + m[..., 0, 2] * z,
        m[..., 1, 0] * x + m[..., 1, 1] * y + m[..., 1, 2] * z,
        m[..., 2, 0] * x + m[..., 2, 1] * y + m[..., 2, 2] * z,
    )


def _entries(kind: str, solids: PackedKind, rays: Rays, start: float) -> Tensor:
    """Parameter at which each ray first meets each primitive, `FAR` where it does not: (B, P, N)."""
    o = _to_local(solids.to_local, rays.origin)
    shift = solids.offset[:, None]
    o = (o[0] - shift[..., 0], o[1] - shift[..., 1], o[2] - shift[..., 2])
    near, far = _INTERVALS[kind](o, _to_local(solids.to_local, rays.direction))
    # A room is seen from within, at its far side; a solid only from outside.
    first = torch.where(solids.inside[:, None] > 0, far, near)
    return torch.where((far > near) & (first > start), first, FAR)


def nearest_of_kind(kind: str, solids: PackedKind, rays: Rays, start: float) -> tuple[Tensor, Tensor]:
    """Smallest parameter above `start` over one kind, `FAR` for a miss, and the slot: two (B, P)."""
    nearest = _entries(kind, solids, rays, start).min(dim=-1)
    return nearest.values, nearest.indices


def first_of_kind(kind: str, solids: PackedKind, rays: Rays, start: float) -> Tensor:
    """Smallest parameter above `start` over one kind, `FAR` for a miss: (B, P)."""
    return _entries(kind, solids, rays, start).amin(dim=-1)


@functools.cache
def fused_nearest_of_kind() -> Callable[[str, PackedKind, Rays, float], tuple[Tensor, Tensor]]:
    """`nearest_of_kind` as one fused loop; not at import, because compiling takes a C++ compiler and half a minute."""
    return torch.compile(nearest_of_kind, dynamic=False)


@functools.cache
def fused_first_of_kind() -> Callable[[str, PackedKind, Rays, float], Tensor]:
    """`first_of_kind` as one fused loop."""
    return torch.compile(first_of_kind, dynamic=False)


def nearest_hit(
    scenes: PackedScenes, direction: Tensor, size: tuple[int, int], *, compiled: bool
) -> tuple[Tensor, Tensor]:
    """Nearest primitive along each camera ray.

    The image is cut into tiles, and each tile meets only the primitives whose projection overlaps it.

    Args:
        scenes: Packed scenes.
        direction: (B, H * W, 3) camera rays of unit depth, row by row: the parameter is the depth in metres.
        size: (H, W), both multiples of `TILE`.
        compiled: Use the fused loops of `torch.compile`.

    Returns:
        Depth (B, H * W), `FAR` for a miss, and slot in table order (B, H * W).
    """
    nearest = fused_nearest_of_kind() if compiled else nearest_of_kind
    batch, tiles = scenes.batch, (size[0] // TILE) * (size[1] // TILE)
    origin = scenes.origin[:, None].expand(-1, tiles, -1).reshape(batch * tiles, 1, 3)
    rays = Rays(origin, _to_tiles(direction, size))
    best = torch.full(rays.direction.shape[:2], FAR, device=direction.device)
    slot = torch.zeros(rays.direction.shape[:2], dtype=torch.int64, device=direction.device)
    base = 0
    for kind, packed in scenes.kinds.items():
        chosen = tile_candidates(scenes, packed, size, CANDIDATES[kind])  # (B, T, K)
        met = PackedKind(*(_pick(values, chosen) for values in packed))
        parameter, index = nearest(kind, met, rays, NEAR_M)
        nearer = parameter < best
        best = torch.where(nearer, parameter, best)
        slot = torch.where(nearer, chosen.reshape(batch * tiles, -1).gather(1, index) + base, slot)
        base += packed.to_local.shape[1]
    return _from_tiles(best, size), _from_tiles(slot, size)


def tile_candidates(scenes: PackedScenes, packed: PackedKind, size: tuple[int, int], count: int) -> Tensor:
    """Slots of the `count` nearest primitives whose bounding box projects onto each tile, (B, tiles, count).

    Tiles with fewer are filled with any others, which costs a test and changes nothing. Where more overlap, the
    farthest are not seen in that tile.

    Args:
        scenes: Packed scenes.
        packed: One kind of their primitives.
        size: (H, W) in pixels, multiples of `TILE`; tiles go row by row.
        count: At most this many per tile.
    """
    height, width = size
    signs = torch.tensor([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)]).to(packed.offset)
    to_world = torch.linalg.inv(packed.to_local)
    corners = torch.einsum("bnij,bncj->bnci", to_world, signs + packed.offset[:, :, None])
    x, y, z = torch.einsum("bij,bncj->bnci", scenes.camera, corners - scenes.origin[:, None, None]).unbind(-1)
    focal = scenes.focal[:, None, None] * width
    crosses = z.amin(-1) < NEAR_M  # a corner behind the camera: its projection bounds nothing, so take every tile
    depth = z.clamp(min=NEAR_M)
    u, v = x / depth * focal + width / 2, y / depth * focal + height / 2

    def overlap(low: Tensor, high: Tensor, edge: int) -> Tensor:
        start = torch.arange(0, edge, TILE, device=low.device)
        hit = (low[:, None] <= start[:, None] + TILE) & (high[:, None] >= start[:, None])
        return hit | crosses[:, None]  # (B, tiles along the edge, N)

    columns, rows = overlap(u.amin(-1), u.amax(-1), width), overlap(v.amin(-1), v.amax(-1), height)
    visible = (rows[:, :, None] & columns[:, None]).flatten(1, 2) & (z.amax(-1) > NEAR_M)[:, None]
    distance = torch.where(visible, z.amin(-1).clamp(min=0.0)[:, None], FAR)
    return distance.topk(min(count, distance.shape[-1]), dim=-1, largest=False, sorted=False).indices


def _pick(values: Tensor, chosen: Tensor) -> Tensor:
    """Rows of (B, N, ...) at (B, T, K), as (B * T, K, ...)."""
    batch = torch.arange(values.shape[0], device=values.device)[:, None, None]
    return values[batch, chosen].flatten(0, 1)


def _to_tiles(values: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H * W, C) to (B * tiles, TILE * TILE, C)."""
    rows, columns = size[0] // TILE, size[1] // TILE
    grid = values.reshape(-1, rows, TILE, columns, TILE, values.shape[-1])
    return grid.permute(0, 1, 3, 2, 4, 5).reshape(-1, TILE * TILE, values.shape[-1])


def _from_tiles(values: Tensor, size: tuple[int, int]) -> Tensor:
    """(B * tiles, TILE * TILE) to (B, H * W)."""
    rows, columns = size[0] // TILE, size[1] // TILE
    return values.reshape(-1, rows, columns, TILE, TILE).transpose(2, 3).reshape(-1, rows * columns * TILE * TILE)


def first_blocker(scenes: PackedScenes, origin: Tensor, direction: Tensor, *, compiled: bool) -> Tensor:
    """Parameter of the first solid between a surface point and a light, (B, P); rooms do not block."""
    first = fused_first_of_kind() if compiled else first_of_kind
    best = torch.full(direction.shape[:2], FAR, device=direction.device)
    for kind, packed in scenes.kinds.items():
        # Rooms are dropped by giving every primitive its near side, which lies behind a point inside.
        solids = packed._replace(inside=torch.zeros_like(packed.inside))
        best = torch.minimum(best, first(kind, solids, Rays(origin, direction), SHADOW_START_M))
    return best
