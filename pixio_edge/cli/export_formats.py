"""What `pixio-edge export` adds to a bundle of ONNX graphs: TensorRT and Core ML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from pixio_edge.cli.console import Meter
from pixio_edge.cli.extras import needs_extra
from pixio_edge.errors import InputError, OutputError

if TYPE_CHECKING:
    from pixio_edge.bundle import Bundle
    from pixio_edge.bundle_writer import BundleWriter
    from pixio_edge.manifest import Precision
    from pixio_edge.sizes import Size

Format = Literal["onnx", "tensorrt", "coreml"]
FORMATS: tuple[Format, ...] = get_args(Format)

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
DEFAULT_PRECISIONS: tuple[Precision, ...] = ("fp16", "int8")


@dataclass(frozen=True, slots=True)
class FormatRequest:
    """What to export to besides ONNX; fields left at None take their defaults.

    Args:
        formats: Out of `FORMATS`.
        sizes: Input sizes, (height, width) each; none takes all that the bundle has.
        precisions: For TensorRT, out of `PRECISIONS`. Default: fp16, and INT8 where the bundle was calibrated.
        variants: For Core ML, names out of `export.coreml.options.VARIANTS`. Default: fp16.
        target: For Core ML, oldest system. Default: iOS16.
        depth_output: For Core ML, "array" or "image". Default: array.
        enumerated: For Core ML, one package for all sizes.

    Raises:
        InputError: A format or precision is unknown, or an option belongs to a format that is not asked for.
    """

    formats: tuple[str, ...]
    sizes: tuple[Size, ...] = ()
    precisions: tuple[str, ...] | None = None
    variants: tuple[str, ...] | None = None
    target: str | None = None
    depth_output: str | None = None
    enumerated: bool = False

    def __post_init__(self) -> None:
        _check_known("--format", self.formats, FORMATS)
        _check_known("--precision", self.precisions or (), PRECISIONS)
        self._refuse("tensorrt", {"--precision": self.precisions})
        coreml = {"--variant": self.variants, "--target": self.target, "--depth-output": self.depth_output}
        self._refuse("coreml", {**coreml, "--enumerated": self.enumerated or None})

    @property
    def added(self) -> tuple[str, ...]:
        """Formats that are added to ONNX graphs, in the order in which they are made."""
        return tuple(name for name in FORMATS if name in self.formats and name != "onnx")

    def _refuse(self, format_name: str, given: dict[str, object]) -> None:
        used = [option for option, value in given.items() if value is not None]
        if used and format_name not in self.formats:
            raise InputError(
                f"{used[0]}: is about {format_name}, expected --format {format_name} with it. "
                f"Fix: add --format {format_name}, or leave it out"
            )


def add_formats(bundle: Bundle, output: Path, request: FormatRequest, *, replace: bool) -> tuple[Bundle, list[str]]:
    """Write a bundle with all that another has, and what is asked for; the folder appears only if every check passes.

    What it has of these formats is made anew.

    Args:
        bundle: Has fp32 ONNX graphs and, for Core ML, a checkpoint.
        output: Bundle folder to write; may be that of `bundle`.
        request: What to add.
        replace: Whether a bundle that is at `output` may be replaced.

    Returns:
        The new bundle, and what a user has to know, one line each.

    Raises:
        InputError: A size is not in the bundle, or INT8 is asked for by name without a calibration table.
        BundleError: The bundle is damaged or lacks what a format needs, or `output` exists.
        CheckFailedError: What was made breaks a rule of its target, or computes something else.
        MissingDependencyError: An optional package is not installed.
        OutputError: The folder cannot be written.
    """
    with needs_extra("tensorrt", "pixio-edge export"):
        from pixio_edge.bundle import Bundle as OpenedBundle
        from pixio_edge.bundle_writer import write_bundle
    steps: dict[str, Callable[[Bundle, BundleWriter, FormatRequest], list[str]]] = {
        "tensorrt": _add_tensorrt,
        "coreml": _add_coreml,
    }
    notes: list[str] = []
    try:
        with write_bundle(output, bundle.manifest, replace=replace) as writer:
            writer.take_over(bundle, drop=_replaced(bundle, request))
            for name in request.added:
                notes += steps[name](bundle, writer, request)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"{output}: cannot be written ({reason}). Fix: free some space or choose another folder"
        ) from error
    return OpenedBundle.open(output), notes


def _replaced(bundle: Bundle, request: FormatRequest) -> set[str]:
    """Artifacts of the formats that are made anew, by name, and files that belong to a format as a whole."""
    with needs_extra("tensorrt", "pixio-edge export"):
        from pixio_edge.export.trt.artifacts import typed_names
    same = {artifact.name for artifact in bundle.artifacts if artifact.kind in request.added}
    return same | (typed_names(bundle) if "tensorrt" in request.added else frozenset())


def _add_tensorrt(bundle: Bundle, writer: BundleWriter, request: FormatRequest) -> list[str]:
    with needs_extra("tensorrt", "pixio-edge export --format tensorrt"):
        from pixio_edge.export.trt.artifacts import add_tensorrt
        from pixio_edge.export.trt.int8_source import has_table
    notes: list[str] = []
    wanted = tuple(name for name in PRECISIONS if name in (request.precisions or DEFAULT_PRECISIONS))
    if request.precisions is None and not has_table(bundle):
        wanted = ("fp16",)
        notes.append(
            "tensorrt: without INT8, since the bundle has no calibration table; for INT8 quantize the bundle "
            "(pixio-edge quantize FOLDER --data PHOTOS) and export it again"
        )
    sizes = request.sizes or None
    total = 2 * len(wanted) * len(sizes or _sizes(bundle))
    done = count(1)
    with Meter("tensorrt") as meter:
        add_tensorrt(
            bundle,
            writer,
            precisions=wanted,
            sizes=sizes,
            on_stage=lambda stage: meter.update(next(done), total, stage),
        )
    return notes


def _add_coreml(bundle: Bundle, writer: BundleWriter, request: FormatRequest) -> list[str]:
    with needs_extra("coreml", "pixio-edge export --format coreml"):
        from pixio_edge.export.coreml.artifacts import add_coreml
    variants = request.variants or ("fp16",)
    total = len(variants) * (1 if request.enumerated else len(request.sizes or _sizes(bundle)))
    done = count(1)
    with Meter("coreml") as meter:
        add_coreml(
            bundle,
            writer,
            variants=variants,
            target=request.target or "iOS16",
            output=request.depth_output or "array",
            sizes=request.sizes or None,
            enumerated=request.enumerated,
            on_stage=lambda stage: meter.update(next(done), total, stage),
        )
    return []


def _sizes(bundle: Bundle) -> set[Size]:
    return {artifact.size for artifact in bundle.artifacts if artifact.kind == "onnx"}


def _check_known(option: str, names: Sequence[str], known: Sequence[str]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"{option}: got '{unknown[0]}', expected one of {', '.join(known)}. Fix: choose one of these")
