"""Outdoor scenes under construction: what stands where along a road or path.

Places are given as (u, v): u metres to the right of the middle of the road, v metres along it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pixio_edge.scenes.kit import Kit, Placed
from pixio_edge.scenes.land import Frame, strips
from pixio_edge.scenes.scene import Camera, Scene, Surface, Vector

VIEWS = 4
# Categories whose leaves may hang before a camera.
CROWNED = frozenset({"tree", "tree_far", "street_tree"})
# Categories whose members look different from each other.
VARIED = frozenset({"car", "van", "pedestrian", "terrace", "house", "block", "rider", "cycle", "sign", "billboard"})
# Side of the squares in which taken ground is looked up, metres.
CELL = 4.0


class Site:
    """A scene under construction along a frame.

    Attributes:
        kit: Draws.
        scene: What is built.
        frame: Its ground.
        taken: (x, y, radius) of what stands on the ground, for cameras to keep off, metres.
        crowns: The same of the crowns of trees, which only cameras keep out of.
    """

    def __init__(self, kit: Kit, scene: Scene, frame: Frame) -> None:
        self.kit, self.scene, self.frame = kit, scene, frame
        self.taken: list[tuple[float, float, float]] = []
        self.crowns: list[tuple[float, float, float]] = []
        self._cells: dict[tuple[int, int], list[tuple[float, float, float]]] = {}
        self._dressed: dict[int, tuple[Surface, ...]] = {}

    def share(self, other: Site) -> None:
        """Keep one record with another site of the same scene of what stands where."""
        self.taken, self.crowns, self._cells, self._dressed = other.taken, other.crowns, other._cells, other._dressed

    def lay_ground(self, surfaces: Sequence[Surface], *, reach: tuple[float, float] = (-70.0, 700.0)) -> None:
        """Add the ground; surfaces: of the road, kerb, pavement, land to the left, land to the right."""
        f = self.frame
        land = [f.edge + d for d in (2.5, 6.0, 12.0, 22.0, 40.0, 70.0, 120.0, 240.0, 600.0)]
        half = [0.5 * f.road, f.road, *([f.road + 0.02, f.edge] if f.walk > 0 else []), *land]
        own = [0, 1, 2] if f.walk > 0 else [0]
        slots = [*[3] * len(land), *reversed(own), 0, *own, *[4] * len(land)]
        u = np.array([-u for u in reversed(half)] + half)
        v = np.concatenate([np.arange(reach[0], 130.0, 5.0), np.geomspace(135.0, reach[1], 12)])
        pieces = np.tile(slots, (len(v) - 1, 1))
        if f.crossing is not None:
            low, high = f.crossing[0] - f.crossing[1], f.crossing[0] + f.crossing[1]
            v = v[(np.abs(v - low) > 0.5) & (np.abs(v - high) > 0.5)]
            v = np.sort(np.concatenate([v, (low - 0.01, low + 0.01, high - 0.01, high + 0.01)]))
            pieces = np.tile(slots, (len(v) - 1, 1))
            middles = 0.5 * (v[1:] + v[:-1])
            pieces[(middles > low) & (middles < high)] = 0
        middle = np.array([f.middle(float(place))[0] for place in v])
        grid_u, grid_v = np.broadcast_to(u, (len(v), len(u))), np.broadcast_to(v[:, None], (len(v), len(u)))
        points = np.stack([grid_u + middle[:, None], grid_v, f.heights(grid_u, grid_v)], axis=-1)
        self.kit.add(self.scene, strips(points, pieces), surfaces)

    def put(
        self,
        category: str | int,
        u: float,
        v: float,
        yaw: float = 0.0,
        *,
        scale: float | Vector = 1.0,
        lift: float = 0.0,
        radius: float | None = None,
        sink: bool = False,
    ) -> Placed:
        """Put a thing on the ground.

        Args:
            category: See `Kit.place`.
            u: To the right of the road.
            v: Along it.
            yaw: At 0 its front looks back along the road; pi: forwards; pi/2: to the right, -pi/2: to the left.
            scale: See `Kit.place`.
            lift: Metres above the ground.
            radius: What it takes of the ground, metres; None: half its smaller extent; 0: nothing.
            sink: Buildings stand on the lowest ground under their sides.
        """
        f, kit = self.frame, self.kit
        index = kit.index(category) if isinstance(category, str) else category
        x, heading = f.middle(v)
        z = f.height(u, v) + lift
        size = kit.size(index)
        if sink:
            reach = 0.5 * max(size[0], size[1])
            z = min(z, f.height(u, v - reach), f.height(u, v + reach), f.height(u - math.copysign(reach, u), v)) + lift
        surfaces = self._dress(index)
        placed = kit.place(self.scene, index, (x + u, v, z), yaw - heading, scale=scale, surfaces=surfaces)
        factor = scale if isinstance(scale, float | int) else max(scale[:2])
        half = 0.5 * min(size[0], size[1]) * factor if radius is None else radius
        if half > 0:
            self._take(x + u, v, yaw - heading, half, placed)
        if size[2] > 2.5 and kit.library.categories[index] in CROWNED:
            self.crowns.append((x + u, v, 0.3 * max(size[0], size[1]) * factor))
        return placed

    def _dress(self, index: int) -> tuple[Surface, ...]:
        """Surfaces of a model; plants and street furniture of one kind look the same all over a scene."""
        kit = self.kit
        if kit.library.categories[index] in VARIED:
            return kit.surfaces(kit.library.models[index])
        if index not in self._dressed:
            self._dressed[index] = kit.surfaces(kit.library.models[index])
        return self._dressed[index]

    def _take(self, x: float, y: float, yaw: float, radius: float, placed: Placed) -> None:
        """Mark the ground under a thing: a row of discs along its longer side."""
        wide, deep = placed.high[0] - placed.low[0], placed.high[1] - placed.low[1]
        over = 0.5 * abs(wide - deep)
        count = min(12, int(1.4 * over / max(radius, 0.1)) + 2) if over > 0.3 * radius else 1
        c, s = (math.cos(yaw), math.sin(yaw)) if wide > deep else (-math.sin(yaw), math.cos(yaw))
        for i in range(count):
            t = 0.0 if count == 1 else over * (2.0 * i / (count - 1) - 1.0)
            self.take(x + c * t, y + s * t, 1.1 * radius)

    def take(self, x: float, y: float, radius: float) -> None:
        """Mark a disc of ground as taken, world metres."""
        disc = (x, y, radius)
        self.taken.append(disc)
        for i in range(int((x - radius) // CELL), int((x + radius) // CELL) + 1):
            for j in range(int((y - radius) // CELL), int((y + radius) // CELL) + 1):
                self._cells.setdefault((i, j), []).append(disc)

    def free(self, x: float, y: float, radius: float) -> bool:
        """Whether nothing stands within a radius of a world place."""
        for i in range(int((x - radius) // CELL), int((x + radius) // CELL) + 1):
            for j in range(int((y - radius) // CELL), int((y + radius) // CELL) + 1):
                for a, b, r in self._cells.get((i, j), ()):
                    if (x - a) ** 2 + (y - b) ** 2 < (radius + r) ** 2:
                        return False
        return True

    def room(self, u: float, v: float, radius: float) -> bool:
        """The same for a place along the road, off roads that cross."""
        return not self.frame.crossed(v, 0.8) and self.free(self.frame.middle(v)[0] + u, v, radius)

    def look(self, u: float, v: float, height: float, turn: float) -> Camera | None:
        """A camera that looks `turn` radians to the left of the road's course; None where something is in its way."""
        kit, f = self.kit, self.frame
        x, heading = f.middle(v)
        yaw = turn - heading
        ahead = (x - 1.8 * math.sin(yaw), v + 1.8 * math.cos(yaw))
        if any((x + u - a) ** 2 + (v - b) ** 2 < (r + 0.4) ** 2 for a, b, r in self.crowns):
            return None
        if not self.free(x + u, v, 0.45) or not self.free(ahead[0] + u, ahead[1], 0.5):
            return None
        rise = (f.height(u, v + 4.0) - f.height(u, v - 4.0)) / 8.0
        pitch = kit.normal(0.03, 0.05) - math.atan(rise) * math.cos(turn)
        if height < 1.0:
            pitch -= 0.04
        fov = kit.uniform(1.15, 1.55) if kit.chance(0.7) else kit.uniform(0.75, 1.15)
        return Camera((x + u, v, f.height(u, v) + height), yaw, pitch, kit.normal(0.0, 0.02), fov)
