"""Where the runtimes of a sweep execute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixio_edge.errors import PixioEdgeError
from pixio_edge.runtimes.registry import list_providers

if TYPE_CHECKING:
    from collections.abc import Sequence

ALL = "all"

# What each runtime executes on when it is not told; see `RuntimeOptions.provider`.
DEFAULTS = ("CPUExecutionProvider", "CPU", "cpu")
FIRST_IS_DEFAULT = ("tensorrt", "tensorrt-rtx")
# Sends requests to a service instead of executing; every build of ONNX Runtime lists it.
REMOTE = ("AzureExecutionProvider",)


def expand_providers(runtime: str, wanted: Sequence[str | None]) -> tuple[str | None, ...]:
    """The providers of one runtime, None for its default.

    Args:
        runtime: Name in `registry.RUNTIMES`.
        wanted: Names; "all" stands for everything that the installed engine can execute on here, for its default alone
            where it is not installed, which its row then says. Nothing stands for the default.
    """
    names: list[str | None] = []
    for name in wanted or (None,):
        names += _all_of(runtime) if name == ALL else [name]
    return tuple(dict.fromkeys(names))


def _all_of(runtime: str) -> list[str | None]:
    try:
        found = [name for name in list_providers(runtime) if name not in REMOTE]
    except PixioEdgeError:
        return [None]
    if runtime in FIRST_IS_DEFAULT:
        return [None, *found[1:]]
    return [None, *(name for name in found if name not in DEFAULTS)]
