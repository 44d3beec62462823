"""Artifacts of kind `tensorrt`: typed graphs of all sizes with one weight file, from which devices build engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixio_edge.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pixio_edge.bundle import Bundle
    from pixio_edge.bundle_writer import BundleWriter
    from pixio_edge.manifest import ArtifactEntry, Precision
    from pixio_edge.sizes import Size


def add_tensorrt(
    bundle: Bundle,
    writer: BundleWriter,
    *,
    precisions: Sequence[Precision] = ("fp16", "int8"),
    sizes: Sequence[Size] | None = None,
    threads: int | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> tuple[ArtifactEntry, ...]:
    """Write, check and list typed graphs for TensorRT."""
    raise InputError("tensorrt: not written yet. Fix: wait for this release")
