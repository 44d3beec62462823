"""What is written down of an engine that was just built."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from pixio_edge._version import __version__
from pixio_edge.engine_cache import EngineKey, EngineRecord, engine_name
from pixio_edge.host import probe_host

if TYPE_CHECKING:
    from pixio_edge.engines.check import Verdict
    from pixio_edge.manifest import ArtifactEntry


def make_record(
    artifact: ArtifactEntry,
    key: EngineKey,
    data: bytes,
    *,
    build_s: float,
    layers: dict[str, int],
    reason: str,
    verdict: Verdict | None = None,
) -> EngineRecord:
    """The record of an engine, with this host and time; see `EngineRecord` for the fields.

    Args:
        artifact: What it was built from.
        key: What it is.
        data: Serialised.
        build_s: Seconds that the build took.
        layers: Number of layers by the type that they multiply.
        reason: What is said about it.
        verdict: What was measured of its output; None if it was not run.
    """
    host = probe_host()
    return EngineRecord(
        key=key,
        name=artifact.name,
        precision=artifact.precision,
        size=artifact.size,
        file=engine_name(artifact.name, key),
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        build_s=round(build_s, 1),
        finite=None if verdict is None else verdict.finite,
        parity=None if verdict is None else verdict.parity.to_json(),
        tolerance=None if verdict is None else verdict.parity.tolerance,
        agreement=None if verdict is None or verdict.agreement is None else verdict.agreement.to_json(),
        layers=layers,
        reason=reason,
        host={"os": host.os, "arch": host.arch, "cpu": host.cpu, "tool": f"pixio-edge {__version__}"},
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
