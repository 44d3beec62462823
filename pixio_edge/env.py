"""Environment variables of this package, read here and nowhere else.

Values are read when asked for, not at import, so that a test or a notebook can change them.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

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

_REQUIRE_COMMERCIAL = Variable(
    name="PIXIO_EDGE_REQUIRE_COMMERCIAL",
    default="",
    meaning="1 refuses weights whose licence forbids commercial use, and bundles made from them; unset or 0 does not",
)
_CACHE = Variable(
    name="PIXIO_EDGE_CACHE",
    default="",
    meaning="folder for engines, CUDA kernels and compiled graphs of this host, and for the compiled renderer where "
    "the package cannot be written; unset takes pixio-edge in the user's cache folder",
)
_KEEP_COMPILED = Variable(
    name="PIXIO_EDGE_KEEP_COMPILED",
    default="1",
    meaning="0 compiles the graphs of OpenVINO anew at every load, instead of keeping the result in the cache folder",
)
_KERNELS = Variable(
    name="PIXIO_EDGE_KERNELS",
    default="",
    meaning="cuda runs the CUDA kernels or fails, reference runs the same functions in torch or numpy; unset runs the "
    "kernels on an NVIDIA GPU",
)
_REQUIRE = Variable(
    name="PIXIO_EDGE_REQUIRE",
    default="",
    meaning="cuda makes tests that need an NVIDIA GPU fail where there is none; unset skips them",
)
_YES, _NO = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}

# By `sys.platform`: the variable that names the cache folder, and where it is below the home folder without one.
_SYSTEM_CACHES = {"darwin": ("", "Library/Caches"), "win32": ("LOCALAPPDATA", "AppData/Local")}

_FFMPEG_LOG_LEVEL = "OPENCV_FFMPEG_LOGLEVEL"
_SILENT = "-8"

VARIABLES: tuple[Variable, ...] = (
    _MAX_PIXELS,
    _THREADS,
    _REQUIRE_COMMERCIAL,
    _CACHE,
    _KEEP_COMPILED,
    _KERNELS,
    _REQUIRE,
)
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


def require_commercial() -> bool:
    """Whether weights whose licence forbids commercial use are refused.

    Raises:
        InputError: PIXIO_EDGE_REQUIRE_COMMERCIAL is neither yes nor no.
    """
    return _read_yes(_REQUIRE_COMMERCIAL)


def keeps_compiled() -> bool:
    """Whether graphs that OpenVINO compiled are kept for the next load.

    Raises:
        InputError: PIXIO_EDGE_KEEP_COMPILED is neither yes nor no.
    """
    return _read_yes(_KEEP_COMPILED)


def compile_anew() -> None:
    """Set PIXIO_EDGE_KEEP_COMPILED to 0 for this process, so that what a load costs is what a first one costs."""
    os.environ[_KEEP_COMPILED.name] = "0"


def insist_on_commercial() -> None:
    """Set PIXIO_EDGE_REQUIRE_COMMERCIAL for this process and those it starts, as benchmarks do for each measurement."""
    os.environ[_REQUIRE_COMMERCIAL.name] = "1"


def kernels() -> str | None:
    """Which implementation of the kernels is forced: "cuda" or "reference"; None where neither is.

    Raises:
        InputError: PIXIO_EDGE_KERNELS is something else.
    """
    return _read_choice(_KERNELS, ("cuda", "reference"))


def requires_cuda() -> bool:
    """Whether a test that finds no NVIDIA GPU fails.

    Raises:
        InputError: PIXIO_EDGE_REQUIRE is neither unset nor "cuda".
    """
    return _read_choice(_REQUIRE, ("cuda",)) is not None


def cache_folder() -> Path:
    """Folder for what can be made again on this host; it may not exist yet.

    PIXIO_EDGE_CACHE, else `pixio-edge` in the folder that the system has for it: $XDG_CACHE_HOME or ~/.cache, on macOS
    ~/Library/Caches, on Windows %LOCALAPPDATA% (XDG Base Directory Specification 0.8: a relative path is ignored).

    Raises:
        InputError: The user has no home folder, and PIXIO_EDGE_CACHE does not name a folder.
    """
    given = os.environ.get(_CACHE.name, "").strip()
    variable, below_home = _SYSTEM_CACHES.get(sys.platform, ("XDG_CACHE_HOME", ".cache"))
    base = Path(os.environ.get(variable, "")) if variable else Path()
    if base.is_absolute() and not given:
        return base / "pixio-edge"
    try:
        if given:
            return Path(given).expanduser().absolute()
        return Path.home() / below_home / "pixio-edge"
    except RuntimeError as error:
        raise InputError(
            f"environment variable {_CACHE.name}: got no usable folder ({error}), expected one. "
            f"Fix: set {_CACHE.name} to a folder for engines"
        ) from error


def silence_ffmpeg() -> None:
    """Keep FFmpeg's messages off stderr, unless the user chose a level with OpenCV's own variable.

    OpenCV reads that variable when it opens its first video, and offers no call for it. What goes wrong with a video is
    said by the `InputError` of `VideoReader`.
    """
    os.environ.setdefault(_FFMPEG_LOG_LEVEL, _SILENT)


def _read_choice(variable: Variable, choices: tuple[str, ...]) -> str | None:
    text = os.environ.get(variable.name, "").strip().lower()
    if text and text not in choices:
        raise InputError(
            f"environment variable {variable.name}: got {text!r}, expected {' or '.join(choices)}. "
            f"Fix: unset {variable.name} or correct it"
        )
    return text or None


def _read_yes(variable: Variable) -> bool:
    text = os.environ.get(variable.name, "").strip().lower() or variable.default
    if text not in _YES | _NO:
        raise InputError(
            f"environment variable {variable.name}: got {text!r}, expected 1 or 0. "
            f"Fix: unset {variable.name} or correct it"
        )
    return text in _YES


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
