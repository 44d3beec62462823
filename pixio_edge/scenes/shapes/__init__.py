"""Builders of simple meshes: each returns one slot, with outward normals and uv in metres."""

from pixio_edge.scenes.shapes.building_blocks import build, grounded, moved
from pixio_edge.scenes.shapes.outlines import circle, rounded
from pixio_edge.scenes.shapes.soft_shapes import card, displaced, leaf_cards, sheet, smooth_normals
from pixio_edge.scenes.shapes.solids import ball, box, cylinder, lathe
from pixio_edge.scenes.shapes.swept import extrude, tube

__all__ = [
    "ball",
    "box",
    "build",
    "card",
    "circle",
    "cylinder",
    "displaced",
    "extrude",
    "grounded",
    "lathe",
    "leaf_cards",
    "moved",
    "rounded",
    "sheet",
    "smooth_normals",
    "tube",
]
