"""`pixio-edge verify` from the outside: the ladder, its report, and a base install. More in `test_bundle_verbs.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command import TIMEOUT_S, assert_one_line_error, run_command
from tiny_bundle import SIZES

WITHOUT_EXTRAS = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "onnx", "openvino", "coremltools", "tensorrt_rtx", "safetensors"}:
            raise ModuleNotFoundError(f"No module named {name!r} (blocked)", name=name)

sys.meta_path.insert(0, Blocker())
sys.argv[1:] = ["verify", sys.argv[1], "--runtime", "ort"]
from pixio_edge.cli.main import main
main()
"""


def test_verify_shows_and_keeps_what_ran_and_what_did_not(bundle: Path, tmp_path: Path) -> None:
    result = run_command("verify", bundle, "--report", tmp_path / "report.md")

    assert result.returncode == 0, result.stderr
    header = next(line for line in result.stdout.splitlines() if line.startswith("rung"))
    assert " ".join(header.split()) == "rung artifact how against max_rel mean delta1 allowed margin step status note"
    assert "golden_32x32.npz" in result.stdout
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert text.startswith("# Verification of tiny\n")
    assert all(f"onnx-fp32-{height}x{width}" in text for height, width in SIZES)


def test_verify_takes_one_size_alone(bundle: Path) -> None:
    height, width = SIZES[0]

    result = run_command("verify", bundle, "--size", f"{height}x{width}", "--runtime", "ort", "--json")

    assert result.returncode == 0, result.stderr
    assert [item["artifact"] for item in json.loads(result.stdout)["results"]] == [f"onnx-fp32-{height}x{width}"]


def test_report_is_written_when_verification_fails(tmp_path: Path, bundle: Path) -> None:
    report = tmp_path / "report.json"

    result = run_command("verify", bundle, "--runtime", "pytorch", "--report", report)

    assert_one_line_error(result, "no artifact could be run", exit_code=1)
    assert json.loads(report.read_text(encoding="utf-8"))["results"] == []


def test_verify_needs_nothing_but_the_base_install_for_onnx(bundle: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS, str(bundle)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        cwd=tmp_path,
    )

    assert result.returncode == 0, result.stderr
    assert "3 ok, 0 failed, 0 skipped" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--report", "report.txt"), "expected .json or .md"),
        (("--report", "missing/report.md"), "missing is not a folder"),
        (("--compute-capability", "8.6"), "--ahead-of-time"),
        (("--provider", "cuda"), "add --runtime ort"),
        (("--runtime", "abacus"), "abacus"),
        (("--artifact", "abacus"), "artifact 'abacus'"),
        (("--size", "64"), "size 64x64"),
        (("--ahead-of-time", "--compute-capability", "fast"), "got 'fast', expected MAJOR.MINOR"),
    ],
)
def test_verify_refuses_bad_usage_before_any_work(
    bundle: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = run_command("verify", bundle, *arguments, cwd=tmp_path)

    assert_one_line_error(result, message)
    assert result.stdout == ""
    assert not list(tmp_path.iterdir())
