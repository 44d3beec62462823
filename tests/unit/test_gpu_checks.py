"""`doctor` names what does not go together on a GPU host, for machines that are not at hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pixio_edge.cli import gpu_checks
from pixio_edge.cli.doctor import describe_gpu
from pixio_edge.cli.gpu_checks import CudaState, describe, find_notes, find_problems, probe_cuda, system_pythons
from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.host import Host
from pixio_edge.nvidia import JETSON_VENV, Nvidia, find_jetpack
from pixio_edge.runtimes.cuda import Gpu
from pixio_edge.runtimes.cudart import Cudart
from tests.fake_cuda import FakeCuda

CPU_HOST = Host(
    os="Linux 6",
    arch="x86_64",
    cpu="some",
    logical_cores=8,
    physical_cores=4,
    affinity=(),
    usable_cores=4,
    isa=(),
    ram_mib=16_000,
    python="3.10.12",
    packages={"numpy": "2.3.0", "onnxruntime": "1.23.0"},
)
ORIN, RTX = Gpu(0, "Orin", "8.7", integrated=True), Gpu(0, "NVIDIA GeForce RTX 4090", "8.9", integrated=False)
CUDA_12, CUDA_13 = CudaState((ORIN,), (12, 6), (12, 6)), CudaState((RTX,), (13, 0), (13, 0))


def jetson(l4t: str, *, python: str = "3.10.12", **packages: str) -> Host:
    jetpack = find_jetpack(l4t)
    nvidia = Nvidia("540.4.0", "12.6.11", l4t, jetpack and jetpack.version, "8.7")
    host = replace(CPU_HOST, arch="aarch64", python=python, gpus=("NVIDIA Jetson Orin Nano",), nvidia=nvidia)
    return replace(host, packages={"onnxruntime": "1.23.0"} | {k.replace("_", "-"): v for k, v in packages.items()})


def desktop(**packages: str) -> Host:
    nvidia = Nvidia(driver="580.82.07")
    named = {"tensorrt_rtx" if k == "tensorrt_rtx" else k.replace("_", "-"): v for k, v in packages.items()}
    return replace(CPU_HOST, gpus=("NVIDIA GeForce RTX 4090",), nvidia=nvidia, packages=named)


@pytest.mark.parametrize(
    ("host", "cuda", "pythons"),
    [
        (CPU_HOST, None, ()),
        (jetson("36.4.3", tensorrt="10.3.0"), CUDA_12, ("3.10",)),
        (jetson("39.2.0", tensorrt="10.16.2", python="3.12.3"), CudaState((ORIN,), (13, 2), (13, 2)), ("3.12",)),
        (jetson("39.2.2", tensorrt="11.4.1", python="3.12.3"), CudaState((ORIN,), (13, 2), (13, 2)), ("3.12",)),
        (desktop(onnxruntime_gpu="1.31.1", tensorrt="10.16.0"), CUDA_13, ()),
        (desktop(tensorrt_rtx="1.7.1.116", onnxruntime="1.31.1"), CUDA_13, ()),
        (desktop(onnxruntime_gpu="1.20.0", tensorrt_cu12="10.9.0"), CudaState((RTX,), (12, 8), (12, 8)), ()),
    ],
    ids=["cpu", "jetpack 6.2", "jetpack 7.2", "jetpack 7.2.2", "ort with tensorrt 10", "rtx", "cuda 12"],
)
def test_machine_where_all_fits_has_no_problem(host: Host, cuda: CudaState | None, pythons: tuple[str, ...]) -> None:
    assert find_problems(host, cuda, pythons) == ()


@pytest.mark.parametrize(
    ("host", "cuda", "pythons", "what", "fix"),
    [
        (
            jetson("36.3.0"),
            CUDA_12,
            (),
            "JetPack 6.0 carries TensorRT 8.6, expected 10.3 or newer",
            "update the Jetson to JetPack 6.2",
        ),
        (
            jetson("36.4.3", tensorrt_cu13="11.4.0.106"),
            CUDA_12,
            ("3.10",),
            "TensorRT 11.4.0.106 is in this Python, and JetPack 6.2 carries 10.3",
            "pip uninstall tensorrt",
        ),
        (
            jetson("39.2.0", tensorrt="11.4.0.106", python="3.12.3"),
            CUDA_13,
            ("3.12",),
            "TensorRT 11.4.0.106 is in this Python, and JetPack 7.2 carries 10.16, the only one",
            JETSON_VENV,
        ),
        (
            jetson("39.2.2", tensorrt="11.4.0.106", python="3.12.3"),
            CUDA_13,
            ("3.12",),
            "JetPack 7.2.2 carries 10.16, and runs 11.4.1 and newer",
            "pip uninstall tensorrt",
        ),
        (jetson("36.4.3"), CUDA_12, (), "is not installed for Python", "sudo apt install python3-libnvinfer"),
        (
            jetson("36.4.3"),
            CUDA_12,
            ("3.10",),
            "this environment does not see it",
            JETSON_VENV,
        ),
        (
            jetson("36.4.3", python="3.11.2"),
            CUDA_12,
            ("3.10",),
            "is for Python 3.10, this is Python 3.11",
            JETSON_VENV,
        ),
        (
            desktop(onnxruntime_gpu="1.31.1", tensorrt="11.4.0.106"),
            CUDA_13,
            (),
            "provider of onnxruntime-gpu 1.31.1 needs TensorRT 10, and 11.4.0.106 is installed",
            "pip install 'tensorrt<11'",
        ),
        (
            desktop(onnxruntime="1.31.1", onnxruntime_gpu="1.31.1"),
            CUDA_13,
            (),
            "onnxruntime and onnxruntime-gpu are installed together",
            "pip uninstall onnxruntime onnxruntime-gpu",
        ),
        (
            desktop(onnxruntime_gpu="1.31.1"),
            CudaState((RTX,), (12, 8), (12, 8)),
            (),
            "onnxruntime-gpu 1.31.1 is for CUDA 13, and the driver supports CUDA 12.8",
            "update the NVIDIA driver to 580",
        ),
        (
            desktop(tensorrt_cu13="11.4.0"),
            CudaState((RTX,), (12, 8), (12, 8)),
            (),
            "tensorrt-cu13 11.4.0 is for CUDA 13",
            "pip install tensorrt-cu12",
        ),
        (
            desktop(tensorrt_rtx="1.7.1"),
            CudaState((ORIN,), (13, 0), (13, 0)),
            (),
            "tensorrt_rtx 1.7.1 has no kernels for Orin (SM 8.7)",
            "use runtime 'tensorrt'",
        ),
        (
            desktop(tensorrt_rtx="1.7.1"),
            CudaState(
                error="CUDA: found CUDA 13.0 (x) and no NVIDIA driver, expected one. Fix: use a machine with one"
            ),
            (),
            "tensorrt_rtx: cannot use a GPU: found CUDA 13.0 (x) and no NVIDIA driver",
            "use a machine with one",
        ),
    ],
)
def test_what_does_not_go_together_is_named_with_the_fix(
    host: Host, cuda: CudaState, pythons: tuple[str, ...], what: str, fix: str
) -> None:
    (problem,) = find_problems(host, cuda, pythons)

    assert what in problem.what
    assert fix in problem.fix
    assert "\n" not in problem.what + problem.fix


NO_DRIVER = CudaState(error="CUDA: found CUDA 13.0 (x) and no NVIDIA driver, expected one. Fix: use another machine")


@pytest.mark.parametrize("nvidia", [None, Nvidia(cuda="13.0.0")], ids=["nothing", "toolkit"])
def test_package_for_gpus_on_a_host_without_one_is_a_note_and_no_problem(nvidia: Nvidia | None) -> None:
    host = replace(CPU_HOST, nvidia=nvidia, packages=CPU_HOST.packages | {"tensorrt_rtx": "1.7.1.116"})

    assert find_problems(host, NO_DRIVER) == ()
    (note,) = find_notes(host, NO_DRIVER)
    assert note.startswith("tensorrt_rtx: nothing to run on, as no GPU or driver of NVIDIA is here (found CUDA 13.0")
    assert find_notes(CPU_HOST, None) == ()


def test_driver_without_a_usable_gpu_stays_a_problem() -> None:
    host = replace(CPU_HOST, nvidia=Nvidia(driver="580.82.07"), packages={"tensorrt_rtx": "1.7.1.116"})

    (problem,) = find_problems(host, NO_DRIVER)
    assert problem.what.startswith("tensorrt_rtx: cannot use a GPU: ")
    assert find_notes(host, NO_DRIVER) == ()


@pytest.mark.parametrize("l4t", ["39.4.0", "32.7.1"])
def test_jetson_linux_that_is_not_known_is_said(l4t: str) -> None:
    host = jetson(l4t, tensorrt="11.6.0", python="3.12.3")

    assert find_problems(host, CUDA_13, ("3.12",)) == ()
    (note,) = find_notes(host, CUDA_13)
    assert note.startswith(
        f"Jetson Linux {l4t} belongs to no JetPack known here, the newest of which is 7.2.2 (39.2.2)"
    )
    assert "TensorRT 11.6.0 was not compared" in note


def test_cuda_is_not_looked_for_where_nothing_points_to_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise AssertionError("was loaded")

    monkeypatch.setattr(gpu_checks, "load_cudart", fail)

    assert probe_cuda(CPU_HOST) is None


def test_cuda_is_asked_for_its_gpus_and_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_checks, "load_cudart", lambda: Cudart(FakeCuda(), "fake"))

    assert probe_cuda(jetson("36.4.3")) == CUDA_12


def test_cuda_that_cannot_be_used_is_a_state_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeUnavailableError("CUDA: broken. Fix: mend it")

    monkeypatch.setattr(gpu_checks, "load_cudart", fail)

    assert probe_cuda(desktop()) == CudaState(error="CUDA: broken. Fix: mend it")


def test_tensorrt_of_the_system_is_found_by_its_python(tmp_path: Path) -> None:
    (tmp_path / "python3.10" / "dist-packages" / "tensorrt").mkdir(parents=True)
    (tmp_path / "python3" / "dist-packages" / "numpy").mkdir(parents=True)

    assert system_pythons(tmp_path) == ("3.10",)


@pytest.mark.parametrize(
    ("host", "cuda", "line"),
    [
        (
            jetson("36.4.3", tensorrt="10.3.0"),
            CUDA_12,
            "Orin (SM 8.7); JetPack 6.2; Jetson Linux 36.4.3; driver 540.4.0; driver for CUDA 12.6; CUDA runtime 12.6; "
            "CUDA toolkit 12.6.11; TensorRT 10.3.0",
        ),
        (CPU_HOST, None, "none found"),
    ],
)
def test_gpu_is_described_on_one_line(host: Host, cuda: Any, line: str) -> None:
    assert describe_gpu(host.to_json(), describe(host, cuda)) == line
