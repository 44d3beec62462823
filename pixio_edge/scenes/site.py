"""The ground of outdoor scenes: a road or path over gentle hills, and what stands where along it.

Places are given as (u, v): u metres to the right of the middle of the road, v metres along it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.kit import Kit, Placed
from pixio_edge.scenes.mesh import Mesh
from pixio_edge.scenes.scene import Camera, Scene, Surface, Vector

Array = NDArray[np.float64]
# The road is straight beyond these v, metres.
BEND_FROM, BEND_TO = -60.0, 160.0
VIEWS = 4
# Categories whose leaves may hang before a camera.
CROWNED = frozenset({"tree", "tree_far", "street_tree"})
# Categories whose members look different from each other.
VARIED = frozenset({"car", "van", "pedestrian", "terrace", "house", "block", "rider", "cycle", "sign", "billboard"})
# Side of the squares in which taken ground is looked up, metres.
CELL = 4.0


@dataclass(frozen=True, slots=True)
class Frame:
    """Course and heights of a road or path.

    Attributes:
        road: Half its width, metres.
        walk: Width of the pavement on each side; 0: none.
        kerb: Height of the pavement.
        bend: Curvature, 1/m, positive to the right.
        slope: Rise per metre along it.
        waves: Wave number (1/m), amplitude (m) and phase of heights along it.
        banks: Rise per metre beyond the pavement, left and right.
        hills: Height of the land far off, left and right, metres.
        bumps: Amplitude of the unevenness of open ground, metres.
        crossing: v of a road that crosses, and half its width; None: there is none.
    """

    road: float
    walk: float
    kerb: float = 0.12
    bend: float = 0.0
    slope: float = 0.0
    waves: tuple[tuple[float, float, float], ...] = ()
    banks: tuple[float, float] = (0.0, 0.0)
    hills: tuple[float, float] = (0.0, 0.0)
    bumps: float = 0.1
    crossing: tuple[float, float] | None = None

    def crossed(self, v: float, margin: float = 0.0) -> bool:
        """Whether v lies on the crossing road or within a margin of it, metres."""
        return self.crossing is not None and abs(v - self.crossing[0]) < self.crossing[1] + margin

    @property
    def edge(self) -> float:
        """Distance from the middle of the road to where the pavement ends."""
        return self.road + self.walk

    def middle(self, v: float) -> tuple[float, float]:
        """Of the road: x of its middle, and its heading (radians to the right of +y)."""
        inside = min(max(v, BEND_FROM), BEND_TO)
        slope = self.bend * inside
        return 0.5 * self.bend * inside * inside + slope * (v - inside), math.atan(slope)

    def height(self, u: float, v: float) -> float:
        """Height of the ground, z."""
        z = self.slope * v
        for number, amplitude, phase in self.waves:
            z += amplitude * math.sin(number * v + phase)
        off, open_land = abs(u), not self.crossed(v)
        if off > self.road and open_land:
            z += self.kerb
        beyond = off - self.edge
        if beyond > 0:
            side = 0 if u < 0 else 1
            z += self.banks[side] * min(beyond, 14.0)
            far = min(max((beyond - 20.0) / 220.0, 0.0), 1.0)
            z += self.hills[side] * far * far * (3.0 - 2.0 * far)
            rough = math.sin(0.31 * u + 0.23 * v) + 0.6 * math.sin(0.83 * u - 0.57 * v + 1.7)
            z += self.bumps * min(1.0, 0.25 * beyond) * rough * open_land
        return z

    def heights(self, u: Array, v: Array) -> Array:
        """`height` of arrays of one shape."""
        z = self.slope * v
        for number, amplitude, phase in self.waves:
            z = z + amplitude * np.sin(number * v + phase)
        around, half = self.crossing or (0.0, -1.0)
        open_land = np.abs(v - around) >= half
        z = z + np.where((np.abs(u) > self.road) & open_land, self.kerb, 0.0)
        beyond = np.maximum(np.abs(u) - self.edge, 0.0)
        right = (u >= 0).astype(int)
        z += np.array(self.banks)[right] * np.minimum(beyond, 14.0)
        far = np.clip((beyond - 20.0) / 220.0, 0.0, 1.0)
        z += np.array(self.hills)[right] * far * far * (3.0 - 2.0 * far)
        rough = np.sin(0.31 * u + 0.23 * v) + 0.6 * np.sin(0.83 * u - 0.57 * v + 1.7)
        result: Array = z + self.bumps * np.minimum(1.0, 0.25 * beyond) * rough * open_land
        return result

    def point(self, u: float, v: float, lift: float = 0.0) -> Vector:
        """World place of (u, v), `lift` metres above the ground."""
        return (self.middle(v)[0] + u, v, self.height(u, v) + lift)


def draw_frame(kit: Kit, road: float, walk: float, *, rough: float = 1.0, crossings: float = 0.0) -> Frame:
    """A frame with random course and land; `rough` scales its slopes, `crossings` is how often a road crosses."""
    straight = kit.chance(0.4)
    waves = tuple((kit.uniform(0.012, 0.05), rough * kit.uniform(0.0, 0.5), kit.uniform(0.0, 6.3)) for _ in range(2))
    banks = [0.0 if kit.chance(0.45) else rough * kit.normal(0.0, 0.08) for _ in range(2)]
    hills = [kit.uniform(-3.0, 10.0) if kit.chance(0.6) else kit.uniform(5.0, 60.0) for _ in range(2)]
    return Frame(
        road,
        walk,
        0.12 if walk > 0 else 0.0,
        0.0 if straight else kit.normal(0.0, 0.0016),
        0.0 if kit.chance(0.4) else rough * kit.normal(0.0, 0.02),
        () if kit.chance(0.4) else waves,
        (banks[0], banks[1]),
        (rough * hills[0], rough * hills[1]),
        rough * kit.uniform(0.02, 0.2),
        (kit.uniform(18.0, 60.0), kit.uniform(2.5, 6.0)) if kit.chance(crossings) else None,
    )


def strips(points: Array, slots: Sequence[int] | NDArray[np.int64]) -> Mesh:
    """Ground out of strips side by side: smooth along each, edges between them.

    Args:
        points: (N, M, 3): along, then across to the right.
        slots: One per strip, (M - 1,), or per piece of each, (N - 1, M - 1).
    """
    left, right = points[:, :-1], points[:, 1:]
    along = np.gradient(points, axis=0)
    across = right - left
    normals = [np.cross(across, tangent) for tangent in (along[:, :-1], along[:, 1:])]
    rows, columns = across.shape[:2]
    places = np.stack([left, right], axis=2).reshape(-1, 3)
    normal = np.stack(normals, axis=2).reshape(-1, 3)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    widths = np.cumsum(np.linalg.norm(across, axis=2).mean(axis=0))
    u = np.stack([widths - np.linalg.norm(across, axis=2).mean(axis=0), widths], axis=1)
    v = np.broadcast_to(points[:, :1, 1:2], (rows, columns, 2))
    uv = np.stack([np.broadcast_to(u, (rows, columns, 2)), v], axis=-1).reshape(-1, 2)
    first = 2 * (np.arange(rows - 1)[:, None] * columns + np.arange(columns)).reshape(-1, 1)
    step = 2 * columns
    triangles = np.concatenate([first + np.array(t) for t in ((0, 1, step + 1), (0, step + 1, step))])
    each = np.broadcast_to(np.asarray(slots), (rows - 1, columns)).reshape(-1)
    return Mesh(
        places.astype(np.float32),
        normal.astype(np.float32),
        uv.astype(np.float32),
        triangles.astype(np.int32),
        np.concatenate([each, each]).astype(np.int32),
    )


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
        count = min(8, int(over / max(radius, 0.1)) + 1) if over > 0.3 * radius else 1
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
