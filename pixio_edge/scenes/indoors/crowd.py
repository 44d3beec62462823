"""What a camera would see of the things of a scene, estimated from their bounding spheres and boxes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.scene import Camera, Scene, Vector

# Angular radius from which a thing counts as seen, as a fraction of its distance: about 3 pixels of 192.
_SMALLEST = 0.02
# Things up to this radius must not stand right before the camera, metres.
_SMALL_M = 0.6
_NEAREST_M = 0.12
# A camera keeps so far out of the box of anything, metres: things in tables, on shelves and walls have no block.
_BESIDE_M = 0.2
# A small thing that takes more than this (radius over distance) near the axis hides the rest.
_COVERS = 0.4


@dataclass(frozen=True, slots=True)
class Crowd:
    """Where the things of a scene are.

    Attributes:
        centres: Of their bounding spheres, world, (N, 3), metres.
        radii: (N,), metres.
        boxes: Lowest and highest corner in their own axes, (N, 2, 3), metres.
        matrices: Own axes to world, (N, 3, 3).
        shifts: World, (N, 3), metres.
    """

    centres: NDArray[np.float64]
    radii: NDArray[np.float64]
    boxes: NDArray[np.float64]
    matrices: NDArray[np.float64]
    shifts: NDArray[np.float64]

    def seen(self, camera: Camera, *, reach: float = 6.0) -> int:
        """How many things a camera sees within a reach in metres; -1 where one is in its way."""
        c, s = math.cos(camera.yaw), math.sin(camera.yaw)
        cp, sp = math.cos(camera.pitch), math.sin(camera.pitch)
        offset = self.centres - camera.position
        depth = offset @ np.array((-s * cp, c * cp, -sp))
        distance = np.sqrt(np.einsum("nk,nk->n", offset, offset)) + 1e-6
        small = self.radii < _SMALL_M
        if (small & (distance < 0.8 * self.radii + _NEAREST_M)).any():
            return -1
        if self._is_beside(camera.position, np.flatnonzero(distance < self.radii + _BESIDE_M)):
            return -1
        ahead = depth > math.cos(camera.fov / 2) * distance
        central = depth > math.cos(camera.fov / 4) * distance
        if (small & central & (self.radii > _COVERS * distance)).any():
            return -1
        return int(np.count_nonzero(ahead & (distance < reach) & (self.radii > _SMALLEST * distance)))

    def _is_beside(self, point: Vector, rows: NDArray[np.int64]) -> bool:
        """Whether a point is in or right beside the box of one of some things."""
        if not len(rows):
            return False
        matrices = self.matrices[rows]
        scale = np.sqrt(np.einsum("nij,nij->nj", matrices, matrices))
        # Columns of a matrix are orthogonal: this is its inverse, times the scale, so that lengths stay metres.
        own = np.einsum("nij,ni->nj", matrices, point - self.shifts[rows]) / scale
        low, high = self.boxes[rows, 0] * scale, self.boxes[rows, 1] * scale
        out = np.maximum(np.maximum(low - own, own - high), 0.0)
        return bool((np.einsum("nk,nk->n", out, out) < _BESIDE_M**2).any())


def crowd_of(kit: Kit, scene: Scene) -> Crowd:
    """The things of a scene that are models of the library."""
    placed = [instance for instance in scene.instances if instance.model >= 0]
    if not placed:
        return Crowd(np.zeros((0, 3)), np.zeros(0), np.zeros((0, 2, 3)), np.zeros((0, 3, 3)), np.zeros((0, 3)))
    library, models = kit.library, [instance.model for instance in placed]
    spheres = library.packed.spheres[models]
    boxes = np.array([(library.lows[model], library.highs[model]) for model in models])
    matrices = np.array([instance.matrix for instance in placed])
    shifts = np.array([instance.shift for instance in placed])
    centres = np.einsum("nij,nj->ni", matrices, spheres[:, :3]) + shifts
    stretch = np.sqrt(np.einsum("nij,nij->nj", matrices, matrices).max(axis=1))
    return Crowd(centres, spheres[:, 3] * stretch, boxes, matrices, shifts)
