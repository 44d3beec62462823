"""Parameters of the node."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from pixio_edge.errors import InputError
from pixio_edge_ros.metres import MetreRule, parse_points

DESCRIPTIONS = {
    "bundle": "Name of an embedded bundle, or path of a bundle folder.",
    "runtime": "tensorrt, ort, openvino…; empty takes the best that is usable on this host.",
    "precision": "fp32, fp16, bf16 or int8; empty takes the bundle's.",
    "reference_points": "'column,row,metres column,row,metres …': pixels whose distance never changes. Every frame "
    "of a relative model is fitted to them.",
    "scale": "Relative models: 1 / metres = scale * value + shift in every frame; 0 is none.",
    "shift": "Relative models: see scale, in 1/m.",
    "max_depth_m": "What lies beyond is infinite in depth and absent from points, in metres.",
    "cloud_stride": "The cloud has every so many-th row and column.",
    "is_rectified": "Whether the image topic is rectified: its camera is P of the camera info, else K.",
    "is_reliable": "Whether to publish reliably instead of best effort, e.g. for RViz over a wire.",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Values of all parameters; `DESCRIPTIONS` says what they mean.

    Raises:
        InputError: A value is out of range.
    """

    bundle: str = "nano"
    runtime: str = ""
    precision: str = ""
    reference_points: str = ""
    scale: float = 0.0
    shift: float = 0.0
    max_depth_m: float = 20.0
    cloud_stride: int = 4
    is_rectified: bool = False
    is_reliable: bool = False

    def __post_init__(self) -> None:
        if self.cloud_stride < 1:
            raise InputError(f"cloud_stride: got {self.cloud_stride}, expected at least 1. Fix: use 4")
        if self.shift and not self.scale:
            raise InputError(f"shift: got {self.shift} without a scale, expected both. Fix: give scale too")
        if self.precision not in {"", "fp32", "fp16", "bf16", "int8"}:
            raise InputError(
                f"precision: got {self.precision!r}, expected fp32, fp16, bf16, int8 or nothing. Fix: leave it empty"
            )

    @classmethod
    def declare(cls, node: Any, descriptor: Any) -> Settings:
        """Declare the parameters on a node and read them; they cannot be changed while the node runs.

        Args:
            node: rclpy node.
            descriptor: rcl_interfaces/msg/ParameterDescriptor.

        Raises:
            InputError: A value is out of range.
        """
        values = {}
        for field in fields(cls):
            meaning = descriptor(description=DESCRIPTIONS[field.name], read_only=True)
            values[field.name] = node.declare_parameter(field.name, field.default, meaning).value
        return cls(**values)

    def metre_rule(self) -> MetreRule:
        """How depth becomes metres.

        Raises:
            InputError: The parameters contradict each other.
        """
        return MetreRule(
            scale=self.scale or None,
            shift=self.shift,
            points=parse_points(self.reference_points),
            max_depth_m=self.max_depth_m,
        )
