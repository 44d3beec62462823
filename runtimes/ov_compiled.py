"""What OpenVINO made of a graph, kept on this host's disk, so that only the first load pays for making it.

Compiling the INT8 graph of `nano` takes three times the processor time of reading the result back, and 20 MiB more at
the peak. Nothing here can stop a graph from running: a folder that cannot be written, a full disk, a damaged file or a
device that exports nothing only mean that the graph is compiled, as it would be without.

A file is its SHA-256 and then OpenVINO's own export. The hash finds damage. It is no protection against whoever may
write into the cache, which is made for its owner alone.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any

from pixio_edge import env
from pixio_edge.errors import InputError, OutputError
from pixio_edge.files import atomic_path, create_owned
from pixio_edge.host import probe_host

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import ModuleType

    from pixio_edge.bundle import VerifiedArtifact

SUFFIX = ".openvino"
HASH_BYTES = hashlib.sha256().digest_size
# 64 bits of a SHA-256 in file names, as for engines.
NAME_DIGITS = 16
# An export is held in memory as a whole and has all weights. The largest student (`small` in fp32) has 93 MiB; for a
# teacher of gigabytes the copy costs more than compiling.
LARGEST_MIB = 128
# All files together: every size, precision and number of threads of a bundle has its own. Older ones go first.
LARGEST_CACHE_MIB = 512
MIB = 1 << 20


def compiled_folder() -> Path:
    """Where this user's compiled graphs are: below `env.cache_folder`.

    Raises:
        InputError: The user has no home folder, and PIXIO_EDGE_CACHE does not name another.
    """
    return env.cache_folder() / "openvino"


def compile_or_read(
    openvino: ModuleType, core: Any, artifact: VerifiedArtifact, device: str, config: Mapping[str, Any]
) -> Any:
    """A compiled model, read from the disk if it is there, else compiled and put there.

    Args:
        openvino: The library.
        core: Its `Core`.
        artifact: With a graph that OpenVINO reads.
        device: Such as "CPU".
        config: Properties to compile with.

    Raises:
        RuntimeError: OpenVINO cannot compile the graph.
    """
    path = _path(openvino, core, artifact, device, config)
    if path is None:
        return core.compile_model(str(artifact.path), device, dict(config))
    blob = _read(path)
    if blob is not None:
        # It refuses what another build of the same version wrote; that graph is compiled and kept anew.
        with suppress(RuntimeError):
            return core.import_model(blob, device, dict(config))
    compiled = core.compile_model(str(artifact.path), device, dict(config))
    _store(path, compiled)
    return compiled


def _path(
    openvino: ModuleType, core: Any, artifact: VerifiedArtifact, device: str, config: Mapping[str, Any]
) -> Path | None:
    """Where the compiled graph belongs; None where it is not to be kept."""
    entry = artifact.entry
    stored_mib = (entry.bytes + sum(file.bytes for file in entry.data)) / MIB
    if not env.keeps_compiled() or stored_mib > LARGEST_MIB:
        return None
    try:
        facts = _device_facts(core, device)
    except RuntimeError:  # a virtual device, such as one made of several, does not tell what it is
        return None
    facts |= {
        "files": [entry.sha256, *(file.sha256 for file in entry.data)],
        "openvino": openvino.__version__,
        "isa": probe_host().isa,
        "config": {name: str(value) for name, value in config.items()},
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    try:
        return compiled_folder() / f"{entry.name}-{digest[:NAME_DIGITS]}{SUFFIX}"
    except InputError:  # no home folder: nothing to keep it in
        return None


def _device_facts(core: Any, device: str) -> dict[str, Any]:
    """What a compiled graph depends on."""
    return {
        "device": core.get_property(device, "FULL_DEVICE_NAME"),
        "abilities": sorted(core.get_property(device, "OPTIMIZATION_CAPABILITIES")),
    }


def _read(path: Path) -> bytes | None:
    """A stored export; None if there is none, or it is not what was written."""
    try:
        with path.open("rb") as file:
            digest, blob = file.read(HASH_BYTES), file.read()
    except OSError:
        return None
    return blob if blob and hashlib.sha256(blob).digest() == digest else None


def _store(path: Path, compiled: Any) -> None:
    """Keep an export; where the device has none, or it cannot be kept, the next load compiles again."""
    with suppress(RuntimeError, OutputError, OSError):
        exported = compiled.export_model()
        # No copy: it has all weights of the graph.
        blob = exported.getbuffer() if isinstance(exported, BytesIO) else memoryview(exported)
        create_owned(path.parent)
        _make_room(path.parent, len(blob))
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.write(hashlib.sha256(blob).digest())
            file.write(blob)


def _make_room(folder: Path, size: int) -> None:
    """Remove the files written longest ago until a new one fits; what another process removes first is gone as well."""
    files = sorted((file.stat().st_mtime, file.stat().st_size, file) for file in folder.glob(f"*{SUFFIX}"))
    excess = sum(file[1] for file in files) + size - LARGEST_CACHE_MIB * MIB
    for _, length, file in files:
        if excess <= 0:
            return
        file.unlink(missing_ok=True)
        excess -= length
