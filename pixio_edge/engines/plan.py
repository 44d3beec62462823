"""What is to be built: artifacts of a bundle with their settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixio_edge.bundle import EMBEDDED
from pixio_edge.engines.build import BuildSettings
from pixio_edge.errors import InputError, RuntimeUnavailableError
from pixio_edge.export.trt.recipe import KIND, read_recipe
from pixio_edge.runtimes.trt_library import parse_version
from pixio_edge.sizes import size_label

if TYPE_CHECKING:
    from pathlib import Path

    from pixio_edge.bundle import Bundle
    from pixio_edge.engine_record import HostGpu
    from pixio_edge.manifest import ArtifactEntry, Precision
    from pixio_edge.sizes import Size

# Float before INT8, so that a device has something to run as early as possible.
ORDER = ("fp16", "bf16", "fp32", "int8")


@dataclass(frozen=True, slots=True)
class Job:
    """One engine to build.

    Args:
        artifact: The typed graph.
        settings: How.
    """

    artifact: ArtifactEntry
    settings: BuildSettings


def plan_jobs(
    bundle: Bundle,
    *,
    precisions: Sequence[Precision] = (),
    sizes: Sequence[Size] = (),
    timing_folder: Path | None = None,
    compute_capability: str | None = None,
) -> tuple[tuple[Job, ...], ...]:
    """List the engines of a bundle by size, in the order of its manifest; float ones first within a size.

    Args:
        bundle: With typed graphs and a recipe.
        precisions: Only these; all if empty.
        sizes: Only these; all if empty.
        timing_folder: Where the timing cache is; None does without.
        compute_capability: See `BuildSettings`.

    Raises:
        BundleError: It has no recipe.
        InputError: It has no typed graphs, or none as asked for.
    """
    artifacts = [entry for entry in bundle.artifacts if entry.kind == KIND]
    if not artifacts:
        raise InputError(
            f"bundle {_name(bundle)}: got no graphs for TensorRT, expected some. "
            f"Fix: pixio-edge export --format tensorrt {_name(bundle)} -o FOLDER, then pixio-edge build FOLDER"
        )
    recipe = read_recipe(bundle)
    chosen = [entry for entry in artifacts if _matches(entry, precisions, sizes)]
    _check_found(artifacts, precisions, sizes)

    def job(entry: ArtifactEntry) -> Job:
        settings = BuildSettings(
            profile=recipe.of(entry).profile,
            level=recipe.optimization_level,
            workspace=recipe.workspace,
            network_flags=recipe.network_flags,
            builder_flags=recipe.builder_flags,
            timing_cache=None if timing_folder is None else timing_folder / recipe.timing_cache,
            compute_capability=compute_capability,
        )
        return Job(entry, settings)

    ordered = sorted(chosen, key=lambda entry: ORDER.index(entry.precision))
    by_size = {entry.size: [item for item in ordered if item.size == entry.size] for entry in chosen}
    return tuple(tuple(job(entry) for entry in entries) for entries in by_size.values())


def check_version(bundle: Bundle, gpu: HostGpu) -> None:
    """Refuse a TensorRT whose rules the graphs were not made for, before any work.

    TensorRT for RTX counts its versions in another way, and `load_library` knows its oldest.

    Args:
        bundle: With a recipe.
        gpu: With the version of the library.

    Raises:
        BundleError: It has no recipe.
        RuntimeUnavailableError: The version is outside of what the recipe names.
    """
    if gpu.library != "tensorrt":
        return
    recipe = read_recipe(bundle)
    version, oldest, newest = map(parse_version, (gpu.version, recipe.oldest_tensorrt, recipe.newest_tensorrt))
    if not (version[: len(oldest)] >= oldest and version[: len(newest)] <= newest):
        raise RuntimeUnavailableError(
            f"tensorrt: got version {gpu.version}, expected {recipe.oldest_tensorrt} to {recipe.newest_tensorrt}, for "
            f"which the graphs in {_name(bundle)} were made. Fix: install such a TensorRT, or export the bundle again "
            "with a release of pixio-edge that knows this one"
        )


def _name(bundle: Bundle) -> str:
    """As a user would give it."""
    is_embedded = bundle.folder.parent == EMBEDDED.resolve()
    return bundle.folder.name if is_embedded else str(bundle.folder)


def _matches(entry: ArtifactEntry, precisions: Sequence[Precision], sizes: Sequence[Size]) -> bool:
    return (not precisions or entry.precision in precisions) and (not sizes or entry.size in sizes)


def _check_found(artifacts: Sequence[ArtifactEntry], precisions: Sequence[Precision], sizes: Sequence[Size]) -> None:
    """Everything that was asked for has to be there: a typo may not leave a size without an engine."""
    for precision in precisions:
        if all(entry.precision != precision for entry in artifacts):
            known = ", ".join(sorted({entry.precision for entry in artifacts}))
            hint = "quantize the bundle and export it again" if precision == "int8" else "choose one of these"
            raise InputError(f"--precision: got '{precision}', expected one of: {known}. Fix: {hint}")
    for size in sizes:
        if all(entry.size != size for entry in artifacts):
            known = ", ".join(dict.fromkeys(size_label(entry.size) for entry in artifacts))
            raise InputError(f"--size: got {size_label(size)}, expected one of: {known}. Fix: choose one of these")
    for size in sizes:
        for precision in precisions:
            if not any(_matches(entry, (precision,), (size,)) for entry in artifacts):
                raise InputError(
                    f"--size {size_label(size)} --precision {precision}: got a pair that the bundle has not, expected "
                    "one that it has; see 'pixio-edge inspect'. Fix: leave one of them out"
                )
