"""Things that do not stand: heaps, fallen things, and boxes full of things."""

from __future__ import annotations

import math

from pixio_edge.scenes.indoors.mixes import Mix
from pixio_edge.scenes.kit import Kit, Spot
from pixio_edge.scenes.scene import Scene

# Things that have fallen over on a table are no longer than this.
_LONGEST_M = 0.4


def heap(kit: Kit, scene: Scene, spot: Spot, mix: Mix, count: int, *, most: float = 0.3) -> None:
    """Things thrown on each other, at any tilt: they lean on and stick in each other a little.

    Args:
        kit: Draws them.
        scene: Gets them.
        spot: Where.
        mix: Categories with weights.
        count: How many.
        most: Longest extent of a thing, metres.
    """
    for i in range(count):
        index = kit.index(kit.weighted(mix))
        size = kit.size(index)
        if max(size) > most:
            continue
        reach = min(spot.half) / max(max(size) / 2, 1e-3)
        if reach < 0.7:
            continue
        x = kit.uniform(-1, 1) * max(spot.half[0] - max(size) / 2, 0.0)
        y = kit.uniform(-1, 1) * max(spot.half[1] - max(size) / 2, 0.0)
        layer = 0.45 * min(size) * (i / max(count, 1)) * kit.uniform(0.3, 1.5)
        cx, cy, cz = spot.at(x, y)
        tilt = (kit.uniform(-1.8, 1.8), kit.uniform(-0.8, 0.8))
        kit.place(scene, index, (cx, cy, cz + layer), kit.uniform(-math.pi, math.pi), tilt=tilt)


def fallen(kit: Kit, scene: Scene, spot: Spot, mix: Mix, count: int) -> None:
    """Single things that lie on their side, anywhere on a spot."""
    for _ in range(3 * count):
        index = kit.index(kit.weighted(mix))
        size = kit.size(index)
        # Tall things fall over; bowls, boards and laptops do not come to lie on their edge.
        if max(size) > _LONGEST_M or size[2] < 1.1 * max(size[0], size[1]):
            continue
        room_x, room_y = spot.half[0] - max(size) / 2, spot.half[1] - max(size) / 2
        if room_x < 0 or room_y < 0:
            continue
        tilt = (math.pi / 2 * kit.pick((-1, 1)), kit.uniform(-math.pi, math.pi) if size[0] < 1.2 * size[1] else 0.0)
        at = spot.at(kit.uniform(-room_x, room_x), kit.uniform(-room_y, room_y))
        kit.place(scene, index, at, kit.uniform(-math.pi, math.pi), tilt=tilt)
