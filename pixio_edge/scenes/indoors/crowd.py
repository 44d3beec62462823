"""What a camera would see of the things of a scene, estimated from their bounding spheres."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.scene import Camera, Scene

# Angular radius from which a thing counts as seen, as a fraction of its distance: about 3 pixels of 192.
_SMALLEST = 0.02
# Things up to this radius must not stand right before the camera; what is larger is kept away by its block, metres.
_SMALL_M = 0.6
_NEAREST_M = 0.12
# A small thing that takes more than this (radius over distance) near the axis hides the rest.
_COVERS = 0.4


@dataclass(frozen=True, slots=True)
class Crowd:
    """Bounding spheres of the things of a scene.

    Attributes:
        centres: World, (N, 3), metres.
        radii: (N,), metres.
    """

    centres: NDArray[np.float64]
    radii: NDArray[np.float64]

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
        ahead = depth > math.cos(camera.fov / 2) * distance
        central = depth > math.cos(camera.fov / 4) * distance
        if (small & central & (self.radii > _COVERS * distance)).any():
            return -1
        return int(np.count_nonzero(ahead & (distance < reach) & (self.radii > _SMALLEST * distance)))


def crowd_of(kit: Kit, scene: Scene) -> Crowd:
    """The things of a scene that are models of the library."""
    placed = [instance for instance in scene.instances if instance.model >= 0]
    if not placed:
        return Crowd(np.zeros((0, 3)), np.zeros(0))
    spheres = kit.library.packed.spheres[[instance.model for instance in placed]]
    matrices = np.array([instance.matrix for instance in placed])
    shifts = np.array([instance.shift for instance in placed])
    centres = np.einsum("nij,nj->ni", matrices, spheres[:, :3]) + shifts
    stretch = np.sqrt(np.einsum("nij,nij->nj", matrices, matrices).max(axis=1))
    return Crowd(centres, spheres[:, 3] * stretch)
