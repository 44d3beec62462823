"""Textures of the atlas as linear light, for kernels."""

from __future__ import annotations

import numpy as np

from pixio_edge.scenes.drawing.jit import Array, Point, quick_part
from pixio_edge.scenes.textures import GAMMA_TABLE, MIP_LEVELS, TILE_PX

_MIP_STARTS = np.cumsum([0, *((TILE_PX >> level) ** 2 for level in range(MIP_LEVELS))]).astype(np.int64)
# Texels per pixel from which the next mip level is taken.
_NEXT_LEVEL = 2.0
_COARSEST_PX = TILE_PX >> (MIP_LEVELS - 1)
# Texels of the coarsest level that a pixel covers before they average to the mean colour.
_LEFT = 2.0


@quick_part
def texture_colour(texels: Array, texture: int, at: Point) -> Point:
    """Linear colour, bilinear in the mip level that fits.

    Args:
        texels: int32 (T, texels per texture), packed RGB.
        texture: Row.
        at: u and v in repeats, and the width of a pixel in repeats.
    """
    u, v, wide = at
    wide *= TILE_PX
    level = 0
    while wide > _NEXT_LEVEL and level < MIP_LEVELS - 1:
        wide *= 0.5
        level += 1
    side = TILE_PX >> level
    start, mask = _MIP_STARTS[level], side - 1
    x, y = (u - np.floor(u)) * side - 0.5, (v - np.floor(v)) * side - 0.5
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    fx, fy = x - x0, y - y0
    left, right, top, low = x0 & mask, (x0 + 1) & mask, start + (y0 & mask) * side, start + ((y0 + 1) & mask) * side
    corners = (texels[texture, top + left], texels[texture, top + right])
    corners_low = (texels[texture, low + left], texels[texture, low + right])
    return between(corners, corners_low, fx, fy)


@quick_part
def last_level_share(wide: float) -> float:
    """How much contrast is left of the coarsest mip level in a pixel of this width in repeats: the rest is averaged."""
    return float(min(1.0, _LEFT / (wide * _COARSEST_PX)))


@quick_part
def between(top: tuple[int, int], low: tuple[int, int], fx: float, fy: float) -> Point:
    """Linear colour between four packed ones."""
    p, q, r, s = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
    table = GAMMA_TABLE
    red = p * table[top[0] >> 16 & 255] + q * table[top[1] >> 16 & 255]
    red += r * table[low[0] >> 16 & 255] + s * table[low[1] >> 16 & 255]
    green = p * table[top[0] >> 8 & 255] + q * table[top[1] >> 8 & 255]
    green += r * table[low[0] >> 8 & 255] + s * table[low[1] >> 8 & 255]
    blue = p * table[top[0] & 255] + q * table[top[1] & 255]
    blue += r * table[low[0] & 255] + s * table[low[1] & 255]
    return red, green, blue
