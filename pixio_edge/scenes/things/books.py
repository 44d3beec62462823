"""Books, magazines and paper."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from pixio_edge.scenes.mesh import Look, Mesh, Model, Top, merge
from pixio_edge.scenes.shapes import ball, box, card, displaced, extrude, moved, sheet
from pixio_edge.scenes.shapes.profiles import thing
from pixio_edge.scenes.things.stuff import LEATHER, OBJECT, PAPER, PRINT, bright, pick

# Slots of every book: its covers, the block of pages, the picture on its front.
COVER, PAGES, FRONT = 0, 1, 2


def _volume(width: float, height: float, thickness: float, *, slot: int = COVER, paper: bool = False) -> Mesh:
    """A book that lies with its back at -x: two covers, a back, pages that stand in a little."""
    board = 0.0006 if paper else 0.003
    inset = 0.0 if paper else 0.004
    parts = [
        box((width, height, board), slot=slot),
        box((width, height, board), at=(0, 0, thickness - board), slot=slot),
    ]
    parts.append(box((board, height, thickness), at=(-width / 2 - board / 2, 0, 0), slot=slot))
    pages = (width - inset, height - 2 * inset, thickness - 2 * board)
    parts.append(box(pages, at=(-inset / 2, 0, board), slot=PAGES))
    return merge(parts)


def _format(rng: np.random.Generator) -> tuple[float, float, float]:
    """Width, height and thickness of a book, metres."""
    height = rng.uniform(0.16, 0.31)
    return height * rng.uniform(0.6, 0.8), height, rng.uniform(0.008, 0.055)


def _cover(rng: np.random.Generator) -> Look:
    return pick(rng, (OBJECT, bright(rng), LEATHER))


def book_lying(rng: np.random.Generator) -> Model:
    """One book on its back, at any angle."""
    width, height, thickness = _format(rng)
    front = moved(sheet(width, height, rows=1, columns=1, slot=FRONT), (0, 0, thickness + 0.0006))
    front.uv[:] = front.uv / (width, -height) + 0.5
    parts = merge([_volume(width, height, thickness, paper=rng.uniform() < 0.5), front])
    top = Top((0, 0, thickness), (0.4 * width, 0.4 * height))
    return thing([parts], [_cover(rng), PAPER, PRINT], [top])


def book_standing(rng: np.random.Generator) -> Model:
    """One book upright, its back to the front; a little open or leaning against nothing."""
    width, height, thickness = _format(rng)
    upright = moved(_volume(width, height, thickness), pitch=math.pi / 2, yaw=math.pi / 2)
    return thing([moved(upright, roll=rng.uniform(-0.12, 0.12))], [_cover(rng), PAPER])


def book_stack(rng: np.random.Generator) -> Model:
    """Lying books on one another, every one turned a little."""
    u = rng.uniform
    parts, looks, z = [], [PAPER, PAPER], 0.0
    for i in range(int(rng.integers(2, 8))):
        width, height, thickness = _format(rng)
        slot = 0 if i == 0 else i + 1
        angle = u(-0.25, 0.25) + (math.pi if u() < 0.4 else 0.0)
        shift = (u(-0.02, 0.02), u(-0.02, 0.02), z)
        parts.append(moved(_volume(width, height, thickness, slot=slot), shift, yaw=angle))
        z += thickness
        if i == 0:
            looks[0] = _cover(rng)
        else:
            looks.append(_cover(rng))
    return thing(parts, looks, [Top((0, 0, z), (0.06, 0.08))])


def book_row(rng: np.random.Generator) -> Model:
    """Upright books side by side as on a shelf, backs to the front, some leaning."""
    u = rng.uniform
    parts, looks, x = [], [PAPER, PAPER], 0.0
    lean = 0.0
    for i in range(int(rng.integers(5, 15))):
        width, height, thickness = _format(rng)
        lean = u(0.05, 0.3) if u() < 0.12 else lean * 0.5
        slot = 0 if i == 0 else i + 1
        standing = moved(box((thickness, 0.85 * width, height), bevel=0.002, slot=slot), (0, 0.43 * width, 0))
        pages = box((0.8 * thickness, 0.8 * width, 0.003), at=(0, 0.44 * width, height - 0.002), slot=1)
        shift = x + height * math.sin(lean) * 0.5
        spine = [standing, pages]
        if thickness > 0.015:
            # A title on the back, as broad as it allows.
            title = moved(card(0.8 * thickness, u(0.2, 0.6) * height), (0, -0.0008, u(0.15, 0.35) * height))
            spine.append(dataclasses.replace(title, slots=title.slots + 1 + int(rng.integers(i + 1))))
        parts.append(moved(merge(spine), (shift, u(0, 0.02), 0), roll=-lean))
        x += thickness + height * math.sin(lean) * 0.55 + 0.001
        if i == 0:
            looks[0] = _cover(rng)
        else:
            looks.append(_cover(rng))
    return thing(parts, looks)


def open_book(rng: np.random.Generator) -> Model:
    """A book that lies open, pages arched."""
    u = rng.uniform
    width, height, thickness = u(0.14, 0.22), u(0.2, 0.3), u(0.01, 0.03)
    rise, share = u(0.3, 1.0) * thickness, u(0.3, 0.7)
    parts = []
    for side, part in ((-1, share), (1, 1 - share)):
        x = np.linspace(0, 1, 7)
        arch = (
            2 * part * thickness * (1 - 0.3 * x) * np.minimum(1, 5 * x + 0.3) + rise * np.sin(np.pi * np.sqrt(x)) * 0.5
        )
        outline = np.concatenate([np.stack([side * x * width, arch + 0.003], 1), [(side * width, 0.002), (0, 0.002)]])
        parts.append(extrude(outline, 0.97 * height, axis="y", slot=PAGES))
        board = box((width + 0.005, height, 0.002), at=(side * width / 2, 0, 0), slot=COVER)
        parts.append(board)
    return thing(parts, [_cover(rng), pick(rng, (PAPER, PAPER, OBJECT))])


def magazines(rng: np.random.Generator) -> Model:
    """Newspapers, magazines or loose sheets in an untidy pile."""
    u = rng.uniform
    parts, z = [], 0.0
    width = u(0.19, 0.24)
    height = width * 1.38
    count = int(rng.integers(1, 7))
    for i in range(count):
        thickness = u(0.001, 0.012)
        shape = box((width, height, thickness), slot=1 + i % 2)
        turn = u(-0.35, 0.35)
        parts.append(moved(shape, (u(-0.03, 0.03), u(-0.03, 0.03), z), yaw=turn))
        z += thickness
    front = box((0.98 * width, 0.98 * height, 0.0005), slot=0, fit=True)
    parts.append(moved(front, (0, 0, z), yaw=u(-0.3, 0.3)))
    return thing(parts, [PRINT, PAPER, pick(rng, (PAPER, OBJECT))], [Top((0, 0, z), (0.4 * width, 0.4 * height))])


def paper_sheet(rng: np.random.Generator) -> Model:
    """One sheet, curled or flat, blank or printed."""
    u = rng.uniform
    bend, wave = u(0, 0.25), u(0, 0.012)
    flat = sheet(
        0.21, 0.297, rows=6, columns=5, height=lambda x, y: bend * (x + y) ** 2 + wave * np.sin(18 * x - 9 * y) ** 2
    )
    flat.uv[:] = flat.uv / (0.21, -0.297) + 0.5
    return thing([flat], [pick(rng, (PRINT, Look("paper", fit=True)))])


def crumpled_paper(rng: np.random.Generator) -> Model:
    """A ball of paper."""
    radius = rng.uniform(0.02, 0.05)
    scale = radius * rng.uniform(0.7, 1.0, 3)
    return thing([displaced(ball(scale.tolist(), detail=2), rng, 0.16 * radius, 0.7 * radius)], [PAPER])


def binders(rng: np.random.Generator) -> Model:
    """Ring binders or folders side by side."""
    u = rng.uniform
    parts, looks, x = [], [], 0.0
    looks.append(Look("paper", fit=True))
    height, depth = u(0.30, 0.33), u(0.27, 0.29)
    look_count = int(rng.integers(1, 4))
    looks += [bright(rng) if u() < 0.5 else OBJECT for _ in range(look_count)]
    for _ in range(int(rng.integers(1, 8))):
        thick = u(0.03, 0.08)
        slot = 1 + int(rng.integers(look_count))
        parts.append(box((thick, depth, height), at=(x, u(-0.01, 0.01), 0), slot=slot))
        parts.append(box((0.7 * thick, depth + 0.025, 0.14), at=(x, 0, 0.13), slot=0, fit=True))
        x += thick + 0.001
    return thing(parts, looks)


MODELS: dict[str, tuple[str, Callable[[np.random.Generator], Model], int]] = {
    "book_lying": ("book", book_lying, 8),
    "book_standing": ("book", book_standing, 6),
    "book_stack": ("book", book_stack, 8),
    "book_row": ("books", book_row, 8),
    "open_book": ("book", open_book, 4),
    "magazines": ("book", magazines, 5),
    "paper_sheet": ("paper", paper_sheet, 5),
    "crumpled_paper": ("paper", crumpled_paper, 3),
    "binders": ("books", binders, 5),
}
