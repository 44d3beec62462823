"""Under which terms a weights file stands, as far as its pin or its name says."""

from __future__ import annotations

from pathlib import Path

from pixio_edge.licences import check_commercial
from pixio_edge.manifest import LicenceEntry
from pixio_edge.weights.catalogue import CATALOGUE
from pixio_edge.weights.lock import read_lock


def licence_of(weights: Path) -> LicenceEntry | None:
    """Terms of a weights file: those of the pin beside it, or of the one in the catalogue with its file name.

    Names that several have, such as `model.safetensors`, say nothing.

    Returns:
        The terms; None if nothing is known of the file.

    Raises:
        InputError: The pin cannot be read.
    """
    lock = read_lock(weights)
    if lock is not None:
        return lock.licence
    alike = [known for known in CATALOGUE if known.file == weights.name]
    return alike[0].terms.to_entry() if len(alike) == 1 else None


def check_weights(weights: Path) -> None:
    """Refuse a weights file that is known to forbid commercial use, if the user insists on that.

    A file of which nothing is known passes: whoever exports a model from it states its terms.

    Raises:
        LicenceError: See `check_commercial`.
        InputError: The pin cannot be read.
    """
    licence = licence_of(weights)
    if licence is not None:
        check_commercial(licence, what=f"weights {weights}")
