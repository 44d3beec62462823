"""What stands on either side of a road or path: rows of houses, gardens, blocks, woods, fields."""

from __future__ import annotations

import math

from pixio_edge.scenes.outdoors.site import Site

# Things stand nearer to each other and in more detail up to this v; beyond it stand simpler models.
NEAR_TO = 55.0
# Beyond this v trees are specks.
FAR_FROM = 85.0
# What stands there instead.
_SIMPLER = {"tree": "tree_far", "bush": "bush_far", "hedge": "hedge_far", "tree_far": "tree_speck"}
# Categories of different sizes, those that face the road, and those that nobody minds standing in.
_GROWN = frozenset({"tree", "tree_far", "tree_speck", "bush", "bush_far", "grass_tuft", "rock", "cypress"})
_TURNED = frozenset({"billboard", "park_bench", "house", "hedge", "hedge_far", "sign"})
_FLAT = frozenset({"grass_tuft", "flower_bed"})


def facing(side: int) -> float:
    """Yaw of a thing at that side (-1: left, 1: right) which looks at the road."""
    return -side * math.pi / 2


def terraces(site: Site, side: int, start: float, end: float) -> None:
    """Houses wall to wall, at the pavement or behind front gardens."""
    kit, f = site.kit, site.frame
    garden = 0.0 if kit.chance(0.55) else kit.uniform(1.5, 5.0)
    tall = kit.uniform(0.8, 1.2)
    v = start
    while v < end:
        index = kit.index("terrace" if kit.chance(0.85) else "house")
        width, depth, _ = kit.size(index)
        scale = (kit.uniform(0.85, 1.2), 1.0, tall * kit.uniform(0.92, 1.08))
        half = 0.5 * width * scale[0]
        if v + 2 * half > end + 3.0:
            break
        site.put(index, side * (f.edge + garden + 0.1 + depth / 2), v + half, facing(side), scale=scale, sink=True)
        v += 2 * half + (kit.uniform(1.5, 7.0) if kit.chance(0.12) else 0.0)
    if garden > 0:
        boundary(site, side, f.edge + 0.3, start, min(end, FAR_FROM))
        sprinkle(site, {"bush": 3, "street_tree": 0.7, "flower_bed": 1, "street_bin": 0.7, "cypress": 0.5}, side,
                 (f.edge + 0.8, f.edge + garden), (start, end), every=7.0)  # fmt: skip


def houses(site: Site, side: int, start: float, end: float) -> None:
    """Detached houses in gardens behind hedges, fences or walls."""
    kit, f = site.kit, site.frame
    setback = kit.uniform(3.0, 9.0)
    v = start
    while v < end:
        index = kit.index("house")
        width, depth, _ = kit.size(index)
        if v + width > end + 3.0:
            break
        u = f.edge + setback + kit.uniform(-1.0, 2.0) + depth / 2
        site.put(index, side * u, v + width / 2, facing(side) + kit.normal(0.0, 0.06), sink=True)
        gap = kit.uniform(3.0, 12.0)
        if gap > 5.5 and kit.chance(0.4):
            site.put("shed", side * (u - 1.0), v + width + gap / 2, facing(side), sink=True)
        v += width + gap
    boundary(site, side, f.edge + 0.4, start, min(end, FAR_FROM))
    garden = {"bush": 4, "tree": 1.2, "cypress": 0.8, "street_tree": 1.5, "flower_bed": 0.7}
    sprinkle(site, garden, side, (f.edge + 1.2, f.edge + setback), (start, end), every=4.5)
    trees_behind(site, side, f.edge + setback + 13.0, start, end)


def blocks(site: Site, side: int, start: float, end: float) -> None:
    """Blocks of flats and offices on lawns, with trees."""
    kit, f = site.kit, site.frame
    setback = kit.uniform(0.5, 14.0)
    v = start
    while v < end:
        index = kit.index("block" if kit.chance(0.85) else "tower")
        width, depth, _ = kit.size(index)
        along = kit.chance(0.75)
        length, deep = (width, depth) if along else (depth, width)
        if v + length > end + 3.0:
            break
        yaw = facing(side) if along else 0.0
        site.put(
            index, side * (f.edge + setback + deep / 2), v + length / 2, yaw, scale=kit.uniform(0.9, 1.1), sink=True
        )
        v += length + (kit.uniform(4.0, 22.0) if kit.chance(0.6) else 0.3)
    if setback > 2.0 and kit.chance(0.6):
        shrubs(site, side, f.edge + setback - 0.9, start, min(end, FAR_FROM))
    if setback > 3.0:
        lawn = {"tree": 2, "bush": 3, "hedge": 1, "street_tree": 1.5, "park_bench": 0.4, "lamp_post": 0.4}
        sprinkle(site, lawn, side, (f.edge + 0.8, f.edge + setback - 1.5), (start, end), every=5.0)


def shrubs(site: Site, side: int, u: float, start: float, end: float) -> None:
    """Rows of bushes next to each other, with gaps."""
    kit = site.kit
    kinds = [kit.index("bush") for _ in range(2)]
    v = start
    while v < end:
        if kit.chance(0.06):
            v += kit.uniform(2.0, 12.0)
        if site.room(side * u, v, 0.1):
            index = kit.pick(kinds) if v < NEAR_TO else kit.index("bush_far")
            size = 1.1 / max(0.5, kit.size(index)[2])
            site.put(
                index, side * (u + kit.normal(0.0, 0.15)), v, kit.uniform(0.0, 6.3), scale=size * kit.uniform(0.7, 1.3)
            )
        v += kit.uniform(0.7, 1.3)


def garages(site: Site, side: int, start: float, end: float) -> None:
    """Rows of garages and sheds, walls and board fences."""
    kit, f = site.kit, site.frame
    index, v = kit.index("shed"), start
    width, depth, _ = kit.size(index)
    while v + width < end:
        if kit.chance(0.8):
            site.put(index, side * (f.edge + 0.4 + depth / 2), v + width / 2, facing(side), sink=True)
            v += width + 0.05
        else:
            boundary(site, side, f.edge + 0.3, v, v + 8.0)
            v += kit.uniform(9.0, 14.0)
            index = kit.index("shed")
            width, depth, _ = kit.size(index)
    things = {"street_bin": 3, "cycle": 1, "planter": 0.7, "bush": 1.5, "crate": 0.7}
    sprinkle(site, things, side, (f.edge, f.edge + 0.2), (start, min(end, NEAR_TO)), every=5.0)
    trees_behind(site, side, f.edge + depth + 4.0, start, end)


def halls(site: Site, side: int, start: float, end: float) -> None:
    """Warehouses and supermarkets behind fences or car parks."""
    kit, f = site.kit, site.frame
    setback = kit.uniform(4.0, 22.0)
    v = start
    while v < end:
        index = kit.index("hall" if kit.chance(0.8) else "block")
        width, depth, _ = kit.size(index)
        if v + width > end + 3.0:
            break
        site.put(index, side * (f.edge + setback + depth / 2), v + width / 2, facing(side), sink=True)
        v += width + kit.uniform(2.0, 20.0)
    if setback > 9.0:
        place = start
        while place < min(end, FAR_FROM):
            if kit.chance(0.65):
                yaw = facing(side) + (math.pi if kit.chance(0.5) else 0.0) + kit.normal(0.0, 0.03)
                site.put(car(site), side * (f.edge + 4.5), place, yaw, radius=0.95)
            place += 2.6
    if kit.chance(0.6):
        boundary(site, side, f.edge + 0.5, start, min(end, FAR_FROM))
    sprinkle(site, {"billboard": 1, "bush": 2, "tree": 1, "street_box": 0.5, "utility_pole": 0.6}, side,
             (f.edge + 0.8, f.edge + 2.5), (start, end), every=11.0)  # fmt: skip


def green(site: Site, side: int, start: float, end: float) -> None:
    """A wood, or a park's edge: trees in several rows over bushes."""
    kit, f = site.kit, site.frame
    first, dense = f.edge + kit.uniform(0.8, 4.0), kit.uniform(3.0, 6.5)
    for row in range(4):
        v = start + kit.uniform(0.0, dense)
        while v < end * (1.0, 1.0, 0.9, 0.8)[row]:
            u = first + row * dense + kit.uniform(0.0, 0.7 * dense)
            near = v < NEAR_TO and row < 2
            scale = kit.uniform(0.7, 1.25)
            kind = "tree" if near else "tree_far" if v < (FAR_FROM, FAR_FROM, 45.0, 30.0)[row] else "tree_speck"
            site.put(kind, side * u, v, kit.uniform(0.0, 6.3), scale=scale,
                     radius=1.6 if row == 0 else 0.0)  # fmt: skip
            v += dense * kit.uniform(0.6, 1.7) * (1.0 if near else 1.3)
    under = {"bush": 6, "grass_tuft": 2, "rock": 0.4, "hedge": 1}
    sprinkle(site, under, side, (f.edge + 0.4, first + dense), (start, min(end, FAR_FROM)), every=2.2)
    if kit.chance(0.3):
        boundary(site, side, f.edge + 0.3, start, min(end, FAR_FROM))


def field(site: Site, side: int, start: float, end: float) -> None:
    """Open land with single trees, hedgerows, and a wood or village far off."""
    kit, f = site.kit, site.frame
    if kit.chance(0.6):
        boundary(site, side, f.edge + kit.uniform(0.5, 3.0), start, min(end, FAR_FROM))
    weeds = {"grass_tuft": 8, "bush": 1.0, "rock": 0.6, "sign": 0.15, "tree": 0.5}
    sprinkle(site, weeds, side, (f.edge + 0.2, f.edge + 5.0), (start, min(end, 60.0)), every=1.6)
    sprinkle(
        site,
        {"tree_far": 3, "bush": 1, "shed": 0.1, "house": 0.1},
        side,
        (f.edge + 8.0, f.edge + 60.0),
        (start, end),
        every=8.0,
    )
    trees_behind(site, side, f.edge + kit.uniform(30.0, 90.0), start, 1.5 * end)


def trees_behind(site: Site, side: int, u: float, start: float, end: float) -> None:
    """A far row of trees that closes the view."""
    kit = site.kit
    v = start
    while v < end:
        site.put(
            "tree_far",
            side * (u + kit.uniform(0.0, 8.0)),
            v,
            kit.uniform(0.0, 6.3),
            scale=kit.uniform(0.8, 1.5),
            radius=0.0,
        )
        v += kit.uniform(4.0, 13.0)


def boundary(site: Site, side: int, u: float, start: float, end: float) -> None:
    """A hedge, fence, wall or guard rail along the road, with gaps."""
    kit = site.kit
    kind = kit.weighted({"hedge": 4, "fence": 3, "garden_wall": 3, "guard_rail": 0.5})
    index = kit.index(kind)
    simple = kit.index(_SIMPLER.get(kind, kind)) if kind == "hedge" else index
    length = kit.size(index)[0]
    stretch = length / kit.size(simple)[0]
    scale = (1.0, 1.0, kit.uniform(0.75, 1.2))
    surfaces = kit.surfaces(kit.library.models[index])
    v = start
    while v < end:
        if kit.chance(0.9) and not (site.frame.crossed(v, 1.0) or site.frame.crossed(v + length, 1.0)):
            x, heading = site.frame.middle(v + length / 2)
            at = (x + side * u, v + length / 2, site.frame.height(side * u, v + length / 2) - 0.04)
            far = v > NEAR_TO
            size = (scale[0] * stretch, *scale[1:]) if far else scale
            kit.place(site.scene, simple if far else index, at, facing(side) - heading, scale=size, surfaces=surfaces)
            site.take(at[0], at[1], 0.3, half=(length / 2, 0.0), yaw=facing(side) - heading)
            v += length
        else:
            v += kit.uniform(1.2, 4.0)


def sprinkle(
    site: Site,
    mix: dict[str, float],
    side: int,
    across: tuple[float, float],
    along: tuple[float, float],
    *,
    every: float,
) -> None:
    """Strew things over a strip beside the road.

    Args:
        site: Where to.
        mix: Categories and weights.
        side: -1 left, 1 right.
        across: Range of distances from the middle of the road, metres.
        along: Range of v, metres.
        every: Mean metres between two.
    """
    kit = site.kit
    v = along[0] + kit.uniform(0.0, every)
    while v < along[1]:
        kind = kit.weighted(mix)
        if v > NEAR_TO or across[0] > 24.0:
            kind = _SIMPLER.get(kind, kind)
        size = kit.uniform(0.6, 1.3) if kind in _GROWN else 1.0
        u = kit.uniform(*across) if across[1] > across[0] else across[0]
        if site.room(side * u, v, 0.3):
            radius = 0.4 if kind in {"hedge", "hedge_far"} else 0.0 if kind in _FLAT else None
            yaw = facing(side) if kind in _TURNED else kit.uniform(0.0, 2 * math.pi)
            site.put(kind, side * u, v, yaw, scale=size, radius=radius)
        v += every * kit.uniform(0.4, 1.6)


def car(site: Site) -> str:
    """Category of a parked or driving vehicle."""
    return "car" if site.kit.chance(0.86) else "van"
