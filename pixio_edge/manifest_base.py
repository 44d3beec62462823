"""What all records of a manifest are made of: the strict base class and the types of their fields."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from pixio_edge.errors import PixioEdgeError
from pixio_edge.image import ImageSpec


def _inside_folder(path: str) -> str:
    """Accept only plain relative POSIX paths, which mean the same file on every system and stay below the bundle."""
    pure = PurePosixPath(path)
    windows = PureWindowsPath(path)
    if not pure.parts or pure.is_absolute() or windows.drive or windows.root or "\\" in path or "\0" in path:
        raise ValueError(f"path {path!r} is not relative to the bundle")
    if ".." in pure.parts or str(pure) != path:
        raise ValueError(f"path {path!r} leaves the bundle or is not in its shortest form")
    return path


def _image_from_json(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    try:
        return ImageSpec.from_json(value)
    except PixioEdgeError as error:
        raise ValueError(str(error)) from error


BundlePath = Annotated[str, AfterValidator(_inside_folder)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Size = tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
ImageRecord = Annotated[
    ImageSpec, BeforeValidator(_image_from_json), PlainSerializer(ImageSpec.to_json, return_type=dict[str, Any])
]


class Record(BaseModel):
    """Base of all manifest records."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
