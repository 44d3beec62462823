"""PIXIO_EDGE_REQUIRE=cuda leaves nothing out in silence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pixio_edge.kernels.select import describe_kernels
from tests.conftest import missing_for_cuda
from tests.kernels.conftest import GUARD_BYTES, Gpu

# In place of a finder: the package is there and yet cannot be imported.
HIDE = "import sys; sys.modules['safetensors'] = None; import pytest; raise SystemExit(pytest.main(sys.argv[1:]))"
ROOT = Path(__file__).parents[2]


def run_tests(code: str, file: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, "-q", "-p", "no:cacheprovider", "-m", "cuda", file]
    variables = os.environ | {"PIXIO_EDGE_REQUIRE": "cuda"}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=variables)


def test_package_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)

    assert "safetensors" in missing_for_cuda()


@pytest.mark.slow
def test_missing_package_ends_the_run_where_a_gpu_is_required() -> None:
    done = run_tests(HIDE, "tests/contracts/test_pytorch_cuda.py")

    assert done.returncode == 1
    assert "PIXIO_EDGE_REQUIRE=cuda, but these cannot be imported: " in done.stdout + done.stderr
    assert "safetensors" in done.stdout + done.stderr


@pytest.mark.slow
def test_missing_gpu_fails_the_test_where_one_is_required() -> None:
    for name in ("torch", "safetensors", "cuda.core", "cuda.bindings.nvrtc"):
        pytest.importorskip(name, reason="the extras 'export' and 'cuda' are not installed")
    if describe_kernels()[0]:
        pytest.skip("there is a GPU, on which they run")

    done = run_tests(HIDE.partition(";")[0] + ";" + HIDE.partition("None;")[2], "tests/kernels/test_select.py")

    assert done.returncode == 1
    assert "PIXIO_EDGE_REQUIRE=cuda, but " in done.stdout
    assert " skipped" not in done.stdout


@pytest.mark.parametrize("place", [-1, 24])
def test_write_beside_an_array_is_found_by_its_guard_bytes(place: int) -> None:
    torch = pytest.importorskip("torch", reason="the extra 'export' is not installed")
    gpu = Gpu(torch, device="cpu")
    out = gpu.poisoned((3, 4), "fp16")
    gpu.check_guards()

    memory, _ = gpu._guarded[0]
    memory[GUARD_BYTES + place] = 0

    with pytest.raises(AssertionError, match=r"written (before|behind) an array of \(3, 4\)"):
        gpu.download(out)
