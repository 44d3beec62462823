"""`pixio-edge report`: files in, files out, and the exit status that continuous integration reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pixio_edge.bench.record import BenchRecord
from pixio_edge.cli.report import parse_limit
from pixio_edge.errors import InputError
from tests.bench_records import JETSON, NOISY, failed, steady, write_records
from tests.command import run_here


def repeated(median_ms: float, *, seed: int = 0, **changes: Any) -> list[BenchRecord]:
    """Records of five processes."""
    return [steady(median_ms, seed=seed + process, **changes) for process in range(5)]


class Shell:
    """Runs `pixio-edge report` in a folder of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._monkeypatch, self._capsys = folder, monkeypatch, capsys
        monkeypatch.chdir(folder)

    def run(self, *arguments: object) -> tuple[int, str, str]:
        return run_here(self._monkeypatch, self._capsys, "report", *arguments)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    write_records(tmp_path / "new.jsonl", repeated(11.0, seed=9))
    write_records(tmp_path / "old.jsonl", repeated(10.0))
    return Shell(tmp_path, monkeypatch, capsys)


def test_page_is_written_where_it_is_asked_for(shell: Shell) -> None:
    assert shell.run("new.jsonl", "-o", "page.html") == (0, "wrote page.html\n", "")

    assert (shell.folder / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert shell.run("new.jsonl", "old.jsonl")[1] == "wrote report.html\n"


def test_markdown_and_json_are_printed_and_write_nothing(shell: Shell) -> None:
    before = sorted(shell.folder.iterdir())

    status, markdown, _ = shell.run("new.jsonl", "--markdown")
    assert (status, markdown.splitlines()[0]) == (0, "### AMD Ryzen 7 7840U, 8 cores")
    status, printed, _ = shell.run("new.jsonl", "--json", "--baseline", "old.jsonl")
    assert status == 0
    assert json.loads(printed)["comparison"]["pairs"][0]["verdict"] == "slower"
    assert sorted(shell.folder.iterdir()) == before


def test_slower_than_the_limit_fails_after_the_page_is_written(shell: Shell) -> None:
    status, out, error = shell.run("new.jsonl", "--baseline", "old.jsonl", "--fail-above", "5%")

    assert status == 1
    assert "1 slower" in out
    assert "slower than the baseline by more than 5%" in error
    assert "nano onnx-fp32-256x256 ort fp32 2 threads 1.10x" in error
    assert (shell.folder / "report.html").exists()


@pytest.mark.parametrize("limit", ["15%", "15", "9.5%"])
def test_slower_within_the_limit_or_its_interval_passes(shell: Shell, limit: str) -> None:
    # The interval of 9.5% ends above it, so that is undecided, and allowed to be.
    allowed = () if limit.startswith("15") else ("--allow-undecided", "100")
    status, _, error = shell.run("new.jsonl", "--baseline", "old.jsonl", "--fail-above", limit, *allowed)
    assert (status, "pairs judged" in error) == (0, True)


def test_difference_without_a_limit_is_no_failure(shell: Shell) -> None:
    assert shell.run("new.jsonl", "--baseline", "old.jsonl")[0] == 0


def test_what_is_no_longer_timed_fails_the_check(shell: Shell) -> None:
    write_records(shell.folder / "new.jsonl", [*repeated(1.0, threads=1), failed("failed_accuracy", "max_rel 3")])
    write_records(shell.folder / "old.jsonl", [*repeated(1.0, threads=1), *repeated(10.0)])

    status, _, error = shell.run("new.jsonl", "--baseline", "old.jsonl", "--fail-above", "5%")

    assert status == 1
    assert "failed_accuracy: max_rel 3" in error


def test_check_that_could_judge_nothing_fails(shell: Shell) -> None:
    write_records(shell.folder / "new.jsonl", repeated(10.0, noise=NOISY))

    status, _, error = shell.run("new.jsonl", "--baseline", "old.jsonl", "--fail-above", "5%")

    assert status == 1
    assert "0 of 1 pairs judged at 5%, expected 80% at least (1 noisy)" in error


def test_gross_slowdown_fails_the_check_even_when_noisy(shell: Shell) -> None:
    write_records(shell.folder / "new.jsonl", [*repeated(30.0, noise=NOISY), *repeated(5.0, threads=1)])
    write_records(shell.folder / "old.jsonl", [*repeated(10.0), *repeated(5.0, threads=1)])

    status, _, error = shell.run("new.jsonl", "--baseline", "old.jsonl", "--fail-above", "5%")

    assert status == 1
    assert "2 threads 3.00x (noisy)" in error
    assert "2 of 2 pairs judged" in error


def test_rows_that_disappeared_fail_the_check_unless_a_subset_was_asked_for(shell: Shell) -> None:
    write_records(shell.folder / "new.jsonl", repeated(10.0, seed=9))
    write_records(shell.folder / "old.jsonl", [*repeated(10.0), *repeated(5.0, threads=1)])
    arguments = ("new.jsonl", "--baseline", "old.jsonl", "--fail-above", "5%")

    status, _, error = shell.run(*arguments)

    assert status == 1
    assert "ort fp32 1 thread missing" in error
    assert shell.run(*arguments, "--subset")[0] == 0


def test_more_undecided_pairs_than_allowed_fail_the_check(shell: Shell) -> None:
    quiet = [record for threads in (1, 2, 3) for record in repeated(10.0, threads=threads)]
    write_records(shell.folder / "old.jsonl", [*quiet, *repeated(10.0, threads=4)])
    write_records(shell.folder / "new.jsonl", [*quiet, *repeated(10.0, threads=4, noise=NOISY)])
    arguments = ("new.jsonl", "--baseline", "old.jsonl", "--fail-above", "5%")

    status, _, error = shell.run(*arguments)

    assert (status, "3 of 4 pairs judged" in error) == (1, True)
    status, _, error = shell.run(*arguments, "--allow-undecided", "25%")
    assert (status, "3 of 4 pairs judged, none slower" in error) == (0, True)


def test_other_host_is_refused_unless_asked_for(shell: Shell) -> None:
    write_records(shell.folder / "new.jsonl", [steady(10.0, host=JETSON)])

    status, _, error = shell.run("new.jsonl", "--baseline", "old.jsonl")
    assert (status, len(error.splitlines())) == (2, 1)
    assert "--across-hosts" in error
    assert not (shell.folder / "report.html").exists()
    assert shell.run("new.jsonl", "--baseline", "old.jsonl", "--across-hosts")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["absent.jsonl"], "absent.jsonl: cannot be read"),
        (["empty.jsonl"], "got no record"),
        (["broken.jsonl"], "line 1: not JSON"),
        (["other.jsonl"], "line 1: benchmark record"),
        (["failed.jsonl"], "failed: it died"),
        (["."], "cannot be read"),
        (["new.jsonl", "-o", "absent/report.html"], "absent is not a folder"),
        (["new.jsonl", "-o", "."], "it is a folder"),
        (["new.jsonl", "--baseline", "empty.jsonl"], "got no record"),
        (["new.jsonl", "--fail-above", "5%"], "got no baseline"),
        (["new.jsonl", "--baseline", "old.jsonl", "--fail-above", "lots"], "expected a percentage"),
        (["new.jsonl", "--json", "--markdown"], "expected one of them"),
        (["new.jsonl", "--baseline", "old.jsonl", "--allow-undecided", "few"], "--allow-undecided: got 'few'"),
        ([], "Missing argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_leaves_nothing(shell: Shell, arguments: list[str], problem: str) -> None:
    (shell.folder / "empty.jsonl").write_text("", encoding="utf-8")
    (shell.folder / "broken.jsonl").write_text('{"runtime":\n', encoding="utf-8")
    (shell.folder / "other.jsonl").write_text('{"some": "log"}', encoding="utf-8")
    write_records(shell.folder / "failed.jsonl", [failed("failed", "it died")])
    before = sorted(shell.folder.iterdir())

    status, out, error = shell.run(*arguments)

    assert (status, out) == (2, "")
    assert len(error.splitlines()) == 1
    assert problem in error
    assert "Fix: " in error
    assert sorted(shell.folder.iterdir()) == before


def test_limit_is_a_percentage() -> None:
    assert [parse_limit(text) for text in (None, "5%", "2.5 %", "0")] == [None, 0.05, 0.025, 0]
    for text in ("-5%", "5x", "", "nan", "%"):
        with pytest.raises(InputError, match="--fail-above"):
            parse_limit(text)
