"""A folder of texture images: which there are, what each is of, and under which terms.

Each subfolder may have an `index.csv` with the columns `file` and `tag`, and for the attribution `licence`,
`licence_evidence`, `source` and `author`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pixio_edge.errors import InputError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
# What an image is of when nothing says so.
UNKNOWN_TAG = "other"


@dataclass(frozen=True, slots=True)
class TextureImage:
    """One image of a folder.

    Attributes:
        file: Path below the folder.
        group: Name of the subfolder: "surfaces", "photos", "backdrops".
        tag: What it is of.
        licence: Name of its licence; like the fields below, empty where the index does not say.
        licence_evidence: Where the licence is stated.
        source: Where the image comes from.
        author: Who made it.
    """

    file: PurePosixPath
    group: str
    tag: str
    licence: str = ""
    licence_evidence: str = ""
    source: str = ""
    author: str = ""


def list_textures(folder: Path) -> list[TextureImage]:
    """All images of a folder in a fixed order; with an `index.csv` in any subfolder, those that indexes name.

    Raises:
        InputError: The folder is missing or empty, or an index lacks a column or names a file outside its folder.
    """
    if not folder.is_dir():
        raise InputError(f"textures '{folder}': got no such folder, expected a folder of images. Fix: check the path")
    indexes = sorted(folder.glob("*/index.csv"))
    found = [image for index in indexes for image in _read_index(index)]
    if not indexes:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        found = [
            TextureImage(PurePosixPath(path.relative_to(folder).as_posix()), folder.name, UNKNOWN_TAG) for path in paths
        ]
    if not found:
        raise InputError(f"textures '{folder}': got no image, expected JPEG, PNG or WebP files. Fix: check the path")
    return found


def _read_index(index: Path) -> list[TextureImage]:
    group = index.parent.name
    with index.open(newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        missing = {"file", "tag"} - set(rows.fieldnames or ())
        if missing:
            raise InputError(
                f"textures '{index}': got no column {', '.join(sorted(missing))}, expected file and tag. "
                "Fix: add it, or delete the index"
            )
        return [
            TextureImage(
                _inside(index, row["file"]),
                group,
                row["tag"],
                licence=row.get("licence") or "",
                licence_evidence=row.get("licence_evidence") or "",
                source=row.get("source") or "",
                author=row.get("author") or "",
            )
            for row in rows
        ]


def _inside(index: Path, file: str) -> PurePosixPath:
    path = PurePosixPath(file)
    if not file or path.is_absolute() or ".." in path.parts:
        raise InputError(f"textures '{index}': got file '{file}', expected a path inside its folder. Fix: correct it")
    return PurePosixPath(index.parent.name) / path
