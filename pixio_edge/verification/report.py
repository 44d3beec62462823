"""The outcomes of a verification as a file that can be kept: JSON, or Markdown for people."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pixio_edge._version import __version__
from pixio_edge.errors import OutputError
from pixio_edge.files import write_text_atomic
from pixio_edge.host import probe_host

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pixio_edge.bundle import Bundle
    from pixio_edge.verification.ladder import Outcome

COLUMNS = (
    "rung",
    "artifact",
    "how",
    "against",
    "max_rel",
    "mean",
    "delta1",
    "allowed",
    "margin",
    "step",
    "status",
    "note",
)
"""Heads of `row`."""

LIMITED = {"min_sqnr_db": "sqnr_db"}
"""What a limit is about, where the two have different names."""


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """What was verified, where, and what came of it.

    Args:
        bundle: The bundle, its files hashed.
        files: Number of files that are what the manifest says.
        outcomes: In the order of the ladder.
    """

    bundle: Bundle
    files: int
    outcomes: Sequence[Outcome]

    def to_json(self) -> dict[str, Any]:
        """Everything, with the host it holds for."""
        return {
            "folder": str(self.bundle.folder),
            "bundle": self.bundle.manifest.model.name,
            "schema_version": self.bundle.manifest.schema_version,
            "files": self.files,
            "tool": f"pixio-edge {__version__}",
            "host": probe_host().to_json(),
            "counts": self.counts,
            "results": [outcome.to_json() for outcome in self.outcomes],
        }

    @property
    def counts(self) -> dict[str, int]:
        """Number of outcomes by status."""
        statuses = [outcome.status for outcome in self.outcomes]
        return {status: statuses.count(status) for status in ("ok", "failed", "skipped")}

    def to_markdown(self) -> str:
        """A page with the host, a table of what ran, and a list of what did not."""
        host = probe_host()
        counts = ", ".join(f"{count} {status}" for status, count in self.counts.items())
        packages = ", ".join(f"{name} {version}" for name, version in host.packages.items())
        ran = [row(outcome) for outcome in self.outcomes if outcome.status != "skipped"]
        skipped = [outcome for outcome in self.outcomes if outcome.status == "skipped"]
        lines = [
            f"# Verification of {self.bundle.manifest.model.name}",
            "",
            f"{counts}; {self.files} files as the manifest says. pixio-edge {__version__}; {host.os} {host.arch}, "
            f"{host.cpu}, GPUs: {', '.join(host.gpus) or 'none'}; {packages}.",
            "",
            "## What ran",
            "",
            *_table(COLUMNS, ran),
            "",
            "## What could not be run here",
            "",
            *(_table(("rung", "artifact", "how", "why"), [_why(outcome) for outcome in skipped]) or ["Nothing."]),
        ]
        return "\n".join(lines) + "\n"


def write_report(report: VerificationReport, path: Path) -> None:
    """Write a report, whole or not at all, as JSON or Markdown by the suffix.

    Raises:
        OutputError: The suffix is neither .json nor .md, or the file cannot be written.
    """
    check_report_path(path)
    if path.suffix.lower() == ".json":
        write_text_atomic(path, json.dumps(report.to_json(), indent=2) + "\n")
    else:
        write_text_atomic(path, report.to_markdown())


def check_report_path(path: Path) -> None:
    """Refuse a name that no report can be written under, before any work.

    Raises:
        OutputError: The suffix is neither .json nor .md, or the folder is missing.
    """
    if path.suffix.lower() not in (".json", ".md"):
        raise OutputError(f"report {path}: got suffix '{path.suffix}', expected .json or .md. Fix: {path.stem}.json")
    if not path.parent.is_dir():
        raise OutputError(f"report {path}: {path.parent} is not a folder, expected one. Fix: create it first")


def row(outcome: Outcome) -> tuple[str, ...]:
    """One line of the table; what was not measured is a dash."""
    step = "-" if outcome.step_max_rel is None else f"{outcome.step_max_rel:.1e} from {outcome.step_from}"
    return (
        outcome.rung,
        outcome.artifact,
        outcome.how,
        outcome.against or "-",
        _number(outcome.max_rel),
        _number(outcome.mean_rel),
        "-" if outcome.delta1 is None else f"{outcome.delta1:.4f}",
        allowed_text(outcome),
        "-" if outcome.margin is None else f"{outcome.margin:.0%}",
        step,
        outcome.status,
        outcome.note,
    )


def allowed_text(outcome: Outcome) -> str:
    """Measured and allowed in one cell, such as "rel_l2 1.0e-02 of 2.0e-02"."""
    measured = outcome.measured or {}
    cells = [
        f"{name} {_number(measured.get(LIMITED.get(name, name)))} of {limit:.1e}"
        for name, limit in (outcome.allowed or {}).items()
    ]
    return ", ".join(cells) or "-"


def _why(outcome: Outcome) -> tuple[str, ...]:
    return outcome.rung, outcome.artifact, outcome.how, outcome.note


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; none without rows."""
    if not rows:
        return []
    escaped = [[cell.replace("|", "\\|") for cell in cells] for cells in rows]
    return [
        f"| {' | '.join(header)} |",
        f"|{' --- |' * len(header)}",
        *(f"| {' | '.join(cells)} |" for cells in escaped),
    ]
