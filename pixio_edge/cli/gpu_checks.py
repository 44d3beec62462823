"""What does not go together among GPU, driver, CUDA, JetPack, TensorRT and the packages of this Python, and the fix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.nvidia import JETPACKS, JETSON_FIX, JETSON_VENV, find_jetpack
from pixio_edge.runtimes.cuda import Gpu, list_gpus
from pixio_edge.runtimes.cudart import load_cudart
from pixio_edge.runtimes.trt_library import LIBRARIES, parse_version

if TYPE_CHECKING:
    from pixio_edge.host import Host

TENSORRT_PACKAGES = ("tensorrt", "tensorrt-cu13", "tensorrt-cu12")
GPU_PACKAGES = (*TENSORRT_PACKAGES, "tensorrt_rtx", "onnxruntime-gpu")
# All of these are the module `onnxruntime`: the one that was installed last has overwritten the others.
ORT_PACKAGES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-rocm")
# Compute capabilities of which TensorRT for RTX 1.7 has kernels (`ComputeCapability` of the library).
RTX_SMS = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
# The library of its TensorRT provider links to libnvinfer.so.10 (read from onnxruntime-gpu 1.31.1); so since 1.19.
ORT_TENSORRT_MAJOR, ORT_TENSORRT_SINCE = 10, (1, 19)
# Its CUDA provider links to libcudart.so.13 (read from 1.31.1).
ORT_CUDA_MAJOR, ORT_CUDA_SINCE = 13, (1, 31)
DRIVER_FOR_CUDA_13 = "580"
# Where the packages of JetPack put TensorRT for the system's Python.
SYSTEM_TENSORRT = ("/usr/lib", "python3*/dist-packages/tensorrt")


@dataclass(frozen=True, slots=True)
class CudaState:
    """What CUDA says.

    Args:
        gpus: GPUs that it shows.
        runtime: Version of the runtime library that was loaded.
        driver: Version of CUDA that the driver supports.
        error: Why there is none of this; None if there is.
    """

    gpus: tuple[Gpu, ...] = ()
    runtime: tuple[int, int] | None = None
    driver: tuple[int, int] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that does not fit, and what to do about it."""

    what: str
    fix: str


def probe_cuda(host: Host) -> CudaState | None:
    """Ask CUDA for its GPUs, which may start them; None where nothing points to one."""
    if host.nvidia is None and not host.gpus and not any(name in host.packages for name in GPU_PACKAGES):
        return None
    try:
        cudart = load_cudart()
        return CudaState(list_gpus(cudart), cudart.version, cudart.driver)
    except RuntimeUnavailableError as error:
        return CudaState(error=str(error))


def system_pythons(root: Path = Path(SYSTEM_TENSORRT[0])) -> tuple[str, ...]:
    """Versions of Python, such as "3.10", for which the system's packages have installed TensorRT."""
    return tuple(sorted(path.parts[-3].removeprefix("python") for path in root.glob(SYSTEM_TENSORRT[1])))


def find_problems(host: Host, cuda: CudaState | None, pythons: tuple[str, ...] = ()) -> tuple[Problem, ...]:
    """Compare everything with everything; a pure function.

    Args:
        host: This machine.
        cuda: From `probe_cuda`.
        pythons: From `system_pythons`.
    """
    checks = (
        _check_cuda(host, cuda),
        _check_jetpack(host, pythons),
        _check_drivers(host, cuda),
        _check_rtx(host, cuda),
        _check_onnxruntime(host),
    )
    return tuple(problem for check in checks for problem in check)


def find_notes(host: Host, cuda: CudaState | None) -> tuple[str, ...]:
    """What is worth saying and needs no fix; a pure function.

    Args:
        host: This machine.
        cuda: From `probe_cuda`.
    """
    notes = []
    wanted = _gpu_packages(host)
    if cuda is not None and cuda.error is not None and wanted and not _has_gpu(host):
        what = cuda.error.partition(". Fix: ")[0].removeprefix("CUDA: ")
        notes.append(f"{', '.join(wanted)}: nothing to run on, as no GPU or driver of NVIDIA is here ({what})")
    l4t = None if host.nvidia is None else host.nvidia.l4t
    if l4t is not None and find_jetpack(l4t) is None:
        newest = JETPACKS[0]
        notes.append(
            f"Jetson Linux {l4t} belongs to no JetPack known here, the newest of which is {newest.version} "
            f"({newest.l4t}): TensorRT {_tensorrt(host) or '(none in this Python)'} was not compared with it"
        )
    return tuple(notes)


def describe(host: Host, cuda: CudaState | None) -> dict[str, Any]:
    """GPU, driver and versions as JSON values, None where not known."""
    nvidia = host.nvidia
    state = cuda or CudaState()
    return {
        "gpus": [{"name": gpu.name, "sm": gpu.sm, "integrated": gpu.integrated} for gpu in state.gpus],
        "cuda_runtime": _dotted(state.runtime),
        "cuda_driver": _dotted(state.driver),
        "driver": nvidia and nvidia.driver,
        "cuda_toolkit": nvidia and nvidia.cuda,
        "jetpack": nvidia and nvidia.jetpack,
        "l4t": nvidia and nvidia.l4t,
        "tensorrt": _tensorrt(host),
    }


def _check_cuda(host: Host, cuda: CudaState | None) -> Iterator[Problem]:
    wanted = _gpu_packages(host)
    if cuda is None or cuda.error is None or not _has_gpu(host):
        return
    what, _, fix = cuda.error.partition(". Fix: ")
    subject = ", ".join(wanted or host.gpus) or "NVIDIA driver"
    yield Problem(f"{subject}: cannot use a GPU: {what.removeprefix('CUDA: ')}", fix)


def _check_jetpack(host: Host, pythons: tuple[str, ...]) -> Iterator[Problem]:
    jetpack = find_jetpack(host.nvidia.l4t if host.nvidia is not None else None)
    if jetpack is None:
        return
    oldest = LIBRARIES["tensorrt"].oldest
    if parse_version(jetpack.tensorrt) < oldest:
        yield Problem(
            f"JetPack {jetpack.version} carries TensorRT {jetpack.tensorrt}, expected {_dotted(oldest)} or newer",
            "update the Jetson to JetPack 6.2 or 7.2",
        )
        return
    installed = _tensorrt(host)
    own = ".".join(host.python.split(".")[:2])
    if installed is None:
        yield _invisible_tensorrt(own, pythons)
    elif not jetpack.runs(installed):
        others = "the only one that runs on it" if jetpack.newer is None else f"and runs {jetpack.newer} and newer"
        yield Problem(
            f"TensorRT {installed} is in this Python, and JetPack {jetpack.version} carries {jetpack.tensorrt}, "
            f"{others}",
            f"pip uninstall {' '.join(TENSORRT_PACKAGES)}, and make the environment with {JETSON_VENV}",
        )


def _invisible_tensorrt(own: str, pythons: tuple[str, ...]) -> Problem:
    if not pythons:
        return Problem("TensorRT of JetPack is not installed for Python", JETSON_FIX)
    if own not in pythons:
        return Problem(
            f"TensorRT of JetPack is for Python {', '.join(pythons)}, this is Python {own}",
            f"make the environment with the system's Python: {JETSON_VENV}",
        )
    return Problem(
        "TensorRT of JetPack is installed, and this environment does not see it",
        f"make the environment with {JETSON_VENV}",
    )


def _check_drivers(host: Host, cuda: CudaState | None) -> Iterator[Problem]:
    """Packages for CUDA 13 with a driver for CUDA 12. The driver of a Jetson is that of its JetPack."""
    driver = None if cuda is None else cuda.driver
    is_jetson = host.nvidia is not None and host.nvidia.l4t is not None
    if driver is None or driver >= (ORT_CUDA_MAJOR, 0) or is_jetson:
        return
    update = f"update the NVIDIA driver to {DRIVER_FOR_CUDA_13} or newer"
    needing = {"tensorrt-cu13": "pip install tensorrt-cu12", "tensorrt_rtx": "use runtime 'tensorrt'"}
    if parse_version(host.packages.get("onnxruntime-gpu", "0"))[:2] >= ORT_CUDA_SINCE:
        needing["onnxruntime-gpu"] = "use runtime 'tensorrt'"
    for package, instead in needing.items():
        if package in host.packages:
            yield Problem(
                f"{package} {host.packages[package]} is for CUDA 13, and the driver supports CUDA {_dotted(driver)}",
                f"{update}, or {instead}",
            )


def _check_rtx(host: Host, cuda: CudaState | None) -> Iterator[Problem]:
    gpus = () if cuda is None else cuda.gpus
    if "tensorrt_rtx" not in host.packages or not gpus or any(gpu.sm in RTX_SMS for gpu in gpus):
        return
    names = ", ".join(f"{gpu.name} (SM {gpu.sm})" for gpu in gpus)
    yield Problem(
        f"tensorrt_rtx {host.packages['tensorrt_rtx']} has no kernels for {names}, only for SM {', '.join(RTX_SMS)}",
        "use runtime 'tensorrt'",
    )


def _check_onnxruntime(host: Host) -> Iterator[Problem]:
    several = [name for name in ORT_PACKAGES if name in host.packages]
    if len(several) > 1:
        yield Problem(
            f"{' and '.join(several)} are installed together, and are one module: which of them runs is chance",
            f"pip uninstall {' '.join(several)}, then install the one you want",
        )
    gpu = host.packages.get("onnxruntime-gpu")
    tensorrt = _tensorrt(host)
    if gpu is None or tensorrt is None or parse_version(gpu)[:2] < ORT_TENSORRT_SINCE:
        return
    if parse_version(tensorrt)[:1] != (ORT_TENSORRT_MAJOR,):
        yield Problem(
            f"the TensorRT provider of onnxruntime-gpu {gpu} needs TensorRT {ORT_TENSORRT_MAJOR}, and {tensorrt} is "
            "installed, so ONNX Runtime would run without it",
            f"use runtime 'tensorrt' in its place, or pip install 'tensorrt<{ORT_TENSORRT_MAJOR + 1}'",
        )


def _gpu_packages(host: Host) -> list[str]:
    return [name for name in GPU_PACKAGES if name in host.packages]


def _has_gpu(host: Host) -> bool:
    """Whether the system's files show a GPU of NVIDIA or its driver; a toolkit alone is on build machines too."""
    nvidia = host.nvidia
    return bool(host.gpus) or (nvidia is not None and (nvidia.driver is not None or nvidia.l4t is not None))


def _tensorrt(host: Host) -> str | None:
    return next((host.packages[name] for name in TENSORRT_PACKAGES if name in host.packages), None)


def _dotted(version: tuple[int, ...] | None) -> str | None:
    return None if version is None else ".".join(map(str, version))
