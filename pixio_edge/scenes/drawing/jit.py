"""How the kernels of the renderer are compiled: once per machine, without Python's lock.

Division by zero gives infinity, as in numpy: tests for it would cost more than the arithmetic. Kernels allocate
nothing, so references to their arrays are not counted: that would take half of the time of shading.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

import numba
from numpy.typing import NDArray

from pixio_edge.scenes.drawing.compiled_folder import compiled_folder

# What kernels take: arrays, of whose kind their documentation tells, rows of three vertices, and vectors.
Array: TypeAlias = NDArray[Any]
Corners: TypeAlias = tuple[int, int, int]
Point: TypeAlias = tuple[float, float, float]

Function = TypeVar("Function", bound=Callable[..., Any])
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
_REORDERED: dict[str, Any] = {"fastmath": {"contract", "reassoc", "nsz", "arcp", "afn"}}


def exact(function: Function) -> Function:
    """Compile a kernel on which depth depends: arithmetic as written."""
    return cast(Function, _kept(numba.njit(**_OPTIONS)(function)))


def quick(function: Function) -> Function:
    """Compile a kernel on which only colour depends: arithmetic may be reordered."""
    return cast(Function, _kept(numba.njit(**_OPTIONS, **_REORDERED)(function)))


def exact_part(function: Function) -> Function:
    """Compile a function into the kernels that call it: else it is handed copies of all that is known of its arrays."""
    return cast(Function, numba.njit(**_OPTIONS, forceinline=True)(function))


def quick_part(function: Function) -> Function:
    """The same for functions on which only colour depends."""
    return cast(Function, numba.njit(**_OPTIONS, **_REORDERED, forceinline=True)(function))


def _kept(dispatcher: Any) -> Any:
    """The same, after having what it compiles kept for other processes where that can be."""
    settings: Any = numba.config
    folder = compiled_folder(settings.CACHE_DIR)
    if folder is not None:
        # numba looks for the folder in its settings at this moment alone.
        before, settings.CACHE_DIR = settings.CACHE_DIR, str(folder)
        try:
            dispatcher.enable_caching()
        finally:
            settings.CACHE_DIR = before
    return dispatcher
