"""What some streets have: a crossing road, a green strip in the middle, something over the road, works."""

from __future__ import annotations

import math

import numpy as np

from pixio_edge.scenes.mesh import Look
from pixio_edge.scenes.outdoors.land import strips
from pixio_edge.scenes.outdoors.roadside import facing
from pixio_edge.scenes.outdoors.site import Site
from pixio_edge.scenes.shapes.hulls import quads

# A road is at least this wide (half, metres) to have a strip in its middle.
WIDE = 5.0


def side_street(site: Site) -> None:
    """Buildings, cars and lights along the road that crosses."""
    kit, f = site.kit, site.frame
    if f.crossing is None:
        return
    v, half = f.crossing
    for side in (-1, 1):
        for bank in (-1, 1):
            u = f.edge + kit.uniform(16.0, 24.0)
            while u < 75.0:
                index = kit.index(kit.weighted({"terrace": 3, "house": 2, "block": 1, "tree_far": 1.5}))
                width, depth, _ = kit.size(index)
                site.put(
                    index, side * (u + width / 2), v + bank * (half + 2.0 + depth / 2), 0.0 if bank > 0 else math.pi
                )
                u += width + (kit.uniform(0.0, 8.0) if kit.chance(0.4) else 0.1)
        for _ in range(kit.integer(0, 3)):
            u = side * (f.edge + kit.uniform(3.0, 45.0))
            lane = 1 if kit.chance(0.5) else -1
            site.put(kit.weighted({"car": 8, "van": 1, "lorry": 0.5}), u, v + lane * 0.45 * half, facing(lane))
        if kit.chance(0.5):
            site.put("traffic_light", side * (f.road + 0.4), v - side * (half + 0.6), math.pi if side < 0 else 0.0)
        site.put(
            kit.weighted({"tree_far": 3, "house": 1, "block": 1}), side * kit.uniform(85.0, 120.0), v, facing(side)
        )


def median(site: Site) -> None:
    """A raised strip in the middle of a wide road, with trees, hedges, a rail or bollards."""
    kit, f = site.kit, site.frame
    if f.road < WIDE or not kit.chance(0.35):
        return
    half = kit.uniform(0.3, 0.28 * f.road)
    end = 110.0 if f.crossing is None else f.crossing[0] - f.crossing[1] - 2.0
    along = np.arange(-20.0, end, 5.0)
    columns = [(-half, 0.0), (-half + 0.01, 0.16), (half - 0.01, 0.16), (half, 0.0)]
    points = np.array([[f.point(u, float(v), lift) for u, lift in columns] for v in along])
    kerb, top = kit.surface(Look("concrete")), kit.surface(Look(kit.pick(("grass", "stone", "ground"))))
    kit.add(site.scene, strips(points, [0, 1, 0]), [kerb, top])
    kind = kit.weighted(
        {"street_tree": 3, "tree": 1.5, "hedge": 1, "fence": 1.5, "bollard": 1, "lamp_post": 1, "bush": 1.5}
    )
    index = kit.index(kind)
    length = kit.size(index)[0]
    step = length if kind in {"hedge", "fence"} else kit.uniform(4.0, 12.0)
    v = -18.0
    while v < end - step:
        yaw = math.pi / 2 if kind in {"hedge", "fence"} else kit.uniform(0.0, 6.3)
        site.put(index, 0.0, v + step / 2, yaw, lift=0.14, radius=0.4)
        v += step


def over_the_road(site: Site) -> None:
    """A footbridge, an elevated road, scaffolding along a front."""
    kit, f = site.kit, site.frame
    if kit.chance(0.07):
        index = kit.index("footbridge")
        reach = 2.0 * (f.edge + 0.8) / (kit.size(index)[0] - 8.0)
        site.put(index, 0.0, kit.uniform(22.0, 100.0), 0.0, scale=(reach, 1.0, kit.uniform(1.0, 1.2)), radius=0.0)
    if kit.chance(0.06):
        index = kit.index("viaduct")
        piers = (f.edge + 1.6) / 13.0
        site.put(index, 0.0, kit.uniform(20.0, 90.0), 0.0, scale=(max(1.0, piers), 1.0, 1.0), radius=0.0)
    if kit.chance(0.15):
        side = -1 if kit.chance(0.5) else 1
        site.put("scaffolding", side * (f.edge - 0.6), kit.uniform(8.0, 60.0), facing(side))


def works(site: Site) -> None:
    """A row of barriers that closes part of the road or the pavement, with cones."""
    kit, f = site.kit, site.frame
    if not kit.chance(0.16):
        return
    side, index, v = -1 if kit.chance(0.5) else 1, kit.index("jersey_barrier"), kit.uniform(-10.0, 30.0)
    u, end = side * (f.road + kit.uniform(-2.0, 0.4)), v + kit.uniform(8.0, 60.0)
    while v < end:
        if site.room(u, v, 0.3):
            site.put(index, u, v, math.pi / 2 + kit.normal(0.0, 0.04))
        v += kit.size(index)[0] + 0.03
        if kit.chance(0.15):
            site.put("cone", u - side * kit.uniform(0.4, 0.9), v)


def striped_kerbs(site: Site) -> None:
    """Kerb stones painted black and white in turns."""
    kit, f = site.kit, site.frame
    if f.walk <= 0 or not kit.chance(0.1):
        return
    length = kit.uniform(0.7, 1.5)
    faces: list[list[tuple[float, float, float]]] = []
    for side in (-1, 1):
        u, out, v = side * (f.road - 0.01), side * 0.22, -20.0
        while v < 90.0:
            if not f.crossed(v, length):
                ends = [f.point(side * (f.road + 0.1), w, 0.012) for w in (v, v + length)]
                inner = [(f.middle(w)[0] + u, w, e[2] - 0.13) for w, e in zip((v, v + length), ends, strict=True)]
                upper = [(f.middle(w)[0] + u, w, e[2]) for w, e in zip((v, v + length), ends, strict=True)]
                outer = [(x + out, y, z) for x, y, z in upper]
                near, far = (0, 1) if side > 0 else (1, 0)
                faces.append([upper[near], outer[near], outer[far], upper[far]])
                faces.append([inner[far], inner[near], upper[near], upper[far]])
            v += 2 * length
    for tint, begin in (((0.12, 0.12, 0.12), 0), ((0.85, 0.85, 0.82), 1)):
        shift = np.array((0.0, begin * length, 0.0))
        kit.add(site.scene, quads(np.array(faces) + shift), [kit.surface(Look("concrete", tint=tint))])
