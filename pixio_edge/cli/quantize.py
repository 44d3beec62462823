"""`pixio-edge quantize`: INT8 artifacts for a bundle, kept only if they were measured to be accurate and faster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixio_edge.cli.console import Meter, print_json, print_table
from pixio_edge.cli.extras import needs_extra
from pixio_edge.cli.inspect import ARTIFACT_COLUMNS, artifact_row, print_bundle
from pixio_edge.cli.options import JsonOption, ThreadsOption, examples
from pixio_edge.cli.quantize_source import opened_model
from pixio_edge.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from pixio_edge.bundle import Bundle
    from pixio_edge.calibration.request import QuantizeReport, TargetReport
    from pixio_edge.manifest import ArtifactEntry

EXAMPLES = examples(
    "pixio-edge quantize nano --data photos/ --runtime openvino --runtime ort -o nano-int8",
    "pixio-edge quantize my-bundle --data clip.mp4 --budget 1 --labelled path/to/sets --report report/",
    "pixio-edge quantize my-bundle --data photos/ --runtime tensorrt --dry-run --json",
    "pixio-edge quantize nano --weights-only int8 -o nano-small",
)

NOT_WITH_WEIGHTS_ONLY = (
    "data",
    "runtimes",
    "budget",
    "images",
    "seed",
    "labelled",
    "method",
    "smoothing",
    "rounding",
    "bias_correction",
    "report",
    "threads",
)
"""Parameters of what `--weights-only` leaves out: nothing is calibrated, and nothing is timed."""


def quantize(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Bundle folder; embedded bundle or checkpoint with --output.")],
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", help="Images to calibrate on: folder, glob, video, folder with index.csv."),
    ] = None,
    runtimes: Annotated[
        list[str] | None,
        typer.Option("--runtime", "-r", help="openvino, ort, tensorrt; may be repeated. Default: the best one here."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Bundle folder to write. Default: into the bundle itself.")
    ] = None,
    budget: Annotated[
        float, typer.Option("--budget", help="Points of delta1 that may be lost; AbsRel may grow by 4 % for each.")
    ] = 0.5,
    images: Annotated[int, typer.Option("--images", min=1, help="Images to calibrate on.")] = 128,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the choice of images.")] = 0,
    labelled: Annotated[
        Path | None, typer.Option("--labelled", help="Data sets with known depth: their true loss is gated as well.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option("--method", help="Ranges: minmax, moving_average, percentile, mse, entropy. Default: the best."),
    ] = None,
    smoothing: Annotated[bool, typer.Option("--smoothing/--no-smoothing", help="Move outliers into weights.")] = True,
    rounding: Annotated[str | None, typer.Option("--rounding", help="Of weights: nearest or gptq.")] = None,
    bias_correction: Annotated[
        bool, typer.Option("--bias-correction/--no-bias-correction", help="Correct the mean error of each channel.")
    ] = True,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Folder for outliers, sensitivities and Pareto with plots; also with --dry-run."),
    ] = None,
    weights_only: Annotated[
        str | None,
        typer.Option("--weights-only", help="int8 or fp16: only store weights so, which is smaller and not faster."),
    ] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="Of the weights, for a checkpoint.")] = None,
    commercial: Annotated[
        bool | None, typer.Option("--commercial/--noncommercial", help="Whether it allows commercial use.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a bundle that is at --output.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure everything, write no bundle; --report is still written.")
    ] = False,
    threads: ThreadsOption = None,
    json: JsonOption = False,
) -> None:
    """Calibrate, write INT8 graphs for every size, and keep them if they are inside the budget and faster here.

    Accuracy is measured on images that were not calibrated on, against the float depth. Layers that cost too much go
    back to float, worst first. Exit status 1 when INT8 is refused: the reason is said and the bundle stays as it is.
    """
    opened = opened_model(model, output, licence=licence, commercial=commercial, writes=not dry_run)
    if weights_only is not None:
        refuse_given(context, NOT_WITH_WEIGHTS_ONLY, "--weights-only")
        shrink(opened, weights_only, output, replace=replace, dry_run=dry_run, json=json)
        return
    if data is None:
        raise InputError("--data: got nothing, expected images to calibrate on. Fix: --data path/to/photos")
    with needs_extra("quantize", "pixio-edge quantize"):
        from pixio_edge.calibration.dataset import CalibrationSet
        from pixio_edge.calibration.quantize import quantize as run
        from pixio_edge.calibration.request import make_request
    request = make_request(
        runtimes or [best_runtime()],
        budget=budget,
        images=images,
        seed=seed,
        method=method,
        smoothing=smoothing,
        rounding=rounding,
        bias_correction=bias_correction,
        labelled=labelled,
        report=report,
        threads=threads,
    )
    check_installed(request.runtimes)
    with opened as bundle, Meter("quantize") as meter:
        result = run(
            bundle,
            CalibrationSet.open(data, images=images + request.held_back, seed=seed),
            request,
            output=output,
            replace=replace,
            dry_run=dry_run,
            progress=lambda stage, done, total: meter.update(done, total, stage),
        )
    if json:
        print_json(result.to_json())
    else:
        print_report(result)
    result.require()


def refuse_given(context: typer.Context, names: Sequence[str], option: str) -> None:
    """Refuse options that would be ignored.

    Args:
        context: Of the command line.
        names: Parameters that do not apply.
        option: Together with what.

    Raises:
        InputError: Some of them were given, whatever their values.
    """
    given = {name for name in names if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"}
    if given:
        options = ", ".join(parameter.opts[0] for parameter in context.command.params if parameter.name in given)
        raise InputError(
            f"{options}: got together with {option}, where it has no use, expected one. Fix: leave one out"
        )


def shrink(
    opened: AbstractContextManager[Bundle],
    storage: str,
    output: Path | None,
    *,
    replace: bool,
    dry_run: bool,
    json: bool,
) -> None:
    """Add artifacts with smaller weights, and print the bundle or what they are.

    Raises:
        InputError: The storage is unknown.
        CheckFailedError: They differ too much from the float artifacts.
    """
    with needs_extra("quantize", "pixio-edge quantize"):
        from pixio_edge.calibration.float_artifacts import STORAGES, add_small_artifacts
    from pixio_edge.bundle import Bundle

    chosen = next((known for known in STORAGES if known == storage), None)
    if chosen is None:
        known = ", ".join(STORAGES)
        raise InputError(f"--weights-only: got '{storage}', expected one of {known}. Fix: choose one of these")
    with opened as bundle:
        entries = add_small_artifacts(bundle, chosen, output=output, replace=replace, dry_run=dry_run)
        folder = None if dry_run else output or bundle.folder
        if json:
            print_json(small_report(entries, folder))
        elif folder is None:
            print_table(ARTIFACT_COLUMNS, [artifact_row(entry) for entry in entries])
        else:
            print_bundle(Bundle.open(folder))


def small_report(entries: Sequence[ArtifactEntry], folder: Path | None) -> dict[str, object]:
    """What `--weights-only` made, as JSON values; the folder is None after a dry run."""
    return {
        "folder": None if folder is None else str(folder),
        "artifacts": [entry.name for entry in entries],
        "computes_in": sorted({entry.computes_in for entry in entries}),
        "bytes": sum({item.path: item.bytes for e in entries for item in (e.file, *e.data)}.values()),
        "parity": {entry.name: entry.parity for entry in entries},
    }


def check_installed(runtimes: Sequence[str]) -> None:
    """Say that a runtime is missing before any image is read.

    Raises:
        RuntimeUnavailableError: One is not installed, so it cannot be measured.
    """
    from pixio_edge.calibration.targets import find_targets
    from pixio_edge.host import probe_host

    find_targets(runtimes, probe_host())


def best_runtime() -> str:
    """What the estimator would choose here."""
    from pixio_edge.host import probe_host
    from pixio_edge.resolve import preferred_runtimes
    from pixio_edge.runtimes.registry import runtime_status

    host = probe_host()
    status = runtime_status(host)
    return next((name for name in preferred_runtimes(host) if status[name].usable), "ort")


def print_report(report: QuantizeReport) -> None:
    """Print what was measured, for a person."""
    header = ("runtime", "verdict", "float layers", "delta1", "abs_rel %", "edge F1", "float ms", "int8 ms", "gain")
    print_table(header, [report_row(target) for target in report.targets])
    for target in report.targets:
        print_truth(target)
        if target.keep_float:
            print(f"{target.runtime}: in float stay {', '.join(target.keep_float)}")
    print("seconds: " + ", ".join(f"{name} {value:.0f}" for name, value in report.seconds.items()))
    for path in report.files:
        print(f"wrote {path}")
    if report.folder is not None:
        print(f"wrote {len(report.artifacts)} artifacts to {report.folder}")


def report_row(target: TargetReport) -> tuple[object, ...]:
    """One line of the table."""
    agreement = target.accuracy.agreement
    speed = target.speed[0] if target.speed else None
    measured = ("-", "-", "-") if speed is None else (speed.float_ms, speed.int8_ms, f"{speed.speedup:.2f}x")
    return (
        target.runtime,
        "refused" if target.reason else "kept",
        len(target.keep_float),
        f"{agreement.delta1:.4f}",
        f"{100 * agreement.abs_rel:.2f}",
        f"{agreement.edge_f1:.3f}",
        *measured,
    )


def print_truth(target: TargetReport) -> None:
    """Print the true metrics of both, where depth is known."""
    truth = target.accuracy.truth
    if truth:
        header = ("set", "delta1 float", "delta1 int8", "abs_rel float", "abs_rel int8")
        print()
        print_table(
            header,
            [
                (
                    name,
                    *(
                        f"{value:.4f}"
                        for value in (p.of_float.delta1, p.of_int8.delta1, p.of_float.abs_rel, p.of_int8.abs_rel)
                    ),
                )
                for name, p in truth.items()
            ],
        )
