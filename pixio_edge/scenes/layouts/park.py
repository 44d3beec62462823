"""Parks and squares: lawns or paving with trees, benches, people, and buildings around."""

from __future__ import annotations

import math
from dataclasses import replace

from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.outdoors.land import draw_frame
from pixio_edge.scenes.outdoors.pavings import meadow, path, paving
from pixio_edge.scenes.outdoors.roadside import blocks, facing, sprinkle, terraces, trees_behind
from pixio_edge.scenes.outdoors.site import Site
from pixio_edge.scenes.outdoors.skies import open_air
from pixio_edge.scenes.outdoors.views import aim, hand_height, views
from pixio_edge.scenes.scene import Camera, Scene

# Things that stand about, with their weights.
GREENERY = {"tree": 5.0, "bush": 4.0, "flower_bed": 1.5, "hedge": 1.5, "cypress": 0.7, "rock": 0.8, "street_tree": 2.0}
FURNITURE = {
    "park_bench": 3.0, "street_bin": 1.5, "lamp_post": 2.0, "planter": 1.2, "statue": 0.6, "cycle": 1.5, "bollard": 1.2,
    "sign": 0.8, "billboard": 0.4, "parasol": 1.0, "street_box": 0.4, "table": 0.3, "seat": 0.6, "fountain": 0.3,
    "canopy": 0.25, "play_posts": 0.4,
}  # fmt: skip


def park(kit: Kit) -> Scene:
    """A path through lawns with trees, benches and people."""
    site = _open_site(kit, "park", kit.uniform(0.9, 3.0), rough=0.9)
    left, right = meadow(kit), meadow(kit)
    site.lay_ground([kit.surface(look) for look in (path(kit), left, left, left, right)])
    edge = site.frame.edge
    for side in (-1, 1):
        _surroundings(site, side, edge + kit.uniform(14.0, 45.0))
        _beside_path(site, side)
        for near, far, every in ((edge + 1.5, edge + 9.0, 2.2), (edge + 8.0, edge + 30.0, 2.5)):
            sprinkle(site, GREENERY, side, (near, far), (-15.0, 75.0), every=every)
        sprinkle(site, {"tree_far": 4, "bush": 1}, side, (edge + 3.0, edge + 40.0), (75.0, 140.0), every=3.0)
    strollers(site, kit.integer(3, 22), (-6.0, 45.0), edge + 7.0)
    site.scene.cameras = _park_views(site)
    return site.scene


def square(kit: Kit) -> Scene:
    """A paved square between facades, with trees in rows, things and people."""
    site = _open_site(kit, "square", kit.uniform(3.0, 6.0), rough=0.4)
    paved = paving(kit)
    other = paved if kit.chance(0.6) else paving(kit) if kit.chance(0.5) else meadow(kit)
    first, second = kit.surface(paved), kit.surface(other)
    site.lay_ground([first, first, first, second, second])
    edge = site.frame.edge
    for side in (-1, 1):
        (terraces if kit.chance(0.6) else blocks)(shifted(site, kit.uniform(4.0, 22.0)), side, -30.0, 90.0)
        if kit.chance(0.5):
            step, v = kit.uniform(5.0, 10.0), -15.0
            row = kit.index("street_tree" if kit.chance(0.6) else "tree")
            while v < 70.0:
                site.put(row, side * (edge + 1.0), v, kit.uniform(0, 6.3), scale=kit.uniform(0.8, 1.1), radius=0.3)
                v += step
        sprinkle(site, FURNITURE, side, (0.5, edge + 5.0), (-8.0, 55.0), every=3.0)
    for _ in range(kit.integer(3, 9)):
        kind = kit.weighted({"block": 2, "terrace": 4, "church": 0.5, "house": 1})
        site.put(kind, kit.uniform(-30, 30), kit.uniform(85.0, 105.0), 0.0, scale=kit.uniform(0.9, 1.3), sink=True)
    strollers(site, kit.integer(6, 35), (-4.0, 50.0), edge + 4.0)
    site.scene.cameras = _park_views(site)
    return site.scene


def _open_site(kit: Kit, kind: str, half: float, *, rough: float) -> Site:
    scene = Scene(kind)
    open_air(kit, scene)
    return Site(kit, scene, draw_frame(kit, half, 0.0, rough=rough))


def shifted(site: Site, by: float) -> Site:
    """The same site for rows that stand `by` metres farther from the road."""
    f = site.frame
    wider = replace(f, walk=f.walk + by)
    other = Site(site.kit, site.scene, wider)
    other.share(site)
    return other


def _surroundings(site: Site, side: int, distance: float) -> None:
    kit = site.kit
    if kit.chance(0.5):
        (terraces if kit.chance(0.5) else blocks)(shifted(site, distance), side, -30.0, 140.0)
    for row in range(2):
        if kit.chance(0.7):
            trees_behind(site, side, distance - 4.0 + 9.0 * row, -20.0, 130.0)


def _beside_path(site: Site, side: int) -> None:
    """Benches, lamps and bins that face the path."""
    kit, edge = site.kit, site.frame.edge
    v = kit.uniform(-8.0, 8.0)
    while v < 70.0:
        kind = kit.weighted(FURNITURE)
        u = side * (edge + kit.uniform(0.4, 1.3))
        if site.room(u, v, 0.6):
            site.put(kind, u, v, facing(side) + kit.normal(0.0, 0.15))
        v += kit.log_uniform(2.0, 15.0)


def strollers(site: Site, count: int, along: tuple[float, float], reach: float) -> None:
    """People who walk or stand about, some in groups."""
    kit = site.kit
    left = count
    while left > 0:
        v = kit.uniform(*along)
        u = kit.normal(0.0, 0.5 * reach) if kit.chance(0.6) else kit.uniform(-reach, reach)
        for _ in range(1 if kit.chance(0.65) else kit.integer(2, 4)):
            left -= 1
            a, b = u + kit.uniform(-0.8, 0.8), v + kit.uniform(-0.8, 0.8)
            if site.room(a, b, 0.25):
                site.put("pedestrian" if kit.chance(0.93) else "dog", a, b, kit.uniform(-math.pi, math.pi))


def _park_views(site: Site) -> list[Camera]:
    kit, edge = site.kit, site.frame.edge

    def draw(number: int) -> Camera | None:
        v = kit.uniform(0.0, 14.0) + 12.0 * number
        u = kit.uniform(-edge, edge) if kit.chance(0.5) else kit.uniform(-edge - 8.0, edge + 8.0)
        height = hand_height(site)
        if kit.chance(0.4):
            return site.look(u, v, height, kit.normal(0.0, 0.5) + (math.pi if number == 3 else 0.0))
        x, y = kit.pick(site.taken)
        target = (x - site.frame.middle(y)[0], y)
        if not 1.8 < math.hypot(target[0] - u, target[1] - v) < 14.0:
            return None
        return aim(site, (u, v), (*target, kit.uniform(0.3, 1.6)), height)

    return views(site, draw)
