"""What calibration found, as JSON: ranges of activations, limits of weights, smoothing factors, and their provenance.

The table is neutral to the target: `emit` writes one graph per flavour from it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic import ValidationError as PydanticValidationError

from pixio_edge.errors import InputError, SchemaError
from pixio_edge.files import write_text_atomic

TABLE_VERSION: Literal[1] = 1
SmoothingKind = Literal["layer_norm", "value", "conv", "gelu"]


class TableRecord(BaseModel):
    """Base of all records of a table."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ActivationRange(TableRecord):
    """Range of one tensor that is to be clipped to when it is quantised.

    Attributes:
        low: Smallest value.
        high: Largest value, at least `low`.
        seen_low: Smallest value that occurred.
        seen_high: Largest value that occurred.
    """

    low: float
    high: float
    seen_low: float
    seen_high: float


class SmoothingEntry(TableRecord):
    """Per-channel factors that move range from an activation into the weights that read it.

    Attributes:
        kind: "layer_norm": divides the affine part of a LayerNorm. "value": divides the rows of W_v before `proj`.
            "conv": divides the output channels of a convolution before another, with Relu or Resize between them.
            "gelu": an explicit multiplication after the Gelu before `fc2`.
        source: Name of the node that is divided: LayerNormalization, the qkv layer, Conv, or Gelu.
        layers: Names of the layers whose weights are multiplied.
        alpha: SmoothQuant's migration strength in [0, 1] that the factors were made with.
        factors: One positive factor for each channel: activation / factor, weight row * factor.
    """

    kind: SmoothingKind
    source: str
    layers: tuple[str, ...]
    alpha: float
    factors: tuple[float, ...]


class Provenance(TableRecord):
    """Where a table comes from.

    Attributes:
        tool: Name and version of what made it.
        created: ISO 8601 UTC time.
        graph_sha256: Of the float graph (of the first size) that was calibrated.
        images: Number of images.
        crops: Number of parts of them that were added for sizes of other shapes.
        images_sha256: Digest of the calibration set.
        source: Folder or file that the images came from, its name only.
        config: Values of the calibration.
    """

    tool: str
    created: str
    graph_sha256: str
    images: int
    images_sha256: str
    source: str
    config: dict[str, JsonValue]
    crops: int = 0


class CalibrationTable(TableRecord):
    """All that emitting needs besides the float graph.

    Attributes:
        version: Version of this schema.
        provenance: Where it comes from.
        activations: Ranges by tensor name, measured on the smoothed graph.
        weight_limits: By layer name: for each output channel the largest magnitude that its weights are clipped to;
            scale = limit / 127. Layers that are missing take the largest magnitude of the channel.
        smoothing: To be applied to the float graph before anything else, in order.
        bias_corrections: By layer name: what is added to the bias of the quantised layer, one value per channel.
        skipped: Layers or tensors that must stay float, with the reason.
    """

    version: Literal[1] = TABLE_VERSION
    provenance: Provenance
    activations: dict[str, ActivationRange]
    weight_limits: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    smoothing: tuple[SmoothingEntry, ...] = ()
    bias_corrections: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    skipped: dict[str, str] = Field(default_factory=dict)

    def to_json(self) -> str:
        """Serialise with sorted keys and a final line feed, so that equal tables are equal bytes."""
        return json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    def save(self, path: Path) -> None:
        """Write the table.

        Raises:
            OutputError: The file cannot be written.
        """
        write_text_atomic(path, self.to_json())


def load_table(path: Path) -> CalibrationTable:
    """Read a table.

    Raises:
        InputError: There is no such file, or it is not UTF-8 text.
        SchemaError: It is not a table, or one of a newer schema.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"calibration table {path}: cannot be read ({error}). Fix: check the path") from error
    try:
        return CalibrationTable.model_validate_json(text)
    except PydanticValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in problem["loc"]) or "the table"
        raise SchemaError(
            f"calibration table {path}: field '{place}': {problem['msg']}. Fix: calibrate again with this release"
        ) from error
