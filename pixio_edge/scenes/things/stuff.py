"""Looks of the stuff that small things are made of."""

from __future__ import annotations

import numpy as np

from pixio_edge.scenes.mesh import Look

Colour = tuple[float, float, float]

STEEL = Look("chrome", gloss=(0.0, 0.3), repeat_m=(0.3, 1.0))
METAL = Look("metal", gloss=(0.0, 0.4), repeat_m=(0.2, 1.0))
DARK_METAL = Look("metal", gloss=(0.0, 0.3), tint=(0.12, 0.12, 0.13), repeat_m=(0.2, 1.0))
BRASS = Look("metal", gloss=(0.1, 0.5), tint=(0.70, 0.55, 0.28), repeat_m=(0.2, 1.0))
PLASTIC = Look("plastic", gloss=(0.0, 0.4), repeat_m=(0.2, 1.5))
BLACK = Look("plastic", gloss=(0.0, 0.3), tint=(0.06, 0.06, 0.065))
GREY = Look("plastic", gloss=(0.0, 0.3), tint=(0.45, 0.45, 0.46))
WHITE = Look("plastic", gloss=(0.0, 0.3), tint=(0.88, 0.88, 0.86))
RUBBER = Look("rubber", gloss=(0.0, 0.1))
CERAMIC = Look("ceramic", gloss=(0.0, 0.5), repeat_m=(0.3, 1.5))
GLASS = Look("glass", gloss=(0.0, 0.2), repeat_m=(0.3, 1.5))
STONE = Look("stone", gloss=(0.0, 0.2), repeat_m=(0.1, 0.6))
PLASTER = Look("plaster", gloss=(0.0, 0.2), repeat_m=(0.2, 1.0))
PAPER = Look("paper", gloss=(0.0, 0.05))
CARDBOARD = Look("cardboard", gloss=(0.0, 0.05))
PRINT = Look("print", fit=True, gloss=(0.0, 0.3))
PICTURE = Look("picture", fit=True, gloss=(0.0, 0.3))
SCREEN = Look("screen", fit=True, gloss=(0.0, 0.3))
OBJECT = Look("object", gloss=(0.0, 0.3), repeat_m=(0.1, 0.6))
WOOD = Look("wood", gloss=(0.0, 0.3), repeat_m=(0.15, 0.7))
FABRIC = Look("fabric", gloss=(0.0, 0.03), repeat_m=(0.08, 0.6))
PLUSH = Look("fabric", gloss=(0.0, 0.0), repeat_m=(0.05, 0.25))
LEATHER = Look("leather", gloss=(0.0, 0.2), repeat_m=(0.1, 0.5))
WICKER = Look("wood", gloss=(0.0, 0.05), tint=(0.60, 0.43, 0.24), repeat_m=(0.03, 0.12))
SKIN = Look("skin", gloss=(0.0, 0.1))
CRUST = Look("food", gloss=(0.0, 0.05), tint=(0.68, 0.44, 0.22), repeat_m=(0.1, 0.3))
SOIL = Look("soil", gloss=(0.0, 0.0), tint=(0.28, 0.21, 0.15), repeat_m=(0.1, 0.4))
TERRACOTTA = Look("ceramic", gloss=(0.0, 0.05), tint=(0.66, 0.38, 0.27))
LEAF = Look("foliage", gloss=(0.0, 0.25), repeat_m=(0.1, 0.4))
LIGHT = Look("light")


def plain(colour: Colour, rng: np.random.Generator, *, gloss: tuple[float, float] = (0.05, 0.5)) -> Look:
    """Moulded or grown stuff of about one colour, RGB 0 to 1; each model differs a little."""
    shade = float(rng.uniform(0.75, 1.2))
    tint = [min(1.0, max(0.0, c * shade + float(rng.normal(0, 0.03)))) for c in colour]
    return Look("plastic", gloss=gloss, tint=(tint[0], tint[1], tint[2]), repeat_m=(0.1, 0.8))


def bright(rng: np.random.Generator) -> Look:
    """A strong colour, as toys and packaging have."""
    hue = float(rng.uniform(0, 6))
    wheel = [min(1.0, max(0.0, abs((hue + shift) % 6 - 3) - 1)) for shift in (0.0, 4.0, 2.0)]
    pale, light = float(rng.uniform(0.05, 0.45)), float(rng.uniform(0.4, 0.95))
    return plain(
        (
            light * (pale + (1 - pale) * wheel[0]),
            light * (pale + (1 - pale) * wheel[1]),
            light * (pale + (1 - pale) * wheel[2]),
        ),
        rng,
    )


def pick(rng: np.random.Generator, looks: tuple[Look, ...]) -> Look:
    """One of some looks."""
    return looks[int(rng.integers(len(looks)))]
