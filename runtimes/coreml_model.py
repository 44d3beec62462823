"""Core ML packages through coremltools: load for a compute unit, predict on images, ask where operations run."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from pixio_edge.errors import BundleError, MissingDependencyError, SpecError
from pixio_edge.tensor import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray

    from pixio_edge.bundle import VerifiedArtifact

logger = logging.getLogger(__name__)

COMPUTE_UNITS = ("cpu_and_ne", "cpu_and_gpu", "all", "cpu_only")
"""Names of `coremltools.ComputeUnit`, in the order in which they are tried; of equally fast ones the first is taken."""

HOME_DEVICE = {"cpu_and_ne": "ne", "cpu_and_gpu": "gpu", "cpu_only": "cpu"}
"""Where operations should run for each compute unit; what runs elsewhere is a fallback. "all" leaves it open."""

DEVICE_NAMES = {
    "MLNeuralEngineComputeDevice": "ne",
    "MLGPUComputeDevice": "gpu",
    "MLCPUComputeDevice": "cpu",
}
PACKAGE_SUFFIX = ".mlpackage"
NOT_EXECUTED = ("const", "constexpr_")
PLACED_PRECISIONS = {"FLOAT16": "fp16", "FLOAT32": "fp32", "INT8": "int8", "UINT8": "int8", "INT32": "int32"}


def find_package(artifact: VerifiedArtifact) -> Path:
    """Folder of the package, which Core ML opens whole: so all of it has to be in the manifest."""
    entry = artifact.entry
    parts = PurePosixPath(entry.path).parts
    depth = next((index for index, part in enumerate(parts) if part.endswith(PACKAGE_SUFFIX)), None)
    if depth is None:
        raise BundleError(
            f"artifact '{entry.name}': '{entry.path}' is in no folder ….mlpackage. Fix: export the bundle again"
        )
    package = artifact.folder.joinpath(*parts[: depth + 1])
    listed = {entry.path, *(file.path for file in entry.data)}
    found = {path.relative_to(artifact.folder).as_posix() for path in package.rglob("*") if not path.is_dir()}
    if unlisted := sorted(found - listed):
        raise BundleError(
            f"artifact '{entry.name}': the package holds '{unlisted[0]}', which the manifest does not list. "
            "Fix: remove it, or export the bundle again"
        )
    return package


def load(coremltools: ModuleType, package: Path, unit: str) -> Any:
    """Load a package for a compute unit.

    Raises:
        RuntimeError: Core ML cannot; coremltools itself would only warn.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = coremltools.models.MLModel(str(package), compute_units=coremltools.ComputeUnit[unit.upper()])
    failed = [str(warning.message) for warning in caught if issubclass(warning.category, RuntimeWarning)]
    if failed:
        raise RuntimeError(failed[0])
    return model


def predict(model: Any, feeds: Mapping[str, NDArray[Any]], names: list[str]) -> dict[str, NDArray[Any]]:
    """Outputs as float32 that nothing else refers to; a depth image becomes (1, H, W)."""
    images = {name: import_pil().fromarray(image[0]) for name, image in feeds.items()}
    outputs = model.predict(images)
    missing = sorted(set(names) - set(outputs))
    if missing:
        raise SpecError(f"outputs: got {sorted(outputs)}, expected {sorted(names)}. Fix: export the bundle again")
    arrays = {name: np.array(outputs[name], dtype=np.float32) for name in names}
    return {name: array[None] if array.ndim == 2 else array for name, array in arrays.items()}


def input_specs(package: Path, size: tuple[int, int]) -> list[TensorSpec]:
    """As the runtime takes them: images as uint8 (1, H, W, 3), at the artifact's size where the package takes it."""
    specs = []
    for entry in import_coremltools().models.utils.load_spec(str(package)).description.input:
        image, array = entry.type.imageType, entry.type.multiArrayType
        if entry.type.WhichOneof("Type") == "imageType":
            sizes = [(each.height, each.width) for each in image.enumeratedSizes.sizes]
            height, width = size if size in sizes else (image.height, image.width)
            specs.append(TensorSpec(entry.name, (1, height, width, 3), "uint8"))
        else:
            specs.append(TensorSpec(entry.name, tuple(array.shape), "float32"))
    return specs


def find_placement(model: Any, unit: str) -> list[tuple[str, str]] | None:
    """Every operation as "conv/fp16" with the device that Core ML prefers for it; None before macOS 14.4."""
    coremltools = import_coremltools()
    plans = importlib.import_module("coremltools.models.compute_plan")
    try:
        units = coremltools.ComputeUnit[unit.upper()]
        plan = plans.MLComputePlan.load_from_path(model.get_compiled_model_path(), units)
    except (ValueError, RuntimeError) as error:
        logger.info("coreml: no compute plan (%s)", error)
        return None
    precisions = dict(_declared_precisions(model))
    placed = []
    for operation in plan.model_structure.program.functions["main"].block.operations:
        kind = operation.operator_name.rpartition(".")[2]  # "ios17.conv"
        usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
        if usage is not None and not kind.startswith(NOT_EXECUTED):
            device = type(usage.preferred_compute_device).__name__
            precision = precisions.get(operation.outputs[0].name, "unknown")
            placed.append((f"{kind}/{precision}", DEVICE_NAMES.get(device, device)))
    return placed


def _declared_precisions(model: Any) -> Iterator[tuple[str, str]]:
    """Type of every value of the program, by its name: the compute plan does not tell it."""
    for function in model.get_spec().mlProgram.functions.values():
        for operation in function.block_specializations[function.opset].operations:
            for output in operation.outputs:
                tensor = output.type.tensorType
                name = tensor.DESCRIPTOR.fields_by_name["dataType"].enum_type.values_by_number[tensor.dataType].name
                yield output.name, PLACED_PRECISIONS.get(name, name.lower())


def find_fallbacks(placed: list[tuple[str, str]], unit: str) -> tuple[str, ...]:
    """Operations that run elsewhere than the compute unit is for, as "gather on cpu"; see `find_placement`."""
    devices = Counter(device for _, device in placed)
    home = HOME_DEVICE.get(unit) or (devices.most_common(1)[0][0] if devices else "")
    return tuple(sorted({f"{key.partition('/')[0]} on {device}" for key, device in placed if device != home}))


def import_coremltools() -> ModuleType:
    """Import coremltools.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        return importlib.import_module("coremltools")
    except ImportError as error:
        raise MissingDependencyError("coremltools", "coreml", "the runtime 'coreml'") from error


def import_pil() -> ModuleType:
    """Import the image class that coremltools takes: its binding to Core ML looks for exactly that.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        return importlib.import_module("PIL.Image")
    except ImportError as error:
        raise MissingDependencyError("pillow", "coreml", "the runtime 'coreml', for images in Core ML,") from error
