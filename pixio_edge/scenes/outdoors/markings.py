"""Paint and patches on roads."""

from __future__ import annotations

import numpy as np

from pixio_edge.scenes.mesh import Look
from pixio_edge.scenes.outdoors.pavings import asphalt
from pixio_edge.scenes.outdoors.site import Site
from pixio_edge.scenes.scene import Vector
from pixio_edge.scenes.shapes.hulls import quads

# A road is at least this wide (half, metres) to have four lanes.
FOUR_LANES = 6.5


def markings(site: Site, start: float) -> None:
    """Lines along the road, arrows, crossings, patches of newer asphalt; `start` is where the road begins (v)."""
    kit, f = site.kit, site.frame
    lines = _lanes(site, start)
    for _ in range(kit.integer(0, 2)):
        v, count = kit.uniform(0.0, 70.0), int(f.road / 0.5)
        lines += [((i - 0.5 * count) + 0.0, (i - 0.5 * count) + 0.5, v, v + 3.0) for i in range(count)]
    patches = []
    for _ in range(kit.integer(0, 10)):
        u, v = kit.uniform(-0.9, 0.7) * f.road, kit.uniform(start, 70.0)
        patches.append((u, min(u + kit.log_uniform(0.4, 3.0), f.road), v, v + kit.log_uniform(0.5, 9.0)))
    for flat, look, lift in ((patches, asphalt(kit), 0.008), (lines, Look("marking", repeat_m=(0.5, 2.0)), 0.014)):
        if flat:
            corners = [
                [f.point(a, c, lift), f.point(b, c, lift), f.point(b, d, lift), f.point(a, d, lift)]
                for a, b, c, d in flat
            ]
            if look.use == "marking" and kit.chance(0.3):
                corners += _arrows(site)
            kit.add(site.scene, quads(corners), [kit.surface(look)])


def _lanes(site: Site, start: float) -> list[tuple[float, float, float, float]]:
    """Lines between lanes and along the edges: low u, high u, low v, high v."""
    kit, f = site.kit, site.frame
    lines: list[tuple[float, float, float, float]] = []
    if kit.chance(0.65):
        dash, gap = (kit.uniform(2.0, 4.0), kit.uniform(2.0, 7.0)) if kit.chance(0.8) else (5.0, 0.0)
        for u in [0.0] if f.road < FOUR_LANES else [-0.5 * f.road, 0.0, 0.5 * f.road]:
            v = start + kit.uniform(0.0, 5.0)
            while v < 125.0:
                lines.append((u - 0.07, u + 0.07, v, v + dash))
                v += dash + gap
    if kit.chance(0.35):
        for side in (-1, 1):
            u = side * (f.road - kit.uniform(0.2, 0.4))
            lines += [(u - 0.06, u + 0.06, v, v + 5.0) for v in np.arange(start, 123.0, 5.0).tolist()]
    return lines


def _arrows(site: Site) -> list[list[Vector]]:
    """Arrows in the lanes, each a bar and a tip."""
    kit, f = site.kit, site.frame
    faces: list[list[Vector]] = []
    for _ in range(kit.integer(1, 5)):
        side = -1 if kit.chance(0.5) else 1
        u, v = side * f.road * kit.pick((0.25, 0.5, 0.75)), kit.uniform(4.0, 60.0)
        bar = [(-0.1, 0.0), (0.1, 0.0), (0.1, 2.6), (-0.1, 2.6)]
        tip = [(-0.4, 2.6), (0.4, 2.6), (0.02, 4.2), (-0.02, 4.2)]
        for outline in (bar, tip):
            corners = [f.point(u + side * a, v + side * b, 0.014) for a, b in outline]
            faces.append(corners)
    return faces
