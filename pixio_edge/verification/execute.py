"""The ways in which an artifact is run: a runtime, its typed graph, the MIL interpreter, or a build ahead of time."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pixio_edge.errors import SpecError
from pixio_edge.runtimes.base import RuntimeOptions
from pixio_edge.runtimes.registry import make_runtime

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pixio_edge.bundle import Bundle, VerifiedArtifact
    from pixio_edge.verification.ladder import Check


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
        return _run(as_onnx(verified), check, image, RuntimeOptions(threads, precision=check.precision), "typed graph")
    return _run(verified, check, image, RuntimeOptions(threads, precision=check.precision, provider=provider), "")


def build_ahead(bundle: Bundle, check: Check) -> Built:
    """Build an engine for a GPU that is not here, and keep nothing: the library's parser and builder take the graph.

    Raises:
        NotImplementedError: Until the builder is there.
    """
    raise NotImplementedError(bundle.folder, check.compute_capability)


def as_onnx(verified: VerifiedArtifact) -> VerifiedArtifact:
    """The typed graph of an engine as what it also is: an ONNX graph, whose files were hashed already."""
    return dataclasses.replace(verified, entry=verified.entry.model_copy(update={"kind": "onnx"}))


def _run(
    verified: VerifiedArtifact, check: Check, image: NDArray[np.uint8], options: RuntimeOptions, remark: str
) -> Ran:
    entry = verified.entry
    with make_runtime(check.runtime, verified, options) as runtime:
        info = runtime.info()
        outputs = runtime.run({entry.inputs[0].name: image})
    how = f"{info.runtime} {info.version} on {info.device} in {check.precision}"
    return Ran(outputs[entry.outputs[0].name], f"{how}, {remark}" if remark else how)


def _interpret(verified: VerifiedArtifact, check: Check, image: NDArray[np.uint8]) -> Ran:
    # Needs torch and coremltools, which a base install does not have; the caller asked whether they are there.
    from pixio_edge.export.coreml.interpreter import MilInterpreter, load_program  # noqa: PLC0415

    entry = verified.entry
    program = load_program(package_folder(verified))
    outputs = MilInterpreter(program, precision=check.precision).run({entry.inputs[0].name: image})
    wanted = entry.outputs[0]
    found = outputs.get(wanted.name)
    # A Core ML image has two more axes of length 1 than the array of the same depth.
    if found is None or found.size != int(np.prod(wanted.shape)):
        shapes = {name: array.shape for name, array in outputs.items()}
        raise SpecError(
            f"artifact '{entry.name}': the program gives {shapes}, the manifest says {wanted.name} {wanted.shape}. "
            "Fix: export the bundle again"
        )
    emulated = "emulated fp16" if check.precision == "fp16" else check.precision
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
