"""The ROS 2 node of the Jetson example, run with a real bundle and with messages as rclpy makes them."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import fake_ros
import numpy as np
import pytest
from fake_ros import Node, make_image, make_info
from jetson_example import ROS_PACKAGE, load_example, load_launch_file
from tiny_bundle import tiny_image, write_tiny_bundle

from pixio_edge.depth import DepthMap
from pixio_edge.estimator import DepthEstimator

depth_node = load_example("pixio_edge_ros.depth_node")
settings_module = load_example("pixio_edge_ros.settings")

SIZE = (32, 48)
POINTS = "2,3,4.0 40,20,1.0"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    write_tiny_bundle(folder)
    return folder


def frame(seed: int = 0, *, encoding: str = "rgb8") -> fake_ros.Image:
    return make_image(tiny_image(SIZE, seed).tobytes(), size=SIZE, encoding=encoding, step=SIZE[1] * 3)


def points_for(bundle: Path) -> str:
    """A near and a far pixel of `frame()`, whatever the random network makes of it."""
    with DepthEstimator.open(str(bundle)) as estimator:
        values = estimator.predict(tiny_image(SIZE)).values
    near, far = (np.unravel_index(index, values.shape) for index in (values.argmax(), values.argmin()))
    return f"{near[1]},{near[0]},1.0 {far[1]},{far[0]},8.0"


def run_node(monkeypatch: pytest.MonkeyPatch, node: Node, spin: Any) -> int:
    """`ros2 run pixio_edge_ros depth_node` up to the exit status; `spin` plays the other nodes."""

    def spin_once(spun: Node) -> None:
        spin(spun)
        raise fake_ros.ExternalShutdownException

    for name, module in fake_ros.make_modules(node, spin_once).items():
        monkeypatch.setitem(sys.modules, name, module)
    return depth_node.main()


def test_relative_model_with_points_publishes_metres_and_a_cloud(monkeypatch: pytest.MonkeyPatch, bundle: Path) -> None:
    node = Node({"bundle": str(bundle), "reference_points": points_for(bundle), "cloud_stride": 2})

    def spin(spun: Node) -> None:
        spun.receive("camera_info", make_info(SIZE))
        spun.receive("image", frame())

    assert run_node(monkeypatch, node, spin) == 0

    (depth,) = node.publishers["depth"].sent
    (cloud,) = node.publishers["points"].sent
    (inverse,) = node.publishers["inverse_depth"].sent
    depth_m = np.frombuffer(depth.data, np.float32).reshape(SIZE)
    values = np.frombuffer(inverse.data, np.float32).reshape(SIZE)
    assert depth_m.flat[values.argmax()] == pytest.approx(1.0, rel=1e-4)
    assert depth_m.flat[values.argmin()] == pytest.approx(8.0, rel=1e-4)
    assert cloud.width == 16 * 24
    assert depth.header == cloud.header == frame().header
    assert node.is_destroyed
    assert not sys.modules["rclpy"].ok()


def test_cloud_of_the_node_is_the_depth_seen_through_its_camera(monkeypatch: pytest.MonkeyPatch, bundle: Path) -> None:
    node = Node({"bundle": str(bundle), "reference_points": points_for(bundle), "cloud_stride": 1})

    def spin(spun: Node) -> None:
        spun.receive("camera_info", make_info(SIZE))
        spun.receive("image", frame())

    run_node(monkeypatch, node, spin)

    depth_m = np.frombuffer(node.publishers["depth"].sent[0].data, np.float32).reshape(SIZE)
    records = np.frombuffer(node.publishers["points"].sent[0].data, "f4, f4, f4, u4")
    row, column = 7, 11
    x, y, z, rgb = records[row * SIZE[1] + column]
    red, green, blue = tiny_image(SIZE)[row, column].astype(int)
    assert z == depth_m[row, column]
    assert x == pytest.approx((column - 20) / 50 * z, rel=1e-5)
    assert y == pytest.approx((row - 15) / 60 * z, rel=1e-5)
    assert rgb == red << 16 | green << 8 | blue


def test_relative_model_without_scale_publishes_no_metres_and_says_why(
    monkeypatch: pytest.MonkeyPatch, bundle: Path
) -> None:
    node = Node({"bundle": str(bundle)})

    assert run_node(monkeypatch, node, lambda spun: spun.receive("image", frame())) == 0

    assert set(node.publishers) == {"inverse_depth"}
    assert len(node.publishers["inverse_depth"].sent) == 1
    assert any("no unit" in line and "Fix: parameter reference_points" in line for line in node.log.of("warning"))


class MetricEstimator:
    """A model in metres; only what the node asks of an estimator."""

    bundle = SimpleNamespace(manifest=SimpleNamespace(output=SimpleNamespace(kind="metric")))

    def predict(self, rgb: np.ndarray) -> DepthMap:
        return DepthMap(np.full(rgb.shape[:2], 2.5, np.float32), kind="metric", unit="m")


def make_ros(node: Node) -> Any:
    modules = fake_ros.make_modules(node, None)
    messages, qos = modules["sensor_msgs.msg"], modules["rclpy.qos"]
    return depth_node.Ros(
        rclpy=modules["rclpy"],
        ended=fake_ros.ExternalShutdownException,
        qos_profile=qos.QoSProfile,
        best_effort="best effort",
        reliable="reliable",
        keep_last="keep last",
        descriptor=SimpleNamespace,
        image=messages.Image,
        camera_info=messages.CameraInfo,
        cloud=messages.PointCloud2,
        point_field=messages.PointField,
    )


def make_node(**parameters: object) -> Node:
    """A node with a metric model."""
    node = Node()
    depth_node.DepthNode(node, make_ros(node), MetricEstimator(), settings_module.Settings(**parameters))
    return node


def test_metric_model_publishes_its_metres_without_any_scale() -> None:
    node = make_node()
    node.receive("camera_info", make_info(SIZE))

    node.receive("image", frame())

    assert set(node.publishers) == {"depth", "points"}
    assert set(np.frombuffer(node.publishers["depth"].sent[0].data, np.float32)) == {2.5}
    assert node.log.of("warning") == []


def test_scale_for_a_metric_model_ends_the_node_with_its_reason() -> None:
    node = Node()

    with pytest.raises(depth_node.PixioEdgeError, match="gives metres"):
        depth_node.DepthNode(node, make_ros(node), MetricEstimator(), settings_module.Settings(scale=1.0))


def test_every_topic_holds_one_message_so_that_frames_are_dropped_and_not_queued() -> None:
    best_effort, reliable = make_node(), make_node(is_reliable=True)

    for topic, qos in (best_effort.qos | reliable.qos).items():
        assert (qos.depth, qos.history) == (1, "keep last"), topic
    assert set(best_effort.qos) == {"depth", "points", "camera_info", "image"}
    assert {qos.reliability for qos in best_effort.qos.values()} == {"best effort"}
    assert reliable.qos["depth"].reliability == "reliable"
    assert reliable.qos["image"].reliability == "best effort"


def test_nothing_is_predicted_while_nobody_listens() -> None:
    node = make_node()
    for publisher in node.publishers.values():
        publisher.listeners = 0

    node.receive("image", make_image(b"", size=SIZE, encoding="no picture at all", step=0))

    assert node.log.lines == []


def test_frame_that_cannot_be_used_is_dropped_and_the_next_one_is_not() -> None:
    node = make_node()

    node.receive("image", frame(encoding="bayer_rggb8"))
    node.receive("image", frame())

    assert len(node.publishers["depth"].sent) == 1
    assert any("bayer_rggb8" in line for line in node.log.of("error"))


def test_cloud_waits_for_a_camera_info_while_depth_is_published() -> None:
    node = make_node()

    node.receive("image", frame())

    assert len(node.publishers["depth"].sent) == 1
    assert node.publishers["points"].sent == []
    assert any("no camera_info yet" in line for line in node.log.of("warning"))


def test_camera_info_of_another_camera_drops_the_cloud_and_says_why() -> None:
    node = make_node()
    node.receive("camera_info", make_info((480, 640)))

    node.receive("image", frame())

    assert node.publishers["points"].sent == []
    assert any("for images of 640x480, got one of 48x32" in line for line in node.log.of("error"))


def test_distorted_raw_image_is_warned_of_once() -> None:
    raw, rectified = make_node(), make_node(is_rectified=True)

    for node in (raw, rectified):
        for _ in range(3):
            node.receive("camera_info", make_info(SIZE, d=[0.1, 0.0, 0.0, 0.0, 0.0]))

    assert len(raw.log.of("warning")) == 1
    assert rectified.log.of("warning") == []


def test_rate_and_age_are_logged_now_and_then() -> None:
    node = make_node()
    node.now_s = 112.0  # the stamp is 12.000000345

    node.receive("image", frame())

    (line,) = node.log.of("info")
    assert line == "0.1 fps, published 100000 ms after the stamp"


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"bundle": "no/such/folder"}, "no/such/folder"),
        ({"reference_points": "1,2"}, "column,row,metres"),
        ({"cloud_stride": 0}, "cloud_stride"),
        ({"shift": 1.0}, "without a scale"),
        ({"precision": "half"}, "precision"),
    ],
)
def test_bad_parameter_ends_the_node_with_one_line_and_status_2(
    monkeypatch: pytest.MonkeyPatch, bundle: Path, parameters: dict[str, object], reason: str
) -> None:
    node = Node({"bundle": str(bundle)} | parameters)

    assert run_node(monkeypatch, node, lambda spun: None) == 2

    (line,) = node.log.of("fatal")
    assert reason in line
    assert "Fix: " in line
    assert "\n" not in line


def test_every_parameter_is_described_and_in_the_file_of_defaults() -> None:
    node = Node()

    declared = settings_module.Settings.declare(node, SimpleNamespace)

    text = (ROS_PACKAGE / "config" / "depth.yaml").read_text(encoding="utf-8")
    in_file = dict(re.findall(r"^    (\w+): (.+)$", text, re.MULTILINE))
    assert set(in_file) == set(node.declared)
    assert all(item.read_only and item.description for item in node.declared.values())
    for name, value in in_file.items():
        default = getattr(declared, name)
        expected = {bool: str(default).lower(), str: default or '""'}.get(type(default), str(default))
        assert value == expected, name


def test_importing_the_package_needs_no_ros() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROS_PACKAGE)!r}); import pixio_edge_ros.depth_node; "
        "loaded = {'rclpy', 'sensor_msgs', 'launch', 'torch', 'onnxruntime'} & set(sys.modules); sys.exit(len(loaded))"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("given", [{}, {"bundle": "/my/bundle", "reference_points": POINTS, "params_file": "/my.yaml"}])
def test_launch_file_starts_the_node_with_what_was_given(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str]
) -> None:
    contents: dict[str, dict[str, object]] = {
        "launch": {"LaunchDescription": list},
        "launch.actions": {
            "DeclareLaunchArgument": lambda name, **values: SimpleNamespace(name=name, **values),
            "OpaqueFunction": SimpleNamespace,
        },
        "launch_ros": {},
        "launch_ros.actions": {"Node": SimpleNamespace},
        "launch_ros.parameter_descriptions": {"ParameterValue": lambda value, value_type: (value, value_type)},
        "ament_index_python": {},
        "ament_index_python.packages": {"get_package_share_directory": lambda name: f"/share/{name}"},
    }
    for name, values in contents.items():
        module = ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)

    *arguments, start = load_launch_file().generate_launch_description()
    configurations = {item.name: item.default_value for item in arguments} | given
    (node,) = start.function(SimpleNamespace(launch_configurations=configurations))

    assert (node.package, node.executable) == ("pixio_edge_ros", "depth_node")
    assert dict(node.remappings) == {"image": "/camera/image_raw", "camera_info": "/camera/camera_info"}
    assert node.parameters[0] == given.get("params_file", "/share/pixio_edge_ros/config/depth.yaml")
    overrides = {name: (given[name], str) for name in ("bundle", "reference_points") if name in given}
    assert node.parameters[1:] == ([overrides] if overrides else [])


def test_package_installs_what_ros_looks_for(tmp_path: Path) -> None:
    prefix = tmp_path / "install"
    source = tmp_path / "source"
    shutil.copytree(ROS_PACKAGE, source)
    # What colcon runs for a package of type ament_python.
    command = [sys.executable, "setup.py", "-q", "egg_info", "build", "install", "--prefix", str(prefix)]
    options = ["--single-version-externally-managed", "--record", str(tmp_path / "log")]
    subprocess.run([*command, *options], cwd=source, check=True, capture_output=True)

    script = (prefix / "lib" / "pixio_edge_ros" / "depth_node").read_text(encoding="utf-8")
    assert script.splitlines()[0] == "#!/usr/bin/env python3"
    share = prefix / "share"
    for name in ("package.xml", "launch/depth_launch.py", "config/depth.yaml"):
        assert (share / "pixio_edge_ros" / name).is_file(), name
    assert (share / "ament_index" / "resource_index" / "packages" / "pixio_edge_ros").is_file()


def test_package_description_says_the_same_in_its_three_files() -> None:
    description = ElementTree.parse(ROS_PACKAGE / "package.xml").getroot()
    setup = (ROS_PACKAGE / "setup.py").read_text(encoding="utf-8")
    config = configparser.ConfigParser()
    config.read(ROS_PACKAGE / "setup.cfg", encoding="utf-8")

    assert description.findtext("name") == "pixio_edge_ros"
    assert description.findtext("export/build_type") == "ament_python"
    assert f'version="{description.findtext("version")}"' in setup
    assert f'license="{description.findtext("license")}"' in setup
    assert config["install"]["install_scripts"] == config["develop"]["script_dir"] == "$base/lib/pixio_edge_ros"
