"""Binding threads to cores, where the system lets a process do that."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pixio_edge.errors import RuntimeUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def check_cores(cores: Sequence[int]) -> None:
    """Make sure that this process may bind threads to these cores.

    Raises:
        RuntimeUnavailableError: The system has no thread affinity, or a core is not among those the process may use.
    """
    if sys.platform != "linux":
        raise RuntimeUnavailableError(
            f"pin_cores: not supported on {sys.platform}, expected Linux. Fix: leave pin_cores out"
        )
    allowed = os.sched_getaffinity(0)
    if not set(cores) <= allowed:
        raise RuntimeUnavailableError(
            f"pin_cores: got {tuple(cores)}, expected cores out of {sorted(allowed)}, which this process may use. "
            "Fix: name cores out of these"
        )


@contextmanager
def bind_caller(cores: Sequence[int] | None) -> Iterator[None]:
    """Bind the calling thread to `cores` inside the block, and give it back its own affinity after; None does nothing.

    Costs two system calls, some microseconds. Threads that are started inside the block inherit the binding.
    """
    if cores is None or sys.platform != "linux":
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
