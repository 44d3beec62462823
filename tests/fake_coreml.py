"""Core ML itself, imitated below coremltools: everything above the native library is the real coremltools.

Packages run in the MIL interpreter. As strict as the native library, whose source is in apple/coremltools
(coremlpython/CoreMLPythonUtils.mm): an image is a PIL image of mode RGB and of a size that the package takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from coremltools.models import compute_device, compute_plan
from PIL import Image

from pixio_edge.export.coreml.interpreter import MilInterpreter, load_program
from pixio_edge.runtimes.coreml import CoreMlRuntime

NEWEST_SPECIFICATION = 9
INTERRUPTION_S = 9.0
DEVICES = {
    "cpu": compute_device.MLCPUComputeDevice,
    "gpu": compute_device.MLGPUComputeDevice,
    "ne": compute_device.MLNeuralEngineComputeDevice,
}
HOMES = {"CPU_AND_NE": "ne", "CPU_AND_GPU": "gpu", "ALL": "ne", "CPU_ONLY": "cpu"}


@cache
def interpreter_of(package: str) -> MilInterpreter:
    return MilInterpreter(load_program(Path(package)))


@cache
def depth_of(package: str, pixels: bytes, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Computed once for each image, as choosing a unit predicts the same one many times."""
    interpreter = interpreter_of(package)
    image = np.frombuffer(pixels, np.uint8).reshape(1, *size, 3)
    return interpreter.run({interpreter.program.inputs[0].name: image})


@dataclass
class FakeCoreMl:
    """What the imitation does and what was asked of it.

    Args:
        seconds: How long a prediction takes on each unit, on the clock that `now` reads.
        broken: Units on which loading fails, with Core ML's message.
        failing: Units on which predictions fail, with Core ML's message.
        infinite: Units on which depth is infinite.
        elsewhere: Device on which an operation runs whatever the unit, by its type.
        has_plan: Whether the system tells where operations run.
        loaded: Units that were loaded, in order.
        interruptions: Predictions, counted from 0, that take `INTERRUPTION_S` longer.
        clock: Time in seconds.
        predictions: How many there were.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    failing: Mapping[str, str] = field(default_factory=dict)
    infinite: frozenset[str] = frozenset()
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    has_plan: bool = True
    loaded: list[str] = field(default_factory=list)
    interruptions: set[int] = field(default_factory=set)
    clock: float = 0.0
    predictions: int = 0

    def now(self) -> float:
        return self.clock

    def install(self, monkeypatch: pytest.MonkeyPatch, *, with_clock: bool = False) -> None:
        """Put the imitation under coremltools, make this system look like macOS, and forget what was measured."""
        proxy = self.make_proxy()
        monkeypatch.setattr("coremltools.models.model._MLModelProxy", proxy)
        monkeypatch.setattr("coremltools.models.compute_plan._MLModelProxy", proxy)
        monkeypatch.setattr("pixio_edge.runtimes.coreml.platform.system", lambda: "Darwin")
        monkeypatch.setattr(CoreMlRuntime, "_measured", {})
        if with_clock:
            monkeypatch.setattr("pixio_edge.runtimes.coreml.perf_counter", self.now)

    def make_proxy(self) -> type:
        """The native class that coremltools calls, bound to this imitation."""
        fake = self

        class Proxy:
            def __init__(self, package: str, unit: str, function: str, hints: dict[str, str], asset: None) -> None:
                assert (function, hints, asset) == ("", {}, None)
                assert unit in HOMES
                fake.loaded.append(unit)
                if unit in fake.broken:
                    raise RuntimeError(fake.broken[unit])
                self.unit, self.package = unit, package

            @staticmethod
            def maximum_supported_specification_version() -> int:
                return NEWEST_SPECIFICATION

            def predict(self, features: dict[str, Any], state: None) -> dict[str, Any]:
                assert state is None
                return fake.predict(self.package, self.unit, features)

            def get_compiled_model_path(self) -> str:
                return self.package.replace(".mlpackage", ".mlmodelc")

            @staticmethod
            def get_compute_plan(path: str, unit: str) -> Any:
                return fake.plan(path, unit)

        return Proxy

    def predict(self, package: str, unit: str, features: dict[str, Any]) -> dict[str, Any]:
        self.clock += self.seconds.get(unit, 0.001) + INTERRUPTION_S * (self.predictions in self.interruptions)
        self.predictions += 1
        if unit in self.failing:
            raise RuntimeError(self.failing[unit])
        interpreter = interpreter_of(package)
        (feature,) = interpreter.program.inputs
        image = features[feature.name]
        if not isinstance(image, Image.Image) or image.mode != "RGB":
            raise RuntimeError("value type not convertible")
        if (image.height, image.width) not in (feature.sizes or (feature.shape[1:3],)):
            raise RuntimeError(f"Image size {image.width} x {image.height} not in allowed set of image sizes")
        outputs = depth_of(package, image.tobytes(), (image.height, image.width))
        if unit in self.infinite:
            outputs = {name: np.full_like(array, np.inf) for name, array in outputs.items()}
        return {feature.name: self.native(feature, outputs[feature.name]) for feature in interpreter.program.outputs}

    @staticmethod
    def native(feature: Any, array: np.ndarray) -> Any:
        """As the native library hands it out: an image in a PIL image of mode F, an array in its own type."""
        return Image.fromarray(array[0].copy()) if feature.layout else array.astype(feature.dtype)

    def plan(self, path: str, unit: str) -> Any:
        if not self.has_plan:
            raise ValueError("MLComputePlan is not supported.")
        program = load_program(Path(path.replace(".mlmodelc", ".mlpackage")))
        operations = [self.describe(operation) for operation in program.function.operations]
        block = compute_plan.MLModelStructureProgramBlock([], operations, [])
        functions = {"main": compute_plan.MLModelStructureProgramFunction([], block)}
        structure = compute_plan.MLModelStructure(None, compute_plan.MLModelStructureProgram(functions), None)
        return SimpleNamespace(
            model_structure=structure,
            get_compute_device_usage_for_mlprogram_operation=lambda operation: self.usage(operation, unit),
        )

    @staticmethod
    def describe(operation: Any) -> Any:
        prefix = "" if operation.op_type == "const" else "ios16."
        value_type = compute_plan.MLModelStructureProgramValueType()
        outputs = [
            compute_plan.MLModelStructureProgramNamedValueType(variable.name, value_type)
            for variable in operation.outputs
        ]
        return compute_plan.MLModelStructureProgramOperation({}, prefix + operation.op_type, outputs, [], None)

    def usage(self, operation: Any, unit: str) -> Any:
        if operation.operator_name == "const":
            return None
        name = self.elsewhere.get(operation.operator_name.rpartition(".")[2], HOMES[unit])
        device = object.__new__(DEVICES[name])
        return compute_plan.MLComputePlanDeviceUsage(device, [device])
