"""A height field z(x, y) as a sum of sines: height, intersection, normal.

`waves` is (B, W, 4) throughout, rows as in `geometry.Terrain`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pixio_edge.training.raycast import FAR

# Nothing of the terrain is seen nearer than this.
NEAR_M = 0.2
BISECTIONS = 24


def terrain_height(waves: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Height in metres at positions (B, P)."""
    return (torch.sin(_phase(waves, x, y)) * waves[:, None, :, 3]).sum(-1)


def terrain_hit(waves: Tensor, origin: Tensor, direction: Tensor, *, far_m: float = 250.0, steps: int = 48) -> Tensor:
    """Parameter at which rays first pass below the terrain: geometric march, then bisection to float precision.

    Args:
        waves: (B, W, 4).
        origin: (B, 1, 3), above the terrain.
        direction: (B, P, 3).
        far_m: Reach of the march in metres. Its steps grow with distance, so that a far ridge which is narrower than a
            step may be passed over.
        steps: Steps of the march.

    Returns:
        (B, P), `FAR` for a miss.
    """
    length = direction.norm(dim=-1)

    def clearance(t: Tensor) -> Tensor:
        point = origin + direction * t[..., None]
        return point[..., 2] - terrain_height(waves, point[..., 0], point[..., 1])

    low = torch.full_like(length, NEAR_M) / length
    high = torch.full_like(length, FAR)
    found = torch.zeros_like(length, dtype=torch.bool)
    ratio = (far_m / NEAR_M) ** (1.0 / steps)
    previous = low
    for _ in range(steps):
        current = previous * ratio
        below = (clearance(current) < 0) & ~found
        low, high = torch.where(below, previous, low), torch.where(below, current, high)
        found, previous = found | below, current
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        below = clearance(middle) < 0
        low, high = torch.where(below, low, middle), torch.where(below, middle, high)
    return torch.where(found, 0.5 * (low + high), FAR)


def terrain_normal(waves: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Unit normal at positions (B, P), upwards: (B, P, 3)."""
    slope = torch.cos(_phase(waves, x, y)) * waves[:, None, :, 3]
    normal = torch.stack(
        [-(slope * waves[:, None, :, 0]).sum(-1), -(slope * waves[:, None, :, 1]).sum(-1), torch.ones_like(x)], dim=-1
    )
    return normalize(normal, dim=-1)


def _phase(waves: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return waves[:, None, :, 0] * x[..., None] + waves[:, None, :, 1] * y[..., None] + waves[:, None, :, 2]
