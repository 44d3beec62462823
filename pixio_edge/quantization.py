"""What a manifest says about a quantised artifact: how it was made, what it lost and what it gained."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, JsonValue

from pixio_edge.manifest_base import BundlePath, Record, Size

WEIGHTS_FLAVOUR = "weights"
"""Flavour of artifacts whose stored weights alone are small, integers or half precision: smaller, computed in fp32, and
not faster."""


class SpeedEntry(Record):
    """How fast a quantised artifact was beside the float artifact of the same size, in turns on one host.

    Attributes:
        runtime: Name in `runtimes.registry.RUNTIMES`, on its CPU.
        size: Height and width that were timed: of this artifact, or of one of the ladder that costs the same.
        threads: Threads of one inference.
        float_ms: Median latency of the float artifact in the round that counts, milliseconds.
        int8_ms: Median latency of the quantised artifact in that round, milliseconds.
        speedup: Ratio of the two; more than 1 is faster than float.
        rounds: How often the two took turns; the round with the median ratio counts.
        int8_ops: Matrix products and convolutions that executed in INT8; None where the runtime does not tell, which
            the speed gate refuses.
        float_ops: Matrix products and convolutions that executed in a float type; None as above.
        cpu: Name of the processor.
    """

    runtime: str
    size: Size
    threads: int
    float_ms: Annotated[float, Field(gt=0)]
    int8_ms: Annotated[float, Field(gt=0)]
    speedup: Annotated[float, Field(gt=0)]
    rounds: Annotated[int, Field(gt=0)]
    int8_ops: int | None
    float_ops: int | None
    cpu: str


class QuantizationEntry(Record):
    """How an artifact was quantised, and what that cost and brought.

    Attributes:
        flavour: Form of the graph: "openvino", "ort-x86", …; `WEIGHTS_FLAVOUR`.
        keep_float: Layers that the search gave back to float.
        calibration: Path of the calibration table in `Manifest.files`; None when nothing was calibrated.
        budget: Loss of accuracy that was allowed, in points of delta1; None when there was no gate.
        accuracy: What was measured against the float artifact; see `calibration.accuracy.Accuracy`.
        speed: One record per runtime that it was timed in; empty when it could not be timed.
    """

    flavour: str
    keep_float: tuple[str, ...] = ()
    calibration: BundlePath | None = None
    budget: float | None = None
    accuracy: dict[str, JsonValue] | None = None
    speed: tuple[SpeedEntry, ...] = ()
