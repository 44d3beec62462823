"""A stand-in for cuda-core and the driver's bindings, as far as kernels are loaded and started with them.

It runs nothing. It keeps the rules that a caller can break: work goes to the context that is current, more than 48 KiB
of shared memory has to be asked for first, and a stream is told by its handle. Failures are those of the libraries:
cuda-core raises a class of its own, the bindings return a status. Nothing can be loaded in a recording.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from pixio_edge.kernels import devices, launch, select
from pixio_edge.kernels.cache import Cached
from pixio_edge.kernels.catalogue import Kernel
from pixio_edge.kernels.compile import Compiled

PLAIN_SHARED_BYTES = 48 * 1024
INVALID_CONTEXT, INVALID_VALUE = 201, 1


class CoreError(Exception):
    """cuda-core's own class, of no published name."""


@dataclass(frozen=True)
class Start:
    """One start of a kernel, as the device would see it."""

    entry: str
    device: int
    stream: int
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_bytes: int
    arguments: tuple[Any, ...]
    cubin: bytes


@dataclass
class FakeCuda:
    """Devices by their compute capability, and all that was done with them."""

    capabilities: tuple[tuple[int, int], ...] = ((8, 7),)
    multiprocessors: int = 16  # of each device
    memory: dict[int, int] = field(default_factory=dict)  # device by address
    starts: list[Start] = field(default_factory=list)
    waits: list[tuple[int, int]] = field(default_factory=list)
    loads: int = 0
    driver: int = 13000  # newest CUDA of the driver, as the driver says it
    is_recording: bool = False
    touched: list[str] = field(default_factory=list)  # entry points whose code was asked for
    shared_limit: int = 164 * 1024
    thread: threading.local = field(default_factory=threading.local)

    @property
    def current(self) -> int | None:
        """Device whose context is current, of each thread its own."""
        return getattr(self.thread, "device", None)

    @current.setter
    def current(self, device: int | None) -> None:
        self.thread.device = device

    def modules(self) -> devices.Cuda:
        return devices.Cuda(self._core(), self._driver())

    def _core(self) -> Any:
        fake = self

        class Device:
            def __init__(self, index: int) -> None:
                if not 0 <= index < len(fake.capabilities):
                    raise CoreError(f"device_id must be within [0, {len(fake.capabilities)}), got {index}")
                self.index = index
                self.compute_capability = fake.capabilities[index]
                self.properties = SimpleNamespace(multiprocessor_count=fake.multiprocessors)

            def set_current(self) -> None:
                fake.current = self.index

        class Stream:
            def __init__(self, handle: int) -> None:
                self.number = handle

            @staticmethod
            def from_handle(handle: int) -> Stream:
                assert handle, "0 is ambiguous"
                return Stream(handle)

            def wait(self, other: Stream) -> None:
                fake.waits.append((self.number, other.number))

        class ObjectCode:
            @staticmethod
            def from_cubin(cubin: bytes, *, name: str) -> Any:
                if fake.is_recording:
                    raise CoreError("CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED")
                fake.loads += 1
                return SimpleNamespace(get_kernel=lambda entry: _Kernel(entry, cubin, name))

        def start(stream: Stream, config: Any, kernel: _Kernel, *arguments: Any) -> None:
            if fake.current is None:
                raise CoreError("CUDA_ERROR_INVALID_CONTEXT: no context is current")
            if config.shmem_size > kernel.allowed.get(fake.current, PLAIN_SHARED_BYTES):
                raise CoreError("CUDA_ERROR_INVALID_VALUE: shared memory was not asked for")
            place = (fake.current, stream.number, config.grid, config.block, config.shmem_size)
            fake.starts.append(Start(kernel.entry, *place, arguments, kernel.cubin))

        return SimpleNamespace(
            Device=Device,
            Stream=Stream,
            LEGACY_DEFAULT_STREAM=Stream(0),
            ObjectCode=ObjectCode,
            LaunchConfig=SimpleNamespace,
            launch=start,
        )

    def _driver(self) -> Any:
        def set_current(context: int | None) -> tuple[int]:
            self.current = context
            return (0,)

        def get_device() -> tuple[int, int]:
            return (INVALID_CONTEXT, 0) if self.current is None else (0, self.current)

        def allow(_: str, size: int, kernel: _Kernel, device: int) -> tuple[int]:
            if size > self.shared_limit:
                return (INVALID_VALUE,)
            kernel.allowed[device] = size
            return (0,)

        def device_of(_: str, address: int) -> tuple[int, int]:
            return (0, self.memory[address]) if address in self.memory else (INVALID_VALUE, 0)

        def touch(kernel: _Kernel) -> tuple[int, str]:
            self.touched.append(kernel.entry)
            return (0, kernel.entry)

        return SimpleNamespace(
            cuDriverGetVersion=lambda: (0, self.driver),
            cuStreamIsCapturing=lambda _: (0, int(self.is_recording)),
            cuKernelGetFunction=touch,
            cuInit=lambda _: (0,),
            cuDeviceGetCount=lambda: (0, len(self.capabilities)),
            cuCtxGetCurrent=lambda: (0, self.current),
            cuCtxGetDevice=get_device,
            cuCtxSetCurrent=set_current,
            cuKernelSetAttribute=allow,
            cuPointerGetAttribute=device_of,
            CUdevice=int,
            CUresult=lambda status: SimpleNamespace(name=f"CUDA_ERROR_{status}"),
            CUfunction_attribute=SimpleNamespace(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES="shared"),
            CUpointer_attribute=SimpleNamespace(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL="ordinal"),
        )


class _Kernel:
    def __init__(self, entry: str, cubin: bytes, name: str) -> None:
        self.entry, self.cubin, self.name = entry, cubin, name
        self.allowed: dict[int, int] = {}
        self.handle = self


def name_code(kernel: Kernel, sm: str, defines: Mapping[str, int]) -> Cached:
    """In place of `launch.load_kernel`: code that says which variant it is, without the compiler."""
    kernel.check(defines)
    text = " ".join([kernel.name, sm, *(f"{name}={value}" for name, value in sorted(defines.items()))])
    return Cached(Compiled(text.encode(), None, {}, ""), "0" * 64, is_from_disk=False)


@contextmanager
def install(monkeypatch: pytest.MonkeyPatch, fake: FakeCuda) -> Iterator[FakeCuda]:
    """Put the stand-in where the libraries would be, with nothing loaded before or after."""
    for user in (devices, launch):
        monkeypatch.setattr(user, "open_cuda", fake.modules)
    monkeypatch.setattr(launch, "_loaded", {})
    for cached in (devices._read_sm, devices._read_multiprocessors, select._probe):
        cached.cache_clear()
    try:
        yield fake
    finally:
        for cached in (devices._read_sm, devices._read_multiprocessors, select._probe):
            cached.cache_clear()
