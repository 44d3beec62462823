"""Bushes, hedges, grass, flowers, rocks, fallen trees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Look, Mesh, Model, merge
from pixio_edge.scenes.shapes import ball, box, displaced, leaf_cards, moved, tube
from pixio_edge.scenes.shapes.hulls import creased
from pixio_edge.scenes.things.vegetation import BARK, DARK, LEAF, clump, leaf_looks, lifted, speckled

Rng = np.random.Generator


def _bush(rng: Rng, lumps: int, leaves: int, size: float, *, coarse: float = 1.0) -> Model:
    height = float(rng.uniform(0.5, 2.2))
    wide = height * float(rng.uniform(0.4, 0.9))
    crown, parts = np.array([0, 0, 0.25 * height]), []
    for _ in range(lumps):
        r = wide * float(rng.uniform(0.5, 0.75))
        at = np.array([*(rng.uniform(-0.5, 0.5, 2) * wide), rng.uniform(0.15, 0.55) * height])
        radii = np.array([r, r, max(0.3 * height, height - at[2])])
        parts += clump(rng, at, radii, leaves=leaves, size=size * height**0.6, crown=crown)
    return Model(lifted(merge(parts)), leaf_looks(rng, coarse=coarse))


def bush(rng: Rng) -> Model:
    """A shrub of leaves down to the ground."""
    return _bush(rng, int(rng.integers(3, 5)), 44, 0.19)


def bush_far(rng: Rng) -> Model:
    """A shrub seen from a distance."""
    return _bush(rng, 2, 20, 0.33, coarse=3.0)


def _hedge(rng: Rng, leaves: int, size: float) -> Model:
    length, deep, height = float(rng.uniform(3, 5)), float(rng.uniform(0.5, 1.1)), float(rng.uniform(0.7, 2.4))
    body = displaced(_rough_box(length, deep, height), rng, 0.05, 0.9)
    side = rng.random(leaves)
    x, z = rng.uniform(-0.5, 0.5, leaves) * length, rng.uniform(0.0, 1.0, leaves) * height
    y = np.where(side < 0.45, -0.5, np.where(side < 0.65, 0.5, rng.uniform(-0.5, 0.5, leaves))) * deep
    points = np.stack([x, y, np.where(side >= 0.65, height, z)], axis=1) + rng.normal(0, 0.03, (leaves, 3))
    lengths = size * rng.uniform(0.6, 1.5, leaves)
    cards = speckled(leaf_cards(points, lengths, rng, slimness=0.8, centre=(0, 0, 0.3 * height)), rng)
    return Model(lifted(merge([body, cards])), leaf_looks(rng, autumn=0.05))


def hedge(rng: Rng) -> Model:
    """A clipped piece of hedge, 3 to 5 m long along x."""
    return _hedge(rng, 260, float(rng.uniform(0.12, 0.26)))


def hedge_far(rng: Rng) -> Model:
    """A piece of hedge seen from a distance."""
    return _hedge(rng, 45, 0.35)


def _rough_box(length: float, deep: float, height: float) -> Mesh:
    """A box cut into short pieces, so that it can be bent."""
    size, places = (length / 4, 0.96 * deep, 0.97 * height), (np.arange(4) - 1.5) * length / 4
    return merge([box(size, at=(float(x), 0, 0), slot=DARK) for x in places])


def grass_tuft(rng: Rng) -> Model:
    """Long blades of grass or weeds."""
    height = float(rng.uniform(0.12, 0.6))
    blades = 24
    foot = np.append(rng.normal(0, 0.3 * height, (blades, 2)), np.zeros((blades, 1)), axis=1)
    lean, tall = rng.normal(0, 0.4, (blades, 2)) * height, height * rng.uniform(0.5, 1.1, (blades, 1))
    turn = rng.uniform(0, 2 * np.pi, blades)
    wide = (0.02 * height + 0.006) * np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1)
    middle, tip = np.append(0.35 * lean, 0.6 * tall, axis=1), np.append(lean, tall, axis=1)
    points = np.stack([foot - wide, foot + wide, foot + middle + wide, foot + tip, foot + middle - wide], axis=1)
    first = 5 * np.arange(blades)[:, None]
    faces = np.concatenate([first + np.array(face) for face in ((0, 1, 2), (0, 2, 4), (4, 2, 3))])
    return Model(creased(points.reshape(-1, 3), faces, 0, crease_deg=80), leaf_looks(rng, autumn=0.4)[1:2])


def flower_bed(rng: Rng) -> Model:
    """Low plants with flowers."""
    wide = float(rng.uniform(0.4, 1.2))
    points = np.concatenate([rng.uniform(-wide, wide, (120, 2)), rng.uniform(0.03, 0.3, (120, 1))], axis=1)
    leaves = leaf_cards(points, 0.2 * rng.uniform(0.6, 1.4, 120), rng, slot=LEAF)
    flowers = leaf_cards(points[::3] + np.array([0.0, 0.0, 0.1]), 0.1, rng, slimness=1.0, slot=BARK)
    colour = rng.uniform(0.25, 0.95, 3)
    colour[int(rng.integers(3))] = 0.9
    looks = (Look("plastic", tint=(float(colour[0]), float(colour[1]), float(colour[2]))), *leaf_looks(rng)[1:])
    return Model(lifted(merge([leaves, flowers])), looks)


def rock(rng: Rng) -> Model:
    """A boulder, partly in the ground."""
    r = float(rng.uniform(0.2, 0.9))
    body = ball((r, r * rng.uniform(0.6, 1.0), r * rng.uniform(0.45, 0.8)), at=(0, 0, 0.3 * r), detail=2)
    return Model(lifted(displaced(body, rng, 0.12 * r, 0.9 * r)), (Look("stone", repeat_m=(0.5, 2.0)),))


def log(rng: Rng) -> Model:
    """A felled trunk."""
    length, r = float(rng.uniform(1.2, 4.0)), float(rng.uniform(0.12, 0.35))
    bent = rng.normal(0, 0.06, 3)
    path = [[-length / 2, bent[0], r], [0, bent[1], r], [length / 2, bent[2], 0.95 * r]]
    return Model(moved(tube(path, [r, 0.95 * r, 0.85 * r], sides=9)), leaf_looks(rng)[:1])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "bush": ("bush", bush, 10),
    "bush_far": ("bush_far", bush_far, 5),
    "hedge": ("hedge", hedge, 6),
    "hedge_far": ("hedge_far", hedge_far, 3),
    "grass_tuft": ("grass_tuft", grass_tuft, 6),
    "flower_bed": ("flower_bed", flower_bed, 4),
    "rock": ("rock", rock, 8),
    "log": ("log", log, 3),
}
