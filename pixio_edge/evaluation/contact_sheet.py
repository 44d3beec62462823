"""A grid of pictures to look at: image, ground truth, prediction and error, one row for each sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from pixio_edge.errors import InputError
from pixio_edge.evaluation.protocol import align_prediction
from pixio_edge.image import write_image
from pixio_edge.prediction_sheet import BACKGROUND, CELL_SIZE, GAP, fit_cell, write_label

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pixio_edge.evaluation.protocol import Predict
    from pixio_edge.evaluation.report import EvaluationReport, SetResult
    from pixio_edge.evaluation.samples import DepthDataset, DepthSample

    Picture = NDArray[np.uint8]
    Map = NDArray[np.float32]

COLUMNS = ("image", "ground truth", "prediction", "error")
HEADER_HEIGHT = 24

LARGEST_ERROR = 0.5
"""Relative depth error, |p - g| / g, that gets the brightest colour."""

DOT_SHARE = 0.05
"""Ground truth with a smaller share of valid pixels than this (LiDAR: 1 to 4 %) is drawn with thick dots."""


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


def telling_rows(predict: Predict, datasets: Sequence[DepthDataset], report: EvaluationReport) -> list[SheetRow]:
    """The worst, the middle and the best image of each set by δ1, predicted once more.

    Args:
        predict: That the report was made with.
        datasets: The same, in the same order.
        report: Of `evaluate`.
    """
    rows = []
    for dataset, result in zip(datasets, report.sets, strict=True):
        labels = _telling_images(result)
        named = {sample.name: sample for sample in dataset if sample.name in labels}
        rows += [sheet_row(named[name], predict(named[name].rgb), label) for name, label in labels.items()]
    return rows


def _telling_images(result: SetResult) -> dict[str, str]:
    """Label by name of the worst, the middle and the best image; fewer where a set has fewer."""
    ranked = sorted(result.images, key=lambda image: image.metrics.delta1)
    chosen = (ranked[0], ranked[len(ranked) // 2], ranked[-1]) if ranked else ()
    return {image.name: f"{result.name}  delta1 {image.metrics.delta1:.2f}" for image in chosen}


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
        write_label(header, title, GAP + index * (CELL_SIZE[1] + GAP) + 2, height - 8)
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
    cells = [fit_cell(picture) for picture in pictures]
    height = cells[0].shape[0]
    write_label(cells[0], row.label, 4, height - 6)
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
