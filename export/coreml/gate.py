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

    from pixio_edge.manifest import ArtifactEntry

LIMITS: dict[str, float] = {
    "fp32": 1e-4,
    "fp16": 0.02,
    "fp16-islands": 0.02,
    "ane": 0.02,
    "w8": 0.05,
    "p8": 0.05,
    "p6": 0.15,
    "w8a8": 0.25,
}
"""Largest error of the depth on the stored image, as norm over norm; beyond it the package is broken, not rounded.
Measured on nano: 1e-7, 4e-4 for the three of half precision, 0.003, 0.003, 0.019, 0.006. Models of twice the depth and
with random weights lose several times that; 0.25 is the limit of INT8 graphs too (`calibration.artifact`)."""

SMALLEST_TOLERANCE: dict[str, float] = {"fp32": 1e-3}
OTHER_SMALLEST_TOLERANCE = 0.01
"""Room for devices. The interpreter rounds each result once; the Neural Engine keeps sums in half precision too, which
costs a few times as much, and a GPU multiplies float32 in its own order."""

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


def check_package(entry: ArtifactEntry, folder: Path, variant: str) -> ArtifactEntry:
    """Measure the package of an artifact on its stored image.

    Returns:
        The entry with what was measured, and a tolerance made from it. It stays unverified: no Apple hardware ran it.

    Raises:
        CheckFailedError: It differs by more than the variant may, or is not finite.
    """
    image, reference = load_golden(folder / str(entry.golden))
    package = folder / entry.path.partition("/")[0]
    parity = measure_package(package, image, reference, LIMITS[variant])
    if not parity.exact:
        raise CheckFailedError(
            f"artifact {entry.name} in float32: {parity.exact.message}. Fix: take variant fp16; if that fails too, "
            "please report the model"
        )
    if not parity.rounded:
        what = f"overflows at '{parity.overflowed[0]}'" if parity.overflowed else parity.rounded.message
        raise CheckFailedError(
            f"artifact {entry.name} in half precision: {what}. Fix: take variant fp16-islands, or fp32"
        )
    smallest = SMALLEST_TOLERANCE.get(variant, OTHER_SMALLEST_TOLERANCE)
    facts = {"reference": "stored output of the float model", "method": METHOD, **parity.rounded.to_json()}
    facts |= {"fp32": parity.exact.to_json(), "largest_fp16": parity.peak}
    tolerance = Tolerance(rel_l2=max(smallest, SUGGESTED_HEADROOM * parity.rounded.rel_l2))
    return entry.model_copy(update={"parity": facts, "tolerance": tolerance, "verified": False})
