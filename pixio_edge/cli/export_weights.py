"""What `pixio-edge export` is told about weights, and their export to a bundle of ONNX graphs."""

from __future__ import annotations

import json as json_format
from dataclasses import dataclass, fields
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from pixio_edge.cli.console import Meter
from pixio_edge.cli.extras import needs_extra
from pixio_edge.errors import InputError, LicenceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import JsonValue

    from pixio_edge.bundle import Bundle
    from pixio_edge.manifest import LicenceEntry
    from pixio_edge.sizes import Size


@dataclass(frozen=True, slots=True)
class WeightsOptions:
    """Options of `export` that are about weights, as they were given; empty ones take their defaults.

    Args:
        name: Name of the bundle.
        preset: Shape of the model.
        licence: Licence of the weights.
        commercial: Whether it allows commercial use.
        notice: Text that has to travel with the weights.
        licence_file: Licence text to pack.
        attribution_file: Credits to pack.
        training_record: JSON object on how the weights came to be.
        commit: Commit of the training code.
    """

    name: str | None = None
    preset: str | None = None
    licence: str | None = None
    commercial: bool | None = None
    notice: str = ""
    licence_file: Path | None = None
    attribution_file: Path | None = None
    training_record: Path | None = None
    commit: str | None = None

    def refuse_all(self, source: str) -> None:
        """For a bundle that is taken over as it is.

        Raises:
            InputError: Any of them was given.
        """
        given = [field.name for field in fields(self) if getattr(self, field.name) not in (None, "")]
        if given:
            option = f"--{given[0].replace('_', '-')}"
            raise InputError(
                f"{option}: is about weights, and bundle {source} is taken over with what it says of its own. "
                f"Fix: leave it out, or add --format onnx to export the weights anew"
            )


def export_weights(
    source: str, folder: Path, options: WeightsOptions, *, name: str, sizes: Sequence[Size], replace: bool
) -> Bundle:
    """Export a checkpoint, or that of a bundle, to ONNX for every size.

    Args:
        source: Path of a checkpoint, or name or path of a bundle.
        folder: Bundle folder to write.
        options: What is said about the weights.
        name: Name of the bundle, unless the options say it.
        sizes: The ladder; none takes the default.
        replace: Whether a bundle that is there may be replaced.

    Raises:
        InputError: The source or an option cannot be used.
        CheckFailedError: A graph differs from the model.
    """
    terms = read_terms(
        source, options.licence, commercial=options.commercial, notice=options.notice, preset=options.preset
    )
    record = read_record(options.training_record)
    with needs_extra("export", "pixio-edge export"):
        from pixio_edge.export.base import default_sizes
        from pixio_edge.export.bundle_details import BundleDetails
        from pixio_edge.export.pipeline import export_bundle
        from pixio_edge.export.source import open_source
        from pixio_edge.licences import check_commercial
    opened = open_source(source, options.preset)
    details = BundleDetails(
        name=options.name or name,
        preset=opened.preset,
        licence=terms or opened.licence(),
        licence_file=options.licence_file or opened.documents.get("licence"),
        attribution_file=options.attribution_file or opened.documents.get("attribution"),
        training=record or (opened.manifest.training if opened.manifest else None),
        commit=options.commit or (opened.manifest.model.commit if opened.manifest else None),
        family=opened.family,
    )
    check_commercial(details.licence, what=f"weights {source}")
    wanted, done = list(sizes) or list(default_sizes(opened.model.config.encoder.patch_size)), count(1)
    with Meter("export") as meter:
        return export_bundle(
            opened.model,
            folder,
            details=details,
            sizes=wanted,
            replace=replace,
            on_stage=lambda stage: meter.update(next(done), 2 * len(wanted), stage),
        )


def read_terms(
    source: str, licence: str | None, *, commercial: bool | None, notice: str, preset: str | None = None
) -> LicenceEntry | None:
    """The terms given, or those under which the file or the preset's weights are known to stand; never a guess.

    Returns:
        None to take those of the source, which only a bundle has.

    Raises:
        InputError: Half of the terms is missing, or the source is a file of which nothing is known.
        LicenceError: The terms allow commercial use, and those of pulled weights forbid it.
    """
    from pixio_edge.manifest import LicenceEntry
    from pixio_edge.models.checkpoint_names import is_checkpoint
    from pixio_edge.models.licences import licence_of_preset
    from pixio_edge.weights.terms import licence_of

    path = Path(source)
    if licence is not None and commercial is not None:
        published = licence_of(path) if commercial else None
        if published is not None and not published.commercial:
            raise LicenceError(
                f"{source}: got --commercial, expected --noncommercial as its licence {published.weights} has it. "
                "Fix: leave both out to take over its terms"
            )
        return LicenceEntry(weights=licence, commercial=commercial, notice=notice)
    given = licence is not None or commercial is not None or bool(notice)
    if not given and not (path.is_file() or is_checkpoint(path)):
        return None
    known = None if given else licence_of(path) or (licence_of_preset(preset) if preset else None)
    if known is None:
        raise InputError(
            "--licence: got only a part of the terms of the weights, expected --licence and --commercial or "
            "--noncommercial. Fix: --licence Apache-2.0 --commercial, or the terms of the data and the teacher"
        )
    return known


def read_record(path: Path | None) -> dict[str, JsonValue] | None:
    """Read the training record for the manifest.

    Raises:
        InputError: The file is missing or holds no JSON object.
    """
    if path is None:
        return None
    try:
        record = json_format.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--training-record {path}: cannot be read ({error}). Fix: give a JSON file") from error
    if not isinstance(record, dict):
        raise InputError(f"--training-record {path}: got a {type(record).__name__}, expected an object. Fix: use {{…}}")
    return record
