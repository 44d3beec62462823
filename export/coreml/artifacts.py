"""Core ML packages of a bundle: converted from its checkpoint, checked in the MIL interpreter, listed as artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pixio_edge.bundle import Bundle
    from pixio_edge.bundle_writer import BundleWriter
    from pixio_edge.manifest import ArtifactEntry
    from pixio_edge.sizes import Size


def add_coreml(
    bundle: Bundle,
    writer: BundleWriter,
    *,
    variants: Sequence[str] = ("fp16",),
    target: str = "iOS16",
    output: str = "array",
    sizes: Sequence[Size] | None = None,
    enumerated: bool = False,
    on_stage: Callable[[str], None] | None = None,
) -> tuple[ArtifactEntry, ...]:
    """Convert the checkpoint of a bundle to Core ML packages and list them.

    Args:
        bundle: Has the checkpoint, stored outputs, and for variant "w8a8" a calibration table and fp32 ONNX graphs.
        writer: Of the bundle to be written; what `bundle` has is in its folder already (`BundleWriter.take_over`).
        variants: Names out of `options.VARIANTS`.
        target: Oldest system, out of `options.TARGETS`.
        output: "array" or "image", see `options.CoreMLOptions`.
        sizes: Height and width of each input size, out of those the bundle has; None takes all.
        enumerated: One package for all sizes instead of one for each.
        on_stage: Told in a few words what was done, after each package.

    Returns:
        The new artifacts, named "coreml-<variant>-HxW", all with `verified` false: nothing runs them here.

    Raises:
        InputError: Unknown variant, target, output or size.
        BundleError: The bundle has no checkpoint or stored output, or no calibration table although it is needed.
        CheckFailedError: A package computes something else than the model.
        MissingDependencyError: coremltools is not installed.
    """
    raise NotImplementedError
