"""Scene description: convex primitives, camera, lights, surfaces, packed into padded batches.

World axes: x right, y forward, z up, metres. A primitive is a unit box [-1, 1]^3, unit ball, or unit cylinder (radius
1, z in [-1, 1]) under rotation, scaling and translation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Vector = tuple[float, float, float]

# Slots per kind. A scene with more primitives drops its latest ones; layouts place what matters first.
SLOTS = {"box": 64, "ball": 20, "cylinder": 24}
# An unused slot is a primitive of this size this far below the ground.
_EMPTY_SIZE, _EMPTY_DEPTH = 1e-3, -1e4
SURFACE_FIELDS = 16


@dataclass(slots=True)
class Surface:
    """Look of a primitive: texture indices for sides, top and bottom, metres per texture repeat, tint, gloss.

    `contrast` fades the texture towards its mean colour: painted and moulded things are nearly plain.
    With `fit`, a texture is stretched once over each face (pictures, screens, façades) and `repeat_m` is ignored.
    """

    side: int
    top: int
    bottom: int
    repeat_m: float = 1.0
    tint: Vector = (1.0, 1.0, 1.0)
    gloss: float = 0.0
    fit: bool = False
    contrast: float = 1.0


@dataclass(slots=True)
class Primitive:
    """One solid. `size` is half the extent along its own axes; `inside` shows a box from within (a room)."""

    kind: str
    centre: Vector
    size: Vector
    rotation: NDArray[np.float64]
    surface: Surface
    inside: bool = False


@dataclass(slots=True)
class Camera:
    """Pinhole camera. Angles in radians; `pitch` looks down when positive; `fov` is horizontal."""

    position: Vector
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    fov: float = 1.0


@dataclass(slots=True)
class Light:
    """A sun (`direction` towards it, no `position`) or a lamp, plus ambient light and haze per metre."""

    position: Vector | None
    direction: Vector
    intensity: float
    ambient: float
    colour: Vector = (1.0, 1.0, 1.0)
    radius_m: float = 0.05
    haze: float = 0.0


@dataclass(slots=True)
class Terrain:
    """Height field z(x, y) as a sum of sines; rows of (wave vector x, wave vector y, phase, amplitude in metres)."""

    waves: NDArray[np.float64]
    surface: Surface


@dataclass(slots=True)
class Scene:
    """Everything that one image needs."""

    camera: Camera
    light: Light
    primitives: list[Primitive] = field(default_factory=list)
    terrain: Terrain | None = None
    backdrop: int = 0
    backdrop_yaw: float = 0.0
    kind: str = ""

    def add(
        self,
        kind: str,
        centre: Vector,
        size: Vector,
        surface: Surface,
        *,
        yaw: float = 0.0,
        inside: bool = False,
        rotation: NDArray[np.float64] | None = None,
    ) -> None:
        """Append a solid turned by `yaw` about the vertical, or by a full `rotation`."""
        turned = rotation_z(yaw) if rotation is None else rotation
        self.primitives.append(Primitive(kind, centre, size, turned, surface, inside))


def rotation_z(angle: float) -> NDArray[np.float64]:
    """Rotation about the vertical, 3x3."""
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def rotation_from(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """Rotation about z, then x, then y, 3x3."""
    cp, sp, cr, sr = math.cos(pitch), math.sin(pitch), math.cos(roll), math.sin(roll)
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cp, -sp], [0.0, sp, cp]])
    about_y = np.array([[cr, 0.0, sr], [0.0, 1.0, 0.0], [-sr, 0.0, cr]])
    turned: NDArray[np.float64] = rotation_z(yaw) @ about_x @ about_y
    return turned


class PackedKind(NamedTuple):
    """Padded primitives of one kind; a tuple, so that compiled functions take it as it is.

    A world point p is at `to_local @ p - offset` in unit coordinates.

    Attributes:
        to_local: (B, N, 3, 3), rotation and scaling from world to unit axes.
        offset: (B, N, 3).
        inside: (B, N), 1 for a room that is seen from within, else 0.
    """

    to_local: Tensor
    offset: Tensor
    inside: Tensor


@dataclass(slots=True)
class PackedScenes:
    """A batch of scenes as tensors, float32 on one device.

    Attributes:
        kinds: Primitives for intersection, by kind, in slot order.
        table: (B, N, 9 + 3 + 3 + SURFACE_FIELDS), per primitive in slot order to_local, offset, size and surface.
        origin: (B, 3), camera positions in metres.
        camera: (B, 3, 3), rows right, down and forward in world axes.
        focal: (B,), focal length over image width.
        light: (B, 11), rows of (is lamp, xyz, intensity, ambient, rgb, radius, haze).
        terrain: (B, 6, 4), waves as in `Terrain`; amplitudes 0 without one.
        terrain_surface: (B, SURFACE_FIELDS).
        backdrop: (B, 2), panorama index and its yaw in radians.
    """

    kinds: dict[str, PackedKind]
    table: Tensor
    origin: Tensor
    camera: Tensor
    focal: Tensor
    light: Tensor
    terrain: Tensor
    terrain_surface: Tensor
    backdrop: Tensor

    @property
    def batch(self) -> int:
        """Number of scenes."""
        return self.origin.shape[0]


def pack_scenes(scenes: Sequence[Scene], device: torch.device) -> PackedScenes:
    """Pad and stack scenes as float32 on a device; primitives beyond `SLOTS` of their kind are dropped."""
    packed = {kind: _pack_kind(scenes, kind) for kind in SLOTS}
    table = np.concatenate([packed[kind][3] for kind in SLOTS], axis=1)

    def tensor(array: NDArray[np.float64]) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(array, dtype=np.float32), device=device)

    kinds = {
        kind: PackedKind(tensor(packed[kind][0]), tensor(packed[kind][1]), tensor(packed[kind][2])) for kind in SLOTS
    }
    flat = Surface(0, 0, 0)
    waves = np.stack([s.terrain.waves if s.terrain else np.zeros((6, 4)) for s in scenes])
    return PackedScenes(
        kinds=kinds,
        table=tensor(table),
        origin=tensor(np.array([s.camera.position for s in scenes])),
        camera=tensor(np.stack([_camera_axes(s.camera) for s in scenes])),
        focal=tensor(np.array([0.5 / math.tan(s.camera.fov / 2) for s in scenes])),
        light=tensor(np.stack([_light_row(s.light) for s in scenes])),
        terrain=tensor(waves),
        terrain_surface=tensor(np.stack([_surface_row(s.terrain.surface if s.terrain else flat) for s in scenes])),
        backdrop=tensor(np.array([[s.backdrop, s.backdrop_yaw] for s in scenes])),
    )


def _pack_kind(scenes: Sequence[Scene], kind: str) -> tuple[NDArray[np.float64], ...]:
    slots = SLOTS[kind]
    batch = len(scenes)
    to_local = np.tile(np.eye(3) / _EMPTY_SIZE, (batch, slots, 1, 1))
    offset = np.tile(np.array([0.0, 0.0, _EMPTY_DEPTH / _EMPTY_SIZE]), (batch, slots, 1))
    inside = np.zeros((batch, slots))
    table = np.zeros((batch, slots, 15 + SURFACE_FIELDS))
    for row, scene in enumerate(scenes):
        chosen = [p for p in scene.primitives if p.kind == kind][:slots]
        for slot, primitive in enumerate(chosen):
            size = np.maximum(np.array(primitive.size), 1e-4)
            local = primitive.rotation.T / size[:, None]
            to_local[row, slot] = local
            offset[row, slot] = local @ np.array(primitive.centre)
            inside[row, slot] = float(primitive.inside)
            table[row, slot, 12:15] = size
            table[row, slot, 15:] = _surface_row(primitive.surface)
    table[:, :, :9] = to_local.reshape(batch, slots, 9)
    table[:, :, 9:12] = offset
    return to_local, offset, inside, table


def _surface_row(surface: Surface) -> NDArray[np.float64]:
    row = np.zeros(SURFACE_FIELDS)
    row[:9] = (surface.side, surface.top, surface.bottom, surface.repeat_m, *surface.tint, surface.gloss, surface.fit)
    row[9] = surface.contrast
    return row


def _camera_axes(camera: Camera) -> NDArray[np.float64]:
    """Rows: right, down, forward in world axes."""
    turn = rotation_from(camera.yaw, -camera.pitch, 0.0)
    right, forward, up = turn[:, 0], turn[:, 1], turn[:, 2]
    cos, sin = math.cos(camera.roll), math.sin(camera.roll)
    return np.stack([cos * right + sin * up, -(cos * up - sin * right), forward])


def _light_row(light: Light) -> NDArray[np.float64]:
    at = light.position if light.position is not None else light.direction
    return np.array(
        [light.position is not None, *at, light.intensity, light.ambient, *light.colour, light.radius_m, light.haze]
    )
