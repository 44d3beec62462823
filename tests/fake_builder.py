"""The builder side of TensorRT's Python API without TensorRT: parses ONNX, reports progress, gives bytes.

Takes what the real one takes and refuses what it refuses: networks that are not strongly typed, unknown compute
capabilities, a timing cache of another version, a second call into a builder that was cancelled.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from types import ModuleType
from typing import Any

import onnx
from fake_tensorrt import Severity

VERSION = "10.3.0"
STEPS = 20
TIMING_MAGIC = b"TIMES:"


class NetworkDefinitionCreationFlag(enum.IntEnum):
    EXPLICIT_BATCH = 0
    STRONGLY_TYPED = 1


class BuilderFlag(enum.Enum):
    TF32 = 7


class MemoryPoolType(enum.Enum):
    WORKSPACE = 0


class ProfilingVerbosity(enum.Enum):
    LAYER_NAMES_ONLY = 0
    DETAILED = 2


class ComputeCapability(enum.Enum):
    # As the binding, which has this beside the real ones.
    CURRENT = 1
    SM86 = 86
    SM120 = 120

    __members__: dict[str, ComputeCapability]


class ILogger:
    Severity = Severity

    def __init__(self) -> None:
        self.is_constructed = True


class IProgressMonitor:
    def __init__(self) -> None:
        self.is_constructed = True


def add_builder(module: Any, serialise: Callable[[onnx.ModelProto], bytes] | None = None) -> Any:
    """Give a fake module what building needs.

    Args:
        module: Has a version and a logger class.
        serialise: From a parsed graph to the bytes of an engine.

    Returns:
        The same module. `module.configs` are those of all builds; `module.problems` are the errors of the parser, each
        (node, operator, description); `module.on_step` is called in every step; `module.says` are messages of a build;
        `module.fails` makes builds give nothing; `module.has_gpu` lets builders be made.
    """
    module.configs, module.problems, module.says = [], [], []
    module.on_step, module.fails, module.has_gpu = (lambda: None), None, True
    module.serialise = serialise or (lambda model: b"engine of " + model.graph.name.encode())
    for item in (
        NetworkDefinitionCreationFlag,
        BuilderFlag,
        MemoryPoolType,
        ProfilingVerbosity,
        ComputeCapability,
        IProgressMonitor,
    ):
        setattr(module, item.__name__, item)

    class Builder(FakeBuilder):
        def __init__(self, logger: Any) -> None:
            super().__init__(module, logger)

    module.Builder, module.OnnxParser = Builder, FakeParser
    return module


def fake_builder_module(name: str = "tensorrt", version: str = VERSION) -> Any:
    """A module that builds and does not run."""
    module: Any = ModuleType(name)
    module.__version__, module.ILogger = version, ILogger
    return add_builder(module)


class FakeBuilder:
    def __init__(self, module: Any, logger: Any) -> None:
        if not module.has_gpu:
            logger.log(module.ILogger.Severity.ERROR, "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")
        self.module, self.logger = module, logger

    def create_network(self, flags: int) -> FakeNetwork:
        assert flags & (1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED), "weakly typed networks are gone"
        return FakeNetwork(self)

    def create_builder_config(self) -> FakeConfig:
        config = FakeConfig(self.module, self.logger)
        self.module.configs.append(config)
        return config

    def create_optimization_profile(self) -> FakeProfile:
        return FakeProfile()

    def build_serialized_network(self, network: FakeNetwork, config: FakeConfig) -> memoryview | None:
        monitor, module = config.progress_monitor, self.module
        assert monitor.is_constructed
        for severity, message in module.says:
            self.logger.log(severity, message)
        monitor.phase_start("Building engine", None, 2)
        monitor.phase_start("Timing tactics", "Building engine", STEPS)
        for step in range(STEPS):
            module.on_step()
            if not monitor.step_complete("Timing tactics", step):
                self.logger.log(module.ILogger.Severity.ERROR, "Error Code 7: BuildCanceled")
                return None
        monitor.phase_finish("Timing tactics")
        monitor.step_complete("Building engine", 0)
        monitor.phase_finish("Building engine")
        if module.fails is not None:
            self.logger.log(module.ILogger.Severity.ERROR, module.fails)
            return None
        assert network.model is not None
        if config.cache is not None:
            config.cache.content += b"+timed"
        return memoryview(module.serialise(network.model))


class FakeNetwork:
    def __init__(self, builder: FakeBuilder) -> None:
        self.builder = builder
        self.model: onnx.ModelProto | None = None


class FakeParser:
    def __init__(self, network: FakeNetwork, logger: Any) -> None:
        self._network = network

    @property
    def num_errors(self) -> int:
        return len(self._network.builder.module.problems)

    def get_error(self, index: int) -> FakeParserError:
        return FakeParserError(*self._network.builder.module.problems[index])

    def parse_from_file(self, path: str) -> bool:
        if self.num_errors:
            return False
        self._network.model = onnx.load(path)
        return True


class FakeParserError:
    def __init__(self, node: str, operator: str, description: str) -> None:
        self._values = node, operator, description

    def node_name(self) -> str:
        return self._values[0]

    def node_operator(self) -> str:
        return self._values[1]

    def desc(self) -> str:
        return self._values[2]


class FakeProfile:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple[tuple[int, ...], ...]] = {}

    def set_shape(
        self, name: str, minimum: tuple[int, ...], optimum: tuple[int, ...], maximum: tuple[int, ...]
    ) -> None:
        self.shapes[name] = (minimum, optimum, maximum)


class FakeTimingCache:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> memoryview:
        return memoryview(self.content)


class FakeConfig:
    def __init__(self, module: Any, logger: Any) -> None:
        self._module, self._logger = module, logger
        self.builder_optimization_level = 3
        self.profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
        self.progress_monitor: Any = None
        self.num_compute_capabilities = 0
        self.pools: dict[MemoryPoolType, int] = {}
        self.flags: list[BuilderFlag] = []
        self.profiles: list[FakeProfile] = []
        self.capabilities: list[ComputeCapability] = []
        self.cache: FakeTimingCache | None = None

    def set_memory_pool_limit(self, pool: MemoryPoolType, size: int) -> None:
        self.pools[pool] = size

    def set_flag(self, flag: BuilderFlag) -> None:
        self.flags.append(flag)

    def add_optimization_profile(self, profile: FakeProfile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def set_compute_capability(self, capability: ComputeCapability, index: int) -> bool:
        assert index < self.num_compute_capabilities
        self.capabilities.append(capability)
        return True

    def create_timing_cache(self, content: bytes) -> FakeTimingCache | None:
        header = TIMING_MAGIC + self._module.__version__.encode()
        if not content:
            return FakeTimingCache(header)
        return FakeTimingCache(content) if content.startswith(TIMING_MAGIC) else None

    def set_timing_cache(self, cache: FakeTimingCache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        if not cache.content.startswith(TIMING_MAGIC + self._module.__version__.encode()):
            self._logger.log(self._module.ILogger.Severity.ERROR, "Error Code 1: timing cache of another version")
            return False
        self.cache = cache
        return True
