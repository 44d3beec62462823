"""Whether what a program computed is what a conformance folder expects."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

import numpy as np

from pixio_edge.conformance.schema import DepthCase, PreparationCase, read_array, read_conformance
from pixio_edge.errors import InputError
from pixio_edge.parity import compare

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

NPY_MAGIC = b"\x93NUMPY"
# What numpy raises for a header that is no header, or says more than the file holds.
UNREADABLE = (ValueError, TypeError, EOFError, SyntaxError, TokenError, RecursionError, MemoryError)


@dataclass(frozen=True, slots=True)
class ConformanceResult:
    """What came of one check; true when it passed.

    Args:
        case: Name of the case.
        passed: Whether every limit holds.
        measured: By name, see `parity.ParityReport`; "mean_difference" in grey levels for a preparation. Values that
            are not finite are None.
        allowed: Limits by name.
        margin: Worst ratio of measured to allowed; up to 1 passes; None if it is not finite.
        not_finite: How many values of the output are NaN or infinite; with one, nothing could be measured.
    """

    case: str
    passed: bool
    measured: Mapping[str, float | None]
    allowed: Mapping[str, float]
    margin: float | None
    not_finite: int = 0

    def __bool__(self) -> bool:
        return self.passed

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return asdict(self)


def check_output(folder: Path, name: str, output: Path) -> ConformanceResult:
    """Compare what a program wrote with what a case expects.

    Args:
        folder: Conformance folder.
        name: Of the case.
        output: .npy file: depth, (1, h, w) or (h, w), of any float type; or for a preparation uint8 (1, h, w, 3) or
            (h, w, 3).

    Raises:
        BundleError: The folder is damaged, or has no such case.
        InputError: The output is not such an array.
    """
    case = read_conformance(folder).case(name)
    expected = read_array(folder, case.expected)
    got = _read_output(output, expected.shape, kinds="u" if isinstance(case, PreparationCase) else "f")
    if isinstance(case, DepthCase):
        return _check_depth(case, expected, got)
    return _check_preparation(case, expected, got)


def _check_depth(case: DepthCase, expected: NDArray[Any], got: NDArray[Any]) -> ConformanceResult:
    report = compare(expected, got, case.tolerance)
    measured = report.to_json()
    margin = measured.pop("margin")
    allowed = {limit: value for limit, value in asdict(case.tolerance).items() if value is not None}
    not_finite = int(np.count_nonzero(~np.isfinite(got)))
    return ConformanceResult(case.name, bool(report), measured, allowed, margin, not_finite)


def _check_preparation(case: PreparationCase, expected: NDArray[Any], got: NDArray[Any]) -> ConformanceResult:
    difference = float(np.abs(expected.astype(np.float64) - got.astype(np.float64)).mean())
    limit = case.max_mean_difference
    measured = {"mean_difference": difference}
    return ConformanceResult(case.name, difference <= limit, measured, {"mean_difference": limit}, difference / limit)


def _read_output(path: Path, shape: tuple[int, ...], *, kinds: str) -> NDArray[Any]:
    array = _load(path)
    if array.dtype.kind not in kinds or _core(array.shape) != _core(shape):
        wanted = "uint8" if kinds == "u" else "float32"
        raise InputError(
            f"{path}: got {array.dtype.name} {array.shape}, expected {wanted} {shape}. "
            "Fix: write the output as the graph gives it"
        )
    return array.reshape(shape)


def _load(path: Path) -> NDArray[Any]:
    """One array of a .npy file; said in our words, because numpy's advise to switch its protection off.

    Raises:
        InputError: It is none.
    """
    fix = "write the output with one array as .npy"
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no file"
        raise InputError(f"{path}: got {what}, expected a .npy file. Fix: {fix}, and give its path")
    try:
        with path.open("rb") as file:
            magic = file.read(len(NPY_MAGIC))
            if magic != NPY_MAGIC:
                raise InputError(f"{path}: got {_describe(magic)}, expected a .npy file. Fix: {fix}")
            file.seek(0)
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}). Fix: check its permissions") from error
    except UNREADABLE as error:
        raise InputError(
            f"{path}: got a .npy file that is cut off, damaged or holds Python objects, expected numbers. Fix: {fix}"
        ) from error
    return array


def _describe(start: bytes) -> str:
    if not start:
        return "an empty file"
    return "a .npz archive" if start.startswith(b"PK") else "something else"


def _core(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without leading axes of length 1."""
    first = next((axis for axis, length in enumerate(shape) if length != 1), len(shape))
    return shape[first:] or (math.prod(shape),)
