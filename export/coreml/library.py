"""The one place that imports coremltools: quietly, and with a message that says how to get it."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pixio_edge.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)


def load_coremltools(purpose: str = "export to Core ML") -> Any:
    """The `coremltools` package, without its remarks on what else is installed.

    It converts on any system; predictions, which nothing here asks for, need macOS.

    Args:
        purpose: What needs it, for the message.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        with quiet():
            return importlib.import_module("coremltools")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(error.name or "coremltools", "coreml", purpose) from error


def load_builder() -> Any:
    """MIL's builder, `mb` in the documentation of coremltools: makes operations of a program."""
    load_coremltools()
    return importlib.import_module("coremltools.converters.mil").Builder


def load_reader() -> tuple[Any, Any, Any]:
    """The message type of a model file, the module that makes a program of one, and MIL's types."""
    load_coremltools()
    return (
        importlib.import_module("coremltools.proto.Model_pb2").Model,
        importlib.import_module("coremltools.converters.mil.frontend.milproto.load"),
        importlib.import_module("coremltools.converters.mil.mil.types"),
    )


def load_passes() -> tuple[Any, Any]:
    """Base class of graph passes, and the registry in which a pipeline looks them up by name."""
    load_coremltools()
    passes = importlib.import_module("coremltools.converters.mil.mil.passes")
    return (
        importlib.import_module(f"{passes.__name__}.graph_pass").AbstractGraphPass,
        importlib.import_module(f"{passes.__name__}.pass_registry").PASS_REGISTRY,
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep coremltools from writing to the terminal: progress bars, and remarks on versions and macOS libraries.

    What it writes goes to this module's logger at DEBUG.
    """
    remarks = logging.getLogger("coremltools")
    level, text = remarks.level, io.StringIO()
    remarks.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(text), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        remarks.setLevel(level)
        if text.getvalue():
            logger.debug("coremltools: %s", text.getvalue())
