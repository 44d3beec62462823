"""`pixio-edge export --format tensorrt` as a user runs it: on the embedded bundle, without a GPU, torch or TensorRT."""

from __future__ import annotations

import json
from pathlib import Path

from command import assert_one_line_error, leftovers, run_command


def test_embedded_bundle_is_exported_for_tensorrt_in_both_precisions_and_stays_usable(tmp_path: Path) -> None:
    result = run_command("export", "nano", "-o", "out", "--format", "tensorrt", "-s", "192x336", "--json", cwd=tmp_path)

    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    added = {a["name"]: a for a in report["artifacts"] if a["kind"] == "tensorrt"}
    assert set(added) == {"tensorrt-fp16-192x336", "tensorrt-int8-192x336"}
    assert (
        added["tensorrt-fp16-192x336"]["parity"]["rel_l2"] < added["tensorrt-int8-192x336"]["parity"]["rel_l2"] < 0.02
    )
    assert report["notes"] == []
    shown = run_command("inspect", "out", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "tensorrt,tensorrt-rtx" in shown.stdout


def test_options_of_another_format_are_refused_and_nothing_is_left_behind(tmp_path: Path) -> None:
    result = run_command("export", "nano", "-o", "out", "--format", "tensorrt", "--variant", "w8", cwd=tmp_path)

    assert_one_line_error(result, "--variant: is about coreml", "--format coreml")
    assert leftovers(tmp_path) == []
