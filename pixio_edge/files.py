"""Files that are either complete or absent, and their hashes."""

from __future__ import annotations

import errno
import hashlib
import importlib
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from pixio_edge.errors import InputError, OutputError

_HASH_BLOCK_BYTES = 1 << 20
_OWNER_ONLY = 0o700
# On Windows nobody else may read what is locked, so that is a byte beyond whatever a lock file says about its holder.
_LOCKED_BYTE = 1 << 20

_FIXES = {
    errno.ENOSPC: "free some space or choose another folder",
    errno.EDQUOT: "free some of your quota or choose another folder",
    errno.EFBIG: "choose a file system that takes files of this size",
    errno.EACCES: "choose a folder you may write to",
    errno.EPERM: "choose a folder you may write to",
    errno.EROFS: "choose a folder that is not mounted read-only",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EIO: "check the disk, or choose another folder",
}


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target`, and rename it to `target` when the block ends without an exception.

    The temporary file has the suffix of the target, so that libraries which choose a format by suffix work. It is
    flushed to the disk before the rename; on any exception, Ctrl-C included, it is removed and an older `target` stays.

    Raises:
        OutputError: The folder is missing or read-only, the disk is full, or the block wrote nothing.
    """
    target = Path(target)
    _check_target(target)
    # The name does not contain the target's, which may already be as long as the file system allows.
    temporary = target.parent / f".tmp-{secrets.token_hex(6)}{target.suffix}"
    try:
        yield temporary
        if not temporary.is_file():
            raise OutputError(f"cannot write {target}: nothing was written. Fix: check the name and format of the file")
        _flush_to_disk(temporary)
        temporary.replace(target)
    except OSError as error:
        if not _is_about(error, target, temporary):
            raise
        raise _output_error(target, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes_atomic(path: Path, data: bytes | memoryview) -> None:
    """Write a whole file, or nothing.

    Raises:
        OutputError: As for `atomic_path`.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text_atomic(path: Path, text: str) -> None:
    """Write a whole UTF-8 text file with Unix line ends, or nothing.

    Raises:
        OutputError: As for `atomic_path`.
    """
    write_bytes_atomic(path, text.encode("utf-8"))


def create_folder(path: Path) -> None:
    """Create a folder and those above it; one that is there already is fine.

    Raises:
        OutputError: It cannot be created, or is a file.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create folder {path}: {_reason(error)}. Fix: choose another folder") from error


def create_owned(folder: Path) -> None:
    """Create a folder of the cache, and those above it, for its owner alone; one that is there already is fine.

    Whoever may write to a folder above could put another one in its place.

    Raises:
        OutputError: It cannot be created, or is a file.
    """
    try:
        # Not by `parents`, which gives folders above the mode of the process.
        for level in reversed([level for level in folder.parents if not level.exists()]):
            level.mkdir(exist_ok=True, mode=_OWNER_ONLY)
        folder.mkdir(exist_ok=True, mode=_OWNER_ONLY)
    except OSError as error:
        raise OutputError(
            f"cannot create folder {folder} of the cache: {_reason(error)}. "
            "Fix: set PIXIO_EDGE_CACHE to a folder you may write"
        ) from error


def sha256_file(path: Path) -> str:
    """Lower-case hexadecimal SHA-256 of a file, read in blocks so that memory stays bounded.

    Raises:
        InputError: The file is missing or cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            while block := file.read(_HASH_BLOCK_BYTES):
                digest.update(block)
    except OSError as error:
        raise InputError(f"cannot read {path}: {_reason(error)}. Fix: check the path and its permissions") from error
    return digest.hexdigest()


def take_lock(file: IO[str]) -> bool:
    """Lock an open file for this process alone; the system takes the lock away from a process that dies.

    Returns:
        Whether it was taken; False where somebody else has it.

    Raises:
        OSError: The file system has no locks.
    """
    if sys.platform == "win32":
        msvcrt = importlib.import_module("msvcrt")
        file.seek(_LOCKED_BYTE)
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


def give_lock_back(file: IO[str]) -> None:
    """Unlock an open file; elsewhere than on Windows closing it does."""
    if sys.platform == "win32":
        msvcrt = importlib.import_module("msvcrt")
        file.seek(_LOCKED_BYTE)
        with suppress(OSError):
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)


def _check_target(target: Path) -> None:
    try:
        if target.is_dir():
            raise OutputError(f"cannot write {target}: it is a folder. Fix: give a file name inside it")
        if not target.parent.is_dir():
            raise OutputError(
                f"cannot write {target}: {target.parent} is not a folder. Fix: create {target.parent} first"
            )
    except OSError as error:
        raise _output_error(target, error) from error


def _flush_to_disk(path: Path) -> None:
    """Without it a power cut after the rename can leave an empty file under the final name."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_about(error: OSError, target: Path, temporary: Path) -> bool:
    """Whether an error comes from writing the target, and not from something else that the block opened."""
    if error.filename is None:  # from a write; numpy's have no error number either
        return error.errno is None or error.errno in _FIXES
    return Path(os.fsdecode(error.filename)) in (target, temporary)


def _output_error(target: Path, error: OSError) -> OutputError:
    fix = _FIXES.get(error.errno or 0, "check the path and its permissions")
    return OutputError(f"cannot write {target}: {_reason(error)}. Fix: {fix}")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).lower()
