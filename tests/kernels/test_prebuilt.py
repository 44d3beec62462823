"""Kernels that were compiled ahead of time run where there is no compiler, if they are of the same sources."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from pixio_edge.errors import MissingDependencyError
from pixio_edge.kernels import ahead, catalogue
from pixio_edge.kernels import compile as compiler
from pixio_edge.kernels.cache import load_kernel
from pixio_edge.kernels.catalogue import Kernel
from pixio_edge.kernels.prebuilt import REPORT, prebuilt_by
from pixio_edge.kernels.select import describe_kernels
from tests.fake_cuda_core import FakeCuda, install

pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")

SM, DEFINES = "sm_87", {"TIMES": 1}


@pytest.fixture
def folder(shift: Kernel, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of a host without NVRTC, into which another host's kernels were copied."""
    monkeypatch.delenv("PIXIO_EDGE_KERNELS", raising=False)
    monkeypatch.setattr(catalogue, "KERNELS", {"shift": shift})
    place = own_cache / "kernels"
    ahead.build([shift], [SM], place, nvcc=None)

    def missing(name: str) -> object:
        raise RuntimeError("no libnvrtc")

    monkeypatch.setattr(compiler, "_nvrtc", lambda: SimpleNamespace(nvrtcGetSupportedArchs=lambda: missing("")))
    return place


@pytest.mark.usefixtures("folder")
def test_kernel_is_taken_where_there_is_no_compiler(shift: Kernel) -> None:
    loaded = load_kernel(shift, SM, DEFINES)

    assert loaded.is_from_disk
    assert loaded.compiled.cubin.startswith(b"\x7fELF")
    assert set(loaded.compiled.resources) == {"shift"}


@pytest.mark.parametrize("sm", ["sm_86", "sm_90"])
@pytest.mark.usefixtures("folder")
def test_kernel_of_another_gpu_is_not_taken(shift: Kernel, sm: str) -> None:
    with pytest.raises(MissingDependencyError):
        load_kernel(shift, sm, DEFINES)


@pytest.mark.usefixtures("folder")
def test_kernel_of_other_sources_is_not_taken(shift: Kernel) -> None:
    (shift.folder / "deeper.cuh").write_text("constexpr float kShift = 5.0f;\n")

    with pytest.raises(MissingDependencyError):
        load_kernel(shift, SM, DEFINES)


def test_damaged_kernel_or_report_is_not_taken(shift: Kernel, folder: Path) -> None:
    report = json.loads((folder / REPORT).read_text())
    cubin = folder / report["kernels"][0]["file"]
    good = cubin.read_bytes()
    cubin.write_bytes(good[:-1])
    with pytest.raises(MissingDependencyError):
        load_kernel(shift, SM, DEFINES)

    cubin.write_bytes(good)
    for text in ("", "[]", '{"kernels": 1}', '{"kernels": [1]}'):
        (folder / REPORT).write_text(text)
        assert prebuilt_by(SM, folder) is None
        with pytest.raises(MissingDependencyError):
            load_kernel(shift, SM, DEFINES)


@pytest.mark.usefixtures("folder")
def test_host_says_that_its_kernels_were_compiled_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    with install(monkeypatch, FakeCuda()):
        usable, reason = describe_kernels()

    assert usable
    assert reason.startswith("sm_87, compiled ahead of time by nvrtc ")


@pytest.mark.usefixtures("folder")
def test_host_whose_kernels_are_of_other_sources_does_not_count_on_them(
    shift: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shift.folder / "deeper.cuh").write_text("constexpr float kShift = 5.0f;\n")

    with install(monkeypatch, FakeCuda()):
        usable, reason = describe_kernels()

    assert not usable
    assert "nvidia-cuda-nvrtc" in reason


@pytest.mark.usefixtures("folder")
def test_driver_older_than_the_compiler_of_another_host_is_what_is_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    with install(monkeypatch, FakeCuda(driver=11080)):
        usable, reason = describe_kernels()

    assert not usable
    assert "got a driver for CUDA 11.8, expected one for CUDA 1" in reason
