"""Rows of things that stand close to each other, as on crowded tables, counters and shelves."""

from __future__ import annotations

import math

from pixio_edge.scenes.indoors.mixes import Mix
from pixio_edge.scenes.kit import Kit, Placed, Spot
from pixio_edge.scenes.scene import Scene

_TRIES = 6
# Left free where nothing fits, metres.
_STEP_M = 0.1


def pack_rows(
    kit: Kit,
    scene: Scene,
    spot: Spot,
    mix: Mix,
    *,
    gap: tuple[float, float] = (0.005, 0.15),
    scale: tuple[float, float] = (0.9, 1.15),
    turned: float = 0.5,
    most: int = 60,
) -> list[Placed]:
    """Fill a spot from its back to its front, row by row.

    Args:
        kit: Draws what stands there.
        scene: Gets it.
        spot: Rectangle to fill.
        mix: Categories or names with weights.
        gap: Range of the space between neighbours and between rows, metres; small ones are more frequent.
        scale: Range of the factor of the size of things.
        turned: How many of them stand at any angle; the others face the front, give or take.
        most: No more things than this.
    """
    placed: list[Placed] = []
    y = spot.half[1]
    while y > 0.03 - spot.half[1] and len(placed) < most:
        x, deepest = -spot.half[0] + kit.uniform(0.0, gap[1]), 0.0
        while x < spot.half[0] - 0.02 and len(placed) < most:
            free = (spot.half[0] - x, y + spot.half[1])
            drawn = _draw(kit, mix, free, spot.headroom, (scale, turned))
            if drawn is None:
                break
            index, factor, turn, wide, deep = drawn
            back = min(kit.uniform(0.0, 0.25) * deep, free[1] - deep)
            at = spot.at(x + wide / 2, y - deep / 2 - back)
            placed.append(kit.place(scene, index, at, spot.yaw + turn, scale=factor))
            deepest = max(deepest, deep + back)
            x += wide + kit.log_uniform(*gap)
        y -= (deepest or _STEP_M) + kit.log_uniform(*gap)
    return placed


def sprinkle(kit: Kit, scene: Scene, spot: Spot, mix: Mix, others: list[Placed], *, count: int) -> None:
    """Some more things between those that stand on a spot already; as many of `count` as find a place.

    Args:
        kit: Draws them.
        scene: Gets them.
        spot: Where.
        mix: Categories with weights.
        others: What stands there; gets the new ones.
        count: How many are tried.
    """
    for _ in range(count):
        index = kit.index(kit.weighted(mix))
        wide, deep, high = kit.size(index)
        radius = math.hypot(wide, deep) / 2
        room_x, room_y = spot.half[0] - radius, spot.half[1] - radius
        if room_x < 0 or room_y < 0 or high > spot.headroom:
            continue
        at = spot.at(kit.uniform(-room_x, room_x), kit.uniform(-room_y, room_y))
        if all(math.dist(at[:2], other.shift[:2]) > radius + _radius(other) for other in others):
            others.append(kit.place(scene, index, at, kit.uniform(-math.pi, math.pi)))


def _radius(placed: Placed) -> float:
    return math.hypot(placed.high[0] - placed.low[0], placed.high[1] - placed.low[1]) / 2


def _draw(
    kit: Kit, mix: Mix, free: tuple[float, float], headroom: float, how: tuple[tuple[float, float], float]
) -> tuple[int, float, float, float, float] | None:
    """A thing that fits: its model, factor, turn and footprint; None where none of some does."""
    scale, turned = how
    for _ in range(_TRIES):
        index, factor = kit.index(kit.weighted(mix)), kit.uniform(*scale)
        turn = kit.uniform(-math.pi, math.pi) if kit.chance(turned) else kit.normal(0.0, 0.12)
        wide0, deep0, high = (factor * extent for extent in kit.size(index))
        c, s = abs(math.cos(turn)), abs(math.sin(turn))
        wide, deep = c * wide0 + s * deep0, s * wide0 + c * deep0
        if wide < free[0] and deep < free[1] and high < headroom:
            return index, factor, turn, wide, deep
    return None
