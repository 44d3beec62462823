"""A CUDA runtime library without a GPU, which keeps the rules of the real one strictly.

Stands in for what `ctypes.CDLL` gives. Work put into a stream is done when somebody waits for it, and not before, so a
forgotten wait shows as data that is not there. Device memory has addresses that the host cannot read. Whatever breaks a
rule (a handle used after its release, a second release, a wrong stream or device, an allocation while a stream records,
host memory that is not pinned) raises `ProtocolError` at once.
"""

# ruff: noqa: N802 - functions are called as in CUDA
from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pixio_edge.runtimes.cudart import SIGNATURES

ORIN = ("Orin", (8, 7), True)
DEFAULT_STREAMS = (0, 1, 2)
DEVICE_BASE = 0x7F00_0000_0000
# These do their work even when they report an error, which then is one of earlier work.
RELEASES = frozenset(
    {
        "cudaFree",
        "cudaFreeHost",
        "cudaStreamDestroy",
        "cudaEventDestroy",
        "cudaGraphDestroy",
        "cudaGraphExecDestroy",
        "cudaStreamEndCapture",
        "cudaStreamSynchronize",
        "cudaSetDevice",
    }
)
CAPTURE_INVALIDATED, INVALID_VALUE, NO_SUCH_DEVICE = 901, 1, 101


class ProtocolError(AssertionError):
    """A rule of CUDA was broken."""


@dataclass
class Memory:
    address: int
    data: np.ndarray
    kind: str
    device: int
    is_live: bool = True


@dataclass
class Work:
    """Something in a stream: what it does, and the memory and objects it needs to be alive until then."""

    run: Callable[[], None]
    memory: tuple[Memory, ...] = ()
    owner: object = None


@dataclass
class StreamState:
    handle: int
    device: int
    queue: list[Work] = field(default_factory=list)
    recording: list[Work] | None = None
    is_spoiled: bool = False


@dataclass
class EventState:
    stream: int | None = None
    work: Work | None = None


@dataclass
class FakeCuda:
    """The library. Give it to `Cudart(fake, "fake")`.

    Args:
        runtime: As `cudaRuntimeGetVersion` says: 12060 is CUDA 12.6.
        driver: As `cudaDriverGetVersion` says; 0 is no driver.
        gpus: Name, compute capability, and whether it shares the host's memory.
    """

    runtime: int = 12060
    driver: int = 12060
    gpus: tuple[tuple[str, tuple[int, int], bool], ...] = (ORIN,)

    def __post_init__(self) -> None:
        self.calls: list[str] = []
        self.violations: list[str] = []
        self.failures: dict[str, int] = {}
        self.failing_call: tuple[int, int] | None = None
        self.current = 0
        self.memories: list[Memory] = []
        self.streams = {handle: StreamState(handle, 0) for handle in DEFAULT_STREAMS}
        self.events: dict[int, EventState] = {}
        self.graphs: dict[int, list[Work]] = {}
        self.execs: dict[int, list[Work]] = {}
        self._next_handle = 0x1000
        self._next_address = DEVICE_BASE
        self._functions: dict[str, FakeFunction] = {}

    def __getattr__(self, name: str) -> FakeFunction:
        if not name.startswith("cuda"):
            raise AttributeError(name)
        if name not in self._functions:
            implementation = getattr(type(self), f"do_{name}", None)
            if implementation is None:
                raise AttributeError(name)
            self._functions[name] = FakeFunction(self, name)
        return self._functions[name]

    def fail(self, name: str, code: int) -> None:
        """Let the next call of a function do nothing and give this error; what releases something does so still."""
        self.failures[name] = code

    def fail_call(self, index: int, code: int) -> None:
        """Likewise for the call that comes after `index` others from now on, whatever it is."""
        self.failing_call = (index, code)

    def take_failure(self, name: str) -> int | None:
        """Error that a call shall give."""
        if name == "cudaGetLastError":
            return None
        if self.failing_call is not None:
            index, code = self.failing_call
            self.failing_call = (index - 1, code) if index else None
            if not index:
                return code
        return self.failures.pop(name, None)

    def leaks(self) -> dict[str, int]:
        """What was made and not given back, by kind."""
        live = {kind: sum(m.is_live and m.kind == kind for m in self.memories) for kind in ("device", "pinned")}
        counts = live | {
            "streams": len(self.streams) - len(DEFAULT_STREAMS),
            "events": len(self.events),
            "graphs": len(self.graphs) + len(self.execs),
        }
        return {kind: count for kind, count in counts.items() if count}

    def count(self, *names: str) -> int:
        """How often functions were called."""
        return sum(self.calls.count(name) for name in names)

    def allocate(self, size: int, *, device: int | None = None) -> Memory:
        """Device memory of somebody else; it is not counted as a call."""
        memory = Memory(
            self._next_address, np.zeros(size, np.uint8), "device", self.current if device is None else device
        )
        self._next_address += size + 256
        self.memories.append(memory)
        return memory

    def make_stream(self, device: int = 0) -> int:
        """A stream, such as one of somebody else."""
        handle = self._handle()
        self.streams[handle] = StreamState(handle, device)
        return handle

    def find(self, address: int, size: int, kind: str) -> Memory:
        """Live memory that holds a range."""
        for memory in self.memories:
            if memory.address <= address and address + size <= memory.address + memory.data.nbytes:
                if not memory.is_live:
                    raise ProtocolError(f"{kind} memory {address:#x} used after its release")
                if memory.kind != kind:
                    raise ProtocolError(f"{address:#x} is {memory.kind} memory, used as {kind} memory")
                return memory
        raise ProtocolError(f"{address:#x} with {size} bytes is no {kind} memory")

    def enqueue(self, stream: int, work: Work) -> None:
        """Put work into a stream, or into what it records."""
        state = self._stream(stream)
        if state.device != self.current:
            raise ProtocolError(f"stream of device {state.device} used while device {self.current} is current")
        (state.queue if state.recording is None else state.recording).append(work)

    def is_recording(self, stream: int) -> bool:
        return self._stream(stream).recording is not None

    def spoil(self, stream: int) -> None:
        """Something that cannot be recorded came while the stream records."""
        self._stream(stream).is_spoiled = True

    def drain(self, stream: int, until: Work | None = None) -> None:
        """Do the work of a stream, all of it or up to a point."""
        queue = self.streams[stream].queue
        while queue:
            work = queue.pop(0)
            for memory in work.memory:
                if not memory.is_live:
                    raise ProtocolError(f"{memory.kind} memory {memory.address:#x} released before work used it")
            work.run()
            if work is until:
                return

    def pending(self) -> list[Work]:
        return [work for state in self.streams.values() for work in state.queue]

    def do_cudaRuntimeGetVersion(self, out: Any) -> int:
        out.value = self.runtime
        return 0

    def do_cudaDriverGetVersion(self, out: Any) -> int:
        out.value = self.driver
        return 0

    def do_cudaGetLastError(self) -> int:
        return 0

    def do_cudaGetErrorString(self, code: int) -> bytes:
        return f"fake error {code}".encode()

    def do_cudaGetDeviceCount(self, out: Any) -> int:
        out.value = len(self.gpus)
        return 0 if self.gpus else 100

    def do_cudaGetDevice(self, out: Any) -> int:
        out.value = self.current
        return 0

    def do_cudaSetDevice(self, index: int) -> int:
        if not 0 <= index < len(self.gpus):
            return NO_SUCH_DEVICE
        self.current = index
        return 0

    def do_cudaDeviceGetAttribute(self, out: Any, attribute: int, index: int) -> int:
        if not 0 <= index < len(self.gpus):
            return NO_SUCH_DEVICE
        _, (major, minor), is_integrated = self.gpus[index]
        out.value = {18: int(is_integrated), 75: major, 76: minor}[attribute]
        return 0

    def do_cudaGetDeviceProperties(self, address: int, index: int) -> int:
        if not 0 <= index < len(self.gpus):
            return NO_SUCH_DEVICE
        ctypes.memset(address, 0xFF, 1024)  # fields behind the name are not zero
        ctypes.memmove(address, self.gpus[index][0].encode() + b"\0", len(self.gpus[index][0]) + 1)
        return 0

    def do_cudaMalloc(self, out: Any, size: int) -> int:
        self._refuse_while_recording("cudaMalloc")
        out.value = self.allocate(size).address
        return 0

    def do_cudaHostAlloc(self, out: Any, size: int, flags: int) -> int:
        self._refuse_while_recording("cudaHostAlloc")
        data = np.full(size, 0xAB, np.uint8)  # not zero, as in truth
        # Kept for good, so that a use after the release is found and does not crash.
        self.memories.append(Memory(data.ctypes.data, data, "pinned", self.current))
        out.value = data.ctypes.data
        return 0

    def do_cudaFree(self, address: int) -> int:
        return self._free(address, "device")

    def do_cudaFreeHost(self, address: int) -> int:
        return self._free(address, "pinned")

    def do_cudaMemcpyAsync(self, target: int, source: int, size: int, kind: int, stream: int) -> int:
        if stream in DEFAULT_STREAMS:
            raise ProtocolError("a copy in a default stream")
        kinds = {1: ("device", "pinned"), 2: ("pinned", "device")}[kind]
        to, start = self.find(target, size, kinds[0]), self.find(source, size, kinds[1])

        def copy() -> None:
            to.data[target - to.address :][:size] = start.data[source - start.address :][:size]

        self.enqueue(stream, Work(copy, (to, start)))
        return 0

    def do_cudaStreamCreateWithFlags(self, out: Any, flags: int) -> int:
        if flags != 1:
            raise ProtocolError("a stream that waits for the default stream")
        out.value = self.make_stream(self.current)
        return 0

    def do_cudaStreamDestroy(self, stream: int) -> int:
        state = self._stream(stream)
        if state.queue or state.recording is not None:
            raise ProtocolError("stream destroyed with work in it")
        del self.streams[stream]
        return 0

    def do_cudaStreamSynchronize(self, stream: int) -> int:
        if self._stream(stream).recording is not None:
            raise ProtocolError("waited for a stream that records")
        self.drain(stream)
        return 0

    def do_cudaStreamWaitEvent(self, stream: int, event: int, flags: int) -> int:
        state = self._event(event)
        # An event that was never recorded is waited for by nobody, which is never meant.
        if state.work is None or state.stream is None:
            raise ProtocolError("waited for an event that was not recorded")
        awaited, source = state.work, state.stream

        def wait() -> None:
            # A stream that is gone had done its work.
            if source in self.streams and awaited in self.streams[source].queue:
                self.drain(source, until=awaited)

        (self._stream(stream).queue).append(Work(wait))
        return 0

    def do_cudaStreamBeginCapture(self, stream: int, mode: int) -> int:
        state = self._stream(stream)
        if mode != 1 or stream in DEFAULT_STREAMS or state.recording is not None:
            raise ProtocolError("recording began in a default stream, twice, or so that other threads can spoil it")
        state.recording, state.is_spoiled = [], False
        return 0

    def do_cudaStreamEndCapture(self, stream: int, out: Any) -> int:
        state = self._stream(stream)
        if state.recording is None:
            raise ProtocolError("recording ended that had not begun")
        recorded, state.recording = state.recording, None
        if state.is_spoiled:
            return CAPTURE_INVALIDATED
        out.value = self._handle()
        self.graphs[out.value] = recorded
        return 0

    def do_cudaEventCreateWithFlags(self, out: Any, flags: int) -> int:
        out.value = self._handle()
        self.events[out.value] = EventState()
        return 0

    def do_cudaEventRecord(self, event: int, stream: int) -> int:
        state = self._event(event)
        state.work, state.stream = Work(lambda: None), stream
        self._stream(stream).queue.append(state.work)
        return 0

    def do_cudaEventDestroy(self, event: int) -> int:
        self._event(event)
        del self.events[event]
        return 0

    def do_cudaGraphInstantiateWithFlags(self, out: Any, graph: int, flags: int) -> int:
        out.value = self._handle()
        self.execs[out.value] = list(self.graphs[graph])
        return 0

    def do_cudaGraphLaunch(self, executable: int, stream: int) -> int:
        if executable not in self.execs:
            raise ProtocolError("graph started after its release")
        for work in self.execs[executable]:
            self.enqueue(stream, Work(work.run, work.memory, executable))
        return 0

    def do_cudaGraphDestroy(self, graph: int) -> int:
        if self.graphs.pop(graph, None) is None:
            raise ProtocolError("graph released twice, or never made")
        return 0

    def do_cudaGraphExecDestroy(self, executable: int) -> int:
        if any(work.owner == executable for work in self.pending()):
            raise ProtocolError("graph released while it runs")
        if self.execs.pop(executable, None) is None:
            raise ProtocolError("graph released twice, or never made")
        return 0

    def _handle(self) -> int:
        self._next_handle += 0x10
        return self._next_handle

    def _stream(self, handle: int) -> StreamState:
        if handle not in self.streams:
            raise ProtocolError(f"stream {handle:#x} used after its release")
        return self.streams[handle]

    def _event(self, handle: int) -> EventState:
        if handle not in self.events:
            raise ProtocolError(f"event {handle:#x} used after its release")
        return self.events[handle]

    def _free(self, address: int, kind: str) -> int:
        self._refuse_while_recording("a release of memory")
        memory = self.find(address, 1, kind)
        if memory.address != address:
            raise ProtocolError("released from the middle")
        if any(memory in work.memory for work in self.pending()):
            raise ProtocolError(f"{kind} memory released while work uses it")
        if any(memory in work.memory for works in self.execs.values() for work in works):
            raise ProtocolError(f"{kind} memory released before the graph that uses it")
        memory.is_live = False
        memory.data[...] = 0xDD
        return 0

    def _refuse_while_recording(self, what: str) -> None:
        if any(state.recording is not None for state in self.streams.values()):
            raise ProtocolError(f"{what} while a stream records")


class FakeFunction:
    """A function of the library: takes what ctypes would convert by `argtypes`, and nothing else."""

    def __init__(self, cuda: FakeCuda, name: str) -> None:
        self.argtypes: tuple[Any, ...] | None = None
        self.restype: Any = None
        self._cuda, self._name = cuda, name

    def __call__(self, *arguments: Any) -> Any:
        if self.argtypes is None or self.restype is None:
            raise ProtocolError(f"{self._name} called before its signature was declared")
        if len(arguments) != len(self.argtypes):
            raise ProtocolError(f"{self._name} takes {len(self.argtypes)} arguments, got {len(arguments)}")
        if self._name in SIGNATURES:
            self._cuda.calls.append(self._name)
        code = self._cuda.take_failure(self._name)
        if code is not None and self._name not in RELEASES:
            return code
        values = [_converted(value, kind) for value, kind in zip(arguments, self.argtypes, strict=True)]
        answer = getattr(self._cuda, f"do_{self._name}")(*values)
        if code is not None and self._name == "cudaStreamEndCapture":
            self._cuda.graphs.pop(values[1].value, None)
            values[1].value = None
        return answer if code is None else code


def _converted(value: Any, kind: Any) -> Any:
    if hasattr(kind, "contents"):  # POINTER(…)
        target = value._obj
        if not isinstance(target, kind._type_):
            raise ProtocolError(f"got a pointer to {type(target).__name__}, expected {kind._type_.__name__}")
        return target
    if isinstance(value, ctypes.c_void_p):
        return value.value or 0
    if value is None and kind is ctypes.c_void_p:
        return 0
    if not isinstance(value, int):
        raise ProtocolError(f"got {type(value).__name__}, expected a number")
    return value
