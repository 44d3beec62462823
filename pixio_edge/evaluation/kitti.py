"""KITTI with the annotated depth of its depth benchmark (16-bit PNG, value / 256 = metres, 0 = no depth).

Two layouts are known, as the official archives unpack:

- `[depth_selection/]val_selection_cropped/{image,groundtruth_depth,intrinsics}/`, 1000 crops of 352 x 1216;
- `**/<drive>/proj_depth/groundtruth/image_0{2,3}/<frame>.png` with the raw images at `<drive>/image_0{2,3}/data/`
  beside `proj_depth`, or at `[raw/]<date>/<drive>/image_0{2,3}/data/` below the folder. PNG or JPEG.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pixio_edge.errors import InputError
from pixio_edge.evaluation.crops import garg_crop
from pixio_edge.evaluation.samples import DepthSample
from pixio_edge.evaluation.stored_depth import read_stored_depth
from pixio_edge.image import read_image
from pixio_edge.point_cloud import Intrinsics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KittiCrop = Literal["none", "garg"]

PNG_SCALE = 256.0
MIN_DEPTH_M, MAX_DEPTH_M = 1e-3, 80.0
"""Range that counts, as in the published protocols."""

RAW_FOLDERS = (".", "raw", "kitti_raw", "raw_data")
DATE_LENGTH = len("2011_09_26")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KittiPair:
    """The files of one frame."""

    name: str
    rgb: Path
    depth: Path
    intrinsics: Path | None


class KittiFolder:
    """All annotated frames of a folder whose image is there too.

    Args:
        folder: Holds one of the layouts of this module; searched at once, images are read while iterating.
        crop: "garg" keeps only the crop of Garg et al.; "none" keeps every annotated pixel.

    Raises:
        InputError: The folder has no annotated frame with an image.
    """

    def __init__(self, folder: Path, *, crop: KittiCrop = "none") -> None:
        self.folder = folder
        self.crop = crop
        self.name = "kitti" if crop == "none" else f"kitti_{crop}"
        self.note = f"KITTI annotated depth, crop {crop}, {MIN_DEPTH_M}-{MAX_DEPTH_M} m"
        self.pairs = tuple(find_pairs(folder))
        if not self.pairs:
            raise InputError(
                f"{folder}: got no annotated depth with its image, expected val_selection_cropped/ or "
                "<drive>/proj_depth/groundtruth/. Fix: unpack data_depth_selection.zip there"
            )

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.pairs)

    def __iter__(self) -> Iterator[DepthSample]:
        """Read the samples, sorted by path."""
        for index in range(len(self)):
            yield self.read(index)

    def read(self, index: int) -> DepthSample:
        """Read one sample by its position.

        Raises:
            InputError: A file is missing or unusable.
        """
        pair = self.pairs[index]
        rgb = read_image(pair.rgb)
        depth = read_stored_depth(pair.depth, PNG_SCALE)
        valid = (depth >= MIN_DEPTH_M) & (depth <= MAX_DEPTH_M)
        if self.crop == "garg":
            valid &= garg_crop((depth.shape[0], depth.shape[1]))
        intrinsics = _read_intrinsics(pair.intrinsics) if pair.intrinsics is not None else None
        return DepthSample(pair.name, rgb, depth, valid, "m", intrinsics)


def is_kitti(folder: Path) -> bool:
    """Say whether a folder looks like one of the layouts, without listing it all."""
    return _selection_folder(folder) is not None or next(_annotated(folder), None) is not None


def find_pairs(folder: Path) -> list[KittiPair]:
    """List the frames of a folder, sorted by path; drives without images are left out with a warning."""
    selection = _selection_folder(folder)
    if selection is not None:
        return _selection_pairs(selection)
    pairs: list[KittiPair] = []
    missing: set[str] = set()
    for depth in sorted(_annotated(folder)):
        camera, drive = depth.parent.name, depth.parents[3]
        images = _image_folder(folder, drive, camera)
        if images is None:
            missing.add(drive.name)
        else:
            name = f"{drive.name}/{camera}/{depth.stem}"
            pairs.append(KittiPair(name, _with_image_suffix(images / depth.stem), depth, None))
    if missing:
        _log.warning("%s: no images for %d drives, left out: %s", folder, len(missing), ", ".join(sorted(missing)))
    return pairs


def _selection_folder(folder: Path) -> Path | None:
    candidates = (folder, folder / "val_selection_cropped", folder / "depth_selection" / "val_selection_cropped")
    return next((path for path in candidates if (path / "groundtruth_depth").is_dir()), None)


def _selection_pairs(folder: Path) -> list[KittiPair]:
    pairs = []
    for depth in sorted((folder / "groundtruth_depth").glob("*.png")):
        stem = depth.stem.replace("_groundtruth_depth_", "_image_")
        intrinsics = folder / "intrinsics" / f"{stem}.txt"
        found = intrinsics if intrinsics.is_file() else None
        pairs.append(KittiPair(stem, _with_image_suffix(folder / "image" / stem), depth, found))
    return pairs


def _annotated(folder: Path) -> Iterator[Path]:
    for parents in ("", "*/", "*/*/", "*/*/*/"):
        yield from folder.glob(f"{parents}*_sync/proj_depth/groundtruth/image_0[23]/*.png")


def _image_folder(folder: Path, drive: Path, camera: str) -> Path | None:
    date = drive.name[:DATE_LENGTH]
    candidates = [drive, *(folder / raw / date / drive.name for raw in RAW_FOLDERS)]
    return next((path / camera / "data" for path in candidates if (path / camera / "data").is_dir()), None)


def _with_image_suffix(stem: Path) -> Path:
    jpeg = stem.with_name(f"{stem.name}.jpg")
    return jpeg if jpeg.is_file() else stem.with_name(f"{stem.name}.png")


def _read_intrinsics(path: Path) -> Intrinsics:
    """Parse nine numbers, the 3 x 3 camera matrix by rows."""
    try:
        values = [float(word) for word in path.read_text(encoding="utf-8").split()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}), expected 9 numbers. Fix: unpack it again") from error
    if len(values) != 9:
        raise InputError(f"{path}: got {len(values)} numbers, expected 9 (3 x 3 by rows). Fix: unpack it again")
    return Intrinsics(fx=values[0], fy=values[4], cx=values[2], cy=values[5])
