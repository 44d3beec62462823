"""The schema of `conformance.json`, and reading a conformance folder.

The folder holds arrays as `.npy` files of version 1.0, little-endian and in C order, so that a reader of a few lines is
enough: magic, header length, a header that names dtype and shape, and the bytes. docs/deploy.md explains every field.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from pixio_edge.errors import BundleError, SchemaError
from pixio_edge.files import sha256_file
from pixio_edge.manifest import LicenceEntry, OutputEntry, Precision
from pixio_edge.manifest_base import BundlePath, ImageRecord, Record, Sha256, Size
from pixio_edge.parity import Tolerance

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CONFORMANCE = "conformance.json"
SCHEMA_VERSION: Literal[1] = 1

NORMALISATION: Literal["in_graph"] = "in_graph"
"""Graphs take bytes 0..255; mean and standard deviation are folded into their weights."""


class ArrayFile(Record):
    """One array.

    Attributes:
        path: Of the .npy file, relative to the conformance folder.
        dtype: "uint8" or "float32".
        shape: Length of each axis.
        sha256: Of the file.
    """

    path: BundlePath
    dtype: Literal["uint8", "float32"]
    shape: tuple[Annotated[int, Field(gt=0)], ...]
    sha256: Sha256


class DepthCase(Record):
    """One artifact: what it is fed and what it has to give.

    Attributes:
        name: Name of the artifact, and of the case.
        kind: File format: "onnx", "tensorrt" (a typed ONNX graph) or "coreml".
        precision: Precision of the artifact.
        size: Input (height, width) in pixels.
        model: The graph, relative to the bundle folder.
        model_sha256: Of that file.
        data: Further files that the graph reads, relative to the bundle folder.
        runtimes: What it was built for.
        verified: Whether it ran within tolerance on real hardware of its kind.
        input_name: Name of the graph input.
        input: uint8 (1, height, width, 3), RGB.
        output_name: Name of the graph output.
        expected: float32 (1, height, width): what the float model gave at export.
        tolerance: Limits; those that are null do not apply.
    """

    name: str
    kind: str
    precision: Precision
    size: Size
    model: BundlePath
    model_sha256: Sha256
    data: tuple[BundlePath, ...]
    runtimes: tuple[str, ...]
    verified: bool
    input_name: str
    input: ArrayFile
    output_name: str
    expected: ArrayFile
    tolerance: Tolerance


class PreparationCase(Record):
    """One picture before and after the resize that every program has to do itself.

    Attributes:
        name: Name of the case, "prepare-HxW".
        size: (height, width) to resize to.
        source: uint8 (h, w, 3), RGB.
        expected: uint8 (1, height, width, 3), RGB.
        max_mean_difference: Largest mean absolute difference allowed, in grey levels 0..255.
    """

    name: str
    size: Size
    source: ArrayFile
    expected: ArrayFile
    max_mean_difference: Annotated[float, Field(gt=0)]


class Conformance(Record):
    """The whole of `conformance.json`.

    Attributes:
        schema_version: Version of this schema.
        tool: Name and version of what wrote it.
        bundle: Name of the bundle.
        manifest_sha256: Of its `manifest.json`.
        image: How images become the input: layout, colour order, dtype, resize.
        normalisation: "in_graph": feed the bytes as they are.
        output: What the output means.
        licence: Of the weights.
        cases: One for each artifact.
        preparations: One for each input size.
    """

    schema_version: Literal[1]
    tool: str
    bundle: str
    manifest_sha256: Sha256
    image: ImageRecord
    normalisation: Literal["in_graph"]
    output: OutputEntry
    licence: LicenceEntry
    cases: tuple[DepthCase, ...]
    preparations: tuple[PreparationCase, ...]

    def to_json(self) -> str:
        """Serialise with a final line feed."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=True) + "\n"

    def case(self, name: str) -> DepthCase | PreparationCase:
        """Look a case up.

        Raises:
            BundleError: There is none of that name.
        """
        cases: tuple[DepthCase | PreparationCase, ...] = (*self.cases, *self.preparations)
        for case in cases:
            if case.name == name:
                return case
        raise BundleError(
            f"conformance: got case '{name}', expected one of: {', '.join(case.name for case in cases)}. "
            "Fix: choose one of these"
        )


def read_conformance(folder: Path) -> Conformance:
    """Read `conformance.json` of a folder.

    Raises:
        BundleError: It is missing or not JSON.
        SchemaError: It has another schema version, or a field that is unknown, missing or of the wrong type.
    """
    path = folder / CONFORMANCE
    try:
        text = path.read_text(encoding="utf-8")
        content: Any = json.loads(text)
    except OSError as error:
        raise BundleError(
            f"{path}: {error.strerror or 'cannot be read'}, expected a conformance folder. "
            f"Fix: pixio-edge conformance write BUNDLE -o {folder}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: not JSON ({error}). Fix: write the folder again") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise SchemaError(
            f"{path}: schema version {version}, this release reads {SCHEMA_VERSION}. Fix: write the folder again"
        )
    try:
        return Conformance.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, problem["loc"]))
        raise SchemaError(f"{path}: field '{place}': {problem['msg']}. Fix: write the folder again") from error


def read_array(folder: Path, entry: ArrayFile) -> NDArray[Any]:
    """Read an array of a conformance folder, hashed before it is parsed.

    Raises:
        BundleError: It is missing, altered, outside of the folder, or not what `conformance.json` says.
    """
    path = folder / entry.path
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BundleError(f"{path}: links to a file outside of {folder}. Fix: write the folder again")
    if not path.is_file() or sha256_file(path) != entry.sha256:
        raise BundleError(f"{path}: missing or altered, expected sha256 {entry.sha256}. Fix: write the folder again")
    array: NDArray[Any] = np.load(path, allow_pickle=False)
    if array.dtype.name != entry.dtype or array.shape != entry.shape:
        raise BundleError(
            f"{path}: got {array.dtype.name} {array.shape}, expected {entry.dtype} {entry.shape}. "
            "Fix: write the folder again"
        )
    return array
