"""Picture files: finding them, and decoding one to uint8 RGB without trusting it."""

from __future__ import annotations

import glob
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pixio_edge.env import max_pixels
from pixio_edge.errors import InputError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".jp2", ".avif", ".ppm", ".pgm", ".pnm"}
)
"""What `find_images` takes from a folder; a file named explicitly may have any suffix."""

RESULT_SUFFIXES = (".depth.png", ".color.png")
"""Names of this package's own results: `find_images` leaves them out of a folder, so that a second run sees photos."""

_SILENT = 0  # OpenCV's LOG_LEVEL_SILENT, which release 4 does not name in Python
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_SIGNATURE = b"\xff\xd8"
# In entropy-coded JPEG data FF 00 is a stuffed byte, FF D0..D7 a restart and FF FF padding; all else ends the scan.
_JPEG_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Decode a picture file to uint8 (H, W, 3) RGB, a new array.

    EXIF orientation is applied. Grey becomes three equal channels, alpha is dropped, 16-bit values are scaled to 8
    bits, CMYK and palettes are converted. The size is checked from the header before the rest is read.

    Raises:
        InputError: The file is missing, a folder, empty, unreadable, not an image, cut off, damaged, or has more pixels
            than the environment variable PIXIO_EDGE_MAX_PIXELS allows.
    """
    import cv2  # noqa: PLC0415  (importing OpenCV takes longer than the rest of the package together)

    path = Path(path)
    # A JPEG of 12 megapixels takes 54 ms; decoding to BGR and swapping the channels would add 26 ms.
    return decode(read_checked(path), path, cv2.IMREAD_COLOR_RGB)


def read_checked(path: Path) -> bytes:
    """Bytes of a picture file whose header, size and end have been checked.

    Raises:
        InputError: As for `read_image`, except for damage that only decoding finds.
    """
    try:
        with path.open("rb") as file:
            height, width = _read_size(file, path)
            check_pixel_count(str(path), height, width, limit=max_pixels())
            data = file.read()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file, expected an image. Fix: check the path") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: is a folder, expected an image. Fix: name a file, or use find_images") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{path}: cannot be read ({reason.lower()}), expected an image. Fix: check the path and its permissions"
        ) from error
    if _is_cut_off(data):
        raise InputError(f"{path}: the image data is cut off, expected a complete file. Fix: copy or download it again")
    return data


def check_encoded(data: bytes, path: Path) -> None:
    """Check header, size and end of a picture in memory, as `read_checked` does for a file.

    Args:
        data: The whole picture.
        path: Its name, for the error.

    Raises:
        InputError: As for `read_checked`.
    """
    height, width = _read_size(BytesIO(data), path)
    check_pixel_count(str(path), height, width, limit=max_pixels())
    if _is_cut_off(data):
        raise InputError(f"{path}: the image data is cut off, expected a complete file. Fix: copy or download it again")


def decode(data: bytes, path: Path, flags: int) -> NDArray[Any]:
    """Pixels of a picture as OpenCV gives them.

    Args:
        data: The whole file.
        path: Its name, for the error.
        flags: One of OpenCV's IMREAD flags.

    Raises:
        InputError: The data are damaged or in a format that OpenCV does not read.
    """
    import cv2  # noqa: PLC0415

    with quiet_opencv(cv2):
        try:
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error as error:
            raise InputError(f"{path}: cannot be decoded ({error.err}). Fix: convert it to PNG") from error
    if pixels is None:
        raise InputError(
            f"{path}: damaged, or in a format that is not supported, expected JPEG, PNG, WebP, TIFF or the like. "
            "Fix: copy it again, or convert it to PNG"
        )
    return pixels


def check_pixel_count(name: str, height: int, width: int, *, limit: int) -> None:
    """Refuse a picture that would take too much memory.

    Raises:
        InputError: There are more than `limit` pixels.
    """
    if height * width > limit:
        raise InputError(
            f"{name}: {height}x{width} is {height * width / 1e6:.1f} megapixels, expected at most {limit / 1e6:.1f}. "
            f"Fix: resize it, or set PIXIO_EDGE_MAX_PIXELS={height * width}"
        )


def find_images(patterns: Sequence[str]) -> list[Path]:
    """Expand files, folders and globs to image paths, each once, in the order given.

    A file is taken as it is. A folder gives its images sorted by name, without its subfolders, hidden files and results
    of this package (`*.depth.png`, `*.color.png`). A glob gives its matching files, sorted; `**` goes into subfolders.

    Raises:
        InputError: A pattern matches nothing, or a folder has no image.
    """
    try:
        found = [path for pattern in patterns for path in _expand(pattern)]
    except OSError as error:  # no permission for a folder, or a name that is too long
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{error.filename}: {reason}, expected images. Fix: check the path") from error
    if not found:
        raise InputError("no image given, expected files, folders or globs. Fix: name at least one image")
    return list(dict.fromkeys(found))


def _read_size(file: BinaryIO, path: Path) -> tuple[int, int]:
    """(height, width) from the header; leaves the file at its start."""
    import imagesize  # type: ignore[import-untyped]  # noqa: PLC0415  (loads XML and network modules)

    if not file.read(1):
        raise InputError(f"{path}: the file is empty, expected an image. Fix: copy or download it again")
    file.seek(0)
    try:
        # The open file, never the name: imagesize fetches names that look like addresses.
        width, height = imagesize.get(file)
    except Exception as error:  # whatever its parsers raise on damaged headers
        raise InputError(f"{path}: the image header is damaged. Fix: copy or download it again") from error
    if width < 1 or height < 1:
        raise InputError(f"{path}: not an image, expected JPEG, PNG, WebP, TIFF or the like. Fix: convert it to PNG")
    file.seek(0)
    return int(height), int(width)


def _is_cut_off(data: bytes) -> bool:
    """Whether a PNG or JPEG lacks its end; some decoders fill the missing part with grey instead of failing."""
    if data.startswith(_PNG_SIGNATURE):
        return not _png_has_end(data)
    if data.startswith(_JPEG_SIGNATURE):
        return not _jpeg_has_end(data)
    return False


def _png_has_end(data: bytes) -> bool:
    position = len(_PNG_SIGNATURE)
    while position + 12 <= len(data):  # a chunk is length, type, content, checksum
        length, kind = struct.unpack_from(">I4s", data, position)
        position += 12 + length
        if kind == b"IEND":
            return True
    return False


def _jpeg_has_end(data: bytes) -> bool:
    """Walk the segments, as the bytes FF D9 alone may also close a thumbnail inside the EXIF data."""
    position = len(_JPEG_SIGNATURE)
    while position + 2 <= len(data):
        marker = data[position + 1]
        if data[position] != 0xFF or marker == 0xFF:  # padding between segments
            position += 1
        elif marker == 0xD9:
            return True
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without content
            position += 2
        elif position + 4 > len(data):
            return False
        else:
            position += 2 + int(struct.unpack_from(">H", data, position + 2)[0])
            if marker == 0xDA:  # start of scan: its data run to the next marker
                scan_end = _JPEG_SCAN_END.search(data, position)
                if scan_end is None:
                    return False
                position = scan_end.start()
    return False


@contextmanager
def quiet_opencv(cv2: Any) -> Iterator[None]:
    """Keep the warnings of OpenCV off stderr meanwhile: the error that we raise says it in one line."""
    logging = getattr(cv2.utils, "logging", cv2)  # OpenCV 5 moved the functions there
    level = logging.getLogLevel()
    logging.setLogLevel(_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)


def _expand(pattern: str) -> list[Path]:
    path = Path(pattern)
    if path.is_dir():
        images = sorted(child for child in path.iterdir() if _is_photo(child))
        if not images:
            raise InputError(
                f"{path}: the folder has no image, expected one of {', '.join(sorted(IMAGE_SUFFIXES))}. "
                "Fix: name another folder or a glob"
            )
        return images
    if path.exists() or not glob.has_magic(pattern):
        if not path.is_file():
            raise InputError(f"{path}: no such file or folder, expected an image. Fix: check the path")
        return [path]
    matches = sorted(match for match in _glob(pattern) if match.is_file())
    if not matches:
        raise InputError(f"{pattern}: matches no file, expected images. Fix: check the glob")
    return matches


def _glob(pattern: str) -> Iterator[Path]:
    # Path.glob takes no absolute pattern.
    return map(Path, glob.iglob(pattern, recursive=True))  # noqa: PTH207


def _is_photo(path: Path) -> bool:
    name = path.name.lower()
    is_result = name.endswith(RESULT_SUFFIXES)
    return path.suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".") and not is_result and path.is_file()
