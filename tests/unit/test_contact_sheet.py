from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

from pixio_edge.errors import InputError, OutputError
from pixio_edge.evaluation.contact_sheet import COLUMNS, HEADER_HEIGHT, save_contact_sheet, sheet_row, telling_rows
from pixio_edge.evaluation.protocol import evaluate
from pixio_edge.evaluation.samples import DepthSample
from pixio_edge.image import read_image
from pixio_edge.prediction_sheet import CELL_SIZE, GAP

SIZE = (CELL_SIZE[0] // 2, CELL_SIZE[1] // 2)  # enlarged twice, so every cell is filled

LABEL_HEIGHT = 30


def make_sample() -> DepthSample:
    depth = np.tile(np.linspace(1.0, 5.0, SIZE[1], dtype=np.float32), (SIZE[0], 1))
    return DepthSample("a", np.full((*SIZE, 3), 180, dtype=np.uint8), depth, np.ones(SIZE, dtype=bool), "m")


def cell(sheet: np.ndarray, column: int, row: int = 0) -> np.ndarray:
    top, left = HEADER_HEIGHT + row * (CELL_SIZE[0] + GAP), GAP + column * (CELL_SIZE[1] + GAP)
    return sheet[top : top + CELL_SIZE[0], left : left + CELL_SIZE[1]]


def test_contact_sheet_shows_a_perfect_prediction_like_the_truth_and_a_black_error(tmp_path: Path):
    sample = make_sample()

    save_contact_sheet(tmp_path / "sheet.png", [sheet_row(sample, 2.0 / sample.depth_gt + 1.0, "a")] * 2)

    sheet = read_image(tmp_path / "sheet.png")
    assert sheet.shape == (HEADER_HEIGHT + 2 * (CELL_SIZE[0] + GAP), GAP + len(COLUMNS) * (CELL_SIZE[1] + GAP), 3)
    assert (cell(sheet, 0)[:-LABEL_HEIGHT] == 180).all()
    # Rounding to 256 colours may move by one step between the exact and the fitted map.
    assert np.abs(cell(sheet, 1).astype(int) - cell(sheet, 2)).max() <= 8
    assert cell(sheet, 1).std() > 20
    assert cell(sheet, 3).max() <= 8
    np.testing.assert_array_equal(cell(sheet, 2, row=0), cell(sheet, 2, row=1))


def test_contact_sheet_shows_the_error_of_a_wrong_prediction(tmp_path: Path):
    sample = make_sample()

    save_contact_sheet(tmp_path / "sheet.png", [sheet_row(sample, np.zeros(SIZE, dtype=np.float32), "a")])

    assert cell(read_image(tmp_path / "sheet.png"), 3).max() > 200


def test_contact_sheet_draws_any_label_and_any_shape(tmp_path: Path):
    wide = DepthSample(
        "w", np.zeros((1, 900, 3), np.uint8), np.ones((1, 900), np.float32), np.ones((1, 900), dtype=bool), None
    )
    tall = DepthSample(
        "t", np.zeros((900, 1, 3), np.uint8), np.ones((900, 1), np.float32), np.ones((900, 1), dtype=bool), None
    )
    rows = [sheet_row(sample, np.ones(sample.valid.shape), "δ₁ naïve 深度") for sample in (wide, tall)]

    save_contact_sheet(tmp_path / "sheet.png", rows)

    assert read_image(tmp_path / "sheet.png").shape[1] == GAP + len(COLUMNS) * (CELL_SIZE[1] + GAP)


def test_contact_sheet_refuses_no_rows(tmp_path: Path):
    with pytest.raises(InputError, match="got 0 rows"):
        save_contact_sheet(tmp_path / "sheet.png", [])


def test_contact_sheet_leaves_nothing_behind_when_the_folder_is_missing(tmp_path: Path):
    sample = make_sample()

    with pytest.raises(OutputError):
        save_contact_sheet(tmp_path / "nowhere" / "sheet.png", [sheet_row(sample, 1.0 / sample.depth_gt, "a")])

    assert list(tmp_path.iterdir()) == []


class FourImages:
    """A set whose image i is predicted by a map that fits worse the larger i is."""

    name, note = "four", ""

    def __len__(self) -> int:
        return 4

    def __iter__(self):
        for index in range(4):
            sample = make_sample()
            yield DepthSample(f"image{index}", np.full((*SIZE, 3), index, np.uint8), *astuple(sample)[2:])


def test_telling_rows_are_the_worst_the_middle_and_the_best_image_of_a_set():
    depth = make_sample().depth_gt

    def predict(rgb: np.ndarray) -> np.ndarray:
        index = int(rgb[0, 0, 0])
        noise = np.random.default_rng(index).normal(size=SIZE)
        return (1.0 / depth + (0.0, 0.05, 0.15, 0.6)[index] * noise).astype(np.float32)

    sets = [FourImages()]

    rows = telling_rows(predict, sets, evaluate(predict, sets))

    assert [int(row.rgb[0, 0, 0]) for row in rows] == [3, 1, 0]
    assert rows[-1].label == "four  delta1 1.00"
