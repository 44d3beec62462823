"""What `build` says about each engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pixio_edge.sizes import size_label

if TYPE_CHECKING:
    from pydantic import JsonValue

    from pixio_edge.engine_cache import EngineRecord
    from pixio_edge.manifest import ArtifactEntry

BYTES_PER_MIB = 1 << 20

Status = Literal["built", "cached", "failed", "planned"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One engine.

    Args:
        artifact: What it was built from.
        status: Whether it was built now, was there already, is of no use, or would be built.
        record: What is known about it; None if it could not be built at all.
        reason: Why it runs or does not, for people.
        file: Where it is; None if there is none.
        runs: Name of the artifact whose engine runs at this size, which may be of an earlier run; None if none does.
        target: Compute capability that it was to be built for ahead of time; empty for the GPU of this host.
    """

    artifact: ArtifactEntry
    status: Status
    record: EngineRecord | None
    reason: str
    file: str | None = None
    runs: str | None = None
    target: str = ""

    @property
    def chosen(self) -> bool:
        """Whether it is the one to run at its size."""
        return self.record is not None and self.record.chosen

    def to_json(self) -> dict[str, JsonValue]:
        """All that the table shows, and the numbers behind it."""
        record = self.record
        facts: dict[str, JsonValue] = {
            "artifact": self.artifact.name,
            "precision": self.artifact.precision,
            "size": list(self.artifact.size),
            "status": self.status,
            "chosen": self.chosen,
            "reason": self.reason,
            "compute_capability": self.target or (None if record is None else record.key.gpu.sm),
            "file": self.file,
        }
        if record is not None:
            facts |= {
                "build_s": record.build_s,
                "bytes": record.bytes,
                "latency_ms": record.latency_ms.get(record.precision),
                "finite": record.finite,
                "parity": record.parity,
                "agreement": record.agreement,
                "layers": dict(record.layers),
                "pinned": list(record.key.pinned),
                "gpu": record.key.gpu.model_dump(mode="json"),
            }
        return facts

    def row(self) -> tuple[object, ...]:
        """One line of the table."""
        record = self.record
        label = size_label(self.artifact.size)
        precision = f"{self.artifact.precision} SM {self.target}" if self.target else self.artifact.precision
        if record is None:
            return (label, precision, self.status, "-", "-", "-", "-", "-", "-", "no", self.reason)
        ms = record.latency_ms.get(record.precision)
        margin = (record.parity or {}).get("margin")
        return (
            label,
            precision,
            self.status,
            f"{record.build_s:.0f}",
            f"{record.bytes / BYTES_PER_MIB:.1f}" if self.file else "-",
            "-" if ms is None else f"{ms:.2f}",
            f"{margin:.0%}" if isinstance(margin, (int, float)) else "-",
            " ".join(f"{name}:{count}" for name, count in record.layers.items()) or "-",
            len(record.key.pinned),
            "yes" if self.chosen else "no",
            self.reason,
        )


COLUMNS = ("size", "precision", "status", "build s", "MiB", "ms", "parity", "products", "pinned", "runs", "reason")
"""Parity is the share of the tolerance that is used; products are layers with matrix products by what they multiply."""
