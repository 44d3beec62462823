"""Kernels that ship, each variant compiled once for all the tests of a process."""

from collections.abc import Mapping
from functools import cache

from pixio_edge.kernels.catalogue import find_kernel
from pixio_edge.kernels.compile import Compiled, compile_kernel, compile_ptx


def shipped_ptx(name: str, defines: Mapping[str, int], arch: str = "compute_80") -> str:
    """PTX of one variant.

    Args:
        name: Of the kernel in the catalogue.
        defines: Macros with their values.
        arch: Virtual architecture.
    """
    return _ptx(name, tuple(sorted(defines.items())), arch)


def shipped_cubin(name: str, sm: str, defines: Mapping[str, int]) -> Compiled:
    """Machine code of one variant; arguments as of `shipped_ptx`, with the GPU such as "sm_87"."""
    return _cubin(name, sm, tuple(sorted(defines.items())))


@cache
def _ptx(name: str, defines: tuple[tuple[str, int], ...], arch: str) -> str:
    return compile_ptx(find_kernel(name), dict(defines), arch)


@cache
def _cubin(name: str, sm: str, defines: tuple[tuple[str, int], ...]) -> Compiled:
    return compile_kernel(find_kernel(name), sm, dict(defines))
