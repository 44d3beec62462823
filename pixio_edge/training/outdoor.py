"""Outdoor layouts: streets, and open country on a height field."""

from __future__ import annotations

import math

import numpy as np

from pixio_edge.training.furniture import person, pile
from pixio_edge.training.geometry import Camera, Scene, Surface, Terrain
from pixio_edge.training.kit import Kit


def street(kit: Kit) -> Scene:
    """A road between buildings or trees, with cars, poles, signs, fences and people.

    Seen from a car, a robot or on foot.
    """
    road = kit.uniform(2.5, 7.0)  # half width
    walk = kit.uniform(1.0, 5.0)
    on_foot = kit.chance(0.3)
    x = kit.uniform(-0.6, 0.6) * road if not on_foot else (road + 0.5 * walk) * (1 if kit.chance(0.5) else -1)
    camera = Camera(
        (x, 0.0, kit.uniform(1.2, 2.1) if kit.chance(0.85) else kit.uniform(0.25, 1.0)),
        float(kit.rng.normal(0, 0.15)) if kit.chance(0.6) else kit.uniform(-math.pi, math.pi),
        float(kit.rng.normal(0.03, 0.07)),
        float(kit.rng.normal(0, 0.025)),
        kit.uniform(0.8, 1.75),
    )
    scene = Scene(camera, kit.sun(), backdrop=kit.backdrop(), backdrop_yaw=kit.uniform(0, 6.3))
    ground = kit.surface("ground", repeat=(1.0, 6.0))
    scene.add("box", (0, 0, -1.02), (400, 400, 1), ground)
    scene.add("box", (0, 0, -0.99), (road, 400, 1), kit.surface("road", repeat=(1.5, 6.0)))
    for side in (-1, 1):
        if kit.chance(0.8):
            pavement = kit.surface("road", repeat=(0.5, 3.0))
            scene.add("box", (side * (road + walk / 2), 0, 0), (walk / 2, 400, 0.12), pavement)
        _row(kit, scene, side, road + walk)
        _kerbside(kit, scene, side, road, walk)
    _traffic(kit, scene, road)
    _markings(kit, scene)
    return scene


def _row(kit: Kit, scene: Scene, side: int, edge: float) -> None:
    """Buildings, or hedges and trees, along one side."""
    built = kit.chance(0.75)
    at = kit.uniform(-25, -5)
    setback = kit.uniform(0.0, 8.0)
    while at < 110 and len(scene.primitives) < 50:
        if built and kit.chance(0.85):
            length, height, depth = kit.uniform(5, 25), kit.uniform(3, 22), kit.uniform(4, 10)
            x = side * (edge + setback + kit.uniform(0, 1.5) + depth)
            _building(kit, scene, x, at + length / 2, (depth, length / 2, height))
            at += length + (kit.uniform(0, 8) if kit.chance(0.3) else 0)
        else:
            tree(kit, scene, side * (edge + kit.uniform(0.5, 10)), at)
            at += kit.uniform(4, 14)
    if kit.chance(0.25):
        fence = (0.06, kit.uniform(10, 50), kit.uniform(0.4, 1.2))
        scene.add("box", (side * (edge + 0.2), fence[1], fence[2]), fence, kit.surface("facade"))


def _building(kit: Kit, scene: Scene, x: float, y: float, size: tuple[float, float, float]) -> None:
    """A block with a façade; `size` is half width, half length, full height."""
    facade = kit.surface("facade", repeat=(1.5, 6.0))
    scene.add("box", (x, y, size[2] / 2), (size[0], size[1], size[2] / 2), facade)
    inner = x - math.copysign(size[0], x)
    for _ in range(kit.integer(0, 2)):  # shop windows, balconies, porches
        extent = (kit.uniform(0.05, 0.8), kit.uniform(0.5, 2.5), kit.uniform(0.3, 1.2))
        height = kit.uniform(extent[2], max(extent[2] + 0.1, min(size[2] - 1, 6)))
        look = kit.picture() if kit.chance(0.5) else kit.surface("facade")
        scene.add("box", (inner, y + kit.uniform(-0.8, 0.8) * size[1], height), extent, look)


def tree(kit: Kit, scene: Scene, x: float, y: float, z: float = 0.0) -> None:
    """Trunk and crown, standing at height z."""
    height, radius = kit.uniform(2.0, 6.0), kit.uniform(0.08, 0.3)
    bark = kit.surface("facade", repeat=(0.3, 1.0))
    scene.add("cylinder", (x, y, z + height / 2), (radius, radius, height / 2), bark)
    leaf = kit.surface("foliage", repeat=(0.3, 1.5))
    for _ in range(kit.integer(1, 2)):
        crown = kit.uniform(0.8, 2.5)
        at = (x + kit.uniform(-0.6, 0.6), y + kit.uniform(-0.6, 0.6), z + height + kit.uniform(0, 0.5) * crown)
        scene.add("ball", at, (crown, crown, crown * kit.uniform(0.7, 1.5)), leaf)


def _kerbside(kit: Kit, scene: Scene, side: int, road: float, walk: float) -> None:
    """Parked cars, poles, signs, people, bins."""
    at = kit.uniform(-6, 8)
    parked = kit.chance(0.6)
    while at < 60 and len(scene.primitives) < 58:
        spot = side * (road + kit.uniform(0.2, 0.8) * walk)
        choice = kit.rng.random()
        if parked and choice < 0.55:
            car(kit, scene, side * (road - 1.1), at, turned=kit.chance(0.5))
        elif choice < 0.7:
            _pole(kit, scene, side * (road + 0.4), at)
        elif choice < 0.85:
            person(scene, kit, (spot, at, 0.1, kit.uniform(0, 6.3)))
        else:
            pile(scene, kit, (spot, at, 0.1, kit.uniform(0, 6.3)))
        at += kit.uniform(4.8, 10)


def _pole(kit: Kit, scene: Scene, x: float, y: float) -> None:
    height, radius = kit.uniform(2.2, 8.0), kit.uniform(0.03, 0.12)
    metal = kit.surface("furniture")
    scene.add("cylinder", (x, y, height / 2), (radius, radius, height / 2), metal)
    if kit.chance(0.5):
        scene.add("box", (x, y, height), (kit.uniform(0.2, 0.5), 0.03, kit.uniform(0.2, 0.5)), kit.picture())
    elif kit.chance(0.5):
        scene.add("box", (x - math.copysign(1.0, x), y, height), (1.0, 0.06, 0.06), metal)


def _traffic(kit: Kit, scene: Scene, road: float) -> None:
    for _ in range(kit.integer(0, 4)):
        x, y = kit.uniform(-0.7, 0.7) * road, kit.uniform(7, 60) * (1 if kit.chance(0.85) else -1)
        if abs(y) > 5.0:
            car(kit, scene, x, y, turned=kit.chance(0.5))


def _markings(kit: Kit, scene: Scene) -> None:
    if kit.chance(0.5):
        paint = kit.surface("road", tint=0.2)
        paint.tint = (2.2, 2.2, 2.1)
        for index in range(4):
            scene.add("box", (0, 4 + 7 * index, 0.0), (0.07, 1.5, 0.012), paint)


def car(kit: Kit, scene: Scene, x: float, y: float, *, turned: bool) -> None:
    """A car, van or lorry of boxes with four wheels."""
    length, width = kit.uniform(3.6, 5.0), kit.uniform(1.6, 1.95)
    body = kit.surface("object", repeat=(2.0, 6.0), tint=0.6)
    body.gloss = kit.uniform(0.2, 0.8)
    glass = kit.surface("object", tint=0.3)
    glass.tint, glass.gloss = (0.25, 0.27, 0.3), 0.6
    yaw = float(kit.rng.normal(0, 0.05)) + (math.pi if turned else 0.0)
    sign = -1.0 if turned else 1.0
    if kit.chance(0.2):  # van or lorry
        height = kit.uniform(1.9, 3.4)
        scene.add(
            "box", (x, y, 0.4 + height / 2), (width / 2, length / 2 * kit.uniform(1, 1.6), height / 2), body, yaw=yaw
        )
    else:
        waist = kit.uniform(0.5, 0.7)
        scene.add("box", (x, y, 0.3 + waist / 2), (width / 2, length / 2, waist / 2), body, yaw=yaw)
        cabin = (width * 0.44, length * kit.uniform(0.22, 0.32), 0.28)
        scene.add("box", (x, y - sign * 0.08 * length, 0.3 + waist + 0.25), cabin, glass, yaw=yaw)
        roof = (cabin[0] * 0.95, cabin[1] * 0.85, 0.03)
        scene.add("box", (x, y - sign * 0.08 * length, 0.3 + waist + 0.52), roof, body, yaw=yaw)
    tyre = kit.surface("object", tint=0.1)
    tyre.tint = (0.15, 0.15, 0.15)
    lying = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    for sx in (-1, 1):
        for sy in (-1, 1):
            at = (x + sx * width * 0.46, y + sy * length * 0.32, 0.32)
            scene.add("cylinder", at, (0.32, 0.32, 0.11), tyre, rotation=lying)


def country(kit: Kit) -> Scene:
    """Open ground on a height field with trees, rocks and people."""
    rows = []
    for octave in range(6):
        wave = kit.uniform(0.03, 0.08) * 1.8**octave
        turn = kit.uniform(0, 2 * math.pi)
        rows.append([wave * math.cos(turn), wave * math.sin(turn), kit.uniform(0, 6.3), kit.uniform(0.0, 0.09) / wave])
    waves = np.array(rows)
    waves[:, 3] *= kit.uniform(0.1, 1.0)

    def height(x: float, y: float) -> float:
        return float((np.sin(waves[:, 0] * x + waves[:, 1] * y + waves[:, 2]) * waves[:, 3]).sum())

    eye = height(0, 0) + kit.uniform(0.4, 2.2)
    camera = Camera(
        (0.0, 0.0, eye),
        kit.uniform(-0.3, 0.3),
        float(kit.rng.normal(0.1, 0.15)),
        float(kit.rng.normal(0, 0.05)),
        kit.uniform(0.8, 1.5),
    )
    scene = Scene(camera, kit.sun(), backdrop=kit.backdrop(), backdrop_yaw=kit.uniform(0, 6.3))
    texture = kit.texture("ground")
    scene.terrain = Terrain(waves, Surface(texture, texture, texture, kit.uniform(1, 6), kit.tint(0.3)))
    for _ in range(kit.integer(2, 14)):
        y = math.exp(kit.uniform(math.log(3), math.log(60)))
        x = kit.uniform(-0.7, 0.7) * y
        choice = kit.rng.random()
        if choice < 0.55:
            tree(kit, scene, x, y, height(x, y) - 0.1)
        elif choice < 0.85:
            size = kit.uniform(0.2, 1.5)
            rock = (size * kit.uniform(0.6, 1.4), size * kit.uniform(0.6, 1.4), size * kit.uniform(0.4, 1.0))
            scene.add("ball", (x, y, height(x, y)), rock, kit.surface("ground"))
        else:
            person(scene, kit, (x, y, height(x, y), kit.uniform(0, 6.3)))
    return scene
