"""Description of a scene: what stands where, what it is made of, light, and the cameras that look at it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.mesh import Mesh

Vector = tuple[float, float, float]
# Cameras of each scene that a layout makes.
VIEWS = 4


@dataclass(frozen=True, slots=True)
class Surface:
    """Look of one slot of one thing.

    Attributes:
        texture: Index in the atlas.
        repeat_m: Metres per repeat; 0: the texture is stretched once over uv 0..1.
        tint: Colour multiplier.
        contrast: 0 fades the texture to its mean colour, 1 leaves it: painted and moulded things are nearly plain.
        gloss: Strength of highlights, 0 to 1.
        glow: Light that it gives off by itself, as a factor of its colour: lamps, screens, lit windows. Negative: a
            pane through which the panorama is seen, by this factor.
    """

    texture: int
    repeat_m: float = 1.0
    tint: Vector = (1.0, 1.0, 1.0)
    contrast: float = 1.0
    gloss: float = 0.0
    glow: float = 0.0


@dataclass(frozen=True, slots=True)
class Instance:
    """A model of the library in a scene.

    Attributes:
        model: Index in the library, or -1 - i for mesh i of the scene's own.
        matrix: 3x3 rotation with scaling, own axes to world.
        shift: World position of the model's origin, metres.
        surfaces: One per slot of the model.
    """

    model: int
    matrix: NDArray[np.float64]
    shift: Vector
    surfaces: tuple[Surface, ...]


@dataclass(frozen=True, slots=True)
class Camera:
    """Pinhole camera. Yaw 0 looks along +y and grows to the left; pitch is positive downwards; roll clockwise; radians.

    `fov` is the horizontal field of view of the whole image, principal point in its centre, square pixels.
    """

    position: Vector
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    fov: float = 1.0


@dataclass(frozen=True, slots=True)
class Lamp:
    """A light at a point, or the sun.

    Attributes:
        position: World position; of the sun, the unit direction towards it.
        colour: RGB times intensity: irradiance of the sun, or that of a lamp at 1 m (it falls with the square, softened
            below 0.5 m).
        is_sun: Parallel light.
        shadows: Casts shadows; at most one light of a scene.
    """

    position: Vector
    colour: Vector
    is_sun: bool = False
    shadows: bool = False


@dataclass(slots=True)
class Scene:
    """Everything that is seen in some images.

    Attributes:
        kind: Name of its layout.
        instances: What stands in it.
        own: Meshes that only this scene has (room shells, terrain, roads); `Instance.model` -1 - i is `own[i]`.
        cameras: Views, one image each.
        lamps: At most 4.
        ambient_above: RGB of the light from above.
        ambient_below: RGB of the light from below and the sides.
        haze_per_m: Share of light that haze takes per metre.
        backdrop: Panorama that shows where nothing is hit.
        backdrop_yaw: Its turn, radians.
    """

    kind: str
    cameras: list[Camera] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)
    own: list[Mesh] = field(default_factory=list)
    lamps: list[Lamp] = field(default_factory=list)
    ambient_above: Vector = (0.5, 0.5, 0.5)
    ambient_below: Vector = (0.3, 0.3, 0.3)
    haze_per_m: float = 0.0
    backdrop: int = 0
    backdrop_yaw: float = 0.0
