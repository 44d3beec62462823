"""Training images named by a split list, as BTS (Lee et al. 2019) and those after it publish for NYUv2 and KITTI.

Each line is `rgb depth focal`, paths relative to one folder, with or without a slash in front; a depth of `None` is an
image without label and is left out. What the depth is stored as follows from its path:

- NYUv2: `<scene>/sync_depth_00045.png`, 16-bit PNG in millimetres, range 0.001..10 m, crop of Eigen et al.;
- KITTI: `<drive>_sync/proj_depth/groundtruth/image_02/0000000005.png`, 16-bit PNG / 256, range 0.001..80 m.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pixio_edge.errors import InputError
from pixio_edge.evaluation import kitti, nyu
from pixio_edge.evaluation.crops import NYU_SIZE, eigen_crop_nyu
from pixio_edge.evaluation.samples import DepthSample
from pixio_edge.evaluation.stored_depth import read_stored_depth
from pixio_edge.image import read_image


@dataclass(frozen=True, slots=True)
class StoredKind:
    """How one data set stores depth, and where below a folder its files may lie.

    Attributes:
        name: Of the data set.
        mark: Part of the path of every depth file.
        scale: Stored value over metres.
        minimum: Least depth that counts, in metres.
        maximum: Largest depth that counts, in metres.
        rgb_folders: Where images may lie, as archives unpack.
        depth_folders: Where depth may lie.
    """

    name: str
    mark: str
    scale: float
    minimum: float
    maximum: float
    rgb_folders: tuple[str, ...]
    depth_folders: tuple[str, ...]


_NYU_FOLDERS = (".", "sync", "train")
NYU = StoredKind("nyu_v2", "sync_depth_", 1000.0, nyu.MIN_DEPTH_M, nyu.MAX_DEPTH_M, _NYU_FOLDERS, _NYU_FOLDERS)
KITTI = StoredKind(
    "kitti",
    "proj_depth",
    kitti.PNG_SCALE,
    kitti.MIN_DEPTH_M,
    kitti.MAX_DEPTH_M,
    kitti.RAW_FOLDERS,
    (".", "train", "val", "data_depth_annotated", "data_depth_annotated/train", "data_depth_annotated/val", "gts"),
)


class SplitList:
    """The labelled images of a split list.

    Args:
        path: The list, read at once; images are read when they are asked for.
        root: Folder that its paths are relative to.

    Raises:
        InputError: The list is unreadable, has no labelled image or a bad line, or its first image is not there.
    """

    def __init__(self, path: Path, root: Path) -> None:
        self.path, self.root = path, root
        self.pairs = _read_list(path)
        depth = self.pairs[0][1]
        kind = next((each for each in (NYU, KITTI) if each.mark in depth), None)
        if kind is None:
            raise InputError(
                f"{path}: got depth '{depth}', expected …/{NYU.mark}….png (NYUv2) or …/{KITTI.mark}/… (KITTI). "
                "Fix: use an index.csv for other data"
            )
        self.kind = kind
        self.name = f"{kind.name}_{path.stem}"
        self._find(self.pairs[0][0], kind.rgb_folders)
        self._find(depth, kind.depth_folders)

    def __len__(self) -> int:
        """Return the number of labelled images."""
        return len(self.pairs)

    def read(self, index: int) -> DepthSample:
        """Read one sample by its position among the labelled images.

        Raises:
            InputError: A file is missing or unusable.
        """
        rgb_name, depth_name = self.pairs[index]
        rgb = read_image(self._find(rgb_name, self.kind.rgb_folders))
        depth = read_stored_depth(self._find(depth_name, self.kind.depth_folders), self.kind.scale)
        valid = (depth >= self.kind.minimum) & (depth <= self.kind.maximum)
        if self.kind is NYU and valid.shape == NYU_SIZE:
            valid &= eigen_crop_nyu()
        return DepthSample(rgb_name, rgb, depth, valid, "m")

    def _find(self, name: str, folders: tuple[str, ...]) -> Path:
        """The file of a name; KITTI's images are often stored as JPEG though lists say PNG."""
        for folder in folders:
            path = self.root / folder / name
            for candidate in (path, path.with_suffix(".jpg")):
                if candidate.is_file():
                    return candidate
        raise InputError(
            f"{self.path}: got '{name}', expected that file below {self.root}. Fix: name the folder, LIST.txt@FOLDER"
        )


def _read_list(path: Path) -> tuple[tuple[str, str], ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}), expected a split list. Fix: check the file") from error
    pairs = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        if len(words) not in (2, 3):
            raise InputError(
                f"{path} line {number}: got {len(words)} words, expected 'rgb depth focal'. Fix: check the file"
            )
        if words[1] != "None":
            pairs.append((words[0].lstrip("/"), words[1].lstrip("/")))
    if not pairs:
        raise InputError(f"{path}: got no labelled image, expected lines 'rgb depth focal'. Fix: check the file")
    return tuple(pairs)
