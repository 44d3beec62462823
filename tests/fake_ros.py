"""The part of ROS 2 that the node of examples/jetson uses, with the checks that its generated messages make.

Message classes of rclpy have slots, assert the type of every field, and take arrays of bytes as `array('B')`: `bytes`
are looked at one by one, which costs a second for a picture.
"""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar


@dataclass(slots=True)
class Stamp:
    sec: int = 0
    nanosec: int = 0


@dataclass(slots=True)
class Header:
    stamp: Stamp = field(default_factory=Stamp)
    frame_id: str = ""


class Checked:
    """Fields with types, as generated messages have them."""

    __slots__ = ()
    TYPES: ClassVar[dict[str, type]] = {}

    def __setattr__(self, name: str, value: object) -> None:
        expected = self.TYPES[name]
        assert type(value) is expected, f"{name} is {type(value).__name__}, expected {expected.__name__}"
        object.__setattr__(self, name, value)

    def __init__(self) -> None:
        for name, kind in self.TYPES.items():
            setattr(self, name, array("B") if kind is array else kind())


class Image(Checked):
    TYPES: ClassVar[dict[str, type]] = {
        "header": Header,
        "height": int,
        "width": int,
        "encoding": str,
        "is_bigendian": int,
        "step": int,
        "data": array,
    }
    __slots__ = tuple(TYPES)


class PointCloud2(Checked):
    TYPES: ClassVar[dict[str, type]] = {
        "header": Header,
        "height": int,
        "width": int,
        "fields": list,
        "is_bigendian": bool,
        "point_step": int,
        "row_step": int,
        "data": array,
        "is_dense": bool,
    }
    __slots__ = tuple(TYPES)


@dataclass(slots=True, kw_only=True)
class PointField:
    name: str
    offset: int
    datatype: int
    count: int


def region(**values: int) -> SimpleNamespace:
    return SimpleNamespace(**({"x_offset": 0, "y_offset": 0, "height": 0, "width": 0} | values))


def make_info(size: tuple[int, int], **changes: Any) -> SimpleNamespace:
    """A calibrated camera: K of a raw image, P of a rectified one with another focal length."""
    height, width = size
    values = {
        "height": height,
        "width": width,
        "d": [0.0] * 5,
        "k": [50.0, 0.0, 20.0, 0.0, 60.0, 15.0, 0.0, 0.0, 1.0],
        "p": [40.0, 0.0, 21.0, 0.0, 0.0, 45.0, 16.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "binning_x": 0,
        "binning_y": 0,
        "roi": region(),
    }
    return SimpleNamespace(**(values | changes))


def make_image(rows: bytes, *, size: tuple[int, int], encoding: str, step: int, is_bigendian: int = 0) -> Image:
    """An image as a driver sends it."""
    message = Image()
    message.header = Header(Stamp(12, 345), "camera_optical_frame")
    message.height, message.width = size
    message.encoding, message.step, message.is_bigendian = encoding, step, is_bigendian
    message.data = array("B", rows)
    return message


class Publisher:
    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.listeners = 1

    def publish(self, message: object) -> None:
        self.sent.append(message)

    def get_subscription_count(self) -> int:
        return self.listeners


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda text, **options: self.lines.append((level, text))

    def of(self, level: str) -> list[str]:
        return [text for kind, text in self.lines if kind == level]


class Node:
    """What rclpy.create_node gives."""

    def __init__(self, parameters: dict[str, object] | None = None) -> None:
        self.parameters = parameters or {}
        self.declared: dict[str, Any] = {}
        self.publishers: dict[str, Publisher] = {}
        self.subscriptions: dict[str, tuple[type, Any, Any]] = {}
        self.qos: dict[str, Any] = {}
        self.log = Log()
        self.now_s = 100.0
        self.is_destroyed = False

    def declare_parameter(self, name: str, default: object, descriptor: Any) -> SimpleNamespace:
        self.declared[name] = descriptor
        value = self.parameters.get(name, default)
        assert type(value) is type(default), f"parameter {name}"
        return SimpleNamespace(value=value)

    def create_publisher(self, kind: type, topic: str, qos: Any) -> Publisher:
        self.qos[topic] = qos
        return self.publishers.setdefault(topic, Publisher())

    def create_subscription(self, kind: type, topic: str, callback: Any, qos: Any) -> None:
        self.qos[topic] = qos
        self.subscriptions[topic] = (kind, callback, qos)

    def receive(self, topic: str, message: object) -> None:
        self.subscriptions[topic][1](message)

    def get_logger(self) -> Log:
        return self.log

    def get_clock(self) -> SimpleNamespace:
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=int(self.now_s * 1e9)))

    def destroy_node(self) -> None:
        self.is_destroyed = True


class ExternalShutdownException(Exception):  # noqa: N818 - its name in rclpy
    pass


def make_modules(node: Node, spin: Any) -> dict[str, ModuleType]:
    """Modules to put into `sys.modules`.

    Args:
        node: What create_node gives.
        spin: What rclpy.spin does.
    """
    is_up = [False]

    def switch(value: bool) -> None:
        is_up[0] = value

    contents = {
        "rclpy": {
            "init": lambda args=None: switch(True),
            "shutdown": lambda: switch(False),
            "ok": lambda: is_up[0],
            "create_node": lambda name: node,
            "spin": spin,
        },
        "rclpy.qos": {
            "QoSProfile": SimpleNamespace,
            "ReliabilityPolicy": SimpleNamespace(BEST_EFFORT="best effort", RELIABLE="reliable"),
            "HistoryPolicy": SimpleNamespace(KEEP_LAST="keep last"),
        },
        "rclpy.executors": {"ExternalShutdownException": ExternalShutdownException},
        "rcl_interfaces": {},
        "rcl_interfaces.msg": {"ParameterDescriptor": SimpleNamespace},
        "sensor_msgs": {},
        "sensor_msgs.msg": {
            "Image": Image,
            "CameraInfo": SimpleNamespace,
            "PointCloud2": PointCloud2,
            "PointField": PointField,
        },
    }
    modules = {}
    for name, values in contents.items():
        modules[name] = ModuleType(name)
        vars(modules[name]).update(values)
    return modules


def is_loaded() -> bool:
    """Whether anything of ROS was imported for real."""
    return any(name.partition(".")[0] in {"rclpy", "sensor_msgs", "launch"} for name in sys.modules)
