"""The parity ladder: which artifact is run how, in which order, and what a run has to say afterwards.

torch -> ONNX fp32 -> (bf16) -> fp16 -> INT8 -> engine or mlpackage. Every rung is held against the stored output of the
float model; beside that, its difference to the rung before says which step of the ladder costs what.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from pixio_edge.errors import InputError
from pixio_edge.runtimes.registry import RUNTIMES, find_runtime
from pixio_edge.sizes import size_label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pixio_edge.manifest import ArtifactEntry, Precision
    from pixio_edge.sizes import Size

Rung = Literal["torch", "fp32", "bf16", "fp16", "int8", "engine", "mlpackage"]
Means = Literal["runtime", "typed graph", "MIL interpreter", "ahead of time", "none"]
Status = Literal["ok", "failed", "skipped"]

RUNGS: tuple[Rung, ...] = ("torch", "fp32", "bf16", "fp16", "int8", "engine", "mlpackage")
# Executing an fp32 graph in bf16 is a side branch: nothing is derived from it, so nothing is compared with it.
CHAIN: tuple[Rung, ...] = ("torch", "fp32", "fp16", "int8")
INTERPRETER = "mil-interpreter"
INTERPRETED: tuple[Precision, ...] = ("fp32", "fp16")
AHEAD_LIBRARY = "tensorrt-rtx"
# One of each generation that TensorRT for RTX builds for and people have: Ampere, Ada, Blackwell desktop GPUs.
AHEAD_CAPABILITIES = ("8.6", "8.9", "12.0")


@dataclass(frozen=True, slots=True)
class Check:
    """One artifact, executed in one way.

    Args:
        artifact: What is run.
        means: "runtime" is the real thing; "typed graph" is the ONNX graph of an engine in ONNX Runtime; "MIL
            interpreter" computes a Core ML package away from macOS; "ahead of time" builds an engine and runs nothing;
            "none" is an artifact that nothing here can run.
        runtime: Name in `runtimes.registry.RUNTIMES`, or "mil-interpreter"; "-" for none.
        precision: What it is executed in.
        compute_capability: GPU that is built for, such as "8.6"; only ahead of time.
    """

    artifact: ArtifactEntry
    means: Means
    runtime: str
    precision: Precision
    compute_capability: str | None = None

    @property
    def rung(self) -> Rung:
        """Where on the ladder it is."""
        if self.artifact.kind == "coreml":
            return "mlpackage"
        if self.artifact.kind == "tensorrt" and self.means != "typed graph":
            return "engine"
        if self.artifact.kind == "safetensors" and self.precision == "fp32":
            return "torch"
        return self.precision

    @property
    def rungs_before(self) -> tuple[Rung, ...]:
        """Rungs that this one may be compared with, the nearest first; which run of them, `branch_distance` says."""
        if self.rung in CHAIN:
            below = CHAIN[: CHAIN.index(self.rung)]
        else:  # an engine, an mlpackage or a run in bf16 starts from the graph of the artifact's own precision
            own = self.artifact.computes_in
            below = CHAIN[: CHAIN.index(own) + 1] if own in CHAIN else CHAIN[:2]
        return tuple(reversed(below))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one check.

    Args:
        rung: Where on the ladder.
        artifact: Name of the artifact.
        runtime: What ran it, by the name of `Check.runtime`.
        precision: What it was executed in.
        how: What ran it, with version and device as it says itself; the plan if it did not run.
        against: What it was compared with; None if it was not.
        status: "skipped" says nothing about the artifact; "failed" is a breach, or a runtime that refuses it.
        note: Why it was skipped or failed, or what was built.
        max_rel: Largest difference to the stored output, relative to its largest value.
        mean_rel: Mean difference, relative to the same value.
        delta1: Share of pixels, 0..1, whose depth is within a factor of 1.25 of the stored one after alignment.
        measured: All that was measured, by the names in `parity.ParityReport`; infinities are None.
        allowed: Limits by their names in `parity.Tolerance`.
        margin: Measured difference as a share of what is allowed; up to 1 is inside.
        step_from: Rung and artifact of the step before, where there is one.
        step_max_rel: Largest difference to that, relative to its largest value.
    """

    rung: Rung
    artifact: str
    runtime: str
    precision: Precision
    how: str
    against: str | None
    status: Status
    note: str
    max_rel: float | None = None
    mean_rel: float | None = None
    delta1: float | None = None
    measured: Mapping[str, float | None] | None = None
    allowed: Mapping[str, float] | None = None
    margin: float | None = None
    step_from: str | None = None
    step_max_rel: float | None = None

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values; an infinite difference, of values that are not finite, is None."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }


def branch_distance(check: Check, below: Check) -> tuple[int, int, bool]:
    """How far a run of a rung below is from being what a check was made from; the smallest is the step before.

    The same kind in the same runtime differs in the step alone, so it comes first; then fp32 of the same kind, from
    which the other precisions are made; then fp32 of another kind, for typed graphs and packages that have no other
    beginning. Of equals the nearest rung, and graphs before those whose weights alone were made small.
    """
    is_kind = below.artifact.kind == check.artifact.kind
    is_runtime = below.runtime == check.runtime
    if is_kind and is_runtime:
        branch = 0
    elif below.rung == "fp32":
        branch = 1 if is_kind else 2 if is_runtime else 3
    else:
        branch = 4
    return branch, check.rungs_before.index(below.rung), below.artifact.precision != below.precision


def select_artifacts(
    artifacts: Sequence[ArtifactEntry], names: Sequence[str] = (), sizes: Sequence[Size] = ()
) -> list[ArtifactEntry]:
    """Artifacts by name and size.

    Args:
        artifacts: Of a bundle.
        names: Only these; empty takes all.
        sizes: Only of these (height, width); empty takes all.

    Raises:
        InputError: There is no such artifact, or none of that size.
    """
    known = {artifact.name: artifact for artifact in artifacts}
    for name in names:
        if name not in known:
            raise InputError(
                f"artifact '{name}': the bundle has none of that name, expected one of {', '.join(known)}. "
                "Fix: choose one of these"
            )
    chosen = [artifact for artifact in artifacts if not names or artifact.name in names]
    for size in sizes:
        if all(artifact.size != size for artifact in chosen):
            has = ", ".join(dict.fromkeys(size_label(artifact.size) for artifact in chosen))
            raise InputError(
                f"size {size_label(size)}: no artifact to verify has it, expected one of {has}. "
                "Fix: choose one of these"
            )
    return [artifact for artifact in chosen if not sizes or artifact.size in sizes]


def plan_checks(
    artifacts: Sequence[ArtifactEntry], wanted: Sequence[str] = (), compute_capabilities: Sequence[str] = ()
) -> list[Check]:
    """List what there is to check, in the order of the ladder, whether or not this host can do it.

    Args:
        artifacts: Of a bundle.
        wanted: Names of runtimes; empty for all. The stand-ins of a device (typed graph, MIL interpreter) count as the
            runtimes "ort" and "coreml".
        compute_capabilities: GPUs to build engines for ahead of time, such as "8.6"; empty builds nothing.

    Raises:
        InputError: Engines are asked for, and there are no graphs for them.
        RuntimeUnavailableError: A wanted runtime does not exist.
    """
    names = [name for name in (wanted or RUNTIMES) if find_runtime(name)]
    if compute_capabilities and all(artifact.kind != "tensorrt" for artifact in artifacts):
        raise InputError(
            "--ahead-of-time: got a bundle without graphs for TensorRT, expected one with some. "
            "Fix: pixio-edge export --format tensorrt BUNDLE -o FOLDER, then verify FOLDER"
        )
    checks: list[Check] = []
    for artifact in artifacts:
        found = [*_in_runtimes(artifact, names), *_stand_ins(artifact, names, is_explicit=bool(wanted))]
        if artifact.kind == "tensorrt":
            found += [
                Check(artifact, "ahead of time", AHEAD_LIBRARY, artifact.computes_in, capability)
                for capability in compute_capabilities
            ]
        if not found and not wanted:
            found = [Check(artifact, "none", "-", artifact.computes_in)]
        checks += found
    return sorted(checks, key=lambda check: RUNGS.index(check.rung))


def _in_runtimes(artifact: ArtifactEntry, names: Sequence[str]) -> list[Check]:
    """Every runtime that runs its kind, in every precision that the runtime executes it in."""
    return [
        Check(artifact, "runtime", name, precision)
        for name in names
        if artifact.kind in RUNTIMES[name].kinds
        for precision in RUNTIMES[name].executes.get(artifact.computes_in, ())
    ]


def _stand_ins(artifact: ArtifactEntry, names: Sequence[str], *, is_explicit: bool) -> list[Check]:
    """What can be run of an artifact without the device that it is for."""
    if artifact.kind == "tensorrt" and "ort" in names:
        return [Check(artifact, "typed graph", "ort", artifact.computes_in)]
    if artifact.kind == "coreml" and ("coreml" in names or not is_explicit):
        return [Check(artifact, "MIL interpreter", INTERPRETER, precision) for precision in INTERPRETED]
    return []
