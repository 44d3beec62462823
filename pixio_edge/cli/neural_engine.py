"""What of a bundle's Core ML packages Apple's Neural Engine is known to run, for `pixio-edge inspect`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pixio_edge.cli.console import print_table
from pixio_edge.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pixio_edge.bundle import Bundle
    from pixio_edge.export.coreml.lint import OpFinding
    from pixio_edge.export.coreml.mil_program import Program

    LintedPackage = tuple[str, Program, tuple[OpFinding, ...]]
    """Name of a package, what is in it, and what leaves the engine."""

KIND = "coreml"


def inspect_neural_engine(bundle: Bundle) -> dict[str, dict[str, Any]]:
    """Counts and findings of every Core ML package, by the package's name, as JSON values.

    Raises:
        InputError: The bundle has no Core ML package.
        MissingDependencyError: coremltools is not installed.
        BundleError: A package is damaged.
    """
    from dataclasses import asdict

    from pixio_edge.export.coreml.lint import summarise

    return {
        name: {**summarise(program, findings).to_json(), "findings": [asdict(finding) for finding in findings]}
        for name, program, findings in lint_packages(bundle)
    }


def print_neural_engine(linted: Iterable[LintedPackage]) -> None:
    """Print a line for every Core ML package, and one for each kind of operation that leaves the engine, with why."""
    from pixio_edge.export.coreml.lint import summarise

    rows, notes = [], []
    for name, program, findings in linted:
        summary = summarise(program, findings)
        rows.append((name, *(sum(part.values()) for part in (summary.on, summary.some_chips, summary.off))))
        notes += [f"{name}: {note}" for note in _grouped(findings)]
    print_table(("Core ML package", "on every engine", "on later chips", "off"), rows)
    print()
    for note in notes:
        print(note)
    print("Known sets, not Core ML's choice: only a device tells where operations are placed.")


def lint_packages(bundle: Bundle) -> list[LintedPackage]:
    """Read and lint every Core ML package of a bundle.

    Raises:
        InputError: The bundle has none.
        MissingDependencyError: coremltools is not installed.
        BundleError: A package is damaged.
    """
    from pixio_edge.export.coreml.library import load_coremltools
    from pixio_edge.export.coreml.lint import lint_program
    from pixio_edge.export.coreml.mil_program import load_program

    packages = _packages(bundle)
    load_coremltools("pixio-edge inspect --neural-engine")
    programs = [(package.name, load_program(package)) for package in packages]
    return [(name, program, lint_program(program)) for name, program in programs]


def _packages(bundle: Bundle) -> list[Path]:
    """Folders of the packages, each once: sizes may share one."""
    artifacts = [artifact for artifact in bundle.artifacts if artifact.kind == KIND]
    if not artifacts:
        raise InputError(
            f"bundle '{bundle.folder}': has no Core ML package, expected one. "
            "Fix: pixio-edge export BUNDLE -o FOLDER --format coreml"
        )
    paths = [bundle.read_artifact(artifact).path for artifact in artifacts]
    return list(dict.fromkeys(path.parents[2] for path in paths))


def _grouped(findings: tuple[OpFinding, ...]) -> Iterator[str]:
    groups: dict[tuple[str, str, str], list[str]] = {}
    for finding in findings:
        groups.setdefault((finding.op_type, finding.detail, finding.fix), []).append(finding.name)
    for (op_type, detail, fix), names in groups.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"{op_type} ({names[0]}{more}) {detail}. Fix: {fix}"
