"""What `pixio-edge quantize` starts from: a bundle, or a checkpoint that is exported first."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pixio_edge.cli.export_weights import read_terms
from pixio_edge.cli.extras import needs_extra
from pixio_edge.cli.stopping import term_interrupts
from pixio_edge.errors import InputError

if TYPE_CHECKING:
    from pixio_edge.bundle import Bundle

CHECKPOINT_SUFFIXES = (".safetensors", ".pt", ".pth")


@contextmanager
def opened_model(
    model: str, output: Path | None, *, licence: str | None, commercial: bool | None, writes: bool = True
) -> Iterator[Bundle]:
    """Open a bundle, or export a checkpoint to one that is thrown away after the block.

    SIGTERM interrupts the block like Ctrl-C, so that the copy of the bundle that is worked on goes away.

    Args:
        model: Embedded name, bundle folder, or checkpoint.
        output: Where the result goes.
        licence: Of the weights of a checkpoint.
        commercial: Whether it allows commercial use.
        writes: Whether anything is going to be written.

    Raises:
        InputError: What cannot be written in place has no output folder, or a checkpoint has no licence.
        BundleError: No such bundle, or it is damaged.
    """
    from pixio_edge.bundle import Bundle, list_embedded

    is_checkpoint = Path(model).suffix in CHECKPOINT_SUFFIXES
    if output is None and writes and (is_checkpoint or model in list_embedded()):
        kind = "is a checkpoint" if is_checkpoint else "is part of the package"
        raise InputError(
            f"'{model}' {kind}, expected a folder to write the bundle to. Fix: add --output {Path(model).stem}-int8"
        )
    if not is_checkpoint:
        with term_interrupts():
            yield Bundle.open(model)
        return
    with term_interrupts(), tempfile.TemporaryDirectory(prefix="pixio-edge-") as folder:
        yield _export(model, Path(folder) / Path(model).stem, licence, commercial)


def _export(checkpoint: str, folder: Path, licence: str | None, commercial: bool | None) -> Bundle:
    if not Path(checkpoint).is_file():
        raise InputError(f"checkpoint {checkpoint}: no such file. Fix: check the path")
    terms = read_terms(checkpoint, licence, commercial=commercial, notice="")
    with needs_extra("export", "pixio-edge quantize of a checkpoint"):
        from pixio_edge.export.bundle_details import BundleDetails
        from pixio_edge.export.pipeline import export_bundle
        from pixio_edge.export.source import open_source
    source = open_source(checkpoint)
    details = BundleDetails(name=folder.name, preset=source.preset, licence=terms or source.licence())
    return export_bundle(source.model, folder, details=details)
