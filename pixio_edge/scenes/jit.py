"""How the kernels of the renderer are compiled: once per machine, without Python's lock.

Division by zero gives infinity, as in numpy: tests for it would cost more than the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def exact(function: Function) -> Function:
    """Compile a kernel on which depth depends: arithmetic as written."""
    compiled: Function = njit(cache=True, nogil=True, error_model="numpy")(function)
    return compiled


def quick(function: Function) -> Function:
    """Compile a kernel on which only colour depends: arithmetic may be reordered."""
    flags = {"contract", "reassoc", "nsz", "arcp", "afn"}
    compiled: Function = njit(cache=True, nogil=True, error_model="numpy", fastmath=flags)(function)
    return compiled
