"""Stored reference outputs: whether a runtime gives what the exporter saw."""

from __future__ import annotations

import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from pixio_edge.errors import BundleError
from pixio_edge.host import probe_host
from pixio_edge.parity import ParityReport, Tolerance, compare

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from pydantic import JsonValue

    from pixio_edge.bundle import Bundle
    from pixio_edge.manifest import ArtifactEntry, Precision
    from pixio_edge.runtimes.base import Runtime, RuntimeInfo

# For an fp32 artifact executed in bf16: 8 bits of mantissa give about 2^-9 = 0.2 % for each rounding, and a ViT of 8 to
# 12 blocks adds up some dozens of them.
BF16_TOLERANCE = Tolerance(rel_l2=0.03)
# Of what executes an fp32 artifact in fp16: that of engines in fp16, which round the same weights and activations.
FP16_TOLERANCE = Tolerance(rel_l2=0.02)


def read_golden(bundle: Bundle, artifact: ArtifactEntry) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Stored input and output of an artifact.

    Returns:
        "image", uint8 (1, H, W, 3), and "depth", float32 (1, h, w).

    Raises:
        BundleError: None is stored, or the file is missing, altered, or not such an npz.
    """
    return load_golden(bundle.read_golden(artifact))


def load_golden(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Read a golden file: "image", uint8 (1, H, W, 3), and "depth", float32 (1, h, w).

    Raises:
        BundleError: It is not such an npz.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays["image"], arrays["depth"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(
            f"{path}: not an npz with 'image' and 'depth' ({error}). Fix: export the bundle again"
        ) from error


def tolerance_for(artifact: ArtifactEntry, precision: Precision) -> Tolerance:
    """Limits for an artifact executed in `precision`.

    Raises:
        BundleError: The manifest states none.
    """
    if precision == "bf16" and artifact.precision == "fp32":
        return BF16_TOLERANCE
    if precision == "fp16" and artifact.precision == "fp32":
        return FP16_TOLERANCE
    if artifact.tolerance is None:
        raise BundleError(f"artifact '{artifact.name}' states no tolerance. Fix: export the bundle again")
    return artifact.tolerance


def check_golden(bundle: Bundle, runtime: Runtime) -> ParityReport:
    """Run the stored input through an open runtime and compare with the stored output.

    Raises:
        BundleError: Nothing usable is stored for the artifact.
    """
    artifact = runtime.artifact.entry
    image, depth = read_golden(bundle, artifact)
    outputs = runtime.run({artifact.inputs[0].name: image})
    return compare_golden(depth, outputs, artifact, runtime.options.precision)


def compare_golden(
    depth: NDArray[np.float32], outputs: dict[str, NDArray[Any]], artifact: ArtifactEntry, precision: Precision
) -> ParityReport:
    """Compare outputs of a runtime with the stored depth.

    Raises:
        BundleError: The manifest states no tolerance.
    """
    return compare(depth, outputs[artifact.outputs[0].name], tolerance_for(artifact, precision))


def host_record(info: RuntimeInfo) -> dict[str, JsonValue]:
    """What an artifact was verified on, for `ArtifactEntry.verified_on`."""
    host = probe_host()
    return {
        "runtime": f"{info.runtime} {info.version}",
        "device": info.device,
        "os": host.os if host.macos is None else f"macOS {host.macos}",
        "arch": host.arch,
        "cpu": host.cpu,
        "isa": list(host.isa),
    }
