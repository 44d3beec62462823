"""Bottles, jars, cans, cups, bowls, plates: vessels of kitchens, tables and bathrooms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Mesh, Model
from pixio_edge.scenes.shapes import box, cylinder, extrude, lathe, moved, rounded, tube
from pixio_edge.scenes.shapes.profiles import band, handle, hollow, ring, silhouette, spline, thing
from pixio_edge.scenes.things.stuff import (
    CERAMIC,
    GLASS,
    METAL,
    PLASTIC,
    PRINT,
    STEEL,
    WHITE,
    WOOD,
    bright,
    pick,
    plain,
)


def _label(radius: float, low: float, high: float, slot: int, sides: int = 16) -> Mesh:
    return lathe([(radius, low), (radius, high)], sides=sides, cap=False, slot=slot, fit=True)


def bottle(rng: np.random.Generator) -> Model:
    """Wine, beer, water, oil or sauce."""
    u = rng.uniform
    height = u(0.16, 0.34)
    radius, neck = height * u(0.10, 0.18), height * u(0.035, 0.055)
    shoulder, collar = height * u(0.45, 0.68), height * u(0.72, 0.85)
    waist = radius * u(0.85, 1.0)
    body = [(0.93 * radius, 0), (radius, 0.02 * height), (waist, 0.5 * shoulder), (radius, shoulder)]
    neck_line = [(u(0.75, 0.95) * radius, 0.4 * collar + 0.6 * shoulder), (neck, collar), (neck, height)]
    parts = [lathe([body[0], *silhouette([*body[1:], *neck_line], 13)], sides=16)]
    parts.append(cylinder(neck * u(1.05, 1.4), height * u(0.05, 0.1), sides=10, at=(0, 0, 0.95 * height), slot=1))
    looks = [pick(rng, (GLASS, PLASTIC, GLASS, bright(rng))), pick(rng, (METAL, PLASTIC, WHITE))]
    if waist > 0.9 * radius and u() < 0.8:
        parts.append(_label(radius + 0.001, 0.2 * shoulder, u(0.6, 0.9) * shoulder, 2))
        looks.append(PRINT)
    return thing(parts, looks)


def flat_bottle(rng: np.random.Generator) -> Model:
    """Shampoo, detergent or ketchup: an oval or boxy body with a cap."""
    u = rng.uniform
    height, width = u(0.12, 0.28), u(0.05, 0.11)
    depth = width * u(0.45, 0.8)
    if u() < 0.5:
        line = [(0.42, 0), (0.5, 0.03), (u(0.4, 0.5), 0.4), (u(0.42, 0.5), 0.75), (0.2, 0.97), (0.16, 1.0)]
        body = moved(lathe(silhouette(line, 11), sides=16), scale=(width, depth, height))
    else:
        body = box((width, depth, height), bevel=0.3 * depth)
    lid = width * u(0.15, 0.22)
    parts = [body, cylinder(lid, u(0.02, 0.05), top_radius=lid * u(0.5, 1), sides=10, at=(0, 0, height), slot=1)]
    if u() < 0.7:
        front = box((0.7 * width, depth + 0.001, 0.5 * height), at=(0, 0, 0.2 * height), slot=2, fit=True)
        parts.append(front)
    return thing(parts, [pick(rng, (PLASTIC, bright(rng), WHITE)), pick(rng, (PLASTIC, WHITE)), PRINT])


def spray_bottle(rng: np.random.Generator) -> Model:
    """A cleaner with a trigger."""
    u = rng.uniform
    height, radius = u(0.16, 0.22), u(0.035, 0.05)
    top = silhouette([(radius, 0.5 * height), (0.8 * radius, 0.7 * height), (0.012, 0.9 * height), (0.012, height)], 8)
    parts = [lathe([(radius, 0), *top], sides=14), cylinder(0.016, 0.025, at=(0, 0, height), sides=10, slot=1)]
    parts.append(box((0.025, 0.09, 0.03), at=(0, -0.015, height + 0.025), bevel=0.008, slot=1))
    trigger = spline([(0, -0.035, height + 0.03), (0, -0.045, height), (0, -0.03, height - 0.03)], 5)
    parts += [tube(trigger, 0.005, slot=1), _label(radius + 0.001, 0.05 * height, 0.45 * height, 2, sides=14)]
    return thing(parts, [pick(rng, (PLASTIC, bright(rng))), pick(rng, (WHITE, bright(rng))), PRINT])


def pump_bottle(rng: np.random.Generator) -> Model:
    """Soap with a pump."""
    u = rng.uniform
    height, radius = u(0.10, 0.17), u(0.028, 0.042)
    line = [(0.95 * radius, 0), (radius, 0.01), (radius, 0.8 * height), (0.4 * radius, height)]
    body = lathe(line, sides=14) if u() < 0.6 else box((1.8 * radius, 1.5 * radius, height), bevel=0.01)
    top = height + u(0.02, 0.04)
    parts = [body, cylinder(0.014, 0.014, at=(0, 0, height), sides=10, slot=1)]
    parts.append(tube([(0, 0, height), (0, 0, top)], 0.005, slot=1))
    parts.append(tube([(0, 0.012, top), (0, -0.03, top), (0, -0.04, top - 0.01)], 0.007, slot=1))
    parts.append(_label(radius + 0.001, 0.15 * height, 0.65 * height, 2, sides=14))
    return thing(parts, [pick(rng, (PLASTIC, GLASS, CERAMIC)), pick(rng, (WHITE, STEEL, PLASTIC)), PRINT])


def can(rng: np.random.Generator) -> Model:
    """A drink or food can with a printed side."""
    u = rng.uniform
    radius = u(0.026, 0.052)
    height = radius * u(1.2, 4.6)
    rim = min(0.006, 0.1 * height)
    line = [(0.85 * radius, 0), (radius, rim), (radius, height - rim), (0.85 * radius, height)]
    lids = lathe([*line, (0.8 * radius, height - 0.003)], sides=16, slot=1)
    return thing([_label(radius + 0.0008, rim, height - rim, 0), lids], [PRINT, STEEL])


def jar(rng: np.random.Generator) -> Model:
    """Jam, coffee, spices or cream, with a lid."""
    u = rng.uniform
    radius = u(0.022, 0.06)
    height = radius * u(1.3, 3.2)
    line = [(0.9 * radius, 0), (radius, 0.06 * height), (radius, 0.8 * height), (0.8 * radius, 0.9 * height)]
    lid = u(0.82, 1.02) * radius
    parts = [lathe(line, sides=16), lathe([(lid, 0.88 * height), (lid, height), (0.0, height)], sides=16, slot=1)]
    if u() < 0.7:
        parts.append(_label(radius + 0.0008, 0.15 * height, u(0.5, 0.75) * height, 2))
    return thing(parts, [pick(rng, (GLASS, CERAMIC, PLASTIC)), pick(rng, (METAL, WOOD, bright(rng))), PRINT])


def mug(rng: np.random.Generator) -> Model:
    """A mug with a handle, sometimes with coffee in it."""
    u = rng.uniform
    radius, height = u(0.034, 0.05), u(0.075, 0.12)
    line = [(u(0.7, 1.0) * radius, 0), (u(0.85, 1.08) * radius, 0.35 * height), (radius, height)]
    side = silhouette(line, 6)
    parts = [lathe(hollow(side, 0.004), sides=18)]
    if u() < 0.5:
        parts.append(band(side, u(0.05, 0.3) * height, u(0.6, 0.95) * height, slot=2, sides=18))
    parts.append(handle(u(0.02, 0.035), 0.18 * height, 0.85 * height, at=0.93 * radius, thickness=u(0.004, 0.007)))
    if u() < 0.5:
        parts.append(cylinder(0.85 * radius, 0.002, at=(0, 0, 0.75 * height), sides=14, slot=1))
    return thing(
        parts, [pick(rng, (CERAMIC, CERAMIC, bright(rng))), plain((0.16, 0.09, 0.05), rng), pick(rng, (PRINT, CERAMIC))]
    )


def cup_and_saucer(rng: np.random.Generator) -> Model:
    """A low cup on its plate."""
    u = rng.uniform
    radius, height = u(0.035, 0.05), u(0.05, 0.07)
    cup = hollow(silhouette([(0.5 * radius, 0.01), (0.8 * radius, 0.4 * height), (radius, height)], 6), 0.003)
    saucer = [(0.6 * radius, 0), (1.1 * radius, 0.004), (1.7 * radius, 0.015), (1.1 * radius, 0.009), (0, 0.008)]
    parts = [lathe(cup, sides=16), lathe(saucer, sides=18)]
    parts.append(handle(0.022, 0.25 * height, 0.85 * height, at=0.85 * radius, thickness=0.004))
    return thing(parts, [CERAMIC])


def glass(rng: np.random.Generator) -> Model:
    """A tumbler or a paper cup."""
    u = rng.uniform
    radius, height = u(0.028, 0.042), u(0.08, 0.16)
    vessel = lathe(hollow([(u(0.65, 0.95) * radius, 0), (radius, height)], 0.003), sides=16)
    if u() < 0.3:
        lid = lathe([(1.05 * radius, height), (0.95 * radius, height + 0.012), (0, height + 0.012)], slot=1)
        return thing([vessel, lid], [pick(rng, (WHITE, PLASTIC)), pick(rng, (WHITE, PLASTIC))])
    parts = [vessel, cylinder(0.75 * radius, 0.002, at=(0, 0, u(0.4, 0.8) * height), sides=14, slot=1)]
    return thing(parts, [GLASS, pick(rng, (GLASS, bright(rng)))])


def wine_glass(rng: np.random.Generator) -> Model:
    """A bowl on a stem."""
    u = rng.uniform
    height, radius = u(0.15, 0.24), u(0.03, 0.05)
    stem = u(0.4, 0.55) * height
    bowl = silhouette([(0.004, stem), (0.9 * radius, stem + 0.2 * height), (u(0.65, 1) * radius, height)], 7)
    foot = [(0.85 * radius, 0), (0.85 * radius, 0.002), (0.006, 0.01)]
    return thing([lathe([*foot, *bowl, *(bowl[::-1] - (0.002, 0))[:5]], sides=14, cap=False)], [GLASS])


def bowl(rng: np.random.Generator) -> Model:
    """A bowl of any size."""
    u = rng.uniform
    radius = u(0.05, 0.16)
    height = radius * u(0.35, 1.0)
    line = [(0.5 * radius, 0), (u(0.75, 0.95) * radius, 0.4 * height), (radius, height)]
    side = silhouette(line, 7)
    parts = [lathe(hollow(side, max(0.003, 0.04 * radius)), sides=20)]
    if u() < 0.4:
        parts.append(band(side, u(0.3, 0.7) * height, u(0.8, 0.97) * height, slot=1, sides=20))
    return thing(
        parts, [pick(rng, (CERAMIC, CERAMIC, WOOD, STEEL, bright(rng))), pick(rng, (CERAMIC, PRINT, bright(rng)))]
    )


def _plate_profile(rng: np.random.Generator, radius: float) -> list[tuple[float, float]]:
    rim = rng.uniform(0.012, 0.03)
    return [(0.6 * radius, 0), (radius, rim), (0.98 * radius, rim + 0.003), (0.65 * radius, 0.006), (0, 0.006)]


def plate(rng: np.random.Generator) -> Model:
    """One plate."""
    radius = rng.uniform(0.07, 0.15)
    profile = _plate_profile(rng, radius)
    parts = [lathe(profile, sides=22)]
    if rng.uniform() < 0.5:
        parts.append(
            lathe(
                [(0.95 * radius, profile[2][1] + 0.0008), (0.68 * radius, 0.0072)],
                sides=22,
                cap=False,
                slot=1,
                fit=True,
            )
        )
    return thing(parts, [CERAMIC, pick(rng, (PRINT, CERAMIC))])


def plate_stack(rng: np.random.Generator) -> Model:
    """Plates or bowls on one another, not quite centred."""
    u = rng.uniform
    radius, step = u(0.08, 0.14), u(0.008, 0.014)
    profile = _plate_profile(rng, radius)
    count = int(rng.integers(3, 9))
    parts = [lathe(profile, sides=14, at=(u(-0.004, 0.004), u(-0.004, 0.004), i * step)) for i in range(count)]
    return thing(parts, [CERAMIC])


def jug(rng: np.random.Generator) -> Model:
    """A pitcher or measuring jug with a spout."""
    u = rng.uniform
    radius, height = u(0.045, 0.075), u(0.14, 0.26)
    line = [(0.8 * radius, 0), (radius * u(1, 1.2), 0.35 * height), (u(0.55, 0.9) * radius, 0.8 * height)]
    line.append((u(0.7, 0.95) * radius, height))
    body = lathe(hollow(silhouette(line, 9), 0.004), sides=16)
    # The lip: vertices near the rim on one side are drawn out.
    points = body.vertices
    pull = np.clip((points[:, 2] / height - 0.8) / 0.2, 0, 1) * np.clip(-points[:, 0] / radius - 0.4, 0, 1)
    points[:, 0] -= 0.06 * pull
    parts = [body, handle(u(0.03, 0.05), 0.2 * height, 0.9 * height, at=0.7 * radius, thickness=0.008)]
    return thing(parts, [pick(rng, (CERAMIC, GLASS, PLASTIC, STEEL))])


def teapot(rng: np.random.Generator) -> Model:
    """A round pot with spout, lid and handle."""
    u = rng.uniform
    radius = u(0.06, 0.09)
    height = radius * u(1.2, 1.8)
    line = silhouette([(0.6 * radius, 0), (radius, 0.4 * height), (0.5 * radius, 0.93 * height), (0.012, height)], 9)
    line[-1] = (0.012, height)
    parts = [lathe(line, sides=18), band(line[:-1], 0.1 * height, u(0.3, 0.8) * height, slot=2, sides=18)]
    parts.append(lathe([(0.012, height), (0.016, height + 0.015), (0.004, height + 0.024)]))
    spout = [(-0.8 * radius, 0, 0.35 * height), (-1.3 * radius, 0, 0.5 * height), (-1.7 * radius, 0, 0.95 * height)]
    parts.append(tube(spline(spout, 6), np.linspace(0.018, 0.008, 6), sides=8))
    parts.append(handle(u(0.04, 0.06), 0.25 * height, 0.85 * height, at=0.75 * radius, thickness=0.007, slot=1))
    return thing(
        parts, [pick(rng, (CERAMIC, STEEL, METAL)), pick(rng, (CERAMIC, WOOD, PLASTIC)), pick(rng, (PRINT, CERAMIC))]
    )


def thermos(rng: np.random.Generator) -> Model:
    """A flask or sports bottle."""
    u = rng.uniform
    radius, height = u(0.032, 0.045), u(0.18, 0.3)
    parts = [lathe([(radius, 0), (radius, 0.78 * height), (0.8 * radius, 0.84 * height)], sides=16)]
    parts.append(lathe([(0.85 * radius, 0.83 * height), (u(0.6, 0.9) * radius, height)], sides=16, slot=1))
    if u() < 0.4:
        parts.append(moved(ring(0.025, 0.004, slot=1), (0, 0, height + 0.02), pitch=1.571))
    return thing(parts, [pick(rng, (METAL, bright(rng), STEEL)), pick(rng, (PLASTIC, STEEL, WHITE))])


def tray(rng: np.random.Generator) -> Model:
    """A flat tray or baking tin."""
    u = rng.uniform
    width, depth, rim = u(0.25, 0.5), u(0.18, 0.35), u(0.015, 0.05)
    parts = [extrude(rounded(width, depth, u(0.01, 0.05)), 0.005)]
    parts += [box((width, 0.008, rim), at=(0, side * depth / 2, 0)) for side in (-1, 1)]
    parts += [box((0.008, depth, rim), at=(side * width / 2, 0, 0)) for side in (-1, 1)]
    return thing(parts, [pick(rng, (WOOD, METAL, PLASTIC, STEEL))])


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "bottle": ("bottle", bottle, 12),
    "flat_bottle": ("bottle", flat_bottle, 10),
    "spray_bottle": ("bottle", spray_bottle, 4),
    "pump_bottle": ("bottle", pump_bottle, 5),
    "can": ("bottle", can, 6),
    "jar": ("bottle", jar, 8),
    "thermos": ("bottle", thermos, 4),
    "mug": ("kitchenware", mug, 8),
    "cup_and_saucer": ("kitchenware", cup_and_saucer, 3),
    "glass": ("kitchenware", glass, 6),
    "wine_glass": ("kitchenware", wine_glass, 4),
    "bowl": ("kitchenware", bowl, 8),
    "plate": ("kitchenware", plate, 4),
    "plate_stack": ("kitchenware", plate_stack, 4),
    "jug": ("kitchenware", jug, 5),
    "teapot": ("kitchenware", teapot, 4),
    "tray": ("kitchenware", tray, 4),
}
