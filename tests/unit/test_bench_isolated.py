"""Processes that measure: killed, hanging, lying; none takes the sweep or the parent with it."""

from __future__ import annotations

import os
import signal
import sys
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
    return BenchPlan(str(folder), "ort", "onnx-fp32-32x48", threads=1, warmup=1, runs=12, frame=(72, 128))


def pretend(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a shell script stand in for the interpreter."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


def children() -> list[int]:
    tasks = Path("/proc/self/task").glob("*/children")
    return [int(pid) for task in tasks for pid in task.read_text(encoding="ascii").split()]


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

    assert (record.status, record.reason) == ("failed", "the process did not end within 0 s")


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


def test_time_limit_grows_with_what_is_asked(plan: BenchPlan) -> None:
    assert time_limit_s(replace(plan, sustained_s=600.0)) > time_limit_s(plan) + 600.0


def test_accuracy_that_cannot_be_measured_says_why(plan: BenchPlan, tmp_path: Path) -> None:
    with pytest.raises(CheckFailedError, match="no such folder, expected a data set"):
        accuracy_isolated(plan, tmp_path / "absent")
