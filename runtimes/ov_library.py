"""The OpenVINO library, without the converter that it brings along."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from pixio_edge.errors import MissingDependencyError

if TYPE_CHECKING:
    from types import ModuleType

# OpenVINO's own __init__ imports this, and does without where it is absent. It brings a telemetry client, urllib and
# http: 110 of the 170 ms that importing the library takes.
CONVERTER = "openvino.tools.ovc"
CONVERT = "convert_model"


def import_openvino() -> ModuleType:
    """Import OpenVINO; whoever asks for `openvino.convert_model` later still gets it, and pays for it then.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        if "openvino" in sys.modules or CONVERTER in sys.modules:
            return importlib.import_module("openvino")
        return _import_without_converter()
    except ImportError as error:
        raise MissingDependencyError("openvino", "openvino", "the runtime 'openvino'") from error


def _import_without_converter() -> ModuleType:
    # None in sys.modules makes the import of that name fail, as if it were not installed.
    sys.modules[CONVERTER] = None  # type: ignore[assignment]
    try:
        openvino = importlib.import_module("openvino")
    finally:
        del sys.modules[CONVERTER]

    def find(name: str) -> Any:
        if name != CONVERT:
            raise AttributeError(f"module 'openvino' has no attribute {name!r}")
        return getattr(importlib.import_module(CONVERTER), CONVERT)

    # PEP 562: a module's own __getattr__ is asked for what it lacks.
    if not hasattr(openvino, CONVERT) and "__getattr__" not in vars(openvino):
        vars(openvino)["__getattr__"] = find
    return openvino
