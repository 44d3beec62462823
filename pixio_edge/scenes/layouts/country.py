"""Roads and paths outside towns."""

from __future__ import annotations

import math

from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.layouts.street import START, TOWN, Side, close_ends, roadsides
from pixio_edge.scenes.mesh import Look
from pixio_edge.scenes.outdoors.land import draw_frame
from pixio_edge.scenes.outdoors.markings import markings
from pixio_edge.scenes.outdoors.pavings import asphalt, meadow
from pixio_edge.scenes.outdoors.roadside import car, facing, field, green, houses, sprinkle
from pixio_edge.scenes.outdoors.site import Site
from pixio_edge.scenes.outdoors.skies import open_air
from pixio_edge.scenes.outdoors.views import hand_height, views
from pixio_edge.scenes.scene import Camera, Scene

LAND: tuple[tuple[Side, float], ...] = ((green, 3.0), (field, 3.5), (houses, 0.8))


def country(kit: Kit) -> Scene:
    """A road or lane through fields, woods and hamlets."""
    scene = Scene("country")
    paved = kit.chance(0.7)
    site = Site(kit, scene, draw_frame(kit, kit.uniform(1.3, 4.5), 0.0, rough=1.7))
    open_air(kit, scene)
    road = asphalt(kit) if paved else Look(kit.pick(("soil", "ground", "stone")), repeat_m=(1.5, 5.0))
    site.lay_ground([kit.surface(look) for look in (road, road, road, meadow(kit), meadow(kit))])
    for side in (-1, 1):
        roadsides(site, side, LAND if kit.chance(0.85) else TOWN)
        _verge(site, side)
    if paved:
        markings(site, START)
        _cars(site)
    close_ends(site, built=False)
    scene.cameras = _country_views(site)
    return scene


def _verge(site: Site, side: int) -> None:
    """Grass, posts, poles and a guard rail next to the road."""
    kit, f = site.kit, site.frame
    sprinkle(
        site, {"grass_tuft": 10, "bush": 0.6, "rock": 0.4}, side, (f.edge + 0.1, f.edge + 1.4), (-8.0, 45.0), every=0.9
    )
    if kit.chance(0.4):
        pole, step, v = kit.index("utility_pole"), kit.uniform(28.0, 45.0), START + kit.uniform(0.0, 30.0)
        while v < 190.0:
            site.put(pole, side * (f.edge + 2.0), v, 0.0)
            v += step
    if kit.chance(0.35):
        post, step, v = kit.index("bollard"), kit.uniform(8.0, 25.0), START
        while v < 120.0:
            site.put(post, side * (f.edge + 0.5), v, facing(side))
            v += step
    if kit.chance(0.2):
        rail, v = kit.index("guard_rail"), START
        while v < 110.0:
            site.put(rail, side * (f.edge + 0.4), v, facing(side), radius=0.2)
            v += 4.0
    for _ in range(kit.integer(0, 3)):
        site.put("sign", side * (f.edge + 0.7), kit.uniform(5.0, 90.0), math.pi if side < 0 else 0.0)


def _cars(site: Site) -> None:
    kit, f = site.kit, site.frame
    for _ in range(kit.integer(0, 7)):
        side, v = -1 if kit.chance(0.5) else 1, kit.uniform(-15.0, 140.0)
        if site.room(side * 0.5 * f.road, v, 2.5):
            kind = kit.weighted({car(site): 8, "lorry": 1.2, "rider": 1.0, "pedestrian": 0.7})
            site.put(kind, side * 0.5 * f.road, v, (math.pi if side > 0 else 0.0) + kit.normal(0.0, 0.03))


def _country_views(site: Site) -> list[Camera]:
    kit, f = site.kit, site.frame

    def draw(number: int) -> Camera | None:
        back = number == 3
        v = kit.uniform(40.0, 60.0) if back else kit.uniform(0.0, 14.0) + 13.0 * number
        driving = kit.chance(0.65)
        u = kit.uniform(-0.7, 0.7) * f.road if driving else kit.uniform(-1.0, 1.0) * (f.road + 4.0)
        height = kit.uniform(1.2, 2.0) if driving else hand_height(site)
        turn = kit.normal(0.0, 0.12) if driving else kit.normal(0.0, 0.7)
        return site.look(u, v, height, turn + (math.pi if back else 0.0))

    return views(site, draw)
