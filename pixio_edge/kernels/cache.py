"""Compiled kernels on this host's disk, each beside its hash, so that only the first process waits for the compiler.

Nothing here can stop a kernel from running: a folder that cannot be written, a full disk, a lock that is never given
back or a damaged file only mean that the kernel is compiled once more, and the result says so.

As for engines, the hash finds damage. It is no protection against whoever may write into the cache: a cubin is a
program, and the folder is made for its owner alone.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pixio_edge import env
from pixio_edge.errors import MissingDependencyError, OutputError, RuntimeUnavailableError
from pixio_edge.files import create_owned, give_lock_back, take_lock, write_bytes_atomic, write_text_atomic
from pixio_edge.kernels import compile as compiler
from pixio_edge.kernels.compile import Compiled, Resources
from pixio_edge.kernels.prebuilt import read_prebuilt
from pixio_edge.kernels.source import read_source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import IO

    from pixio_edge.kernels.catalogue import Kernel

# 64 bits of a SHA-256 in file names, as for engines.
NAME_DIGITS = 16
# A kernel takes about a second to compile on one core of a desktop; whoever waits this long compiles it again.
LOCK_TIMEOUT_S = 120.0
POLL_S = 0.05
CUBIN_SUFFIX, RECORD_SUFFIX, LOCK_SUFFIX = ".cubin", ".json", ".lock"


@dataclass(frozen=True, slots=True)
class Cached:
    """A compiled kernel and where it came from.

    Args:
        compiled: The code; without PTX and log where it came from the disk.
        digest: SHA-256 of all that decides which code it is.
        is_from_disk: Whether the compiler was spared.
        problem: Why the disk could not be used, in one line; None if it could.
    """

    compiled: Compiled
    digest: str
    is_from_disk: bool
    problem: str | None = None


def kernel_folder() -> Path:
    """Where this user's kernels are: below `env.cache_folder`.

    Raises:
        InputError: The user has no home folder, and PIXIO_EDGE_CACHE does not name another.
    """
    return env.cache_folder() / "kernels"


def load_kernel(
    kernel: Kernel,
    sm: str,
    defines: Mapping[str, int],
    *,
    folder: Path | None = None,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
) -> Cached:
    """Take one variant of a kernel from the disk, or compile it and put it there.

    Where NVRTC is missing or does not know the GPU, it is one that was compiled ahead of time: see `prebuilt`.

    Args:
        kernel: Of the catalogue.
        sm: GPU, such as "sm_87".
        defines: A value for each macro of the kernel.
        folder: Cache folder; None is `kernel_folder`.
        lock_timeout_s: Seconds to wait for another process that compiles the same.

    Raises:
        SpecError: A macro is missing, unknown or has a value that the kernel is not made for.
        InputError: A source is missing, or there is no cache folder to name.
        MissingDependencyError: NVRTC is not installed.
        RuntimeUnavailableError: The installed NVRTC does not know the GPU, or refuses the source.
    """
    kernel.check(defines)
    place = folder or kernel_folder()
    try:
        compiler.check_sm(sm)
    except (MissingDependencyError, RuntimeUnavailableError):
        prebuilt = read_prebuilt(kernel, sm, defines, place)
        if prebuilt is None:
            raise
        return Cached(*prebuilt, is_from_disk=True)
    source = read_source(kernel)
    version = f"nvrtc {compiler.nvrtc_version()}"
    digest = source.digest(sm=sm, defines=defines, compiler=version, options=compiler.OPTIONS)
    path = place / f"{kernel.name}-{sm}-{digest[:NAME_DIGITS]}{CUBIN_SUFFIX}"
    found = _read(path, digest)
    if found is not None:
        return Cached(found, digest, is_from_disk=True)
    try:
        with _lock(path, lock_timeout_s):
            found = _read(path, digest)  # another process may have made it meanwhile
            if found is not None:
                return Cached(found, digest, is_from_disk=True)
            compiled = compiler.compile_source(kernel, source, sm, defines)
            return Cached(compiled, digest, is_from_disk=False, problem=_store(path, compiled, digest))
    except _NoLockError as error:
        problem = f"{error}; compiled again in each process"
    return Cached(compiler.compile_source(kernel, source, sm, defines), digest, is_from_disk=False, problem=problem)


class _NoLockError(Exception):
    """The lock could not be had; the message says why."""


@contextmanager
def _lock(path: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock of one variant.

    Raises:
        _NoLockError: The folder cannot be written, has no locks, or another process keeps it too long.
    """
    target = path.with_suffix(LOCK_SUFFIX)
    try:
        create_owned(path.parent)
        file = target.open("a", encoding="utf-8")
    except (OutputError, OSError) as error:
        raise _NoLockError(_first_part(error)) from error
    with file:
        _wait(file, target, timeout_s)
        try:
            yield
        finally:
            give_lock_back(file)


def _wait(file: IO[str], target: Path, timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while True:
        try:
            if take_lock(file):
                return
        except OSError as error:
            raise _NoLockError(f"cannot lock {target}: {(error.strerror or str(error)).lower()}") from error
        if time.monotonic() >= end:
            raise _NoLockError(f"another process held {target} for {timeout_s:g} s")
        time.sleep(POLL_S)


def _read(path: Path, digest: str) -> Compiled | None:
    """A stored kernel; None if there is none, or its files are not what was written."""
    try:
        record = json.loads(path.with_suffix(RECORD_SUFFIX).read_bytes())
        cubin = path.read_bytes()
        if record["digest"] != digest or record["sha256"] != hashlib.sha256(cubin).hexdigest():
            return None
        resources = {entry: Resources(**numbers) for entry, numbers in record["resources"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Compiled(cubin, None, resources, "")


def _store(path: Path, compiled: Compiled, digest: str) -> str | None:
    """Write the code and then its record; says why where that is not possible."""
    record: dict[str, Any] = {
        "digest": digest,
        "sha256": hashlib.sha256(compiled.cubin).hexdigest(),
        "bytes": len(compiled.cubin),
        "resources": {entry: asdict(resources) for entry, resources in compiled.resources.items()},
    }
    try:
        write_bytes_atomic(path, compiled.cubin)
        write_text_atomic(path.with_suffix(RECORD_SUFFIX), json.dumps(record, indent=2) + "\n")
    except (OutputError, OSError) as error:
        return f"{_first_part(error)}; compiled again in each process"
    return None


def _first_part(error: Exception) -> str:
    """What went wrong, without the fix: the kernel runs all the same."""
    return str(error).partition(". Fix: ")[0]
