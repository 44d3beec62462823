"""Streets, seen from cars, bicycles, robots and pavements."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.mesh import Look
from pixio_edge.scenes.outdoors.land import draw_frame
from pixio_edge.scenes.outdoors.markings import markings
from pixio_edge.scenes.outdoors.pavings import asphalt, meadow, paving
from pixio_edge.scenes.outdoors.roadside import (
    blocks,
    car,
    facing,
    field,
    garages,
    green,
    halls,
    houses,
    terraces,
    trees_behind,
)
from pixio_edge.scenes.outdoors.site import Site
from pixio_edge.scenes.outdoors.skies import open_air
from pixio_edge.scenes.outdoors.street_parts import median, over_the_road, side_street, striped_kerbs, works
from pixio_edge.scenes.outdoors.views import views
from pixio_edge.scenes.scene import VIEWS, Camera, Scene

# How often a driving camera stands on a car that it may see.
OWN_CAR = 0.22
# Where the street begins and ends, metres along it.
START, END = -22.0, 190.0
Side = Callable[[Site, int, float, float], None]
TOWN: tuple[tuple[Side, float], ...] = (
    (terraces, 3.0), (houses, 3.0), (blocks, 2.5), (green, 2.2), (halls, 0.7), (field, 0.6), (garages, 0.6),
)  # fmt: skip


def street(kit: Kit) -> Scene:
    """A street with buildings, trees, parked and driving cars, people."""
    road = kit.uniform(2.6, 6.5) if kit.chance(0.75) else kit.uniform(6.5, 11.0)
    scene = Scene("street")
    site = Site(kit, scene, draw_frame(kit, road, kit.uniform(1.3, 4.5), rough=0.8, crossings=0.35))
    open_air(kit, scene)
    lay_street(site)
    for side in (-1, 1):
        roadsides(site, side, TOWN)
    markings(site, START)
    side_street(site)
    median(site)
    over_the_road(site)
    striped_kerbs(site)
    works(site)
    parking = [kit.chance(0.6), kit.chance(0.6)]
    for side in (-1, 1):
        if parking[side > 0]:
            parked(site, side)
        kerbside(site, side)
        people(site, side)
    traffic(site, parking)
    close_ends(site)
    scene.cameras = street_views(site, parking)
    return scene


def lay_street(site: Site) -> None:
    """Ground: asphalt, kerb, pavement, lawns or paving beyond."""
    kit = site.kit
    looks = [asphalt(kit), Look("concrete"), paving(kit), meadow(kit), meadow(kit)]
    site.lay_ground([kit.surface(look) for look in looks])


def roadsides(site: Site, side: int, kinds: tuple[tuple[Side, float], ...]) -> None:
    """One or two kinds of built or green land along a side."""
    kit = site.kit
    weights = {str(i): weight for i, (_, weight) in enumerate(kinds)}
    crossing = site.frame.crossing
    if crossing is not None:
        split, beyond = crossing[0] - crossing[1] - 2.5, crossing[0] + crossing[1] + 2.5
    else:
        split = END if kit.chance(0.45) else kit.uniform(10.0, 80.0)
        beyond = split + kit.uniform(1.0, 12.0)
    kinds[int(kit.weighted(weights))][0](site, side, START, split)
    if split < END:
        kinds[int(kit.weighted(weights))][0](site, side, beyond, END)


def parked(site: Site, side: int) -> None:
    """A row of parked cars with gaps."""
    kit, f = site.kit, site.frame
    dense = kit.uniform(0.35, 0.95)
    across = f.road > 4.5 and kit.chance(0.15)
    v = START + kit.uniform(0.0, 5.0)
    while v < 120.0:
        index = kit.index(car(site))
        size = kit.size(index)
        length = size[0] if across else size[1]
        if kit.chance(dense) and not site.frame.crossed(v + length / 2, 0.5 * length + 1.0):
            back = math.pi if (side > 0) != kit.chance(0.12) else 0.0
            yaw = (facing(side) + (math.pi if kit.chance(0.6) else 0.0) if across else back) + kit.normal(0.0, 0.025)
            u = f.road - (0.5 * size[1] if across else 0.5 * size[0] + kit.uniform(0.12, 0.35))
            site.put(index, side * u, v + length / 2, yaw)
        v += length + kit.uniform(0.5, 1.6)


def traffic(site: Site, parking: list[bool]) -> None:
    """Driving cars in lanes, with bicycles and lorries among them."""
    kit, f = site.kit, site.frame
    lanes = 1 if f.road < 6.5 else 2
    for side in (-1, 1):
        free = f.road - (2.1 if parking[side > 0] else 0.0)
        for lane in range(lanes):
            v = kit.uniform(-15.0, 40.0)
            spacing = kit.log_uniform(9.0, 70.0)
            while v < 150.0:
                u = side * max(0.9, free * (lane + 0.5) / lanes) + kit.normal(0.0, 0.15)
                if site.room(u, v, 1.6) and site.room(u, v - 1.8, 0.9) and site.room(u, v + 1.8, 0.9):
                    kind = kit.weighted({"car": 8, "van": 1.3, "lorry": 0.7, "bus": 0.35, "rider": 0.8})
                    site.put(kind, u, v, (math.pi if side > 0 else 0.0) + kit.normal(0.0, 0.02))
                v += spacing * kit.uniform(0.6, 2.0)


def kerbside(site: Site, side: int) -> None:
    """Lamps, trees, signs, bins, bollards near the kerb."""
    kit, f = site.kit, site.frame
    lamps, planted = kit.uniform(16.0, 40.0), kit.uniform(6.0, 16.0) if kit.chance(0.45) else 0.0
    near = f.road + 0.35
    v = START + kit.uniform(0.0, lamps)
    lamp = kit.index("lamp_post" if kit.chance(0.75) else "utility_pole")
    while v < END and kit.chance(0.97):
        if not f.crossed(v, 0.5):
            site.put(lamp, side * near, v, facing(side))
        v += lamps
    v = START + kit.uniform(0.0, planted)
    row = kit.index("street_tree" if kit.chance(0.65) else "tree")
    while planted > 0.0 and v < END:
        if kit.chance(0.9) and site.room(side * (near + 0.3), v, 0.4):
            site.put(row, side * (near + 0.3), v, kit.uniform(0, 6.3), scale=kit.uniform(0.75, 1.15), radius=0.35)
        v += planted
    v = START + kit.uniform(0.0, 9.0)
    things = {"sign": 4, "street_bin": 2, "bollard": 1.5, "street_box": 1, "cycle": 1.5, "traffic_light": 0.8,
              "shelter": 0.25, "cone": 0.4, "barrier": 0.4, "planter": 0.6, "billboard": 0.3, "park_bench": 0.4,
              "parasol": 0.25, "cardboard": 0.2}  # fmt: skip
    while v < 110.0:
        kind = kit.weighted(things)
        u = near if kind in {"sign", "traffic_light", "bollard"} or kit.chance(0.5) else f.road + f.walk - 0.5
        if site.room(side * u, v, 0.4):
            yaw = facing(side) if kind in {"shelter", "park_bench", "street_bin", "street_box"} else 0.0
            site.put(kind, side * u, v, yaw + (math.pi if kind == "sign" and side < 0 else 0.0) + kit.normal(0, 0.1))
        v += kit.log_uniform(1.5, 14.0)


def people(site: Site, side: int) -> None:
    """People on the pavement, alone and in groups; some cross the road."""
    kit, f = site.kit, site.frame
    spacing = kit.log_uniform(4.0, 60.0)
    v = START + kit.uniform(0.0, spacing)
    while v < 110.0:
        for _ in range(1 if kit.chance(0.7) else kit.integer(2, 4)):
            crossing = kit.chance(0.07)
            u = kit.uniform(-f.road, f.road) if crossing else side * (f.road + kit.uniform(0.25, 0.85) * f.walk)
            yaw = kit.uniform(0.0, 6.3) if kit.chance(0.3) or crossing else (0.0 if kit.chance(0.5) else math.pi)
            place = v + kit.uniform(-0.9, 0.9)
            if site.room(u, place, 0.3):
                site.put("pedestrian" if kit.chance(0.95) else "dog", u, place, yaw + kit.normal(0.0, 0.2))
        v += spacing * kit.uniform(0.3, 1.8)


def close_ends(site: Site, *, built: bool = True) -> None:
    """What is seen at both far ends of the road, and far off on its sides."""
    kit, edge = site.kit, site.frame.edge
    mix = (
        {"tree_speck": 5, "house": 2, "block": 1, "tower": 0.5, "church": 0.15}
        if built
        else {"tree_speck": 9, "house": 1}
    )
    for near, far in ((END + 5.0, END + 90.0), (START - 6.0, START - 80.0)):
        for _ in range(kit.integer(5, 14)):
            u, v, kind = kit.uniform(-60.0, 60.0), kit.uniform(near, far), kit.weighted(mix)
            if abs(u) > edge + 8.0 or abs(v - near) > 50.0:
                yaw = kit.pick((0.0, facing(1), facing(-1)))
                site.put(kind, u, v, yaw, scale=kit.uniform(0.9, 1.4), radius=0.0, sink=True)
    for side in (-1, 1):
        if kit.chance(0.6):
            trees_behind(site, side, edge + kit.uniform(35.0, 70.0), START, END)
        if kit.chance(0.7):
            trees_behind(site, side, edge + kit.uniform(4.0, 12.0), START - 90.0, START - 8.0)


def street_views(site: Site, parking: list[bool]) -> list[Camera]:
    """Four cameras: from lanes ahead, from pavements, aside, and one back from the far end."""
    kit, f = site.kit, site.frame
    found: list[Camera] = []

    def draw(number: int) -> Camera | None:
        back = number == VIEWS - 1
        v = kit.uniform(40.0, 60.0) if back else kit.uniform(0.0, 14.0) + 12.0 * number
        on_foot, side = kit.chance(0.3), -1 if kit.chance(0.5) else 1
        if on_foot:
            u = side * (f.road + kit.uniform(0.2, 0.9) * f.walk)
            height = kit.uniform(1.3, 1.75) if kit.chance(0.7) else kit.uniform(0.3, 1.0)
        else:
            free = f.road - (2.3 if parking[side > 0] else 0.3)
            u, height = side * kit.uniform(0.0, max(0.3, free - 0.8)), kit.uniform(1.2, 2.0)
        aside = kit.chance(0.5 if on_foot else 0.3)
        turn = kit.uniform(-2.0, 2.0) if aside else kit.normal(0.0, 0.12)
        camera = site.look(u, v, height, turn + (math.pi if back else 0.0))
        if camera is not None:
            if not on_foot and kit.chance(OWN_CAR):
                camera = on_roof(site, camera, found, forwards=not back)
            found.append(camera)
        return camera

    return views(site, draw)


def on_roof(site: Site, camera: Camera, others: list[Camera], *, forwards: bool) -> Camera:
    """The camera on the roof of a car of its own, whose bonnet it may see; as it was where there is no room for one."""
    kit, f = site.kit, site.frame
    index = kit.index("car")
    size = kit.size(index)
    x, v, _ = camera.position
    u, middle = x - f.middle(v)[0], v - (0.06 if forwards else -0.06) * size[1]
    clear = all(abs(v - other.position[1]) > 6.0 for other in others)
    if not clear or not all(site.room(u, middle + along, 1.1) for along in (-1.5, 0.0, 1.5)):
        return camera
    placed = site.put(index, u, middle, math.pi if forwards else 0.0)
    return replace(camera, position=(x, v, placed.shift[2] + size[2] + kit.uniform(0.1, 0.3)))
