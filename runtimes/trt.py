"""TensorRT and TensorRT for RTX on engines that were built on this host: `pixio-edge build`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from pixio_edge.engine_cache import HostGpu, read_engine
from pixio_edge.errors import RuntimeUnavailableError, SpecError
from pixio_edge.runtimes.base import Runtime, RuntimeInfo, RuntimeOptions, is_heavy
from pixio_edge.runtimes.cuda import read_gpu
from pixio_edge.runtimes.cudart import load_cudart
from pixio_edge.runtimes.device_tensor import read_device_tensor
from pixio_edge.runtimes.trt_layers import EngineLayer, layers_of_json
from pixio_edge.runtimes.trt_library import library_version, load_library
from pixio_edge.runtimes.trt_session import EngineSession

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pixio_edge.bundle import VerifiedArtifact
    from pixio_edge.engine_record import Library

PROVIDER = "cuda"


class TensorRtRuntime(Runtime):
    """Runs the engine that `pixio-edge build` made from a typed graph for this GPU, TensorRT version and graph.

    Never builds: an engine that is missing, stale, foreign or damaged is refused with the command that makes one.
    The provider is "cuda" or "cuda:1" for another GPU than the first.

    Raises:
        RuntimeUnavailableError: On `open`: no such engine, no GPU, or TensorRT or CUDA cannot be loaded.
    """

    name: ClassVar[str] = "tensorrt"
    library: ClassVar[Library] = "tensorrt"

    def __init__(self, artifact: VerifiedArtifact, options: RuntimeOptions) -> None:
        super().__init__(artifact, options)
        self._session: EngineSession | None = None
        self._gpu: HostGpu | None = None

    @classmethod
    def list_providers(cls) -> tuple[str, ...]:
        """GPUs that CUDA shows to this process."""
        load_library(cls.library)
        count = load_cudart().read_int("cudaGetDeviceCount")
        return tuple(_provider(index) for index in range(count))

    def run_on_device(
        self, inputs: Mapping[str, object], outputs: Mapping[str, object], *, stream: int | None = None
    ) -> None:
        """Execute once on tensors that are on the GPU already; nothing is copied and nothing allocated.

        Args:
            inputs: Every input by name: anything with `__cuda_array_interface__`, such as a tensor of PyTorch or CuPy,
                with exactly the dtype and shape of its specification, contiguous.
            outputs: Every output by name, likewise; they are overwritten.
            stream: CUDA stream in which the caller made the inputs and will read the outputs, as a number (0 is the
                default stream; in PyTorch `torch.cuda.current_stream().cuda_stream`). The call then returns at once,
                and the tensors have to stay alive until that stream has come past it. None: the inputs are ready, and
                the outputs are complete when the call returns.

        Raises:
            RuntimeUnavailableError: The runtime is not open, or CUDA reports an error.
            SpecError: A tensor is missing, unknown, of another dtype or shape, or not on a CUDA device.
        """
        self._require_open("run_on_device()")
        entry = self.artifact.entry
        sides = (("inputs", inputs, entry.inputs), ("outputs", outputs, entry.outputs))
        for what, given, specs in sides:
            if set(given) != {spec.name for spec in specs}:
                raise SpecError(
                    f"{what}: got {sorted(given)}, expected {sorted(spec.name for spec in specs)}. "
                    f"Fix: pass all {what} of the artifact by their names"
                )
        tensors = {
            spec.name: read_device_tensor(given[spec.name], spec, is_written=what == "outputs")
            for what, given, specs in sides
            for spec in specs
        }
        self._opened().run_on_device(tensors, stream=stream)

    def _open(self) -> None:
        entry, options = self.artifact.entry, self.options
        if options.pin_cores is not None:
            raise RuntimeUnavailableError(
                f"pin_cores: got {options.pin_cores}, but {self.name} runs on the GPU, expected none. "
                "Fix: leave pin_cores out"
            )
        if options.precision != entry.computes_in:
            raise RuntimeUnavailableError(
                f"{self.name}: got precision '{options.precision}' for artifact '{entry.name}', expected "
                f"'{entry.computes_in}', which is in its graph. Fix: choose that, or another artifact"
            )
        library = load_library(self.library)
        index, gpu = find_gpu(self.library, options.provider)
        # Hashed here, and opened from the same bytes.
        data = read_engine(entry, gpu).data
        try:
            self._gpu = gpu
            self._session = EngineSession(library, load_cudart(), data, device=index, name=f"artifact '{entry.name}'")
            self._check_specs(self._session.inputs, self._session.outputs)
            self._session.prepare()
        except BaseException:
            with suppress(RuntimeUnavailableError):  # of what failed, the first is the cause
                self._close()
            raise

    def _run(self, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        outputs = self._opened().run(feeds)
        return {spec.name: outputs[spec.name] for spec in self.artifact.entry.outputs}

    def _close(self) -> None:
        session, self._session, self._gpu = self._session, None, None
        if session is not None:
            session.close()

    def _info(self, *, profile: bool) -> RuntimeInfo:
        session, gpu = self._opened(), self._gpu
        refusal = session.graph_refusal
        way = "CUDA graph" if refusal is None else f"no CUDA graph: {refusal}"
        return RuntimeInfo(
            runtime=self.name,
            version=gpu.version if gpu is not None else "unknown",
            device=f"{gpu.device} (SM {gpu.sm}), {way}" if gpu is not None else "unknown",
            precision=self.artifact.entry.computes_in,
            # Of the host, for what comes before and after; the GPU has no such number.
            threads=self.options.thread_count,
            kernels=count_kernels(session.describe()) if profile else None,
            fallbacks=() if profile else None,
        )

    def _opened(self) -> EngineSession:
        if self._session is None:
            raise RuntimeUnavailableError(f"runtime '{self.name}': closed, expected open. Fix: open it first")
        return self._session


class TensorRtRtxRuntime(TensorRtRuntime):
    """The same with TensorRT for RTX, for the GPUs of desktops and laptops."""

    name: ClassVar[str] = "tensorrt-rtx"
    library: ClassVar[Library] = "tensorrt-rtx"


def find_gpu(library: Library, provider: str | None) -> tuple[int, HostGpu]:
    """The GPU that a provider names: its number, and what engines for it are built for.

    Args:
        library: Which of the two libraries.
        provider: None and "cuda" are the first GPU, "cuda:1" the second.

    Raises:
        MissingDependencyError: The library is not installed.
        RuntimeUnavailableError: The library or CUDA cannot be loaded, or there is no such GPU.
    """
    load_library(library)
    names = [_provider(index) for index in range(load_cudart().read_int("cudaGetDeviceCount"))]
    wanted = _provider(0) if provider is None or provider.lower() == PROVIDER else provider.lower()
    if wanted not in names:
        raise RuntimeUnavailableError(
            f"{library} provider '{provider}': no such GPU here, expected one of: {', '.join(names) or 'none'}. "
            "Fix: choose one of these, or another runtime"
        )
    index = names.index(wanted)
    return index, host_gpu(library, index)


def host_gpu(library: Library, index: int = 0) -> HostGpu:
    """What engines are built for on this host: library, version and GPU.

    Raises:
        MissingDependencyError: The library is not installed.
        RuntimeUnavailableError: The library or CUDA cannot be loaded, or there is no such GPU.
    """
    version = library_version(load_library(library))
    gpu = read_gpu(load_cudart(), index)
    return HostGpu(library=library, version=version, sm=gpu.sm, device=gpu.name)


def count_kernels(description: str) -> Counter[str]:
    """Executed layers as "LayerType/precision" with their number, the precision being that of the first input.

    Where the type does not tell that a layer multiplies matrices or convolves, as of generated and fused kernels, that
    is added to it: "kgen (conv or matmul)/fp16".

    Args:
        description: JSON of the engine inspector. Layers of engines that were built without details count as
            "unknown/unknown".
    """
    return Counter(
        f"{_operator(layer)}/{layer.precision if layer.inputs else 'unknown'}" for layer in layers_of_json(description)
    )


def _operator(layer: EngineLayer) -> str:
    return layer.kind if is_heavy(layer.kind) or not layer.is_product else f"{layer.kind} (conv or matmul)"


def _provider(index: int) -> str:
    return f"{PROVIDER}:{index}"
