"""Trees, in several degrees of detail."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.mesh import Look, Mesh, Model, merge
from pixio_edge.scenes.shapes import ball, displaced, leaf_cards, tube

Rng = np.random.Generator
Points = NDArray[np.float64]
BARK, LEAF, DARK, LIGHT = range(4)
# Share of the leaves that are lighter than the rest.
LIGHTER = 0.4
GREENS = (
    (0.23, 0.33, 0.12), (0.3, 0.42, 0.16), (0.18, 0.27, 0.13), (0.38, 0.45, 0.2), (0.27, 0.36, 0.22),
    (0.33, 0.38, 0.14), (0.15, 0.22, 0.1), (0.43, 0.5, 0.28),
)  # fmt: skip
AUTUMN = ((0.62, 0.48, 0.14), (0.6, 0.3, 0.12), (0.45, 0.25, 0.14), (0.5, 0.45, 0.2))


def leaf_looks(rng: Rng, *, autumn: float = 0.12, coarse: float = 1.0) -> tuple[Look, ...]:
    """Bark, leaves, the darker leaves inside, lighter leaves.

    Args:
        rng: Source of the colours.
        autumn: How often the leaves are not green.
        coarse: Scale of the texture. Far trees need a coarse one: a fine one is averaged to one flat colour there.
    """
    colours = AUTUMN if rng.random() < autumn else GREENS
    colour = colours[int(rng.integers(len(colours)))]
    metres = coarse * float(rng.uniform(1.5, 4.0))
    bark = ((0.36, 0.3, 0.24), (0.28, 0.24, 0.2), (0.45, 0.42, 0.38), (0.2, 0.17, 0.15))[int(rng.integers(4))]

    def leaves(level: float) -> Look:
        red, green, blue = (min(1.0, level * channel) for channel in colour)
        return Look("foliage", tint=(red, green, blue), repeat_m=(metres, 1.5 * metres))

    lighter = float(rng.uniform(1.15, 1.5))
    return (Look("bark", tint=bark, repeat_m=(0.3, 0.9)), leaves(1.0), leaves(0.62), leaves(lighter))


def speckled(cards: Mesh, rng: Rng) -> Mesh:
    """Leaf cards of which some are in the slot of lighter leaves."""
    light = np.tile(rng.random(len(cards.triangles) // 2) < LIGHTER, 2)
    return replace(cards, slots=np.where(light, LIGHT, LEAF).astype(np.int32))


def _on_ball(rng: Rng, count: int, centre: Points, radii: Points) -> Points:
    """Points near the surface of an ellipsoid, few of them below."""
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    low = direction[:, 2] < -0.4
    direction[low, 2] *= -1
    return centre + direction * radii * rng.uniform(0.68, 1.08, (count, 1))


def clump(rng: Rng, centre: Points, radii: Points, *, leaves: int, size: float, crown: Points) -> list[Mesh]:
    """A mass of leaves: a dark lump with leaf cards over it."""
    mean = float(radii.mean())
    inner = ball((0.68 * radii).tolist(), at=centre.tolist(), detail=0, slot=DARK)
    lump = displaced(inner, rng, 0.13 * mean, 1.2 * mean)
    points = _on_ball(rng, leaves, centre, radii)
    lengths = size * rng.uniform(0.6, 1.5, leaves)
    return [lump, speckled(leaf_cards(points, lengths, rng, slimness=0.75, centre=crown), rng)]


def _branches(rng: Rng, height: float, radius: float, ends: Points, fork: float, *, lean: float = 0.035) -> list[Mesh]:
    """A slightly bent trunk, and branches from it to some ends."""
    off = rng.normal(0, lean * height, 2)
    at = np.array([[0, 0, 0], [*(0.35 * off), 0.5 * fork], [*off, fork], [*(off * 1.4), height]])
    parts = [tube(at, [1.25 * radius, radius, 0.85 * radius, 0.3 * radius], sides=6, slot=BARK)]
    for end in ends:
        start = at[2] + (at[3] - at[2]) * rng.uniform(-0.1, 0.35)
        middle = 0.5 * (start + end) + rng.normal(0, 0.05 * height, 3) * [1, 1, 0.3]
        parts.append(tube([start, middle, end], [0.5 * radius, 0.35 * radius, 0.12 * radius], sides=4, slot=BARK))
    return parts


def _broadleaf(rng: Rng, clumps: int, leaves: int, *, size: float, branches: int, coarse: float = 1.0) -> Model:
    height = float(rng.uniform(5, 15))
    wide = height * float(rng.uniform(0.22, 0.42))
    base = height * float(rng.uniform(0.16, 0.36))
    tall = 0.5 * (height - base)
    crown = np.array([0.0, 0.0, base + tall])
    around = np.linspace(0, 2 * math.pi, clumps, endpoint=False) + rng.uniform(0, 1, clumps)
    level = rng.permutation(np.linspace(-0.75, 0.85, clumps))
    out = np.sqrt(np.maximum(0, 1 - level**2)) * rng.uniform(0.45, 0.75, clumps)
    centres = crown + np.stack([np.cos(around) * out * wide, np.sin(around) * out * wide, level * 0.68 * tall], axis=1)
    parts = _branches(rng, base + 1.3 * tall, 0.02 * height + 0.05, centres[:branches], base)
    for centre in centres:
        r = wide * float(rng.uniform(0.42, 0.62)) * (1.25 if clumps < 6 else 1.0)
        parts += clump(
            rng,
            centre,
            np.array([r, r, r * rng.uniform(0.7, 1.0)]),
            leaves=leaves,
            size=size * height / 10,
            crown=crown,
        )
    return Model(merge(parts), leaf_looks(rng, coarse=coarse))


def broadleaf(rng: Rng) -> Model:
    """A leafy tree seen from near."""
    return _broadleaf(rng, int(rng.integers(7, 10)), 50, size=0.6, branches=4)


def broadleaf_far(rng: Rng) -> Model:
    """A leafy tree seen from a distance, with few large leaves."""
    return _broadleaf(rng, int(rng.integers(4, 6)), 15, size=1.3, branches=0, coarse=3.0)


def broadleaf_speck(rng: Rng) -> Model:
    """A leafy tree on the horizon."""
    return _broadleaf(rng, 3, 8, size=1.9, branches=0, coarse=8.0)


def street_tree(rng: Rng) -> Model:
    """A young tree: a thin trunk and a small crown above head height."""
    height, base = float(rng.uniform(4.0, 7.5)), float(rng.uniform(1.9, 2.6))
    tall = 0.5 * (height - base)
    crown, wide = np.array([0.0, 0.0, base + tall]), tall * float(rng.uniform(0.5, 0.95))
    parts = _branches(rng, base + tall, float(rng.uniform(0.05, 0.11)), np.zeros((0, 3)), base)
    for turn in np.arange(5) * 1.3:
        at = crown + 0.45 * np.array([math.cos(turn) * wide, math.sin(turn) * wide, (turn - 2.6) / 2.6 * tall])
        parts += clump(rng, at, np.array([0.65 * wide, 0.65 * wide, 0.55 * tall]), leaves=46, size=0.38, crown=crown)
    return Model(merge(parts), leaf_looks(rng))


def _needle_tree(rng: Rng, tiers: int, leaves: int, size: float, *, coarse: float = 1.0) -> Model:
    height = float(rng.uniform(6, 18))
    base, wide = height * float(rng.uniform(0.03, 0.15)), height * float(rng.uniform(0.13, 0.24))
    parts = _branches(rng, height * 0.98, 0.014 * height + 0.04, np.zeros((0, 3)), 0.5 * height, lean=0.0)
    for tier in range(tiers):
        share = tier / tiers
        z = base + (height - base) * (share + float(rng.normal(0, 0.02)))
        r = wide * (1 - share) ** 0.85 * float(rng.uniform(0.8, 1.15))
        turn = rng.uniform(0, 2 * math.pi, leaves)
        out = r * np.sqrt(rng.uniform(0.15, 1.1, leaves))
        droop = (r - out) * 0.45 + rng.uniform(-0.1, 0.15, leaves) * (height - base) / tiers
        points = np.stack([np.cos(turn) * out, np.sin(turn) * out, z + droop], axis=1)
        lengths = size * (0.45 + r / wide) * rng.uniform(0.7, 1.4, leaves)
        parts.append(speckled(leaf_cards(points, lengths, rng, slimness=0.6, centre=(0, 0, z - 0.3)), rng))
        step = (height - base) / tiers
        cone = [[0, 0, z - 0.1 * step], [0, 0, z + 1.5 * step]]
        parts.append(tube(cone, [0.8 * r, 0.05 * r], sides=6, slot=DARK))
    return Model(merge(parts), leaf_looks(rng, autumn=0.0, coarse=coarse))


def conifer(rng: Rng) -> Model:
    """A spruce or fir in tiers."""
    return _needle_tree(rng, int(rng.integers(9, 13)), 36, 0.55)


def conifer_far(rng: Rng) -> Model:
    """A conifer seen from a distance."""
    return _needle_tree(rng, 5, 12, 1.5, coarse=3.0)


def conifer_speck(rng: Rng) -> Model:
    """A conifer on the horizon."""
    return _needle_tree(rng, 3, 8, 2.2, coarse=8.0)


def cypress(rng: Rng) -> Model:
    """A slim tree or clipped evergreen."""
    height = float(rng.uniform(1.6, 7.0))
    r = height * float(rng.uniform(0.1, 0.2))
    rings = [0.02, 0.25, 0.55, 0.8, 0.99]
    body = tube([[0, 0, height * t] for t in rings], [0.6 * r, 0.9 * r, 0.8 * r, 0.5 * r, 0.05 * r], sides=8, slot=DARK)
    level = np.sqrt(rng.uniform(0, 1, 180))
    turn = rng.uniform(0, 2 * math.pi, 180)
    out = np.interp(1 - level, rings, [0.62 * r, 0.98 * r, 0.9 * r, 0.55 * r, 0.05 * r])
    points = np.stack([np.cos(turn) * out, np.sin(turn) * out, (1 - level) * height], axis=1)
    leaves = speckled(leaf_cards(points, 0.14 * height**0.7 * rng.uniform(0.6, 1.4, 180), rng), rng)
    return Model(merge([displaced(body, rng, 0.06 * r, r), lifted(leaves)]), leaf_looks(rng, autumn=0.0))


def lifted(mesh: Mesh) -> Mesh:
    """The mesh with what is below the ground pressed up to it."""
    vertices = mesh.vertices.copy()
    vertices[:, 2] = np.maximum(vertices[:, 2], 0.02 * np.abs(vertices[:, 2]))
    return Mesh(vertices, mesh.normals, mesh.uv, mesh.triangles, mesh.slots)


def bare_tree(rng: Rng) -> Model:
    """A tree in winter."""
    height = float(rng.uniform(5, 12))
    parts: list[Mesh] = []
    reach = [(np.zeros(3), np.array([0, 0, 1.0]), 0.35 * height, 0.02 * height + 0.04)]
    for depth in range(5):
        following = []
        for start, direction, length, radius in reach:
            end = start + direction * length
            middle = 0.5 * (start + end) + rng.normal(0, 0.04 * length, 3)
            parts.append(
                tube([start, middle, end], [radius, 0.85 * radius, 0.7 * radius], sides=(6, 4, 3, 3, 3)[depth])
            )
            for _ in range(3 if depth < 3 else 2):
                turned = direction + rng.normal(0, 0.5, 3) + [0, 0, 0.18]
                turned /= np.linalg.norm(turned)
                following.append((end, turned, length * rng.uniform(0.5, 0.8), 0.55 * radius))
        reach = following if depth < 3 else []
        if depth == 3:
            break
    return Model(merge(parts), leaf_looks(rng)[:1])


def forest_trunk(rng: Rng) -> Model:
    """A tall trunk whose crown is above the picture, with dead twigs and roots."""
    height, r = float(rng.uniform(9, 18)), float(rng.uniform(0.1, 0.35))
    lean = rng.normal(0, 0.3, (4, 2)).cumsum(axis=0)
    path = [(0, 0, 0), (0, 0, 0.4), *((float(x), float(y), height * (i + 1) / 4) for i, (x, y) in enumerate(lean))]
    parts = [tube(path, [1.5 * r, 1.05 * r, r, 0.85 * r, 0.6 * r, 0.3 * r], sides=8)]
    for _ in range(int(rng.integers(3, 12))):
        z, turn, out = rng.uniform(1.0, 0.7 * height), rng.uniform(0, 6.3), rng.uniform(0.4, 2.5)
        x, y = (float(np.interp(z, [p[2] for p in path], [p[axis] for p in path])) for axis in (0, 1))
        tip = (x + out * math.cos(turn), y + out * math.sin(turn), z + rng.uniform(-0.3, 0.8))
        parts.append(tube([(x, y, z), tip], [0.12 * r + 0.012, 0.008], sides=4))
    crown = rng.normal(0, 0.1 * height, (150, 3)) + np.array([*lean[2], 0.85 * height])
    parts.append(speckled(leaf_cards(crown, 0.07 * height, rng, slimness=0.7), rng))
    return Model(merge(parts), leaf_looks(rng))


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "broadleaf": ("tree", broadleaf, 12),
    "street_tree": ("street_tree", street_tree, 8),
    "conifer": ("conifer", conifer, 5),
    "cypress": ("cypress", cypress, 4),
    "bare_tree": ("bare_tree", bare_tree, 3),
    "broadleaf_far": ("tree_far", broadleaf_far, 10),
    "conifer_far": ("conifer_far", conifer_far, 3),
    "broadleaf_speck": ("tree_speck", broadleaf_speck, 8),
    "conifer_speck": ("conifer_speck", conifer_speck, 2),
    "forest_trunk": ("forest_trunk", forest_trunk, 6),
}
