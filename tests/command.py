"""Runs the command: as installed, in a process of its own, or here."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from pixio_edge.cli.main import main

# Long for a loaded runner; a command that hangs must fail its test and not the whole run.
TIMEOUT_S = 120

EXECUTABLE = Path(sysconfig.get_path("scripts")) / ("pixio-edge.exe" if sys.platform == "win32" else "pixio-edge")


def run_command(
    *arguments: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(EXECUTABLE), *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=TIMEOUT_S,
        check=False,
        cwd=cwd,
        env={**os.environ, **(env or {})},
    )


def run_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    """Runs the command in this process, where fakes can stand in: its status and what it printed."""
    monkeypatch.setattr(sys, "argv", ["pixio-edge", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    return (int(caught.value.code or 0), *capsys.readouterr())


def assert_one_line_error(result: subprocess.CompletedProcess[str], *fragments: str, exit_code: int = 2) -> None:
    """The contract for bad input: the status, one line on standard error with the fix, and no traceback."""
    assert result.returncode == exit_code, result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("pixio-edge: ")
    assert "Fix:" in lines[0]
    for fragment in fragments:
        assert fragment in lines[0], lines[0]


def leftovers(folder: Path) -> list[str]:
    """Everything below a folder that may not stay behind after a failure."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
