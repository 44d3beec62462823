"""TensorRT and TensorRT for RTX, imported here and nowhere else: one Python interface under two names.

Both have the same classes (`Runtime`, `Builder`, `OnnxParser`, …; documented under "TensorRT Python API"), so all code
takes the module that `load_library` gives. TensorRT is supported from 10.3, which JetPack 6.2 carries, through 11.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from pixio_edge.errors import MissingDependencyError, RuntimeUnavailableError
from pixio_edge.nvidia import JETSON_FIX

if TYPE_CHECKING:
    from types import ModuleType

TENSORRT_FIX = f"on a Jetson, where JetPack 6.2 carries TensorRT 10.3: {JETSON_FIX}; elsewhere: pip install tensorrt"


@dataclass(frozen=True, slots=True)
class Library:
    """What is known about one of the two libraries without importing it.

    Args:
        name: Name of the runtime, and of the library in records of engines: "tensorrt" or "tensorrt-rtx".
        module: Python module.
        oldest: First (major, minor) version that this package works with.
        fix: What to do where it is not installed or too old.
    """

    name: str
    module: str
    oldest: tuple[int, int]
    fix: str


LIBRARIES: Mapping[str, Library] = {
    "tensorrt": Library("tensorrt", "tensorrt", (10, 3), TENSORRT_FIX),
    # 1.7 is the only one that this package was tested with.
    "tensorrt-rtx": Library("tensorrt-rtx", "tensorrt_rtx", (1, 7), "pip install 'pixio-edge[tensorrt-rtx]'"),
}


def find_library(name: str) -> Library:
    """Look a library up.

    Raises:
        RuntimeUnavailableError: There is none of that name.
    """
    if name not in LIBRARIES:
        raise RuntimeUnavailableError(
            f"TensorRT library: got '{name}', expected one of: {', '.join(LIBRARIES)}. Fix: choose one of these"
        )
    return LIBRARIES[name]


def load_library(name: str) -> ModuleType:
    """Import TensorRT or TensorRT for RTX. Needs no GPU.

    Args:
        name: In `LIBRARIES`.

    Raises:
        MissingDependencyError: `tensorrt_rtx` is not installed.
        RuntimeUnavailableError: `tensorrt` is not installed; or one of them is there and cannot be loaded, or is older
            than what this package works with.
    """
    library = find_library(name)
    try:
        module = _import(library)
    except ModuleNotFoundError as error:
        if error.name != library.module:
            raise RuntimeUnavailableError(_broken(library, error)) from error
        raise _not_installed(library) from error
    except (ImportError, OSError, RuntimeError) as error:
        raise RuntimeUnavailableError(_broken(library, error)) from error
    version = library_version(module)
    if parse_version(version)[:2] < library.oldest:
        oldest = ".".join(map(str, library.oldest))
        raise RuntimeUnavailableError(
            f"{library.module}: got version {version}, expected {oldest} or newer. Fix: {library.fix}"
        )
    return module


def library_version(module: ModuleType) -> str:
    """Version of a loaded library as it says itself, such as "10.3.0". Engines open in exactly this one."""
    return str(module.__version__)


def parse_version(version: str) -> tuple[int, ...]:
    """Leading numbers of a version: (10, 3, 0) of "10.3.0" and of "10.3.0rc1"; empty where there are none."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


class LogLines:
    """Messages of the library, oldest first, each on one line.

    Args:
        wants_details: Whether `details` is filled: a build says ten thousand lines.

    Attributes:
        errors: Severity "error" and "internal error".
        warnings: Severity "warning".
        details: All others, where wanted.
    """

    def __init__(self, *, wants_details: bool = False) -> None:
        self.wants_details = wants_details
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.details: list[str] = []

    def cause(self) -> str:
        """First error, which the later ones only follow from; a plain sentence where the library gave no reason."""
        return self.errors[0] if self.errors else "the library gave no reason"


@contextmanager
def collected_log(module: ModuleType, *, wants_details: bool = False) -> Iterator[LogLines]:
    """Collect what the library says inside the block; nothing is printed.

    Blocks may be nested: each gets all messages. The library knows no sessions, so a block also gets what other threads
    make the library say meanwhile.
    """
    lines = LogLines(wants_details=wants_details)
    logger = logger_of(module)
    logger.add(lines)
    try:
        yield lines
    finally:
        logger.remove(lines)


@cache
def logger_of(module: ModuleType) -> Any:
    """The one logger of a library in this process, to be given to its `Runtime`, `Builder` and `OnnxParser`.

    TensorRT keeps the first logger it is given for the whole process and warns of every other one
    (`nvinfer1::getLogger`), and a logger has to outlive all that was made with it. So there is one, for good.
    Outside of `collected_log` it drops all messages: what matters is raised as an error.
    """
    severity = module.ILogger.Severity
    errors, warnings = (severity.INTERNAL_ERROR, severity.ERROR), (severity.WARNING,)

    class Logger(module.ILogger):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            # The base class is of C++ and has to be constructed by name.
            module.ILogger.__init__(self)
            self._listeners: list[LogLines] = []
            self._lock = Lock()

        def log(self, severity: Any, message: str) -> None:
            line = " ".join(str(message).split())
            with self._lock:
                for lines in self._listeners:
                    if severity in errors:
                        lines.errors.append(line)
                    elif severity in warnings:
                        lines.warnings.append(line)
                    elif lines.wants_details:
                        lines.details.append(line)

        def add(self, lines: LogLines) -> None:
            with self._lock:
                self._listeners.append(lines)

        def remove(self, lines: LogLines) -> None:
            with self._lock:
                self._listeners = [other for other in self._listeners if other is not lines]

    return Logger()


def _import(library: Library) -> ModuleType:
    # Named one by one, so that what imports them is found by reading the source.
    if library.name == "tensorrt":
        return importlib.import_module("tensorrt")
    return importlib.import_module("tensorrt_rtx")


def _not_installed(library: Library) -> MissingDependencyError | RuntimeUnavailableError:
    if library.name == "tensorrt":
        # Not an extra of ours: which TensorRT fits is a matter of the machine.
        return RuntimeUnavailableError(
            f"runtime 'tensorrt': the package 'tensorrt' is not installed. Fix: {library.fix}"
        )
    return MissingDependencyError(library.module, library.name, f"the runtime '{library.name}'")


def _broken(library: Library, error: Exception) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    return (
        f"{library.module} is installed and cannot be loaded ({reason}). Fix: its version has to fit this Python, CUDA "
        "and driver; 'pixio-edge doctor' compares them"
    )
