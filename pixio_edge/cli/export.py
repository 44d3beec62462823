"""`pixio-edge export`: weights, or those of a bundle, to a bundle of ONNX graphs, and on to TensorRT and Core ML."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixio_edge.cli.console import print_json, print_problem
from pixio_edge.cli.export_formats import FormatRequest, add_formats, require_extras
from pixio_edge.cli.export_weights import WeightsOptions, export_weights
from pixio_edge.cli.inspect import print_bundle
from pixio_edge.cli.options import JsonOption, examples, parse_size
from pixio_edge.cli.stopping import term_interrupts
from pixio_edge.errors import InputError
from pixio_edge.files import create_folder

if TYPE_CHECKING:
    from pixio_edge.bundle import Bundle

EXAMPLES = examples(
    "pixio-edge export nano -o nano-large --size 384x512",
    "pixio-edge export nano -o nano-jetson --format tensorrt",
    "pixio-edge export my-bundle -o my-bundle-ios --format coreml --variant fp16 --variant w8 --target iOS18",
    "pixio-edge export nano -o nano-app --format coreml --only --size 256x256     # what an app carries",
    "pixio-edge export runs/nano/model.safetensors -o nano --preset nano --licence Apache-2.0 --commercial",
    "pixio-edge export depth_anything_v2_vits.pth -o anything --preset depth-anything-v2-small --size 252x336",
    "pixio-edge export mine.pt -o mine --size 256x256 --size 192x336 --licence CC-BY-NC-4.0 --noncommercial",
)

TENSORRT, COREML = "TensorRT", "Core ML"
"""Heads of groups of options in the help."""


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
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            help="onnx, tensorrt, coreml; may be repeated. ONNX is made anew from the weights (the default); the other "
            "two are added to the graphs that a bundle has, which is copied with all its artifacts.",
        ),
    ] = None,
    only: Annotated[
        bool,
        typer.Option(
            "--only",
            help="Keep nothing but artifacts of the formats asked for, with their stored outputs and the licence: what "
            "a device or an app needs. Nothing can be exported from such a bundle.",
        ),
    ] = False,
    precisions: Annotated[
        list[str] | None,
        typer.Option(
            "--precision",
            "-p",
            rich_help_panel=TENSORRT,
            help="fp16, int8, fp32; may be repeated. Default: fp16, and int8 where the bundle was calibrated.",
        ),
    ] = None,
    variants: Annotated[
        list[str] | None,
        typer.Option(
            "--variant",
            rich_help_panel=COREML,
            help="fp16, fp16-islands, fp32, ane, w8, p8, p6, w8a8; may be repeated. Default: fp16.",
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", rich_help_panel=COREML, help="iOS16, iOS17, iOS18. Default: iOS16.")
    ] = None,
    depth_output: Annotated[
        str | None,
        typer.Option("--depth-output", rich_help_panel=COREML, help="array (float32) or image. Default: array."),
    ] = None,
    enumerated: Annotated[
        bool, typer.Option("--enumerated", rich_help_panel=COREML, help="One package for all sizes.")
    ] = False,
    notice: Annotated[str, typer.Option("--notice", help="Text that has to travel with the weights.")] = "",
    licence_file: Annotated[Path | None, typer.Option("--licence-file", help="Licence text to pack.")] = None,
    attribution_file: Annotated[Path | None, typer.Option("--attribution-file", help="Credits to pack.")] = None,
    training_record: Annotated[
        Path | None, typer.Option("--training-record", help="JSON object on how the weights came to be.")
    ] = None,
    commit: Annotated[str | None, typer.Option("--commit", help="Commit of the training code.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a bundle that is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Make and check everything, and write nothing.")] = False,
    json: JsonOption = False,
) -> None:
    """Export to graphs and pack them; the folder appears only if every graph computes what the weights compute.

    Graphs for TensorRT are typed ONNX with a recipe, from which `pixio-edge build` makes engines on the device.
    Exit status 1 when a graph differs from the model or would be refused by its target.
    """
    request = FormatRequest(
        formats=tuple(formats or ("onnx",)),
        sizes=tuple(size for text in sizes or [] if (size := parse_size(text)) is not None),
        precisions=tuple(precisions) if precisions else None,
        variants=tuple(variants) if variants else None,
        target=target,
        depth_output=depth_output,
        enumerated=enumerated,
        only=only,
    )
    options = WeightsOptions(
        name=name,
        preset=preset,
        licence=licence,
        commercial=commercial,
        notice=notice,
        licence_file=licence_file,
        attribution_file=attribution_file,
        training_record=training_record,
        commit=commit,
    )
    with term_interrupts(), _destination(output, dry_run=dry_run) as folder:
        bundle, notes = _run(source, folder, request, options, name=output.resolve().name, replace=replace)
        for note in notes:
            print_problem(note)
        if json:
            written = None if dry_run else str(bundle.folder)
            print_json({"folder": written, "notes": notes} | bundle.manifest.model_dump(mode="json"))
        else:
            print_bundle(bundle)


def _run(
    source: str, folder: Path, request: FormatRequest, options: WeightsOptions, *, name: str, replace: bool
) -> tuple[Bundle, list[str]]:
    """Take a bundle over, or export weights, and add the other formats."""
    from pixio_edge.bundle import Bundle
    from pixio_edge.bundle_writer import check_target
    from pixio_edge.models.checkpoint_names import is_checkpoint

    if "onnx" not in request.formats and not is_checkpoint(Path(source)):
        options.refuse_all(source)
        return add_formats(Bundle.open(source), folder, request, replace=replace)
    if not request.added and not request.only:
        return export_weights(source, folder, options, name=name, sizes=request.sizes, replace=replace), []
    _refuse_calibrated(source, request)
    require_extras(request)
    check_target(folder, replace=replace)
    create_folder(folder.parent)
    # Beside the target: graphs of large models do not fit where temporary files usually go.
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        exported = export_weights(
            source, Path(temporary) / "onnx", options, name=name, sizes=request.sizes, replace=False
        )
        return add_formats(exported, folder, request, replace=replace)


def _refuse_calibrated(source: str, request: FormatRequest) -> None:
    """What needs a calibration table cannot come from weights."""
    asked = {"--precision int8": request.precisions, "--variant w8a8": request.variants}
    for option, names in asked.items():
        if option.rpartition(" ")[2] in (names or ()):
            raise InputError(
                f"{option}: weights such as {source} have no calibration table, expected a bundle that has one. "
                "Fix: export to ONNX, pixio-edge quantize FOLDER --data PHOTOS, then export that bundle"
            )


@contextmanager
def _destination(output: Path, *, dry_run: bool) -> Iterator[Path]:
    """Where to write: a folder that is thrown away for a dry run."""
    if not dry_run:
        yield output
        return
    with tempfile.TemporaryDirectory(prefix="pixio-edge-") as folder:
        yield Path(folder) / output.resolve().name
