"""`pixio-edge report`: files in, files out, and the exit status that continuous integration reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixio_edge.cli.report import parse_limit
from pixio_edge.errors import InputError
from tests.bench_records import JETSON, NOISY, failed, steady, write_records
from tests.command import run_here


class Shell:
    """Runs `pixio-edge report` in a folder of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._monkeypatch, self._capsys = folder, monkeypatch, capsys
        monkeypatch.chdir(folder)

    def run(self, *arguments: object) -> tuple[int, str, str]:
        return run_here(self._monkeypatch, self._capsys, "report", *arguments)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    write_records(tmp_path / "new.jsonl", [steady(11.0, seed=1)])
    write_records(tmp_path / "old.jsonl", [steady(10.0)])
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
    assert shell.run("new.jsonl", "--baseline", "old.jsonl", "--fail-above", limit)[0] == 0


def test_difference_without_a_limit_is_no_failure(shell: Shell) -> None:
    assert shell.run("new.jsonl", "--baseline", "old.jsonl")[0] == 0


def test_what_is_no_longer_timed_fails_the_check(shell: Shell) -> None:
    write_records(shell.folder / "new.jsonl", [steady(1.0, threads=1), failed("failed_accuracy", "max_rel 3")])
    write_records(shell.folder / "old.jsonl", [steady(1.0, threads=1), steady(10.0)])

    status, _, error = shell.run("new.jsonl", "--baseline", "old.jsonl", "--fail-above", "5%")

    assert status == 1
    assert "failed_accuracy: max_rel 3" in error


def test_check_that_could_judge_nothing_fails(shell: Shell) -> None:
    write_records(shell.folder / "new.jsonl", [steady(10.0, noise=NOISY)])

    status, _, error = shell.run("new.jsonl", "--baseline", "old.jsonl", "--fail-above", "5%")

    assert status == 1
    assert "none of 1 pairs can be judged" in error


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
        ([], "Missing argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_leaves_nothing(shell: Shell, arguments: list[str], problem: str) -> None:
    (shell.folder / "empty.jsonl").write_text("", encoding="utf-8")
    (shell.folder / "broken.jsonl").write_text('{"runtime":', encoding="utf-8")
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
