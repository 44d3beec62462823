"""TensorRT without a GPU: engines that ONNX Runtime computes, in the memory and streams of `fake_cuda`.

Has what a runtime needs of the Python API of TensorRT 10 and 11: `Runtime`, engines, execution contexts, the inspector.
Refuses what the real one refuses or punishes: engines of another version or GPU, missing addresses, addresses that are
not device memory, recording before a first execution, the default stream, a context that outlives its engine.
"""

from __future__ import annotations

import base64
import enum
import json
import weakref
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime

from tests.fake_cuda import DEFAULT_STREAMS, FakeCuda, ProtocolError, Work

MAGIC = b"FAKE-ENGINE:"
ELEMENT_TYPES = {onnx.TensorProto.UINT8: "UINT8", onnx.TensorProto.FLOAT: "FLOAT", onnx.TensorProto.FLOAT16: "HALF"}
NUMPY_TYPES = {"UINT8": np.uint8, "FLOAT": np.float32, "HALF": np.float16}


class Severity(enum.IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class DataType(enum.Enum):
    FLOAT = 0
    HALF = 1
    INT8 = 2
    INT32 = 3
    BOOL = 4
    UINT8 = 5


class TensorIOMode(enum.Enum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class LayerInformationFormat(enum.Enum):
    ONELINE = 0
    JSON = 1


class ILogger:
    Severity = Severity

    def __init__(self) -> None:
        self.is_constructed = True

    def log(self, severity: Severity, message: str) -> None:
        """Overridden by the program."""


def layer(kind: str, datatype: str, *, name: str = "layer") -> dict[str, Any]:
    """A layer as the inspector of TensorRT 10 shows it at detailed verbosity."""
    tensor = {"Name": "x", "Dimensions": [1], "Format/Datatype": datatype}
    return {"Name": name, "LayerType": kind, "Inputs": [tensor], "Outputs": [tensor]}


# What became of the two convolutions of a tiny graph.
LAYERS = (layer("CaskConvolution", "Channel major FP16 format where channel % 8 == 0"), layer("conv", "Half"))


def make_engine(
    model: onnx.ModelProto, *, version: str = "10.3.0", sm: str = "8.7", layers: tuple[Any, ...] = LAYERS
) -> bytes:
    """Serialise an engine."""
    graph = base64.b64encode(model.SerializeToString()).decode()
    return MAGIC + json.dumps({"version": version, "sm": sm, "graph": graph, "layers": list(layers)}).encode()


def fake_tensorrt(cuda: FakeCuda, name: str = "tensorrt", version: str = "10.3.0") -> Any:
    """The module. `module.refusals` maps "runtime", "engine", "context" and "execution" to an error it shall log."""
    module: Any = ModuleType(name)
    module.__version__ = version
    module.cuda = cuda
    module.refusals = {}
    module.executions = 0
    for item in (ILogger, DataType, TensorIOMode, LayerInformationFormat):
        setattr(module, item.__name__, item)

    class Runtime(FakeRuntime):
        def __init__(self, logger: Any) -> None:
            super().__init__(module, logger)

    module.Runtime = Runtime
    return module


class FakeRuntime:
    def __init__(self, module: Any, logger: Any) -> None:
        if not isinstance(logger, ILogger) or not logger.is_constructed:
            raise ProtocolError("a logger that is none")
        self.module, self.logger = module, logger
        self._engines: weakref.WeakSet[FakeEngine] = weakref.WeakSet()
        if self.refuses("runtime"):
            raise TypeError("pybind11::init(): factory function returned nullptr")

    def refuses(self, what: str) -> bool:
        message = self.module.refusals.get(what)
        if message is not None:
            self.logger.log(Severity.ERROR, message)
        return message is not None

    def deserialize_cuda_engine(self, data: bytes) -> FakeEngine | None:
        if self.refuses("engine"):
            return None
        if not data.startswith(MAGIC):
            self.logger.log(Severity.ERROR, "Serialization assertion header.magicTag == kEXPECTED_MAGIC_TAG failed.")
            return None
        content = json.loads(data[len(MAGIC) :])
        major, minor = self.module.cuda.gpus[self.module.cuda.current][1]
        if content["version"] != self.module.__version__:
            self.logger.log(Severity.ERROR, "Error Code 1: Serialization (Version tag does not match. Note: …)")
            return None
        if content["sm"] != f"{major}.{minor}":
            self.logger.log(
                Severity.ERROR,
                f"engine plan file is generated on an incompatible device, expecting compute {major}.{minor}",
            )
            return None
        engine = FakeEngine(self, content)
        self._engines.add(engine)
        return engine

    def __del__(self) -> None:
        if list(getattr(self, "_engines", ())):
            self.module.cuda.violations.append("the runtime went before its engine")


@dataclass(frozen=True)
class Tensor:
    name: str
    mode: TensorIOMode
    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        return int(np.prod(self.shape)) * np.dtype(NUMPY_TYPES[self.dtype]).itemsize


class FakeEngine:
    def __init__(self, runtime: FakeRuntime, content: dict[str, Any]) -> None:
        self.module, self._logger = runtime.module, runtime.logger
        model = onnx.ModelProto.FromString(base64.b64decode(content["graph"]))
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        self.layers = content["layers"]
        self.device = self.module.cuda.current
        sides = ((model.graph.input, TensorIOMode.INPUT), (model.graph.output, TensorIOMode.OUTPUT))
        self.tensors = [_tensor(value, mode) for values, mode in sides for value in values]
        self._contexts: weakref.WeakSet[FakeContext] = weakref.WeakSet()

    @property
    def num_io_tensors(self) -> int:
        return len(self.tensors)

    def get_tensor_name(self, index: int) -> str:
        return self.tensors[index].name

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return self._find(name).mode

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._find(name).shape

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType[self._find(name).dtype]

    def create_execution_context(self) -> FakeContext | None:
        message = self.module.refusals.get("context")
        if message is not None:
            self._logger.log(Severity.ERROR, message)
            return None
        context = (
            RtxContext(self, self._logger)
            if self.module.__name__ == "tensorrt_rtx"
            else FakeContext(self, self._logger)
        )
        self._contexts.add(context)
        return context

    def create_engine_inspector(self) -> FakeInspector:
        return FakeInspector(self.layers)

    def _find(self, name: str) -> Tensor:
        return next(tensor for tensor in self.tensors if tensor.name == name)

    def __del__(self) -> None:
        if list(getattr(self, "_contexts", ())):
            self.module.cuda.violations.append("the engine went before its context")


class FakeInspector:
    def __init__(self, layers: list[Any]) -> None:
        self._layers = layers

    def get_engine_information(self, kind: LayerInformationFormat) -> str:
        return json.dumps({"Layers": self._layers, "Bindings": []})


class FakeContext:
    def __init__(self, engine: FakeEngine, logger: Any) -> None:
        self._engine, self._logger = weakref.ref(engine), logger
        self._cuda: FakeCuda = engine.module.cuda
        self._module = engine.module
        self._addresses: dict[str, int] = {}
        self._has_executed = False

    def set_tensor_address(self, name: str, address: int) -> bool:
        if self._engine()._find(name) is None or not isinstance(address, int):
            return False
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        engine = self._engine()
        if engine is None:
            raise ProtocolError("context used after its engine")
        if stream_handle in DEFAULT_STREAMS:
            raise ProtocolError("executed in a default stream")
        message = self._module.refusals.get("execution")
        if message is not None or set(self._addresses) != {tensor.name for tensor in engine.tensors}:
            self._logger.log(Severity.ERROR, message or "not all tensor addresses are set")
            return False
        if self._cuda.is_recording(stream_handle):
            if not self._has_executed:
                raise ProtocolError("recorded before a first execution")
            if "recording" in self._module.refusals:
                self._cuda.spoil(stream_handle)
        self._has_executed = True
        memory = {t.name: self._cuda.find(self._addresses[t.name], t.bytes, "device") for t in engine.tensors}
        if any(found.device != engine.device for found in memory.values()):
            raise ProtocolError("memory of another device")
        addresses, tensors, session = dict(self._addresses), engine.tensors, engine.session
        # The real engine and context are not kept alive by work in a stream or in a graph, so neither are these.
        context, module = weakref.ref(self), self._module

        def compute() -> None:
            if context() is None:
                raise ProtocolError("context released before its work was done")
            module.executions += 1
            views = {tensor.name: _view(memory[tensor.name], addresses[tensor.name], tensor) for tensor in tensors}
            feeds = {t.name: views[t.name] for t in tensors if t.mode is TensorIOMode.INPUT}
            names = [t.name for t in tensors if t.mode is TensorIOMode.OUTPUT]
            for name, value in zip(names, session.run(names, feeds), strict=True):
                views[name][...] = value

        self._cuda.enqueue(stream_handle, Work(compute, tuple(memory.values())))
        return True


class RtxContext(FakeContext):
    def is_stream_capturable(self, stream: int) -> bool:
        return "recording" not in self._module.refusals


def _tensor(value: onnx.ValueInfoProto, mode: TensorIOMode) -> Tensor:
    shape = tuple(side.dim_value if side.HasField("dim_value") else -1 for side in value.type.tensor_type.shape.dim)
    return Tensor(value.name, mode, shape, ELEMENT_TYPES[value.type.tensor_type.elem_type])


def _view(memory: Any, address: int, tensor: Tensor) -> np.ndarray:
    raw = memory.data[address - memory.address :][: tensor.bytes]
    return raw.view(NUMPY_TYPES[tensor.dtype]).reshape(tensor.shape)
