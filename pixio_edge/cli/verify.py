"""`pixio-edge verify`: is a bundle what its manifest says, and does it compute here what it computed at export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixio_edge.cli.build import parse_capability, parse_sizes
from pixio_edge.cli.console import print_json, print_table, track
from pixio_edge.cli.options import BundleArgument, JsonOption, ThreadsOption, examples
from pixio_edge.errors import InputError

if TYPE_CHECKING:
    from pixio_edge.verification.report import VerificationReport

EXAMPLES = examples(
    "pixio-edge verify",
    "pixio-edge verify path/to/bundle --json",
    "pixio-edge verify --runtime ort --size 256x256",
    "pixio-edge verify path/to/bundle --ahead-of-time --report verification.md",
)


def verify(
    bundle: BundleArgument = "nano",
    runtimes: Annotated[
        list[str] | None,
        typer.Option("--runtime", "-r", help="Only this one; may be repeated. Default: all."),
    ] = None,
    artifacts: Annotated[
        list[str] | None,
        typer.Option("--artifact", "-a", help="Only this one, by name; may be repeated. Default: all."),
    ] = None,
    sizes: Annotated[
        list[str] | None,
        typer.Option("--size", "-s", metavar="HxW", help="Only this input size; may be repeated. Default: all."),
    ] = None,
    threads: ThreadsOption = None,
    provider: Annotated[
        str | None, typer.Option("--provider", help="Where it executes, such as cuda; with one --runtime.")
    ] = None,
    ahead_of_time: Annotated[
        bool,
        typer.Option(
            "--ahead-of-time", help="Also build the TensorRT graphs with tensorrt_rtx, which needs no GPU; minutes."
        ),
    ] = False,
    compute_capabilities: Annotated[
        list[str] | None,
        typer.Option(
            "--compute-capability",
            metavar="SM",
            help="With --ahead-of-time: only for this GPU, such as 8.6; may be repeated.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Also write the outcomes to FILE.md or FILE.json."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Check hashes and schema, then climb the parity ladder: torch, ONNX fp32, fp16, INT8, engines and mlpackages.

    Every artifact is run on every runtime that this host has, and held against the stored output of the float model.
    TensorRT graphs run in ONNX Runtime where there is no NVIDIA GPU, Core ML programs in an interpreter where there is
    no macOS. What could not be run is listed with the reason.

    Exit status: 0 all equal within tolerance, 1 something differs or nothing could be run, 2 the bundle is damaged.
    """
    from pixio_edge.bundle import Bundle
    from pixio_edge.verification.execute import check_capabilities
    from pixio_edge.verification.ladder import AHEAD_CAPABILITIES
    from pixio_edge.verification.report import VerificationReport, check_report_path, write_report
    from pixio_edge.verification.run import VerificationRequest, conclude, run_checks

    if provider is not None and len(runtimes or []) != 1:
        raise InputError(f"--provider: got '{provider}' for every runtime, expected one. Fix: add --runtime ort")
    if compute_capabilities and not ahead_of_time:
        raise InputError("--compute-capability: got no --ahead-of-time, expected both. Fix: add --ahead-of-time")
    given = tuple(dict.fromkeys(parse_capability(text) for text in compute_capabilities or ()))
    capabilities = (given or AHEAD_CAPABILITIES) if ahead_of_time else ()
    if ahead_of_time:
        check_capabilities(capabilities)
    if report is not None:
        check_report_path(report)
    opened = Bundle.open(bundle)
    wanted = tuple(dict.fromkeys(artifacts or ()))
    request = VerificationRequest(
        tuple(runtimes or ()), threads, provider, capabilities, wanted, tuple(parse_sizes(sizes))
    )
    checks = request.plan(opened)
    files = opened.verify_hashes()
    outcomes = tuple(track(run_checks(opened, checks, request), total=len(checks), label="verify"))
    result = VerificationReport(opened, files, outcomes)
    if json:
        print_json(result.to_json())
    else:
        print_result(result)
    if report is not None:
        write_report(result, report)
    conclude(outcomes)


def print_result(result: VerificationReport) -> None:
    """Print what ran as a table, and what did not as a list with the reasons, each reason once."""
    from pixio_edge.verification.report import COLUMNS, row

    version = result.bundle.manifest.schema_version
    print(f"{result.bundle.folder}: {result.files} files as the manifest says, schema {version}\n")
    print_table(COLUMNS, [row(outcome) for outcome in result.outcomes if outcome.status != "skipped"])
    skipped: dict[tuple[str, str], list[str]] = {}
    for outcome in result.outcomes:
        if outcome.status == "skipped":
            skipped.setdefault((outcome.how, outcome.note), []).append(outcome.artifact)
    if skipped:
        print("\ncould not be run here")
        print_table(
            ("how", "artifacts", "why"), [(how, ", ".join(names), why) for (how, why), names in skipped.items()]
        )
    print(f"\n{', '.join(f'{count} {status}' for status, count in result.counts.items())}")
