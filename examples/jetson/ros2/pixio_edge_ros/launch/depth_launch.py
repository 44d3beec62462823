"""Depth of one camera.

ros2 launch pixio_edge_ros depth_launch.py image:=/camera/image_raw camera_info:=/camera/camera_info bundle:=/my/bundle
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

# Name, default, meaning.
TOPICS = (
    ("image", "/camera/image_raw", "topic of the images"),
    ("camera_info", "/camera/camera_info", "topic of the camera info that goes with them"),
)
# Parameters that a launch sets more often than a file; empty leaves them to the file.
PARAMETERS = (
    ("bundle", "", "name of an embedded bundle, or path of a bundle folder"),
    ("reference_points", "", "'column,row,metres column,row,metres': relative models only"),
)
ARGUMENTS = (
    *TOPICS,
    *PARAMETERS,
    ("namespace", "camera_depth", "namespace of the topics that are published"),
    ("params_file", "", "YAML file with parameters; empty takes config/depth.yaml of this package"),
)


def generate_launch_description() -> Any:
    """What `ros2 launch` runs."""
    # ROS is imported here, so that this file can be looked at without it.
    launch, actions = importlib.import_module("launch"), importlib.import_module("launch.actions")
    declared = [
        actions.DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in ARGUMENTS
    ]
    return launch.LaunchDescription([*declared, actions.OpaqueFunction(function=start_node)])


def start_node(context: Any) -> list[Any]:
    """The node with the arguments as they were given."""
    given = {name: context.launch_configurations[name] for name, _, _ in ARGUMENTS}
    share = importlib.import_module("ament_index_python.packages").get_package_share_directory("pixio_edge_ros")
    params_file = given["params_file"] or str(Path(share) / "config" / "depth.yaml")
    # As text: launch would read a bundle called 8 as a number.
    text = importlib.import_module("launch_ros.parameter_descriptions").ParameterValue
    overrides = {name: text(given[name], value_type=str) for name, _, _ in PARAMETERS if given[name]}
    node = importlib.import_module("launch_ros.actions").Node(
        package="pixio_edge_ros",
        executable="depth_node",
        name="depth_node",
        namespace=given["namespace"],
        output="screen",
        parameters=[params_file, overrides] if overrides else [params_file],
        remappings=[(name, given[name]) for name, _, _ in TOPICS],
    )
    return [node]
