"""OpenVINO: the fastest CPU engine that we measured on x86, in fp32, bf16 and INT8."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.runtimes.base import Runtime, RuntimeInfo, RuntimeOptions
from pixio_edge.runtimes.ov_compiled import compile_or_read
from pixio_edge.runtimes.ov_library import import_openvino
from pixio_edge.runtimes.pinning import bind_caller, check_cores
from pixio_edge.tensor import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from pixio_edge.bundle import VerifiedArtifact

CPU_DEVICE = "CPU"
# Always given: the default executes fp32 graphs in bf16 on processors that have it, without a word.
PRECISION_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
# For what an INT8 graph leaves in float, where the device has bf16: 5 to 15 % faster on nano and small, and its error
# (47 dB below the depth) is lost beside that of INT8 (30 to 40 dB).
INT8_REST_HINT = "bf16"
EXECUTED_PRECISIONS = {"f32": "fp32", "bf16": "bf16", "f16": "fp16", "i8": "int8", "u8": "int8"}
NOT_OPERATORS = frozenset({"Input", "Const", "Output"})


class OpenVinoRuntime(Runtime):
    """Runs an ONNX graph in OpenVINO, on the CPU unless another device is asked for as provider.

    What it made of a graph is kept in the user's cache folder for the next load (`ov_compiled`).

    What an INT8 graph leaves in float runs in bf16 on devices that have it, else in fp32; `info` tells.

    OpenVINO has one pool of worker threads for a process, bound by where it was first started. So all runtimes of
    a process share their `pin_cores`, and asking for others is an error. OpenVINO's own pinning is off: it chooses the
    cores itself and leaves the caller's thread bound.

    Raises:
        RuntimeUnavailableError: On `open`: no such device, no bf16 in it, or `pin_cores` differs from the pool's.
    """

    name: ClassVar[str] = "openvino"
    # Cores that the pool of this process was started on: a tuple, None for all, "" while it was not started.
    _pool_cores: ClassVar[str | tuple[int, ...] | None] = ""

    def __init__(self, artifact: VerifiedArtifact, options: RuntimeOptions) -> None:
        super().__init__(artifact, options)
        self._compiled: Any = None
        self._request: Any = None

    @classmethod
    def list_providers(cls) -> tuple[str, ...]:
        """Devices that OpenVINO finds."""
        return tuple(import_openvino().Core().available_devices)

    def _open(self) -> None:
        openvino = import_openvino()
        if self.options.pin_cores is not None:
            check_cores(self.options.pin_cores)
        core = openvino.Core()
        device = _find_device(core, self.options)
        self._claim_pool()
        try:
            with bind_caller(self.options.pin_cores):
                compiled = compile_or_read(openvino, core, self.artifact, device, _config(core, device, self.options))
        except RuntimeError as error:
            raise RuntimeUnavailableError(
                f"openvino cannot open artifact '{self.artifact.entry.name}' on {device}: "
                f"{' '.join(str(error).split())}. Fix: run 'pixio-edge verify' on the bundle, or choose another runtime"
            ) from error
        self._check_specs(_specs(compiled.inputs), _specs(compiled.outputs))
        self._compiled = compiled
        self._request = compiled.create_infer_request()

    def _run(self, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        with bind_caller(self.options.pin_cores):
            # Shared input: read in place, as the call is over before the caller can change it. Outputs are copies.
            results = self._request.infer(feeds, share_inputs=True, share_outputs=False)
        return {spec.name: results[spec.name] for spec in self.artifact.entry.outputs}

    def _close(self) -> None:
        self._request = None
        self._compiled = None

    def _info(self, *, profile: bool) -> RuntimeInfo:
        device = self._compiled.get_property("EXECUTION_DEVICES")[0]
        is_cpu = device == CPU_DEVICE
        return RuntimeInfo(
            runtime=self.name,
            version=import_openvino().__version__.partition("-")[0],
            device=device,
            precision=self.options.precision,
            threads=self._compiled.get_property("INFERENCE_NUM_THREADS") if is_cpu else self.options.thread_count,
            kernels=_count_kernels(self._compiled.get_runtime_model().get_ordered_ops()) if profile else None,
            fallbacks=() if profile else None,
        )

    def _claim_pool(self) -> None:
        wanted = self.options.pin_cores
        if OpenVinoRuntime._pool_cores == "":
            OpenVinoRuntime._pool_cores = wanted
        if OpenVinoRuntime._pool_cores != wanted:
            raise RuntimeUnavailableError(
                f"pin_cores: got {wanted}, but OpenVINO runs with {OpenVinoRuntime._pool_cores} in this process, "
                "expected the same. Fix: use one pin_cores for all, or a process for each"
            )


def _config(core: Any, device: str, options: RuntimeOptions) -> dict[str, Any]:
    hint = INT8_REST_HINT if options.precision == "int8" and _has_bf16(core, device) else None
    config: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": hint or PRECISION_HINTS[options.precision],
        "PERFORMANCE_HINT": "LATENCY",
    }
    if device == CPU_DEVICE:
        config |= {"INFERENCE_NUM_THREADS": options.thread_count, "ENABLE_CPU_PINNING": False}
    return config


def _find_device(core: Any, options: RuntimeOptions) -> str:
    device = (options.provider or CPU_DEVICE).upper()
    available = core.available_devices
    if device not in available:
        raise RuntimeUnavailableError(
            f"openvino provider '{options.provider}': no such device here, expected one of: {', '.join(available)}. "
            "Fix: choose one of these or another runtime, or install the driver of the device"
        )
    if options.precision not in PRECISION_HINTS:
        raise RuntimeUnavailableError(
            f"openvino: got precision '{options.precision}', expected one of: {', '.join(PRECISION_HINTS)}. "
            "Fix: choose one of these"
        )
    if options.precision == "bf16" and not _has_bf16(core, device):
        raise RuntimeUnavailableError(
            f"openvino: {device} of this host has no bf16 arithmetic, expected avx512_bf16 or amx. "
            "Fix: use precision fp32"
        )
    return device


def _has_bf16(core: Any, device: str) -> bool:
    return "BF16" in core.get_property(device, "OPTIMIZATION_CAPABILITIES")


def _specs(ports: Iterable[Any]) -> list[TensorSpec]:
    return [TensorSpec(port.get_any_name(), tuple(port.shape), port.element_type.to_dtype().name) for port in ports]


def _count_kernels(operators: Iterable[Any]) -> Counter[str]:
    """From the execution graph, which is what the plugin made of the model after all fusions."""
    kernels: Counter[str] = Counter()
    for operator in operators:
        facts = operator.get_rt_info()
        layer = facts["layerType"].astype(str)
        if layer not in NOT_OPERATORS:
            precision = facts["runtimePrecision"].astype(str)
            kernels[f"{layer}/{EXECUTED_PRECISIONS.get(precision, precision)}"] += 1
    return kernels
