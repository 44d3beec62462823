"""The schema of `manifest.json`: what is in a bundle, how it was made, and what was measured.

Every record is frozen and refuses unknown fields, so a manifest is either understood whole or rejected.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import Field, JsonValue
from pydantic import ValidationError as PydanticValidationError

from pixio_edge.errors import BundleError, SchemaError
from pixio_edge.manifest_base import BundlePath, ImageRecord, Record, Sha256, Size
from pixio_edge.parity import Tolerance
from pixio_edge.quantization import WEIGHTS_FLAVOUR, QuantizationEntry, SpeedEntry
from pixio_edge.tensor import TensorSpec

SCHEMA_VERSION: Literal[1] = 1

COST_SIDE = 256

Precision = Literal["fp32", "fp16", "bf16", "int8"]
DepthKind = Literal["relative_inverse", "metric"]


class FileEntry(Record):
    """One file of the bundle.

    Attributes:
        path: Relative to the bundle folder, with forward slashes.
        role: What it is for: "graph", "weights", "golden", "checkpoint", "licence", ….
        sha256: Lower-case hexadecimal digest of its bytes.
        bytes: Its length.
    """

    path: BundlePath
    role: str
    sha256: Sha256
    bytes: Annotated[int, Field(ge=0)]


class ModelEntry(Record):
    """The model behind all artifacts.

    Attributes:
        name: Name of the bundle, such as "nano".
        preset: Name in `models.presets`.
        family: "pixio-dpt" for our students.
        parameters: Number of weights.
        gflop: Cost of one forward pass at `cost_size` in 1e9 floating point operations, a multiply-add counting as two.
        created: ISO 8601 UTC time of the export.
        tool: Name and version of what wrote the bundle.
        commit: Commit of the training code, with "-dirty" if it had changes; None if unknown.
    """

    name: str
    preset: str
    family: str
    parameters: Annotated[int, Field(ge=0)]
    gflop: Annotated[float, Field(ge=0)]
    created: str
    tool: str
    commit: str | None


class OutputEntry(Record):
    """The contract of the output tensor.

    Attributes:
        name: Name of the graph output.
        kind: "relative_inverse" is affine-invariant inverse depth; "metric" is depth.
        direction: Whether a larger value is nearer or farther.
        unit: "m" for metric depth, None for relative.
        range: Smallest and largest possible value, None where unbounded.
    """

    name: str
    kind: DepthKind
    direction: Literal["larger_is_nearer", "larger_is_farther"]
    unit: Literal["m"] | None
    range: tuple[float | None, float | None]


class LicenceEntry(Record):
    """What may be done with the weights.

    Attributes:
        weights: SPDX identifier or name of the licence.
        commercial: Whether commercial use is allowed.
        notice: Text that has to travel with the weights.
    """

    weights: str
    commercial: bool
    notice: str


class Requirements(Record):
    """What an artifact needs.

    Attributes:
        runtimes: Names of the runtimes that were built for, as in `runtimes.registry.RUNTIMES`.
        isa: Instruction sets out of `host.ISA_FLAGS`, of which a processor has to have one; empty takes any processor.
    """

    runtimes: tuple[str, ...]
    isa: tuple[str, ...] = ()


class ArtifactEntry(Record):
    """One deployable file, for one input size and one precision.

    Attributes:
        name: Unique in the bundle, such as "onnx-fp32-256x256".
        kind: File format: "onnx", "safetensors".
        precision: Precision of the stored weights and operators.
        size: Input height and width in pixels.
        path: The graph, with `sha256` and `bytes`.
        data: Files the graph reads besides itself; several artifacts may share one.
        inputs: Inputs of the graph.
        outputs: Outputs of the graph.
        requires: What it needs to run.
        golden: Path of an npz in `Manifest.files` with "image" and the reference "depth"; None if not stored.
        tolerance: Limits for outputs of this artifact against `golden`.
        parity: What was measured at export.
        verified: Whether it ran within tolerance on real hardware of its kind.
        verified_on: Host and versions of that run.
        quantization: How it was quantised; None for float artifacts.
    """

    name: str
    kind: str
    precision: Precision
    size: Size
    path: BundlePath
    sha256: Sha256
    bytes: Annotated[int, Field(ge=0)]
    data: tuple[FileEntry, ...] = ()
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    requires: Requirements
    golden: BundlePath | None = None
    tolerance: Tolerance | None = None
    parity: dict[str, JsonValue] | None = None
    verified: bool = False
    verified_on: dict[str, JsonValue] | None = None
    quantization: QuantizationEntry | None = None

    @property
    def file(self) -> FileEntry:
        """The graph as a file entry."""
        return FileEntry(path=self.path, role="graph", sha256=self.sha256, bytes=self.bytes)

    @property
    def flavour(self) -> str | None:
        """Form of a quantised graph; None for float artifacts."""
        return None if self.quantization is None else self.quantization.flavour

    @property
    def computes_in(self) -> Precision:
        """Precision that its graph is written in: fp32 where only the stored weights are small."""
        return "fp32" if self.flavour == WEIGHTS_FLAVOUR else self.precision

    def speed_in(self, runtime: str) -> SpeedEntry | None:
        """What was measured against the float artifact in a runtime; None if nothing was."""
        speeds = () if self.quantization is None else self.quantization.speed
        return next((speed for speed in speeds if speed.runtime == runtime), None)


class BundleHeader(Record):
    """Everything in a manifest that is not a file.

    Attributes:
        model: The model behind all artifacts.
        image: How images become the input tensor.
        output: What the output tensor means.
        licence: Licence of the weights.
        training: How the weights came to be: command, seed, hours, data; free form.
        accuracy: Evaluations, one record for each data set and artifact; free form.
    """

    model: ModelEntry
    image: ImageRecord
    output: OutputEntry
    licence: LicenceEntry
    training: dict[str, JsonValue] | None = None
    accuracy: tuple[dict[str, JsonValue], ...] = ()


class Manifest(BundleHeader):
    """The whole of `manifest.json`.

    Attributes:
        schema_version: Version of this schema.
        artifacts: Deployable files.
        files: All further files: golden outputs, licence texts, checkpoints.
    """

    schema_version: Literal[1]
    artifacts: tuple[ArtifactEntry, ...]
    files: tuple[FileEntry, ...]

    def all_files(self) -> dict[str, FileEntry]:
        """Every file of the bundle but the manifest itself, by path.

        Raises:
            SchemaError: A path is listed twice with different content, an artifact name is used twice, or a golden file
                or calibration table is not listed.
        """
        files: dict[str, FileEntry] = {}
        listed = [entry for artifact in self.artifacts for entry in (artifact.file, *artifact.data)]
        for entry in (*listed, *self.files):
            known = files.setdefault(entry.path, entry)
            if (known.sha256, known.bytes) != (entry.sha256, entry.bytes):
                raise SchemaError(f"manifest: '{entry.path}' is listed with two hashes. Fix: export the bundle again")
        names = [artifact.name for artifact in self.artifacts]
        repeated = sorted({name for name in names if names.count(name) > 1})
        goldens = {artifact.golden for artifact in self.artifacts}
        tables = {a.quantization.calibration for a in self.artifacts if a.quantization is not None}
        missing = sorted({path for path in goldens | tables if path is not None} - set(files))
        if repeated or missing:
            raise SchemaError(
                f"manifest: artifact names used twice {repeated}, golden files or tables not listed {missing}, "
                "expected none. Fix: export the bundle again"
            )
        return files

    def file_of_role(self, role: str) -> FileEntry | None:
        """The first of `files` with a role; None if there is none."""
        return next((entry for entry in self.files if entry.role == role), None)

    def to_json(self) -> str:
        """Serialise with sorted keys and a final line feed, so that equal manifests are equal bytes."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def cost_size(multiple_of: int) -> tuple[int, int]:
    """Size at which the cost of a model is stated: the largest square of whole patches within 256x256."""
    side = COST_SIDE // multiple_of * multiple_of
    return side, side


def parse_manifest(text: str, source: str) -> Manifest:
    """Read a manifest.

    Args:
        text: Content of `manifest.json`.
        source: Where it came from, for messages.

    Raises:
        BundleError: The text is not JSON.
        SchemaError: The schema version is newer, or a field is unknown, missing or of the wrong type.
    """
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BundleError(f"{source}: not JSON ({error}). Fix: copy or export the bundle again") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(version, bool) or not isinstance(version, int):
        raise SchemaError(
            f"{source}: no integer 'schema_version', expected {SCHEMA_VERSION}. Fix: export the bundle again"
        )
    if version != SCHEMA_VERSION:
        fix = "upgrade pixio-edge" if version > SCHEMA_VERSION else "export the bundle again with this release"
        raise SchemaError(f"{source}: schema version {version}, this release reads {SCHEMA_VERSION}. Fix: {fix}")
    try:
        manifest = Manifest.model_validate_json(text)
    except PydanticValidationError as error:
        raise SchemaError(f"{source}: {_first_problem(error)}. Fix: export the bundle again") from error
    manifest.all_files()
    return manifest


def _first_problem(error: PydanticValidationError) -> str:
    """One line for the first of possibly many problems, with their number."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    place = ".".join(str(part) for part in problems[0]["loc"]) or "the manifest"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"field '{place}': {problems[0]['msg']}{more}".replace("\n", " ")
