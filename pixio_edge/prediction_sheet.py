"""A picture of many predictions: each image above its coloured depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.errors import InputError, OutputError
from pixio_edge.image import write_image

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pixio_edge.depth import DepthMap

    Picture = NDArray[np.uint8]

CELL_SIZE = (168, 224)
"""Largest height, and the width, of a picture in the grid; tall pictures are fitted in and centred."""

GAP = 4
TEXT_SCALE = 0.42
BACKGROUND = 32

COLUMNS = 6
"""A sheet of six cells is 1,372 pixels wide: it fits a laptop's screen without shrinking."""

MAX_CELLS = 240
"""40 rows; a sheet of more is no longer looked at, and its JPEG would pass the 65,500 pixels of the format."""


def check_folder(path: Path | None, *, to_be_made: Path | None = None) -> None:
    """Refuse a sheet that could not be written, before the work that would be on it.

    Args:
        path: Where it is to be; None for no sheet.
        to_be_made: A folder that will be there by then, and may be the sheet's.

    Raises:
        OutputError: Its folder is not there.
    """
    if path is None or (to_be_made is not None and path.parent.absolute() == to_be_made.absolute()):
        return
    if not path.parent.is_dir():
        raise OutputError(
            f"--sheet: cannot write {path}: {path.parent} is not a folder. Fix: create {path.parent} first"
        )


class PredictionSheet:
    """Collects small copies of images and their depth; what it holds does not grow with the size of the images."""

    def __init__(self, colormap: str = "inferno") -> None:
        self.colormap = colormap
        self._cells: list[Picture] = []
        self._added = 0

    @property
    def left_out(self) -> int:
        """Images beyond `MAX_CELLS`."""
        return self._added - len(self._cells)

    def add(self, rgb: Picture, depth: DepthMap, label: str) -> None:
        """Add one image, unless the sheet has `MAX_CELLS` already.

        Args:
            rgb: uint8 (H, W, 3).
            depth: Its prediction, of the same size.
            label: Short text, drawn over the image; characters outside ASCII become "?".
        """
        self._added += 1
        if len(self._cells) >= MAX_CELLS:
            return
        image = fit_cell(rgb)
        write_label(image, label, 4, image.shape[0] - 6)
        pair = np.vstack([image, fit_cell(depth.colorize(self.colormap))])
        cell = np.full((2 * CELL_SIZE[0] + GAP, CELL_SIZE[1] + GAP, 3), BACKGROUND, dtype=np.uint8)
        cell[: pair.shape[0], : CELL_SIZE[1]] = pair
        self._cells.append(cell)

    def save(self, path: Path) -> None:
        """Write the grid as an image, whole or not at all.

        Args:
            path: PNG or JPEG by suffix.

        Raises:
            InputError: Nothing was added.
            OutputError: The file cannot be written.
        """
        if not self._cells:
            raise InputError("sheet: got 0 predictions, expected at least 1. Fix: name an image that can be read")
        columns = min(COLUMNS, len(self._cells))
        blank = np.full_like(self._cells[0], BACKGROUND)
        cells = self._cells + [blank] * (-len(self._cells) % columns)
        write_image(path, np.vstack([np.hstack(cells[at : at + columns]) for at in range(0, len(cells), columns)]))


def fit_cell(picture: Picture) -> Picture:
    """Shrink or enlarge a picture (H, W, 3) into a cell of full width and at most full height, centred."""
    import cv2  # noqa: PLC0415  (importing OpenCV takes longer than the rest of the package together)

    height, width = CELL_SIZE
    factor = min(height / picture.shape[0], width / picture.shape[1])
    inner = (max(1, round(picture.shape[0] * factor)), max(1, round(picture.shape[1] * factor)))
    shrunk = cv2.resize(picture, inner[::-1], interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    cell = np.full((inner[0], width, 3), BACKGROUND, dtype=np.uint8)
    left = (width - inner[1]) // 2
    cell[:, left : left + inner[1]] = shrunk
    return cell


def write_label(picture: Picture, text: str, x: int, y: int) -> None:
    """Draw in place, light on a dark shadow, so that it reads on any picture."""
    import cv2  # noqa: PLC0415  (see fit_cell)

    drawable = text.encode("ascii", "replace").decode("ascii")
    # A thicker outline would not fit: OpenCV 5 spaces letters by their thickness.
    for color, offset in (((0, 0, 0), 1), ((255, 255, 255), 0)):
        place = (x + offset, y + offset)
        cv2.putText(picture, drawable, place, cv2.FONT_HERSHEY_SIMPLEX, TEXT_SCALE, color, 1, cv2.LINE_AA)
