"""Images to calibrate with: found, sampled, hashed, and read again whenever they are needed."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.calibration.image_sources import VIDEO_SUFFIXES, Source, list_images
from pixio_edge.calibration.items import CalibrationItem, as_size, in_order, read_frames, read_items
from pixio_edge.calibration.sampling import describe_image, spread_order
from pixio_edge.errors import InputError
from pixio_edge.image_reading import decode, read_checked
from pixio_edge.sizes import Size, choose_size, size_label
from pixio_edge.video import VideoReader

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

# Candidates that are looked at for each image wanted. Looking costs a decoding at an eighth of the size, some
# milliseconds, so that a folder of a million images takes as long as one of a thousand.
CANDIDATES_PER_IMAGE = 4
# Shapes are compared at an eighth of the size, where rounding makes 640x480 and 641x480 alike.
SHAPE_DIGITS = 2
# Images that each size of a ladder sees at least. A photo is 4:3 or 3:2; without crops the 1:3 graph of nano was never
# run, and on its stored image the ranges of the others cut values off (26 dB instead of 38).
LEAST_PER_SIZE = 8


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """A sample of images, read from the disk each time, so that memory does not grow with their number.

    Make one with `open`. Images of equal shape follow each other, upright ones first, so that a graph of each size is
    needed but once; frames of a video are in the order of time.

    Attributes:
        source: Name of the folder or file that the images came from.
        skipped: Number of files that were left out because they could not be read.
    """

    source: str
    skipped: int
    _items: tuple[CalibrationItem, ...]

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self._items)

    @property
    def names(self) -> tuple[str, ...]:
        """Of each image its path relative to the source, or "clip.mp4#120" for a frame of a video."""
        return tuple(item.name for item in self._items)

    @property
    def sha256(self) -> str:
        """Digest of the images in order: over the SHA-256 of each file, or of the shape and pixels of each frame."""
        return hashlib.sha256("".join(item.digest for item in self._items).encode()).hexdigest()

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """Read the images in the order of `names`: uint8 (H, W, 3) RGB, new arrays.

        Raises:
            InputError: A file has vanished or changed for the worse since the set was opened.
        """
        return chain.from_iterable(
            read_items(list(alike), crop) for crop, alike in groupby(self._items, lambda item: item.crop)
        )

    @property
    def crops(self) -> int:
        """Number of those that `covering` cut out of others."""
        return sum(item.crop is not None for item in self._items)

    def covering(self, sizes: Iterable[Size]) -> CalibrationSet:
        """This set, with crops of its images for every size that is nearest in shape to too few of them.

        Args:
            sizes: The ladder, (height, width) each.

        Returns:
            The set with crops behind its images, so that each size sees `LEAST_PER_SIZE` of them as far as they last;
            itself where nothing is missing.
        """
        ladder = list(sizes)
        seen = [choose_size(ladder, as_size(item.shape)) for item in self._items]
        ranked = sorted(zip(self._items, seen, strict=True), key=lambda pair: pair[0].rank)
        rank = ranked[-1][0].rank
        crops: list[CalibrationItem] = []
        for size in ladder:
            others = [item for item, nearest in ranked if item.crop is None and nearest != size]
            for item in in_order(others[: max(0, LEAST_PER_SIZE - seen.count(size))]):
                rank += 1
                name, digest = f"{item.name}@{size_label(size)}", f"{item.digest}@{size_label(size)}"
                crops.append(replace(item, name=name, digest=digest, rank=rank, crop=size[1] / size[0]))
        return replace(self, _items=(*self._items, *crops)) if crops else self

    def subset(self, images: int) -> CalibrationSet:
        """The images that cover the set best, in the order of this set; all if there are no more.

        Args:
            images: Number wanted, at least 1.
        """
        _require_images(images)
        ranks = sorted(item.rank for item in self._items)[:images]
        return replace(self, _items=tuple(item for item in self._items if item.rank <= ranks[-1]))

    def split(self, held_back: int) -> tuple[CalibrationSet, CalibrationSet]:
        """Part with images, every so-many-th in the order of sampling, to check with what was not calibrated on.

        Args:
            held_back: Number of images to part with.

        Returns:
            The remaining images, and those held back.

        Raises:
            InputError: No image would be left on one side.
        """
        if not 0 < held_back < self.count:
            raise InputError(
                f"calibration images from {self.source}: got {self.count} images of which {held_back} are to be held "
                "back for checking, expected at least one on both sides. Fix: give more images"
            )
        ranks = sorted(item.rank for item in self._items)
        held = {ranks[(2 * index + 1) * self.count // (2 * held_back)] for index in range(held_back)}
        sides = ([item for item in self._items if (item.rank in held) is side] for side in (False, True))
        kept, parted = (replace(self, _items=tuple(items)) for items in sides)
        return kept, parted

    @classmethod
    def open(cls, source: Source, *, images: int = 128, seed: int = 0) -> CalibrationSet:
        """Choose images from a source; equal content, number and seed give an equal set.

        A source is a folder of images, a folder with `index.csv` (column `rgb` or `file`, relative paths), a folder of
        such folders, a file, a glob, a video, or a list of any of these but videos. Images that cannot be read are left
        out with a warning; copies of the same file count once.

        Of the files, a seeded draw of four for each image wanted, the same number from every folder as far as they
        last, is compared by colours, edges and shape on a small grid, and farthest-point sampling takes those that
        cover it best, the most typical first (`sampling`). Frames of a video are candidates at even distances, chosen
        in the same way.

        Args:
            source: Where the images are.
            images: Number wanted; fewer if there are not so many.
            seed: Of the draw.

        Raises:
            InputError: The source is missing or empty, no image in it can be read, or `images` is below 1.
        """
        _require_images(images)
        if isinstance(source, str | Path) and Path(source).suffix.lower() in VIDEO_SUFFIXES:
            return cls(Path(source).name, 0, _choose_frames(Path(source), images))
        candidates = _draw(list_images(source), CANDIDATES_PER_IMAGE * images, seed)
        found, problems = _look_at(candidates)
        if not found:
            error = problems[0]
            raise InputError(
                f"calibration images from {_name(source)}: none of {len(candidates)} can be read, the first because: "
                f"{error}"
            )
        order = spread_order(np.stack([item.description for item in found]), images)
        chosen = [found[index] for index in order]
        names = _relative_names([item.path for item in chosen], source)
        ranked = enumerate(zip(chosen, names, strict=True))
        items = {
            rank: CalibrationItem(name, item.digest, rank, item.path, item.width_to_height)
            for rank, (item, name) in ranked
        }
        by_shape = sorted(items, key=lambda rank: (chosen[rank].width_to_height, rank))
        return cls(_name(source), len(problems), tuple(items[rank] for rank in by_shape))


@dataclass(frozen=True, slots=True)
class _Candidate:
    path: Path
    digest: str
    description: NDArray[np.float32]
    width_to_height: float


def _draw(groups: Sequence[Sequence[Path]], limit: int, seed: int) -> list[Path]:
    """At most `limit` files: one of each group in turn, those of a group in seeded random order; then sorted again."""
    unique = [list(dict.fromkeys(group)) for group in groups]
    if sum(map(len, unique)) > limit:
        generator = np.random.default_rng(seed)
        shuffled = [[group[index] for index in generator.permutation(len(group))] for group in unique]
        rounds = [[group[turn] for group in shuffled if turn < len(group)] for turn in range(max(map(len, shuffled)))]
        drawn = [path for turn in rounds for path in turn][:limit]
    else:
        drawn = [path for group in unique for path in group]
    return sorted(dict.fromkeys(drawn))


def _look_at(paths: Sequence[Path]) -> tuple[list[_Candidate], list[str]]:
    """Describe the files that can be read, copies of a file once; and say why each of the others cannot."""
    import cv2  # noqa: PLC0415  (importing OpenCV takes longer than the rest of the package together)

    found: dict[str, _Candidate] = {}
    problems: list[str] = []
    for path in paths:
        try:
            data = read_checked(path)
            small = decode(data, path, cv2.IMREAD_REDUCED_COLOR_8)
        except InputError as error:
            logger.warning("left out of the calibration images: %s", error)
            problems.append(str(error))
            continue
        digest = hashlib.sha256(data).hexdigest()
        ratio = round(small.shape[1] / small.shape[0], SHAPE_DIGITS)
        found.setdefault(digest, _Candidate(path, digest, describe_image(small), ratio))
    return list(found.values()), problems


def _choose_frames(path: Path, images: int) -> tuple[CalibrationItem, ...]:
    indices, descriptions = _look_at_frames(path, CANDIDATES_PER_IMAGE * images)
    order = spread_order(np.stack(descriptions), images)
    ranks = {indices[position]: rank for rank, position in enumerate(order)}
    frames = sorted(ranks)
    found = []
    for index, frame in zip(frames, read_frames(path, frames), strict=True):
        digest = hashlib.sha256(f"{frame.shape}".encode() + frame.tobytes()).hexdigest()
        ratio = frame.shape[1] / frame.shape[0]
        found.append(CalibrationItem(f"{path.name}#{index}", digest, ranks[index], path, ratio, index))
    return tuple(found)


def _look_at_frames(path: Path, limit: int) -> tuple[list[int], list[NDArray[np.float32]]]:
    """Indices and descriptions of frames at an even distance: more than limit / 2 of them, at most `limit`.

    Containers announce a number of frames that may be wrong, so the distance is doubled whenever there are too many.
    """
    distance = 1
    indices: list[int] = []
    descriptions: list[NDArray[np.float32]] = []
    with VideoReader(path) as reader:
        for index, frame in enumerate(reader):
            if index % distance:
                continue
            if len(indices) == limit:
                indices, descriptions, distance = indices[::2], descriptions[::2], 2 * distance
            if index % distance == 0:
                indices.append(index)
                descriptions.append(describe_image(frame))
    return indices, descriptions


def _require_images(images: int) -> None:
    if images < 1:
        raise InputError(f"calibration images: got {images}, expected at least 1. Fix: ask for 128")


def _name(source: Source) -> str:
    if isinstance(source, str | Path):
        return Path(source).resolve().name
    return f"{len(source)} sources"


def _relative_names(paths: Sequence[Path], source: Source) -> tuple[str, ...]:
    root = Path(source) if isinstance(source, str | Path) and Path(source).is_dir() else _common_folder(paths)
    return tuple(path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix() for path in paths)


def _common_folder(paths: Sequence[Path]) -> Path:
    first = paths[0].parent
    return next(
        (folder for folder in (first, *first.parents) if all(path.is_relative_to(folder) for path in paths)), first
    )
