"""Indoor layouts: rooms, corridors, tabletops, and rooms full of loose shapes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pixio_edge.training.furniture import (
    AGAINST_WALL,
    STANDING,
    Furniture,
    Place,
    chair,
    clutter,
    person,
    pile,
    plant,
    small_thing,
)
from pixio_edge.training.geometry import Camera, Scene, Surface, rotation_from
from pixio_edge.training.kit import Kit


@dataclass(frozen=True, slots=True)
class _Extent:
    """Inner extent of a room in metres: along x, y and z."""

    width: float
    length: float
    height: float


def _shell(kit: Kit, scene: Scene, extent: _Extent) -> None:
    """The room itself: a box seen from within, floor at z = 0, centred on the origin."""
    wall = kit.surface("wall", repeat=(0.8, 4.0))
    above, below = kit.texture("wall"), kit.texture("floor")
    surface = Surface(wall.side, above, below, wall.repeat_m, wall.tint, wall.gloss, contrast=wall.contrast)
    half = (extent.width / 2, extent.length / 2, extent.height / 2)
    scene.add("box", (0, 0, half[2]), half, surface, inside=True)


def _wall_place(kit: Kit, extent: _Extent, depth: float) -> Place:
    """A spot in front of a random wall, its back to the wall."""
    width, length = extent.width, extent.length
    side = kit.integer(0, 3)
    along_x, along_y = kit.uniform(-0.45, 0.45) * width, kit.uniform(-0.45, 0.45) * length
    return (
        (along_x, length / 2 - depth, 0.0, 0.0),
        (along_x, -length / 2 + depth, 0.0, math.pi),
        (width / 2 - depth, along_y, 0.0, -math.pi / 2),
        (-width / 2 + depth, along_y, 0.0, math.pi / 2),
    )[side]


def _hang(kit: Kit, scene: Scene, extent: _Extent, count: int) -> None:
    """Pictures, windows, doors and boards on the walls."""
    for _ in range(count):
        x, y, _, yaw = _wall_place(kit, extent, 0.02)
        if kit.chance(0.3):  # door
            size, base = (kit.uniform(0.7, 1.0), 0.05, min(kit.uniform(1.9, 2.1), extent.height)), 0.0
            look = kit.surface("furniture")
        else:
            size, base = (kit.uniform(0.3, 1.8), 0.04, kit.uniform(0.3, 1.2)), kit.uniform(0.9, 1.5)
            look = kit.picture()
        scene.add("box", (x, y, base + size[2] / 2), (size[0] / 2, size[1] / 2, size[2] / 2), look, yaw=yaw)


def _camera_in(kit: Kit, extent: _Extent) -> Camera:
    """Hand-held or on a robot: near one side, looking across the room."""
    reach = kit.uniform(0.15, 0.9)
    turn = kit.uniform(0, 2 * math.pi)
    x = -math.sin(turn) * reach * (extent.width / 2 - 0.2)
    y = -math.cos(turn) * reach * (extent.length / 2 - 0.2)
    # Facing the middle of the room, give or take; yaw 0 looks along +y.
    yaw = math.atan2(x, -y) + kit.uniform(-0.7, 0.7)
    z = min(kit.uniform(0.25, 0.8) if kit.chance(0.15) else kit.uniform(0.9, 1.8), extent.height - 0.2)
    pitch = float(kit.rng.normal(0.25, 0.25))
    return Camera((x, y, z), yaw, min(max(pitch, -0.5), 1.2), float(kit.rng.normal(0, 0.06)), kit.uniform(0.75, 1.45))


def room(kit: Kit) -> Scene:
    """A furnished room."""
    width, length, height = kit.uniform(2.4, 8.0), kit.uniform(2.4, 8.0), kit.uniform(2.2, 3.6)
    extent = _Extent(width, length, height)
    scene = Scene(_camera_in(kit, extent), kit.lamp((kit.uniform(-1, 1), kit.uniform(-1, 1), height - 0.2)))
    _shell(kit, scene, extent)
    for _ in range(kit.integer(2, 6)):
        _place_clear(kit, scene, _wall_place(kit, extent, kit.uniform(0.3, 0.6)), AGAINST_WALL)
    for _ in range(kit.integer(0, 5)):
        place = (kit.uniform(-0.4, 0.4) * width, kit.uniform(-0.4, 0.4) * length, 0.0, kit.uniform(0, 6.3))
        _place_clear(kit, scene, place, STANDING)
    _hang(kit, scene, extent, kit.integer(1, 6))
    if kit.chance(0.3):  # a lamp or a beam below the ceiling
        size = (kit.uniform(0.1, 0.5), kit.uniform(0.1, 2.0), kit.uniform(0.03, 0.2))
        scene.add("box", (kit.uniform(-1, 1), kit.uniform(-1, 1), height - size[2]), size, kit.surface("object"))
    return scene


def _place_clear(kit: Kit, scene: Scene, place: Place, items: tuple[Furniture, ...]) -> None:
    """Put a random item down unless it would stand in the camera."""
    camera = scene.camera.position
    if math.hypot(place[0] - camera[0], place[1] - camera[1]) > 0.75:
        items[kit.integer(0, len(items) - 1)](scene, kit, place)


def corridor(kit: Kit) -> Scene:
    """A long narrow room with doors, pillars and things along the walls."""
    width, length, height = kit.uniform(1.3, 3.5), kit.uniform(8, 40), kit.uniform(2.2, 3.5)
    camera = Camera(
        (kit.uniform(-0.3, 0.3) * width, -length / 2 + kit.uniform(0.3, 3.0), kit.uniform(0.3, 1.8)),
        float(kit.rng.normal(0, 0.25)),
        float(kit.rng.normal(0.08, 0.12)),
        float(kit.rng.normal(0, 0.05)),
        kit.uniform(0.8, 1.5),
    )
    scene = Scene(camera, kit.lamp((0.0, camera.position[1] + kit.uniform(1, 6), height - 0.2)))
    extent = _Extent(width, length, height)
    _shell(kit, scene, extent)
    door, frame = kit.surface("furniture"), kit.surface("wall")
    for side in (-1, 1):
        at = camera.position[1] + kit.uniform(0, 2)
        while at < length / 2 and len(scene.primitives) < 40:
            depth = kit.uniform(0.02, 0.2)
            size = (depth, kit.uniform(0.4, 0.55), kit.uniform(0.95, 1.1))
            scene.add("box", (side * width / 2, at, size[2]), size, door if kit.chance(0.8) else frame)
            at += kit.uniform(1.5, 5.0)
    for _ in range(kit.integer(0, 6)):
        item = (pile, plant, person, chair)[kit.integer(0, 3)]
        side = 1 if kit.chance(0.5) else -1
        spot = camera.position[1] + kit.uniform(1.5, 12)
        item(scene, kit, (side * (width / 2 - 0.35), spot, 0.0, kit.uniform(0, 6.3)))
    for index in range(kit.integer(0, 5)):
        bar = (width / 2, kit.uniform(0.05, 0.15), kit.uniform(0.05, 0.2))
        scene.add("box", (0, camera.position[1] + 2.5 + 3 * index, height), bar, frame)
    return scene


def tabletop(kit: Kit) -> Scene:
    """Things on a table, seen from close by."""
    width, length, height = kit.uniform(3, 7), kit.uniform(3, 7), kit.uniform(2.4, 3.2)
    top = (kit.uniform(0.7, 2.0), kit.uniform(0.6, 1.4), kit.uniform(0.5, 1.0))
    away, rise = kit.uniform(0.25, 0.9), kit.uniform(0.15, 0.9)
    camera_y = -top[1] / 2 * kit.uniform(0.2, 1.0) - away
    aim = kit.uniform(-0.2, 0.4) * top[1]
    pitch = math.atan2(rise, aim - camera_y) + kit.uniform(-0.15, 0.1)
    camera = Camera(
        (kit.uniform(-0.3, 0.3), camera_y, top[2] + rise),
        kit.uniform(-0.3, 0.3),
        pitch,
        float(kit.rng.normal(0, 0.06)),
        kit.uniform(0.7, 1.25),
    )
    scene = Scene(camera, kit.lamp((kit.uniform(-1, 1), kit.uniform(-1, 1), height - 0.2)))
    extent = _Extent(width, length, height)
    _shell(kit, scene, extent)
    base = (0.0, 0.0, 0.0, kit.uniform(-0.2, 0.2))
    scene.add("box", (0, 0, top[2] - 0.03), (top[0] / 2, top[1] / 2, 0.03), kit.surface("furniture"), yaw=base[3])
    for _ in range(kit.integer(3, 14)):
        offset = (kit.uniform(-0.4, 0.4) * min(top[0], 1.2), kit.uniform(-0.4, 0.45) * top[1], top[2])
        small_thing(scene, kit, base, offset)
    if kit.chance(0.3):  # a tray or bin with things in it
        size = kit.uniform(0.15, 0.3)
        for sx, sy, wide, deep in ((-1, 0, 0.01, size), (1, 0, 0.01, size), (0, -1, size, 0.01), (0, 1, size, 0.01)):
            scene.add("box", (sx * size, sy * size, top[2] + 0.08), (wide, deep, 0.08), kit.surface("object"))
        clutter(scene, kit, base, (2 * size, 2 * size, top[2]), 4)
    for _ in range(kit.integer(1, 5)):
        place = _wall_place(kit, extent, 0.4)
        if place[1] > 0.8:
            _place_clear(kit, scene, place, AGAINST_WALL)
    _hang(kit, scene, extent, kit.integer(1, 4))
    return scene


def loose_shapes(kit: Kit) -> Scene:
    """Shapes at any angle in a room: the vertical position of a pixel says nothing about its depth here."""
    width, length, height = kit.uniform(2, 8), kit.uniform(4, 12), kit.uniform(2, 6)
    camera = Camera(
        (0.0, -length / 2 + 0.4, kit.uniform(0.3, 0.7) * height),
        kit.uniform(-0.5, 0.5),
        kit.uniform(-0.6, 0.6),
        kit.uniform(-0.5, 0.5),
        kit.uniform(0.7, 1.5),
    )
    scene = Scene(camera, kit.lamp((kit.uniform(-2, 2), kit.uniform(-2, 2), height - 0.2)))
    _shell(kit, scene, _Extent(width, length, height))
    for _ in range(kit.integer(8, 45)):
        place = np.array([kit.uniform(-0.5, 0.5) * width, kit.uniform(-0.4, 0.5) * length, kit.uniform(0, 1) * height])
        extent = np.exp(kit.rng.uniform(np.log(0.04), np.log(0.7), 3))
        if np.linalg.norm(place - np.array(camera.position)) < 0.4 + extent.max():
            continue
        look = kit.picture() if kit.chance(0.2) else kit.surface("object")
        kind = ("box", "box", "ball", "cylinder")[kit.integer(0, 3)]
        turn = rotation_from(kit.uniform(0, 6.3), kit.uniform(0, 6.3), kit.uniform(0, 6.3))
        scene.add(
            kind, (float(place[0]), float(place[1]), float(place[2])), tuple(extent.tolist()), look, rotation=turn
        )
    return scene
