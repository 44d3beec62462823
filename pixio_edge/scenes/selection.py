"""Which scenes: seeds that never meet, and layouts with their weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from enum import IntEnum

from pixio_edge.errors import InputError
from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.scene import Scene

Layouts = dict[str, tuple[Callable[[Kit], Scene], float]]


class Purpose(IntEnum):
    """What scenes are rendered for; those of one purpose are never those of another, whatever the seeds."""

    PREVIEW = 0
    TRAINING = 1
    HELD_BACK = 2


def scene_seed(seed: int, purpose: Purpose) -> int:
    """Seed of the scenes for a purpose: another one for every pair of a command's `--seed` and a purpose.

    Args:
        seed: At least 0.
        purpose: What they are rendered for.
    """
    return len(Purpose) * seed + purpose


def known_layouts() -> Layouts:
    """All layouts; imported late, since rendering a scene that is there needs none of them."""
    from pixio_edge.scenes.layouts import LAYOUTS  # noqa: PLC0415

    return LAYOUTS


def check_layouts(weights: Mapping[str, float]) -> None:
    """Refuse layouts that cannot be drawn.

    Raises:
        InputError: There is no such layout, or a weight is not a positive number.
    """
    known = known_layouts()
    for name, weight in weights.items():
        if name not in known:
            raise InputError(f"layout '{name}': unknown, expected one of {', '.join(known)}. Fix: choose one of these")
        if not 0 < weight < math.inf:
            raise InputError(f"layout '{name}': got weight {weight:g}, expected more than 0. Fix: leave it out")
