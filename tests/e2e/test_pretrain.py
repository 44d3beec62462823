"""`pixio-edge pretrain` as a user calls it; tests/unit/test_pretrain*.py has the rest without processes of its own."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import assert_one_line_error, leftovers, run_command
from small_pool import write_index_folder

SHORT = ("--preset", "tiny", "--count", "8", "--batch", "4", "--stage", "1:64x64", "--threads", "1")


@pytest.mark.slow
def test_pretrained_encoder_is_what_training_begins_with_and_the_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number in range(4):
        picture = rng.integers(0, 255, (70, 90, 3), dtype=np.uint8)
        assert cv2.imwrite(str(tmp_path / "photos" / f"{number}.png"), picture)
    write_index_folder(tmp_path / "data", images=4)

    command = ("pretrain", "begun", *SHORT, "--images", "photos", "--json")
    pretrained, again = (run_command(*command, cwd=tmp_path) for _ in range(2))
    trained = run_command(
        *("train", "run", "--encoder-from", "begun/model.safetensors", "--data", "data", "--preset", "tiny"),
        *("--images", "8", "--batch", "4", "--stage", "1:48x64", "--threads", "1"),
        cwd=tmp_path,
    )

    assert pretrained.returncode == 0, pretrained.stderr
    record = json.loads(pretrained.stdout)
    assert (record["step"], record["weights"]) == (2, str(Path("begun", "model.safetensors")))
    assert json.loads(again.stdout) == record
    assert leftovers(tmp_path / "begun") == [
        *("checkpoint.pt", "config.json", "curve.png", "log.jsonl", "model.safetensors", "reconstructions.png")
    ]
    assert trained.returncode == 0, trained.stderr


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [((), "got no images"), (("--images", "missing"), "missing"), (("--pool", "missing"), "missing")],
    ids=["none", "photos", "pool"],
)
def test_pretrain_explains_itself_in_one_line_when_there_are_no_images(
    arguments: tuple[str, ...], fragment: str, tmp_path: Path
) -> None:
    result = run_command("pretrain", "run", *SHORT, *arguments, cwd=tmp_path)

    assert_one_line_error(result, fragment)
    assert leftovers(tmp_path) == []
