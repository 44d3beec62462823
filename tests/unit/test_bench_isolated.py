"""Processes that measure: killed, hanging, lying; none takes the sweep or the parent with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pixio_edge.bench import isolated
from pixio_edge.bench.isolated import accuracy_isolated, bench_isolated, time_limit_s
from pixio_edge.bench.plan import BenchPlan
from pixio_edge.bench.sweep import run_sweep
from pixio_edge.errors import CheckFailedError
from tests.tiny_bundle import write_tiny_bundle

linux = pytest.mark.skipif(sys.platform != "linux", reason="finds the process in /proc")


@pytest.fixture
def plan(tmp_path: Path) -> BenchPlan:
    folder = write_tiny_bundle(tmp_path / "tiny", sizes=((32, 48),)).folder
    return BenchPlan(
        str(folder), "ort", "onnx-fp32-32x48", threads=1, warmup=1, runs=12, warmup_s=0.0, timed_s=0.0, frame=(72, 128)
    )


def pretend(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a shell script stand in for the interpreter."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text(encoding="ascii").split()]


def children() -> list[int]:
    return children_of(os.getpid())


def is_running(pid: int) -> bool:
    """Whether it is there and no zombie: in a container nobody may look after orphans."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@linux
def test_process_that_is_killed_is_one_row_and_the_sweep_goes_on(plan: BenchPlan, tmp_path: Path) -> None:
    endless = replace(plan, runs=10**9, budget_s=60.0)
    steps: list[str] = []

    def kill_while_timing(step: str) -> None:
        steps.append(step)
        if step == "timing" and steps.count("timing") == 1:
            for pid in children():
                os.kill(pid, signal.SIGKILL)

    rows = [row.record for row in run_sweep([endless, plan], out=tmp_path / "out.jsonl", notify=kill_while_timing)]

    assert [row.status for row in rows] == ["failed", "ok"]
    assert rows[0].reason == "the process was ended by SIGKILL, as when memory runs out: it said nothing"
    assert rows[0].p50_ms is None
    assert steps[:2] == ["loading", "timing"]
    assert "whole frames" in steps[2:]


@linux
def test_interruption_ends_the_process_and_keeps_the_finished_rows(plan: BenchPlan, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    endless = replace(plan, runs=10**9, budget_s=60.0)
    timing = 0

    def interrupt_the_second(step: str) -> None:
        nonlocal timing
        timing += step == "timing"
        if timing == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run_sweep([plan, endless], out=out, notify=interrupt_the_second))

    assert children() == []
    assert len(out.read_text(encoding="utf-8").splitlines()) == 1


def test_process_that_hangs_is_ended(plan: BenchPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, "exec sleep 600", monkeypatch)
    monkeypatch.setattr(isolated, "time_limit_s", lambda _: 0.2)

    record = bench_isolated(plan)

    assert (record.status, record.reason) == ("failed", "the process said nothing for 0 s")


def test_process_that_dies_at_once_says_its_last_words(
    plan: BenchPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(tmp_path, "echo noise; echo 'Traceback' >&2; echo 'MemoryError: 3 GiB' >&2; exit 7", monkeypatch)

    record = bench_isolated(plan)

    assert record.reason == "the process ended with 7: MemoryError: 3 GiB"


def test_what_engines_print_is_no_result(plan: BenchPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, "echo '{\"result\": 1}'; echo warming up; exit 0", monkeypatch)

    record = bench_isolated(plan)

    assert record.reason == "the process ended with 0: it said nothing"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ('{"result": {"runs": ', "the process said what cannot be read"),
        ("[1]", "the process said '[1]', which is no message"),
        ('{"result": {"runs": NaN}}', "benchmark record: field"),
        ('{"result": 7}', "benchmark record: got int"),
    ],
)
def test_result_that_cannot_be_read_is_one_row_that_failed(
    plan: BenchPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, reason: str
) -> None:
    pretend(tmp_path, f"echo 'pixio-edge-bench: {said}'", monkeypatch)

    record = bench_isolated(plan)

    assert record.status == "failed"
    assert (record.reason or "").startswith(reason)
    with pytest.raises(CheckFailedError):
        accuracy_isolated(plan, tmp_path)


def test_process_that_cannot_be_started_is_one_row_that_failed(
    plan: BenchPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "absent"))

    assert bench_isolated(plan).reason == "no process could be started (No such file or directory)"


def test_slow_process_that_says_how_far_it_is_does_not_hang(
    plan: BenchPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = 'for i in 1 2 3 4 5 6; do sleep 0.5; echo \'pixio-edge-bench: {"progress": "timing"}\'; done'
    pretend(tmp_path, f'{talk}; echo \'pixio-edge-bench: {{"problem": "done"}}\'', monkeypatch)
    monkeypatch.setattr(isolated, "time_limit_s", lambda _: 2.0)

    assert bench_isolated(plan).reason == "done"


def test_modules_in_the_current_folder_are_not_run(
    plan: BenchPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Robots' workspaces have files of such names, and a checkout of another version has a `pixio_edge`."""
    folder = tmp_path / "workspace"
    (folder / "pixio_edge").mkdir(parents=True)
    for name in ("queue.py", "signal.py", "pixio_edge/__init__.py"):
        (folder / name).write_text("raise SystemExit(f'{__file__} ran')\n", encoding="utf-8")
    monkeypatch.chdir(folder)

    record = bench_isolated(plan)

    assert (record.status, record.reason) == ("ok", None)


def test_python_path_of_the_user_counts_in_the_process_too(
    plan: BenchPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "queue.py").write_text("raise SystemExit('ours ran')\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))

    assert bench_isolated(plan).reason == "the process ended with 1: ours ran"


@linux
def test_what_an_engine_writes_to_standard_output_is_not_in_the_way(
    plan: BenchPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a line that looks like a message, in the middle of the run."""
    code = (
        "import os; from pixio_edge.runtimes.ort import OrtRuntime; real = OrtRuntime._run\n"
        "def _run(self, feeds):\n    os.write(1, b'pixio-edge-bench: {'); return real(self, feeds)\n"
        "OrtRuntime._run = _run\n"
    )
    monkeypatch.setattr(isolated, "PROGRAM", isolated.PROGRAM.replace("; serve()", f"\n{code}serve()"))

    assert bench_isolated(plan).status == "ok"


@linux
def test_process_ends_with_a_parent_that_was_killed(plan: BenchPlan) -> None:
    endless = replace(plan, runs=10**9, budget_s=600.0)
    code = (
        "import json; from pixio_edge.bench.isolated import BenchPlan, bench_isolated\n"
        f"bench_isolated(BenchPlan.from_json(json.loads({json.dumps(endless.to_json())!r})), "
        "notify=lambda step: print(step, flush=True))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, encoding="utf-8")
    assert parent.stdout is not None
    while "timing" not in parent.stdout.readline():
        assert parent.poll() is None
    (child,) = children_of(parent.pid)

    parent.kill()
    parent.wait()
    parent.stdout.close()

    end = time.monotonic() + 60.0
    while is_running(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_running(child)


def test_time_limit_grows_with_the_longest_silence(plan: BenchPlan) -> None:
    assert time_limit_s(replace(plan, sustained_s=60 * 600.0)) > 600.0
    assert time_limit_s(replace(plan, budget_s=600.0)) > time_limit_s(plan) + 600.0


def test_accuracy_that_cannot_be_measured_says_why(plan: BenchPlan, tmp_path: Path) -> None:
    with pytest.raises(CheckFailedError, match="no such folder, expected a data set"):
        accuracy_isolated(plan, tmp_path / "absent")
