"""What the ground outdoors is made of."""

from __future__ import annotations

from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.mesh import Look

# How often ground keeps the colour of its texture: some asphalt is red or blue, some concrete painted.
AS_IT_IS = 0.15


def asphalt(kit: Kit) -> Look:
    """A road surface, mostly grey."""
    return _grey(kit, "asphalt", (0.24, 0.58), (1.5, 5.0))


def paving(kit: Kit) -> Look:
    """A pavement or square: slabs, cobbles, concrete."""
    use = kit.weighted({"concrete": 4, "stone": 3, "tiles": 2, "asphalt": 1.5, "road": 1})
    return _grey(kit, use, (0.4, 0.78), (0.8, 2.5))


def path(kit: Kit) -> Look:
    """A path in a park: earth, gravel, slabs."""
    use = kit.weighted({"soil": 3, "concrete": 2, "stone": 2, "asphalt": 2.5})
    return Look(use, repeat_m=(1.0, 3.0)) if use == "soil" else _grey(kit, use, (0.3, 0.72), (1.0, 3.0))


def meadow(kit: Kit) -> Look:
    """Lawns and fields, mostly green."""
    if kit.chance(0.25):
        return Look("ground" if kit.chance(0.6) else "soil", repeat_m=(1.5, 5.0))
    level = kit.uniform(0.75, 1.25)
    green = (level * kit.uniform(0.26, 0.42), level * kit.uniform(0.36, 0.44), level * kit.uniform(0.14, 0.24))
    return Look("grass", tint=green if kit.chance(0.5) else None, repeat_m=(1.5, 5.0))


def litter(kit: Kit) -> Look:
    """The floor of a wood: fallen leaves, earth, moss."""
    if kit.chance(AS_IT_IS):
        return Look("soil", repeat_m=(1.0, 3.0))
    low, high = ((0.26, 0.2, 0.13), (0.5, 0.4, 0.27)) if kit.chance(0.7) else ((0.2, 0.24, 0.1), (0.34, 0.4, 0.18))
    share = kit.uniform(0.0, 1.0)
    red, green, blue = (a + share * (b - a) for a, b in zip(low, high, strict=True))
    return Look(kit.pick(("soil", "foliage", "grass")), tint=(red, green, blue), repeat_m=(1.0, 3.0))


def _grey(kit: Kit, use: str, level: tuple[float, float], repeat_m: tuple[float, float]) -> Look:
    if kit.chance(AS_IT_IS):
        return Look(use, repeat_m=repeat_m)
    grey, warm = kit.uniform(*level), kit.uniform(-0.02, 0.06)
    return Look(use, tint=(grey + warm, grey + 0.4 * warm, grey - 0.5 * warm), repeat_m=repeat_m)
