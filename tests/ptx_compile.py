"""CUDA C++ written in a test to PTX, with NVRTC and without a GPU."""

import re
from collections.abc import Sequence
from functools import lru_cache

import pytest
from ptx_emulator import Argument, Extent, Report, run_ptx

FRAGMENT_TYPES = (
    "typedef unsigned int u32; typedef unsigned short u16; typedef unsigned char u8; typedef long long s64;\n"
)


@lru_cache(maxsize=64)
def compile_cuda(source: str, *options: str, arch: str = "compute_80") -> str:
    """The PTX of a source; the test is skipped where NVRTC is not installed.

    Raises:
        AssertionError: The source does not compile; the message is the compiler's log.
    """
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="needs the extra `cuda` for NVRTC")
    error, program = nvrtc.nvrtcCreateProgram((FRAGMENT_TYPES + source).encode(), b"test.cu", 0, [], [])
    assert not int(error), error
    flags = [flag.encode() for flag in (f"--gpu-architecture={arch}", "--std=c++17", *options)]
    (error,) = nvrtc.nvrtcCompileProgram(program, len(flags), flags)
    _, size = nvrtc.nvrtcGetProgramLogSize(program)
    # A bytearray: NVRTC writes into it, and an empty log is one byte, which as bytes all of the process shares.
    log = bytearray(size)
    nvrtc.nvrtcGetProgramLog(program, log)
    assert not int(error), log.decode()
    _, size = nvrtc.nvrtcGetPTXSize(program)
    ptx = bytearray(size)
    nvrtc.nvrtcGetPTX(program, ptx)
    nvrtc.nvrtcDestroyProgram(program)
    return ptx.decode().rstrip("\0")


def run_cuda(
    source: str,
    *args: Argument,
    grid: Extent = (1, 1, 1),
    block: Extent = (128, 1, 1),
    shared_bytes: int = 0,
    undefined: Sequence[int] = (),
    **options: int,
) -> Report:
    """Compile a source with one kernel and run it in the emulator; ``options`` are those of `run_ptx`."""
    name = re.search(r"void (\w+)\(", source).group(1)
    return run_ptx(compile_cuda(source), name, grid, block, list(args), shared_bytes, undefined=undefined, **options)
