"""Kernels on a GPU: loaded once for each device, started on the caller's stream.

Starting neither waits nor allocates, so that it can be recorded in a CUDA graph. What has to be loaded is loaded by the
first start of a variant, which CUDA does not allow in a recording: run once before it, or call `load`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.kernels.cache import NAME_DIGITS, load_kernel
from pixio_edge.kernels.catalogue import find_kernel
from pixio_edge.kernels.devices import Cuda, on_device, one_line, open_cuda, sm_of, stream_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from pixio_edge.kernels.catalogue import Launch
    from pixio_edge.kernels.compile import Resources

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
    cuda = open_cuda()
    given = [0 if argument is None else argument for argument in arguments]
    with one_line(f"kernel '{name}' on GPU {device}"), on_device(cuda, device):
        variant = tuple(sorted(defines.items()))
        if (name, variant, device) not in _loaded:
            _refuse_recording(cuda, stream)
        loaded = _load(name, variant, device)
        for launch in launches:
            loaded.start(launch, stream, given)
    record = [Started(launch.entry, loaded.sm, loaded.digest) for launch in launches]
    for started in _recorders.get():
        started.extend(record)


def load(name: str, defines: Mapping[str, int], *, device: int) -> None:
    """Compile and load one variant of a kernel, all entry points of it, so that its first start may be in a recording.

    Args:
        name: Of the kernel in the catalogue.
        defines: A value for each macro of the kernel, such as {"HEAD_DIM": 64, "ELEMENT_BF16": 0}.
        device: CUDA device.

    Raises:
        SpecError, InputError: As for `cache.load_kernel`.
        MissingDependencyError: A package of the extra `cuda` is not installed.
        RuntimeUnavailableError: There is no such device, it cannot run the kernels, or CUDA reports an error.
    """
    cuda = open_cuda()
    with one_line(f"kernel '{name}' on GPU {device}"), on_device(cuda, device):
        _load(name, tuple(sorted(defines.items())), device)


class _Loaded:
    """One variant of a kernel in the memory of one device."""

    def __init__(self, cuda: Cuda, name: str, defines: Mapping[str, int], device: int) -> None:
        self._cuda = cuda
        self._device = device
        self.sm = sm_of(device)
        kernel = find_kernel(name)
        cached = load_kernel(kernel, self.sm, defines)
        if cached.problem is not None:
            _log.warning("kernel '%s': %s", name, cached.problem)
        self.digest = cached.digest[:NAME_DIGITS]
        code = cuda.core.ObjectCode.from_cubin(cached.compiled.cubin, name=name)
        self._entries = {entry: code.get_kernel(entry) for entry in kernel.entries}
        self._allowed = dict.fromkeys(kernel.entries, PLAIN_SHARED_BYTES)
        for loaded in self._entries.values():
            # The driver would load the code of each entry at its own first start, which may be in a recording.
            status, *_ = cuda.driver.cuKernelGetFunction(loaded.handle)
            if int(status):
                raise RuntimeError(cuda.driver.CUresult(status).name)
        _warn_of_spills(name, self.sm, cached.compiled.resources)

    def start(self, launch: Launch, stream: int, arguments: Sequence[int | np.int32 | np.float32]) -> None:
        core = self._cuda.core
        self._allow(launch)
        config = core.LaunchConfig(grid=launch.grid, block=launch.block, shmem_size=launch.shared_bytes)
        core.launch(stream_of(self._cuda, stream), config, self._entries[launch.entry], *arguments)

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


def _warn_of_spills(name: str, sm: str, resources: Mapping[str, Resources]) -> None:
    """Another compiler than the kernels were looked at with may run out of registers: right, but slower."""
    spilled = [f"{entry} {needs.spill_bytes}" for entry, needs in resources.items() if needs.spill_bytes]
    if spilled:
        _log.warning("kernel '%s' for %s: this compiler spills registers, bytes: %s", name, sm, ", ".join(spilled))


_loading = threading.Lock()
_loaded: dict[tuple[Any, ...], _Loaded] = {}


def _load(name: str, defines: tuple[tuple[str, int], ...], device: int) -> _Loaded:
    key = (name, defines, device)
    if (found := _loaded.get(key)) is not None:
        return found
    with _loading:
        if key not in _loaded:
            _loaded[key] = _Loaded(open_cuda(), name, dict(defines), device)
        return _loaded[key]


def _refuse_recording(cuda: Cuda, stream: int) -> None:
    status, state = cuda.driver.cuStreamIsCapturing(stream)
    if int(status):
        raise RuntimeError(cuda.driver.CUresult(status).name)
    if int(state):
        raise RuntimeUnavailableError(
            "kernels: got the first start of a kernel in the recording of a CUDA graph, expected it loaded before. "
            "Fix: run it once before the recording, or pixio_edge.kernels.launch.load"
        )
