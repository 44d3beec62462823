"""Find the data sets in a folder."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pixio_edge.errors import InputError
from pixio_edge.evaluation.index_folder import INDEX_NAME, IndexFolder, read_index
from pixio_edge.evaluation.samples import DepthDataset, DepthSample, LoadedDataset, preload

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DepthDataset", "DepthSample", "LoadedDataset", "open_datasets", "preload"]

_log = logging.getLogger(__name__)


def open_datasets(folder: Path) -> list[DepthDataset]:
    """Open one set, or every set in a folder of sets, sorted by name.

    Raises:
        InputError: The path does not exist or holds no set with ground truth.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected a data set or a folder of data sets. Fix: check --data")
    if (folder / INDEX_NAME).exists():
        return [IndexFolder(folder)]
    found: list[DepthDataset] = []
    for child in sorted(path.parent for path in folder.glob(f"*/{INDEX_NAME}")):
        if read_index(child / INDEX_NAME):
            found.append(IndexFolder(child))
        else:
            _log.info("%s has no row with depth: left out", child)
    if not found:
        raise InputError(
            f"{folder}: got no data set, expected {INDEX_NAME} in it or in its sub-folders. Fix: check --data"
        )
    return found
