"""The `pixio-edge` command: one verb per file, each importing what it needs only when it runs."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from pixio_edge._version import __version__
from pixio_edge.cli import (
    benchmark,
    build,
    conformance,
    demo,
    distill,
    doctor,
    evaluate,
    export,
    inspect,
    predict,
    pretrain,
    pull,
    quantize,
    report,
    scenes,
    stream,
    train,
    verify,
)
from pixio_edge.cli.console import print_problem, tolerate_any_name
from pixio_edge.env import insist_on_commercial
from pixio_edge.errors import PixioEdgeError

INTERRUPTED = 130

app = typer.Typer(
    name="pixio-edge",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done, 1 a check failed, 2 bad usage or input, 130 interrupted.",
)
app.command("predict", epilog=predict.EXAMPLES)(predict.predict)
app.command("stream", epilog=stream.EXAMPLES)(stream.stream)
app.command("evaluate", epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command("benchmark", epilog=benchmark.EXAMPLES)(benchmark.benchmark)
app.command("report", epilog=report.EXAMPLES)(report.report)
app.command("verify", epilog=verify.EXAMPLES)(verify.verify)
app.add_typer(conformance.app, epilog=conformance.EXAMPLES)
app.command("inspect", epilog=inspect.EXAMPLES)(inspect.inspect)
app.command("doctor", epilog=doctor.EXAMPLES)(doctor.doctor)
app.command("train", epilog=train.EXAMPLES)(train.train)
app.command("pretrain", epilog=pretrain.EXAMPLES)(pretrain.pretrain)
app.command("distill", epilog=distill.EXAMPLES)(distill.distill)
app.command("scenes", epilog=scenes.EXAMPLES)(scenes.scenes)
app.command("export", epilog=export.EXAMPLES)(export.export)
app.command("build", epilog=build.EXAMPLES)(build.build)
app.command("pull", epilog=pull.EXAMPLES)(pull.pull)
app.command("quantize", epilog=quantize.EXAMPLES)(quantize.quantize)
app.command("demo", epilog=demo.EXAMPLES)(demo.demo)


def _print_version(requested: bool) -> None:
    if requested:
        print(f"pixio-edge {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    require_commercial: Annotated[
        bool,
        typer.Option(
            "--require-commercial",
            help="Refuse weights whose licence forbids commercial use, and bundles made from them.",
        ),
    ] = False,
) -> None:
    """Monocular depth on this device: predict, stream, evaluate, benchmark and verify depth bundles."""
    if require_commercial:
        insist_on_commercial()


def main() -> None:
    """Run the command line and exit.

    Errors that we raise on purpose become one line on standard error and their exit status; anything else is a defect
    of this package and keeps its traceback.
    """
    tolerate_any_name()
    try:
        status = app(standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output went away, as `head` does. Python would complain again while it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except PixioEdgeError as error:
        sys.exit(_report(str(error), error.exit_code))
    except KeyboardInterrupt:
        sys.exit(_report("interrupted", INTERRUPTED))
    except typer.Abort:
        sys.exit(_report("interrupted", INTERRUPTED))
    except Exception as error:
        # Usage errors: typer may carry its own copy of click, so the class is recognised by what makes it one.
        format_message = getattr(error, "format_message", None)
        if format_message is None:
            raise
        command = getattr(getattr(error, "ctx", None), "command_path", "pixio-edge")
        exit_code = getattr(error, "exit_code", 2)
        message = str(format_message()).rstrip(".")
        # Without a message the help was printed instead.
        sys.exit(_report(f"{message}. Fix: see {command} --help", exit_code) if message else exit_code)
    if status == INTERRUPTED:  # typer turns Ctrl-C inside a verb into this status
        print_problem("interrupted")
    sys.exit(status if isinstance(status, int) else 0)


def _report(message: str, exit_code: int) -> int:
    print_problem(message)
    return exit_code


# `python -m` and the launchers that start several processes.
if __name__ == "__main__":
    main()
