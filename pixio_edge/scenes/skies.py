"""Which panoramas of an atlas show open sky: a folder may hold rooms and caves as well."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.light import daylight
from pixio_edge.scenes.scene import Scene
from pixio_edge.scenes.textures import TextureAtlas

# Share of a panorama, from the zenith down, that is looked at.
UPPER = 0.4
# Sky there is smooth (mean difference of neighbouring pixels, of 1), bright (mean), not warmer than blue, and nearly
# nowhere dark (share of green below 0.2): beams and ceilings are.
SMOOTH, BRIGHT, COOL, DARK = 0.03, 0.42, -0.005, 0.03

_known: dict[int, tuple[TextureAtlas, tuple[int, ...]]] = {}


def skies(atlas: TextureAtlas) -> tuple[int, ...]:
    """Panoramas with open sky above; all of them when none has."""
    if id(atlas) not in _known:
        found = tuple(i for i, image in enumerate(atlas.backdrops) if _is_sky(image))
        _known[id(atlas)] = (atlas, found or tuple(range(len(atlas.backdrops))))
    return _known[id(atlas)][1]


def _is_sky(packed: NDArray[np.int32]) -> bool:
    top = packed[: int(UPPER * len(packed))]
    red, green, blue = ((top >> bits & 255) / 255.0 for bits in (16, 8, 0))
    rough = sum(float(np.abs(np.diff(channel, axis=axis)).mean()) for channel in (red, green, blue) for axis in (0, 1))
    mean = float(red.mean() + green.mean() + blue.mean())
    dark = float((green < 0.2).mean())
    return dark < DARK and rough / 3 < SMOOTH and mean / 3 > BRIGHT and float((blue - red).mean()) > COOL


def open_air(kit: Kit, scene: Scene, *, clear: float = 0.6) -> None:
    """Daylight under an open sky.

    Args:
        kit: Draws it.
        scene: Gets it.
        clear: How often the sun shines.
    """
    daylight(kit, scene, clear=clear)
    scene.backdrop = kit.pick(skies(kit.atlas))
