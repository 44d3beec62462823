"""What the verbs print, and how the command ends."""

from __future__ import annotations

import json
import math
import sys

import pytest

from pixio_edge.cli import main as cli
from pixio_edge.cli.console import Meter, print_json, print_problem, print_table, track
from pixio_edge.errors import CheckFailedError, InputError


def test_json_has_null_where_a_number_is_not_finite(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [math.nan, 1.5], "b": (math.inf,), "ä": None})

    assert json.loads(capsys.readouterr().out) == {"a": [None, 1.5], "b": [None], "ä": None}


def test_problem_is_one_line_when_the_message_has_several(capsys: pytest.CaptureFixture[str]) -> None:
    print_problem("first\n  second")

    captured = capsys.readouterr()
    assert captured.err == "pixio-edge: first second\n"
    assert captured.out == ""


def test_table_flushes_numbers_right_and_text_left(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "ms"), [("a", "1.5"), ("longer", "-"), ("b", "100.0")])

    assert capsys.readouterr().out == "name       ms\na         1.5\nlonger      -\nb       100.0\n"


def test_track_passes_everything_on_and_draws_nothing_when_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert list(track([1, 2, 3], total=3, label="work")) == [1, 2, 3]
    assert capsys.readouterr() == ("", "")


def test_meter_draws_on_standard_error_only_when_that_is_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")

    with Meter("work") as meter:
        meter.update(1, 2, "half")
        sys.stdout.write("a result\n")

    captured = capsys.readouterr()
    assert captured.out == "a result\n"
    assert "work half" in captured.err


def raise_in_app(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def app(*, standalone_mode: bool) -> None:
        raise error

    monkeypatch.setattr(cli, "app", app)


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("bad. Fix: this"), 2, "pixio-edge: bad. Fix: this\n"),
        (CheckFailedError("differs"), 1, "pixio-edge: differs\n"),
        (KeyboardInterrupt(), 130, "pixio-edge: interrupted\n"),
    ],
)
def test_main_ends_with_the_status_of_the_error(
    error: BaseException,
    status: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    raise_in_app(error, monkeypatch)

    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == status
    assert capsys.readouterr().err == line


def test_main_keeps_the_traceback_when_the_error_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    raise_in_app(ZeroDivisionError("defect"), monkeypatch)

    with pytest.raises(ZeroDivisionError, match="defect"):
        cli.main()
