"""NYU Depth v2, the labelled set: one MATLAB v7.3 file, which is HDF5 with every array transposed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pixio_edge.errors import InputError, MissingDependencyError
from pixio_edge.evaluation.crops import NYU_SIZE, eigen_crop_nyu
from pixio_edge.evaluation.samples import DepthSample
from pixio_edge.point_cloud import Intrinsics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SPLITS_NAME = "splits.mat"
"""The official split, looked for beside the labelled file: 1-based indices `trainNdxs` and `testNdxs`, MATLAB v5."""

NyuSplit = Literal["train", "test"]

MIN_DEPTH_M, MAX_DEPTH_M = 1e-3, 10.0
"""Range that counts, as in the published protocols (BTS, ZoeDepth)."""

INTRINSICS = Intrinsics(fx=518.858, fy=519.470, cx=325.582, cy=253.736)
"""Colour camera, from the calibration that comes with the NYUv2 toolbox."""

_PURPOSE = "Reading NYUv2's labelled .mat"


class NyuLabelled:
    """The official 654 test or 795 training images if `splits.mat` lies beside the file, else all 1449.

    Ground truth is `rawDepths` (what the sensor measured) where the file has it, else the in-painted `depths`; the crop
    of Eigen et al. and the range 0.001..10 m apply. `note` says which of these were used.

    Args:
        path: `nyu_depth_v2_labeled.mat`; opened at once for its shape, images are read while iterating.
        split: Which of the two parts.

    Raises:
        InputError: Not an HDF5 file, a variable is missing or has an unexpected shape, or the split does not fit.
        MissingDependencyError: h5py (or scipy, for the split) is not installed.
    """

    def __init__(self, path: Path, *, split: NyuSplit = "test") -> None:
        self.path = path
        with _open_hdf5(path) as file:
            self._depth_key = "rawDepths" if "rawDepths" in file else "depths"
            count = _check_layout(file, self._depth_key, path)
        splits = path.parent / SPLITS_NAME
        has_split = splits.exists()
        self.indices: tuple[int, ...] = _read_split(splits, split, count) if has_split else tuple(range(count))
        self.name = f"nyu_v2_{split}" if has_split else "nyu_v2_all"
        missing = f"all labelled images ({SPLITS_NAME} not found beside the file)"
        which = f"official {split} split" if has_split else missing
        self.note = f"NYUv2, {which}, {self._depth_key}, Eigen crop, {MIN_DEPTH_M}-{MAX_DEPTH_M} m"

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.indices)

    def __iter__(self) -> Iterator[DepthSample]:
        """Read the samples in the order of the file."""
        with _open_hdf5(self.path) as file:
            for index in self.indices:
                yield self._read(file, index)

    def read(self, position: int) -> DepthSample:
        """Read one sample by its position in the split."""
        with _open_hdf5(self.path) as file:
            return self._read(file, self.indices[position])

    def _read(self, file: Any, index: int) -> DepthSample:
        rgb = np.ascontiguousarray(np.asarray(file["images"][index], dtype=np.uint8).transpose(2, 1, 0))
        depth = np.ascontiguousarray(np.asarray(file[self._depth_key][index], dtype=np.float32).T)
        valid: NDArray[np.bool_] = eigen_crop_nyu() & (depth >= MIN_DEPTH_M) & (depth <= MAX_DEPTH_M)
        return DepthSample(f"{index + 1:04d}", rgb, depth, valid, "m", INTRINSICS)


@contextmanager
def _open_hdf5(path: Path) -> Iterator[Any]:
    try:
        import h5py  # type: ignore[import-untyped]  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise MissingDependencyError("h5py", "nyu", _PURPOSE) from error
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(
            f"{path}: not a MATLAB v7.3 (HDF5) file, expected nyu_depth_v2_labeled.mat. Fix: download it again"
        ) from error
    with file:
        yield file


def _check_layout(file: Any, depth_key: str, path: Path) -> int:
    for key in ("images", depth_key):
        if key not in file:
            names = ", ".join(sorted(file)) or "none"
            raise InputError(f"{path}: got variables {names}, expected images and depths. Fix: use the labelled file")
    height, width = NYU_SIZE
    count = int(file["images"].shape[0])
    for key, shape in (("images", (count, 3, width, height)), (depth_key, (count, width, height))):
        if tuple(file[key].shape) != shape or count == 0:
            raise InputError(f"{path}: got {key} {file[key].shape}, expected {shape}. Fix: use the labelled file")
    return count


def _read_split(path: Path, split: NyuSplit, count: int) -> tuple[int, ...]:
    key = f"{split}Ndxs"
    try:
        from scipy.io import loadmat  # type: ignore[import-untyped]  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise MissingDependencyError("scipy", "nyu", f"Reading {SPLITS_NAME}") from error
    try:
        values = np.asarray(loadmat(path, variable_names=[key])[key]).ravel().astype(np.int64)
    except Exception as error:  # scipy has errors of its own, and damaged files raise many others
        raise InputError(
            f"{path}: has no readable {key}, expected NYUv2's official split. Fix: download it again, or delete it"
        ) from error
    if values.size == 0 or values.min() < 1 or values.max() > count:
        raise InputError(
            f"{path}: got {values.size} {split} indices beyond the {count} images, expected 1..{count}. "
            "Fix: use the split that belongs to the file"
        )
    return tuple(int(value) - 1 for value in values)
