"""What can be trained on: labelled images by index, whatever they are stored as.

A source has labels as inverse depth, the one form in which sky has a value (0), and says which pixels have one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pixio_edge.errors import InputError
from pixio_edge.evaluation.crops import NYU_SIZE
from pixio_edge.evaluation.datasets import NYU_NAME
from pixio_edge.evaluation.index_folder import INDEX_NAME, IndexFolder, IndexRow
from pixio_edge.evaluation.kitti import KittiFolder, is_kitti
from pixio_edge.evaluation.nyu import NyuLabelled
from pixio_edge.evaluation.samples import DepthSample
from pixio_edge.training.pool import ScenePool
from pixio_edge.training.split_list import NYU, SplitList

# By which a pool is known.
POOL_RECORD = "pool.json"
# The crop of Eigen et al., see `eigen_crop_nyu`.
NYU_WINDOW = (slice(45, 471), slice(41, 601))
# Of a source without a part of its own to measure on: the last tenth, in the order of the source.
HELD_BACK_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image with what is known of its depth.

    Attributes:
        rgb: uint8 (H, W, 3).
        inverse: Inverse depth float32 or float16 (H, W), 1/m where the source is metric; 0 for sky. Finite, and
            anything where there is no label.
        valid: bool (H, W), pixels that have a label; None: all.
    """

    rgb: NDArray[np.uint8]
    inverse: NDArray[np.float32] | NDArray[np.float16]
    valid: NDArray[np.bool_] | None = None


class DepthSource(Protocol):
    """Labelled images to train on, read by index, from several threads at once."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        ...

    def refresh(self) -> int:
        """The number of images by now; only a pool that is still being rendered grows."""
        ...

    def read(self, index: int) -> LabelledImage:
        """Read one image.

        Raises:
            InputError: A file is missing or unusable.
        """
        ...

    def is_metric(self) -> bool:
        """Whether every label is in 1/m; False: of some images only up to scale and shift."""
        ...


class SampleReader(Protocol):
    """A data set of `pixio_edge.evaluation` that can be read at any position."""

    @property
    def name(self) -> str:
        """Short name."""
        ...

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def read(self, index: int, /) -> DepthSample:
        """Read one sample."""
        ...


class SceneSource:
    """Rendered scenes; every pixel has a label.

    Args:
        folder: Pool of `render_pool`.

    Raises:
        InputError: The folder has no finished shard.
    """

    def __init__(self, folder: Path) -> None:
        self.pool = ScenePool(folder)
        self.name = str(folder)
        # To look for new shards, a pool closes its last one for a moment.
        self._lock = Lock()

    def refresh(self) -> int:
        """The number of images rendered so far."""
        with self._lock:
            return self.pool.refresh()

    def read(self, index: int) -> LabelledImage:
        """Read one image."""
        with self._lock:
            rgb, inverse = self.pool.read(index)
        return LabelledImage(rgb, inverse)

    def is_metric(self) -> bool:
        """Yes."""
        return True


class SampleSource:
    """A data set of true depth, in the form in which evaluation reads it.

    Args:
        samples: The data set.
        name: What it is called in messages.
        metric: Whether all its labels are metres.
        is_nyu: Cut off the white border that undistortion puts around NYUv2's images, and no photo has.
    """

    def __init__(self, samples: SampleReader, name: str, *, metric: bool = True, is_nyu: bool = False) -> None:
        self.samples, self.name, self._metric, self._is_nyu = samples, name, metric, is_nyu

    def refresh(self) -> int:
        """The number of images."""
        return len(self.samples)

    def read(self, index: int) -> LabelledImage:
        """Read one image."""
        sample = self.samples.read(index)
        valid = sample.valid & (sample.depth_gt > 0) & np.isfinite(sample.depth_gt)
        depth: NDArray[np.float32] = np.where(valid, sample.depth_gt, np.float32(1.0)).astype(np.float32, copy=False)
        inverse: NDArray[np.float32] = np.reciprocal(depth)
        window = NYU_WINDOW if self._is_nyu and valid.shape == NYU_SIZE else (slice(None), slice(None))
        return LabelledImage(sample.rgb[window], inverse[window], valid[window])

    def is_metric(self) -> bool:
        """Whether all labels are metres."""
        return self._metric


@dataclass(frozen=True, slots=True)
class PartOfSource:
    """Some images of a source, in a row.

    Attributes:
        source: The whole, which does not grow.
        indices: Which of it.
    """

    source: DepthSource
    indices: range

    @property
    def name(self) -> str:
        """That of the whole."""
        return self.source.name

    def refresh(self) -> int:
        """The number of images."""
        return len(self.indices)

    def read(self, index: int) -> LabelledImage:
        """Read one image."""
        return self.source.read(self.indices[index])

    def is_metric(self) -> bool:
        """As the whole."""
        return self.source.is_metric()


def open_source(text: str) -> DepthSource:
    """Open what a user names.

    Args:
        text: A pool of rendered scenes, a folder with `index.csv`, NYUv2's labelled .mat or its folder (the training
            split, if `splits.mat` is beside it), a KITTI folder with annotated depth, or a split list of BTS, alone or
            as LIST.txt@FOLDER where its images lie elsewhere.

    Raises:
        InputError: There is nothing that is known, or it is damaged.
        MissingDependencyError: NYUv2's .mat needs the extra `nyu`.
    """
    listed, _, root = text.partition("@") if ".txt" in text else (text, "", "")
    path = Path(listed)
    if path.suffix == ".txt" and path.is_file():
        split = SplitList(path, Path(root) if root else path.parent)
        return SampleSource(split, text, is_nyu=split.kind is NYU)
    if (path / POOL_RECORD).is_file():
        return SceneSource(path)
    if (path / INDEX_NAME).is_file():
        folder = IndexFolder(path)
        return SampleSource(folder, text, metric=all(_is_metric(row) for row in folder.rows))
    labelled = path / NYU_NAME if path.is_dir() else path
    if labelled.suffix == ".mat" and labelled.is_file():
        return SampleSource(NyuLabelled(labelled, split="train"), text, is_nyu=True)
    if path.is_dir() and is_kitti(path):
        return SampleSource(KittiFolder(path), text)
    raise InputError(
        f"data '{text}': got nothing that is known there, expected a folder with {INDEX_NAME}, {NYU_NAME}, a KITTI "
        "folder, a pool of scenes, or LIST.txt@FOLDER. Fix: check the path"
    )


def _is_metric(row: IndexRow) -> bool:
    """Disparity is metric where the camera is known; `IndexFolder` decides by the same three columns."""
    return row.kind == "depth" or None not in (row.fx, row.baseline_m, row.doffs_px)


def hold_back(source: DepthSource) -> tuple[DepthSource, DepthSource]:
    """Split a source into what is trained on and what is measured on, the last tenth.

    In a row and not at random: neighbours in a list are often neighbours in a video.

    Raises:
        InputError: There are fewer than two images.
    """
    count = source.refresh()
    if count < 2:
        raise InputError(
            f"data '{source.name}': got {count} images, expected at least 2, of which one is held back to measure on. "
            "Fix: add images, or name what to measure on"
        )
    kept = count - max(1, round(count * HELD_BACK_SHARE))
    return PartOfSource(source, range(kept)), PartOfSource(source, range(kept, count))
