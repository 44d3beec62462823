"""The record beside trained weights of the terms that they have from the weights they were made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from pixio_edge.errors import InputError
from pixio_edge.files import write_text_atomic
from pixio_edge.manifest import LicenceEntry
from pixio_edge.manifest_base import Record

SUFFIX = ".terms.json"


class InheritedTerms(Record):
    """Terms of weights that were made from other weights.

    Attributes:
        schema_version: Version of this record.
        licence: The terms.
        sources: What they were made from: a teacher, an encoder.
    """

    schema_version: Literal[1] = 1
    licence: LicenceEntry
    sources: tuple[str, ...]


def inherit_terms(sources: Mapping[str, LicenceEntry | None]) -> InheritedTerms | None:
    """Terms of weights made from others: the first that forbid commercial use, else the first, with all notices.

    Args:
        sources: Terms of each; None where nothing is known.

    Returns:
        None where nothing can be said: no terms are known, or all that are known allow what unknown ones may forbid.
    """
    known = [licence for licence in sources.values() if licence is not None]
    if not known or (len(known) < len(sources) and all(licence.commercial for licence in known)):
        return None
    strictest = min(known, key=lambda licence: licence.commercial)
    notices = [licence.notice for licence in known if licence.notice]
    notice = "\n".join(dict.fromkeys([*notices, f"Made from {', '.join(sources)}."]))
    licence = LicenceEntry(weights=strictest.weights, commercial=strictest.commercial, notice=notice)
    return InheritedTerms(licence=licence, sources=tuple(sources))


def terms_path(weights: Path) -> Path:
    """Where the record of a weights file is."""
    return weights.parent / f"{weights.name}{SUFFIX}"


def write_inherited(weights: Path, terms: InheritedTerms) -> None:
    """Write the record of a weights file.

    Raises:
        OutputError: The folder cannot be written.
    """
    text = json.dumps(terms.model_dump(mode="json"), indent=2, ensure_ascii=False)
    write_text_atomic(terms_path(weights), text + "\n")


def read_inherited(weights: Path) -> InheritedTerms | None:
    """Read the record of a weights file; None if it has none.

    Raises:
        InputError: It cannot be read or is not such a record.
    """
    path = terms_path(weights)
    try:
        return InheritedTerms.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
        raise InputError(f"{path}: not a record of terms ({reason}). Fix: restore it from the training run") from error
