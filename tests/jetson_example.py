"""Loads modules of examples/jetson as their users do: from their own folders, which no test run has on its path."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

JETSON = Path(__file__).parents[1] / "examples" / "jetson"
ROS_PACKAGE = JETSON / "ros2" / "pixio_edge_ros"
DOCS = Path(__file__).parents[1] / "docs" / "jetson.md"


def load_example(name: str) -> ModuleType:
    """A module beside camera.py, or `pixio_edge_ros.…`."""
    folder = str(ROS_PACKAGE if name.startswith("pixio_edge_ros") else JETSON)
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)


def load_launch_file() -> ModuleType:
    """The launch file, which `ros2 launch` loads by its path too."""
    spec = importlib.util.spec_from_file_location("depth_launch", ROS_PACKAGE / "launch" / "depth_launch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
