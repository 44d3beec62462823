"""A Core ML package read back into the program that Core ML would run: its operations, inputs and outputs.

What is read is what was written to disk, with the weights from the package, and not what the converter had in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from pixio_edge.errors import BundleError, InputError
from pixio_edge.export.coreml.library import load_reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Where a package keeps the model and its weights.
MODEL_FILE = "Data/com.apple.CoreML/model.mlmodel"
WEIGHTS_FOLDER = "Data/com.apple.CoreML/weights"
MAIN_FUNCTION = "main"

ColourLayout = Literal["RGB", "BGR", "GRAYSCALE", "GRAYSCALE_FLOAT16"]


@dataclass(frozen=True, slots=True)
class Feature:
    """An input or output of a package, as an app sees it.

    Args:
        name: Its name.
        layout: Colours of an image, None for an array.
        shape: Of the array; (1, height, width, channels) for an image of a fixed or default size.
        sizes: Height and width of every image that is taken, where there are several; else empty.
        dtype: "uint8" for an image of colours, "float16" for one of depth, numpy's name for an array.
    """

    name: str
    layout: ColourLayout | None
    shape: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Program:
    """A converted model.

    Args:
        inputs: Its inputs.
        outputs: Its outputs.
        function: coremltools' function, whose `operations` are in the order in which they run.
        specification_version: Version of the file format, which tells the oldest system that opens it.
    """

    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]
    function: Any
    specification_version: int

    @property
    def operations(self) -> Iterator[Any]:
        """Every operation but the constants, in the order in which they run."""
        return (operation for operation in self.function.operations if operation.op_type != "const")


def load_program(package: Path) -> Program:
    """Read a package.

    Args:
        package: A folder `….mlpackage`.

    Raises:
        MissingDependencyError: coremltools is not installed.
        InputError: There is no such package, or it holds no ML program.
        BundleError: The package is damaged.
    """
    model_file = package / MODEL_FILE
    if not model_file.is_file():
        raise InputError(
            f"Core ML package '{package}': found no {MODEL_FILE}, expected a folder that ends in .mlpackage. "
            "Fix: give the folder that 'pixio-edge export --format coreml' wrote"
        )
    model_type, loader, _ = load_reader()
    model = model_type()
    try:
        model.ParseFromString(model_file.read_bytes())
        if model.WhichOneof("Type") != "mlProgram":
            raise InputError(
                f"Core ML package '{package}': holds '{model.WhichOneof('Type')}', expected an ML program. "
                "Fix: convert with convert_to='mlprogram'"
            )
        mil = loader.load(model, model.specificationVersion, str(package / WEIGHTS_FOLDER))
    # The reader raises whatever its parts raise: RuntimeError of the weight file, DecodeError, ValueError, KeyError, ….
    except InputError:
        raise
    except Exception as error:
        raise BundleError(
            f"Core ML package '{package}': cannot be read ({' '.join(str(error).split())[:200]}). "
            "Fix: copy or export it again"
        ) from error
    if set(mil.functions) != {MAIN_FUNCTION}:
        raise InputError(
            f"Core ML package '{package}': has functions {sorted(mil.functions)}, expected one named "
            f"'{MAIN_FUNCTION}'. Fix: convert a package for each function"
        )
    return Program(
        inputs=tuple(_feature(entry) for entry in model.description.input),
        outputs=tuple(_feature(entry) for entry in model.description.output),
        function=mil.functions[MAIN_FUNCTION],
        specification_version=model.specificationVersion,
    )


def dtype_of(variable: Any) -> str:
    """Type of a variable by MIL's name for it: "fp16", "fp32", "int32", "bool", "uint4", "str", …."""
    name: str = _mil_types().builtin_to_string(variable.dtype)
    return name


@cache
def _mil_types() -> Any:
    return load_reader()[2]


def _feature(entry: Any) -> Feature:
    if entry.type.WhichOneof("Type") == "imageType":
        return _image_feature(entry.name, entry.type.imageType)
    if entry.type.WhichOneof("Type") == "multiArrayType":
        array = entry.type.multiArrayType
        dtype = array.ArrayDataType.Name(array.dataType).lower()
        return Feature(entry.name, None, tuple(array.shape), (), dtype)
    raise InputError(
        f"Core ML feature '{entry.name}': got type '{entry.type.WhichOneof('Type')}', expected an image or an array. "
        "Fix: convert the model with ImageType and TensorType"
    )


def _image_feature(name: str, image: Any) -> Feature:
    layout = image.ColorSpace.Name(image.colorSpace)
    channels = 3 if layout in ("RGB", "BGR") else 1
    sizes = tuple((size.height, size.width) for size in image.enumeratedSizes.sizes)
    dtype = "float16" if layout == "GRAYSCALE_FLOAT16" else "uint8"
    return Feature(name, layout, (1, image.height, image.width, channels), sizes, dtype)
