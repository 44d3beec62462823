"""`pixio-edge export`: a checkpoint to a bundle."""

from __future__ import annotations

import json as json_format
import logging
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixio_edge.cli.console import Meter, print_json
from pixio_edge.cli.extras import needs_extra
from pixio_edge.cli.inspect import print_bundle
from pixio_edge.cli.options import JsonOption, examples, parse_size
from pixio_edge.errors import InputError

if TYPE_CHECKING:
    from pydantic import JsonValue

EXAMPLES = examples(
    "pixio-edge export runs/nano/model.safetensors -o nano --preset nano --licence Apache-2.0 --commercial",
    "pixio-edge export mine.pt -o mine --size 256x256 --size 192x336 --licence CC-BY-NC-4.0 --noncommercial",
)

FORMATS = ("onnx",)


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Weights: .safetensors, or .pt with a plain state dict.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Bundle folder to write.")],
    licence: Annotated[str, typer.Option("--licence", help="Licence of the weights, as an SPDX identifier.")],
    commercial: Annotated[
        bool, typer.Option("--commercial/--noncommercial", help="Whether the weights may be used commercially.")
    ],
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
    if format not in FORMATS:
        raise InputError(f"--format: got '{format}', expected one of {', '.join(FORMATS)}. Fix: choose one of these")
    ladder = [size for text in sizes or [] if (size := parse_size(text)) is not None]
    record = read_record(training_record)
    with needs_extra("export", "pixio-edge export"):
        from pixio_edge.export.base import DEFAULT_SIZES
        from pixio_edge.export.bundle_details import BundleDetails
        from pixio_edge.export.pipeline import export_bundle
        from pixio_edge.manifest import LicenceEntry
        from pixio_edge.models.checkpoints import load_checkpoint
        from pixio_edge.models.presets import PRESETS, build_model
    # Torch's exporter warns of packages that it could use and we do not.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    model = load_checkpoint(checkpoint, build_model(preset).config if preset else None)
    known = next((known for known, config in PRESETS.items() if config == model.config), "custom")
    details = BundleDetails(
        name=name or output.resolve().name,
        preset=preset or known,
        licence=LicenceEntry(weights=licence, commercial=commercial, notice=notice),
        licence_file=licence_file,
        attribution_file=attribution_file,
        training=record,
        commit=commit,
    )
    wanted, done = ladder or list(DEFAULT_SIZES), count(1)
    with Meter("export") as meter:
        bundle = export_bundle(
            model,
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
