"""Colours that everyday things have: how they are drawn, as sRGB values from 0 to 1."""

from __future__ import annotations

import random
from collections.abc import Callable

from pixio_edge.scenes.scene import Vector

# Ranges of the hue, of 6 for the whole circle: red, orange, yellow, green and blue are common, magenta and cyan rare.
_HUES = ((-0.3, 0.3), (-0.1, 0.6), (0.4, 1.1), (0.8, 2.6), (3.1, 4.1), (3.3, 4.0), (0.0, 6.0))

Draw = random.Random
Colour = Callable[[Draw], Vector]


def grey(low: float, high: float, cast: float = 0.04) -> Colour:
    """Greys from a level to another, up to a cast towards red and blue."""

    def draw(rng: Draw) -> Vector:
        level = rng.uniform(low, high)
        return (level + rng.uniform(-cast, cast), level, level + rng.uniform(-cast, cast))

    return draw


def hue(rng: Draw, saturation: tuple[float, float], value: tuple[float, float]) -> Vector:
    """A colour of one of the common hues, in ranges of saturation and value."""
    low, high = _HUES[int(rng.random() * len(_HUES))]
    turn, chroma, peak = rng.uniform(low, high) % 6.0, rng.uniform(*saturation), rng.uniform(*value)

    def channel(offset: float) -> float:
        k = (turn + offset) % 6.0
        return peak * (1.0 - chroma * max(0.0, min(k, 4.0 - k, 1.0)))

    return (channel(5.0), channel(3.0), channel(1.0))


def bright(rng: Draw) -> Vector:
    """Small things, to be seen."""
    return hue(rng, (0.4, 0.95), (0.35, 0.95))


def muted(rng: Draw) -> Vector:
    """Nearly grey."""
    return hue(rng, (0.04, 0.32), (0.2, 0.85))


def deep(rng: Draw) -> Vector:
    """Dyed things of some size: strong colours of these are dark."""
    return hue(rng, (0.3, 0.7), (0.15, 0.6))


def mixed(*shares: tuple[float, Colour]) -> Colour:
    """One of these, each as often as its share says."""

    def draw(rng: Draw) -> Vector:
        left = rng.random()
        for share, colour in shares:
            left -= share
            if left < 0:
                return colour(rng)
        return shares[-1][1](rng)

    return draw


def between(low: Vector, high: Vector) -> Colour:
    """Colours between two."""

    def draw(rng: Draw) -> Vector:
        along, other = rng.random(), rng.uniform(-0.05, 0.05)
        red, green, blue = (a + (b - a) * along for a, b in zip(low, high, strict=True))
        return (red + other, green, blue - other)

    return draw


PLAIN = mixed((0.3, grey(0.75, 0.95)), (0.2, grey(0.05, 0.25)), (0.15, grey(0.3, 0.7)), (0.35, bright))
BROWN = between((0.3, 0.23, 0.17), (0.85, 0.77, 0.66))
# What is large in a room is rarely of a strong colour.
CALM = mixed(
    (0.38, grey(0.7, 0.93, 0.03)),
    (0.14, grey(0.1, 0.35, 0.02)),
    (0.15, grey(0.35, 0.7, 0.03)),
    (0.15, BROWN),
    (0.15, muted),
    (0.03, deep),
)
WALL = mixed(
    (0.5, grey(0.75, 0.95, 0.02)),
    (0.3, between((0.65, 0.58, 0.48), (0.95, 0.92, 0.84))),
    (0.17, lambda rng: hue(rng, (0.03, 0.2), (0.5, 0.92))),
    (0.03, lambda rng: hue(rng, (0.2, 0.45), (0.4, 0.8))),
)
LEAF = mixed(
    (0.8, between((0.2, 0.28, 0.09), (0.58, 0.66, 0.3))),
    (0.2, between((0.4, 0.3, 0.08), (0.7, 0.55, 0.25))),
)
FRUIT = between((0.75, 0.15, 0.08), (0.9, 0.8, 0.15))
