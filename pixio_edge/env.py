"""Environment variables of this package, read here and nowhere else.

Values are read when asked for, not at import, so that a test or a notebook can change them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from pixio_edge.errors import InputError


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: its default as a user would type it ("" when unset), and what it does."""

    name: str
    default: str
    meaning: str


_MAX_PIXELS = Variable(
    name="PIXIO_EDGE_MAX_PIXELS",
    default="80000000",
    meaning="largest image, in pixels (height x width), that is decoded; larger files are refused from their header",
)
_THREADS = Variable(
    name="PIXIO_EDGE_THREADS",
    default="",
    meaning="CPU threads of a runtime when the caller gives none; unset takes one for each usable core",
)

_FFMPEG_LOG_LEVEL = "OPENCV_FFMPEG_LOGLEVEL"
_SILENT = "-8"

VARIABLES: tuple[Variable, ...] = (_MAX_PIXELS, _THREADS)
"""Every variable this package reads, in the order in which documentation lists them."""


def max_pixels() -> int:
    """Largest image that `read_image` decodes, in pixels.

    Raises:
        InputError: PIXIO_EDGE_MAX_PIXELS is not a whole number of at least 1.
    """
    pixels = _read_positive_int(_MAX_PIXELS)
    return int(_MAX_PIXELS.default) if pixels is None else pixels


def threads() -> int | None:
    """CPU threads for a runtime, or None when the runtime shall choose.

    Raises:
        InputError: PIXIO_EDGE_THREADS is not a whole number of at least 1.
    """
    return _read_positive_int(_THREADS)


def silence_ffmpeg() -> None:
    """Keep FFmpeg's messages off stderr, unless the user chose a level with OpenCV's own variable.

    OpenCV reads that variable when it opens its first video, and offers no call for it. What goes wrong with a video is
    said by the `InputError` of `VideoReader`.
    """
    os.environ.setdefault(_FFMPEG_LOG_LEVEL, _SILENT)


def _read_positive_int(variable: Variable) -> int | None:
    text = os.environ.get(variable.name, "").strip()
    if not text:
        return None
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise InputError(
            f"environment variable {variable.name}: got {text!r}, expected a whole number of at least 1. "
            f"Fix: unset {variable.name} or correct it"
        )
    return value
