"""Kernels on a GPU: loaded once for each device, started on the caller's stream.

Starting neither waits nor allocates, so that it can be recorded in a CUDA graph. What has to be loaded is loaded by the
first start of a variant, which a recording must not be: run once before it.
"""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pixio_edge.errors import MissingDependencyError, PixioEdgeError, RuntimeUnavailableError
from pixio_edge.kernels.cache import NAME_DIGITS, load_kernel
from pixio_edge.kernels.catalogue import find_kernel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    import numpy as np

    from pixio_edge.kernels.catalogue import Launch

    Argument = int | np.int32 | np.float32 | None

_log = logging.getLogger(__name__)

PLAIN_SHARED_BYTES = 48 * 1024
"""Shared memory that a block may have without asking for more (CUDA C++ Programming Guide, "Shared Memory")."""


@dataclass(frozen=True, slots=True)
class Started:
    """One start of one entry point, as proof of what ran.

    Args:
        entry: Name of the function.
        sm: GPU that the code was made for.
        digest: First digits of the SHA-256 over source, macros, options and compiler.
    """

    entry: str
    sm: str
    digest: str


_recorders: ContextVar[tuple[list[Started], ...]] = ContextVar("recorders", default=())


@contextmanager
def record_starts() -> Iterator[list[Started]]:
    """List every start of a kernel by this thread while the block runs; replaying a graph starts none."""
    started: list[Started] = []
    token = _recorders.set((*_recorders.get(), started))
    try:
        yield started
    finally:
        _recorders.reset(token)


def start(
    name: str,
    defines: Mapping[str, int],
    launches: Sequence[Launch],
    arguments: Sequence[Argument],
    *,
    device: int,
    stream: int,
) -> None:
    """Put the launches of one operator into a stream, one after the other, all with the same arguments.

    Args:
        name: Of the kernel in the catalogue.
        defines: A value for each macro of the kernel.
        launches: From the kernel's geometry.
        arguments: Of the entry points, in order: addresses as int (None is a null pointer), numbers as numpy scalars,
            whose type is that of the parameter.
        device: CUDA device that the addresses are on.
        stream: CUDA stream of that device; 0 is its default stream.

    Raises:
        MissingDependencyError: A package of the extra `cuda` is not installed.
        RuntimeUnavailableError: There is no such device, it cannot run the kernels, or CUDA reports an error.
    """
    cuda = _cuda()
    given = [0 if argument is None else argument for argument in arguments]
    with _one_line(f"kernel '{name}' on GPU {device}"), _on_device(cuda, device):
        loaded = _load(name, tuple(sorted(defines.items())), device)
        for launch in launches:
            loaded.start(launch, stream, given)
    record = [Started(launch.entry, loaded.sm, loaded.digest) for launch in launches]
    for started in _recorders.get():
        started.extend(record)


def wait_for(stream: int, *, by: int, device: int) -> None:
    """Let later work of one stream wait for what is in another now; the caller does not wait.

    Args:
        stream: CUDA stream to wait for.
        by: CUDA stream that waits; 0 is the default stream.
        device: Of both.

    Raises:
        MissingDependencyError: A package of the extra `cuda` is not installed.
        RuntimeUnavailableError: CUDA reports an error.
    """
    cuda = _cuda()
    with _one_line(f"kernels: stream on GPU {device}"), _on_device(cuda, device):
        _stream(cuda, by).wait(cuda.core.Stream.from_handle(stream))


def sm_of(device: int) -> str:
    """Architecture of a device, such as "sm_87".

    Raises:
        MissingDependencyError: A package of the extra `cuda` is not installed.
        RuntimeUnavailableError: There is no such device, or no driver.
    """
    return _read_sm(device)


def multiprocessors_of(device: int) -> int:
    """Multiprocessors of a device: models of one architecture differ tenfold.

    Raises:
        MissingDependencyError: A package of the extra `cuda` is not installed.
        RuntimeUnavailableError: There is no such device, or no driver.
    """
    return _read_multiprocessors(device)


def count_devices() -> int:
    """Number of GPUs that CUDA shows to this process; 0 where there is no driver.

    Raises:
        MissingDependencyError: A package of the extra `cuda` is not installed.
    """
    driver = _cuda().driver
    try:
        status, *_ = driver.cuInit(0)
        if int(status):
            return 0
        status, number = driver.cuDeviceGetCount()
    except RuntimeError:  # the bindings find no libcuda to load
        return 0
    return 0 if int(status) else int(number)


def device_of(address: int) -> int:
    """Device that memory is on.

    Raises:
        MissingDependencyError: A package of the extra `cuda` is not installed.
        RuntimeUnavailableError: CUDA does not know the address.
    """
    driver = _cuda().driver
    attribute = driver.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
    with _one_line("kernels: memory that was passed"):
        status, ordinal = driver.cuPointerGetAttribute(attribute, address)
        if int(status):
            raise RuntimeError(driver.CUresult(status).name)
    return int(ordinal)


@dataclass(frozen=True, slots=True)
class _Cuda:
    """The two libraries that are spoken to."""

    core: ModuleType
    driver: ModuleType


class _Loaded:
    """One variant of a kernel in the memory of one device."""

    def __init__(self, cuda: _Cuda, name: str, defines: Mapping[str, int], device: int) -> None:
        self._cuda = cuda
        self._device = device
        self.sm = _read_sm(device)
        kernel = find_kernel(name)
        cached = load_kernel(kernel, self.sm, defines)
        if cached.problem is not None:
            _log.warning("kernel '%s': %s", name, cached.problem)
        self.digest = cached.digest[:NAME_DIGITS]
        code = cuda.core.ObjectCode.from_cubin(cached.compiled.cubin, name=name)
        self._entries = {entry: code.get_kernel(entry) for entry in kernel.entries}
        self._allowed = dict.fromkeys(kernel.entries, PLAIN_SHARED_BYTES)

    def start(self, launch: Launch, stream: int, arguments: Sequence[int | np.int32 | np.float32]) -> None:
        core = self._cuda.core
        self._allow(launch)
        config = core.LaunchConfig(grid=launch.grid, block=launch.block, shmem_size=launch.shared_bytes)
        core.launch(_stream(self._cuda, stream), config, self._entries[launch.entry], *arguments)

    def _allow(self, launch: Launch) -> None:
        """Let an entry point have more shared memory than any may have unasked."""
        if launch.shared_bytes <= self._allowed[launch.entry]:
            return
        driver = self._cuda.driver
        attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        handle = self._entries[launch.entry].handle
        (status,) = driver.cuKernelSetAttribute(attribute, launch.shared_bytes, handle, driver.CUdevice(self._device))
        if int(status):
            raise RuntimeError(f"{launch.shared_bytes} bytes of shared memory: {driver.CUresult(status).name}")
        self._allowed[launch.entry] = launch.shared_bytes


_loading = threading.Lock()
_loaded: dict[tuple[Any, ...], _Loaded] = {}


def _load(name: str, defines: tuple[tuple[str, int], ...], device: int) -> _Loaded:
    key = (name, defines, device)
    if (found := _loaded.get(key)) is not None:
        return found
    with _loading:
        if key not in _loaded:
            _loaded[key] = _Loaded(_cuda(), name, dict(defines), device)
        return _loaded[key]


@cache
def _read_sm(device: int) -> str:
    with _one_line(f"kernels: GPU {device}"):
        major, minor = _cuda().core.Device(device).compute_capability
    return f"sm_{major}{minor}"


@cache
def _read_multiprocessors(device: int) -> int:
    with _one_line(f"kernels: GPU {device}"):
        return int(_cuda().core.Device(device).properties.multiprocessor_count)


def _stream(cuda: _Cuda, handle: int) -> Any:
    return cuda.core.Stream.from_handle(handle) if handle else cuda.core.LEGACY_DEFAULT_STREAM


@contextmanager
def _on_device(cuda: _Cuda, device: int) -> Iterator[None]:
    """Make a device the current one of this thread, and put the one before back: other libraries use it too."""
    _, before = cuda.driver.cuCtxGetCurrent()
    status, current = cuda.driver.cuCtxGetDevice()
    if not int(status) and int(current) == device:
        yield
        return
    cuda.core.Device(device).set_current()
    try:
        yield
    finally:
        cuda.driver.cuCtxSetCurrent(before)


@contextmanager
def _one_line(what: str) -> Iterator[None]:
    """Turn whatever the libraries raise into an error of ours: cuda-core does not publish the class of its own."""
    try:
        yield
    except PixioEdgeError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise RuntimeUnavailableError(
            f"{what}: {reason}. Fix: see pixio-edge doctor, or PIXIO_EDGE_KERNELS=reference"
        ) from error


@cache
def _cuda() -> _Cuda:
    try:
        return _Cuda(importlib.import_module("cuda.core"), importlib.import_module("cuda.bindings.driver"))
    except ImportError as error:
        raise MissingDependencyError("cuda-core", "cuda", "running CUDA kernels") from error
