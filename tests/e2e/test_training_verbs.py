"""`train` and `scenes` where their extra is not installed; tests/unit has the rest without a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command import EXECUTABLE
from small_pool import write_small_pool

WITHOUT = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "{package}":
            raise ModuleNotFoundError("No module named '{package}' (blocked)", name="{package}")

sys.meta_path.insert(0, Blocker())
sys.argv[0] = "pixio-edge"
from pixio_edge.cli.main import main
main()
"""


def run_without(package: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    code = WITHOUT.format(package=package)
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=cwd)


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("torch", ("train", "run")),
        ("torch", ("pretrain", "run")),
        ("torch", ("distill", "run", "--teacher", "nano", "--images", ".")),
        ("numba", ("train", "run")),
        ("numba", ("scenes",)),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_verb_names_its_extra_in_one_line_when_a_package_is_missing(
    package: str, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    result = run_without(package, *arguments, cwd=tmp_path)

    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        f"pixio-edge: pixio-edge {arguments[0]} needs the package '{package}', which is not installed. "
        "Fix: pip install 'pixio-edge[train]'"
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["torch", "numba"])
@pytest.mark.parametrize("verb", ["train", "scenes"])
def test_help_works_when_a_package_is_missing(verb: str, package: str, tmp_path: Path) -> None:
    result = run_without(package, verb, "--help", cwd=tmp_path)

    assert result.returncode == 0, result.stderr
    assert "--textures" in result.stdout
    assert f"pixio-edge {verb}" in result.stdout


# From the signal to the end; without it, an interrupted run would wait for compilers and for tasks of a second.
QUICK_S = 10.0


@contextmanager
def rendering_run(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """`train` in a process group of its own, as a terminal starts it, with 4 scenes to render first and then many."""
    (folder / "temporary").mkdir()
    scenes = ["--scenes", "100000", "--held-back", "4", "--scene-size", "48x64", "--renderers", "2"]
    with subprocess.Popen(
        [str(EXECUTABLE), "train", "run", *scenes, "--preset", "tiny", "--images", "8", "--batch", "4"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder / "temporary")},
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if is_alive(process.pid):
                os.killpg(process.pid, signal.SIGKILL)


def is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition: Callable[[], bool], *, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def has_begun(folder: Path, moment: str) -> bool:
    """Whether processes are being started, or render."""
    if moment == "starting":
        return any((folder / "temporary").glob("*/stage.pickle"))
    return (folder / "run" / "held_back" / "inverse-00000.npy").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="process groups and their signals need POSIX")
@pytest.mark.parametrize("moment", [pytest.param("starting", marks=pytest.mark.slow), "rendering"])
def test_interruption_while_rendering_ends_all_processes_at_once(moment: str, tmp_path: Path) -> None:
    with rendering_run(tmp_path) as process:
        # A first run compiles the renderer.
        wait_for(lambda: has_begun(tmp_path, moment), limit_s=300)
        signalled = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        stdout, stderr = process.communicate(timeout=120)
        seconds = time.monotonic() - signalled
        # Python's own tracker of semaphores ends a moment later.
        wait_for(lambda: not is_alive(process.pid), limit_s=QUICK_S)

    assert process.returncode == 130, stderr
    lines = stderr.splitlines()
    assert lines[0] == "pixio-edge: interrupted; run is saved, and the same command goes on from there"
    assert all(line.startswith("pixio-edge: ") for line in lines), stderr
    assert stdout == ""
    assert seconds < QUICK_S
    assert list((tmp_path / "temporary").iterdir()) == []
    left = {path.suffix for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert left <= {".npy", ".json"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="process groups and their signals need POSIX")
def test_renderers_end_when_the_command_is_killed(tmp_path: Path) -> None:
    with rendering_run(tmp_path) as process:
        wait_for(lambda: has_begun(tmp_path, "rendering"), limit_s=300)
        process.kill()
        process.wait(timeout=60)
        wait_for(lambda: not is_alive(process.pid), limit_s=QUICK_S)

        process.communicate(timeout=60)


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
