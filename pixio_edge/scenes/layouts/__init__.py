"""All layouts of scenes and how often each is drawn."""

from __future__ import annotations

from collections.abc import Callable

from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.layouts.building import building
from pixio_edge.scenes.layouts.corridor import corridor
from pixio_edge.scenes.layouts.country import country
from pixio_edge.scenes.layouts.forest import forest
from pixio_edge.scenes.layouts.hall import hall
from pixio_edge.scenes.layouts.kitchen import kitchen
from pixio_edge.scenes.layouts.park import park, square
from pixio_edge.scenes.layouts.room import room
from pixio_edge.scenes.layouts.shelf import shelf
from pixio_edge.scenes.layouts.still_life import still_life
from pixio_edge.scenes.layouts.street import street
from pixio_edge.scenes.layouts.tabletop import tabletop
from pixio_edge.scenes.layouts.yard import yard
from pixio_edge.scenes.scene import Scene

LAYOUTS: dict[str, tuple[Callable[[Kit], Scene], float]] = {
    "room": (room, 3.0),
    "kitchen": (kitchen, 1.4),
    "tabletop": (tabletop, 1.5),
    "still_life": (still_life, 1.3),
    "shelf": (shelf, 0.7),
    "corridor": (corridor, 0.7),
    "hall": (hall, 0.8),
    "street": (street, 3.0),
    "country": (country, 1.0),
    "park": (park, 0.8),
    "square": (square, 0.6),
    "yard": (yard, 0.7),
    "building": (building, 0.8),
    "forest": (forest, 0.5),
}
