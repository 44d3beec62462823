"""What an engine is, and what was measured of it: plain values, without the files they describe."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from pixio_edge.manifest_base import Record, Sha256
from pixio_edge.parity import Tolerance, margin_of

Library = Literal["tensorrt", "tensorrt-rtx"]
LIBRARY_TITLES: dict[Library, str] = {"tensorrt": "TensorRT", "tensorrt-rtx": "TensorRT for RTX"}


class HostGpu(Record):
    """What an engine is built for.

    Attributes:
        library: Which of the two libraries.
        version: Its version, such as "10.3.0" or "1.7.1.116"; engines do not carry over to another.
        sm: Compute capability as "major.minor": "8.7" is Orin.
        device: Name that the driver gives the GPU, such as "Orin" or "NVIDIA GeForce RTX 4090"; None in records of
            engines built ahead of time, which run on every GPU of their compute capability.
    """

    library: Library
    version: Annotated[str, Field(min_length=1)]
    sm: Annotated[str, Field(pattern=r"^\d+\.\d+$")]
    device: str | None

    def __str__(self) -> str:
        name = f"SM {self.sm}" if self.device is None else f"{self.device} (SM {self.sm})"
        return f"{LIBRARY_TITLES[self.library]} {self.version} on {name}"


class EngineKey(Record):
    """What tells engines apart. Two builds with the same key make engines that are as good as each other.

    Attributes:
        gpu: What it is built for.
        artifact: `artifact_digest` of the graph and its weights.
        profile: Shapes of the inputs and settings of the builder, as text.
        pinned: Names of the nodes that were put back to fp32, sorted.
    """

    gpu: HostGpu
    artifact: Sha256
    profile: str
    pinned: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of all fields."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


class EngineRecord(Record):
    """What is known about one engine, beside its file.

    Attributes:
        schema_version: Version of this record.
        key: What it is.
        name: Name of the artifact, such as "tensorrt-fp16-256x256".
        precision: That of the artifact.
        size: Input (height, width) in pixels.
        file: Name of the engine file, in the folder of the record.
        sha256: Of that file. One that failed is not kept: its record is, so that it is not built again for nothing.
        bytes: Length of that file.
        build_s: Seconds that the build took, all attempts with pinned layers included.
        finite: Whether the output on the golden input is finite; None if it was not run.
        parity: Measured against the golden output, `ParityReport.to_json`; None if it was not run.
        tolerance: Limits that this was held against.
        agreement: INT8 only: of its depth with the golden one, `calibration.agreement.Agreement.to_json`.
        layers: Number of layers with matrix products and convolutions by the type that they multiply; empty if the
            library did not tell.
        latency_ms: Median milliseconds of one inference by precision, all measured together with this engine, so that
            the choice between them can be followed; empty if nothing was timed.
        chosen: Whether it is the one to run at this size on this GPU.
        reason: Why it was chosen or not, for people.
        host: Where it was built, and with which versions.
        created: ISO 8601 UTC time.
    """

    schema_version: Literal[1] = 1
    key: EngineKey
    name: str
    precision: str
    size: tuple[int, int]
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    sha256: Sha256
    bytes: Annotated[int, Field(gt=0)]
    build_s: Annotated[float, Field(ge=0)]
    finite: bool | None = None
    parity: dict[str, JsonValue] | None = None
    tolerance: Tolerance | None = None
    agreement: dict[str, JsonValue] | None = None
    layers: dict[str, int] = Field(default_factory=dict)
    latency_ms: dict[str, float] = Field(default_factory=dict)
    chosen: bool = False
    reason: str = ""
    host: dict[str, JsonValue] = Field(default_factory=dict)
    created: str

    @property
    def passed(self) -> bool | None:
        """Whether it ran, gave finite numbers and was inside the tolerance; None if it was not run."""
        if self.finite is None or self.parity is None:
            return None
        margin = self.parity.get("margin")
        return self.finite and isinstance(margin, (int, float)) and margin <= 1.0

    def held_to(self, tolerance: Tolerance | None) -> EngineRecord:
        """The same with the margin for these limits: those of a bundle may have changed since the engine was built.

        Args:
            tolerance: Of the artifact; None allows nothing.
        """
        if self.parity is None or self.tolerance == tolerance:
            return self
        margin = math.inf if tolerance is None else margin_of(self.parity, tolerance)
        return self.model_copy(update={"parity": self.parity | {"margin": margin if math.isfinite(margin) else None}})
