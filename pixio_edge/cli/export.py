"""`pixio-edge export`: a checkpoint, or that of a bundle, to a bundle."""

from __future__ import annotations

import json as json_format
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixio_edge.cli.console import Meter, print_json
from pixio_edge.cli.extras import needs_extra
from pixio_edge.cli.inspect import print_bundle
from pixio_edge.cli.options import JsonOption, examples, parse_size
from pixio_edge.errors import InputError, LicenceError

if TYPE_CHECKING:
    from pydantic import JsonValue

    from pixio_edge.manifest import LicenceEntry

EXAMPLES = examples(
    "pixio-edge export nano -o nano-large --size 384x512",
    "pixio-edge export runs/nano/model.safetensors -o nano --preset nano --licence Apache-2.0 --commercial",
    "pixio-edge export depth_anything_v2_vits.pth -o anything --preset depth-anything-v2-small --size 252x336",
    "pixio-edge export mine.pt -o mine --size 256x256 --size 192x336 --licence CC-BY-NC-4.0 --noncommercial",
)

FORMATS = ("onnx",)
# Known, and not built yet: saying so helps more than "unknown".
LATER_FORMATS = {"tensorrt": "tensorrt", "coreml": "coreml"}


def export(
    source: Annotated[
        str,
        typer.Argument(
            help="Weights: .safetensors, .pt with a plain state dict, a folder saved by transformers; or a bundle."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Bundle folder to write.")],
    licence: Annotated[
        str | None,
        typer.Option(
            "--licence",
            help="Licence of the weights, as an SPDX identifier. Default: the source bundle's, or that under which the "
            "weights of the preset were published.",
        ),
    ] = None,
    commercial: Annotated[
        bool | None, typer.Option("--commercial/--noncommercial", help="Whether it allows commercial use.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the bundle. Default: that of the folder.")] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", help="Shape of the model, if the file does not say it.")
    ] = None,
    sizes: Annotated[
        list[str] | None,
        typer.Option("--size", "-s", metavar="HxW", help="Input size; may be repeated. Default: a ladder."),
    ] = None,
    format: Annotated[str, typer.Option("--format", "-f", help="What to export to: onnx.")] = "onnx",
    notice: Annotated[str, typer.Option("--notice", help="Text that has to travel with the weights.")] = "",
    licence_file: Annotated[Path | None, typer.Option("--licence-file", help="Licence text to pack.")] = None,
    attribution_file: Annotated[Path | None, typer.Option("--attribution-file", help="Credits to pack.")] = None,
    training_record: Annotated[
        Path | None, typer.Option("--training-record", help="JSON object on how the weights came to be.")
    ] = None,
    commit: Annotated[str | None, typer.Option("--commit", help="Commit of the training code.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a bundle that is there.")] = False,
    json: JsonOption = False,
) -> None:
    """Export to graphs and pack them; the folder appears only if every graph computes what the checkpoint computes.

    Exit status 1 when a graph differs from the model.
    """
    check_format(format)
    terms = read_terms(source, licence, commercial=commercial, notice=notice, preset=preset)
    ladder = [size for text in sizes or [] if (size := parse_size(text)) is not None]
    record = read_record(training_record)
    with needs_extra("export", "pixio-edge export"):
        from pixio_edge.export.base import default_sizes
        from pixio_edge.export.bundle_details import BundleDetails
        from pixio_edge.export.pipeline import export_bundle
        from pixio_edge.export.source import open_source
        from pixio_edge.licences import check_commercial
    opened = open_source(source, preset)
    details = BundleDetails(
        name=name or output.resolve().name,
        preset=opened.preset,
        licence=terms or opened.licence(),
        licence_file=licence_file or opened.documents.get("licence"),
        attribution_file=attribution_file or opened.documents.get("attribution"),
        training=record or (opened.manifest.training if opened.manifest else None),
        commit=commit or (opened.manifest.model.commit if opened.manifest else None),
        family=opened.family,
    )
    check_commercial(details.licence, what=f"weights {source}")
    wanted, done = ladder or list(default_sizes(opened.model.config.encoder.patch_size)), count(1)
    with Meter("export") as meter:
        bundle = export_bundle(
            opened.model,
            output,
            details=details,
            sizes=wanted,
            replace=replace,
            on_stage=lambda stage: meter.update(next(done), 2 * len(wanted), stage),
        )
    if json:
        print_json({"folder": str(bundle.folder)} | bundle.manifest.model_dump(mode="json"))
    else:
        print_bundle(bundle)


def check_format(name: str) -> None:
    """Refuse what cannot be exported to.

    Raises:
        InputError: The format is not built yet, or unknown.
    """
    if name in LATER_FORMATS:
        raise InputError(
            f"--format {name}: not built yet, it comes with the extra '{LATER_FORMATS[name]}' of a later release; "
            "expected onnx. Fix: --format onnx"
        )
    if name not in FORMATS:
        raise InputError(f"--format: got '{name}', expected one of {', '.join(FORMATS)}. Fix: choose one of these")


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
