"""Where outdoor scenes are looked at from."""

from __future__ import annotations

import math
from collections.abc import Callable

from pixio_edge.scenes.outdoors.site import Site
from pixio_edge.scenes.scene import VIEWS, Camera

# Tries before a view from above is taken.
TRIES = 60


def views(site: Site, draw: Callable[[int], Camera | None], count: int = VIEWS) -> list[Camera]:
    """Cameras that `draw` finds for views 0, 1, …, from above where it finds none."""
    cameras: list[Camera] = []
    for number in range(count):
        camera = next((found for found in (draw(number) for _ in range(TRIES)) if found is not None), None)
        cameras.append(camera or overview(site, 15.0 * number))
    return cameras


def overview(site: Site, v: float) -> Camera:
    """The last resort: from above, where nothing stands in the way."""
    x, heading = site.frame.middle(v)
    return Camera((x, v, site.frame.height(0.0, v) + 5.0), -heading, 0.25, 0.0, 1.3)


def hand_height(site: Site) -> float:
    """Height of a camera in a hand, now and then of one on a robot or in a raised arm, metres."""
    kit = site.kit
    share = kit.uniform(0.0, 1.0)
    return kit.uniform(1.35, 1.75) if share < 0.72 else kit.uniform(0.3, 1.1) if share < 0.9 else kit.uniform(1.8, 3.0)


def aim(site: Site, place: tuple[float, float], target: tuple[float, float, float], height: float) -> Camera | None:
    """A camera at (u, v) that has (u, v, metres above the ground) near its middle; None where it stands badly."""
    kit, f = site.kit, site.frame
    du, dv = target[0] - place[0], target[1] - place[1]
    x0, heading = f.middle(place[1])
    dx = du + f.middle(target[1])[0] - x0
    turn = math.atan2(-dx, dv) + heading + kit.normal(0.0, 0.15)
    camera = site.look(*place, height, turn)
    if camera is None:
        return None
    rise = f.height(target[0], target[1]) + target[2] - camera.position[2]
    pitch = -math.atan2(rise, max(math.hypot(dx, dv), 0.5)) + kit.normal(0.0, 0.06)
    fov = kit.uniform(0.8, 1.35)
    return Camera(camera.position, camera.yaw, min(max(pitch, -0.6), 0.7), kit.normal(0.0, 0.035), fov)
