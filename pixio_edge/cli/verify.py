"""`pixio-edge verify`: is a bundle what its manifest says, and does it compute here what it computed at export."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pixio_edge.cli.console import print_json, print_table, track
from pixio_edge.cli.options import BundleArgument, JsonOption, ThreadsOption, examples
from pixio_edge.errors import CheckFailedError, InputError, MissingDependencyError, RuntimeUnavailableError, SpecError

if TYPE_CHECKING:
    from pixio_edge.bundle import Bundle
    from pixio_edge.manifest import ArtifactEntry, Precision

EXAMPLES = examples("pixio-edge verify", "pixio-edge verify path/to/bundle --json", "pixio-edge verify --runtime ort")


@dataclass(frozen=True, slots=True)
class Check:
    """One artifact, executed by one runtime in one precision."""

    artifact: ArtifactEntry
    runtime: str
    precision: Precision


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one check.

    Args:
        status: "skipped" says nothing about the artifact; "failed" is a mismatch, or a runtime that refuses it.
        max_rel: Largest difference to the stored output, relative to its largest value.
        margin: Measured difference as a share of what is allowed; up to 1 is inside.
    """

    artifact: str
    runtime: str
    precision: str
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
    provider: Annotated[
        str | None, typer.Option("--provider", help="Where it executes, such as cuda; with one --runtime.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Check hashes and schema, then run every artifact on every usable runtime against its stored output.

    Exit status: 0 all equal within tolerance, 1 something differs or nothing could be run, 2 the bundle is damaged.
    """
    from pixio_edge.bundle import Bundle

    if provider is not None and len(runtimes or []) != 1:
        raise InputError(f"--provider: got '{provider}' for every runtime, expected one. Fix: add --runtime ort")
    opened = Bundle.open(bundle)
    files = opened.verify_hashes()
    checks = plan_checks(opened, runtimes or [])
    outcomes = [
        run_check(opened, check, threads=threads, provider=provider)
        for check in track(checks, total=len(checks), label="verify")
    ]
    if json:
        print_json({"folder": str(opened.folder), "files": files, "results": [asdict(item) for item in outcomes]})
    else:
        print(f"{opened.folder}: {files} files as the manifest says, schema {opened.manifest.schema_version}\n")
        print_table(
            ("artifact", "runtime", "precision", "status", "max_rel", "of allowed", "note"),
            [
                (o.artifact, o.runtime, o.precision, o.status, number(o.max_rel), percent(o.margin), o.reason)
                for o in outcomes
            ],
        )
    conclude(outcomes)


def plan_checks(bundle: Bundle, wanted: list[str]) -> list[Check]:
    """Every artifact on every runtime that runs its kind, in every precision that the runtime executes it in.

    Raises:
        RuntimeUnavailableError: A wanted runtime does not exist.
    """
    from pixio_edge.runtimes.registry import RUNTIMES, find_runtime

    entries = {name: find_runtime(name) for name in (wanted or RUNTIMES)}
    return [
        Check(artifact, name, precision)
        for artifact in bundle.artifacts
        for name, entry in entries.items()
        if artifact.kind in entry.kinds
        for precision in entry.executes.get(artifact.computes_in, ())
    ]


def run_check(bundle: Bundle, check: Check, *, threads: int | None, provider: str | None = None) -> Outcome:
    """Run one artifact on its stored image and compare with its stored output.

    Raises:
        BundleError: A file is damaged.
    """
    from pixio_edge.golden import check_golden
    from pixio_edge.runtimes.base import RuntimeOptions
    from pixio_edge.runtimes.registry import make_runtime

    labels = (check.artifact.name, check.runtime, check.precision)
    reason = reason_to_skip(check)
    if reason is not None:
        return Outcome(*labels, "skipped", reason)
    verified = bundle.read_artifact(check.artifact)
    try:
        options = RuntimeOptions(threads, precision=check.precision, provider=provider)
        with make_runtime(check.runtime, verified, options) as runtime:
            report = check_golden(bundle, runtime)
    except (RuntimeUnavailableError, MissingDependencyError, SpecError) as error:
        return Outcome(*labels, "failed", str(error))
    if report:
        return Outcome(*labels, "ok", "", report.max_rel, report.margin)
    return Outcome(*labels, "failed", report.message, report.max_rel, report.margin)


def reason_to_skip(check: Check) -> str | None:
    """Why a check says nothing here; None if it can be made."""
    from pixio_edge.host import probe_host
    from pixio_edge.runtimes.registry import runtime_status

    host = probe_host()
    status = runtime_status(host)[check.runtime]
    isa = check.artifact.requires.isa
    reasons = (
        (not status.usable, status.reason),
        (
            check.runtime not in check.artifact.requires.runtimes,
            f"was built for {', '.join(check.artifact.requires.runtimes)}",
        ),
        (check.precision == "bf16" and host.lacks_bf16, "this processor has no bf16 arithmetic"),
        (host.lacks(isa), f"this processor has none of {', '.join(isa)}"),
        (check.artifact.golden is None, "stores no golden output"),
    )
    return next((reason for applies, reason in reasons if applies), None)


def conclude(outcomes: list[Outcome]) -> None:
    """End with the status that the outcomes deserve.

    Raises:
        CheckFailedError: A pair failed, or none could be run.
    """
    failed = [f"{item.artifact} on {item.runtime} in {item.precision}" for item in outcomes if item.status == "failed"]
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
