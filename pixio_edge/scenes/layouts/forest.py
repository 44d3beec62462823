"""Paths in woods: trunks near and far, undergrowth, fallen trees."""

from __future__ import annotations

import math

from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.outdoors.land import draw_frame
from pixio_edge.scenes.outdoors.pavings import litter, path
from pixio_edge.scenes.outdoors.site import Site
from pixio_edge.scenes.outdoors.skies import open_air
from pixio_edge.scenes.outdoors.views import hand_height, views
from pixio_edge.scenes.scene import Camera, Scene


def forest(kit: Kit) -> Scene:
    """A path in a wood."""
    scene = Scene("forest")
    site = Site(kit, scene, draw_frame(kit, kit.uniform(0.5, 1.6), 0.0, rough=2.2))
    open_air(kit, scene, clear=0.7)
    earth = kit.surface(litter(kit))
    site.lay_ground([kit.surface(path(kit)), earth, earth, earth, earth])
    _trees(site)
    _undergrowth(site)
    for _ in range(kit.integer(0, 4)):
        site.put("pedestrian", kit.normal(0.0, 0.6) * site.frame.road, kit.uniform(4.0, 35.0), kit.uniform(0, 6.3))
    scene.cameras = _forest_views(site)
    return scene


def _trees(site: Site) -> None:
    """Trees of two or three kinds over the whole land, simpler ones farther off."""
    kit, edge = site.kit, site.frame.edge
    kinds = [kit.pick(("broadleaf", "conifer", "broadleaf", "bare_tree", "forest_trunk")) for _ in range(2)]
    kinds.append("forest_trunk")
    dense = kit.uniform(0.6, 1.5)
    for _ in range(int(90 * dense)):
        v = kit.uniform(-14.0, 60.0)
        u = (1 if kit.chance(0.5) else -1) * (edge + 0.5 + 22.0 * kit.uniform(0.0, 1.0) ** 1.4)
        if site.room(u, v, 0.9):
            site.put(kit.pick(kinds), u, v, kit.uniform(0.0, 6.3), scale=kit.uniform(0.7, 1.5), radius=0.4)
    for _ in range(int(110 * dense)):
        v = kit.uniform(-25.0, 130.0)
        far = abs(v - 20.0) > 45.0
        u = (1 if kit.chance(0.5) else -1) * kit.uniform(edge + 2.0 if far else edge + 20.0, 60.0)
        site.put(
            "tree_speck" if far else "tree_far", u, v, kit.uniform(0, 6.3), scale=kit.uniform(0.8, 1.5), radius=0.0
        )


def _undergrowth(site: Site) -> None:
    kit, edge = site.kit, site.frame.edge
    mix = {"grass_tuft": 5.0, "bush": kit.uniform(0.5, 4.0), "rock": 0.8, "log": 0.7, "flower_bed": 0.4}
    for _ in range(kit.integer(40, 130)):
        v, u = kit.uniform(-5.0, 50.0), (1 if kit.chance(0.5) else -1) * (edge + kit.log_uniform(0.1, 14.0))
        kind = kit.weighted(mix)
        if site.room(u, v, 0.2):
            size = kit.uniform(0.5, 1.2)
            site.put(
                kind,
                u,
                v,
                kit.uniform(0.0, 6.3),
                scale=size,
                radius=0.0 if kind in {"grass_tuft", "flower_bed"} else None,
            )


def _forest_views(site: Site) -> list[Camera]:
    kit, f = site.kit, site.frame

    def draw(number: int) -> Camera | None:
        v = kit.uniform(0.0, 10.0) + 10.0 * number
        u = kit.uniform(-1.0, 1.0) * (f.road + (0.2 if kit.chance(0.6) else 5.0))
        turn = kit.normal(0.0, 0.35) if kit.chance(0.6) else kit.uniform(-math.pi, math.pi)
        return site.look(u, v, hand_height(site), turn + (math.pi if number == 3 else 0.0))

    return views(site, draw)
