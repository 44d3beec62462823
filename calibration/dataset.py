"""Images to calibrate with: found, sampled, hashed, and read again whenever they are needed."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pixio_edge.calibration.image_sources import VIDEO_SUFFIXES, list_images
from pixio_edge.calibration.sampling import describe_image, spread_order
from pixio_edge.errors import InputError
from pixio_edge.image import read_image
from pixio_edge.image_reading import decode, read_checked
from pixio_edge.video import VideoReader

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

# Candidates that are looked at for each image wanted. Looking costs a decoding at an eighth of the size, some
# milliseconds, so that a folder of a million images takes as long as one of a thousand.
CANDIDATES_PER_IMAGE = 4


class _Reader(Protocol):
    def read(self) -> Iterator[NDArray[np.uint8]]:
        """The chosen images in order."""

    def take(self, positions: Sequence[int]) -> _Reader:
        """Only the images at these places of the order, ascending."""


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """A sample of images, read from the disk each time, so that memory does not grow with their number.

    Make one with `open`.

    Attributes:
        source: Name of the folder or file that the images came from.
        names: Of each image: its path relative to the source, or "clip.mp4#120" for a frame of a video.
        sha256: Digest of the images in order: of each file its SHA-256, of each frame that of its pixels and size.
        skipped: Number of files that were left out because they could not be read.
    """

    source: str
    names: tuple[str, ...]
    sha256: str
    skipped: int
    _reader: _Reader

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.names)

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """Read the images in the order of `names`: uint8 (H, W, 3) RGB, new arrays.

        Raises:
            InputError: A file has vanished or changed for the worse since the set was opened.
        """
        return self._reader.read()

    def split(self, held_back: int) -> tuple[CalibrationSet, CalibrationSet]:
        """Part with images at even distances, to check with what was not calibrated on.

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
        held = sorted({(2 * index + 1) * self.count // (2 * held_back) for index in range(held_back)})
        return self._take([index for index in range(self.count) if index not in held]), self._take(held)

    def _take(self, positions: Sequence[int]) -> CalibrationSet:
        names = tuple(self.names[position] for position in positions)
        digest = hashlib.sha256(f"{self.sha256}{list(positions)}".encode()).hexdigest()
        return CalibrationSet(self.source, names, digest, self.skipped, self._reader.take(positions))

    @classmethod
    def open(cls, source: str | Path | Sequence[str | Path], *, images: int = 128, seed: int = 0) -> CalibrationSet:
        """Choose images from a source; equal content, number and seed give an equal set.

        A source is a folder of images, a folder with `index.csv` (column `rgb` or `file`, relative paths), a folder of
        such folders, a file, a glob, a video, or a list of any of these but videos. Images that cannot be read are left
        out with a warning; copies of the same file count once.

        Of the files, a seeded draw of four for each image wanted, the same number from every folder as far as they
        last, is compared by colours, edges and shape on a small grid, and farthest-point sampling takes those that
        cover it best (`sampling`), the most typical first; any prefix is a good sample too. Frames of a video are
        candidates at even distances, chosen in the same way, and kept in the order of time.

        Args:
            source: Where the images are.
            images: Number wanted; fewer if there are not so many.
            seed: Of the draw.

        Raises:
            InputError: The source is missing or empty, no image in it can be read, or `images` is below 1.
        """
        if images < 1:
            raise InputError(f"calibration images: got {images}, expected at least 1. Fix: ask for 128")
        if isinstance(source, str | Path) and Path(source).suffix.lower() in VIDEO_SUFFIXES:
            return _open_video(Path(source), images)
        candidates = _draw(list_images(source), CANDIDATES_PER_IMAGE * images, seed)
        found, first_problem = _look_at(candidates)
        if not found:
            raise InputError(
                f"calibration images from {_name(source)}: none of {len(candidates)} can be read, the first because: "
                f"{first_problem}"
            )
        order = spread_order(np.stack([item.description for item in found]), images)
        chosen = [found[index] for index in order]
        digest = hashlib.sha256("".join(item.digest for item in chosen).encode()).hexdigest()
        paths = tuple(item.path for item in chosen)
        return cls(
            _name(source), _relative_names(paths, source), digest, len(candidates) - len(found), _FileReader(paths)
        )


@dataclass(frozen=True, slots=True)
class _Candidate:
    path: Path
    digest: str
    description: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _FileReader:
    paths: tuple[Path, ...]

    def read(self) -> Iterator[NDArray[np.uint8]]:
        return map(read_image, self.paths)

    def take(self, positions: Sequence[int]) -> _FileReader:
        return _FileReader(tuple(self.paths[position] for position in positions))


@dataclass(frozen=True, slots=True)
class _VideoReader:
    path: Path
    frames: frozenset[int]

    def read(self) -> Iterator[NDArray[np.uint8]]:
        last = max(self.frames)
        with VideoReader(self.path) as reader:
            for index, frame in enumerate(reader):
                if index in self.frames:
                    yield frame
                if index == last:
                    return

    def take(self, positions: Sequence[int]) -> _VideoReader:
        frames = sorted(self.frames)
        return _VideoReader(self.path, frozenset(frames[position] for position in positions))


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


def _look_at(paths: Sequence[Path]) -> tuple[list[_Candidate], str]:
    """Describe the files that can be read, copies of a file once; and say why the first of the others cannot."""
    import cv2  # noqa: PLC0415  (importing OpenCV takes longer than the rest of the package together)

    found: dict[str, _Candidate] = {}
    problem = ""
    for path in paths:
        try:
            data = read_checked(path)
            small = decode(data, path, cv2.IMREAD_REDUCED_COLOR_8)
        except InputError as error:
            logger.warning("left out of the calibration images: %s", error)
            problem = problem or str(error)
            continue
        digest = hashlib.sha256(data).hexdigest()
        found.setdefault(digest, _Candidate(path, digest, describe_image(small)))
    return list(found.values()), problem


def _open_video(path: Path, images: int) -> CalibrationSet:
    indices, descriptions = _look_at_frames(path, CANDIDATES_PER_IMAGE * images)
    chosen = frozenset(indices[position] for position in spread_order(np.stack(descriptions), images))
    reader = _VideoReader(path, chosen)
    digest = hashlib.sha256()
    for frame in reader.read():
        digest.update(f"{frame.shape}".encode() + frame.tobytes())
    names = tuple(f"{path.name}#{index}" for index in sorted(chosen))
    return CalibrationSet(path.name, names, digest.hexdigest(), 0, reader)


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


def _name(source: str | Path | Sequence[str | Path]) -> str:
    if isinstance(source, str | Path):
        return Path(source).resolve().name
    return f"{len(source)} sources"


def _relative_names(paths: Sequence[Path], source: str | Path | Sequence[str | Path]) -> tuple[str, ...]:
    root = Path(source) if isinstance(source, str | Path) and Path(source).is_dir() else _common_folder(paths)
    return tuple(path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix() for path in paths)


def _common_folder(paths: Sequence[Path]) -> Path:
    first = paths[0].parent
    return next(
        (folder for folder in (first, *first.parents) if all(path.is_relative_to(folder) for path in paths)), first
    )
