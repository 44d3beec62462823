"""The ground of outdoor scenes: a road or path over gentle hills, in strips.

Places are given as (u, v): u metres to the right of the middle of the road, v metres along it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.mesh import Mesh
from pixio_edge.scenes.scene import Vector

Array = NDArray[np.float64]
# The road is straight beyond these v, metres.
BEND_FROM, BEND_TO = -60.0, 160.0


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
