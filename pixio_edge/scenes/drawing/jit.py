"""How the kernels of the renderer are compiled: once per machine, without Python's lock.

Division by zero gives infinity, as in numpy: tests for it would cost more than the arithmetic. Kernels allocate
nothing, so references to their arrays are not counted: that would take half of the time of shading.
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
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
_REORDERED: dict[str, Any] = {"fastmath": {"contract", "reassoc", "nsz", "arcp", "afn"}}


def exact(function: Function) -> Function:
    """Compile a kernel on which depth depends: arithmetic as written."""
    return cast(Function, njit(**_OPTIONS, cache=True)(function))


def quick(function: Function) -> Function:
    """Compile a kernel on which only colour depends: arithmetic may be reordered."""
    return cast(Function, njit(**_OPTIONS, **_REORDERED, cache=True)(function))


def exact_part(function: Function) -> Function:
    """Compile a function into the kernels that call it: else it is handed copies of all that is known of its arrays."""
    return cast(Function, njit(**_OPTIONS, forceinline=True)(function))


def quick_part(function: Function) -> Function:
    """The same for functions on which only colour depends."""
    return cast(Function, njit(**_OPTIONS, **_REORDERED, forceinline=True)(function))
