"""`pixio-edge build`: TensorRT engines for the GPU of this host, checked before they may run."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixio_edge.cli.console import Meter, print_json, print_table
from pixio_edge.cli.extras import needs_extra
from pixio_edge.cli.options import JsonOption, examples, parse_precision, parse_size
from pixio_edge.cli.quantize import refuse_given
from pixio_edge.cli.stopping import term_interrupts
from pixio_edge.errors import CheckFailedError, InputError, MissingDependencyError, RuntimeUnavailableError
from pixio_edge.sizes import size_label

if TYPE_CHECKING:
    from pixio_edge.bundle import Bundle
    from pixio_edge.engine_record import Library
    from pixio_edge.engines.ahead import AheadRequest
    from pixio_edge.engines.build import Progress
    from pixio_edge.engines.device import BuildOptions
    from pixio_edge.engines.outcome import Outcome
    from pixio_edge.engines.plan import Job
    from pixio_edge.engines.workbench import Workbench
    from pixio_edge.manifest import Precision
    from pixio_edge.sizes import Size

EXAMPLES = examples(
    "pixio-edge export --format tensorrt nano -o nano-trt",
    "pixio-edge build nano-trt",
    "pixio-edge build nano-trt --size 256x256 --precision fp16 --precision int8 --json",
    "pixio-edge build nano-trt --compute-capability 8.6 --compute-capability 8.9 --output engines/",
)

# A bar of a thousand steps moves visibly during a build of some minutes.
BAR_STEPS = 1000


ON_DEVICE_ONLY = ("budget", "prebuilt")
"""Parameters that mean nothing ahead of time: nothing runs."""


def build(
    context: typer.Context,
    bundle: Annotated[str, typer.Argument(help="Bundle folder that `export --format tensorrt` wrote.")],
    runtime: Annotated[
        str | None, typer.Option("--runtime", "-r", help="tensorrt or tensorrt-rtx. Default: what is installed.")
    ] = None,
    precisions: Annotated[
        list[str] | None,
        typer.Option("--precision", "-p", help="Only fp16, int8 or fp32; may be repeated. Default: all of the bundle."),
    ] = None,
    sizes: Annotated[
        list[str] | None,
        typer.Option("--size", "-s", metavar="HxW", help="Only this input size; may be repeated. Default: all."),
    ] = None,
    capabilities: Annotated[
        list[str] | None,
        typer.Option(
            "--compute-capability",
            metavar="X.Y",
            help="Build ahead of time for such GPUs (8.6, 8.9, 12.0), which needs none here; may be repeated.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for engines that are built ahead of time.")
    ] = None,
    budget: Annotated[
        float, typer.Option("--budget", help="Points of delta1 that INT8 may lose on the golden image.")
    ] = 0.5,
    prebuilt: Annotated[
        Path | None, typer.Option("--prebuilt", help="Folder of engines from --output elsewhere: checked, not built.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Build again what is in the cache.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be built, and build nothing.")] = False,
    json: JsonOption = False,
) -> None:
    """Build the engines of a bundle on this device, check them, and choose the one to run at each size.

    Every engine is run on the bundle's golden image. One that is not finite or not in parity gets nodes back to fp32
    until it is. INT8 is chosen only where it is faster than fp16 here and inside the budget. Engines are kept in the
    user's cache (PIXIO_EDGE_CACHE), so the same command goes on after an interruption and does nothing when all is
    there. Exit status 1 when a size has no engine that passed.
    """
    with needs_extra("tensorrt", "pixio-edge build"):
        from pixio_edge.calibration.budget import Budget
        from pixio_edge.engines.device import BuildOptions
    from pixio_edge.bundle import Bundle

    wanted = tuple(parse_precisions(precisions)), tuple(parse_sizes(sizes))
    title: str | None = None
    if capabilities or output:
        refuse_given(context, ON_DEVICE_ONLY, "--compute-capability")
        outcomes = ahead(Bundle.open(bundle), capabilities, output, runtime, wanted, force=force, dry_run=dry_run)
    else:
        opened = Bundle.open(bundle)
        options = BuildOptions(Budget(budget), force=force, prebuilt=prebuilt)
        outcomes, title = on_device(opened, runtime, wanted, options, dry_run=dry_run)
    if json:
        print_json({"gpu": title, "dry_run": dry_run, "engines": [item.to_json() for item in outcomes]})
    else:
        print_outcomes(outcomes, title or "ahead of time, checked on no GPU")
    if not dry_run:
        conclude(outcomes, is_ahead=bool(capabilities))


def on_device(
    bundle: Bundle,
    runtime: str | None,
    wanted: tuple[tuple[Precision, ...], tuple[Size, ...]],
    options: BuildOptions,
    *,
    dry_run: bool,
) -> tuple[tuple[Outcome, ...], str]:
    """Build for the GPU of this host.

    Returns:
        What was built, and the name of the GPU.

    Raises:
        MissingDependencyError: There is no such library.
        RuntimeUnavailableError: Neither a GPU nor TensorRT is here.
    """
    from pixio_edge.engine_cache import engine_folder
    from pixio_edge.engines.plan import plan_jobs
    from pixio_edge.engines.selection import build_bundle

    precisions, sizes = wanted
    jobs = plan_jobs(bundle, precisions=precisions, sizes=sizes, timing_folder=engine_folder())
    if dry_run:
        return preview(bundle, jobs, options, runtime)
    bench = open_workbench(runtime)
    with term_interrupts(), Meter("build") as meter:
        outcomes = build_bundle(bundle, bench, jobs, options, progress=bar(meter), notify=say)
    return outcomes, str(bench.gpu)


def preview(
    bundle: Bundle, jobs: Sequence[Sequence[Job]], options: BuildOptions, runtime: str | None
) -> tuple[tuple[Outcome, ...], str]:
    """What would be built; on a host without GPU that is everything, and the reason is said."""
    from pixio_edge.engines.device import preview_jobs

    try:
        bench = open_workbench(runtime)
    except (RuntimeUnavailableError, MissingDependencyError) as error:
        say(str(error))
        return preview_jobs(bundle, None, jobs, options), "no GPU with TensorRT here"
    return preview_jobs(bundle, bench, jobs, options), str(bench.gpu)


def open_workbench(runtime: str | None) -> Workbench:
    """The GPU of this host with a library.

    Raises:
        InputError: There is no such library.
        MissingDependencyError: It is not installed.
        RuntimeUnavailableError: It does not work, or there is no GPU.
    """
    from pixio_edge.engines.workbench import DeviceWorkbench, find_library_here

    return DeviceWorkbench(find_library_here(say) if runtime is None else parse_library(runtime))


def ahead(
    bundle: Bundle,
    capabilities: Sequence[str] | None,
    output: Path | None,
    runtime: str | None,
    wanted: tuple[tuple[Precision, ...], tuple[Size, ...]],
    *,
    force: bool,
    dry_run: bool,
) -> tuple[Outcome, ...]:
    """Build for GPUs that are not here.

    Raises:
        InputError: The options do not fit together.
    """
    from pixio_edge.engines.ahead import LIBRARY, AheadRequest, preview_ahead

    if not capabilities or output is None:
        missing = "--output DIR" if capabilities else "--compute-capability X.Y"
        raise InputError(
            f"build ahead of time: got one of --compute-capability and --output, expected both. Fix: add {missing}"
        )
    if runtime is not None and parse_library(runtime) != LIBRARY:
        raise InputError(
            f"--runtime: got '{runtime}' with --compute-capability, expected {LIBRARY}: TensorRT itself builds only "
            f"where it runs. Fix: --runtime {LIBRARY}, or build on the device"
        )
    precisions, sizes = wanted
    numbers = tuple(dict.fromkeys(parse_capability(text) for text in capabilities))
    request = AheadRequest(numbers, output, precisions, sizes, force=force)
    return preview_ahead(bundle, request) if dry_run else build_with_meter(bundle, request)


def build_with_meter(bundle: Bundle, request: AheadRequest) -> tuple[Outcome, ...]:
    """Build ahead of time with a bar."""
    from pixio_edge.engines.ahead import build_ahead

    with term_interrupts(), Meter("build") as meter:
        return build_ahead(bundle, request, progress=bar(meter), notify=say)


def bar(meter: Meter) -> Progress:
    """Show the share that is done on a meter."""
    return lambda share, label: meter.update(round(share * BAR_STEPS), BAR_STEPS, label)


def parse_library(text: str) -> Library:
    """Read the name of a library.

    Raises:
        InputError: There is none of that name.
    """
    known: tuple[Library, ...] = ("tensorrt", "tensorrt-rtx")
    for library in known:
        if text.lower().replace("_", "-") == library:
            return library
    raise InputError(f"--runtime: got '{text}', expected one of {', '.join(known)}. Fix: choose one of these")


def parse_capability(text: str) -> str:
    """Read a compute capability, "8.6", "86" or "sm_86", as "8.6".

    Raises:
        InputError: It is none.
    """
    match = re.fullmatch(r"(?:sm_?)?(\d+)\.?(\d)", text.strip().lower())
    if match is None:
        raise InputError(
            f"--compute-capability: got '{text}', expected MAJOR.MINOR. Fix: --compute-capability 8.6, of an RTX 30"
        )
    return f"{match[1]}.{match[2]}"


def parse_precisions(texts: Sequence[str] | None) -> list[Precision]:
    """Read precisions, each once.

    Raises:
        InputError: One is unknown.
    """
    return [precision for text in dict.fromkeys(texts or ()) if (precision := parse_precision(text)) is not None]


def parse_sizes(texts: Sequence[str] | None) -> list[Size]:
    """Read sizes, each once.

    Raises:
        InputError: One is none.
    """
    return [size for text in dict.fromkeys(texts or ()) if (size := parse_size(text)) is not None]


def print_outcomes(outcomes: Sequence[Outcome], title: str) -> None:
    """Print the table, and under it the pinned nodes."""
    from pixio_edge.engines.outcome import COLUMNS

    print(title)
    print_table(COLUMNS, [item.row() for item in outcomes])
    for item in outcomes:
        if item.record is not None and item.record.key.pinned:
            print(f"{item.artifact.name}: in fp32 are {', '.join(item.record.key.pinned)}")
    folders = dict.fromkeys(str(Path(item.file).parent.parent) for item in outcomes if item.file)
    for folder in folders:
        print(f"engines are in {folder}")


def conclude(outcomes: Sequence[Outcome], *, is_ahead: bool) -> None:
    """End with the status that the outcomes deserve.

    Raises:
        CheckFailedError: A size has no engine that passed; ahead of time, an engine could not be built.
    """
    if is_ahead:
        failed = [item.artifact.name for item in outcomes if item.status == "failed"]
        if failed:
            raise CheckFailedError(f"{len(failed)} engines could not be built: {', '.join(failed)}. Fix: see above")
        return
    sizes = dict.fromkeys(item.artifact.size for item in outcomes)
    ready = {item.artifact.size for item in outcomes if item.runs is not None}
    missing = [size_label(size) for size in sizes if size not in ready]
    if missing:
        raise CheckFailedError(
            f"no engine passed for {', '.join(missing)}. Fix: see the reasons above; other runtimes run the ONNX graphs"
        )


def say(text: str) -> None:
    """Print one line on standard error."""
    print(" ".join(text.split()), file=sys.stderr)
