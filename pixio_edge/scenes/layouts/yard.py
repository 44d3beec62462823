"""Car parks, courtyards and building sites."""

from __future__ import annotations

import math

from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.layouts.park import shifted, strollers
from pixio_edge.scenes.mesh import Look
from pixio_edge.scenes.outdoors.land import draw_frame
from pixio_edge.scenes.outdoors.pavings import asphalt, meadow, paving
from pixio_edge.scenes.outdoors.roadside import blocks, boundary, car, facing, green, halls, houses, sprinkle, terraces
from pixio_edge.scenes.outdoors.site import Site
from pixio_edge.scenes.outdoors.skies import open_air
from pixio_edge.scenes.outdoors.views import aim, hand_height, views
from pixio_edge.scenes.scene import Camera, Scene
from pixio_edge.scenes.shapes.hulls import quads

STORES = {
    "freight": 1.5, "soil_heap": 1.0, "street_bin": 3.0, "crate": 2.5, "cardboard": 1.5, "cycle": 2.0, "cone": 1.5,
    "barrier": 1.2, "lorry": 0.6, "car": 1.5, "van": 1.0, "planter": 0.8, "bush": 0.8, "log": 0.6, "rack": 0.5,
    "scaffolding": 0.4, "bollard": 0.8, "street_box": 0.8, "street_tree": 0.6, "lamp_post": 0.7, "bin": 1.0,
}  # fmt: skip


def yard(kit: Kit) -> Scene:
    """A paved area with cars or stores between buildings and walls."""
    scene = Scene("yard")
    half = kit.uniform(4.0, 15.0)
    site = Site(kit, scene, draw_frame(kit, half, 0.0, rough=0.35))
    open_air(kit, scene)
    paved = kit.surface(asphalt(kit) if kit.chance(0.5) else paving(kit))
    land = kit.surface(meadow(kit) if kit.chance(0.5) else paving(kit))
    site.lay_ground([paved, paved, paved, land, land])
    length = kit.uniform(22.0, 60.0)
    for side in (-1, 1):
        row = kit.pick((halls, blocks, terraces, houses, green))
        row(shifted(site, kit.uniform(0.3, 3.0)), side, -25.0, length + 10.0)
        if kit.chance(0.5):
            boundary(site, side, half + 0.3, -15.0, length)
    _far_end(site, half, length)
    if kit.chance(0.65):
        _car_park(site, half, length)
    for side in (-1, 1):
        sprinkle(site, STORES, side, (0.55 * half, half - 0.5), (-6.0, length), every=kit.log_uniform(1.5, 6.0))
    sprinkle(site, STORES, 1, (-0.6 * half, 0.6 * half), (4.0, length), every=kit.log_uniform(4.0, 25.0))
    strollers(site, kit.integer(1, 12), (-3.0, length), half)
    scene.cameras = yard_views(site, half, length)
    return scene


def _far_end(site: Site, half: float, length: float) -> None:
    """Buildings across the end."""
    kit = site.kit
    u = -half - 8.0
    while u < half + 8.0:
        index = kit.index(kit.weighted({"hall": 1, "terrace": 2, "block": 1.5, "house": 1, "shed": 1}))
        width, depth, _ = kit.size(index)
        site.put(index, u + width / 2, length + 3.0 + depth / 2, 0.0, sink=True)
        u += width + (kit.uniform(0.5, 6.0) if kit.chance(0.4) else 0.1)


def _car_park(site: Site, half: float, length: float) -> None:
    """Cars in bays along lanes, and the lines between them."""
    kit, f = site.kit, site.frame
    dense, lines = kit.uniform(0.3, 0.95), []
    rows = [-half + 2.6, half - 2.6] + ([-2.5, 2.5] if half > 11.5 else [])
    for u in rows:
        v = -10.0
        while v < length:
            if kit.chance(dense) and site.room(u, v, 0.9):
                flip = math.pi if kit.chance(0.3) else 0.0
                kind = car(site)
                site.put(kind, u, v, facing(1 if u > 0 else -1) + flip + kit.normal(0.0, 0.03))
            lines.append((u - 2.4, u + 2.4, v + 1.25, v + 1.33))
            v += 2.6
    if kit.chance(0.7):
        around = ((0, 2), (1, 2), (1, 3), (0, 3))
        corners = [[f.point(line[i], line[j], 0.012) for i, j in around] for line in lines]
        kit.add(site.scene, quads(corners), [kit.surface(Look("marking"))])


def yard_views(site: Site, half: float, length: float) -> list[Camera]:
    """Cameras that look along the yard or at something in it."""
    kit = site.kit

    def draw(number: int) -> Camera | None:
        u, v = kit.uniform(-0.85, 0.85) * half, kit.uniform(-3.0, 0.6 * length)
        height = hand_height(site)
        if kit.chance(0.4):
            return site.look(u, v, height, kit.normal(0.0, 0.5))
        x, y = kit.pick(site.taken)
        target = (x - site.frame.middle(y)[0], y, kit.uniform(0.3, 1.8))
        if not 2.2 < math.hypot(target[0] - u, target[1] - v) < 16.0:
            return None
        return aim(site, (u, v), target, height)

    return views(site, draw)
