"""A test that is marked `cuda` is skipped where there is no GPU, and fails there if one is required."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEST = "tests/kernels/test_select.py::test_first_gpu_of_this_host_runs_kernels"


@pytest.mark.slow
@pytest.mark.parametrize(("required", "status", "outcome"), [("", 0, "1 skipped"), ("cuda", 1, "1 error")])
def test_gpu_that_is_missing_skips_or_fails_as_asked(required: str, status: int, outcome: str) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")
    # Whatever this host has, the test sees no GPU.
    environment = os.environ | {"PIXIO_EDGE_REQUIRE": required, "PIXIO_EDGE_KERNELS": "", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", TEST]

    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)

    assert done.returncode == status, done.stdout
    assert outcome in done.stdout
    assert "no NVIDIA GPU" in done.stdout
