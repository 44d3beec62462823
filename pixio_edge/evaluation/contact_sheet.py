"""A grid of pictures to look at: image, ground truth, prediction and error, one row for each sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from pixio_edge.errors import InputError
from pixio_edge.evaluation.protocol import align_prediction
from pixio_edge.image import write_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pixio_edge.evaluation.samples import DepthSample

    Picture = NDArray[np.uint8]
    Map = NDArray[np.float32]

COLUMNS = ("image", "ground truth", "prediction", "error")
CELL_SIZE = (168, 224)
"""Largest height, and the width, of a picture in the grid; tall pictures are fitted in and centred."""

HEADER_HEIGHT = 24
GAP = 4
TEXT_SCALE = 0.42

LARGEST_ERROR = 0.5
"""Relative depth error, |p - g| / g, that gets the brightest colour."""

DOT_SHARE = 0.05
"""Ground truth with a smaller share of valid pixels than this (LiDAR: 1 to 4 %) is drawn with thick dots."""

BACKGROUND = 32


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One row of a contact sheet.

    Attributes:
        label: Short text, drawn over the image; characters outside ASCII become "?".
        rgb: uint8 (H, W, 3).
        depth_gt: float32 (H, W), the unit does not matter.
        valid: bool (H, W).
        predicted: float32 (H, W), depth aligned to the ground truth, positive.
    """

    label: str
    rgb: Picture
    depth_gt: Map
    valid: NDArray[np.bool_]
    predicted: Map


def sheet_row(sample: DepthSample, inverse: NDArray[np.floating[Any]], label: str) -> SheetRow:
    """Align a relative prediction as the protocol does and make a row of it.

    Args:
        sample: The image and its ground truth.
        inverse: Relative inverse depth (H, W), larger is nearer.
        label: Drawn over the image.

    Raises:
        InputError: The prediction has the wrong shape or is not finite, or no pixel of the sample is valid.
    """
    predicted = align_prediction(inverse, sample).astype(np.float32)
    return SheetRow(label, sample.rgb, sample.depth_gt, sample.valid, predicted)


def save_contact_sheet(path: Path, rows: Sequence[SheetRow]) -> None:
    """Write the grid as an image, whole or not at all.

    Depth is coloured by its inverse (near is bright) over the range of the ground truth of its row; grey is unknown.
    The error is the relative depth error, black for none, bright for 50 % and more.

    Args:
        path: PNG or JPEG by suffix.
        rows: At least one.

    Raises:
        InputError: `rows` is empty.
        OutputError: The file cannot be written.
    """
    if not rows:
        raise InputError("contact sheet: got 0 rows, expected at least 1. Fix: pass the samples to show")
    write_image(path, np.vstack([_header(), *(_row(row) for row in rows)]))


def _header() -> Picture:
    height, width = HEADER_HEIGHT, len(COLUMNS) * (CELL_SIZE[1] + GAP) + GAP
    header = np.full((height, width, 3), BACKGROUND, dtype=np.uint8)
    for index, title in enumerate(COLUMNS):
        _write(header, title, GAP + index * (CELL_SIZE[1] + GAP) + 2, height - 8)
    return header


def _row(row: SheetRow) -> Picture:
    known = row.valid & (row.depth_gt > 0)
    truth = np.where(known, 1.0 / np.where(known, row.depth_gt, 1.0), 0.0)
    low, high = np.percentile(truth[known], (2, 98)) if known.any() else (0.0, 1.0)
    error = np.where(known, np.abs(row.predicted - row.depth_gt) / np.where(known, row.depth_gt, 1.0), 0.0)
    pictures = (
        row.rgb,
        _thicken(_color(truth, low, high), known),
        _color(1.0 / row.predicted, low, high),
        _thicken(_color(error, 0.0, LARGEST_ERROR), known),
    )
    cells = [_fit(picture) for picture in pictures]
    height = cells[0].shape[0]
    _write(cells[0], row.label, 4, height - 6)
    gap = np.full((height, GAP, 3), BACKGROUND, dtype=np.uint8)
    strip = np.hstack([gap, *(part for cell in cells for part in (cell, gap))])
    return np.vstack([strip, np.full((GAP, strip.shape[1], 3), BACKGROUND, dtype=np.uint8)])


def _color(values: NDArray[np.floating[Any]], low: float, high: float) -> Picture:
    share = np.clip((values - low) / (high - low if high > low else 1.0), 0.0, 1.0)
    colors = cv2.applyColorMap((share * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return np.asarray(cv2.cvtColor(colors, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _thicken(picture: Picture, known: NDArray[np.bool_]) -> Picture:
    """Grey out unknown pixels; sparse points are spread over their neighbours, or shrinking would hide them."""
    shown, mask = picture, known
    if known.mean() < DOT_SHARE:
        kernel = np.ones((5, 5), dtype=np.uint8)
        shown = np.asarray(cv2.dilate(np.where(known[..., None], picture, np.uint8(0)), kernel), dtype=np.uint8)
        mask = cv2.dilate(known.astype(np.uint8), kernel) > 0
    return np.where(mask[..., None], shown, np.uint8(BACKGROUND * 3))


def _fit(picture: Picture) -> Picture:
    height, width = CELL_SIZE
    factor = min(height / picture.shape[0], width / picture.shape[1])
    inner = (max(1, round(picture.shape[0] * factor)), max(1, round(picture.shape[1] * factor)))
    shrunk = cv2.resize(picture, inner[::-1], interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    cell = np.full((inner[0], width, 3), BACKGROUND, dtype=np.uint8)
    left = (width - inner[1]) // 2
    cell[:, left : left + inner[1]] = shrunk
    return cell


def _write(picture: Picture, text: str, x: int, y: int) -> None:
    """Draw in place, light on a dark shadow, so that it reads on any picture."""
    drawable = text.encode("ascii", "replace").decode("ascii")
    # A thicker outline would not fit: OpenCV 5 spaces letters by their thickness.
    for color, offset in (((0, 0, 0), 1), ((255, 255, 255), 0)):
        place = (x + offset, y + offset)
        cv2.putText(picture, drawable, place, cv2.FONT_HERSHEY_SIMPLEX, TEXT_SCALE, color, 1, cv2.LINE_AA)
