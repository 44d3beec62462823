"""One engine on one GPU: opened from its bytes, run from the host or on tensors of the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.runtimes.cuda import DeviceBuffer, Event, Graph, PinnedBuffer, Resource, Stream, on_device
from pixio_edge.runtimes.trt_library import collected_log, library_version, logger_of
from pixio_edge.tensor import TensorSpec

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    from pixio_edge.runtimes.cudart import Cudart
    from pixio_edge.runtimes.device_tensor import DeviceTensor
    from pixio_edge.runtimes.trt_library import LogLines

R = TypeVar("R", bound=Resource)
DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}
# Sets of device tensors of which a graph is kept: enough for a caller that turns three buffers over.
DEVICE_GRAPHS = 4
# What the library says when it cannot open an engine, as found in its messages, and what that means.
UNKNOWN_REFUSAL = "it is damaged, or built by another version or for another GPU"
REFUSALS = (
    (("magictag",), UNKNOWN_REFUSAL),  # goes on about a serialisation version, whatever is in the file
    (("serialization version", "version tag", "library version"), "it was built by another version"),
    (("incompatible device", "compute capability", "expecting compute"), "it was built for another GPU"),
    (("out of memory", "outofmemory", "cudaerror 2)"), "the GPU has not enough free memory for it"),
    (("cudaerror 35", "insufficient", "cudaerror 100", "no cuda-capable"), "there is no GPU with a driver that fits"),
)


class EngineSession:
    """Runs one engine in one stream, the whole inference recorded as one CUDA graph.

    After `prepare` an inference allocates nothing but the arrays that it returns. Not safe for concurrent use.

    Args:
        library: From `load_library`.
        cudart: From `load_cudart`.
        data: The serialised engine; hash it first, as opening it can execute what is in it.
        device: Number of the GPU.
        name: What it is, for messages, such as "artifact 'tensorrt-fp16-256x256'".

    Attributes:
        inputs: Inputs of the engine.
        outputs: Outputs of the engine.
        graph_refusal: Why inferences are not recorded as a CUDA graph; None if they are, or before `prepare`.

    Raises:
        RuntimeUnavailableError: The library cannot open the engine here; the message says in plain words why.
    """

    def __init__(self, library: ModuleType, cudart: Cudart, data: bytes, *, device: int, name: str) -> None:
        self._library, self._cudart, self._device, self._name = library, cudart, device, name
        self._runtime, self._engine = _deserialise(library, cudart, data, device, name)
        self._context: Any = None
        self._resources = ExitStack()
        self._stream: Any = None
        self._pinned: dict[str, PinnedBuffer] = {}
        self._buffers: dict[str, DeviceBuffer] = {}
        self._views: dict[str, NDArray[Any]] = {}
        self._graph: Graph | None = None
        self._device_graphs: dict[tuple[int, ...], Graph | None] = {}
        self.graph_refusal: str | None = None
        tensors = [_tensor(self._engine, index) for index in range(self._engine.num_io_tensors)]
        mode = library.TensorIOMode
        self.inputs = tuple(spec for spec, kind in tensors if kind == mode.INPUT)
        self.outputs = tuple(spec for spec, kind in tensors if kind == mode.OUTPUT)

    def prepare(self) -> None:
        """Allocate, run once on zeros, and record the inference.

        Raises:
            RuntimeUnavailableError: Not enough memory, or the engine does not execute here.
        """
        with on_device(self._cudart, self._device):
            self._stream = self._keep(Stream(self._cudart))
            self._before, self._after = (self._keep(Event(self._cudart)) for _ in range(2))
            for spec in self._specs:
                self._pinned[spec.name] = self._keep(PinnedBuffer(self._cudart, _size(spec)))
                self._buffers[spec.name] = self._keep(DeviceBuffer(self._cudart, _size(spec)))
                self._views[spec.name] = self._pinned[spec.name].view(spec.shape, spec.dtype)
            self._context = self._make_context()
            for spec in self.inputs:
                self._views[spec.name][...] = 0
            # Outside a recording first: the library finishes its own set-up in the first execution.
            self._infer()
            self._stream.synchronize()
            self._graph = self._record(self._infer)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Execute once on arrays of the host.

        Args:
            feeds: Every input by name, with exactly the dtype and shape of `inputs`.

        Returns:
            Every output by name, as new arrays.

        Raises:
            RuntimeUnavailableError: CUDA or the engine reports an error.
        """
        with on_device(self._cudart, self._device):
            for spec in self.inputs:
                np.copyto(self._views[spec.name], feeds[spec.name], casting="no")
            if self._graph is None:
                self._infer()
            else:
                self._graph.launch(self._stream)
            self._stream.synchronize()
            return {spec.name: self._views[spec.name].copy() for spec in self.outputs}

    def run_on_device(self, tensors: Mapping[str, DeviceTensor], *, stream: int | None) -> None:
        """Execute once on tensors of the device, without a copy.

        Buffers that come again are recorded as a CUDA graph; `DEVICE_GRAPHS` sets of them are remembered.

        Args:
            tensors: Every input and output by name, checked. They have to stay alive until the outputs are written.
            stream: CUDA stream of the caller (0 is the default stream), which has made the inputs and will read the
                outputs: both streams wait for each other on the device, and the call returns at once. None: the inputs
                are ready, or their producers named a stream, and the outputs are written when the call returns.

        Raises:
            RuntimeUnavailableError: CUDA or the engine reports an error.
        """
        with on_device(self._cudart, self._device):
            waiting = {tensor.stream for tensor in tensors.values() if tensor.stream is not None}
            for producer in sorted(waiting if stream is None else waiting | {stream}):
                self._before.record(producer)
                self._stream.wait(self._before)
            self._start({name: tensors[name].address for name in (spec.name for spec in self._specs)})
            if stream is None:
                self._stream.synchronize()
            else:
                self._after.record(self._stream.handle)
                self._cudart.call("cudaStreamWaitEvent", stream, self._after.handle, 0)

    def describe(self) -> str:
        """What the engine inspector says about each layer, as JSON: {"Layers": […]}.

        Layers are objects with "LayerType", "Inputs", … if the engine was built with detailed profiling, else names.
        """
        inspector = self._engine.create_engine_inspector()
        return str(inspector.get_engine_information(self._library.LayerInformationFormat.JSON))

    def close(self) -> None:
        """Wait for all work, then release graphs, the engine and memory; may be called again.

        Raises:
            RuntimeUnavailableError: CUDA reports an error; everything is released all the same.
        """
        if self._runtime is None:
            return
        graphs = (self._graph, *self._device_graphs.values())
        stream, self._stream = self._stream, None
        # Views of memory that is about to be given back go first.
        self._graph, self._device_graphs, self._views = None, {}, {}
        with ExitStack() as device:
            with suppress(RuntimeUnavailableError):  # where even this fails, what is below fails too, and says so
                device.enter_context(on_device(self._cudart, self._device))
            # Last in, first out: wait, graphs, engine, then memory, events and stream in reverse order of their making.
            with self._resources as stack:
                stack.callback(self._drop_engine)
                for graph in graphs:
                    if graph is not None:
                        stack.callback(graph.close)
                if stream is not None:
                    stack.callback(stream.synchronize)

    def __del__(self) -> None:
        # Whoever forgets `close` shall not keep the GPU's memory, and the engine has to go before its library.
        with suppress(Exception):
            self.close()

    @property
    def _specs(self) -> tuple[TensorSpec, ...]:
        return (*self.inputs, *self.outputs)

    def _keep(self, resource: R) -> R:
        self._resources.callback(resource.close)
        return resource

    def _make_context(self) -> Any:
        # The engine is named nowhere but in `self`: an error keeps the variables of functions alive, and it has to go.
        with collected_log(self._library) as lines:
            context = self._engine.create_execution_context()
        if context is None:
            raise RuntimeUnavailableError(
                f"{self._name}: the engine opens and cannot start ({lines.cause()}), expected enough free memory on "
                "the GPU. Fix: close other programs that use the GPU, or choose a smaller size"
            )
        return context

    def _drop_engine(self) -> None:
        # In this order: each is used by the one before it until that is gone.
        self._context = None
        self._engine = None
        self._runtime = None

    def _infer(self) -> None:
        """Put a whole inference on the session's own buffers into the stream."""
        for spec in self.inputs:
            self._stream.upload(self._pinned[spec.name], self._buffers[spec.name])
        self._enqueue({name: buffer.handle for name, buffer in self._buffers.items()})
        for spec in self.outputs:
            self._stream.download(self._buffers[spec.name], self._pinned[spec.name])

    def _start(self, addresses: Mapping[str, int]) -> None:
        """Put an inference on the caller's buffers into the stream; from the second time on as a graph."""
        key = tuple(addresses.values())
        is_known = key in self._device_graphs
        graph = self._device_graphs.pop(key, None)
        if graph is None and is_known and self.graph_refusal is None:
            graph = self._record(lambda: self._enqueue(addresses))
        # Behind the others: what was used last is forgotten last.
        self._device_graphs[key] = graph
        if len(self._device_graphs) > DEVICE_GRAPHS:
            forgotten = self._device_graphs.pop(next(iter(self._device_graphs)))
            if forgotten is not None:
                # It may be running still.
                self._stream.synchronize()
                forgotten.close()
        if graph is None:
            self._enqueue(addresses)
        else:
            graph.launch(self._stream)

    def _record(self, work: Callable[[], None]) -> Graph | None:
        is_capturable = getattr(self._context, "is_stream_capturable", None)
        if is_capturable is not None and not is_capturable(self._stream.handle):
            self.graph_refusal = "the engine cannot be recorded"
            return None
        try:
            graph: Graph = self._stream.capture(work)
        except RuntimeUnavailableError as error:
            self.graph_refusal = str(error)
            return None
        return graph

    def _enqueue(self, addresses: Mapping[str, int]) -> None:
        with collected_log(self._library) as lines:
            is_done = all(self._context.set_tensor_address(name, address) for name, address in addresses.items())
            is_done = is_done and self._context.execute_async_v3(self._stream.handle)
        if not is_done:
            raise RuntimeUnavailableError(
                f"{self._name}: the engine does not execute ({lines.cause()}), expected it to. "
                "Fix: pixio-edge build BUNDLE --force"
            )


def _deserialise(library: ModuleType, cudart: Cudart, data: bytes, device: int, name: str) -> tuple[Any, Any]:
    with on_device(cudart, device), collected_log(library) as lines, suppress(TypeError):
        # The bindings raise a TypeError where the library gives no runtime, and give None where it gives no engine.
        runtime = library.Runtime(logger_of(library))
        engine = runtime.deserialize_cuda_engine(data)
        if engine is not None:
            return runtime, engine
    raise RuntimeUnavailableError(
        f"{name}: {library.__name__} {library_version(library)} cannot open its engine, as {_plainly(lines)}; expected "
        "one that was built on this device. Fix: pixio-edge build BUNDLE"
    ) from RuntimeError(lines.cause())


def _plainly(lines: LogLines) -> str:
    said = " ".join(lines.errors).lower()
    return next((meaning for signs, meaning in REFUSALS if any(sign in said for sign in signs)), UNKNOWN_REFUSAL)


def _tensor(engine: Any, index: int) -> tuple[TensorSpec, Any]:
    name = engine.get_tensor_name(index)
    dtype = engine.get_tensor_dtype(name).name
    shape = tuple(int(side) for side in engine.get_tensor_shape(name))
    return TensorSpec(name, shape, DTYPES.get(dtype, dtype.lower())), engine.get_tensor_mode(name)


def _size(spec: TensorSpec) -> int:
    return int(np.dtype(spec.dtype).itemsize * np.prod(spec.shape, dtype=np.int64))
