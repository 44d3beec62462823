"""Getting published weights: terms first, one commit, the announced content, and never a file that is not checked."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixio_edge._version import __version__
from pixio_edge.errors import DownloadError, InputError, LicenceError, OutputError
from pixio_edge.files import create_folder, sha256_file
from pixio_edge.licences import check_commercial
from pixio_edge.weights.catalogue import Weights, find_weights
from pixio_edge.weights.hub import RemoteFile, fetch, find_remote
from pixio_edge.weights.lock import Lock, lock_path, read_lock, write_lock

if TYPE_CHECKING:
    from collections.abc import Callable

# Where no commit is known: what the branch points to is pinned before the first byte.
FIRST_REVISION = "main"


@dataclass(frozen=True, slots=True)
class Pulled:
    """A file that is there and has the content of its pin.

    Args:
        path: The file.
        lock: Its pin.
        received: Bytes received by this call; 0 if the file was there.
        resumed_at: Bytes that were there from an interrupted call.
    """

    path: Path
    lock: Lock
    received: int
    resumed_at: int

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        pin = self.lock.model_dump(mode="json", exclude={"schema_version", "tool"})
        return pin | {
            "path": str(self.path),
            "lock": str(lock_path(self.path)),
            "received": self.received,
            "resumed_at": self.resumed_at,
        }


def pull(
    name: str,
    folder: Path,
    *,
    revision: str | None = None,
    accept_licence: bool = False,
    on_start: Callable[[RemoteFile, Path], None] = lambda remote, path: None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Pulled:
    """Download the weights of a name to `folder/name`, or check those that are there.

    The content is checked against the hub's SHA-256 and against the pin beside the file, which the first call writes.
    What an interrupted call has received is in `<file>.part`, and the next one goes on from there.

    Args:
        name: In the catalogue.
        folder: Where weights are kept; created when missing.
        revision: Commit, branch or tag; None takes that of the pin, else the catalogue's, else what "main" is now.
        accept_licence: Whether the user has read and accepts the terms; needed where they forbid commercial use.
        on_start: Called with what will be received and where to, before the first byte.
        on_progress: Called with bytes there and bytes in all.

    Raises:
        InputError: Unknown name, or a revision whose content differs from the pin.
        LicenceError: The terms were not accepted, or commercial use is insisted on and not allowed.
        DownloadError: No access, no network, or the content differs from what was announced.
        OutputError: The folder cannot be written or the disk is too small.
    """
    weights = find_weights(name)
    check_commercial(weights.terms.to_entry(), what=f"weights '{name}'")
    target = Path(folder) / name / weights.file
    lock = read_lock(target)
    if target.exists() and lock is None:
        raise OutputError(
            f"{target}: is there without {lock_path(target).name}, so it is not known what it is. "
            "Fix: remove it, or choose another folder with -o"
        )
    if lock is not None and target.exists() and revision in (None, lock.commit):
        return _check_file(target, lock)
    _check_acceptance(weights, accepted=accept_licence)
    remote = find_remote(weights, revision or (lock.commit if lock else weights.commit) or FIRST_REVISION)
    lock = _check_pin(remote, lock, target)
    return _check_file(target, lock) if target.exists() else _download(remote, lock, target, on_start, on_progress)


def part_path(target: Path) -> Path:
    """Where an interrupted download waits."""
    return target.with_name(target.name + ".part")


def _check_acceptance(weights: Weights, *, accepted: bool) -> None:
    if not weights.terms.commercial and not accepted:
        raise LicenceError(
            f"{weights.name}: {weights.terms.name}: {weights.terms.summary} Text: {weights.terms.url}. "
            "Fix: read it, and if you accept it add --accept-licence"
        )


def _check_pin(remote: RemoteFile, lock: Lock | None, target: Path) -> Lock:
    """The pin of a file: the one that is there if the hub still agrees with it, or else a new one."""
    weights = remote.weights
    expected = lock.sha256 if lock else weights.sha256
    if expected not in (None, remote.sha256):
        where = str(lock_path(target)) if lock else "the catalogue"
        raise InputError(
            f"{weights.name}: got sha256 {remote.sha256[:12]}… at commit {remote.commit[:12]}, expected "
            f"{str(expected)[:12]}… of {where}. Fix: leave --revision out to stay with the pin, "
            "or choose another folder with -o"
        )
    return lock or Lock(
        name=weights.name,
        repository=weights.repository,
        file=weights.file,
        commit=remote.commit,
        sha256=remote.sha256,
        bytes=remote.bytes,
        licence=weights.terms.to_entry(),
        tool=f"pixio-edge {__version__}",
    )


def _check_file(path: Path, lock: Lock) -> Pulled:
    found = sha256_file(path)
    if found != lock.sha256:
        raise InputError(
            f"{path}: sha256 {found[:12]}…, {lock_path(path).name} pins {lock.sha256[:12]}…, the file was altered. "
            "Fix: remove it and pull again"
        )
    return Pulled(path, lock, received=0, resumed_at=0)


def _download(
    remote: RemoteFile,
    lock: Lock,
    target: Path,
    on_start: Callable[[RemoteFile, Path], None],
    on_progress: Callable[[int, int], None],
) -> Pulled:
    part = part_path(target)
    create_folder(target.parent)
    there = part.stat().st_size if part.is_file() else 0
    if there > remote.bytes:  # not of this file
        part.unlink()
        there = 0
    _check_space(target.parent, remote.bytes - there, remote.weights.name)
    write_lock(target, lock)
    on_start(remote, target)
    on_progress(there, remote.bytes)
    fetch(remote, part, on_progress)
    found = sha256_file(part)
    if found != lock.sha256:
        part.unlink()
        raise DownloadError(
            f"{remote.weights.name}: got sha256 {found[:12]}…, expected {lock.sha256[:12]}… as announced, so the file "
            "was removed. Fix: pull again; if it stays so, something between here and the hub alters files"
        )
    part.replace(target)
    return Pulled(target, lock, received=remote.bytes - there, resumed_at=there)


def _check_space(folder: Path, needed: int, name: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"{name}: needs {needed / 1e6:.1f} MB in {folder}, only {free / 1e6:.1f} MB are free. "
            "Fix: free some space, or choose another folder with -o"
        )
