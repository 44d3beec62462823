"""How the kernels of the renderer are compiled: once per machine, without Python's lock.

Division by zero gives infinity, as in numpy: tests for it would cost more than the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

from numba import njit
from numpy.typing import NDArray

# What kernels take: arrays, of whose kind their documentation tells, rows of three vertices, and vectors.
Array: TypeAlias = NDArray[Any]
Corners: TypeAlias = tuple[int, int, int]
Point: TypeAlias = tuple[float, float, float]

Function = TypeVar("Function", bound=Callable[..., Any])


def exact(function: Function) -> Function:
    """Compile a kernel on which depth depends: arithmetic as written."""
    return cast(Function, njit(cache=True, nogil=True, error_model="numpy")(function))


def quick(function: Function) -> Function:
    """Compile a kernel on which only colour depends: arithmetic may be reordered."""
    flags = {"contract", "reassoc", "nsz", "arcp", "afn"}
    return cast(Function, njit(cache=True, nogil=True, error_model="numpy", fastmath=flags)(function))
