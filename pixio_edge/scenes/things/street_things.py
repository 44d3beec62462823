"""What stands along streets and in parks: lamps, lights, signs, bollards, benches, bins, shelters."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.mesh import Look, Model, Top, merge
from pixio_edge.scenes.shapes import ball, box, circle, cylinder, extrude, lathe, moved, sheet, tube
from pixio_edge.scenes.shapes.hulls import quads

Rng = np.random.Generator
Points = NDArray[np.float64]
STEEL = Look("metal", tint=(0.5, 0.51, 0.52))
DARK = Look("metal", tint=(0.2, 0.21, 0.21))
LIGHT = Look("plastic", tint=(0.88, 0.88, 0.85))
PRINT = Look("print", fit=True)
COLOURS = (
    (0.75, 0.12, 0.1),
    (0.15, 0.3, 0.65),
    (0.92, 0.75, 0.1),
    (0.1, 0.42, 0.25),
    (0.92, 0.92, 0.9),
    (0.95, 0.5, 0.1),
)


def _u(rng: Rng, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def _pole_look(rng: Rng) -> Look:
    return (STEEL, DARK, Look("metal"), Look("concrete"))[int(rng.integers(4))]


def _colour(rng: Rng) -> Look:
    return Look("paint", tint=COLOURS[int(rng.integers(len(COLOURS)))])


def lamp_post(rng: Rng) -> Model:
    """A street lamp on an arm that reaches out to -y, or a lantern on a post."""
    height, r = _u(rng, 3.2, 9.0), _u(rng, 0.045, 0.09)
    parts = [tube([(0, 0, 0), (0, 0, 1.0), (0, 0, height)], [1.5 * r, r, 0.6 * r])]
    if height > 5 or rng.random() < 0.5:
        out = _u(rng, 0.6, 2.2)
        parts.append(
            tube([(0, 0, height - 0.1), (0, -0.4 * out, height + 0.3), (0, -out, height + 0.35)], 0.55 * r, sides=5)
        )
        parts.append(box((0.24, 0.6, 0.13), at=(0, -out - 0.2, height + 0.27), bevel=0.03))
        parts.append(box((0.2, 0.5, 0.03), at=(0, -out - 0.2, height + 0.24), slot=1))
    else:
        parts.append(lathe([(0.07, 0), (0.16, 0.1), (0.2, 0.45)], sides=8, at=(0, 0, height), slot=1))
        parts.append(lathe([(0.26, 0.45), (0.05, 0.65)], sides=8, at=(0, 0, height)))
    return Model(merge(parts), (_pole_look(rng), LIGHT))


def traffic_light(rng: Rng) -> Model:
    """A pole with one or two sets of three lights; some hang over the road."""
    height = _u(rng, 2.3, 3.4)
    arm = _u(rng, 2.0, 4.5) if rng.random() < 0.35 else 0.0
    parts = [tube([(0, 0, 0), (0, 0, height + 0.8)], 0.06)]
    places = [(0.0, -0.14, height)]
    if arm:
        parts.append(tube([(0, 0, 3.0), (0, 0, 5.4), (-0.4, 0, 5.7), (-arm, 0, 5.8)], 0.07))
        places.append((-arm, -0.14, 5.2))
    for x, y, z in places:
        parts.append(box((0.3, 0.2, 0.9), at=(x, y, z), bevel=0.02, slot=1))
        for i, slot in enumerate((4, 3, 2)):
            parts.append(cylinder(0.1, 0.03, sides=8, slot=slot))
            parts[-1] = moved(parts[-1], (x, y - 0.1, z + 0.15 + 0.29 * i), pitch=math.pi / 2)
    lit = int(rng.integers(3))
    lights = [(0.35, 0.06, 0.05), (0.4, 0.28, 0.05), (0.05, 0.3, 0.15)]
    lights[lit] = ((1.0, 0.2, 0.15), (1.0, 0.75, 0.2), (0.2, 0.95, 0.6))[lit]
    return Model(merge(parts), (_pole_look(rng), DARK, *(Look("plastic", tint=colour) for colour in lights)))


def sign(rng: Rng) -> Model:
    """A traffic sign: round, triangular, square or a panel, on one pole."""
    height, r, kind = _u(rng, 2.0, 3.0), _u(rng, 0.28, 0.45), int(rng.integers(4))
    pole = tube([(0, 0, 0), (0, 0, height + 0.6 * r)], 0.03, sides=5)
    if kind == 3:
        wide, tall = _u(rng, 0.3, 1.1), _u(rng, 0.25, 0.7)
        return Model(
            merge([pole, box((wide, 0.02, tall), at=(0, -0.04, height - tall / 2), slot=1, fit=True)]), (STEEL, PRINT)
        )
    sides, turn = (16, 3, 4)[kind], (0.0, math.pi / 2, math.pi / 4)[kind]
    outer = circle(r * (1.0, 1.25, 1.2)[kind], sides)
    c, s = math.cos(turn), math.sin(turn)
    outline = outer @ np.array([[c, s], [-s, c]])
    parts = [pole]
    for size, y, slot in ((1.0, -0.04, 1), (0.78, -0.06, 2)):
        parts.append(extrude(outline * size, 0.02, axis="y", at=(0, y, height), slot=slot))
    return Model(merge(parts), (STEEL, _colour(rng), _colour(rng)))


def billboard(rng: Rng) -> Model:
    """A poster on posts, or a pillar with one."""
    wide, tall, low = _u(rng, 1.2, 4.0), _u(rng, 1.2, 2.4), _u(rng, 0.3, 2.2)
    parts = [box((wide + 0.16, 0.12, tall + 0.16), at=(0, 0.02, low - 0.08))]
    face = [
        (-wide / 2, -0.05, low),
        (wide / 2, -0.05, low),
        (wide / 2, -0.05, low + tall),
        (-wide / 2, -0.05, low + tall),
    ]
    parts.append(quads([face], 1, fit=True))
    parts += [box((0.1, 0.1, low), at=(x * wide * 0.4, 0, 0)) for x in (-1, 1)]
    return Model(merge(parts), (_pole_look(rng), PRINT))


def bollard(rng: Rng) -> Model:
    """A short post, plain or with a light band."""
    height, r = _u(rng, 0.6, 1.1), _u(rng, 0.05, 0.12)
    parts = [lathe([(r, 0), (r, height - r), (0.8 * r, height - 0.3 * r), (0.0, height)], sides=8)]
    parts.append(cylinder(1.06 * r, 0.1, sides=8, at=(0, 0, 0.72 * height), slot=1))
    return Model(merge(parts), (_pole_look(rng), LIGHT if rng.random() < 0.5 else _colour(rng)))


def cone(rng: Rng) -> Model:
    """A traffic cone."""
    height = _u(rng, 0.4, 0.8)
    r = 0.19 * height
    parts = [box((2.6 * r, 2.6 * r, 0.03)), lathe([(r, 0.03), (0.75 * r, 0.4 * height)], sides=9)]
    parts.append(lathe([(0.75 * r, 0.4 * height), (0.5 * r, 0.7 * height)], sides=9, slot=1))
    parts.append(lathe([(0.5 * r, 0.7 * height), (0.2 * r, height)], sides=9))
    return Model(merge(parts), (Look("plastic", tint=(0.92, 0.35, 0.1)), LIGHT))


def barrier(rng: Rng) -> Model:
    """A road works barrier, red and white."""
    wide = _u(rng, 1.2, 2.4)
    faces = []
    stripes = 8
    for i in range(stripes):
        a, b = (-wide / 2 + wide * (i + e) / stripes for e in (0, 1))
        faces.append(box(((b - a), 0.05, 0.26), at=((a + b) / 2, 0, 0.75), slot=i % 2))
    legs = [box((0.06, 0.5, 0.75), at=(x * wide * 0.4, 0, 0), slot=1) for x in (-1, 1)]
    return Model(merge([*faces, *legs]), (Look("plastic", tint=(0.85, 0.15, 0.1)), LIGHT))


def park_bench(rng: Rng) -> Model:
    """A bench of slats with a back."""
    wide, seat = _u(rng, 1.3, 2.0), _u(rng, 0.42, 0.48)
    parts = [box((wide, 0.09, 0.035), at=(0, -0.18 + 0.12 * i, seat)) for i in range(4)]
    parts += [moved(box((wide, 0.03, 0.1)), (0, 0.27 + 0.04 * i, seat + 0.14 + 0.14 * i), pitch=-0.2) for i in range(3)]
    for x in (-0.42 * wide, 0.42 * wide):
        parts += [
            box((0.05, 0.45, 0.04), at=(x, 0, seat - 0.04), slot=1),
            box((0.05, 0.05, seat), at=(x, -0.18, 0), slot=1),
        ]
        parts.append(tube([(x, 0.2, 0), (x, 0.22, seat), (x, 0.38, seat + 0.5)], 0.028, sides=4, slot=1))
    return Model(merge(parts), (Look("wood"), DARK), (Top((0, 0, seat + 0.035), (0.45 * wide, 0.15), 0.6),))


def litter_bin(rng: Rng) -> Model:
    """A bin for litter."""
    r, height = _u(rng, 0.2, 0.32), _u(rng, 0.7, 1.1)
    profile = [(0.9 * r, 0), (r, 0.85 * height), (1.1 * r, 0.85 * height), (1.05 * r, height), (0.6 * r, 1.05 * height)]
    return Model(lathe(profile, sides=10), (_colour(rng) if rng.random() < 0.4 else DARK,))


def wheelie_bin(rng: Rng) -> Model:
    """A dustbin on wheels; its front is to -y."""
    height, wide = _u(rng, 0.9, 1.3), _u(rng, 0.45, 0.65)
    if rng.random() < 0.25:
        wide, height = 1.25, _u(rng, 1.1, 1.35)
    outline = [(-0.5 * wide, height), (-0.38 * wide, 0.05), (0.3 * wide, 0.05), (0.42 * wide, height)]
    deep = min(wide, 0.6)
    body = moved(extrude(np.array(outline) * [deep / wide, 1], wide, axis="x"), (0, 0, 0))
    lid = moved(box((wide * 1.06, deep * 1.15, 0.07), bevel=0.03, slot=1), (0, 0, height), pitch=0.08)
    wheels = [
        moved(cylinder(0.1, 0.05, sides=8, slot=2), (x * 0.45 * wide, 0.3 * deep, 0.1), roll=math.pi / 2)
        for x in (-1, 1)
    ]
    body_colour = ((0.2, 0.22, 0.22), (0.12, 0.3, 0.18), (0.15, 0.25, 0.45))[int(rng.integers(3))]
    mesh = merge([body, lid, *wheels])
    return Model(mesh, (Look("plastic", tint=body_colour), _colour(rng), Look("rubber")))


def cabinet_box(rng: Rng) -> Model:
    """A switch cabinet, letter box or parcel box."""
    size = (_u(rng, 0.4, 1.4), _u(rng, 0.3, 0.5), _u(rng, 0.8, 1.6))
    parts = [box((0.9 * size[0], 0.9 * size[1], 0.15), slot=1), box(size, at=(0, 0, 0.15), bevel=0.03)]
    parts.append(box((0.8 * size[0], 0.01, 0.3), at=(0, -size[1] / 2, 0.5 * size[2]), slot=2, fit=True))
    return Model(
        merge(parts), (_colour(rng) if rng.random() < 0.5 else Look("paint", tint=(0.62, 0.64, 0.6)), DARK, PRINT)
    )


def shelter(rng: Rng) -> Model:
    """A bus shelter: roof, glass at the back and one side, a bench, a poster."""
    wide, deep, height = _u(rng, 2.6, 4.5), _u(rng, 1.2, 1.7), _u(rng, 2.3, 2.6)
    parts = [box((wide + 0.3, deep + 0.2, 0.1), at=(0, -0.05, height), bevel=0.02)]
    parts += [box((0.07, 0.07, height), at=(x * wide / 2, y * deep / 2, 0)) for x in (-1, 1) for y in (-1, 1)]
    panes = 3
    for i in range(panes):
        x = (i + 0.5 - panes / 2) * wide / panes
        parts.append(box((0.04, 0.04, height), at=(x - wide / panes / 2, deep / 2, 0)))
        parts.append(box((wide / panes - 0.08, 0.015, 0.35), at=(x, deep / 2, 0.2), slot=1))
        parts.append(box((wide / panes - 0.08, 0.03, 0.05), at=(x, deep / 2, 1.3)))
    parts.append(box((0.06, 1.1, 1.75), at=(wide / 2, 0, 0.3), slot=2, fit=True))
    parts.append(box((0.7 * wide, 0.35, 0.05), at=(-0.1 * wide, deep / 2 - 0.3, 0.45), slot=3))
    parts += [box((0.05, 0.3, 0.45), at=(x * wide, deep / 2 - 0.3, 0)) for x in (-0.35, 0.15)]
    return Model(merge(parts), (DARK, Look("glass"), PRINT, Look("wood")))


def planter(rng: Rng) -> Model:
    """A large tub; plants can stand in it."""
    size, height = _u(rng, 0.6, 1.6), _u(rng, 0.35, 0.8)
    look = Look("concrete") if rng.random() < 0.5 else Look("wood")
    return Model(
        merge(
            [box((size, size, height), bevel=0.02), box((0.88 * size, 0.88 * size, 0.02), at=(0, 0, height), slot=1)]
        ),
        (look, Look("soil")),
        (Top((0, 0, height + 0.02), (0.35 * size, 0.35 * size), 2.0),),
    )


def parasol(rng: Rng) -> Model:
    """An open sunshade with a small table under it."""
    r, height = _u(rng, 1.1, 1.7), _u(rng, 2.2, 2.6)
    cloth = lathe([(r, height - 0.45), (0.02, height)], sides=8, smooth=False, cap=False)
    parts = [cloth, tube([(0, 0, 0), (0, 0, height)], 0.025, sides=5, slot=1), cylinder(0.3, 0.06, sides=8, slot=1)]
    parts.append(cylinder(0.4, 0.03, sides=12, at=(0, 0, 0.72), slot=2))
    return Model(merge(parts), (Look("fabric"), DARK, Look("wood")))


def utility_pole(rng: Rng) -> Model:
    """A wooden pole with a cross-bar and insulators."""
    height = _u(rng, 6.5, 10)
    parts = [tube([(0, 0, 0), (0, 0, height)], [0.14, 0.1]), box((2.0, 0.1, 0.12), at=(0, 0, height - 0.7))]
    parts += [cylinder(0.05, 0.16, sides=5, at=(x, 0, height - 0.58), slot=1) for x in (-0.9, -0.4, 0.4, 0.9)]
    return Model(merge(parts), (Look("bark", tint=(0.35, 0.28, 0.22)), LIGHT))


def statue(rng: Rng) -> Model:
    """A monument on a plinth."""
    base, height = _u(rng, 0.9, 1.8), _u(rng, 0.8, 2.0)
    parts = [
        box((base, base, 0.2)),
        box((0.75 * base, 0.75 * base, height), at=(0, 0, 0.2)),
        box((0.9 * base, 0.9 * base, 0.12), at=(0, 0, height + 0.2)),
    ]
    z = height + 0.32
    profile = [(0.28, 0), (0.2, 0.7), (0.26, 1.2), (0.1, 1.45)]
    parts += [lathe(profile, sides=8, at=(0, 0, z), slot=1), ball((0.14, 0.16, 0.19), at=(0, 0, z + 1.6), slot=1)]
    parts.append(tube([(0.2, 0, z + 1.25), (0.4, -0.2, z + 1.1), (0.3, -0.4, z + 1.4)], 0.06, slot=1))
    return Model(merge(parts), (Look("stone"), Look("stone") if rng.random() < 0.5 else DARK))


def soil_heap(rng: Rng) -> Model:
    """A heap of earth, sand or gravel."""
    r, height = _u(rng, 0.8, 2.5), _u(rng, 0.4, 1.3)
    bumps = rng.uniform(0, 6, 4)

    def surface(x: Points, y: Points) -> Points:
        rough = 0.12 * (np.sin(3 * x / r + bumps[0]) + np.sin(4 * y / r + bumps[1]) * np.sin(5 * x / r + bumps[2]))
        heap: Points = np.maximum(0.0, height * (1 - np.hypot(x, y) / r + rough))
        return heap

    return Model(
        sheet(2.2 * r, 2.2 * r, rows=10, columns=10, height=surface), (Look("soil" if rng.random() < 0.6 else "stone"),)
    )


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "lamp_post": ("lamp_post", lamp_post, 6),
    "traffic_light": ("traffic_light", traffic_light, 4),
    "sign": ("sign", sign, 10),
    "billboard": ("billboard", billboard, 4),
    "bollard": ("bollard", bollard, 5),
    "cone": ("cone", cone, 3),
    "barrier": ("barrier", barrier, 2),
    "park_bench": ("park_bench", park_bench, 5),
    "litter_bin": ("street_bin", litter_bin, 4),
    "wheelie_bin": ("street_bin", wheelie_bin, 6),
    "cabinet_box": ("street_box", cabinet_box, 5),
    "shelter": ("shelter", shelter, 3),
    "planter": ("planter", planter, 4),
    "parasol": ("parasol", parasol, 4),
    "utility_pole": ("utility_pole", utility_pole, 3),
    "statue": ("statue", statue, 3),
    "soil_heap": ("soil_heap", soil_heap, 3),
}
