"""Streams, events, memory and graphs of CUDA, each released once, and every call checked.

No call here uses the default stream: TensorRT synchronises the whole device around work on it. All of them act on the
current device of the calling thread: see `on_device`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import c_void_p
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pixio_edge.errors import RuntimeUnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pixio_edge.runtimes.cudart import Cudart

# Of driver_types.h.
STREAM_NON_BLOCKING = 1
EVENT_DISABLE_TIMING = 2  # events that are never timed cost less
HOST_ALLOC_DEFAULT = 0
HOST_TO_DEVICE, DEVICE_TO_HOST = 1, 2
# A capture that other threads cannot spoil: in mode "global", any allocation anywhere in the process would end it.
CAPTURE_THREAD_LOCAL = 1
ATTRIBUTE_INTEGRATED, ATTRIBUTE_MAJOR, ATTRIBUTE_MINOR = 18, 75, 76
# `cudaDeviceProp` starts with the name in every release, and is about 1 KiB long in CUDA 12 and 13.
NAME_BYTES, PROPERTIES_BYTES = 256, 16384


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device.

    Args:
        index: Number among the devices that CUDA shows to this process.
        name: As the driver says, such as "Orin".
        sm: Compute capability as "major.minor".
        integrated: Whether it shares the memory of the processor, as on a Jetson.
    """

    index: int
    name: str
    sm: str
    integrated: bool


def list_gpus(cudart: Cudart) -> tuple[Gpu, ...]:
    """Every device that CUDA shows to this process.

    Raises:
        RuntimeUnavailableError: There is none.
    """
    return tuple(read_gpu(cudart, index) for index in range(cudart.read_int("cudaGetDeviceCount")))


def read_gpu(cudart: Cudart, index: int) -> Gpu:
    """Describe one device; makes no context on it.

    Raises:
        RuntimeUnavailableError: There is no such device.
    """

    def attribute(number: int) -> int:
        return cudart.read_int("cudaDeviceGetAttribute", number, index)

    properties = ctypes.create_string_buffer(PROPERTIES_BYTES)
    cudart.call("cudaGetDeviceProperties", ctypes.cast(properties, c_void_p), index)
    return Gpu(
        index=index,
        name=properties.raw[:NAME_BYTES].partition(b"\0")[0].decode(errors="replace"),
        sm=f"{attribute(ATTRIBUTE_MAJOR)}.{attribute(ATTRIBUTE_MINOR)}",
        integrated=bool(attribute(ATTRIBUTE_INTEGRATED)),
    )


@contextmanager
def on_device(cudart: Cudart, index: int) -> Iterator[None]:
    """Make a device the current one of this thread, and put the one before back: other libraries use it too.

    Raises:
        RuntimeUnavailableError: There is no such device.
    """
    before = cudart.read_int("cudaGetDevice")
    if before == index:
        yield
        return
    cudart.call("cudaSetDevice", index)
    try:
        yield
    finally:
        cudart.call("cudaSetDevice", before)


class Resource:
    """Something that CUDA made and that has to be given back exactly once.

    Attributes:
        handle: Address or handle; 0 after `close`.
    """

    _release: str

    def __init__(self, cudart: Cudart, handle: int) -> None:
        self.cudart = cudart
        self.handle = handle

    def close(self) -> None:
        """Give it back; does nothing the second time.

        Raises:
            RuntimeUnavailableError: CUDA reports an error, mostly of earlier work; it is given back all the same.
        """
        handle, self.handle = self.handle, 0
        if handle:
            self.cudart.call(self._release, handle)


class DeviceBuffer(Resource):
    """Memory of the device.

    Args:
        cudart: The library.
        size: Bytes.
    """

    _release = "cudaFree"

    def __init__(self, cudart: Cudart, size: int) -> None:
        super().__init__(cudart, cudart.make("cudaMalloc", size))
        self.size = size


class PinnedBuffer(Resource):
    """Memory of the host that the device copies from and to by itself.

    Args:
        cudart: The library.
        size: Bytes.
    """

    _release = "cudaFreeHost"

    def __init__(self, cudart: Cudart, size: int) -> None:
        super().__init__(cudart, cudart.make("cudaHostAlloc", size, HOST_ALLOC_DEFAULT))
        self.size = size

    def view(self, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
        """The memory as an array, which is not to be used after `close`."""
        memory = (ctypes.c_ubyte * self.size).from_address(self.handle)
        return np.frombuffer(memoryview(memory), np.dtype(dtype)).reshape(shape)


class Event(Resource):
    """A point in the work of a stream, for other streams to wait for.

    Args:
        cudart: The library.
    """

    _release = "cudaEventDestroy"

    def __init__(self, cudart: Cudart) -> None:
        super().__init__(cudart, cudart.make("cudaEventCreateWithFlags", EVENT_DISABLE_TIMING))

    def record(self, stream: int) -> None:
        """Put the point behind all work that is in a stream now.

        Raises:
            RuntimeUnavailableError: CUDA reports an error.
        """
        self.cudart.call("cudaEventRecord", self.handle, stream)


class Recording(Resource):
    """Recorded work that cannot be started yet."""

    _release = "cudaGraphDestroy"


class Graph(Resource):
    """Work that was recorded once and is started with one call. Made by `Stream.capture`."""

    _release = "cudaGraphExecDestroy"

    def launch(self, stream: Stream) -> None:
        """Put the recorded work into a stream.

        Raises:
            RuntimeUnavailableError: CUDA reports an error.
        """
        self.cudart.call("cudaGraphLaunch", self.handle, stream.handle)


class Stream(Resource):
    """A queue of work on the device, apart from the default stream.

    Args:
        cudart: The library.
    """

    _release = "cudaStreamDestroy"

    def __init__(self, cudart: Cudart) -> None:
        super().__init__(cudart, cudart.make("cudaStreamCreateWithFlags", STREAM_NON_BLOCKING))

    def upload(self, source: PinnedBuffer, target: DeviceBuffer) -> None:
        """Copy a whole buffer to the device, behind the work before.

        Raises:
            RuntimeUnavailableError: CUDA reports an error.
        """
        self._copy(target.handle, source.handle, source.size, HOST_TO_DEVICE)

    def download(self, source: DeviceBuffer, target: PinnedBuffer) -> None:
        """Copy a whole buffer to the host, behind the work before.

        Raises:
            RuntimeUnavailableError: CUDA reports an error.
        """
        self._copy(target.handle, source.handle, source.size, DEVICE_TO_HOST)

    def wait(self, event: Event) -> None:
        """Let later work of this stream wait for a point in another one; the caller does not wait.

        Raises:
            RuntimeUnavailableError: CUDA reports an error.
        """
        self.cudart.call("cudaStreamWaitEvent", self.handle, event.handle, 0)

    def synchronize(self) -> None:
        """Wait until all work is done.

        Raises:
            RuntimeUnavailableError: Some of it failed.
        """
        self.cudart.call("cudaStreamSynchronize", self.handle)

    def capture(self, work: Callable[[], None]) -> Graph:
        """Record what `work` puts into this stream, without doing it.

        The recorded work uses the addresses of now; the buffers have to outlive the graph.

        Raises:
            RuntimeUnavailableError: Something in it cannot be recorded. The stream can be used on.
        """
        self.cudart.call("cudaStreamBeginCapture", self.handle, CAPTURE_THREAD_LOCAL)
        try:
            work()
        except BaseException:
            self._abandon_capture()
            raise
        recorded = c_void_p()
        self.cudart.call("cudaStreamEndCapture", self.handle, ctypes.byref(recorded))
        recording = Recording(self.cudart, recorded.value or 0)
        try:
            graph = Graph(self.cudart, self.cudart.make("cudaGraphInstantiateWithFlags", recording.handle, 0))
        except RuntimeUnavailableError:
            recording.close()
            raise
        try:
            recording.close()
        except RuntimeUnavailableError:
            graph.close()
            raise
        return graph

    def _abandon_capture(self) -> None:
        """End a capture that failed half-way: until then, the stream takes no other work."""
        recorded = c_void_p()
        try:
            self.cudart.call("cudaStreamEndCapture", self.handle, ctypes.byref(recorded))
        except RuntimeUnavailableError:
            return  # it follows from the error that is on its way already
        Recording(self.cudart, recorded.value or 0).close()

    def _copy(self, target: int, source: int, size: int, kind: int) -> None:
        self.cudart.call("cudaMemcpyAsync", target, source, size, kind, self.handle)
