"""Writing a conformance folder: built beside its target and renamed, so that it is whole or not there."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from pixio_edge._version import __version__
from pixio_edge.bundle import MANIFEST
from pixio_edge.conformance.picture import MAX_MEAN_DIFFERENCE, render_picture
from pixio_edge.conformance.schema import (
    CONFORMANCE,
    NORMALISATION,
    SCHEMA_VERSION,
    ArrayFile,
    Conformance,
    DepthCase,
    PreparationCase,
)
from pixio_edge.errors import InputError, OutputError
from pixio_edge.files import sha256_file, write_text_atomic
from pixio_edge.golden import read_golden

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pixio_edge.bundle import Bundle
    from pixio_edge.manifest import ArtifactEntry

    Size = tuple[int, int]

KINDS = ("onnx", "tensorrt", "coreml")
"""What programs run. A torch checkpoint is no such thing."""


def write_conformance(bundle: Bundle, folder: Path, *, artifacts: Sequence[str] = ()) -> Conformance:
    """Write inputs, expected outputs and limits of a bundle's artifacts as JSON and .npy files.

    Args:
        bundle: Opened; its golden files are hashed.
        folder: Where to write; it does not exist yet.
        artifacts: Names of artifacts; empty for all that a program can run.

    Raises:
        BundleError: No such artifact, or a golden file is damaged.
        InputError: There is no artifact with a stored output.
        OutputError: The folder exists, or cannot be written.
    """
    chosen = _choose(bundle, artifacts)
    if folder.exists() or folder.is_symlink():
        raise OutputError(f"{folder}: exists already, expected a new folder. Fix: choose another, or remove it")
    staging = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.tmp"
    try:
        staging.mkdir(parents=True)
        conformance = _write(bundle, chosen, staging)
        staging.replace(folder)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"cannot write {folder}: {reason}. Fix: choose a folder you may write to") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return conformance


def _choose(bundle: Bundle, names: Sequence[str]) -> list[ArtifactEntry]:
    chosen = [bundle.artifact(name) for name in names] or [item for item in bundle.artifacts if item.kind in KINDS]
    usable = [item for item in chosen if item.golden is not None and item.tolerance is not None]
    if not usable or (names and len(usable) < len(chosen)):
        missing = ", ".join(item.name for item in chosen if item not in usable) or "any artifact of it"
        raise InputError(
            f"bundle {bundle.folder}: stores no golden output with limits for {missing}, expected some. "
            "Fix: export the bundle again"
        )
    return usable


def _write(bundle: Bundle, artifacts: Sequence[ArtifactEntry], folder: Path) -> Conformance:
    manifest = bundle.manifest
    stored = {item.golden: _write_golden(bundle, item, folder) for item in _one_of_each_golden(artifacts)}
    source = _save(folder, "picture.npy", render_picture())
    conformance = Conformance(
        schema_version=SCHEMA_VERSION,
        tool=f"pixio-edge {__version__}",
        bundle=manifest.model.name,
        manifest_sha256=hashlib.sha256((bundle.folder / MANIFEST).read_bytes()).hexdigest(),
        image=manifest.image,
        normalisation=NORMALISATION,
        output=manifest.output,
        licence=manifest.licence,
        cases=tuple(_case(item, *stored[item.golden]) for item in artifacts),
        preparations=tuple(
            _preparation(bundle, size, source, folder) for size in dict.fromkeys(item.size for item in artifacts)
        ),
    )
    write_text_atomic(folder / CONFORMANCE, conformance.to_json())
    return conformance


def _one_of_each_golden(artifacts: Sequence[ArtifactEntry]) -> list[ArtifactEntry]:
    return list({item.golden: item for item in artifacts}.values())


def _write_golden(bundle: Bundle, artifact: ArtifactEntry, folder: Path) -> tuple[ArrayFile, ArrayFile]:
    image, depth = read_golden(bundle, artifact)
    stem = (artifact.golden or "").rpartition("/")[2].removesuffix(".npz")
    return _save(folder, f"{stem}.image.npy", image), _save(folder, f"{stem}.depth.npy", depth)


def _case(artifact: ArtifactEntry, image: ArrayFile, depth: ArrayFile) -> DepthCase:
    if artifact.tolerance is None:
        raise ValueError(artifact.name)  # `_choose` leaves these out
    return DepthCase(
        name=artifact.name,
        kind=artifact.kind,
        precision=artifact.precision,
        size=artifact.size,
        model=artifact.path,
        model_sha256=artifact.sha256,
        data=tuple(entry.path for entry in artifact.data),
        runtimes=artifact.requires.runtimes,
        verified=artifact.verified,
        input_name=artifact.inputs[0].name,
        input=image,
        output_name=artifact.outputs[0].name,
        expected=depth,
        tolerance=artifact.tolerance,
    )


def _preparation(bundle: Bundle, size: Size, source: ArrayFile, folder: Path) -> PreparationCase:
    prepared = bundle.manifest.image.prepare(render_picture(), size)
    name = f"prepare-{size[0]}x{size[1]}"
    return PreparationCase(
        name=name,
        size=size,
        source=source,
        expected=_save(folder, f"{name}.npy", prepared),
        max_mean_difference=MAX_MEAN_DIFFERENCE,
    )


def _save(folder: Path, name: str, array: NDArray[Any]) -> ArrayFile:
    """Version 1.0, little-endian, C order, whatever the host."""
    plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    with (folder / name).open("wb") as file:
        np.lib.format.write_array(file, plain, version=(1, 0), allow_pickle=False)
    dtype = cast('Literal["uint8", "float32"]', array.dtype.name)
    return ArrayFile(path=name, dtype=dtype, shape=array.shape, sha256=sha256_file(folder / name))
