"""A folder with `index.csv`, images and 16-bit PNG depth: the plain format for a user's own data.

Columns:

- `rgb`, `depth`: paths relative to the folder; a row without `depth` is an image without ground truth and is left out;
- `scale`: stored value / scale = metres, or pixels of disparity; stored 0 means no depth;
- `min`, `max` (optional): bounds of the valid range, in metres or pixels;
- `kind` (optional): "depth", the default, or "disparity";
- `fx`, `fy`, `cx`, `cy` (optional): intrinsics of the stored size, pixels;
- `baseline_m`, `doffs_px` (optional): with `fx`, disparity becomes Z = fx * baseline / (disparity + doffs); with any of
  the three blank it is used as inverse depth of unknown unit;
- `note` (optional): one that mentions a white border applies the NYUv2 crop of Eigen et al. to a 480 x 640 image.

Other columns are ignored.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.errors import InputError
from pixio_edge.evaluation.crops import NYU_SIZE, eigen_crop_nyu
from pixio_edge.evaluation.samples import DepthSample
from pixio_edge.evaluation.stored_depth import read_stored_depth
from pixio_edge.image import read_image
from pixio_edge.point_cloud import Intrinsics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

INDEX_NAME = "index.csv"
REQUIRED_COLUMNS = ("rgb", "depth", "scale")
KINDS = ("depth", "disparity")


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One line of `index.csv`, parsed; see the module for the meaning of the columns."""

    rgb: str
    depth: str
    scale: float
    minimum: float
    maximum: float
    kind: str
    fx: float | None
    intrinsics: Intrinsics | None
    baseline_m: float | None
    doffs_px: float | None
    has_white_border: bool


class IndexFolder:
    """The samples of one folder.

    Args:
        folder: Holds `index.csv`, which is read at once; images are read while iterating.

    Raises:
        InputError: `index.csv` is missing, unreadable, lacks a column, has a bad value, or lists no depth.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.resolve().name
        self.note = f"{INDEX_NAME} folder, range of each row"
        self.rows = read_index(folder / INDEX_NAME)
        if not self.rows:
            raise InputError(
                f"{folder / INDEX_NAME}: got 0 rows with depth, expected at least 1. Fix: list images with ground truth"
            )

    def __len__(self) -> int:
        """Return the number of rows that have depth."""
        return len(self.rows)

    def __iter__(self) -> Iterator[DepthSample]:
        """Read the samples in the order of the file."""
        for index in range(len(self)):
            yield self.read(index)

    def read(self, index: int) -> DepthSample:
        """Read one sample by its position in the file.

        Raises:
            InputError: A file is missing or unusable.
        """
        row = self.rows[index]
        rgb = read_image(self.folder / row.rgb)
        value = read_stored_depth(self.folder / row.depth, row.scale)
        valid = (value > 0) & (value >= row.minimum) & (value <= row.maximum)
        if row.has_white_border and value.shape == NYU_SIZE:
            valid &= eigen_crop_nyu()
        depth, unit = _to_depth(value, valid, row)
        return DepthSample(row.rgb, rgb, depth, valid, unit, row.intrinsics)


def read_index(path: Path) -> tuple[IndexRow, ...]:
    """Parse `index.csv`, leaving out rows without depth.

    Raises:
        InputError: The file is missing or unreadable, lacks a column, or has a bad value; the message gives the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in REQUIRED_COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                got = ", ".join(reader.fieldnames or ("none",))
                raise InputError(
                    f"{path}: got columns {got}, expected also {', '.join(missing)}. Fix: add them to the first line"
                )
            lines = [(reader.line_num, line) for line in reader if (line["depth"] or "").strip()]
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: not found, expected a CSV with rgb, depth, scale. Fix: pass the folder that holds it"
        ) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}), expected UTF-8 CSV. Fix: check the file") from error
    return tuple(_parse_row(line, f"{path} line {number}") for number, line in lines)


def _parse_row(line: Mapping[str, str | None], where: str) -> IndexRow:
    def text(column: str) -> str:
        return (line.get(column) or "").strip()

    def number(column: str) -> float | None:
        if not text(column):
            return None
        try:
            return float(text(column))
        except ValueError as error:
            raise InputError(
                f"{where}: got {column} '{text(column)}', expected a number. Fix: correct or clear it"
            ) from error

    kind, scale, minimum, maximum = text("kind") or "depth", number("scale"), number("min"), number("max")
    if kind not in KINDS:
        raise InputError(f"{where}: got kind '{kind}', expected depth or disparity. Fix: correct it")
    if not scale or not 0 < scale < np.inf:
        raise InputError(
            f"{where}: got scale '{text('scale')}', expected a positive number. Fix: stored value / scale = metres"
        )
    if not text("rgb"):
        raise InputError(f"{where}: got no rgb, expected the path of the image. Fix: fill it in or delete the row")
    note = text("note").lower()
    return IndexRow(
        rgb=text("rgb"),
        depth=text("depth"),
        scale=scale,
        minimum=0.0 if minimum is None else minimum,
        maximum=float(np.inf) if maximum is None else maximum,
        kind=kind,
        fx=number("fx"),
        intrinsics=_intrinsics([number(column) for column in ("fx", "fy", "cx", "cy")], where),
        baseline_m=number("baseline_m"),
        doffs_px=number("doffs_px"),
        has_white_border="white" in note and "border" in note,
    )


def _intrinsics(values: list[float | None], where: str) -> Intrinsics | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    try:
        return Intrinsics(*known)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _to_depth(
    value: NDArray[np.float32], valid: NDArray[np.bool_], row: IndexRow
) -> tuple[NDArray[np.float32], str | None]:
    if row.kind == "depth":
        return value, "m"
    numerator, offset, unit = np.float32(1.0), np.float32(0.0), None
    if row.fx is not None and row.baseline_m is not None and row.doffs_px is not None:
        numerator, offset, unit = np.float32(row.fx * row.baseline_m), np.float32(row.doffs_px), "m"
    disparity = np.where(valid, value + offset, np.float32(1.0))
    # A negative doffs can push a disparity to zero or below: such a point is at or behind infinity, so it has no depth.
    valid &= disparity > 0
    return np.where(valid, numerator / np.where(valid, disparity, np.float32(1.0)), np.float32(0.0)), unit
