"""A small folder of textures in the format that the training command takes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from pixio_edge.image import write_image

COLUMNS = ("file", "licence", "licence_evidence", "source", "author", "tag")
ROWS = {
    "surfaces": (
        ("wood.png", "CC0-1.0", "README", "maker/woods@0123456789abcdef wood.png", "A Maker", "wood"),
        ("brick.png", "CC BY-SA 3.0", "readme.txt", "maker/bricks@abcdef0123 the brick.png", "B_Maker", "brick"),
        ("odd.png", "MIT", "LICENSE", "maker/odd@abcdef0123 odd.png", "C Maker", "never-heard-of"),
    ),
    "photos": (("photo.png", "CC BY 2.0", "https://photos.example/1", "somewhere else", "D Maker", "street"),),
    "backdrops": (("sky.png", "Unsplash License", "", "maker/skies@abcdef0123 sky.png", "", "equirect"),),
}
# Top and bottom half of each image.
COLOURS = {
    "wood": ((200, 20, 20), (100, 20, 20)),
    "brick": ((20, 200, 20), (20, 100, 20)),
    "odd": ((20, 20, 200), (20, 20, 100)),
    "photo": ((200, 200, 20), (100, 100, 20)),
    "sky": ((20, 200, 200), (20, 100, 100)),
}


def write_textures(folder: Path, *, indexed: bool = True) -> None:
    """Images of two colours, wider than high by a margin that differs."""
    for group, rows in ROWS.items():
        (folder / group).mkdir(parents=True)
        for row in rows:
            image = np.empty((60, 80, 3), dtype=np.uint8)
            image[:30], image[30:] = COLOURS[Path(row[0]).stem]
            write_image(folder / group / row[0], image)
        if indexed:
            write_index(folder / group / "index.csv", rows)


def write_index(path: Path, rows: tuple[tuple[str, ...], ...], columns: tuple[str, ...] = COLUMNS) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([columns, *rows])
