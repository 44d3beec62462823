"""`pixio-edge pull`: published weights, checked and pinned."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixio_edge.cli.console import Meter, print_json, print_table
from pixio_edge.cli.extras import needs_extra
from pixio_edge.cli.options import JsonOption, examples
from pixio_edge.errors import InputError

if TYPE_CHECKING:
    from pixio_edge.weights.catalogue import Weights
    from pixio_edge.weights.hub import RemoteFile

EXAMPLES = examples(
    "pixio-edge pull --list",
    "pixio-edge pull depth-anything-v2-small",
    "pixio-edge pull pixio-vitb16 --accept-licence -o weights",
    "pixio-edge --require-commercial pull depth-anything-v2-small --revision COMMIT",
)

MB = 1e6


def pull(
    name: Annotated[str | None, typer.Argument(help="Weights to get; --list shows them.")] = None,
    list_all: Annotated[bool, typer.Option("--list", "-l", help="Show the known weights and their terms.")] = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for weights; each gets a folder of its name in it.")
    ] = Path("weights"),
    revision: Annotated[
        str | None,
        typer.Option("--revision", help="Commit to take. Default: the pinned one; the first pull pins what is newest."),
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="You have read the licence and accept it.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Get published weights from the Hugging Face hub; an interrupted download goes on where it stopped.

    The file is checked against the hub's SHA-256 and against the pin beside it, which the first pull writes: commit it
    to get the same bytes everywhere. Weights are only stored, never loaded or run. HF_TOKEN, HF_ENDPOINT and
    HF_HUB_OFFLINE work as ever.
    """
    if list_all == (name is not None):
        raise InputError("pull: expected either a name or --list. Fix: pixio-edge pull --list")
    if name is None:
        print_catalogue(json=json)
        return
    with needs_extra("pull", "pixio-edge pull"):
        from pixio_edge.weights.pull import pull as pull_weights

    # The library writes each retry to standard error, with the signed address; we say how it ended.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    with Meter(name) as meter:
        pulled = pull_weights(
            name,
            output,
            revision=revision,
            accept_licence=accept_licence,
            on_start=lambda remote, path: None if json else announce(remote, path),
            on_progress=lambda done, total: meter.update(done, total, f"{done / MB:.0f} of {total / MB:.0f} MB"),
        )
    if json:
        print_json(pulled.to_json())
        return
    lock = pulled.lock
    if pulled.resumed_at:
        print(f"resumed at {pulled.resumed_at / MB:.1f} MB")
    state = f"received {pulled.received / MB:.1f} MB" if pulled.received else "was there"
    print(f"{pulled.path}: {state}, sha256 {lock.sha256} as pinned")
    print(f"pin: --revision {lock.commit}")


def announce(remote: RemoteFile, path: Path) -> None:
    """Say what comes, from where and under which terms, before it does."""
    weights = remote.weights
    print(f"{weights.name}: {remote.bytes / MB:.1f} MB from {weights.repository} at {remote.commit} to {path}")
    print(f"licence: {weights.terms.name}. {weights.terms.summary} {weights.terms.url}", flush=True)


def print_catalogue(*, json: bool) -> None:
    """Print what can be pulled."""
    from pixio_edge.weights.catalogue import CATALOGUE

    if json:
        print_json([describe(weights) for weights in CATALOGUE])
        return
    print_table(
        ("name", "what", "parameters", "about MB", "licence", "commercial", "gated", "commit"),
        [
            (
                weights.name,
                weights.what,
                f"{weights.parameters / 1e6:.1f}M",
                f"{weights.bytes_about / MB:.0f}",
                weights.terms.name,
                "yes" if weights.terms.commercial else "NO",
                "yes" if weights.gated else "no",
                weights.commit or "at first pull",
            )
            for weights in CATALOGUE
        ],
    )


def describe(weights: Weights) -> dict[str, Any]:
    """One known file, as `--json` prints it."""
    return {
        "name": weights.name,
        "what": weights.what,
        "repository": weights.repository,
        "file": weights.file,
        "parameters": weights.parameters,
        "bytes_about": weights.bytes_about,
        "licence": weights.terms.to_entry().model_dump(mode="json"),
        "gated": weights.gated,
        "commit": weights.commit,
        "sha256": weights.sha256,
    }
