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
        InputError: The folder is missing or empty, or an index cannot be read, lacks a column or cell, or names a file
            outside its folder.
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
    try:
        with index.open(newline="", encoding="utf-8-sig") as stream:  # spreadsheets begin UTF-8 with a mark
            rows = csv.DictReader(stream, restval="")
            missing = {"file", "tag"} - set(rows.fieldnames or ())
            if missing:
                raise InputError(
                    f"textures '{index}': got no column {', '.join(sorted(missing))}, expected file and tag. "
                    "Fix: add it, or delete the index"
                )
            return [_read_row(index, rows.line_num, row) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"textures '{index}': cannot be read ({reason}), expected a CSV file in UTF-8. "
            "Fix: save it as such, or delete it"
        ) from error


def _read_row(index: Path, line: int, row: dict[str, str]) -> TextureImage:
    if not row["file"] or not row["tag"]:
        raise InputError(
            f"textures '{index}', line {line}: got file '{row['file']}' and tag '{row['tag']}', expected both. "
            f"Fix: fill them in ('{UNKNOWN_TAG}' is a tag), or delete the line"
        )
    return TextureImage(
        _inside(index, row["file"]),
        index.parent.name,
        row["tag"],
        licence=row.get("licence", ""),
        licence_evidence=row.get("licence_evidence", ""),
        source=row.get("source", ""),
        author=row.get("author", ""),
    )


def _inside(index: Path, file: str) -> PurePosixPath:
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"textures '{index}': got file '{file}', expected a path inside its folder. Fix: correct it")
    return PurePosixPath(index.parent.name) / path
