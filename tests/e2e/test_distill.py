"""`pixio-edge distill` from the command line: a run, a plan, and what it refuses before any work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from command import run_command
from small_photos import write_photos, write_teacher

from pixio_edge.cli.distill import distill
from pixio_edge.errors import InputError, PixioEdgeError
from pixio_edge.training.run_folder import RunFolder


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("distill")
    return {
        "teacher": str(write_teacher(folder / "teacher.safetensors")),
        "photos": [str(write_photos(folder / "photos"))],
        "student": "tiny",
        "teacher_side": 48,
        "count": 8,
        "batch": 4,
        "stages": ["1:48x64"],
        "threads": 1,
    }


def test_run_ends_with_weights_that_a_cache_has_helped_to_make(options: dict[str, Any], tmp_path: Path) -> None:
    result = run_command(
        *("distill", tmp_path / "run", "--teacher", options["teacher"], "--images", options["photos"][0]),
        *("--student", "tiny", "--teacher-side", "48", "--count", "8", "--batch", "4", "--stage", "1:48x64"),
        *("--cache", tmp_path / "cache", "--qat-share", "0.5", "--threads", "1", "--json"),
    )

    assert result.returncode == 0, result.stderr
    record = json.loads(result.stdout)
    assert record["step"] == 2
    assert record["held_back"] > 0
    assert record["held_back_int8"] > 0
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert list((tmp_path / "cache").rglob("*.npz"))


def test_dry_run_says_how_large_the_cache_gets_and_writes_nothing(
    options: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"

    distill(tmp_path / "run", **options, cache=cache, dry_run=True, json=True)
    record = json.loads(capsys.readouterr().out)
    distill(tmp_path / "run", **options, dry_run=True)
    table = capsys.readouterr().out

    assert list(tmp_path.iterdir()) == []
    assert (record["photos"], record["steps"], record["cached_share"]) == (8, 2, 0)
    assert record["cache_bytes"] == 8 * 48 * 64 * 2
    assert "without --cache" in table
    assert "size of all lessons" in table


def test_stopped_run_goes_on_with_the_same_command(options: dict[str, Any], tmp_path: Path) -> None:
    distill(tmp_path / "run", **options, json=True)
    steps = RunFolder(tmp_path / "run").steps_done()

    distill(tmp_path / "run", **options, json=True)

    assert steps == RunFolder(tmp_path / "run").steps_done() == 2


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        ({"teacher": "nowhere.safetensors"}, "nowhere.safetensors"),
        ({"teacher_preset": "giant"}, "giant"),
        ({"photos": ["nowhere"]}, "nowhere"),
        ({"student": "giant"}, "giant"),
        ({"stages": ["big"]}, "--stage"),
        ({"optimizer": "sgd"}, "--optimizer"),
        ({"label_weight": 0.0}, "weights"),
        ({"qat_share": 2.0}, "qat_share"),
        ({"device": "abacus"}, "abacus"),
        ({"batch": 3, "accumulate": 2}, "multiple of 2"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_nothing_is_written_when_an_option_is_wrong(
    change: dict[str, Any], fragment: str, options: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(PixioEdgeError, match=fragment):
        distill(tmp_path / "run", **(options | change))

    assert list(tmp_path.iterdir()) == []


def test_other_run_is_refused_before_the_teacher_works(options: dict[str, Any], tmp_path: Path) -> None:
    RunFolder(tmp_path / "run").claim({"images": 1})

    with pytest.raises(InputError, match="than the run was started with"):
        distill(tmp_path / "run", **options, cache=tmp_path / "cache")

    assert not (tmp_path / "cache").exists()
