"""One builder at a time: two would time their kernels against each other, and build everything twice."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from pixio_edge.engine_cache import create_owned
from pixio_edge.errors import OutputError
from pixio_edge.files import give_lock_back, take_lock

if TYPE_CHECKING:
    from pathlib import Path

LOCK_FILE = "build.lock"
POLL_S = 0.5


@contextmanager
def only_builder(folder: Path, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a folder of engines, after whoever holds it now.

    The system takes the lock away from a process that dies, so none is ever left behind.

    Args:
        folder: Created if it is not there, for its owner alone.
        on_wait: Called once with a sentence for people, if another process has the lock.

    Raises:
        OutputError: The folder cannot be written, or its file system has no locks.
    """
    path = folder / LOCK_FILE
    create_owned(folder)
    try:
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise _no_lock(path, error) from error
    with file:
        _wait(file, path, on_wait)
        try:
            file.seek(0)
            file.truncate()
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield
        finally:
            give_lock_back(file)


def _wait(file: IO[str], path: Path, on_wait: Callable[[str], None]) -> None:
    is_told = False
    while True:
        try:
            if take_lock(file):
                return
        except OSError as error:
            raise _no_lock(path, error) from error
        if not is_told:
            file.seek(0)
            holder = file.read().strip()
            on_wait(f"waiting for process {holder or 'of another user'}, which is building engines in {path.parent}")
            is_told = True
        time.sleep(POLL_S)


def _no_lock(path: Path, error: OSError) -> OutputError:
    reason = (error.strerror or str(error)).lower()
    return OutputError(
        f"cannot lock {path}: {reason}. Fix: set PIXIO_EDGE_CACHE to a folder that you may write, on a local disk"
    )
