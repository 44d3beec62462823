"""`pixio-edge verify`: is a bundle what its manifest says, and does it compute here what it computed at export."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pixio_edge.cli.console import print_json, print_table, track
from pixio_edge.cli.options import BundleArgument, JsonOption, ThreadsOption, examples
from pixio_edge.errors import CheckFailedError, PixioEdgeError

if TYPE_CHECKING:
    from pixio_edge.bundle import Bundle
    from pixio_edge.manifest import ArtifactEntry

EXAMPLES = examples("pixio-edge verify", "pixio-edge verify path/to/bundle --json", "pixio-edge verify --runtime ort")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened to one artifact on one runtime.

    Args:
        status: "skipped" says nothing about the artifact; "failed" is a mismatch, or a runtime that refuses it.
        max_rel: Largest difference to the stored output, relative to its largest value.
        margin: Measured difference as a share of what is allowed; up to 1 is inside.
    """

    artifact: str
    runtime: str
    status: Literal["ok", "failed", "skipped"]
    reason: str
    max_rel: float | None = None
    margin: float | None = None


def verify(
    bundle: BundleArgument = "nano",
    runtimes: Annotated[
        list[str] | None,
        typer.Option("--runtime", "-r", help="Only this one; may be repeated. Default: all."),
    ] = None,
    threads: ThreadsOption = None,
    json: JsonOption = False,
) -> None:
    """Check hashes and schema, then run every artifact on every usable runtime and compare with the stored output.

    Exit status: 0 all equal within tolerance, 1 something differs or nothing could be run, 2 the bundle is damaged.
    """
    from pixio_edge.bundle import Bundle

    opened = Bundle.open(bundle)
    files = opened.verify_hashes()
    pairs = plan_pairs(opened, runtimes or [])
    outcomes = [check(opened, *pair, threads=threads) for pair in track(pairs, total=len(pairs), label="verify")]
    if json:
        print_json({"folder": str(opened.folder), "files": files, "results": [asdict(item) for item in outcomes]})
    else:
        print(f"{opened.folder}: {files} files as the manifest says, schema {opened.manifest.schema_version}\n")
        print_table(
            ("artifact", "runtime", "status", "max_rel", "of allowed", "note"),
            [(o.artifact, o.runtime, o.status, number(o.max_rel), percent(o.margin), o.reason) for o in outcomes],
        )
    conclude(outcomes)


def plan_pairs(bundle: Bundle, wanted: list[str]) -> list[tuple[ArtifactEntry, str]]:
    """Every artifact with every runtime that runs its kind.

    Raises:
        RuntimeUnavailableError: A wanted runtime does not exist.
    """
    from pixio_edge.runtimes.registry import RUNTIMES, find_runtime

    names = {name: find_runtime(name) for name in (wanted or RUNTIMES)}
    return [
        (artifact, name)
        for artifact in bundle.artifacts
        for name, entry in names.items()
        if artifact.kind in entry.kinds
    ]


def check(bundle: Bundle, artifact: ArtifactEntry, runtime: str, *, threads: int | None) -> Outcome:
    """Run one artifact at its own precision on the stored image and compare with the stored output."""
    import numpy as np

    from pixio_edge.parity import compare
    from pixio_edge.runtimes.base import RuntimeOptions
    from pixio_edge.runtimes.registry import make_runtime

    reason = reason_to_skip(artifact, runtime)
    if reason is not None or artifact.tolerance is None:
        return Outcome(artifact.name, runtime, "skipped", reason or "the manifest has no tolerance")
    verified = bundle.read_artifact(artifact)
    with np.load(bundle.read_golden(artifact), allow_pickle=False) as golden:
        image, reference = golden["image"], golden["depth"]
    try:
        with make_runtime(runtime, verified, RuntimeOptions(threads, precision=artifact.precision)) as opened:
            depth = opened.run({artifact.inputs[0].name: image})[artifact.outputs[0].name]
    except PixioEdgeError as error:
        return Outcome(artifact.name, runtime, "failed", str(error))
    report = compare(reference, depth, artifact.tolerance)
    status: Literal["ok", "failed"] = "ok" if report else "failed"
    return Outcome(artifact.name, runtime, status, "" if report else report.message, report.max_rel, report.margin)


def reason_to_skip(artifact: ArtifactEntry, runtime: str) -> str | None:
    """Why a pair cannot be checked here; None if it can."""
    from pixio_edge.host import probe_host
    from pixio_edge.runtimes.registry import RUNTIMES, runtime_status

    status = runtime_status(probe_host())[runtime]
    if not status.usable:
        return status.reason
    if runtime not in artifact.requires.runtimes:
        return f"was built for {', '.join(artifact.requires.runtimes)}"
    if artifact.precision not in RUNTIMES[runtime].executes.get(artifact.precision, ()):
        return f"does not execute {artifact.precision}"
    return "stores no golden output" if artifact.golden is None else None


def conclude(outcomes: list[Outcome]) -> None:
    """End with the status that the outcomes deserve.

    Raises:
        CheckFailedError: A pair failed, or none could be run.
    """
    failed = [f"{item.artifact} on {item.runtime}" for item in outcomes if item.status == "failed"]
    if failed:
        raise CheckFailedError(
            f"{len(failed)} of {len(outcomes)} checks failed: {', '.join(failed)}. Fix: use another runtime"
        )
    if all(item.status == "skipped" for item in outcomes):
        raise CheckFailedError("no artifact could be run on this host. Fix: see 'pixio-edge doctor'")


def number(value: float | None) -> str:
    """Show a small number, or a dash."""
    return "-" if value is None else f"{value:.1e}"


def percent(value: float | None) -> str:
    """Show a share, or a dash."""
    return "-" if value is None else f"{value:.0%}"
