"""`pixio-edge conformance` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from command import assert_one_line_error, run_command

CASE = "onnx-fp32-32x32"


def test_written_folder_takes_the_right_output_and_refuses_another(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "conformance"
    written = run_command("conformance", "write", bundle, "-o", folder)
    assert written.returncode == 0, written.stderr
    assert CASE in written.stdout
    depth = np.load(folder / "golden_32x32.depth.npy")
    np.save(tmp_path / "wrong.npy", depth * 2)

    depth[0, 3, 4] = np.nan
    np.save(tmp_path / "nan.npy", depth)

    right = run_command("conformance", "check", folder, CASE, folder / "golden_32x32.depth.npy", "--json")
    wrong = run_command("conformance", "check", folder, CASE, tmp_path / "wrong.npy")
    broken = run_command("conformance", "check", folder, CASE, tmp_path / "nan.npy")

    assert right.returncode == 0, right.stderr
    assert json.loads(right.stdout)["passed"] is True
    assert_one_line_error(wrong, CASE, "max_rel 1,", exit_code=1)
    assert wrong.stdout.startswith("FAIL")
    assert_one_line_error(broken, "1 values of the output are not finite", "half precision", exit_code=1)
    assert "infinite" not in broken.stdout
