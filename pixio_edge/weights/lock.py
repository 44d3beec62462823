"""The pin of a downloaded file, beside it: where it came from, what it is, and under which terms.

The first pull writes what the hub announced, before the first byte; every later one has to find the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from pixio_edge.errors import InputError
from pixio_edge.files import write_text_atomic
from pixio_edge.manifest import LicenceEntry
from pixio_edge.manifest_base import Record, Sha256

SUFFIX = ".lock.json"


class Lock(Record):
    """One pinned file.

    Attributes:
        schema_version: Version of this record.
        name: Name in the catalogue.
        repository: Owner and name on the hub.
        file: Name of the file there.
        commit: Commit it was taken from.
        sha256: Its content.
        bytes: Its length.
        licence: Its terms, accepted by whoever pulled it.
        tool: Name and version of what wrote this.
    """

    schema_version: Literal[1] = 1
    name: str
    repository: str
    file: str
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    sha256: Sha256
    bytes: Annotated[int, Field(gt=0)]
    licence: LicenceEntry
    tool: str


def lock_path(weights: Path) -> Path:
    """Where the pin of a weights file is."""
    return weights.parent / f"{weights.name}{SUFFIX}"


def read_lock(weights: Path) -> Lock | None:
    """Read the pin of a weights file; None if it has none.

    Raises:
        InputError: It cannot be read or is not such a record.
    """
    path = lock_path(weights)
    try:
        return Lock.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
        raise InputError(f"{path}: not a record of a pull ({reason}). Fix: remove it and pull again") from error


def write_lock(weights: Path, lock: Lock) -> None:
    """Write the pin of a weights file.

    Raises:
        OutputError: The folder cannot be written.
    """
    text = json.dumps(lock.model_dump(mode="json"), indent=2, ensure_ascii=False)
    write_text_atomic(lock_path(weights), text + "\n")
