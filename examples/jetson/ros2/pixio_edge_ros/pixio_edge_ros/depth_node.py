"""The node: image and camera info in, depth image and point cloud out."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from pixio_edge import DepthEstimator, DepthMap, PixioEdgeError
from pixio_edge_ros.camera_info import CameraInfoMessage, intrinsics_of, is_distorted
from pixio_edge_ros.cloud_message import fill_cloud, make_cloud
from pixio_edge_ros.image_message import ImageMessage, decode_image, fill_depth_image
from pixio_edge_ros.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixio_edge.manifest import Precision

REPORT_S = 5.0
"""Time between two log lines of one kind."""


@dataclass(frozen=True, slots=True)
class Ros:
    """What the node takes from ROS; tests put their own in its place."""

    rclpy: Any
    ended: type[BaseException]
    qos_profile: Any
    best_effort: Any
    reliable: Any
    keep_last: Any
    descriptor: Any
    image: Any
    camera_info: Any
    cloud: Any
    point_field: Any

    def newest(self, *, is_reliable: bool) -> Any:
        """Quality of service that holds one message: a newer one replaces it, and nothing queues up."""
        reliability = self.reliable if is_reliable else self.best_effort
        return self.qos_profile(history=self.keep_last, depth=1, reliability=reliability)


def load_ros() -> Ros:
    """Import ROS; needs its environment (`source /opt/ros/humble/setup.bash`)."""
    qos, messages = importlib.import_module("rclpy.qos"), importlib.import_module("sensor_msgs.msg")
    return Ros(
        rclpy=importlib.import_module("rclpy"),
        ended=importlib.import_module("rclpy.executors").ExternalShutdownException,
        qos_profile=qos.QoSProfile,
        best_effort=qos.ReliabilityPolicy.BEST_EFFORT,
        reliable=qos.ReliabilityPolicy.RELIABLE,
        keep_last=qos.HistoryPolicy.KEEP_LAST,
        descriptor=importlib.import_module("rcl_interfaces.msg").ParameterDescriptor,
        image=messages.Image,
        camera_info=messages.CameraInfo,
        cloud=messages.PointCloud2,
        point_field=messages.PointField,
    )


@dataclass(slots=True)
class Tally:
    """Frames since the last report, and how old the results were when they were published."""

    since_s: float
    frames: int = 0
    ages_s: list[float] = field(default_factory=list)


class DepthNode:
    """Subscribes and publishes; one frame is processed at a time, and only the newest waits.

    Args:
        node: rclpy node.
        ros: Message types and quality of service.
        estimator: Opened; stays owned by the caller.
        settings: Parameters of the node.

    Raises:
        InputError: The parameters contradict each other or the model.
    """

    def __init__(self, node: Any, ros: Ros, estimator: DepthEstimator, settings: Settings) -> None:
        self._node = node
        self._ros = ros
        self._estimator = estimator
        self._settings = settings
        self._rule = settings.metre_rule()
        self._camera_info: CameraInfoMessage | None = None
        self._tally = Tally(self._now_s())
        output = estimator.bundle.manifest.output
        obstacle = self._rule.require_for(output)
        if obstacle is not None:
            node.get_logger().warning(obstacle)
        out = ros.newest(is_reliable=settings.is_reliable)
        is_relative, has_metres = output.kind != "metric", obstacle is None
        self._inverse = node.create_publisher(ros.image, "inverse_depth", out) if is_relative else None
        self._depth = node.create_publisher(ros.image, "depth", out) if has_metres else None
        self._points = node.create_publisher(ros.cloud, "points", out) if has_metres else None
        # Best effort takes messages from reliable publishers too; the reverse would receive nothing, silently.
        newest = ros.newest(is_reliable=False)
        node.create_subscription(ros.camera_info, "camera_info", self.on_camera_info, newest)
        node.create_subscription(ros.image, "image", self.on_image, newest)

    def on_camera_info(self, message: CameraInfoMessage) -> None:
        """Keep the newest camera info: it does not change from frame to frame."""
        if self._camera_info is None and is_distorted(message) and not self._settings.is_rectified:
            self._node.get_logger().warning(
                "the camera has lens distortion and the image is raw: points are off towards the corners. Fix: "
                "subscribe to image_rect of image_proc and set is_rectified"
            )
        self._camera_info = message

    def on_image(self, message: ImageMessage) -> None:
        """Publish what somebody listens to; a frame that cannot be used is dropped and the reason logged."""
        if not any(map(_is_heard, (self._inverse, self._depth, self._points))):
            return
        try:
            rgb = decode_image(message)
            self._publish(message.header, rgb, self._estimator.predict(rgb))
        except PixioEdgeError as error:
            self._node.get_logger().error(str(error), throttle_duration_sec=REPORT_S)
            return
        self._count(message.header.stamp)

    def _publish(self, header: Any, rgb: NDArray[np.uint8], depth: DepthMap) -> None:
        if self._inverse is not None and _is_heard(self._inverse):
            self._publish_image(self._inverse, depth.values, header)
        if not any(map(_is_heard, (self._depth, self._points))):
            return
        depth_m = self._rule.to_metres(depth)
        if self._depth is not None and _is_heard(self._depth):
            self._publish_image(self._depth, depth_m, header)
        if self._points is not None and _is_heard(self._points):
            self._publish_points(self._points, depth_m, rgb, header)

    def _publish_image(self, publisher: Any, values: NDArray[np.float32], header: Any) -> None:
        message = self._ros.image()
        fill_depth_image(message, values, header)
        publisher.publish(message)

    def _publish_points(
        self, publisher: Any, depth_m: NDArray[np.float32], rgb: NDArray[np.uint8], header: Any
    ) -> None:
        info = self._camera_info
        if info is None:
            text = "points: no camera_info yet. Fix: remap camera_info to that of the camera, see ros2 topic list"
            self._node.get_logger().warning(text, throttle_duration_sec=REPORT_S)
            return
        size = (depth_m.shape[0], depth_m.shape[1])
        intrinsics = intrinsics_of(info, size, is_rectified=self._settings.is_rectified)
        limits = (self._settings.cloud_stride, self._settings.max_depth_m)
        cloud = make_cloud(depth_m, rgb, intrinsics, stride=limits[0], max_depth_m=limits[1])
        message = self._ros.cloud()
        fill_cloud(message, cloud, header, self._ros.point_field)
        publisher.publish(message)

    def _count(self, stamp: Any) -> None:
        """Log frames per second and age now and then; the age is by the stamp, so it includes camera and transport."""
        now_s, tally = self._now_s(), self._tally
        tally.frames += 1
        tally.ages_s.append(now_s - stamp.sec - stamp.nanosec * 1e-9)
        elapsed_s = now_s - tally.since_s
        if elapsed_s >= REPORT_S:
            age_ms = 1e3 * sum(tally.ages_s) / tally.frames
            rate = tally.frames / elapsed_s
            self._node.get_logger().info(f"{rate:.1f} fps, published {age_ms:.0f} ms after the stamp")
            self._tally = Tally(now_s)

    def _now_s(self) -> float:
        return float(self._node.get_clock().now().nanoseconds) * 1e-9


def main(args: list[str] | None = None) -> int:
    """Run the node until it is stopped; returns the exit status."""
    ros = load_ros()
    ros.rclpy.init(args=args)
    node = ros.rclpy.create_node("depth_node")
    try:
        settings = Settings.declare(node, ros.descriptor)
        with open_estimator(settings) as estimator:
            DepthNode(node, ros, estimator, settings)
            chosen = estimator.resolution
            node.get_logger().info(f"{settings.bundle}: {chosen.runtime}, {chosen.precision}")
            ros.rclpy.spin(node)
    except (KeyboardInterrupt, ros.ended):
        return 0
    except PixioEdgeError as error:
        node.get_logger().fatal(str(error))
        return error.exit_code
    finally:
        node.destroy_node()
        if ros.rclpy.ok():  # a signal has shut it down already
            ros.rclpy.shutdown()
    return 0


def open_estimator(settings: Settings) -> DepthEstimator:
    """Open what the parameters ask for.

    Raises:
        PixioEdgeError: The bundle is damaged, or cannot run as asked on this host.
    """
    precision = cast("Precision | None", settings.precision or None)
    return DepthEstimator.open(settings.bundle, runtime=settings.runtime or None, precision=precision)


def _is_heard(publisher: Any) -> bool:
    """Whether somebody subscribes to what is published."""
    return publisher is not None and publisher.get_subscription_count() > 0


if __name__ == "__main__":
    sys.exit(main())
