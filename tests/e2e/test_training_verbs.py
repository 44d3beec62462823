"""`train` and `scenes` where their extra is not installed; tests/unit has the rest without a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_pool import write_small_pool

WITHOUT_TORCH = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch' (blocked)", name="torch")

sys.meta_path.insert(0, Blocker())
sys.argv[0] = "pixio-edge"
from pixio_edge.cli.main import main
main()
"""


@pytest.mark.parametrize(
    "arguments",
    [("train", "run"), ("pretrain", "run"), ("distill", "run", "--teacher", "nano", "--images", "."), ("scenes",)],
    ids=lambda arguments: arguments[0],
)
def test_verb_names_its_extra_in_one_line_when_torch_is_missing(arguments: tuple[str, ...], tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )

    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        f"pixio-edge: pixio-edge {arguments[0]} needs the package 'torch', which is not installed. "
        "Fix: pip install 'pixio-edge[train]'"
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["train", "scenes"])
def test_help_works_when_torch_is_missing(verb: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, verb, "--help"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )

    assert result.returncode == 0, result.stderr
    assert "--textures" in result.stdout
    assert f"pixio-edge {verb}" in result.stdout


@pytest.mark.slow
def test_launched_processes_train_one_run_and_print_one_result(tmp_path: Path) -> None:
    for part, seed in (("pool", 1), ("held_back", 2)):
        write_small_pool(tmp_path / "run" / part, images=8, seed=seed)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "pixio_edge.cli.main"]
    scenes = ["--scenes", "8", "--held-back", "8", "--scene-size", "48x64"]
    length = ["--preset", "tiny", "--images", "16", "--batch", "4", "--stage", "1:48x64"]

    result = subprocess.run(
        [sys.executable, *launcher, "train", "run", *scenes, *length, "--threads", "1", "--json"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
    )

    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["step"] == 4  # one document: the other process has printed nothing
