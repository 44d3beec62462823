"""The GPUs of this process and the two libraries that are spoken to: cuda-core and the driver's bindings."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pixio_edge.errors import MissingDependencyError, PixioEdgeError, RuntimeUnavailableError

if TYPE_CHECKING:
    from types import ModuleType


@dataclass(frozen=True, slots=True)
class Cuda:
    """The two libraries that are spoken to."""

    core: ModuleType
    driver: ModuleType


def sm_of(device: int) -> str:
    """Architecture of a device, such as "sm_87".

    Raises:
        MissingDependencyError: A package of the extra `cuda` is not installed.
        RuntimeUnavailableError: There is no such device, or no driver.
    """
    return _read_sm(device)


def driver_version() -> tuple[int, int]:
    """Newest CUDA that the driver is for, such as (12, 6).

    Raises:
        MissingDependencyError: A package of the extra `cuda` is not installed.
        RuntimeUnavailableError: There is no driver.
    """
    driver = open_cuda().driver
    with one_line("kernels: driver"):
        status, number = driver.cuDriverGetVersion()
        if int(status):
            raise RuntimeError(driver.CUresult(status).name)
    return int(number) // 1000, int(number) % 1000 // 10


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
    driver = open_cuda().driver
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
    driver = open_cuda().driver
    attribute = driver.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
    with one_line("kernels: memory that was passed"):
        status, ordinal = driver.cuPointerGetAttribute(attribute, address)
        if int(status):
            raise RuntimeError(driver.CUresult(status).name)
    return int(ordinal)


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
    cuda = open_cuda()
    with one_line(f"kernels: stream on GPU {device}"), on_device(cuda, device):
        stream_of(cuda, by).wait(cuda.core.Stream.from_handle(stream))


def stream_of(cuda: Cuda, handle: int) -> Any:
    """A stream of cuda-core for a handle of CUDA; 0 is the default stream."""
    return cuda.core.Stream.from_handle(handle) if handle else cuda.core.LEGACY_DEFAULT_STREAM


@contextmanager
def on_device(cuda: Cuda, device: int) -> Iterator[None]:
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
def one_line(what: str) -> Iterator[None]:
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
def open_cuda() -> Cuda:
    """Import the libraries.

    Raises:
        MissingDependencyError: A package of the extra `cuda` is not installed.
        RuntimeUnavailableError: cuda-core is too old.
    """
    try:
        core, driver = importlib.import_module("cuda.core"), importlib.import_module("cuda.bindings.driver")
    except ImportError as error:
        raise MissingDependencyError("cuda-core", "cuda", "running CUDA kernels") from error
    missing = [name for name in ("ObjectCode", "LaunchConfig", "LEGACY_DEFAULT_STREAM") if not hasattr(core, name)]
    if missing:
        raise RuntimeUnavailableError(
            f"kernels: got cuda-core {getattr(core, '__version__', 'of unknown version')} without {missing[0]}, "
            "expected 1.2 or newer. Fix: pip install -U 'pixio-edge[cuda]'"
        )
    return Cuda(core, driver)


@cache
def _read_sm(device: int) -> str:
    with one_line(f"kernels: GPU {device}"):
        major, minor = open_cuda().core.Device(device).compute_capability
    return f"sm_{major}{minor}"


@cache
def _read_multiprocessors(device: int) -> int:
    with one_line(f"kernels: GPU {device}"):
        return int(open_cuda().core.Device(device).properties.multiprocessor_count)
