"""`export` and `train` from the outside; tests/unit has what loads torch, which takes seconds in each process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import assert_one_line_error, leftovers, run_command

TERMS = ("--licence", "Apache-2.0", "--commercial")


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (("text.safetensors", *TERMS, "--format", "stone"), "stone"),
        (("text.safetensors", *TERMS, "--training-record", "text.safetensors"), "--training-record"),
        (("text.safetensors", "--commercial"), "--licence"),
    ],
)
def test_export_explains_itself_in_one_line_when_something_is_wrong(
    arguments: tuple[str, ...], fragment: str, tmp_path: Path
) -> None:
    (tmp_path / "text.safetensors").write_text("this is text")

    result = run_command("export", *arguments, "-o", "bundle", cwd=tmp_path)

    assert_one_line_error(result, fragment)
    assert leftovers(tmp_path) == ["text.safetensors"]


@pytest.mark.slow
def test_train_leaves_weights_that_export_takes_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    command = ("train", "run", "--preset", "tiny", "--scenes", "8", "--held-back", "8", "--batch", "4")

    trained = run_command(*command, "--images", "32", "--stage", "1:32x48", cwd=tmp_path)
    again = run_command(*command, "--images", "32", "--stage", "1:32x48", cwd=tmp_path)
    exported = run_command(
        *("export", "run/model.safetensors", "-o", "bundle", *TERMS, "--preset", "tiny", "--size", "32x48"),
        cwd=tmp_path,
    )

    assert trained.returncode == 0, trained.stderr
    assert again.returncode == 0, again.stderr
    assert exported.returncode == 0, exported.stderr
    assert {"curve.png", "log.jsonl", "checkpoint.pt", "config.json"} <= set(leftovers(tmp_path / "run"))
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert max(steps) == 8
