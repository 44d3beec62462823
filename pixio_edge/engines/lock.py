"""One builder at a time: two would time their kernels against each other, and build everything twice."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from pixio_edge.engine_cache import create_owned
from pixio_edge.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

LOCK_FILE = "build.lock"
POLL_S = 0.5
# On Windows nobody else may read what is locked, so that is a byte beyond the number of the process.
LOCKED_BYTE = 1 << 20


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
            _release(file)


def _wait(file: IO[str], path: Path, on_wait: Callable[[str], None]) -> None:
    is_told = False
    while True:
        try:
            if _take(file):
                return
        except OSError as error:
            raise _no_lock(path, error) from error
        if not is_told:
            file.seek(0)
            holder = file.read().strip()
            on_wait(f"waiting for process {holder or 'of another user'}, which is building engines in {path.parent}")
            is_told = True
        time.sleep(POLL_S)


def _take(file: IO[str]) -> bool:
    if sys.platform == "win32":
        msvcrt = importlib.import_module("msvcrt")
        file.seek(LOCKED_BYTE)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True
    import fcntl  # noqa: PLC0415 - POSIX only

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _release(file: IO[str]) -> None:
    if sys.platform == "win32":
        msvcrt = importlib.import_module("msvcrt")
        file.seek(LOCKED_BYTE)
        with contextlib.suppress(OSError):
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
    # Elsewhere closing the file gives the lock back.


def _no_lock(path: Path, error: OSError) -> OutputError:
    reason = (error.strerror or str(error)).lower()
    return OutputError(
        f"cannot lock {path}: {reason}. Fix: set PIXIO_EDGE_CACHE to a folder that you may write, on a local disk"
    )
