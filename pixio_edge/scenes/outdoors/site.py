"""Outdoor scenes under construction: what stands where along a road or path.

Places are given as (u, v): u metres to the right of the middle of the road, v metres along it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pixio_edge.scenes.kit import Kit, Placed
from pixio_edge.scenes.outdoors.land import Frame, strips
from pixio_edge.scenes.scene import Camera, Scene, Surface, Vector

# What stands for a tree in a scene of conifers: from near, further off, and far away.
CONIFER_FOR = {"tree": "conifer", "tree_far": "conifer_far", "tree_speck": "conifer_speck"}
# Categories whose leaves may hang before a camera.
CROWNED = frozenset({"tree", "tree_far", "street_tree", "conifer", "conifer_far", "bare_tree"})
# Shares of conifers and of bare trees among the trees of a scene.
CONIFERS, BARE = (0.0, 0.0, 0.05, 0.25, 0.6), (0.0, 0.0, 0.0, 0.1, 0.5)
# Cameras keep out of what hangs lower than this, metres.
HEAD_M = 2.8
# Categories that take a disc of ground.
ROUND = CROWNED | {"bush", "bush_far", "rock", "cypress", "lamp_post", "bollard", "cone", "pedestrian", "forest_trunk"}
# Categories whose members look different from each other.
VARIED = frozenset({"car", "van", "pedestrian", "terrace", "house", "block", "rider", "cycle", "sign", "billboard"})
# x, y, cosine and sine of the turn, half extents, and how far around them ground is taken, metres.
Area = tuple[float, float, float, float, float, float, float]
# Side of the squares in which taken ground is looked up, metres.
CELL = 4.0


class Site:
    """A scene under construction along a frame.

    Attributes:
        kit: Draws.
        scene: What is built.
        frame: Its ground.
        taken: World (x, y) of what stands on the ground.
        crowns: (x, y, radius) of the crowns of trees, which only cameras keep out of, metres.
        conifers, bare: Shares of such trees.
    """

    def __init__(self, kit: Kit, scene: Scene, frame: Frame) -> None:
        self.kit, self.scene, self.frame = kit, scene, frame
        self.taken: list[tuple[float, float]] = []
        self.crowns: list[tuple[float, float, float]] = []
        self._cells: dict[tuple[int, int], list[Area]] = {}
        self._dressed: dict[int, tuple[Surface, ...]] = {}
        self._reaches: dict[int, float] = {}
        self.conifers, self.bare = kit.pick(CONIFERS), kit.pick(BARE)

    def share(self, other: Site) -> None:
        """Keep one record with another site of the same scene of what stands where."""
        self.taken, self.crowns, self._cells, self._dressed = other.taken, other.crowns, other._cells, other._dressed

    def lay_ground(self, surfaces: Sequence[Surface], *, reach: tuple[float, float] = (-600.0, 700.0)) -> None:
        """Add the ground; surfaces: of the road, kerb, pavement, land to the left, land to the right."""
        f = self.frame
        land = [f.edge + d for d in (2.5, 6.0, 12.0, 22.0, 40.0, 70.0, 120.0, 240.0, 600.0)]
        half = [0.5 * f.road, f.road, *([f.road + 0.02, f.edge] if f.walk > 0 else []), *land]
        own = [0, 1, 2] if f.walk > 0 else [0]
        slots = [*[3] * len(land), *reversed(own), 0, *own, *[4] * len(land)]
        u = np.array([-u for u in reversed(half)] + half)
        behind = -np.geomspace(75.0, -reach[0], 6)[::-1]
        v = np.concatenate([behind, np.arange(-70.0, 130.0, 5.0), np.geomspace(135.0, reach[1], 12)])
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
            radius: Half width of what it takes of the ground, metres; None: all that is under it; 0: nothing.
            sink: Buildings stand on the lowest ground under their sides.
        """
        f, kit = self.frame, self.kit
        index = kit.index(self._kind(category)) if isinstance(category, str) else category
        x, heading = f.middle(v)
        size = kit.size(index)
        z = lift + (self._lowest(u, v, 0.5 * max(size[:2])) if sink else f.height(u, v))
        place, surfaces = (x + u, v, z), self._dress(index)
        placed = kit.place(self.scene, index, place, yaw - heading, scale=scale, surfaces=surfaces)
        factor = scale if isinstance(scale, float | int) else max(scale[:2])
        kind = kit.library.categories[index]
        if radius is None or radius > 0:
            self._take((x + u, v), yaw - heading, placed, radius=radius, round_=kind in ROUND)
        if kind in CROWNED:
            self.crowns.append((x + u, v, self._low_reach(index) * factor))
        return placed

    def _kind(self, category: str) -> str:
        """Another kind of tree, as often as the scene has it."""
        if category in CONIFER_FOR:
            if self.kit.chance(self.conifers):
                return CONIFER_FOR[category]
            if category == "tree" and self.kit.chance(self.bare):
                return "bare_tree"
        return category

    def _low_reach(self, index: int) -> float:
        """How far a tree reaches sideways below `HEAD_M`."""
        if index not in self._reaches:
            vertices = self.kit.library.models[index].mesh.vertices
            low = vertices[vertices[:, 2] < HEAD_M]
            self._reaches[index] = float(np.hypot(low[:, 0], low[:, 1]).max())
        return self._reaches[index]

    def _lowest(self, u: float, v: float, reach: float) -> float:
        """Lowest ground at a place, before and behind it, and between it and the road."""
        around = ((0.0, 0.0), (0.0, -reach), (0.0, reach), (-math.copysign(reach, u), 0.0))
        return min(self.frame.height(u + a, v + b) for a, b in around)

    def _dress(self, index: int) -> tuple[Surface, ...]:
        """Surfaces of a model; plants and street furniture of one kind look the same all over a scene."""
        kit = self.kit
        if kit.library.categories[index] in VARIED:
            return kit.surfaces(kit.library.models[index])
        if index not in self._dressed:
            self._dressed[index] = kit.surfaces(kit.library.models[index])
        return self._dressed[index]

    def _take(
        self, place: tuple[float, float], yaw: float, placed: Placed, *, radius: float | None, round_: bool
    ) -> None:
        """Mark the ground under a thing: its rectangle, a disc, or a bar of a half width along its longer side."""
        wide, deep = 0.5 * (placed.high[0] - placed.low[0]), 0.5 * (placed.high[1] - placed.low[1])
        if round_:
            self.take(*place, min(wide, deep) if radius is None else radius)
        elif radius is None:
            self.take(*place, 0.02, half=(wide, deep), yaw=yaw)
        else:
            bar = (max(wide - radius, 0.0), 0.0) if wide > deep else (0.0, max(deep - radius, 0.0))
            self.take(*place, radius, half=bar, yaw=yaw)

    def take(
        self, x: float, y: float, radius: float, *, half: tuple[float, float] = (0.0, 0.0), yaw: float = 0.0
    ) -> None:
        """Mark ground as taken: all within a radius of a rectangle, which may be a point; world metres.

        Args:
            x: Middle of the rectangle.
            y: The same.
            radius: Metres.
            half: Half extents of the rectangle along its own axes.
            yaw: Its turn.
        """
        self.taken.append((x, y))
        area = (x, y, math.cos(yaw), math.sin(yaw), half[0], half[1], radius)
        reach = radius + math.hypot(*half)
        for i in range(int((x - reach) // CELL), int((x + reach) // CELL) + 1):
            for j in range(int((y - reach) // CELL), int((y + reach) // CELL) + 1):
                self._cells.setdefault((i, j), []).append(area)

    def free(self, x: float, y: float, radius: float) -> bool:
        """Whether nothing stands within a radius of a world place."""
        for i in range(int((x - radius) // CELL), int((x + radius) // CELL) + 1):
            for j in range(int((y - radius) // CELL), int((y + radius) // CELL) + 1):
                for a, b, c, s, half_x, half_y, r in self._cells.get((i, j), ()):
                    dx, dy = x - a, y - b
                    off_x = max(0.0, abs(c * dx + s * dy) - half_x)
                    off_y = max(0.0, abs(c * dy - s * dx) - half_y)
                    if off_x * off_x + off_y * off_y < (radius + r) ** 2:
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
        if any((x + u - a) ** 2 + (v - b) ** 2 < (r + 0.5) ** 2 for a, b, r in self.crowns):
            return None
        if not self.free(x + u, v, 0.45) or not self.free(ahead[0] + u, ahead[1], 0.5):
            return None
        rise = (f.height(u, v + 4.0) - f.height(u, v - 4.0)) / 8.0
        pitch = kit.normal(0.03, 0.05) - math.atan(rise) * math.cos(turn)
        if height < 1.0:
            pitch -= 0.04
        fov = kit.uniform(1.15, 1.55) if kit.chance(0.7) else kit.uniform(0.75, 1.15)
        return Camera((x + u, v, f.height(u, v) + height), yaw, pitch, kit.normal(0.0, 0.02), fov)
