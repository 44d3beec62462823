"""Plain images by index: files in folders, and parts of WebDataset shards (tar files)."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pixio_edge.errors import InputError
from pixio_edge.image_reading import IMAGE_SUFFIXES, RESULT_SUFFIXES, check_encoded, decode, find_images, read_checked
from pixio_edge.training.sources import HELD_BACK_SHARE

SHARD_SUFFIX = ".tar"


@dataclass(frozen=True, slots=True)
class Photo:
    """One image.

    Attributes:
        sha256: Of its file.
        rgb: uint8 (H, W, 3).
    """

    sha256: str
    rgb: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image is: a file, or a part of a shard.

    Attributes:
        path: The file or the shard.
        member: Name inside a shard; None for a file of its own.
        offset: First byte in the shard.
        size: Bytes in the shard.
    """

    path: Path
    member: str | None = None
    offset: int = 0
    size: int = 0


class Photos:
    """Images by index, read from several threads at once.

    Args:
        places: Where they are.
        name: What they are called in messages.
    """

    def __init__(self, places: Sequence[Place], name: str) -> None:
        self._places, self.name = tuple(places), name

    def __len__(self) -> int:
        return len(self._places)

    def read(self, index: int) -> Photo:
        """Read and decode one image.

        Raises:
            InputError: The file is missing, damaged, or no image.
        """
        place = self._places[index]
        if place.member is None:
            data, name = read_checked(place.path), place.path
        else:
            data, name = _read_part(place), place.path / place.member
            check_encoded(data, name)
        return Photo(hashlib.sha256(data).hexdigest(), decode(data, name, cv2.IMREAD_COLOR_RGB))

    def sha256_of(self, index: int) -> str:
        """SHA-256 of the file of an image, without decoding it.

        Raises:
            InputError: The file is missing, damaged, or no image.
        """
        place = self._places[index]
        data = read_checked(place.path) if place.member is None else _read_part(place)
        return hashlib.sha256(data).hexdigest()

    def hold_back(self) -> tuple[Photos, Photos]:
        """What is trained on, and what is measured on: the last tenth, at least one.

        Raises:
            InputError: There are fewer than two images.
        """
        if len(self) < 2:
            raise InputError(
                f"images '{self.name}': got {len(self)}, expected at least 2, of which one is held back to measure on. "
                "Fix: add images"
            )
        kept = len(self) - max(1, round(len(self) * HELD_BACK_SHARE))
        return Photos(self._places[:kept], self.name), Photos(self._places[kept:], self.name)


def open_photos(sources: Sequence[str]) -> Photos:
    """Find images; shards are gone through once, from header to header.

    Args:
        sources: Folders, with all folders and shards in them; shards; files; globs.

    Raises:
        InputError: There is no image, or a shard is damaged or compressed.
    """
    places = [place for source in sources for place in _places_of(Path(source))]
    if not places:
        raise InputError(f"images: got none in {', '.join(sources) or 'nothing'}, expected some. Fix: check the path")
    return Photos(places, ", ".join(sources))


def _places_of(path: Path) -> Iterator[Place]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if _is_photo(file.name) and file.is_file():
                yield Place(file)
            elif file.suffix == SHARD_SUFFIX and file.is_file():
                yield from _parts_of(file)
    elif path.suffix == SHARD_SUFFIX:
        yield from _parts_of(path)
    else:
        for file in find_images([str(path)]):
            yield from _parts_of(file) if file.suffix == SHARD_SUFFIX else [Place(file)]


def _is_photo(name: str) -> bool:
    name = name.rpartition("/")[2].lower()
    return Path(name).suffix in IMAGE_SUFFIXES and not name.startswith(".") and not name.endswith(RESULT_SUFFIXES)


def _parts_of(shard: Path) -> Iterator[Place]:
    """Images in a shard, in its order; nothing of it is ever unpacked."""
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                if member.isreg() and not member.issparse() and _is_photo(member.name):
                    yield Place(shard, member.name, member.offset_data, member.size)
    except (OSError, tarfile.TarError) as error:
        raise InputError(
            f"shard {shard}: cannot be read ({error}), expected an uncompressed tar file. Fix: unpack or copy it again"
        ) from error


def _read_part(place: Place) -> bytes:
    try:
        with place.path.open("rb") as file:
            file.seek(place.offset)
            return file.read(place.size)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"shard {place.path}: cannot be read ({reason}). Fix: copy it again") from error
