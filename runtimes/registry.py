"""The runtimes by name. Adding one is a file with a `Runtime` subclass, a line here, and a contract test."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.nvidia import JETSON_FIX

if TYPE_CHECKING:
    from pixio_edge.bundle import VerifiedArtifact
    from pixio_edge.host import Host
    from pixio_edge.manifest import Precision
    from pixio_edge.runtimes.base import Runtime, RuntimeOptions


@dataclass(frozen=True, slots=True)
class RuntimeEntry:
    """What is known about a runtime without importing it.

    Args:
        module: Where its class is.
        class_name: Name of the class.
        kinds: Artifact kinds it runs.
        packages: Distributions of which one has to be installed.
        install: What to give to pip for it.
        executes: Precisions it can execute in, by precision of the artifact.
        providers: Precisions that it executes in on some providers alone, with the beginning of their names.
        on_jetson: What to do for it on a Jetson, where pip has nothing that fits; None where pip has.
    """

    module: str
    class_name: str
    kinds: tuple[str, ...]
    packages: tuple[str, ...]
    install: str
    executes: Mapping[Precision, tuple[Precision, ...]] = field(default_factory=dict)
    providers: Mapping[Precision, str] = field(default_factory=dict)
    system: str = ""
    on_jetson: str | None = None


RUNTIMES: Mapping[str, RuntimeEntry] = {
    "coreml": RuntimeEntry(
        module="pixio_edge.runtimes.coreml",
        class_name="CoreMlRuntime",
        kinds=("coreml",),
        packages=("coremltools",),
        install="pixio-edge[coreml]",
        executes={"fp32": ("fp32",), "fp16": ("fp16",), "int8": ("int8",)},
        system="Darwin",
    ),
    "openvino": RuntimeEntry(
        module="pixio_edge.runtimes.ov",
        class_name="OpenVinoRuntime",
        kinds=("onnx",),
        packages=("openvino",),
        install="pixio-edge[openvino]",
        executes={"fp32": ("fp32", "bf16"), "int8": ("int8",)},
    ),
    "ort": RuntimeEntry(
        module="pixio_edge.runtimes.ort",
        class_name="OrtRuntime",
        kinds=("onnx",),
        packages=(
            "onnxruntime",
            "onnxruntime-gpu",
            "onnxruntime-directml",
            "onnxruntime-openvino",
            "onnxruntime-qnn",
            "onnxruntime-rocm",
        ),
        install="onnxruntime",
        executes={"fp32": ("fp32",), "fp16": ("fp16",), "int8": ("int8",)},
    ),
    "pytorch": RuntimeEntry(
        module="pixio_edge.runtimes.pytorch",
        class_name="PyTorchRuntime",
        kinds=("safetensors",),
        packages=("torch",),
        install="pixio-edge[export]",
        executes={"fp32": ("fp32", "bf16", "fp16")},
        # On a processor torch has few kernels for it, and those that it has are slower than fp32.
        providers={"fp16": "cuda"},
    ),
    "tensorrt": RuntimeEntry(
        module="pixio_edge.runtimes.trt",
        class_name="TensorRtRuntime",
        kinds=("tensorrt",),
        packages=("tensorrt", "tensorrt-cu13", "tensorrt-cu12"),
        install="tensorrt",
        executes={"fp32": ("fp32",), "fp16": ("fp16",), "int8": ("int8",)},
        on_jetson=JETSON_FIX,
    ),
    "tensorrt-rtx": RuntimeEntry(
        module="pixio_edge.runtimes.trt",
        class_name="TensorRtRtxRuntime",
        kinds=("tensorrt",),
        packages=("tensorrt_rtx",),
        install="pixio-edge[tensorrt-rtx]",
        executes={"fp32": ("fp32",), "fp16": ("fp16",), "int8": ("int8",)},
    ),
}


SYSTEM_NAMES = {"Darwin": "macOS"}


@dataclass(frozen=True, slots=True)
class RuntimeStatus:
    """Whether a runtime can be used on a host.

    Args:
        usable: Whether its package is installed.
        reason: Why not, with the fix; or the package and version.
    """

    usable: bool
    reason: str


def runtime_status(host: Host) -> dict[str, RuntimeStatus]:
    """State for every known runtime whether it is usable and why; a pure function of the host."""
    return {name: _status(entry, host) for name, entry in RUNTIMES.items()}


def find_runtime(name: str) -> RuntimeEntry:
    """Look a runtime up.

    Raises:
        RuntimeUnavailableError: There is none of that name.
    """
    if name not in RUNTIMES:
        raise RuntimeUnavailableError(
            f"runtime '{name}': unknown, expected one of: {', '.join(RUNTIMES)}. Fix: choose one of these"
        )
    return RUNTIMES[name]


def reason_against_provider(name: str, precision: Precision, provider: str | None) -> str | None:
    """Why a runtime does not execute in a precision on a provider; None if it does, or finds out when it is opened.

    Args:
        name: Of the runtime.
        precision: To execute in.
        provider: As in `RuntimeOptions`; None is the CPU.

    Raises:
        RuntimeUnavailableError: There is no runtime of that name.
    """
    needed = find_runtime(name).providers.get(precision)
    if needed is None or (provider or "cpu").lower().startswith(needed):
        return None
    return f"executes {precision} on provider {needed} alone. Fix: provider '{needed}', or another precision"


def list_providers(name: str) -> tuple[str, ...]:
    """Import a runtime and ask what it can execute on here.

    Raises:
        MissingDependencyError: Its engine is not installed.
        RuntimeUnavailableError: There is none of that name.
    """
    return _load_class(name).list_providers()


def make_runtime(name: str, artifact: VerifiedArtifact, options: RuntimeOptions) -> Runtime:
    """Import a runtime and construct it, closed.

    Raises:
        RuntimeUnavailableError: There is none of that name, or it does not run artifacts of this kind.
    """
    entry = find_runtime(name)
    if artifact.entry.kind not in entry.kinds:
        raise RuntimeUnavailableError(
            f"runtime '{name}': got artifact '{artifact.entry.name}' of kind '{artifact.entry.kind}', expected one of: "
            f"{', '.join(entry.kinds)}. Fix: choose another artifact or runtime"
        )
    return _load_class(name)(artifact, options)


def _load_class(name: str) -> type[Runtime]:
    entry = find_runtime(name)
    runtime_class: type[Runtime] = getattr(importlib.import_module(entry.module), entry.class_name)
    return runtime_class


def _status(entry: RuntimeEntry, host: Host) -> RuntimeStatus:
    system = host.os.partition(" ")[0]
    if entry.system and system != entry.system:
        known = SYSTEM_NAMES.get(entry.system, entry.system)
        return RuntimeStatus(
            usable=False, reason=f"runs on {known} only, this is {system}. Fix: choose another runtime"
        )
    for package in entry.packages:
        if package in host.packages:
            return RuntimeStatus(usable=True, reason=f"{package} {host.packages[package]}")
    is_jetson = host.nvidia is not None and host.nvidia.l4t is not None
    fix = entry.on_jetson if is_jetson and entry.on_jetson else f"pip install '{entry.install}'"
    return RuntimeStatus(usable=False, reason=f"{entry.packages[0]} is not installed. Fix: {fix}")
