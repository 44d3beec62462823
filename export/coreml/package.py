"""Writing mlpackages: the model with its contract as metadata, in bytes that depend on the model alone."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixio_edge._version import __version__
from pixio_edge.export.bundle_details import graph_metadata
from pixio_edge.files import write_text_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pixio_edge.manifest import BundleHeader

MODEL = "Data/com.apple.CoreML/model.mlmodel"
WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"
MANIFEST = "Manifest.json"
FILES = {MODEL: "graph", WEIGHTS: "weights", MANIFEST: "package"}
"""All files of a package, relative to its folder, with their roles in a bundle's manifest; the graph comes first."""

PREVIEW = "com.apple.coreml.model.preview.type"
"""Xcode shows a model with this key in its preview; "depthEstimation" is what Apple's own depth models say."""

CONVERSION_DATE = "com.github.apple.coremltools.conversion_date"

NAMESPACE = uuid.UUID("6f0d0c1e-6c0e-4f1f-8a59-2b7c0f1f9a3d")
"""Of the identifiers in a package's manifest; any fixed one does."""


def write_package(model: Any, folder: Path, *, header: BundleHeader, facts: Mapping[str, str]) -> None:
    """Write a converted model as an mlpackage.

    Equal models give equal bytes: the date of the conversion is left out, and identifiers are made of the paths.

    Args:
        model: `coremltools.models.MLModel`.
        folder: Folder to create, ending in ".mlpackage".
        header: The contract to store in the model: image, output, licence.
        facts: Further metadata, such as the variant.
    """
    spec = model.get_spec()
    _describe_(spec.description, header, facts)
    (folder / MODEL).parent.mkdir(parents=True)
    (folder / MODEL).write_bytes(spec.SerializeToString(deterministic=True))
    (folder / WEIGHTS).parent.mkdir()
    source = Path(model.weights_dir) / Path(WEIGHTS).name
    if source.is_file():
        shutil.copyfile(source, folder / WEIGHTS)
    else:
        (folder / WEIGHTS).touch()  # a model of small constants only has no file of its own
    write_text_atomic(folder / MANIFEST, json.dumps(_manifest(), indent=4, sort_keys=True) + "\n")


def _describe_(description: Any, header: BundleHeader, facts: Mapping[str, str]) -> None:
    output, metadata = header.output, description.metadata
    unit = f" in {output.unit}" if output.unit else ""
    meaning = f"{output.kind} depth{unit}, {output.direction.replace('_', ' ')}"
    description.input[0].shortDescription = "RGB image; normalised inside"
    description.output[0].shortDescription = meaning
    metadata.shortDescription = f"{header.model.name}: monocular depth; {meaning}"
    metadata.author = f"pixio-edge {__version__}"
    metadata.versionString = __version__
    metadata.license = " ".join(part for part in (header.licence.weights, header.licence.notice) if part)
    metadata.userDefined.pop(CONVERSION_DATE, None)
    labels = {"pixio_edge.labels": json.dumps([output.kind])}
    for key, value in (graph_metadata(header) | labels | {PREVIEW: "depthEstimation"} | dict(facts)).items():
        metadata.userDefined[key] = value


def _manifest() -> dict[str, object]:
    """As Core ML's own tools write it: two items, the first of which is the model."""
    items = {}
    for path, name, description in (
        (MODEL, "model.mlmodel", "CoreML Model Specification"),
        (str(Path(WEIGHTS).parent.as_posix()), "weights", "CoreML Model Weights"),
    ):
        inside = path.removeprefix("Data/")
        identifier = str(uuid.uuid5(NAMESPACE, inside)).upper()
        items[identifier] = {"author": "com.apple.CoreML", "description": description, "name": name, "path": inside}
    root = next(key for key, item in items.items() if item["name"] == "model.mlmodel")
    return {"fileFormatVersion": "1.0.0", "itemInfoEntries": items, "rootModelIdentifier": root}
