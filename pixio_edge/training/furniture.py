"""Furniture and clutter: small assemblies of primitives that rest on a surface.

Every function adds its item to a scene at a place: (x, y), standing at height z in metres, turned by `yaw` in radians
about the vertical. An item's own axes are x to its right, y to its back, z up.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from pixio_edge.training.geometry import Scene, Surface, Vector, rotation_from
from pixio_edge.training.kit import Kit

Place = tuple[float, float, float, float]  # x, y, z, yaw
Furniture = Callable[[Scene, Kit, Place], None]


@dataclass(frozen=True, slots=True)
class _Assembly:
    """Adds solids to a scene in the axes of an item that stands at a place."""

    scene: Scene
    place: Place

    def add(self, kind: str, offset: Vector, size: Vector, surface: Surface) -> None:
        """Add a solid whose base is at `offset` in the item's own axes; `size` is the full extent."""
        x, y, base = _to_world(self.place, offset)
        half = (size[0] / 2, size[1] / 2, size[2] / 2)
        self.scene.add(kind, (x, y, base + half[2]), half, surface, yaw=self.place[3])

    def add_legs(self, kit: Kit, extent: Vector, surface: Surface) -> None:
        """Add four legs at the corners of (width, depth), as high as the third."""
        width, depth, height = extent
        thick = kit.uniform(0.025, 0.08)
        kind = "cylinder" if kit.chance(0.5) else "box"
        for sx in (-1, 1):
            for sy in (-1, 1):
                offset = (sx * (width / 2 - thick), sy * (depth / 2 - thick), 0.0)
                self.add(kind, offset, (thick, thick, height), surface)


def table(scene: Scene, kit: Kit, place: Place) -> None:
    """A table with four legs and things on it."""
    item = _Assembly(scene, place)
    width, depth, height = kit.uniform(0.6, 1.8), kit.uniform(0.5, 1.0), kit.uniform(0.4, 0.95)
    thick = kit.uniform(0.02, 0.07)
    wood = kit.surface("furniture")
    item.add("box", (0, 0, height - thick), (width, depth, thick), wood)
    item.add_legs(kit, (width, depth, height - thick), wood)
    clutter(scene, kit, place, (width, depth, height), kit.integer(0, 6))


def chair(scene: Scene, kit: Kit, place: Place) -> None:
    """A chair: seat, back, four legs."""
    item = _Assembly(scene, place)
    width, seat = kit.uniform(0.38, 0.55), kit.uniform(0.4, 0.5)
    frame, cushion = kit.surface("furniture"), kit.surface("furniture")
    item.add("box", (0, 0, seat - 0.05), (width, width, 0.06), cushion)
    item.add("box", (0, width / 2, seat), (width, 0.05, kit.uniform(0.3, 0.6)), cushion)
    item.add_legs(kit, (width, width, seat - 0.05), frame)


def sofa(scene: Scene, kit: Kit, place: Place) -> None:
    """A sofa or armchair with arms and cushions."""
    item = _Assembly(scene, place)
    width, depth, seat = kit.uniform(0.8, 2.4), kit.uniform(0.7, 1.0), kit.uniform(0.35, 0.48)
    fabric = kit.surface("furniture")
    item.add("box", (0, 0, 0.05), (width, depth, seat), fabric)
    item.add("box", (0, depth / 2 - 0.1, seat), (width, 0.22, kit.uniform(0.3, 0.5)), fabric)
    for side in (-1, 1):
        item.add("box", (side * (width / 2 - 0.08), 0, seat), (0.18, depth, 0.2), fabric)
    for _ in range(kit.integer(0, 3)):
        offset = (kit.uniform(-0.4, 0.4) * width, 0.1, seat + 0.02)
        item.add("ball", offset, (0.45, 0.2, 0.4), kit.surface("object"))


def bed(scene: Scene, kit: Kit, place: Place) -> None:
    """A bed with mattress, pillows and headboard."""
    item = _Assembly(scene, place)
    width, length, height = kit.uniform(0.9, 1.9), kit.uniform(1.9, 2.1), kit.uniform(0.25, 0.45)
    sheet = kit.surface("object")
    item.add("box", (0, 0, 0), (width, length, height), kit.surface("furniture"))
    item.add("box", (0, 0, height), (width * 0.97, length * 0.97, 0.2), sheet)
    item.add("box", (0, length / 2, 0), (width, 0.06, kit.uniform(0.7, 1.2)), kit.surface("furniture"))
    for side in (-1, 1):
        offset = (side * width / 4, length * 0.38, height + 0.15)
        item.add("ball", offset, (width * 0.42, 0.4, 0.22), kit.surface("object"))


def cabinet(scene: Scene, kit: Kit, place: Place) -> None:
    """A cupboard, chest, fridge or counter, with door fronts, sometimes with things on top."""
    item = _Assembly(scene, place)
    width, depth, height = kit.uniform(0.4, 2.2), kit.uniform(0.3, 0.65), kit.uniform(0.5, 2.2)
    body = kit.surface("furniture")
    item.add("box", (0, 0, 0), (width, depth, height), body)
    doors = kit.integer(1, 4)
    front = kit.surface("furniture")
    for index in range(doors):
        offset = ((index + 0.5) / doors * width - width / 2, -depth / 2, 0.05)
        item.add("box", offset, (width / doors * 0.94, 0.03, height * 0.94), front)
    if height < 1.4:
        clutter(scene, kit, place, (width, depth, height), kit.integer(0, 4))


def shelf(scene: Scene, kit: Kit, place: Place) -> None:
    """An open shelf with rows of books and boxes."""
    item = _Assembly(scene, place)
    width, depth, levels, gap = (
        kit.uniform(0.6, 1.4),
        kit.uniform(0.25, 0.4),
        kit.integer(2, 5),
        kit.uniform(0.28, 0.45),
    )
    wood = kit.surface("furniture")
    for side in (-1, 1):
        item.add("box", (side * width / 2, 0, 0), (0.03, depth, levels * gap), wood)
    item.add("box", (0, depth / 2, 0), (width, 0.02, levels * gap), wood)
    for level in range(levels + 1):
        item.add("box", (0, 0, level * gap), (width, depth, 0.025), wood)
        if level < levels and kit.chance(0.8):
            share = kit.uniform(0.3, 0.95)
            offset = ((share - 1) * width / 2 * kit.uniform(-1, 1), 0, level * gap + 0.025)
            size = (width * share * 0.95, depth * kit.uniform(0.5, 0.9), gap * kit.uniform(0.5, 0.85))
            item.add("box", offset, size, kit.picture() if kit.chance(0.5) else kit.surface("object"))


def lamp_stand(scene: Scene, kit: Kit, place: Place) -> None:
    """A floor lamp."""
    item = _Assembly(scene, place)
    height = kit.uniform(1.2, 1.9)
    metal = kit.surface("furniture")
    item.add("cylinder", (0, 0, 0), (0.3, 0.3, 0.03), metal)
    item.add("cylinder", (0, 0, 0), (0.03, 0.03, height), metal)
    item.add("cylinder" if kit.chance(0.6) else "ball", (0, 0, height), (0.4, 0.4, 0.3), kit.surface("object"))


def plant(scene: Scene, kit: Kit, place: Place) -> None:
    """A potted plant."""
    item = _Assembly(scene, place)
    pot = kit.uniform(0.2, 0.45)
    item.add("cylinder", (0, 0, 0), (pot, pot, pot), kit.surface("object"))
    leaf = kit.surface("foliage", repeat=(0.2, 0.6))
    for _ in range(kit.integer(2, 4)):
        size = kit.uniform(0.25, 0.6)
        offset = (kit.uniform(-0.15, 0.15), kit.uniform(-0.15, 0.15), pot + kit.uniform(-0.05, 0.5))
        item.add("ball", offset, (size, size, size * kit.uniform(0.6, 1.4)), leaf)


def person(scene: Scene, kit: Kit, place: Place) -> None:
    """A standing figure of rounded parts."""
    item = _Assembly(scene, place)
    height = kit.uniform(1.5, 1.9)
    trousers, shirt = kit.surface("object"), kit.surface("object")
    for side in (-1, 1):
        item.add("cylinder", (side * 0.1, 0, 0), (0.16, 0.17, height * 0.48), trousers)
        item.add("ball", (side * 0.25, 0, height * 0.42), (0.12, 0.14, height * 0.42), shirt)
    item.add("ball", (0, 0, height * 0.42), (0.44, 0.28, height * 0.45), shirt)
    item.add("ball", (0, 0, height * 0.86), (0.17, 0.2, height * 0.14), kit.surface("object", tint=0.2))


def pillar(scene: Scene, kit: Kit, place: Place) -> None:
    """A floor-to-ceiling column."""
    item = _Assembly(scene, place)
    size = kit.uniform(0.2, 0.6)
    item.add("cylinder" if kit.chance(0.5) else "box", (0, 0, 0), (size, size, 4.0), kit.surface("wall"))


def pile(scene: Scene, kit: Kit, place: Place) -> None:
    """Boxes and balls on the floor, some stacked."""
    top = 0.0
    for _ in range(kit.integer(1, 3)):
        size = kit.uniform(0.15, 0.6)
        extent = (size, size * kit.uniform(0.6, 1.4), size * kit.uniform(0.5, 1.2))
        kind = "box" if kit.chance(0.7) else "ball"
        turned = (place[0], place[1], place[2], place[3] + kit.uniform(-0.5, 0.5))
        look = kit.picture() if kit.chance(0.2) else kit.surface("object")
        _Assembly(scene, turned).add(kind, (0, 0, top), extent, look)
        top += extent[2]
        if kind == "ball":
            break


def clutter(scene: Scene, kit: Kit, place: Place, top: Vector, count: int) -> None:
    """Small things resting on a top of (width, depth, height)."""
    for _ in range(count):
        offset = (kit.uniform(-0.42, 0.42) * top[0], kit.uniform(-0.38, 0.38) * top[1], top[2])
        small_thing(scene, kit, place, offset)


def small_thing(scene: Scene, kit: Kit, place: Place, offset: Vector) -> None:
    """One hand-sized thing: box, can, bottle, bowl, ball, screen or book."""
    x, y, z = _to_world(place, offset)
    turned = (x, y, z, place[3] + kit.uniform(-1.5, 1.5))
    thing = _Assembly(scene, turned)
    look = kit.picture() if kit.chance(0.25) else kit.surface("object", repeat=(0.1, 0.6))
    size = kit.uniform(0.05, 0.25)
    kind = kit.integer(0, 6)
    if kind == 0:
        extent = (size, size * kit.uniform(0.4, 1.2), size * kit.uniform(0.3, 2.0))
        thing.add("box", (0, 0, 0), extent, look)
    elif kind == 1:
        thing.add("cylinder", (0, 0, 0), (size * 0.6, size * 0.6, size * kit.uniform(0.6, 1.6)), look)
    elif kind == 2:
        thing.add("cylinder", (0, 0, 0), (size * 0.5, size * 0.5, size * 1.2), look)
        thing.add("cylinder", (0, 0, size * 1.2), (size * 0.2, size * 0.2, size * 0.5), look)
    elif kind == 3:
        thing.add("ball", (0, 0, -0.1 * size), (size * 1.5, size * 1.5, size * 0.6), look)
    elif kind == 4:
        thing.add("ball", (0, 0, 0), (size, size, size * kit.uniform(0.8, 1.2)), look)
    elif kind == 5:
        width = kit.uniform(0.3, 0.6)
        thing.add("box", (0, 0, 0.08), (width, 0.03, width * 0.6), kit.picture())
        thing.add("box", (0, 0, 0), (width * 0.3, 0.12, 0.08), kit.surface("furniture"))
    else:
        leaning = rotation_from(turned[3], kit.uniform(-0.3, 0.3), kit.uniform(-0.3, 0.3))
        scene.add("box", (x, y, z + size * 0.3), (size * 0.7, size * 0.5, size * 0.12), look, rotation=leaning)


def _to_world(place: Place, offset: Vector) -> Vector:
    cos, sin = math.cos(place[3]), math.sin(place[3])
    return (
        place[0] + cos * offset[0] - sin * offset[1],
        place[1] + sin * offset[0] + cos * offset[1],
        place[2] + offset[2],
    )


# What stands with its back to a wall, and what stands anywhere; a repeated item comes more often.
AGAINST_WALL: tuple[Furniture, ...] = (cabinet, cabinet, shelf, sofa, bed, table, lamp_stand, plant)
STANDING: tuple[Furniture, ...] = (table, chair, chair, pile, plant, sofa, person, pillar)
