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
from pixio_edge.export.coreml.options import read_options
from pixio_edge.export.coreml.request import check_request

if TYPE_CHECKING:
    from pixio_edge.bundle import Bundle
    from pixio_edge.bundle_writer import BundleWriter
    from pixio_edge.export.coreml.options import CoreMLOptions
    from pixio_edge.manifest import Precision
    from pixio_edge.sizes import Size

Format = Literal["onnx", "tensorrt", "coreml"]
FORMATS: tuple[Format, ...] = get_args(Format)

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
DEFAULT_PRECISIONS: tuple[Precision, ...] = ("fp16", "int8")


FORMAT_ROLES = frozenset({"checkpoint", "recipe"})
"""Roles of files that nothing needs to run: weights to export from, and what `build` makes engines by."""


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
        only: Whether artifacts of other formats are left out, and what only they and further exports need.

    Raises:
        InputError: A format, precision, variant, target or output is unknown, options do not go together, or one
            belongs to a format that is not asked for.
    """

    formats: tuple[str, ...]
    sizes: tuple[Size, ...] = ()
    precisions: tuple[str, ...] | None = None
    variants: tuple[str, ...] | None = None
    target: str | None = None
    depth_output: str | None = None
    enumerated: bool = False
    only: bool = False

    def __post_init__(self) -> None:
        _check_known("--format", self.formats, FORMATS)
        _check_known("--precision", self.precisions or (), PRECISIONS)
        self._refuse("tensorrt", {"--precision": self.precisions})
        coreml = {"--variant": self.variants, "--target": self.target, "--depth-output": self.depth_output}
        self._refuse("coreml", {**coreml, "--enumerated": self.enumerated or None})
        if "coreml" in self.formats:
            self.coreml_options()

    def coreml_options(self) -> CoreMLOptions:
        """What is asked of Core ML.

        Raises:
            InputError: An unknown name, or options that do not go together.
        """
        return read_options(
            self.variants or ("fp16",),
            self.target or "iOS16",
            self.depth_output or "array",
            enumerated=self.enumerated,
        )

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


def require_extras(request: FormatRequest) -> None:
    """Import what the added formats need: before any work, which may take minutes.

    Raises:
        MissingDependencyError: An optional package is not installed.
    """
    if "tensorrt" in request.added:
        with needs_extra("tensorrt", "pixio-edge export --format tensorrt"):
            import pixio_edge.export.trt.artifacts
    if "coreml" in request.added:
        with needs_extra("coreml", "pixio-edge export --format coreml"):
            import pixio_edge.export.coreml.artifacts  # noqa: F401
            from pixio_edge.export.coreml.library import load_coremltools
        load_coremltools("pixio-edge export --format coreml")


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
    require_extras(request)
    if request.only and output.resolve() == bundle.folder.resolve():
        raise InputError(
            f"--only: got {output} as output and as source, expected another folder: the weights would be lost. "
            "Fix: choose another folder"
        )
    if "coreml" in request.added:
        check_request(bundle, request.coreml_options(), request.sizes or None)
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
            if request.only:
                writer.discard(_not_asked_for(writer, request))
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


def _not_asked_for(writer: BundleWriter, request: FormatRequest) -> set[str]:
    """Artifacts of other formats by name, and files that serve other formats or a further export."""
    artifacts = {artifact.name for artifact in writer.artifacts if artifact.kind not in request.formats}
    roles = FORMAT_ROLES - ({"recipe"} if "tensorrt" in request.formats else set())
    return artifacts | {entry.path for entry in writer.files if entry.role in roles}


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
    options = request.coreml_options()
    total = len(options.variants) * (1 if request.enumerated else len(request.sizes or _sizes(bundle)))
    done = count(1)
    with Meter("coreml") as meter:
        add_coreml(
            bundle,
            writer,
            variants=options.variants,
            target=options.target,
            output=options.output,
            sizes=request.sizes or None,
            enumerated=options.enumerated,
            on_stage=lambda stage: meter.update(next(done), total, stage),
        )
    return []


def _sizes(bundle: Bundle) -> set[Size]:
    return {artifact.size for artifact in bundle.artifacts if artifact.kind == "onnx"}


def _check_known(option: str, names: Sequence[str], known: Sequence[str]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"{option}: got '{unknown[0]}', expected one of {', '.join(known)}. Fix: choose one of these")
