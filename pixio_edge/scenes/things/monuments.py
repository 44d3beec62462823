"""Single structures seen from near: porticoes, arcades, stairs, canopies, towers of scaffolding, fountains, bridges."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Look, Mesh, Model, Top, merge
from pixio_edge.scenes.shapes import box, cylinder, extrude, lathe, moved, tube
from pixio_edge.scenes.shapes.hulls import quads
from pixio_edge.scenes.shapes.masonry import block

Rng = np.random.Generator
STONE, SECOND, GLASS, DARK = range(4)


def _u(rng: Rng, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def _looks(rng: Rng) -> tuple[Look, ...]:
    use = ("stone", "plaster", "concrete", "facade", "brick")[int(rng.integers(5))]
    second = ("plaster", "concrete", "metal", "wood", "stone")[int(rng.integers(5))]
    return (
        Look(use, repeat_m=(0.8, 2.5)),
        Look(second, repeat_m=(0.8, 2.5)),
        Look("glass", tint=(0.2, 0.22, 0.24)),
        Look("metal", tint=(0.22, 0.22, 0.23)),
    )


def _column(r: float, height: float, at: tuple[float, float, float]) -> Mesh:
    """A round column with base and capital."""
    top = height - 1.2 * r
    profile = [(1.3 * r, 0), (1.3 * r, 0.4 * r), (r, 0.6 * r), (0.86 * r, top), (1.25 * r, top + 0.8 * r)]
    return merge(
        [lathe(profile, sides=12, at=at), box((2.7 * r, 2.7 * r, 0.4 * r), at=(at[0], at[1], at[2] + top + 0.8 * r))]
    )


def portico(rng: Rng) -> Model:
    """Steps, a row of columns, a beam and a pediment before a wall with a door."""
    count, height, r = int(rng.integers(2, 7)), _u(rng, 3.0, 6.5), _u(rng, 0.16, 0.42)
    pitch = r * _u(rng, 4.5, 8.0)
    wide, deep, steps = (count - 1) * pitch + 4 * r, _u(rng, 1.4, 3.0), int(rng.integers(0, 6))
    low = 0.16 * steps
    parts: list[Mesh] = []
    for i in range(steps):
        grow = 0.32 * (steps - i)
        parts.append(block((-wide / 2 - grow, -deep - grow, 0.16 * i), (wide / 2 + grow, 0.0, 0.16 * (i + 1)), SECOND))
    for i in range(count):
        parts.append(_column(r, height, ((i - (count - 1) / 2) * pitch, -deep + 1.5 * r, low)))
    top = low + height
    parts.append(block((-wide / 2, -deep, top), (wide / 2, 0.0, top + 2.2 * r), STONE))
    under = [(-wide / 2, -deep, top), (-wide / 2, 0, top), (wide / 2, 0, top), (wide / 2, -deep, top)]
    parts.append(quads([under], SECOND))
    if rng.random() < 0.65:
        rise = wide * _u(rng, 0.12, 0.22)
        outline = [(-wide / 2 - 0.3, top + 2.2 * r), (wide / 2 + 0.3, top + 2.2 * r), (0.0, top + 2.2 * r + rise)]
        parts.append(extrude(outline, deep, axis="y", at=(0, -deep / 2, 0)))
    parts.append(block((-wide / 2 - 1.5, 0.0, 0.0), (wide / 2 + 1.5, 0.5, top + 2.2 * r), STONE))
    door = [(-0.9, -0.02, low), (0.9, -0.02, low), (0.9, -0.02, low + 2.6), (-0.9, -0.02, low + 2.6)]
    parts.append(quads([door], GLASS))
    return Model(_centred(merge(parts)), _looks(rng))


def arcade(rng: Rng) -> Model:
    """A wall with round arches along x, with a passage behind."""
    count, wide, pier = int(rng.integers(2, 6)), _u(rng, 1.8, 3.2), _u(rng, 0.4, 0.9)
    spring, above = _u(rng, 1.8, 3.0), _u(rng, 0.5, 3.5)
    top, turn = spring + wide / 2 + above, np.linspace(0, math.pi, 9)
    parts: list[Mesh] = []
    for i in range(count):
        x = (i - (count - 1) / 2) * (wide + pier)
        arch = [(x + 0.5 * wide * math.cos(t), spring + 0.5 * wide * math.sin(t)) for t in turn]
        half = 0.5 * (wide + pier)
        outline = [(x + half, spring), (x + half, top), (x - half, top), (x - half, spring), *reversed(arch)]
        parts.append(extrude(outline, 0.5, axis="y"))
        parts += [box((pier / 2, 0.5, spring), at=(x + s * (half - pier / 4), 0, 0)) for s in (-1, 1)]
        if top - spring - wide / 2 > 2.2:
            parts.append(box((1.0, 0.04, 1.3), at=(x, -0.26, top - 1.8), slot=GLASS))
    total = count * (wide + pier)
    parts.append(block((-total / 2, 3.0, 0), (total / 2, 3.3, top), SECOND))
    parts.append(block((-total / 2, -0.25, top), (total / 2, 3.3, top + 0.4), SECOND))
    return Model(_centred(merge(parts)), _looks(rng))


def canopy(rng: Rng) -> Model:
    """A roof on slanting or branching columns."""
    wide, deep, height = _u(rng, 4, 12), _u(rng, 3, 7), _u(rng, 2.8, 6.0)
    parts = [box((wide, deep, 0.3), at=(0, 0, height), slot=SECOND, bevel=0.08)]
    branching = rng.random() < 0.5
    for x in np.linspace(-0.35, 0.35, int(rng.integers(1, 4))) * wide:
        foot = np.array([float(x), 0.0, 0.0])
        if branching:
            fork = foot + np.array([0, 0, 0.45 * height])
            parts.append(tube([foot, fork], [0.18, 0.14], sides=8))
            for turn in np.arange(6) * math.pi / 3:
                out = np.array([0.19 * wide * math.cos(turn), 0.45 * deep * math.sin(turn), 0.55 * height])
                end = fork + out
                middle = fork + 0.5 * out * (1, 1, 0.9)
                parts.append(tube([fork, middle, end], [0.09, 0.07, 0.06], sides=5))
        else:
            lean = _u(rng, -0.25, 0.25) * height
            for s in (-1, 1):
                low = foot + np.array([0.0, s * 0.3 * deep, 0.0])
                parts.append(tube([low, low + np.array([s * lean, 0.0, height])], 0.14, sides=4))
    return Model(merge(parts), _looks(rng))


def concrete_frame(rng: Rng) -> Model:
    """Huge slanting beams before a glass front: modern concrete."""
    wide, height, count = _u(rng, 10, 18), _u(rng, 6, 11), int(rng.integers(3, 6))
    parts = [block((-wide / 2, 0.6, 0), (wide / 2, 1.0, height), GLASS), box((wide, 2.0, 0.6), at=(0, 0.2, height))]
    thick = _u(rng, 0.4, 0.9)
    step = wide / count
    for i in range(count):
        a, b = -wide / 2 + i * step, -wide / 2 + (i + 1) * step
        for low, high in ((a, b), (b, a)):
            outline = [
                (low - thick / 2, 0),
                (low + thick / 2, 0),
                (high + thick / 2, height),
                (high - thick / 2, height),
            ]
            parts.append(extrude(outline, 0.5, axis="y", smooth=False))
    return Model(_centred(merge(parts)), _looks(rng))


def outside_stairs(rng: Rng) -> Model:
    """A flight of steps between cheeks with rails; it rises to +y."""
    wide, count, tread = _u(rng, 1.2, 8.0), int(rng.integers(3, 14)), _u(rng, 0.28, 0.42)
    rise = _u(rng, 0.14, 0.18)
    parts = [
        block((-wide / 2, i * tread, 0), (wide / 2, count * tread + 1.5, (i + 1) * rise), STONE) for i in range(count)
    ]
    length, top = count * tread, count * rise
    for s in (-1, 1):
        x = s * (wide / 2 + 0.15)
        outline = [(-0.1, 0), (length + 1.5, 0), (length + 1.5, top + 0.25), (length, top + 0.25), (-0.1, 0.25)]
        parts.append(extrude(outline, 0.3, axis="x", at=(x, 0, 0), slot=SECOND, smooth=False))
        rail = [(x, 0, 0.25), (x, 0, 1.1), (x, length, top + 1.1), (x, length, top + 0.2)]
        parts.append(tube(rail, 0.025, sides=5, slot=DARK))
    return Model(_centred(merge(parts)), _looks(rng))


def scaffolding(rng: Rng) -> Model:
    """Poles, planks and braces as before a building site."""
    wide, floors = _u(rng, 4, 10), int(rng.integers(2, 5))
    bays = max(2, round(wide / 2.2))
    parts = []
    for x in np.linspace(-wide / 2, wide / 2, bays + 1):
        parts += [tube([(x, y, 0), (x, y, 2.0 * floors + 1)], 0.03, sides=4, slot=DARK) for y in (-0.45, 0.45)]
    for floor in range(1, floors + 1):
        parts.append(box((wide, 0.8, 0.05), at=(0, 0, 2.0 * floor), slot=SECOND))
        a, b, z = -wide / 2, wide / 2, 2.0 * floor
        rails = [[(a, -0.45, z + up), (b, -0.45, z + up)] for up in (0.5, 1.0)]
        rails.append([(a, -0.47, z - 2), (a + wide / bays, -0.47, z)])
        parts += [tube(rail, 0.022, sides=4, slot=DARK) for rail in rails]
    return Model(merge(parts), (Look("stone"), Look("wood"), Look("glass"), Look("metal", tint=(0.55, 0.56, 0.57))))


def fountain(rng: Rng) -> Model:
    """A basin with a bowl on a stem."""
    r, rim = _u(rng, 1.0, 2.6), _u(rng, 0.35, 0.7)
    basin = lathe([(r, 0), (r, rim), (0.88 * r, rim), (0.86 * r, 0.5 * rim)], sides=16, smooth=False, cap=False)
    water = cylinder(0.87 * r, 0.6 * rim, sides=16, slot=GLASS)
    profile = np.array([(0.2, 0), (0.09, 1.0), (0.1, 1.2), (0.45, 1.45), (0.42, 1.45), (0.06, 1.3), (0.05, 2.0)])
    stem = lathe(profile * (r, 1.0), sides=10)
    return Model(merge([basin, water, stem]), _looks(rng))


def footbridge(rng: Rng) -> Model:
    """A bridge over a road along x, on two piers."""
    span, height = _u(rng, 16, 30), _u(rng, 4.6, 5.6)
    parts = [box((span + 8, 3.0, 0.7), at=(0, 0, height), slot=STONE)]
    parts += [box((0.7, 2.4, height), at=(s * span / 2, 0, 0)) for s in (-1, 1)]
    for y in (-1.45, 1.45):
        parts.append(box((span + 8, 0.05, 0.08), at=(0, y, height + 1.7), slot=DARK))
        for x in np.arange(-span / 2 - 4, span / 2 + 4, 0.6):
            parts.append(box((0.04, 0.03, 1.05), at=(float(x), y, height + 0.7), slot=DARK))
    return Model(merge(parts), _looks(rng))


def viaduct(rng: Rng) -> Model:
    """A piece of an elevated road along x, on round piers with heads."""
    span, height, deep = _u(rng, 26, 44), _u(rng, 5.5, 9.0), _u(rng, 7, 14)
    deck = [(-deep / 2, height + 0.8), (-0.35 * deep, height), (0.35 * deep, height), (deep / 2, height + 0.8)]
    deck += [(deep / 2, height + 1.9), (-deep / 2, height + 1.9)]
    parts = [extrude(deck, 2.2 * span, axis="x", smooth=False)]
    for x in (-0.5, 0.5):
        parts.append(lathe([(0.9, 0), (0.9, 0.75 * height), (1.8, height + 0.1)], sides=14, at=(x * span, 0, 0)))
    return Model(merge(parts), _looks(rng))


def mushroom(rng: Rng) -> Model:
    """A ribbed column that widens to a round roof."""
    height, r = _u(rng, 3.0, 6.5), _u(rng, 1.6, 4.0)
    foot = _u(rng, 0.25, 0.6)
    profile = [(foot, 0), (0.85 * foot, 0.55 * height), (1.6 * foot, 0.75 * height), (0.6 * r, 0.93 * height)]
    profile += [(r, height), (r, height + 0.15), (0.1, height + 0.3)]
    parts = [lathe(profile, sides=18, smooth=bool(rng.random() < 0.5))]
    for turn in np.arange(12) * math.pi / 6:
        rib = [(c * math.cos(turn) * 1.03, c * math.sin(turn) * 1.03, z) for c, z in profile[:5]]
        parts.append(tube(rib, 0.05, sides=4, slot=SECOND))
    return Model(merge(parts), _looks(rng))


def play_posts(rng: Rng) -> Model:
    """A group of upright logs, some with a beam across: a playground."""
    parts, tops = [], []
    for i in range(int(rng.integers(3, 8))):
        x, y, height = 0.9 * i, float(rng.normal(0, 0.5)), _u(rng, 0.5, 3.0)
        lean = rng.normal(0, 0.12, 2)
        top = (x + float(lean[0]) * height, y + float(lean[1]) * height, height)
        parts.append(tube([(x, y, 0), top], _u(rng, 0.08, 0.14), sides=8))
        tops.append(top)
    parts.append(tube([tops[0], tops[1]], 0.06, sides=6, slot=SECOND))
    return Model(_centred(merge(parts)), (Look("wood"), Look("wood")))


def container(rng: Rng) -> Model:
    """A shipping container or site cabin with ribbed sides."""
    length, wide, height = _u(rng, 3.0, 9.0), 2.4, _u(rng, 2.4, 2.7)
    y = np.arange(-length / 2, length / 2, 0.3)
    ribs = np.where(np.arange(len(y)) % 2 == 0, wide / 2, wide / 2 - 0.05)
    outline = np.concatenate([np.stack([ribs, y], axis=1), np.stack([-ribs[::-1], y[::-1]], axis=1)])
    frame = box((wide + 0.02, 0.12, height + 0.03), at=(0, -length / 2, 0), slot=DARK)
    parts = [extrude(outline, height, smooth=False), frame]
    looks = (Look("paint"), Look("paint"), Look("glass"), Look("paint", tint=(0.3, 0.3, 0.3)))
    return Model(merge(parts), looks, (Top((0, 0, height), (1.0, 0.4 * length), 3.0),))


def _centred(mesh: Mesh) -> Mesh:
    """The mesh moved so that its box is centred on the origin in x and y and stands on z = 0."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    return moved(mesh, (-float(low[0] + high[0]) / 2, -float(low[1] + high[1]) / 2, -float(low[2])))


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "portico": ("monument", portico, 6),
    "arcade": ("monument", arcade, 5),
    "canopy": ("canopy", canopy, 5),
    "concrete_frame": ("monument", concrete_frame, 3),
    "outside_stairs": ("outside_stairs", outside_stairs, 5),
    "scaffolding": ("scaffolding", scaffolding, 3),
    "fountain": ("fountain", fountain, 3),
    "footbridge": ("footbridge", footbridge, 2),
    "viaduct": ("viaduct", viaduct, 2),
    "mushroom": ("canopy", mushroom, 4),
    "play_posts": ("play_posts", play_posts, 3),
    "freight_container": ("freight", container, 4),
}
