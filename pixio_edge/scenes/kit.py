"""What layouts are written with: random draws, surfaces, and things put in their place.

Made for speed: a scene has hundreds of things, and Python floats are several times as quick as numpy scalars here.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.library import Library
from pixio_edge.scenes.materials import Paintbox, Palette
from pixio_edge.scenes.mesh import Look, Mesh, Model, Top
from pixio_edge.scenes.scene import Instance, Scene, Surface, Vector
from pixio_edge.scenes.textures import TextureAtlas

Choice = TypeVar("Choice")
# Free space around things that `scatter` puts side by side, metres.
_GAP = 0.004
# Most turn of things that stand square.
_SKEW = 0.08
# Tries per thing that `scatter` wants to place.
_TRIES = 4


@dataclass(frozen=True, slots=True)
class Spot:
    """A level rectangle in the world on which things can stand: the table top of a placed table, a piece of floor.

    Attributes:
        centre: World (x, y, z), metres.
        half: Half extents along its own x and y, metres.
        yaw: Its turn about z.
        headroom: Free height above it, metres.
    """

    centre: Vector
    half: tuple[float, float]
    yaw: float = 0.0
    headroom: float = 1.0

    def at(self, x: float, y: float) -> Vector:
        """World point of own coordinates, metres from the centre."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return (self.centre[0] + c * x - s * y, self.centre[1] + s * x + c * y, self.centre[2])


@dataclass(frozen=True, slots=True)
class Placed:
    """A thing that stands in a scene.

    Attributes:
        index: Model in the library.
        model: The model itself.
        matrix: Own axes to world, 3x3.
        shift: World position of its origin.
        surfaces: One per slot.
        tops: Where things can stand on it, in the world; empty for tilted things.
        low, high: Corners of its box in its own axes, scaled.
        yaw: Its turn about z.
    """

    index: int
    model: Model
    matrix: NDArray[np.float64]
    shift: Vector
    surfaces: tuple[Surface, ...]
    tops: tuple[Spot, ...]
    low: Vector
    high: Vector
    yaw: float

    def point(self, x: float, y: float, z: float) -> Vector:
        """World point of own coordinates (before scaling)."""
        moved = self.matrix @ (x, y, z) + self.shift
        return (float(moved[0]), float(moved[1]), float(moved[2]))


class Kit:
    """Draws what a scene is made of.

    Args:
        rng: Generator of this one scene.
        atlas: Textures.
        library: Models.
    """

    def __init__(self, rng: np.random.Generator, atlas: TextureAtlas, library: Library) -> None:
        self.rng = rng
        self.quick = random.Random(int(rng.integers(2**62)))
        self.atlas, self.library = atlas, library
        self.backdrops = int(atlas.backdrops.shape[0])
        self.paintbox = Paintbox(self.quick, _palette_of(atlas))

    def uniform(self, low: float, high: float) -> float:
        """A float in [low, high)."""
        return low + (high - low) * self.quick.random()

    def log_uniform(self, low: float, high: float) -> float:
        """A float in [low, high) whose logarithm is uniform."""
        return low * math.exp(math.log(high / low) * self.quick.random())

    def normal(self, mean: float, deviation: float) -> float:
        """A normally distributed float."""
        return self.quick.gauss(mean, deviation)

    def integer(self, low: int, high: int) -> int:
        """An integer in [low, high]."""
        return low + int(self.quick.random() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.quick.random() < probability

    def pick(self, options: Sequence[Choice]) -> Choice:
        """One of them."""
        return options[int(self.quick.random() * len(options))]

    def weighted(self, weights: Mapping[str, float]) -> str:
        """A key, as often as its weight says."""
        left = self.quick.random() * sum(weights.values())
        for key, weight in weights.items():
            left -= weight
            if left < 0:
                return key
        return key

    def surface(self, look: Look) -> Surface:
        """What a look may be made of in this scene; see `materials.USES` for the uses."""
        return self.paintbox.surface(look)

    def surfaces(self, model: Model, scheme: Mapping[int, Surface] | None = None) -> tuple[Surface, ...]:
        """One surface per slot of a model.

        Args:
            model: The model.
            scheme: Surfaces of some slots that are not drawn but given: chairs of one set look alike.
        """
        drawn: list[Surface] = []
        for slot, look in enumerate(model.looks):
            if scheme is not None and slot in scheme:
                drawn.append(scheme[slot])
            elif look.same_as is not None and look.same_as < slot:
                drawn.append(drawn[look.same_as])
            else:
                drawn.append(self.paintbox.surface(look))
        return tuple(drawn)

    def index(self, category: str) -> int:
        """A random model of a category or name."""
        return self.pick(self.library.of(category))

    def size(self, index: int) -> Vector:
        """Width, depth and height of a model, metres."""
        low, high = self.library.lows[index], self.library.highs[index]
        return (high[0] - low[0], high[1] - low[1], high[2] - low[2])

    def place(
        self,
        scene: Scene,
        category: str | int,
        at: Vector = (0.0, 0.0, 0.0),
        yaw: float = 0.0,
        *,
        scale: float | Vector = 1.0,
        tilt: tuple[float, float] | None = None,
        surfaces: tuple[Surface, ...] | None = None,
    ) -> Placed:
        """Put a thing into the scene.

        Args:
            scene: Where to.
            category: Category, name, or index in the library.
            at: World point that its origin comes to; a tilted thing is lifted until its lowest vertex is that high.
            yaw: Turn about z to the left: at 0 its front looks along -y, at pi/2 along +x.
            scale: One factor, or one for each of its axes.
            tilt: Turns about its own x and then its own y axis, before the yaw: (pi / 2, 0) lays it on its back.
            surfaces: One per slot; None draws them.
        """
        index = category if isinstance(category, int) else self.index(category)
        model = self.library.models[index]
        sx, sy, sz = (scale, scale, scale) if isinstance(scale, float | int) else scale
        c, s = math.cos(yaw), math.sin(yaw)
        matrix = np.array(((c * sx, -s * sy, 0.0), (s * sx, c * sy, 0.0), (0.0, 0.0, sz)))
        tops: tuple[Spot, ...] = ()
        if tilt is not None:
            matrix = _tilted(c, s, tilt) * (sx, sy, sz)
            lowest = float((model.mesh.vertices @ matrix[2]).min())
            at = (at[0], at[1], at[2] - lowest)
        elif model.tops:
            tops = tuple(_spot(top, at, (sx, sy, sz), (c, s), yaw) for top in model.tops)
        chosen = self.surfaces(model) if surfaces is None else surfaces
        scene.instances.append(Instance(index, matrix, at, chosen))
        low, high = self.library.lows[index], self.library.highs[index]
        low, high = (low[0] * sx, low[1] * sy, low[2] * sz), (high[0] * sx, high[1] * sy, high[2] * sz)
        return Placed(index, model, matrix, at, chosen, tops, low, high, yaw)

    def add(
        self, scene: Scene, mesh: Mesh, surfaces: Sequence[Surface], at: Vector = (0.0, 0.0, 0.0), yaw: float = 0.0
    ) -> None:
        """Put a mesh into the scene that is not in the library: room shells, roads, terrain.

        Args:
            scene: Where to.
            mesh: In its own axes, or the world's.
            surfaces: One per slot.
            at: World position of its origin.
            yaw: Turn about z.
        """
        scene.own.append(mesh)
        c, s = math.cos(yaw), math.sin(yaw)
        matrix = np.array(((c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0)))
        scene.instances.append(Instance(-len(scene.own), matrix, at, tuple(surfaces)))

    def scatter(
        self,
        scene: Scene,
        spot: Spot,
        mix: Mapping[str, float],
        density: float = 0.4,
        *,
        most: int = 60,
        aligned: float = 0.3,
        scale: tuple[float, float] = (0.9, 1.15),
    ) -> list[Placed]:
        """Fill a spot with things that do not touch each other and fit below its headroom.

        Args:
            scene: Where to.
            spot: Rectangle to fill.
            mix: Categories or names with their weights.
            density: Share of the area that footprints should take, 0 to about 0.7.
            most: No more things than this; fewer are placed when no space is left.
            aligned: Share of the things that stand square to the spot with their front to its -y, as in a shelf.
            scale: Range of the factor of their size.
        """
        wanted, covered = density * 4 * spot.half[0] * spot.half[1], 0.0
        taken: list[tuple[float, float, float, float]] = []
        placed: list[Placed] = []
        for _ in range(_TRIES * most):
            if covered >= wanted or len(placed) >= most:
                break
            index, factor = self.index(self.weighted(mix)), self.uniform(*scale)
            turn = self.uniform(-1.0, 1.0) * (_SKEW if self.chance(aligned) else math.pi)
            half_x, half_y, high = _footprint(self.size(index), factor, turn)
            room_x, room_y = spot.half[0] - half_x, spot.half[1] - half_y
            if room_x < 0 or room_y < 0 or high > spot.headroom:
                continue
            x, y = self.uniform(-room_x, room_x), self.uniform(-room_y, room_y)
            if not any(abs(x - a) < half_x + b and abs(y - d) < half_y + e for a, d, b, e in taken):
                taken.append((x, y, half_x, half_y))
                covered += 4 * half_x * half_y
                placed.append(self.place(scene, index, spot.at(x, y), spot.yaw + turn, scale=factor))
        return placed

    def backdrop(self) -> int:
        """A panorama."""
        return self.integer(0, self.backdrops - 1)


def _footprint(size: Vector, factor: float, turn: float) -> Vector:
    """Half extents of a turned thing with the space around it, and its height."""
    c, s = abs(math.cos(turn)), abs(math.sin(turn))
    wide, deep = size[0] * factor / 2, size[1] * factor / 2
    return (c * wide + s * deep + _GAP, s * wide + c * deep + _GAP, size[2] * factor)


def _tilted(c: float, s: float, tilt: tuple[float, float]) -> NDArray[np.float64]:
    cx, sx, cy, sy = math.cos(tilt[0]), math.sin(tilt[0]), math.cos(tilt[1]), math.sin(tilt[1])
    about_x = np.array(((1.0, 0.0, 0.0), (0.0, cx, -sx), (0.0, sx, cx)))
    about_y = np.array(((cy, 0.0, sy), (0.0, 1.0, 0.0), (-sy, 0.0, cy)))
    result: NDArray[np.float64] = np.array(((c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0))) @ about_y @ about_x
    return result


def _spot(top: Top, at: Vector, scale: Vector, turn: tuple[float, float], yaw: float) -> Spot:
    x, y, z = top.centre[0] * scale[0], top.centre[1] * scale[1], top.centre[2] * scale[2]
    c, s = turn
    centre = (at[0] + c * x - s * y, at[1] + s * x + c * y, at[2] + z)
    return Spot(centre, (top.half[0] * scale[0], top.half[1] * scale[1]), yaw, top.headroom * scale[2])


# Forgotten with their atlas.
_PALETTES: WeakKeyDictionary[TextureAtlas, Palette] = WeakKeyDictionary()


def _palette_of(atlas: TextureAtlas) -> Palette:
    """The palette of an atlas, made once."""
    if atlas not in _PALETTES:
        _PALETTES[atlas] = Palette(atlas)
    return _PALETTES[atlas]
