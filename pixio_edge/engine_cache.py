"""Engines that were built on this host, each beside a record of what it is and what was measured.

An engine is a graph compiled for one GPU by one version of TensorRT; it runs nowhere else. So engines are no part of a
bundle: they lie in a cache of the user, by the graph they were built from, and a runtime opens only those whose record
says that they are for this library, version and GPU, and that they passed the checks of `pixio-edge build`.

The hash in a record finds files that were damaged or cut off. It is no protection against whoever may write into the
cache: an engine is a program, as any library that a process loads, and the folder is made for its owner alone.
"""

from __future__ import annotations

import hashlib
import json
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from pixio_edge import env
from pixio_edge.engine_record import EngineKey, EngineRecord, HostGpu
from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.files import create_owned, write_bytes_atomic, write_text_atomic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pixio_edge.manifest import ArtifactEntry

__all__ = [
    "CachedEngine",
    "EngineKey",
    "EngineRecord",
    "HostGpu",
    "artifact_digest",
    "create_owned",
    "engine_folder",
    "engine_name",
    "engine_path",
    "explain_absence",
    "find_engines",
    "fits",
    "list_records",
    "load_engine",
    "read_engine",
    "remove",
    "store",
    "write_record",
]

RECORD_SUFFIX = ".json"
ENGINE_SUFFIX = ".engine"
# 64 bits of a SHA-256 in file names: two of a user's few hundred engines collide with a chance of 1e-15.
NAME_DIGITS = 16


@dataclass(frozen=True, slots=True)
class CachedEngine:
    """An engine whose bytes were hashed and found to be what its record says.

    Args:
        record: What it is.
        data: The serialised engine.
    """

    record: EngineRecord
    data: bytes


def engine_folder() -> Path:
    """Where this user's engines are: below `env.cache_folder`.

    Raises:
        InputError: The user has no home folder, and PIXIO_EDGE_CACHE does not name another.
    """
    return env.cache_folder() / "engines"


def artifact_digest(artifact: ArtifactEntry) -> str:
    """SHA-256 over the hashes of a graph and of the weight files it reads: two graphs may differ in those alone."""
    hashes = [artifact.sha256, *sorted(entry.sha256 for entry in artifact.data)]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def list_records(artifact: ArtifactEntry, *, folder: Path | None = None) -> tuple[EngineRecord, ...]:
    """Every record of an artifact, for whatever GPU, held to the tolerance that the artifact states now.

    What cannot be read as a record counts as absent.

    Args:
        artifact: Of a bundle.
        folder: Cache folder; None is `engine_folder`.
    """
    digest = artifact_digest(artifact)
    place = _place(digest, folder)
    try:
        paths = sorted(place.glob(f"*{RECORD_SUFFIX}"))
    except OSError:
        return ()
    records = (_read_record(path) for path in paths)
    mine = (record for record in records if record is not None and record.key.artifact == digest)
    return tuple(record.held_to(artifact.tolerance) for record in mine)


def find_engines(artifact: ArtifactEntry, gpu: HostGpu, *, folder: Path | None = None) -> tuple[EngineRecord, ...]:
    """Engines of an artifact that this GPU can run: built for it, passed, and with a file of the right length.

    Args:
        artifact: Of a bundle, kind "tensorrt".
        gpu: This host's.
        folder: Cache folder; None is `engine_folder`.

    Returns:
        The chosen one first, then the newest; empty if there is none.
    """
    found = [
        record
        for record in list_records(artifact, folder=folder)
        if fits(record, gpu) and record.passed and _problem(record, folder) is None
    ]
    newest = sorted(found, key=lambda record: record.created, reverse=True)
    return tuple(sorted(newest, key=lambda record: not record.chosen))


def fits(record: EngineRecord, gpu: HostGpu) -> bool:
    """Whether an engine was built for this library, version and GPU."""
    return record.key.gpu in (gpu, gpu.model_copy(update={"device": None}))


def read_engine(artifact: ArtifactEntry, gpu: HostGpu, *, folder: Path | None = None) -> CachedEngine:
    """Read the best engine of an artifact for this GPU, hashed.

    Args:
        artifact: Of a bundle, kind "tensorrt".
        gpu: This host's.
        folder: Cache folder; None is `engine_folder`.

    Raises:
        RuntimeUnavailableError: None was built, or only for another version or GPU, or it is damaged, or it failed its
            checks. The message says which.
    """
    found = find_engines(artifact, gpu, folder=folder)
    if not found:
        raise RuntimeUnavailableError(explain_absence(artifact, gpu, folder=folder))
    return load_engine(found[0], folder=folder)


def load_engine(record: EngineRecord, *, folder: Path | None = None) -> CachedEngine:
    """Read the engine of one record, hashed.

    Raises:
        RuntimeUnavailableError: It is missing or damaged.
    """
    path = engine_path(record, folder=folder)
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise RuntimeUnavailableError(f"engine {path}: {reason}. Fix: pixio-edge build BUNDLE") from error
    if len(data) != record.bytes or hashlib.sha256(data).hexdigest() != record.sha256:
        raise RuntimeUnavailableError(
            f"engine {path}: got {len(data)} bytes that are not those that were built, expected {record.bytes} with "
            f"sha256 {record.sha256[:12]}…; the file was damaged. Fix: pixio-edge build BUNDLE"
        )
    return CachedEngine(record, data)


def explain_absence(artifact: ArtifactEntry, gpu: HostGpu, *, folder: Path | None = None) -> str:
    """One line: why this GPU has no engine of an artifact, and the fix."""
    records = list_records(artifact, folder=folder)
    mine = [record for record in records if fits(record, gpu)]
    damaged = [problem for record in mine if (problem := _problem(record, folder)) is not None]
    failed = [record for record in mine if record.passed is False]
    if failed and failed[-1].tolerance != artifact.tolerance:
        reason = "its engine is outside the tolerance of this bundle, which is another than when it was built"
    elif failed:
        reason = f"its engine failed the checks on this host ({failed[-1].reason or 'out of tolerance'})"
    elif damaged:
        reason = damaged[0]
    elif mine:
        reason = "its engine was built ahead of time and never checked on this GPU"
    elif records:
        others = ", ".join(sorted({str(record.key.gpu) for record in records}))
        reason = f"its engines were built by {others}, and an engine runs nowhere else"
    else:
        reason = "no engine was built from this graph"
    return f"artifact '{artifact.name}': {reason}; expected one for {gpu}. Fix: pixio-edge build BUNDLE"


def store(record: EngineRecord, data: bytes, *, folder: Path | None = None) -> Path:
    """Write an engine and then its record, each whole or not at all; the same key is replaced.

    Args:
        record: What it is; its `file`, `sha256` and `bytes` are those of `data`: see `engine_facts`.
        data: The serialised engine.
        folder: Cache folder; None is `engine_folder`.

    Returns:
        Path of the engine file.

    Raises:
        OutputError: The folder cannot be written.
    """
    path = engine_path(record, folder=folder)
    create_owned(path.parent)
    write_bytes_atomic(path, data)
    write_record(record, folder=folder)
    return path


def write_record(record: EngineRecord, *, folder: Path | None = None) -> None:
    """Write a record alone: of a stored engine when the choice between engines changes, or of one that failed.

    Raises:
        OutputError: The folder cannot be written.
    """
    path = engine_path(record, folder=folder)
    create_owned(path.parent)
    text = json.dumps(record.model_dump(mode="json"), indent=2) + "\n"
    write_text_atomic(path.with_suffix(RECORD_SUFFIX), text)


def remove(records: Iterable[EngineRecord], *, folder: Path | None = None) -> None:
    """Delete engines with their records, the records first."""
    for record in records:
        path = engine_path(record, folder=folder)
        for target in (path.with_suffix(RECORD_SUFFIX), path):
            with suppress(OSError):
                target.unlink(missing_ok=True)


def engine_name(name: str, key: EngineKey) -> str:
    """File name of an engine: readable, and different for every key."""
    return f"{name}-{key.digest[:NAME_DIGITS]}{ENGINE_SUFFIX}"


def engine_path(record: EngineRecord, *, folder: Path | None = None) -> Path:
    """Where the engine of a record is."""
    return _place(record.key.artifact, folder) / record.file


def _place(digest: str, folder: Path | None) -> Path:
    return (engine_folder() if folder is None else folder) / digest[:NAME_DIGITS]


def _read_record(path: Path) -> EngineRecord | None:
    try:
        record = EngineRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return record if path.stem == Path(record.file).stem else None


def _problem(record: EngineRecord, folder: Path | None) -> str | None:
    """What is wrong with the file of an engine, from its length alone: the hash is checked when it is read."""
    path = engine_path(record, folder=folder)
    try:
        status = path.stat()
    except OSError:
        return f"its engine {path} is missing"
    if not stat.S_ISREG(status.st_mode) or status.st_size != record.bytes:
        return f"its engine {path} has {status.st_size} bytes of {record.bytes}, it was cut off"
    return None
