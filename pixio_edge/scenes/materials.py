"""What everyday materials look like: which textures, which colours, how much of the texture shows, how shiny."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pixio_edge.scenes.colours import (
    BROWN,
    CALM,
    FRUIT,
    LEAF,
    PLAIN,
    WALL,
    Colour,
    Draw,
    between,
    bright,
    deep,
    grey,
    mixed,
    muted,
)
from pixio_edge.scenes.mesh import Look
from pixio_edge.scenes.scene import Surface, Vector
from pixio_edge.scenes.textures import GAMMA, TextureAtlas

# Bounds of a tint: a black texture cannot be made white without showing its noise.
_TINT_BOUNDS = (0.005, 8.0)
# Uses whose textures are only ever recoloured, and the least mean of their channels.
_PAINTED = frozenset({"plaster", "metal"})
_PAINTABLE = 0.12
# Surfaces that a scene has few of: those of one room or street are alike.
_SHARED = frozenset({"wood", "furniture", "fabric", "metal", "plaster", "wall", "facade", "tiles", "stone"})
_SHARED_DRAWS = 3
_FROM_SHARED = 0.75


@dataclass(frozen=True, slots=True)
class Material:
    """How surfaces of one use are drawn.

    Attributes:
        textures: Key of the atlas' uses.
        colour: Draws a mean colour (sRGB) that the texture is shifted to; None keeps that of the texture.
        recoloured: How often it is.
        contrast: Range of how much of the texture shows.
        gloss: Added to the gloss of the look.
        glow: Range of the light it gives off.
    """

    textures: str
    colour: Colour | None = None
    recoloured: float = 1.0
    contrast: tuple[float, float] = (0.6, 1.0)
    gloss: float = 0.0
    glow: tuple[float, float] = (0.0, 0.0)


MATERIALS: dict[str, tuple[tuple[float, Material], ...]] = (
    {
        "wood": ((1.0, Material("wood", between((0.2, 0.11, 0.06), (0.85, 0.7, 0.5)), 0.5, (0.5, 1.0), 0.05)),),
        "paint": ((1.0, Material("plaster", CALM, contrast=(0.0, 0.15), gloss=0.1)),),
        "plastic": ((1.0, Material("plaster", PLAIN, contrast=(0.0, 0.08), gloss=0.2)),),
        "rubber": ((1.0, Material("plaster", grey(0.06, 0.2, 0.01), contrast=(0.0, 0.1))),),
        "metal": (
            (0.7, Material("metal", grey(0.35, 0.85, 0.02), contrast=(0.0, 0.4), gloss=0.5)),
            (0.3, Material("metal", grey(0.08, 0.3, 0.02), contrast=(0.0, 0.3), gloss=0.3)),
        ),
        "chrome": ((1.0, Material("plaster", grey(0.6, 0.85, 0.02), contrast=(0.0, 0.05), gloss=0.8)),),
        "glass": ((1.0, Material("plaster", grey(0.12, 0.45, 0.04), contrast=(0.0, 0.1), gloss=0.8)),),
        "ceramic": (
            (0.6, Material("plaster", grey(0.8, 0.96, 0.02), contrast=(0.0, 0.1), gloss=0.35)),
            (0.4, Material("plaster", mixed((0.5, bright), (0.5, muted)), contrast=(0.0, 0.1), gloss=0.35)),
        ),
        "fabric": (
            (0.4, Material("fabric", CALM, 0.7, (0.4, 1.0))),
            (
                0.35,
                Material(
                    "fabric",
                    mixed((0.5, muted), (0.15, deep), (0.1, bright), (0.25, grey(0.08, 0.3))),
                    1.0,
                    (0.2, 1.0),
                ),
            ),
            (0.25, Material("carpet", CALM, 0.5, (0.3, 1.0))),
        ),
        "leather": (
            (
                1.0,
                Material(
                    "fabric",
                    mixed((0.5, grey(0.08, 0.25, 0.02)), (0.3, BROWN), (0.2, muted)),
                    contrast=(0.0, 0.3),
                    gloss=0.25,
                ),
            ),
        ),
        "skin": (
            (1.0, Material("plaster", between((0.28, 0.18, 0.13), (0.9, 0.72, 0.6)), contrast=(0.0, 0.1), gloss=0.05)),
        ),
        "hair": ((1.0, Material("carpet", between((0.05, 0.04, 0.03), (0.6, 0.45, 0.25)), contrast=(0.05, 0.2))),),
        "paper": ((1.0, Material("plaster", between((0.75, 0.72, 0.66), (0.96, 0.95, 0.93)), contrast=(0.0, 0.2))),),
        "cardboard": ((1.0, Material("plaster", between((0.5, 0.36, 0.22), (0.75, 0.6, 0.42)), contrast=(0.0, 0.4))),),
        "food": (
            (0.6, Material("plaster", FRUIT, contrast=(0.1, 0.6), gloss=0.15)),
            (0.2, Material("plaster", between((0.5, 0.3, 0.12), (0.85, 0.65, 0.4)), contrast=(0.2, 0.8))),
            (0.2, Material("plaster", LEAF, contrast=(0.1, 0.6), gloss=0.1)),
        ),
        "picture": ((1.0, Material("picture", contrast=(0.85, 1.0))),),
        "print": ((0.7, Material("picture", contrast=(0.7, 1.0))), (0.3, Material("object", contrast=(0.6, 1.0)))),
        "object": (
            (0.35, Material("object", contrast=(0.5, 1.0))),
            (0.45, Material("plaster", PLAIN, contrast=(0.0, 0.15), gloss=0.15)),
            (0.2, Material("object", PLAIN, contrast=(0.2, 0.7))),
        ),
        "furniture": (
            (0.5, Material("wood", between((0.2, 0.11, 0.06), (0.85, 0.7, 0.5)), 0.4, (0.5, 1.0), 0.05)),
            (0.4, Material("plaster", CALM, contrast=(0.0, 0.15), gloss=0.1)),
            (0.1, Material("metal", CALM, contrast=(0.0, 0.3), gloss=0.2)),
        ),
        # Leaves let light through: they glow a little.
        "foliage": ((1.0, Material("foliage", LEAF, contrast=(0.3, 1.0), glow=(0.05, 0.25))),),
        "bark": ((1.0, Material("wood", between((0.12, 0.09, 0.07), (0.5, 0.42, 0.34)), contrast=(0.5, 1.0))),),
        "wall": (
            (0.75, Material("plaster", WALL, contrast=(0.0, 0.5))),
            (0.25, Material("wall", WALL, 0.3, (0.4, 1.0))),
        ),
        "ceiling": ((1.0, Material("plaster", grey(0.8, 0.96, 0.02), contrast=(0.0, 0.4))),),
        "floor": (
            (0.45, Material("wood", between((0.2, 0.12, 0.07), (0.8, 0.66, 0.48)), 0.4, (0.6, 1.0), 0.1)),
            (0.25, Material("tiles", CALM, 0.3, (0.5, 1.0), 0.15)),
            (0.2, Material("carpet", CALM, 0.6, (0.4, 1.0))),
            (0.1, Material("concrete", contrast=(0.5, 1.0))),
        ),
        "plaster": ((1.0, Material("plaster", WALL, contrast=(0.0, 0.7))),),
        "facade": (
            (0.45, Material("facade", WALL, 0.3, (0.6, 1.0))),
            (0.25, Material("brick", contrast=(0.7, 1.0))),
            (0.3, Material("plaster", WALL, contrast=(0.2, 1.0))),
        ),
        "tiles": ((1.0, Material("tiles", CALM, 0.3, (0.4, 1.0), 0.15)),),
        "carpet": ((1.0, Material("carpet", CALM, 0.6, (0.4, 1.0))),),
        "carpaint": (
            (
                1.0,
                Material(
                    "plaster", mixed((0.7, grey(0.04, 0.95, 0.02)), (0.3, bright)), contrast=(0.0, 0.03), gloss=0.6
                ),
            ),
        ),
        "screen": (
            (0.6, Material("plaster", grey(0.03, 0.1, 0.01), contrast=(0.0, 0.05), gloss=0.7)),
            (0.4, Material("picture", contrast=(0.8, 1.0), gloss=0.3, glow=(0.5, 1.5))),
        ),
        "light": ((1.0, Material("plaster", grey(0.85, 0.98, 0.03), contrast=(0.0, 0.1), glow=(1.5, 4.0))),),
        "window": (
            (0.75, Material("plaster", grey(0.3, 0.6), contrast=(0.0, 0.1), gloss=0.4, glow=(-6.0, -1.5))),
            (0.25, Material("plaster", grey(0.75, 0.98, 0.05), contrast=(0.0, 0.2), gloss=0.3, glow=(1.0, 3.0))),
        ),
        "road": (
            (0.75, Material("asphalt", grey(0.28, 0.6, 0.02), 0.7, (0.5, 1.0))),
            (0.15, Material("concrete", grey(0.4, 0.7, 0.02), 0.5, (0.5, 1.0))),
            (0.1, Material("stone", grey(0.35, 0.6, 0.03), 0.6, (0.5, 1.0))),
        ),
        "marking": ((1.0, Material("plaster", grey(0.7, 0.95, 0.02), contrast=(0.2, 0.8))),),
    }
    | {use: ((1.0, Material(use)),) for use in ("ground", "asphalt", "grass", "soil", "brick", "concrete", "roof")}
    | {"stone": ((1.0, Material("stone", contrast=(0.5, 1.0))),)}
)
USES = tuple(MATERIALS)


class Palette:
    """Textures of an atlas by use, with their mean colours; made once per atlas."""

    def __init__(self, atlas: TextureAtlas) -> None:
        self.means: list[Vector] = [(float(r), float(g), float(b)) for r, g, b in np.maximum(atlas.means, 1e-3)]
        self.textures: dict[str, list[int]] = {}
        for use, indices in atlas.uses.items():
            real = [int(i) for i in indices if atlas.origins[i] != "noise"] or [int(i) for i in indices]
            # What is painted must be bright and have some of every colour: a tint cannot add what is not there.
            bright = [i for i in real if min(self.means[i]) > _PAINTABLE]
            self.textures[use] = (bright or real) if use in _PAINTED else real


class Paintbox:
    """Draws surfaces of one scene, which share some woods, fabrics and colours."""

    def __init__(self, rng: Draw, palette: Palette) -> None:
        self.rng = rng
        self.palette = palette
        self.shared: dict[str, list[Surface]] = {}

    def surface(self, look: Look) -> Surface:
        """A surface for a look."""
        rng = self.rng
        if look.fit or look.tint is not None or look.use not in _SHARED:
            return self._draw(look)
        known = self.shared.setdefault(look.use, [])
        if len(known) >= _SHARED_DRAWS and rng.random() < _FROM_SHARED:
            return known[int(rng.random() * len(known))]
        drawn = self._draw(look)
        if len(known) < _SHARED_DRAWS:
            known.append(drawn)
        return drawn

    def _draw(self, look: Look) -> Surface:
        draw = self.rng.random
        options = MATERIALS[look.use]
        chosen = options[-1][1]
        if len(options) > 1:
            left = draw()
            for share, material in options:
                left -= share
                if left < 0:
                    chosen = material
                    break
        candidates = self.palette.textures[chosen.textures]
        texture = candidates[int(draw() * len(candidates))]
        if look.tint is not None:
            tint = self._tint_to(texture, look.tint, 0.8 + 0.4 * draw())
        elif chosen.colour is not None and (chosen.recoloured >= 1.0 or draw() < chosen.recoloured):
            tint = self._tint_to(texture, chosen.colour(self.rng), 1.0)
        else:
            level = 0.7 + 0.55 * draw()
            tint = (level * (0.93 + 0.14 * draw()), level, level * (0.93 + 0.14 * draw()))
        low, high = chosen.contrast
        contrast = low + (high - low) * draw()
        gloss = min(1.0, chosen.gloss + look.gloss[0] + (look.gloss[1] - look.gloss[0]) * draw())
        repeat = 0.0 if look.fit else look.repeat_m[0] + (look.repeat_m[1] - look.repeat_m[0]) * draw()
        low, high = chosen.glow
        return Surface(texture, repeat, tint, contrast, gloss, low + (high - low) * draw())

    def _tint_to(self, texture: int, colour: Vector, level: float) -> Vector:
        means = self.palette.means[texture]
        # Written out, not a loop: most of the time of a scene goes into its surfaces.
        return (
            _tint(level * colour[0] ** GAMMA / means[0]) if colour[0] > 0 else _TINT_BOUNDS[0],
            _tint(level * colour[1] ** GAMMA / means[1]) if colour[1] > 0 else _TINT_BOUNDS[0],
            _tint(level * colour[2] ** GAMMA / means[2]) if colour[2] > 0 else _TINT_BOUNDS[0],
        )


def _tint(value: float) -> float:
    low, high = _TINT_BOUNDS
    return low if value < low else high if value > high else value
