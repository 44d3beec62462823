"""`pixio-edge conformance`: prove that a program in another language computes the depth of a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixio_edge.cli.console import print_json, print_table
from pixio_edge.cli.options import BundleArgument, JsonOption, examples
from pixio_edge.errors import CheckFailedError

if TYPE_CHECKING:
    from pixio_edge.conformance.check import ConformanceResult

EXAMPLES = examples(
    "pixio-edge conformance write nano -o conformance",
    "pixio-edge conformance write path/to/bundle -o conformance --artifact onnx-fp32-256x256",
    "pixio-edge conformance check conformance onnx-fp32-256x256 depth.npy",
)

app = typer.Typer(
    name="conformance",
    no_args_is_help=True,
    help="Inputs, expected outputs and limits for programs in C++, Kotlin or Swift; and whether their output is right.",
)


@app.command("write")
def write(
    bundle: BundleArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write; it does not exist yet.")],
    artifacts: Annotated[
        list[str] | None, typer.Option("--artifact", "-a", help="Only this one; may be repeated. Default: all.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write conformance.json and the .npy files that it names."""
    from pixio_edge.bundle import Bundle
    from pixio_edge.conformance.write import write_conformance

    written = write_conformance(Bundle.open(bundle), output, artifacts=artifacts or ())
    if json:
        print_json(written.model_dump(mode="json"))
        return
    print_table(
        ("case", "kind", "model", "input", "expected"),
        [(case.name, case.kind, case.model, case.input.path, case.expected.path) for case in written.cases],
    )
    names = ", ".join(case.name for case in written.preparations)
    print(f"\nresize of picture.npy: {names}\n{output}: {len(written.cases)} cases")


@app.command("check")
def check(
    folder: Annotated[Path, typer.Argument(help="Conformance folder.")],
    case: Annotated[str, typer.Argument(help="Name of the case.")],
    output: Annotated[Path, typer.Argument(help=".npy file that the program wrote.")],
    json: JsonOption = False,
) -> None:
    """Compare what a program wrote with what a case expects; exit status 1 when it is outside of the limits."""
    from pixio_edge.conformance.check import check_output

    result = check_output(folder, case, output)
    if json:
        print_json(result.to_json())
    else:
        print_result(result)
    if not result:
        fix = "make sure that the program reads the input of the case as it is"
        if result.not_finite:
            fix = "run the graph in fp32 to see whether half precision overflows, or check what the program writes"
        raise CheckFailedError(f"case '{case}': {describe(result)}. Fix: {fix}")


def print_result(result: ConformanceResult) -> None:
    """Print verdict, error and limit on one line."""
    print(f"{'pass' if result else 'FAIL'}  {result.case}: {describe(result)}")


def describe(result: ConformanceResult) -> str:
    """Measured values and limits, for people."""
    allowed = ", ".join(f"{name} {value:.3g}" for name, value in result.allowed.items())
    if result.not_finite:
        return f"{result.not_finite} values of the output are not finite; allowed {allowed}"
    measured = ", ".join(
        f"{name} {'infinite' if value is None else f'{value:.3g}'}" for name, value in result.measured.items()
    )
    return f"{measured}; allowed {allowed}"
