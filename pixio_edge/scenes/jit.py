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
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "_nrt": False}


def exact(function: Function) -> Function:
    """Compile a kernel on which depth depends: arithmetic as written."""
    return cast(Function, njit(**_OPTIONS)(function))


def quick(function: Function) -> Function:
    """Compile a kernel on which only colour depends: arithmetic may be reordered."""
    return cast(Function, njit(**_OPTIONS, fastmath={"contract", "reassoc", "nsz", "arcp", "afn"})(function))


def part(function: Function) -> Function:
    """Compile a part of a quick kernel into it: called, it would be handed copies of all that is known of its arrays."""
    options = {**_OPTIONS, "cache": False, "forceinline": True}
    return cast(Function, njit(**options, fastmath={"contract", "reassoc", "nsz", "arcp", "afn"})(function))
