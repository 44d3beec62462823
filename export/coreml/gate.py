"""The gate of a package: what is on disk, run by the MIL interpreter, against the stored depth of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.errors import CheckFailedError
from pixio_edge.export.base import INPUT_NAME, OUTPUT_NAME
from pixio_edge.export.coreml.interpreter import MilInterpreter
from pixio_edge.export.coreml.mil_program import load_program
from pixio_edge.golden import load_golden
from pixio_edge.parity import SUGGESTED_HEADROOM, ParityReport, Tolerance, compare

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pixio_edge.export.coreml.options import DepthOutput
    from pixio_edge.manifest import ArtifactEntry

LIMITS: dict[str, float] = {
    "fp32": 1e-4,
    "fp16": 0.02,
    "fp16-islands": 0.02,
    "ane": 0.02,
    "w8": 0.05,
    "p8": 0.05,
    "p6": 0.06,
    "w8a8": 0.05,
}
"""Largest error of the depth on the stored image, as norm over norm; beyond it the package is broken, not rounded.
Measured on nano: 1e-7, 4e-4 for the three of half precision, 0.003, 0.003, 0.019, 0.006. What a wrong package gives
there: red and blue swapped 0.10, the mean not subtracted 0.16, the weights of another training 0.18."""

IMAGE_LIMIT = 1e-3
"""Smallest limit of a depth image, whatever the variant: its half precision rounds each value by up to 4.9e-4."""

SMALLEST_TOLERANCE: dict[str, float] = {"fp32": 1e-3}
OTHER_SMALLEST_TOLERANCE = 0.01
"""Room for devices. The interpreter rounds each result once; the Neural Engine keeps sums in half precision too, which
costs a few times as much, and a GPU multiplies float32 in its own order."""

FLOAT_VARIANTS = frozenset({"fp32", "fp16", "fp16-islands", "ane"})
"""Variants that store weights as floats; the others lose by storing them smaller."""

METHOD = "MIL interpreter on this host; the fp16 numbers with every half-precision result rounded; no Apple hardware"


@dataclass(frozen=True, slots=True)
class PackageParity:
    """How far a package is from its model.

    Attributes:
        exact: Its arithmetic in float32: what conversion and stored weights cost.
        rounded: Every result that is declared half precision rounded to it as well.
        peak: Largest magnitude of a half-precision result; half precision ends at 65504.
        overflowed: Names of operations that overflowed in half precision.
        depth: What it gave in half precision, float32 (1, H, W).
    """

    exact: ParityReport
    rounded: ParityReport
    peak: float
    overflowed: tuple[str, ...]
    depth: NDArray[np.float32]


def measure_package(
    package: Path, image: NDArray[np.uint8], reference: NDArray[np.float32], limit: float
) -> PackageParity:
    """Run a package twice, in float32 and in emulated half precision.

    Args:
        package: Folder ending in ".mlpackage".
        image: uint8 RGB (1, H, W, 3).
        reference: Depth of the model, float32 (1, H, W).
        limit: Largest norm of the error over that of the reference.
    """
    program = load_program(package)
    tolerance = Tolerance(rel_l2=limit)
    exact = MilInterpreter(program, "fp32").run({INPUT_NAME: image})[OUTPUT_NAME]
    rounded = MilInterpreter(program, "fp16").trace({INPUT_NAME: image})
    depth = rounded.outputs[OUTPUT_NAME]
    return PackageParity(
        exact=compare(reference, exact, tolerance),
        rounded=compare(reference, depth, tolerance),
        peak=rounded.peak,
        overflowed=tuple(overflow.name for overflow in rounded.overflows),
        depth=depth,
    )


def check_package(entry: ArtifactEntry, folder: Path, variant: str, output: DepthOutput = "array") -> ArtifactEntry:
    """Measure the package of an artifact on its stored image.

    Args:
        entry: Names the package and the stored image.
        folder: Of the bundle.
        variant: Out of `LIMITS`.
        output: What the package gives depth as.

    Returns:
        The entry with what was measured, and a tolerance made from it. It stays unverified: no Apple hardware ran it.

    Raises:
        CheckFailedError: It differs by more than the variant may, or is not finite.
    """
    image, reference = load_golden(folder / str(entry.golden))
    package = folder / entry.path.partition("/")[0]
    limit = limit_of(variant, output)
    parity = measure_package(package, image, reference, limit)
    if not parity.exact:
        raise CheckFailedError(
            f"artifact {entry.name} in float32: {parity.exact.message}. Fix: {_fix_of_float32(variant)}"
        )
    if not parity.rounded:
        what = f"overflows at '{parity.overflowed[0]}'" if parity.overflowed else parity.rounded.message
        raise CheckFailedError(f"artifact {entry.name} in half precision: {what}. Fix: {_fix_of_half(variant)}")
    facts = {"reference": "stored output of the float model", "method": METHOD, **parity.rounded.to_json()}
    facts |= {"fp32": parity.exact.to_json(), "largest_fp16": parity.peak}
    tolerance = Tolerance(rel_l2=tolerance_of(variant, limit, parity.rounded.rel_l2))
    return entry.model_copy(update={"parity": facts, "tolerance": tolerance, "verified": False})


def limit_of(variant: str, output: DepthOutput) -> float:
    """Largest error that a package may have."""
    return max(LIMITS[variant], IMAGE_LIMIT) if output == "image" else LIMITS[variant]


def tolerance_of(variant: str, limit: float, measured: float) -> float:
    """Twice what was measured, within what a device needs and what would have been refused here."""
    smallest = SMALLEST_TOLERANCE.get(variant, OTHER_SMALLEST_TOLERANCE)
    return max(smallest, min(limit, SUGGESTED_HEADROOM * measured))


def _fix_of_float32(variant: str) -> str:
    if variant in FLOAT_VARIANTS:
        return "pixio-edge verify the bundle; if its graphs pass, please report the model"
    return "--variant fp16, which stores weights as floats"


def _fix_of_half(variant: str) -> str:
    if variant == "fp32":  # only an image rounds there
        return "--depth-output array"
    return "--variant fp32" if variant == "fp16-islands" else "--variant fp16-islands, or --variant fp32"
