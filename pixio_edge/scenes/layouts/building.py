"""Buildings from near: entrances, columns, stairs, facades at an angle, with what stands before them."""

from __future__ import annotations

from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.layouts.park import strollers
from pixio_edge.scenes.outdoors.land import draw_frame
from pixio_edge.scenes.outdoors.pavings import meadow, paving
from pixio_edge.scenes.outdoors.roadside import facing, sprinkle, trees_behind
from pixio_edge.scenes.outdoors.site import Site
from pixio_edge.scenes.outdoors.skies import open_air
from pixio_edge.scenes.outdoors.views import aim, hand_height, views
from pixio_edge.scenes.scene import Camera, Scene

# v of the facade that is looked at, metres.
FRONT = 16.0
BEFORE = {
    "park_bench": 1.5, "street_bin": 1.5, "cycle": 3.0, "planter": 2.5, "bush": 2.5, "cypress": 1.2, "bollard": 1.2,
    "flower_bed": 1.0, "hedge": 1.0, "lamp_post": 0.8, "sign": 0.8, "statue": 0.4, "parasol": 1.2, "car": 1.0,
    "street_box": 0.8, "tree": 0.5, "street_tree": 0.8, "garden_wall": 0.6, "fence": 0.8, "outside_stairs": 0.4,
    "canopy": 0.3, "billboard": 0.3, "fountain": 0.2, "seat": 0.5, "cardboard": 0.3, "soil_heap": 0.2,
}  # fmt: skip


def building(kit: Kit) -> Scene:
    """The front of a building, 3 to 20 m away."""
    scene = Scene("building")
    site = Site(kit, scene, draw_frame(kit, kit.uniform(3.0, 9.0), 0.0, rough=0.4))
    open_air(kit, scene)
    paved = kit.surface(paving(kit) if kit.chance(0.7) else meadow(kit))
    land = paved if kit.chance(0.5) else kit.surface(meadow(kit))
    site.lay_ground([paved, paved, paved, land, land])
    _row(site)
    _wings(site)
    _attached(site)
    for side in (-1, 1):
        near = (FRONT - 4.0, FRONT - 0.7)
        _before(site, side, near, kit.integer(2, 9))
        _before(site, side, (2.0, FRONT - 3.0), kit.integer(0, 6))
        sprinkle(site, {"tree": 2, "street_tree": 1, "bush": 1}, side, (9.0, 25.0), (-25.0, 12.0), every=6.0)
    trees_behind(site, 1, 30.0, -40.0, 10.0)
    trees_behind(site, -1, 30.0, -40.0, 10.0)
    strollers(site, kit.integer(0, 12), (0.0, FRONT - 1.0), 8.0)
    scene.cameras = _building_views(site)
    return scene


def _row(site: Site) -> None:
    """Fronts side by side that face back along the road."""
    kit = site.kit
    weights = {"terrace": 3.0, "block": 3.0, "house": 1.5, "hall": 0.7, "church": 0.5, "monument": 3.0}
    kind = kit.weighted(weights)
    u = -kit.uniform(22.0, 34.0)
    while u < 26.0:
        index = kit.index(kind if kit.chance(0.6) else kit.weighted(weights))
        width, depth, _ = kit.size(index)
        back = FRONT + depth / 2 + (kit.uniform(0.0, 2.5) if kit.chance(0.3) else 0.0)
        site.put(index, u + width / 2, back, 0.0, sink=True)
        u += width + (kit.uniform(1.0, 5.0) if kit.chance(0.25) else 0.02)


def _wings(site: Site) -> None:
    """Sometimes a wing to the left or right, so that a corner or court is seen."""
    kit = site.kit
    for side in (-1, 1):
        if kit.chance(0.4):
            index = kit.index(kit.weighted({"block": 2, "terrace": 2, "monument": 1.5}))
            width, depth, _ = kit.size(index)
            site.put(index, side * (kit.uniform(7.0, 15.0) + depth / 2), FRONT - width / 2, facing(side), sink=True)


def _attached(site: Site) -> None:
    """A portico, canopy, stairs or scaffolding before the front."""
    kit = site.kit
    for kind, chance in (("portico", 0.25), ("canopy", 0.2), ("outside_stairs", 0.35), ("scaffolding", 0.15)):
        if kit.chance(chance):
            index = kit.index(kind)
            depth = kit.size(index)[1]
            site.put(index, kit.uniform(-8.0, 8.0), FRONT - depth / 2 + 0.05, 0.0)


def _before(site: Site, side: int, along: tuple[float, float], count: int) -> None:
    kit = site.kit
    for _ in range(count):
        u, v, kind = side * kit.uniform(0.0, 12.0), kit.uniform(*along), kit.weighted(BEFORE)
        if site.room(u, v, 0.5):
            site.put(kind, u, v, kit.pick((0.0, 0.0, facing(1), facing(-1))) + kit.normal(0.0, 0.1))


def _building_views(site: Site) -> list[Camera]:
    kit = site.kit

    def draw(number: int) -> Camera | None:
        distance = kit.log_uniform(2.5, 20.0)
        u = kit.uniform(-10.0, 10.0)
        target = (
            u + kit.normal(0.0, 0.9 * distance),
            FRONT - 0.5,
            kit.uniform(0.6, 1.6) + 0.22 * distance * kit.uniform(0, 1),
        )
        return aim(site, (u, FRONT - distance), target, hand_height(site))

    return views(site, draw)
