"""Light of scenes: sun and sky outdoors, lamps and windows indoors."""

from __future__ import annotations

import math

from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.scene import Lamp, Scene, Vector


def daylight(kit: Kit, scene: Scene, *, clear: float = 0.6) -> None:
    """Set sun or overcast sky, ambient light, haze and backdrop.

    Args:
        kit: Draws them.
        scene: Gets them.
        clear: How often the sun shines.
    """
    height, turn = kit.uniform(0.25, 1.3), kit.uniform(0, 2 * math.pi)
    direction = (math.cos(turn) * math.cos(height), math.sin(turn) * math.cos(height), math.sin(height))
    sunny = kit.chance(clear)
    warmth = kit.uniform(0.0, 1.0) * (1.3 - height / 1.3)
    strength = kit.uniform(1.2, 3.0) if sunny else kit.uniform(0.0, 0.3)
    colour = _times(strength, (1.0, 1.0 - 0.15 * warmth, 1.0 - 0.35 * warmth))
    scene.lamps = [Lamp(direction, colour, is_sun=True, shadows=True)]
    sky = kit.uniform(0.35, 0.7) if sunny else kit.uniform(0.7, 1.1)
    blue = kit.uniform(0.0, 0.3) if sunny else kit.uniform(0.0, 0.08)
    scene.ambient_above = _times(sky, (1.0 - blue, 1.0 - 0.4 * blue, 1.0))
    scene.ambient_below = _times(sky * kit.uniform(0.35, 0.6), (1.0, 0.97, 0.92))
    scene.haze_per_m = kit.log_uniform(0.0004, 0.006) if kit.chance(0.6) else 0.0
    scene.backdrop, scene.backdrop_yaw = kit.backdrop(), kit.uniform(0, 2 * math.pi)


def room_light(kit: Kit, scene: Scene, low: Vector, high: Vector) -> None:
    """Light a room: by daylight through a side, by one to three ceiling lamps, or both; at most one casts shadows.

    Args:
        kit: Draws it.
        scene: Gets it.
        low: Lowest corner of the room's box, metres.
        high: Highest corner; the ceiling is there.
    """
    size = max(high[0] - low[0], high[1] - low[1])
    lamps: list[Lamp] = []
    tone = kit.uniform(0.0, 0.4)
    if kit.chance(0.45):
        lamps.append(_window(kit, low, high, kit.uniform(0.7, 2.0)))
    for _ in range(kit.integer(1, 3) if not lamps else kit.integer(0, 2)):
        at = (
            kit.uniform(0.8 * low[0] + 0.2 * high[0], 0.2 * low[0] + 0.8 * high[0]),
            kit.uniform(0.8 * low[1] + 0.2 * high[1], 0.2 * low[1] + 0.8 * high[1]),
            high[2] - kit.uniform(0.15, 0.6),
        )
        power = kit.uniform(0.4, 1.3) * (1.0 + 0.25 * size * size / 4)
        lamps.append(Lamp(at, _times(power, (1.0, 1.0 - 0.4 * tone, 1.0 - tone)), shadows=not lamps))
    scene.lamps = lamps
    level = kit.uniform(0.15, 0.45)
    scene.ambient_above = _times(level, (1.0, 1.0 - 0.2 * tone, 1.0 - 0.5 * tone))
    scene.ambient_below = _times(level * kit.uniform(0.5, 0.8), (1.0, 1.0 - 0.25 * tone, 1.0 - 0.6 * tone))
    scene.haze_per_m = 0.0
    scene.backdrop, scene.backdrop_yaw = kit.backdrop(), kit.uniform(0, 2 * math.pi)


def _window(kit: Kit, low: Vector, high: Vector, level: float) -> Lamp:
    """A bright window is a large near light: a lamp just outside a wall at the height of a window."""
    along, height = kit.uniform(0.2, 0.8), low[2] + kit.uniform(1.4, 2.2)
    size = max(high[0] - low[0], high[1] - low[1])
    colour = _times(level * size * size / 4, (0.95, 0.98, 1.0))
    if kit.chance(0.5):
        x = low[0] + 0.05 if kit.chance(0.5) else high[0] - 0.05
        return Lamp((x, low[1] + along * (high[1] - low[1]), height), colour, shadows=True)
    y = low[1] + 0.05 if kit.chance(0.5) else high[1] - 0.05
    return Lamp((low[0] + along * (high[0] - low[0]), y, height), colour, shadows=True)


def _times(factor: float, colour: Vector) -> Vector:
    return (factor * colour[0], factor * colour[1], factor * colour[2])
