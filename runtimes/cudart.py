"""The CUDA runtime library through ctypes: found, loaded, and every answer checked. Needs no Python package.

Works with CUDA 12 and 13: of the functions that changed between releases only those are used that did not
(`cudaGraphInstantiateWithFlags`, as `cudaGraphInstantiate` got another signature in CUDA 12). Signatures are those of
`cuda_runtime_api.h`.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_uint, c_ulonglong, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

from pixio_edge.errors import RuntimeUnavailableError

# Newest first. A runtime works with every driver of its own major version (CUDA minor version compatibility).
MAJORS = (13, 12)
SUCCESS = 0
SIGNATURES: Mapping[str, tuple[Any, ...]] = {
    "cudaRuntimeGetVersion": (POINTER(c_int),),
    "cudaDriverGetVersion": (POINTER(c_int),),
    "cudaGetLastError": (),
    "cudaGetDeviceCount": (POINTER(c_int),),
    "cudaGetDevice": (POINTER(c_int),),
    "cudaSetDevice": (c_int,),
    "cudaDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cudaGetDeviceProperties": (c_void_p, c_int),
    "cudaMalloc": (POINTER(c_void_p), c_size_t),
    "cudaFree": (c_void_p,),
    "cudaHostAlloc": (POINTER(c_void_p), c_size_t, c_uint),
    "cudaFreeHost": (c_void_p,),
    "cudaMemcpyAsync": (c_void_p, c_void_p, c_size_t, c_int, c_void_p),
    "cudaStreamCreateWithFlags": (POINTER(c_void_p), c_uint),
    "cudaStreamDestroy": (c_void_p,),
    "cudaStreamSynchronize": (c_void_p,),
    "cudaStreamWaitEvent": (c_void_p, c_void_p, c_uint),
    "cudaStreamBeginCapture": (c_void_p, c_int),
    "cudaStreamEndCapture": (c_void_p, POINTER(c_void_p)),
    "cudaEventCreateWithFlags": (POINTER(c_void_p), c_uint),
    "cudaEventRecord": (c_void_p, c_void_p),
    "cudaEventDestroy": (c_void_p,),
    "cudaGraphInstantiateWithFlags": (POINTER(c_void_p), c_void_p, c_ulonglong),
    "cudaGraphLaunch": (c_void_p, c_void_p),
    "cudaGraphDestroy": (c_void_p,),
    "cudaGraphExecDestroy": (c_void_p,),
}
# What to do about the errors that a user can do something about; numbers are those of `cudaError_t`.
FIXES: Mapping[int, str] = {
    2: "close other programs that use the GPU, or choose a smaller size",
    35: "update the NVIDIA driver, or install the packages for the CUDA version that it supports",
    46: "another program holds the GPU for itself; end it",
    100: "use a machine with an NVIDIA GPU; start a container with '--gpus all', on a Jetson with '--runtime nvidia'",
    101: "choose a GPU that 'pixio-edge doctor' lists",
    209: "the engine is for another GPU; run 'pixio-edge build' on this one",
    803: "restart: the NVIDIA driver was updated, and its old kernel module is still loaded",
    804: "update the NVIDIA driver; this GPU takes no forward compatibility package",
}
OTHER_FIX = "run 'pixio-edge doctor'; an error of earlier work on this GPU is often reported here"


class Cudart:
    """The loaded library. Use `load_cudart`.

    Args:
        library: What has the functions, as `ctypes.CDLL` does.
        path: Where it was found.

    Attributes:
        version: (major, minor) of the runtime.
        driver: (major, minor) of CUDA that the driver supports; (0, 0) where there is no driver.

    Raises:
        RuntimeUnavailableError: It lacks a function.
    """

    def __init__(self, library: Any, path: str) -> None:
        self.path = path
        self._functions = {}
        for name, arguments in SIGNATURES.items():
            self._functions[name] = _declare(library, name, arguments, path)
        self._describe = getattr(library, "cudaGetErrorString", None)
        if self._describe is not None:
            self._describe.argtypes, self._describe.restype = (c_int,), c_char_p
        self.version = self._read_version("cudaRuntimeGetVersion")
        self.driver = self._read_version("cudaDriverGetVersion")

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of `SIGNATURES` and check what it answers.

        Raises:
            RuntimeUnavailableError: It failed.
        """
        code = self._functions[name](*arguments)
        if code != SUCCESS:
            # Else it stays behind as the "last error" and another library in this process trips over it.
            self._functions["cudaGetLastError"]()
            raise RuntimeUnavailableError(self._explain(name, code))

    def make(self, name: str, *arguments: Any) -> int:
        """Call a function that makes something and gives it through its first parameter; returns the handle.

        Raises:
            RuntimeUnavailableError: It failed.
        """
        handle = c_void_p()
        self.call(name, ctypes.byref(handle), *arguments)
        return handle.value or 0

    def read_int(self, name: str, *arguments: Any) -> int:
        """Call a function that gives a number through its first parameter.

        Raises:
            RuntimeUnavailableError: It failed.
        """
        value = c_int()
        self.call(name, ctypes.byref(value), *arguments)
        return value.value

    def _read_version(self, name: str) -> tuple[int, int]:
        number = self.read_int(name)
        return number // 1000, number % 1000 // 10

    def _explain(self, name: str, code: int) -> str:
        described = self._describe(code) if self._describe is not None else None
        reason = f" ({described.decode(errors='replace')})" if described else ""
        return f"CUDA: {name} gave error {code}{reason}, expected success. Fix: {FIXES.get(code, OTHER_FIX)}"


@cache
def load_cudart() -> Cudart:
    """Find and load the CUDA runtime library: the newest that the driver supports.

    Looked for where the system's loader looks, in the NVIDIA packages of pip, and where CUDA and JetPack install it.

    Raises:
        RuntimeUnavailableError: There is none, or none that fits the driver.
    """
    unfit: dict[tuple[int, int], Cudart] = {}
    for name in _candidates():
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        cudart = Cudart(library, name)
        if cudart.version[0] in MAJORS and cudart.driver >= (cudart.version[0], 0):
            return cudart
        unfit.setdefault(cudart.version, cudart)
    raise RuntimeUnavailableError(_none_fits(list(unfit.values())))


def _none_fits(unfit: list[Cudart]) -> str:
    if not unfit:
        return (
            f"CUDA: got no {' or '.join(map(_file_name, MAJORS))}, expected one. Fix: on a Jetson, "
            "sudo apt install nvidia-jetpack; elsewhere install the NVIDIA driver and: pip install nvidia-cuda-runtime "
            "(CUDA 13) or nvidia-cuda-runtime-cu12"
        )
    found = ", ".join(f"CUDA {_dotted(cudart.version)} ({cudart.path})" for cudart in unfit)
    if unfit[0].driver == (0, 0):
        return (
            f"CUDA: found {found} and no NVIDIA driver, expected one. Fix: use a machine with an NVIDIA GPU and its "
            "driver; start a container with '--gpus all', on a Jetson with '--runtime nvidia'"
        )
    return (
        f"CUDA: found {found} and a driver for CUDA {_dotted(unfit[0].driver)}, expected a driver for CUDA "
        f"{' or '.join(map(str, MAJORS))} that is as new. Fix: update the NVIDIA driver, or install the CUDA runtime "
        "that it supports"
    )


def _declare(library: Any, name: str, arguments: tuple[Any, ...], path: str) -> Any:
    function = getattr(library, name, None)
    if function is None:
        raise RuntimeUnavailableError(
            f"CUDA: {path} has no {name}, expected a CUDA runtime 12 or 13. Fix: install one of these"
        )
    # Without these ctypes would pass addresses as 32-bit numbers.
    function.argtypes, function.restype = arguments, c_int
    return function


def _candidates() -> Iterator[str]:
    """Paths and names to try, those of newer releases first."""
    for major in MAJORS:
        name = _file_name(major)
        yield name
        for folder in (*_pip_folders(major), *_system_folders(major)):
            if (folder / name).is_file():
                yield str(folder / name)


def _file_name(major: int) -> str:
    return f"cudart64_{major}.dll" if sys.platform == "win32" else f"libcudart.so.{major}"


def _pip_folders(major: int) -> Iterator[Path]:
    """Where NVIDIA's packages have it: below `nvidia/cu13` from CUDA 13 on, `nvidia/cuda_runtime` before."""
    spec = importlib.util.find_spec("nvidia")
    package = f"cu{major}" if major >= 13 else "cuda_runtime"
    for root in (spec.submodule_search_locations or ()) if spec is not None else ():
        yield Path(root) / package / "lib"
        yield Path(root) / package / "bin"
        yield Path(root) / package / "bin" / "x86_64"


def _system_folders(major: int) -> Iterator[Path]:
    for root in (Path("/usr/local/cuda"), *sorted(Path("/usr/local").glob(f"cuda-{major}*"), reverse=True)):
        yield root / "lib64"
        for target in ("aarch64-linux", "sbsa-linux", "x86_64-linux"):
            yield root / "targets" / target / "lib"


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
