"""Whether a bundle has what a Core ML export needs; no torch, no coremltools, so it is known before any work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixio_edge.errors import BundleError, InputError
from pixio_edge.sizes import size_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pixio_edge.bundle import Bundle
    from pixio_edge.export.coreml.options import CoreMLOptions
    from pixio_edge.manifest import ArtifactEntry, FileEntry
    from pixio_edge.sizes import Size

CALIBRATED = "w8a8"
"""The variant that needs a calibration table."""


def check_request(bundle: Bundle, options: CoreMLOptions, sizes: Sequence[Size] | None) -> dict[Size, ArtifactEntry]:
    """Check what is asked for against what the bundle has.

    Args:
        bundle: To be exported.
        options: What to convert to.
        sizes: Height and width of each input size; None takes all that the bundle has.

    Returns:
        For each wanted size an artifact with a stored output.

    Raises:
        BundleError: There is no stored output, or no calibration table although a variant needs one.
        InputError: The bundle lacks a size, or sizes cannot be enumerated.
    """
    bases = _bases(bundle, sizes)
    if CALIBRATED in options.variants:
        table_entry(bundle)
    if options.enumerated:
        _check_enumerated(bundle, tuple(bases))
    return bases


def table_entry(bundle: Bundle) -> FileEntry:
    """The calibration table of a bundle.

    Raises:
        BundleError: It has none.
    """
    entry = bundle.manifest.file_of_role("calibration")
    if entry is not None:
        return entry
    raise BundleError(
        f"{bundle.folder}: has no calibration table, expected one for --variant {CALIBRATED}. "
        "Fix: pixio-edge quantize it first, with calibration images"
    )


def enumerable(size: Size, patch: int) -> bool:
    """Whether a size has a patch grid with even sides: the coarsest level of the head halves it without rounding."""
    return not any(side % (2 * patch) for side in size)


def _bases(bundle: Bundle, sizes: Sequence[Size] | None) -> dict[Size, ArtifactEntry]:
    known: dict[Size, ArtifactEntry] = {}
    for artifact in bundle.artifacts:
        if artifact.golden is not None:
            known.setdefault(artifact.size, artifact)
    if not known:
        raise BundleError(
            f"{bundle.folder}: has no stored output to check a package against, expected one for each size. "
            "Fix: export it again with 'pixio-edge export'"
        )
    wanted = tuple(known) if sizes is None else tuple(sizes)
    for size in wanted:
        if size not in known:
            raise InputError(
                f"--size {size_label(size)}: the bundle has {', '.join(size_label(other) for other in known)}, "
                "expected one of them. Fix: choose one of these, or add --format onnx to export this size first"
            )
    return {size: known[size] for size in wanted}


def _check_enumerated(bundle: Bundle, wanted: tuple[Size, ...]) -> None:
    patch = bundle.manifest.image.multiple_of
    odd = [size_label(size) for size in wanted if not enumerable(size, patch)]
    if not odd and len(wanted) > 1:
        return
    got = f"{size_label(wanted[0])} alone, expected several sizes"
    if odd:
        got = f"{', '.join(odd)}, expected multiples of {2 * patch}, twice the patch"
    known = tuple(dict.fromkeys(artifact.size for artifact in bundle.artifacts if artifact.golden is not None))
    usable = tuple(size for size in known if enumerable(size, patch))
    has = ", ".join(map(size_label, usable)) or "none"
    if len(usable) > 1:
        formats, sizes = "--format coreml", usable
    else:  # graphs of other sizes are made from the checkpoint first
        formats, sizes = "--format onnx --format coreml", _near(known, 2 * patch)
    listed = " ".join(f"--size {size_label(size)}" for size in sizes)
    raise InputError(
        f"--enumerated: got {got}; of the bundle's sizes these can be: {has}. "
        f"Fix: pixio-edge export {bundle.folder} -o FOLDER {formats} --enumerated {listed}"
    )


def _near(sizes: tuple[Size, ...], step: int) -> tuple[Size, ...]:
    """Multiples of a step near the given sizes, and in any case several."""

    def fit(side: int) -> int:
        return max(step, (side + step // 2 - 1) // step * step)

    near = dict.fromkeys((fit(height), fit(width)) for height, width in sizes)
    if len(near) == 1:
        near |= dict.fromkeys([(6 * step, 8 * step), (8 * step, 6 * step)])
    return tuple(near)
