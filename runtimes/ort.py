"""ONNX Runtime."""

from __future__ import annotations

import importlib
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.runtimes.base import Runtime, RuntimeInfo, RuntimeOptions
from pixio_edge.runtimes.pinning import bind_caller, check_cores
from pixio_edge.tensor import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import ModuleType

    from numpy.typing import NDArray

    from pixio_edge.bundle import VerifiedArtifact

CPU_PROVIDER = "CPUExecutionProvider"
# Short names for the command line; ORT's own names are taken too.
PROVIDERS = {
    "cpu": CPU_PROVIDER,
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "qnn": "QNNExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
}
# What runs the nodes that a provider does not take, before the CPU does: on an NVIDIA GPU they should stay there.
COMPANIONS = {"TensorrtExecutionProvider": "CUDAExecutionProvider"}
# ORT computes fp32 products in TF32, with 10 bits of mantissa, on GPUs that have it, without a word (ORT pull request
# 19357, which brought the option). Precision fp32 means fp32 here.
PROVIDER_OPTIONS = {"CUDAExecutionProvider": {"use_tf32": "0"}}
DTYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32", "tensor(float16)": "float16", "tensor(int8)": "int8"}
# ORT's names for element types in a profile. INT8 kernels are known by their operator as well, because the
# dynamically quantised ones take float input.
PROFILE_PRECISIONS = {"float": "fp32", "float16": "fp16", "bfloat16": "bf16", "uint8": "int8", "int8": "int8"}
INT8_OPERATORS = frozenset(
    {
        "ConvInteger",
        "DynamicQuantizeLSTM",
        "DynamicQuantizeMatMul",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "QAttention",
        "QGemm",
        "QLinearAdd",
        "QLinearConv",
        "QLinearMatMul",
        "QLinearMul",
        "QLinearSigmoid",
    }
)
LOG_ERRORS_ONLY = 3


class OrtRuntime(Runtime):
    """Runs an ONNX graph in ONNX Runtime, on the CPU unless another provider is asked for.

    External weights are read by ORT from the bundle folder; ORT refuses locations outside it (tested in
    `tests/contracts/test_ort.py`).

    Raises:
        RuntimeUnavailableError: On `open`: the provider is not in this build of ORT, or did not start.
    """

    name: ClassVar[str] = "ort"

    def __init__(self, artifact: VerifiedArtifact, options: RuntimeOptions) -> None:
        super().__init__(artifact, options)
        self._session: Any = None
        self._output_names: list[str] = []
        self._profiled: tuple[Counter[str], tuple[str, ...], Counter[str]] | None = None

    @classmethod
    def list_providers(cls) -> tuple[str, ...]:
        """Providers built into the installed onnxruntime; whether their drivers are there shows on `open`."""
        return tuple(_import_ort().get_available_providers())

    def _open(self) -> None:
        ort = _import_ort()
        if self.options.pin_cores is not None:
            check_cores(self.options.pin_cores)
        session = self._make_session(ort, _session_options(ort, self.options))
        self._check_specs(_specs(session.get_inputs()), _specs(session.get_outputs()))
        self._output_names = [output.name for output in session.get_outputs()]
        self._session = session

    def _run(self, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        # `run` allocates new output arrays each time. I/O binding to one buffer would alias them, and saves nothing:
        # 44.4 ms of processor time against 44.1 ms (a ViT-Ti at 256x256, 1 thread, onnxruntime 1.31).
        # ORT binds the threads of its pool, but not the caller, which works on the same operators.
        caller = None if self.options.pin_cores is None else self.options.pin_cores[:1]
        with bind_caller(caller):
            outputs = self._session.run(self._output_names, feeds)
        return dict(zip(self._output_names, outputs, strict=True))

    def _close(self) -> None:
        self._session = None
        self._output_names = []
        self._profiled = None

    def _info(self, *, profile: bool) -> RuntimeInfo:
        if profile and self._profiled is None:
            self._profiled = self._profile()
        kernels, fallbacks, nodes = self._profiled if self._profiled is not None else (None, None, None)
        return RuntimeInfo(
            runtime=self.name,
            version=_import_ort().__version__,
            device=self._session.get_providers()[0],
            precision=self.artifact.entry.computes_in,
            threads=self._session.get_session_options().intra_op_num_threads,
            kernels=kernels,
            fallbacks=fallbacks,
            nodes=nodes,
        )

    def _make_session(self, ort: ModuleType, options: Any) -> Any:
        """Create a session and make sure that it runs on the provider asked for: ORT itself would only log."""
        provider = _find_provider(ort, self.options.provider)
        names = with_companions(provider, ort.get_available_providers())
        providers = [(name, PROVIDER_OPTIONS.get(name, {})) for name in names]
        try:
            session = ort.InferenceSession(str(self.artifact.path), sess_options=options, providers=providers)
        except Exception as error:  # ORT's exceptions share no base class but this one
            reason = " ".join(str(error).split())
            raise RuntimeUnavailableError(
                f"ort {ort.__version__} cannot open artifact '{self.artifact.entry.name}' on {provider}: {reason}. "
                "Fix: run 'pixio-edge verify' on the bundle, or choose another runtime"
            ) from error
        session.disable_fallback()
        if session.get_providers()[0] != provider:
            raise RuntimeUnavailableError(
                f"ort provider {provider}: did not start and ORT chose {session.get_providers()[0]}, expected "
                f"{provider}. Fix: install its driver and libraries, or choose provider 'cpu'"
            )
        return session

    def _profile(self) -> tuple[Counter[str], tuple[str, ...], Counter[str]]:
        """Execute once on zeros in a second session with profiling on, so the hot path carries no profiler."""
        ort = _import_ort()
        feeds = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in self.artifact.entry.inputs}
        with tempfile.TemporaryDirectory() as folder:
            options = _session_options(ort, self.options)
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder) / "profile")
            session = self._make_session(ort, options)
            session.run(None, feeds)
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        return _count_kernels(events, self._session.get_providers()[0])


def _session_options(ort: ModuleType, options: RuntimeOptions) -> Any:
    session = ort.SessionOptions()
    session.intra_op_num_threads = options.thread_count
    # One graph branch at a time: our graphs are chains, and a second pool would compete for the same cores.
    session.inter_op_num_threads = 1
    session.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    session.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session.log_severity_level = LOG_ERRORS_ONLY
    # Shapes are static, so ORT can plan all activations into one block once, and the arena holds it between calls:
    # memory stays flat, and each of the two saves 2 % (45.3 against 44.1 ms) for 6 MiB (same model as above).
    session.enable_mem_pattern = True
    session.enable_cpu_mem_arena = True
    if options.pin_cores is not None and len(options.pin_cores) > 1:
        session.add_session_config_entry("session.intra_op_thread_affinities", _affinities(options.pin_cores))
    return session


def _affinities(cores: Sequence[int]) -> str:
    """ORT's pool has one thread less than asked for, as the caller works too; it numbers processors from 1."""
    return ";".join(str(core + 1) for core in cores[1:])


def _find_provider(ort: ModuleType, name: str | None) -> str:
    available = ort.get_available_providers()
    provider = PROVIDERS.get((name or "cpu").lower(), name)
    if provider not in available:
        raise RuntimeUnavailableError(
            f"ort provider '{name}': not in this build of onnxruntime {ort.__version__}, expected one of: "
            f"{', '.join(available)}. Fix: choose one of these, or install the onnxruntime package that has it"
        )
    return str(provider)


def with_companions(provider: str, available: Sequence[str]) -> list[str]:
    """A provider and those that take the nodes it cannot run, in that order; `RuntimeInfo.fallbacks` counts them."""
    wanted = (provider, COMPANIONS.get(provider, provider), CPU_PROVIDER)
    return [name for name in dict.fromkeys(wanted) if name in available]


def _specs(nodes: Iterable[Any]) -> list[TensorSpec]:
    return [TensorSpec(node.name, tuple(node.shape), DTYPES.get(node.type, node.type)) for node in nodes]


def _count_kernels(events: Iterable[dict[str, Any]], device: str) -> tuple[Counter[str], tuple[str, ...], Counter[str]]:
    """Operators with their precision, those that ran elsewhere than on `device`, and how many ran on each provider."""
    kernels: Counter[str] = Counter()
    nodes: Counter[str] = Counter()
    elsewhere: set[str] = set()
    for event in events:
        if event.get("cat") != "Node" or not event["name"].endswith("_kernel_time"):
            continue
        arguments = event["args"]
        operator, provider = arguments["op_name"], arguments["provider"]
        kernels[f"{operator}/{_precision_of(operator, arguments.get('input_type_shape', []))}"] += 1
        nodes[provider] += 1
        if provider != device:
            elsewhere.add(f"{operator} on {provider}")
    return kernels, tuple(sorted(elsewhere)), nodes


def _precision_of(operator: str, inputs: Sequence[dict[str, Any]]) -> str:
    if operator in INT8_OPERATORS:
        return "int8"
    first = next(iter(inputs[0]), "") if inputs else ""
    return PROFILE_PRECISIONS.get(first, first or "unknown")


def _import_ort() -> ModuleType:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"runtime 'ort': onnxruntime cannot be imported ({error}). Fix: pip install onnxruntime"
        ) from error
