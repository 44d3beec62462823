"""`pixio-edge inspect`: what is in a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pixio_edge.cli.console import print_json, print_table
from pixio_edge.cli.options import BundleArgument, JsonOption, examples

if TYPE_CHECKING:
    from pixio_edge.bundle import Bundle
    from pixio_edge.manifest import ArtifactEntry, Manifest

EXAMPLES = examples(
    "pixio-edge inspect",
    "pixio-edge inspect path/to/bundle --json",
    "pixio-edge inspect bundle-ios --neural-engine     # what of its Core ML packages falls off Apple's engine",
)

NeuralEngineOption = Annotated[
    bool,
    typer.Option(
        "--neural-engine",
        help="Also tell which operations of each Core ML package Apple's Neural Engine is known to run, and why others "
        "are not; needs pixio-edge[coreml].",
    ),
]

MIB = 1024 * 1024

ARTIFACT_COLUMNS = ("artifact", "precision", "size", "MiB", "runtimes", "verified", "parity", "gain")
"""Heads of `artifact_row`."""


def inspect(
    bundle: BundleArgument = "nano", neural_engine: NeuralEngineOption = False, json: JsonOption = False
) -> None:
    """Show a bundle's model, licence, input and output contract, artifacts, and what was measured; runs nothing."""
    from pixio_edge.bundle import Bundle
    from pixio_edge.cli.neural_engine import inspect_neural_engine, lint_packages, print_neural_engine

    opened = Bundle.open(bundle, require_commercial=False)  # it only tells, the licence too
    if json:
        engine = {"neural_engine": inspect_neural_engine(opened)} if neural_engine else {}
        print_json({"folder": str(opened.folder)} | opened.manifest.model_dump(mode="json") | engine)
        return
    linted = lint_packages(opened) if neural_engine else []  # before anything is printed: it may be refused
    print_bundle(opened)
    if neural_engine:
        print()
        print_neural_engine(linted)


def print_bundle(bundle: Bundle) -> None:
    """Print a bundle for a person."""
    print_contract(bundle)
    print()
    print_table(
        ARTIFACT_COLUMNS,
        [artifact_row(artifact) for artifact in bundle.artifacts],
    )
    print_accuracy(bundle.manifest)


def print_contract(bundle: Bundle) -> None:
    """Print the facts that hold for all artifacts, one per line."""
    from pixio_edge.manifest import cost_size

    manifest = bundle.manifest
    model, output, licence = manifest.model, manifest.output, manifest.licence
    low, high = ("unbounded" if bound is None else f"{bound:g}" for bound in output.range)
    commit = f", commit {model.commit}" if model.commit else ""
    use = "allowed" if licence.commercial else "NOT allowed"
    files = manifest.all_files().values()
    height, width = cost_size(manifest.image.multiple_of)
    facts = {
        "bundle": f"{model.name} ({bundle.folder})",
        "model": f"{model.family}, preset {model.preset}",
        "cost": f"{model.parameters / 1e6:.2f} M parameters, {model.gflop:.2f} GFLOP at {height}x{width}",
        "made": f"{model.created} by {model.tool}{commit}",
        "input": ", ".join(f"{name} {value}" for name, value in manifest.image.to_json().items()),
        "output": f"{output.name} {output.kind}, {output.direction}, unit {output.unit or 'none'}, {low} to {high}",
        "licence": f"{licence.weights}, commercial use {use}. {licence.notice}",
        "files": f"{len(files)}, {sum(entry.bytes for entry in files) / MIB:.1f} MiB",
    }
    for name, text in facts.items():
        print(f"{name:<8}  {' '.join(text.split())}")


def artifact_row(artifact: ArtifactEntry) -> tuple[object, ...]:
    """One line of the artifact table."""
    size = artifact.bytes + sum(entry.bytes for entry in artifact.data)
    measured = (artifact.parity or {}).get("max_rel")
    return (
        artifact.name,
        artifact.precision,
        f"{artifact.size[0]}x{artifact.size[1]}",
        f"{size / MIB:.1f}",
        ",".join(artifact.requires.runtimes),
        "yes" if artifact.verified else "no",
        f"max_rel {measured:.1e}" if isinstance(measured, float) else "-",
        gain(artifact),
    )


def gain(artifact: ArtifactEntry) -> str:
    """Latency of a quantised artifact against float, as measured when it was made."""
    if artifact.quantization is None or not artifact.quantization.speed:
        return "-"
    return ", ".join(
        f"{speed.speedup:.2f}x in {speed.runtime} ({speed.int8_ms:.1f} ms for {speed.float_ms:.1f})"
        for speed in artifact.quantization.speed
    )


def print_accuracy(manifest: Manifest) -> None:
    """Print the accuracy records, if the bundle has any; their fields are free, so every plain one becomes a column."""
    if not manifest.accuracy:
        return
    plain = [
        {key: value for key, value in record.items() if not isinstance(value, (dict, list))}
        for record in manifest.accuracy
    ]
    columns = list(dict.fromkeys(key for record in plain for key in record))
    print()
    print_table(columns, [[cell(record.get(column)) for column in columns] for record in plain])


def cell(value: object) -> str:
    """Show a number briefly and nothing as a dash."""
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
