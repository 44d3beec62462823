"""What a user may name as calibration images, expanded to files."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from pixio_edge.errors import InputError
from pixio_edge.image import find_images
from pixio_edge.image_reading import IMAGE_SUFFIXES

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".wmv"})
"""A file of such a name is read as a video."""

INDEX_NAME = "index.csv"
INDEX_COLUMNS = ("rgb", "file")

Source = str | Path | Sequence[str | Path]


def list_images(source: Source) -> list[list[Path]]:
    """Files of each folder that a source names; the files need not be readable, nor those of an index exist.

    A folder of folders gives those with `index.csv`; only if none has one, those with images.

    Args:
        source: A file, folder or glob, or several of them.

    Raises:
        InputError: Something is missing, empty, or an index that cannot be read.
    """
    if isinstance(source, str | Path):
        return _expand(source)
    groups = [group for item in source for group in _expand(item)]
    if not groups:
        raise InputError("calibration images: got an empty list, expected at least one. Fix: name images or a folder")
    return groups


def _expand(source: str | Path) -> list[list[Path]]:
    path = Path(source)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        raise InputError(f"{path}: is a video among other sources, expected images. Fix: give the video alone")
    if not path.is_dir():
        return [find_images([str(source)])]
    if (path / INDEX_NAME).is_file():
        return [_read_index(path / INDEX_NAME)]
    if _has_images(path):
        return [find_images([str(path)])]
    children = sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))
    indexed = [child for child in children if (child / INDEX_NAME).is_file()]
    if indexed:
        return [_read_index(child / INDEX_NAME) for child in indexed]
    filled = [child for child in children if _has_images(child)]
    if not filled:
        raise InputError(
            f"{path}: got no image, expected images or {INDEX_NAME} in it or one level below. "
            "Fix: name another folder, or a glob"
        )
    return [find_images([str(child)]) for child in filled]


def _has_images(folder: Path) -> bool:
    return any(child.suffix.lower() in IMAGE_SUFFIXES and child.is_file() for child in folder.iterdir())


def _read_index(path: Path) -> list[Path]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = reader.fieldnames or ()
            column = next((name for name in INDEX_COLUMNS if name in names), None)
            if column is None:
                raise InputError(
                    f"{path}: got columns {', '.join(names) or 'none'}, expected {' or '.join(INDEX_COLUMNS)}. "
                    "Fix: add one with the paths of the images"
                )
            entries = [(row[column] or "").strip() for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}), expected UTF-8 CSV. Fix: check the file") from error
    images = [path.parent / entry for entry in entries if entry]
    if not images:
        raise InputError(f"{path}: got no row with an image, expected at least 1. Fix: list images in it")
    return list(dict.fromkeys(images))
