"""Under which terms weights stand, as far as their pin, the record of their training or their name says."""

from __future__ import annotations

from pathlib import Path

from pixio_edge.licences import check_commercial
from pixio_edge.manifest import LicenceEntry
from pixio_edge.weights.catalogue import CATALOGUE, SUFFIXES
from pixio_edge.weights.inherited import read_inherited
from pixio_edge.weights.lock import read_lock


def licence_of(weights: Path) -> LicenceEntry | None:
    """Terms of a weights file: of the pin or the record of training beside it, or of the one that is known by its name.

    Names that several have, such as `model.safetensors`, say nothing. Of a folder, the strictest terms of its files.

    Returns:
        The terms; None if nothing is known of the weights.

    Raises:
        InputError: A pin or record cannot be read.
    """
    files = [path for path in sorted(weights.iterdir()) if path.suffix in SUFFIXES] if weights.is_dir() else [weights]
    known = [licence for path in files if (licence := _licence_of_file(path)) is not None]
    return min(known, key=lambda licence: licence.commercial, default=None)


def check_weights(weights: Path) -> None:
    """Refuse weights that are known to forbid commercial use, if the user insists on that.

    Weights of which nothing is known pass: whoever exports a model from them states its terms.

    Raises:
        LicenceError: See `check_commercial`.
        InputError: A pin or record cannot be read.
    """
    licence = licence_of(weights)
    if licence is not None:
        check_commercial(licence, what=f"weights {weights}")


def _licence_of_file(path: Path) -> LicenceEntry | None:
    lock = read_lock(path)
    if lock is not None:
        return lock.licence
    inherited = read_inherited(path)
    if inherited is not None:
        return inherited.licence
    alike = [known for known in CATALOGUE if known.file == path.name]
    return alike[0].terms.to_entry() if len(alike) == 1 else None
