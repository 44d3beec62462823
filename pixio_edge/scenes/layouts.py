"""All layouts of scenes and how often each is drawn."""

from __future__ import annotations

from collections.abc import Callable

from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.layout_building import building
from pixio_edge.scenes.layout_corridor import corridor
from pixio_edge.scenes.layout_country import country
from pixio_edge.scenes.layout_forest import forest
from pixio_edge.scenes.layout_hall import hall
from pixio_edge.scenes.layout_kitchen import kitchen
from pixio_edge.scenes.layout_park import park, square
from pixio_edge.scenes.layout_room import room
from pixio_edge.scenes.layout_shelf import shelf
from pixio_edge.scenes.layout_still_life import still_life
from pixio_edge.scenes.layout_street import street
from pixio_edge.scenes.layout_tabletop import tabletop
from pixio_edge.scenes.layout_yard import yard
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
