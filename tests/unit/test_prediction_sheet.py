from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pixio_edge.depth import DepthMap
from pixio_edge.errors import InputError, OutputError
from pixio_edge.image import read_image
from pixio_edge.prediction_sheet import CELL_SIZE, COLUMNS, GAP, MAX_CELLS, PredictionSheet, check_folder

SIZE = (CELL_SIZE[0] // 2, CELL_SIZE[1] // 2)


def ramp() -> DepthMap:
    values = np.tile(np.linspace(0.0, 1.0, SIZE[1], dtype=np.float32), (SIZE[0], 1))
    return DepthMap(values, "relative_inverse")


def picture(grey: int) -> np.ndarray:
    return np.full((*SIZE, 3), grey, dtype=np.uint8)


def test_sheet_shows_each_image_above_its_depth(tmp_path: Path):
    sheet = PredictionSheet("gray")
    for grey in (60, 200):
        sheet.add(picture(grey), ramp(), "")

    sheet.save(tmp_path / "sheet.png")

    pixels = read_image(tmp_path / "sheet.png")
    height, width = 2 * CELL_SIZE[0] + GAP, CELL_SIZE[1] + GAP
    assert pixels.shape == (height, 2 * width, 3)
    for column, grey in enumerate((60, 200)):
        cell = pixels[:, column * width : column * width + CELL_SIZE[1]]
        assert (cell[: CELL_SIZE[0]] == grey).all()
        row = cell[CELL_SIZE[0] + 5, :, 0].astype(int)
        assert row[0] < 10
        assert row[-1] > 245
        assert (np.diff(row) >= 0).all()


def test_sheet_starts_a_new_row_when_one_is_full(tmp_path: Path):
    sheet = PredictionSheet()
    for _ in range(COLUMNS + 1):
        sheet.add(picture(90), ramp(), "a")

    sheet.save(tmp_path / "sheet.png")

    assert read_image(tmp_path / "sheet.png").shape[:2] == (
        2 * (2 * CELL_SIZE[0] + GAP),
        COLUMNS * (CELL_SIZE[1] + GAP),
    )


def test_folder_of_a_sheet_is_looked_for_before_the_work(tmp_path: Path):
    check_folder(None)
    check_folder(tmp_path / "sheet.png")
    with pytest.raises(OutputError, match=r"--sheet: .*absent is not a folder\. Fix: "):
        check_folder(tmp_path / "absent" / "sheet.png")


def test_sheet_counts_what_it_leaves_out():
    sheet = PredictionSheet()
    for _ in range(MAX_CELLS + 2):
        sheet.add(picture(0)[:2, :2], DepthMap(np.eye(2, dtype=np.float32), "relative_inverse"), "a")

    assert sheet.left_out == 2


def test_sheet_refuses_to_be_saved_empty(tmp_path: Path):
    with pytest.raises(InputError, match="got 0 predictions"):
        PredictionSheet().save(tmp_path / "sheet.png")

    assert not list(tmp_path.iterdir())
