"""Which panoramas of an atlas show open sky: a folder may hold rooms and caves as well."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.light import daylight
from pixio_edge.scenes.scene import Scene
from pixio_edge.scenes.textures import TextureAtlas

# Share of a panorama, from the zenith down to just above the horizon, that is looked at.
UPPER = 0.46
# Sky there is smooth (mean difference of neighbouring pixels, of 1), bright (mean), and has few pixels that are dark or
# warmer than they are blue: ceilings, beams and treetops have many.
SMOOTH, BRIGHT, FEW_DARK, FEW_WARM = 0.0245, 0.42, 0.025, 0.25
DARK, WARM = 0.25, 0.02

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
    dark, warm = float((green < DARK).mean()), float((red - blue > WARM).mean())
    return rough / 3 < SMOOTH and mean / 3 > BRIGHT and dark < FEW_DARK and warm < FEW_WARM


def open_air(kit: Kit, scene: Scene, *, clear: float = 0.6) -> None:
    """Daylight under an open sky.

    Args:
        kit: Draws it.
        scene: Gets it.
        clear: How often the sun shines.
    """
    daylight(kit, scene, clear=clear)
    scene.backdrop = kit.pick(skies(kit.atlas))
