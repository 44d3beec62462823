"""Find the data sets in a folder."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pixio_edge.errors import InputError
from pixio_edge.evaluation.index_folder import INDEX_NAME, IndexFolder, read_index
from pixio_edge.evaluation.kitti import KittiCrop, KittiFolder, is_kitti
from pixio_edge.evaluation.nyu import NyuLabelled
from pixio_edge.evaluation.samples import DepthDataset, DepthSample, LoadedDataset, preload

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DepthDataset", "DepthSample", "LoadedDataset", "open_datasets", "preload"]

NYU_NAME = "nyu_depth_v2_labeled.mat"

_log = logging.getLogger(__name__)


def open_datasets(path: Path, *, kitti_crop: KittiCrop = "none") -> list[DepthDataset]:
    """Open one set, or every set in a folder of sets, sorted by the name of its folder.

    A set is a folder with `index.csv`, NYUv2's labelled .mat file (or the folder that holds it), or a KITTI folder with
    annotated depth. In a folder of sets, those without any ground truth are left out.

    Args:
        path: The set, or the folder of sets.
        kitti_crop: "garg" scores KITTI inside the crop of Garg et al. only; other sets are not affected.

    Raises:
        InputError: The path does not exist, holds no set with ground truth, or a set is damaged.
        MissingDependencyError: An NYUv2 file needs the extra `nyu`.
    """
    if path.suffix == ".mat" and path.is_file():
        return [NyuLabelled(path)]
    if not path.is_dir():
        raise InputError(f"{path}: no such folder, expected a data set or a folder of data sets. Fix: check the path")
    if (path / INDEX_NAME).exists():
        return [IndexFolder(path)]
    if (path / NYU_NAME).exists():
        return [NyuLabelled(path / NYU_NAME)]
    children = sorted(child for child in path.iterdir() if child.is_dir())
    is_folder_of_sets = any((child / name).exists() for child in children for name in (INDEX_NAME, NYU_NAME))
    if not is_folder_of_sets and is_kitti(path):
        return [KittiFolder(path, crop=kitti_crop)]
    found = [dataset for child in children if (dataset := _open_child(child, kitti_crop)) is not None]
    if not found:
        raise InputError(
            f"{path}: got no data set with depth, expected {INDEX_NAME}, {NYU_NAME} or KITTI's folders in it or one "
            "level below. Fix: check the path"
        )
    return found


def _open_child(folder: Path, kitti_crop: KittiCrop) -> DepthDataset | None:
    if (folder / INDEX_NAME).exists():
        if read_index(folder / INDEX_NAME):
            return IndexFolder(folder)
        _log.info("%s: no row has depth, left out", folder)
        return None
    if (folder / NYU_NAME).exists():
        return NyuLabelled(folder / NYU_NAME)
    return KittiFolder(folder, crop=kitti_crop) if is_kitti(folder) else None
