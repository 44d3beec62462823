"""On-device monocular depth.

The names below are loaded when first used, so that importing the package costs nothing and needs no engine.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pixio_edge._version import __version__

if TYPE_CHECKING:
    from pixio_edge.bundle import Bundle
    from pixio_edge.depth import DepthMap, Intrinsics
    from pixio_edge.errors import PixioEdgeError
    from pixio_edge.estimator import DepthEstimator

__all__ = ["Bundle", "DepthEstimator", "DepthMap", "Intrinsics", "PixioEdgeError", "__version__"]

_MODULES = {
    "Bundle": "pixio_edge.bundle",
    "DepthEstimator": "pixio_edge.estimator",
    "DepthMap": "pixio_edge.depth",
    "Intrinsics": "pixio_edge.depth",
    "PixioEdgeError": "pixio_edge.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'pixio_edge' has no attribute '{name}'")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
