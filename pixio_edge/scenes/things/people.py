"""People on their feet: standing, walking, carrying things. They look along -y."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.mesh import Look, Mesh, Model, merge
from pixio_edge.scenes.shapes import ball, box, displaced, moved, tube

Rng = np.random.Generator
Points = NDArray[np.float64]
SKIN, HAIR, COAT, TROUSERS, SHOES, BAG = range(6)


def _looks(rng: Rng) -> tuple[Look, ...]:
    dark = Look("fabric", tint=((0.15, 0.17, 0.25), (0.13, 0.13, 0.14), (0.3, 0.28, 0.25))[int(rng.integers(3))])
    return (
        Look("skin"),
        Look("hair"),
        Look("fabric", repeat_m=(0.3, 1.0)),
        dark if rng.random() < 0.7 else Look("fabric", repeat_m=(0.3, 1.0)),
        Look("leather"),
        Look("leather") if rng.random() < 0.5 else Look("fabric"),
    )


def _limb(start: Points, middle: Points, end: Points, radii: tuple[float, float, float], slot: int) -> Mesh:
    return tube([start, middle, end], list(radii), sides=6, slot=slot)


def _leg(hip: Points, swing: float, bend: float, build: float, wide: float) -> list[Mesh]:
    """A leg swung forwards by `swing` radians, its knee bent by `bend`."""
    thigh = shin = 0.5 * hip[2] - 0.035
    knee = hip + thigh * np.array([0.0, -math.sin(swing), -math.cos(swing)])
    foot = knee + shin * np.array([0.0, -math.sin(swing - bend), -math.cos(swing - bend)])
    foot[2] = max(0.07, foot[2])
    leg = _limb(hip, knee, foot, (0.085 * build * wide, 0.062 * build * wide, 0.048 * wide), TROUSERS)
    shoe = box((0.095, 0.27, 0.085), at=(foot[0], foot[1] - 0.07, foot[2] - 0.07), bevel=0.03, slot=SHOES)
    return [leg, shoe]


def _arm(shoulder: Points, swing: float, bend: float, side: float, build: float) -> tuple[list[Mesh], Points]:
    """An arm in its sleeve, and where its hand is."""
    upper, fore, out = 0.3, 0.26, 0.12 * side
    elbow = shoulder + upper * np.array([out, -math.sin(swing), -math.cos(swing)])
    hand = elbow + fore * np.array([0.2 * out, -math.sin(swing + bend), -math.cos(swing + bend)])
    sleeve = _limb(shoulder, elbow, hand, (0.06 * build, 0.048 * build, 0.036), COAT)
    return [sleeve, ball((0.035, 0.045, 0.05), at=hand.tolist(), detail=0, slot=SKIN)], hand


def _torso(rng: Rng, height: float, hip: float, build: float) -> list[Mesh]:
    """Trunk, neck, head and hair."""
    shoulder, half = 0.82 * height, 0.2 * build
    spine = [
        (0, 0, hip - 0.06),
        (0, 0, hip + 0.12),
        (0, 0, hip + 0.3),
        (0, -0.01, shoulder - 0.05),
        (0, 0, shoulder + 0.03),
    ]
    radii = [0.8 * half, 0.85 * half, 0.9 * half, half, 0.35 * half]
    trunk = moved(tube(spine, radii, sides=8, slot=COAT), scale=(1.0, 0.62, 1.0))
    head = 0.93 * height
    parts = [trunk, tube([(0, 0, shoulder), (0, -0.01, head)], 0.05, sides=5, slot=SKIN)]
    parts.append(ball((0.075, 0.095, 0.115), at=(0, -0.015, head), slot=SKIN))
    long = rng.random() < 0.4
    parts.append(ball((0.085, 0.1, 0.1), at=(0, 0.015, head + 0.035), slot=HAIR))
    if long:
        parts.append(ball((0.09, 0.06, 0.16), at=(0, 0.06, head - 0.07), detail=0, slot=HAIR))
    return parts


def _extras(rng: Rng, hands: list[Points], height: float, hip: float) -> list[Mesh]:
    """A rucksack, a bag in the hand, a skirt or long coat, or nothing."""
    choice = rng.random()
    if choice < 0.2:
        return [box((0.3, 0.17, 0.42), at=(0, 0.22, 0.56 * height), bevel=0.06, slot=BAG)]
    if choice < 0.4:
        x, y, z = (float(v) for v in hands[int(rng.integers(2))])
        bag = box((0.12, 0.32, 0.3), at=(x, y, z - 0.42), bevel=0.03, slot=BAG)
        return [bag, tube([(x, y - 0.08, z - 0.12), (x, y, z), (x, y + 0.08, z - 0.12)], 0.012, sides=4, slot=BAG)]
    if choice < 0.6:
        low = hip - float(rng.uniform(0.2, 0.45))
        coat = tube([(0, 0, low), (0, 0, hip + 0.1)], [0.25, 0.17], sides=9, slot=COAT)
        return [moved(coat, scale=(1.0, 0.75, 1.0))]
    return []


def _person(rng: Rng, swing: float, *, height: float) -> Model:
    build = float(rng.uniform(0.85, 1.25))
    hip, wide = 0.5 * height, float(rng.uniform(0.9, 1.4))
    parts = _torso(rng, height, hip, build)
    hands = []
    for side in (-1.0, 1.0):
        stride = side * swing
        parts += _leg(np.array([side * 0.09 * build, 0, hip]), stride, max(0.05, -stride) * 0.9 + 0.03, build, wide)
        arm, hand = _arm(
            np.array([side * 0.19 * build, 0, 0.8 * height]),
            -0.9 * stride + rng.normal(0, 0.12),
            float(rng.choice([0.15, 0.4, 1.4])),
            side,
            build,
        )
        parts += arm
        hands.append(hand)
    body = merge([*parts, *_extras(rng, hands, height, hip)])
    low = body.vertices[:, 2].min()
    return Model(moved(body, (0, 0, -float(low))), _looks(rng))


def standing_person(rng: Rng) -> Model:
    """An adult who stands."""
    return _person(rng, float(rng.normal(0, 0.07)), height=float(rng.uniform(1.55, 1.9)))


def walking_person(rng: Rng) -> Model:
    """An adult who walks."""
    return _person(rng, float(rng.choice([-1, 1]) * rng.uniform(0.2, 0.5)), height=float(rng.uniform(1.55, 1.9)))


def child(rng: Rng) -> Model:
    """A child who stands or walks."""
    grown = _person(rng, float(rng.uniform(-0.4, 0.4)), height=1.6)
    size = float(rng.uniform(0.95, 1.4)) / 1.6
    return Model(moved(grown.mesh, scale=(1.1 * size, 1.1 * size, size)), grown.looks)


def dog(rng: Rng) -> Model:
    """A dog on its feet."""
    h, length = float(rng.uniform(0.25, 0.55)), float(rng.uniform(0.5, 0.9))
    r = 0.17 * length
    body = displaced(ball((r, 0.5 * length, r), at=(0, 0, h), slot=0), rng, 0.01, 0.4)
    parts = [body, ball((0.6 * r, 0.9 * r, 0.7 * r), at=(0, -0.62 * length, h + 1.1 * r))]
    parts.append(tube([(0, -0.35 * length, h), (0, -0.6 * length, h + 0.9 * r)], [0.7 * r, 0.5 * r]))
    parts.append(tube([(0, 0.45 * length, h), (0, 0.7 * length, h + r)], [0.04, 0.015], sides=4))
    parts += [
        tube(
            [(x * 0.6 * r, y * 0.36 * length, h - 0.3 * r), (x * 0.6 * r, y * 0.38 * length, 0)], [0.05, 0.03], sides=5
        )
        for x in (-1, 1)
        for y in (-1, 1)
    ]
    mesh = merge(parts)
    return Model(moved(mesh, (0, 0, -float(mesh.vertices[:, 2].min()))), (Look("hair"),))


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "standing_person": ("pedestrian", standing_person, 8),
    "walking_person": ("pedestrian", walking_person, 10),
    "child": ("pedestrian", child, 4),
    "dog": ("dog", dog, 3),
}
