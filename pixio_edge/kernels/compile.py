"""CUDA C++ to machine code with NVRTC, for any GPU and without one.

The code is made for exactly the GPU that it will run on. There is no fallback to code of a neighbouring architecture: a
Tegra chip is not promised to run what was made for a desktop chip.

Ahead of time: `python -m pixio_edge.kernels.compile --sm 87 -o FOLDER`.
"""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pixio_edge.errors import MissingDependencyError, RuntimeUnavailableError
from pixio_edge.kernels.source import Source, read_source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from pixio_edge.kernels.catalogue import Kernel

OLDEST_SM = 80
"""First generation with cp.async and matrix products of fp16, bf16 and int8 in `mma.sync`: Ampere."""

OPTIONS = ("--std=c++17", "--ptxas-options=-v")
"""Options beside target and macros. The assembler's `-v` reports registers and spills; arithmetic stays exact IEEE."""

_SM = re.compile(r"sm_(\d+)[af]?")
_ENTRY = re.compile(r"Compiling entry function '(\w+)'")
_FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")


@dataclass(frozen=True, slots=True)
class Resources:
    """What one entry point needs on the GPU, by the assembler's report.

    Args:
        registers: Of one thread.
        spill_bytes: Stored to and loaded from memory by one thread because registers ran out.
        shared_bytes: Static shared memory of a block.
        stack_bytes: Local memory frame of one thread.
    """

    registers: int
    spill_bytes: int
    shared_bytes: int
    stack_bytes: int


@dataclass(frozen=True, slots=True)
class Compiled:
    """Machine code of one variant of a kernel.

    Args:
        cubin: ELF image for one architecture.
        ptx: Intermediate code that it was assembled from; None where the compiler gives none.
        resources: By entry point.
        log: All that the compiler said.
    """

    cubin: bytes
    ptx: bytes | None
    resources: Mapping[str, Resources]
    log: str


class CompilerError(Exception):
    """The compiler's whole log; the cause of the error with one line."""


def compile_kernel(kernel: Kernel, sm: str, defines: Mapping[str, int]) -> Compiled:
    """Compile one variant for one GPU.

    Args:
        kernel: Of the catalogue.
        sm: Such as "sm_87".
        defines: A value for each macro of the kernel.

    Raises:
        SpecError: A macro is missing, unknown or has a value that the kernel is not made for.
        MissingDependencyError: NVRTC is not installed.
        RuntimeUnavailableError: The installed NVRTC does not know the GPU, or refuses the source.
    """
    kernel.check(defines)
    check_sm(sm)
    return compile_source(kernel, read_source(kernel), sm, defines)


def compile_source(kernel: Kernel, source: Source, sm: str, defines: Mapping[str, int]) -> Compiled:
    """As `compile_kernel`, of a source that was read and with arguments that were checked."""
    program = _Program(source)
    try:
        program.compile(kernel, sm, defines)
        log = program.read("ProgramLog").decode(errors="replace").rstrip("\0 \n")
        return Compiled(program.read("CUBIN"), program.read("PTX").rstrip(b"\0"), read_resources(log), log)
    finally:
        program.close()


def compile_ptx(kernel: Kernel, defines: Mapping[str, int], arch: str = "compute_80") -> str:
    """Compile one variant to PTX, the intermediate code that any later GPU's driver can assemble.

    Args:
        kernel: Of the catalogue.
        defines: A value for each macro of the kernel.
        arch: Virtual architecture.

    Raises:
        SpecError: A macro is missing, unknown or has a value that the kernel is not made for.
        MissingDependencyError: NVRTC is not installed.
        RuntimeUnavailableError: NVRTC refuses the source.
    """
    kernel.check(defines)
    program = _Program(read_source(kernel))
    try:
        program.compile(kernel, arch, defines)
        return program.read("PTX").rstrip(b"\0").decode()
    finally:
        program.close()


def nvrtc_version() -> str:
    """Version of the installed NVRTC, such as "13.5".

    Raises:
        MissingDependencyError: It is not installed.
    """
    major, minor = _call("nvrtcVersion")
    return f"{major}.{minor}"


def check_sm(sm: str) -> None:
    """Make sure that the installed NVRTC makes code for a GPU.

    Raises:
        MissingDependencyError: NVRTC is not installed.
        RuntimeUnavailableError: The GPU is too old for the kernels, or too new for this NVRTC.
    """
    found = _SM.fullmatch(sm)
    if found is None or int(found[1]) < OLDEST_SM:
        raise RuntimeUnavailableError(
            f"kernels: got GPU '{sm}', expected sm_{OLDEST_SM} (Ampere) or newer. Fix: PIXIO_EDGE_KERNELS=reference"
        )
    known = supported_sms()
    if f"sm_{found[1]}" not in known:
        raise RuntimeUnavailableError(
            f"kernels: got GPU '{sm}', which NVRTC {nvrtc_version()} makes no code for, expected one of: "
            f"{', '.join(known)}. Fix: pip install -U nvidia-cuda-nvrtc, or PIXIO_EDGE_KERNELS=reference"
        )


def supported_sms() -> tuple[str, ...]:
    """Every GPU that the installed NVRTC makes code for, such as "sm_87".

    Raises:
        MissingDependencyError: It is not installed.
    """
    return tuple(f"sm_{number}" for number in _call("nvrtcGetSupportedArchs")[0])


def read_resources(log: str) -> dict[str, Resources]:
    """Read the assembler's report, of NVRTC or nvcc with `-v`, by entry point."""
    resources = {}
    for part in re.split(r"(?=Compiling entry function)", log):
        entry, frame, used = _ENTRY.search(part), _FRAME.search(part), _USED.search(part)
        if entry is None or frame is None or used is None:
            continue
        stack, stores, loads = map(int, frame.groups())
        shared = _SHARED.search(part)
        resources[entry[1]] = Resources(int(used[1]), stores + loads, int(shared[1]) if shared else 0, stack)
    return resources


class _Program:
    """A program of NVRTC, which has to be given back."""

    def __init__(self, source: Source) -> None:
        headers = [text.encode() for text in source.headers.values()]
        names = [name.encode() for name in source.headers]
        arguments = (source.text.encode(), source.name.encode(), len(names), headers or None, names or None)
        (self._handle,) = _call("nvrtcCreateProgram", *arguments)

    def compile(self, kernel: Kernel, arch: str, defines: Mapping[str, int]) -> None:
        macros = [f"-D{name}={value}" for name, value in defines.items()]
        options = [option.encode() for option in (f"--gpu-architecture={arch}", *OPTIONS, *macros)]
        try:
            _call("nvrtcCompileProgram", self._handle, len(options), options)
        except CompilerError as error:
            log = self.read("ProgramLog").decode(errors="replace").rstrip("\0 \n")
            raise refusal(kernel, arch, defines, log or str(error)) from CompilerError(log)

    def read(self, what: str) -> bytes:
        (size,) = _call(f"nvrtcGet{what}Size", self._handle)
        data = bytearray(size)
        _call(f"nvrtcGet{what}", self._handle, data)
        return bytes(data)

    def close(self) -> None:
        _call("nvrtcDestroyProgram", self._handle)


def refusal(kernel: Kernel, arch: str, defines: Mapping[str, int], log: str) -> RuntimeUnavailableError:
    """The error for a source that a compiler refuses, with its first complaint."""
    complaint = next((line.strip() for line in log.splitlines() if "error" in line.lower()), log.strip())
    macros = " ".join(f"{name}={value}" for name, value in defines.items())
    return RuntimeUnavailableError(
        f"kernel '{kernel.name}' for {arch} {macros}: does not compile: {complaint}. "
        "Fix: PIXIO_EDGE_KERNELS=reference, and report it with the output of pixio-edge doctor"
    )


def _call(name: str, *arguments: Any) -> tuple[Any, ...]:
    """Call NVRTC and take the status off what it returns."""
    nvrtc = _nvrtc()
    try:
        status, *values = getattr(nvrtc, name)(*arguments)
    except RuntimeError as error:  # the bindings are there, the library that they load is not
        raise MissingDependencyError("nvidia-cuda-nvrtc", "cuda", "compiling CUDA kernels") from error
    if int(status):
        raise CompilerError(f"{name}: {nvrtc.nvrtcResult(status).name}")
    return tuple(values)


@cache
def _nvrtc() -> ModuleType:
    try:
        return importlib.import_module("cuda.bindings.nvrtc")
    except ImportError as error:
        raise MissingDependencyError("cuda-bindings", "cuda", "compiling CUDA kernels") from error


if __name__ == "__main__":
    sys.exit(importlib.import_module("pixio_edge.kernels.ahead").main())
