"""The ways in which an artifact is run: a runtime, its typed graph, the MIL interpreter, or a build ahead of time."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pixio_edge.errors import CheckFailedError, MissingDependencyError, SpecError
from pixio_edge.runtimes.base import RuntimeOptions
from pixio_edge.runtimes.registry import make_runtime
from pixio_edge.runtimes.trt_library import load_library
from pixio_edge.verification.ladder import AHEAD_LIBRARY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pixio_edge.bundle import Bundle, VerifiedArtifact
    from pixio_edge.export.coreml.interpreter import InterpreterPrecision
    from pixio_edge.verification.ladder import Check

MIB = 1 << 20
TYPED_GRAPH = "typed graph in ONNX Runtime on the CPU, no engine"


@dataclass(frozen=True, slots=True)
class Ran:
    """One run.

    Args:
        depth: What came out, (1, h, w).
        how: What ran it, as it says itself.
    """

    depth: NDArray[Any]
    how: str


@dataclass(frozen=True, slots=True)
class Built:
    """One engine that was built and not run.

    Args:
        how: What built it, and for what.
        note: Size and contents of the engine.
    """

    how: str
    note: str


def execute(
    bundle: Bundle, check: Check, image: NDArray[np.uint8], *, threads: int | None, provider: str | None
) -> Ran:
    """Run one artifact on its stored image.

    Raises:
        BundleError: A file is damaged.
        MissingDependencyError: The engine is not installed.
        RuntimeUnavailableError: The engine cannot run this artifact here.
        SpecError: The graph is not what the manifest says.
    """
    verified = bundle.read_artifact(check.artifact)
    if check.means == "MIL interpreter":
        return _interpret(verified, check, image)
    if check.means == "typed graph":
        return _run_typed_graph(verified, image, threads)
    return _run(verified, check, image, RuntimeOptions(threads, precision=check.precision, provider=provider))


def build_ahead(bundle: Bundle, check: Check) -> Built:
    """Build an engine for a GPU that is not here, and keep nothing: the library's parser and builder take the graph.

    Raises:
        BundleError: A file is damaged.
        CheckFailedError: The library refuses the graph.
        MissingDependencyError: TensorRT for RTX is not installed.
        RuntimeUnavailableError: It does not build for this compute capability.
    """
    # Needs the onnx package, which a base install does not have; the caller asked whether it is there.
    from pixio_edge.engines.ahead import AheadRequest, build_ahead  # noqa: PLC0415

    artifact, capability = check.artifact, check.compute_capability or ""
    with tempfile.TemporaryDirectory() as folder:
        request = AheadRequest((capability,), Path(folder), (artifact.precision,), (artifact.size,))
        outcomes = build_ahead(bundle, request, progress=lambda share, phase: None, notify=lambda line: None)
    record = next((item.record for item in outcomes if item.artifact.name == artifact.name), None)
    if record is None:
        reason = next((item.reason for item in outcomes), "no engine came of it")
        raise CheckFailedError(f"{artifact.name} for SM {capability}: {reason}. Fix: export the bundle again")
    layers = ", ".join(f"{count} {name}" for name, count in sorted(record.layers.items()))
    how = f"{record.key.gpu.library} {record.key.gpu.version} built for SM {capability}, run on no GPU"
    return Built(how, f"{record.bytes / MIB:.1f} MiB in {record.build_s:.0f} s; products {layers or 'not listed'}")


def check_capabilities(capabilities: Sequence[str]) -> None:
    """Refuse a GPU that nothing here builds for, before any work.

    Raises:
        MissingDependencyError: TensorRT for RTX is not installed, or what reads its graphs.
        RuntimeUnavailableError: It does not build for one of them.
    """
    from pixio_edge.engines.build import find_capability  # noqa: PLC0415 - as above

    library = load_library(AHEAD_LIBRARY)
    if find_spec("onnx") is None:
        raise MissingDependencyError("onnx", AHEAD_LIBRARY, "building ahead of time")
    for capability in capabilities:
        find_capability(library, capability)


def _run_typed_graph(verified: VerifiedArtifact, image: NDArray[np.uint8], threads: int | None) -> Ran:
    # Not `OrtRuntime`: it lets ORT fuse for speed, and a fused typed graph is another one. Of nano, the error in fp16
    # came out at a third, and that in INT8 at 14 times of what the graph computes as written (onnxruntime 1.31).
    import onnx  # noqa: PLC0415 - as for `build_ahead`

    from pixio_edge.export.trt.emulation import run_typed  # noqa: PLC0415

    return Ran(run_typed(onnx.load(verified.path), [image], threads)[0], TYPED_GRAPH)


def _run(verified: VerifiedArtifact, check: Check, image: NDArray[np.uint8], options: RuntimeOptions) -> Ran:
    entry = verified.entry
    with make_runtime(check.runtime, verified, options) as runtime:
        info = runtime.info()
        outputs = runtime.run({entry.inputs[0].name: image})
    how = f"{info.runtime} {info.version} on {info.device} in {check.precision}"
    return Ran(outputs[entry.outputs[0].name], how)


def _interpret(verified: VerifiedArtifact, check: Check, image: NDArray[np.uint8]) -> Ran:
    # Needs torch and coremltools, which a base install does not have; the caller asked whether they are there.
    from pixio_edge.export.coreml.interpreter import MilInterpreter, load_program  # noqa: PLC0415

    entry = verified.entry
    program = load_program(package_folder(verified))
    precision: InterpreterPrecision = "fp16" if check.precision == "fp16" else "fp32"
    outputs = MilInterpreter(program, precision).run({entry.inputs[0].name: image})
    wanted = entry.outputs[0]
    found = outputs.get(wanted.name)
    # A Core ML image has two more axes of length 1 than the array of the same depth.
    if found is None or found.size != int(np.prod(wanted.shape)):
        shapes = {name: array.shape for name, array in outputs.items()}
        raise SpecError(
            f"artifact '{entry.name}': the program gives {shapes}, the manifest says {wanted.name} {wanted.shape}. "
            "Fix: export the bundle again"
        )
    emulated = "emulated fp16" if precision == "fp16" else precision
    return Ran(found.reshape(wanted.shape), f"MIL interpreter in {emulated}, not Core ML")


def package_folder(verified: VerifiedArtifact) -> Path:
    """The `.mlpackage` folder whose model file an artifact names.

    Raises:
        SpecError: The path is not inside of one.
    """
    for folder in verified.path.parents:
        if folder.suffix == ".mlpackage":
            return folder
    raise SpecError(
        f"artifact '{verified.entry.name}': got path '{verified.entry.path}', expected a file in an .mlpackage. "
        "Fix: export the bundle again"
    )
