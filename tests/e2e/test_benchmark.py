"""`pixio-edge benchmark` as a person runs it: interrupted, resumed, and with a target."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import EXECUTABLE, TIMEOUT_S, assert_one_line_error, run_command

QUICK = ("--runtime", "ort", "--threads", "1", "--runs", "10", "--frame", "72x128")


@pytest.mark.skipif(sys.platform == "win32", reason="sends an interrupt as POSIX has it")
def test_interrupted_benchmark_loses_nothing_and_goes_on(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    arguments = ["benchmark", str(bundle), *QUICK, "--out", str(out)]
    process = subprocess.Popen(
        [str(EXECUTABLE), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    end = time.monotonic() + TIMEOUT_S
    while not (out.exists() and out.stat().st_size) and time.monotonic() < end:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    before = out.read_text(encoding="utf-8").splitlines()

    result = run_command(*arguments, "--target-ms", "1000")

    assert process.returncode == 130, errors
    assert f"of 3 rows were measured and are in {out}; the same command goes on" in errors
    assert "Traceback" not in errors
    assert 1 <= len(before) < 3
    assert result.returncode == 0, result.stderr
    assert out.read_text(encoding="utf-8").splitlines()[: len(before)] == before
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row["size"] for row in rows] == [[32, 32], [32, 48], [48, 32]]
    assert "for 1000 ms: ort onnx-fp32-" in result.stdout


def test_target_that_nothing_keeps_ends_with_1(bundle: Path) -> None:
    result = run_command("benchmark", bundle, *QUICK, "--size", "32x48", "--target-ms", "0.0001", "--json")

    assert_one_line_error(result, "nothing keeps 0.0001 ms", exit_code=1)
    content = json.loads(result.stdout)
    assert content["choice"]["fits"] is False
    assert content["records"][0]["status"] == "ok"


def test_requests_in_flight_give_throughput_and_no_whole_frames(bundle: Path) -> None:
    result = run_command("benchmark", bundle, *QUICK, "--size", "32x48", "--batch", "2", "--json")

    assert result.returncode == 0, result.stderr
    (record,) = json.loads(result.stdout)
    assert (record["batch"], record["runs"], len(record["times_ms"])) == (2, 20, 20)
    assert record["throughput_fps"] > 0
    assert (record["fps"], record["pre_ms"], record["energy_mj"]) == (None, None, None)
    assert record["providers"] == {"CPUExecutionProvider": sum(record["providers"].values())}
