"""Random choices shared by all scene layouts: surfaces, lights, cameras."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pixio_edge.training.geometry import Light, Surface, Vector


class Kit:
    """A random generator with the texture uses of an atlas.

    Args:
        rng: Generator of this one scene.
        uses: Texture indices per use.
        backdrops: Number of panoramas.
    """

    def __init__(self, rng: np.random.Generator, uses: Mapping[str, NDArray[np.int64]], backdrops: int) -> None:
        self.rng = rng
        self.uses = uses
        self.backdrops = backdrops

    def uniform(self, low: float, high: float) -> float:
        """A float in [low, high)."""
        return float(self.rng.uniform(low, high))

    def integer(self, low: int, high: int) -> int:
        """An integer in [low, high]."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < probability)

    def texture(self, use: str) -> int:
        """A texture index for a use."""
        return int(self.rng.choice(self.uses[use]))

    def tint(self, spread: float) -> Vector:
        """A colour multiplier: brightness and hue around 1."""
        base = self.uniform(1 - spread, 1 + 0.6 * spread)
        red, green, blue = (base * float(self.rng.uniform(1 - 0.5 * spread, 1 + 0.5 * spread)) for _ in range(3))
        return (red, green, blue)

    def surface(self, use: str, *, repeat: tuple[float, float] = (0.4, 2.5), tint: float = 0.4) -> Surface:
        """One texture on all sides; mostly faded to nearly plain, as painted and moulded things are."""
        texture = self.texture(use)
        metres = self.uniform(*repeat) * (8.0 if self.chance(0.25) else 1.0)
        gloss = self.uniform(0.1, 0.8) if self.chance(0.25) else 0.0
        contrast = self.uniform(0.0, 0.25) if self.chance(0.6) else self.uniform(0.25, 1.0)
        return Surface(texture, texture, texture, metres, self.tint(tint), gloss, contrast=contrast)

    def picture(self) -> Surface:
        """A photograph or print stretched over each face."""
        texture = self.texture("picture")
        return Surface(texture, texture, texture, 1.0, self.tint(0.2), fit=True)

    def lamp(self, position: Vector) -> Light:
        """Indoor light from a point."""
        warm = self.uniform(0.8, 1.0)
        return Light(
            position,
            (0.0, 0.0, 1.0),
            self.uniform(0.4, 1.4),
            self.uniform(0.3, 0.7),
            (1.0, 0.5 + 0.5 * warm, warm),
            self.uniform(0.02, 0.12),
        )

    def sun(self) -> Light:
        """Daylight, from overcast to low sun, with optional haze."""
        height, turn = self.uniform(0.2, 1.4), self.uniform(0, 2 * math.pi)
        direction = (math.cos(turn) * math.cos(height), math.sin(turn) * math.cos(height), math.sin(height))
        overcast = self.chance(0.4)
        return Light(
            None,
            direction,
            self.uniform(0.0, 0.3) if overcast else self.uniform(0.4, 1.1),
            self.uniform(0.6, 1.0) if overcast else self.uniform(0.3, 0.6),
            (1.0, self.uniform(0.9, 1.0), self.uniform(0.8, 1.0)),
            0.01,
            self.uniform(0.002, 0.02) if self.chance(0.5) else 0.0,
        )

    def backdrop(self) -> int:
        """A panorama index."""
        return self.integer(0, self.backdrops - 1)
