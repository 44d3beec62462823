"""The choice of artifact, runtime and precision: a pure function that explains itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.quantization import WEIGHTS_FLAVOUR
from pixio_edge.runtimes.built import ENGINE_KIND, ENGINE_RUNTIMES, reason_against_engine, reason_against_gaps
from pixio_edge.runtimes.registry import RUNTIMES, RuntimeStatus, find_runtime, reason_against_provider, runtime_status
from pixio_edge.sizes import size_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pixio_edge.host import Host
    from pixio_edge.manifest import ArtifactEntry, Precision
    from pixio_edge.runtimes.built import Engines

# What runs when nothing is asked for and no INT8 artifact is known to win. bf16 is never chosen unless asked for: it
# changes the result without a gate that has looked at it.
DEFAULT_PRECISION: Precision = "fp32"
CPU_PROVIDER = "cpu"
# Formats whose files are made for one precision each, and run in nothing else.
OWN_PRECISION_KINDS = (ENGINE_KIND, "coreml")


@dataclass(frozen=True, slots=True)
class RuntimeRequest:
    """What the caller insists on; None leaves the choice open.

    Args:
        runtime: Name in `registry.RUNTIMES`.
        precision: Precision to execute in; None takes int8 where the bundle has measured that it wins, else fp32.
        size: Input (height, width) in pixels.
        allow_unverified: Whether artifacts that never ran on real hardware may be chosen.
        provider: Device library inside the runtime; None is the CPU.
    """

    runtime: str | None = None
    precision: Precision | None = None
    size: tuple[int, int] | None = None
    allow_unverified: bool = False
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why one artifact is not run by one runtime."""

    artifact: str
    runtime: str
    reason: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """A choice with its reasons.

    Args:
        runtime: The chosen runtime.
        precision: Precision it executes in; engines of other sizes may be in another: see `precision_of`.
        ladder: Chosen artifacts, one for each input size, in the order of the manifest.
        rejected: All other pairs of artifact and runtime that were looked at.
    """

    runtime: str
    precision: Precision
    ladder: tuple[ArtifactEntry, ...]
    rejected: tuple[Rejection, ...]

    @property
    def chosen(self) -> ArtifactEntry:
        """The first of the ladder: what runs when the size does not matter."""
        return self.ladder[0]

    def precision_of(self, artifact: ArtifactEntry) -> Precision:
        """Precision that one of the ladder is executed in."""
        return artifact.computes_in if artifact.kind in OWN_PRECISION_KINDS else self.precision


@dataclass(frozen=True, slots=True)
class _Question:
    """Who asks for what, where."""

    host: Host
    request: RuntimeRequest
    engines: Engines
    status: dict[str, RuntimeStatus]


def resolve(
    artifacts: Sequence[ArtifactEntry], host: Host, request: RuntimeRequest, engines: Engines | None = None
) -> Resolution:
    """Choose the runtime and the artifacts it will run.

    Runtimes are tried in the order of preference of the host; the first with an acceptable artifact is chosen, and its
    artifacts of the same kind, stored precision and flavour as that one make up the ladder. When no precision is asked
    for, that is the INT8 ladder of the runtime if it was verified, was measured to be faster than float in this
    runtime, covers every size, and this processor has the instructions that it was measured with; else fp32. A runtime
    with such a ladder goes before those without one, and engines that were built and checked on this host for every
    size go before all else: of each size, that of the precision which was chosen when they were built.

    Args:
        artifacts: Of one bundle.
        host: The machine to choose for.
        request: What the caller insists on.
        engines: From `runtimes.built.probe_engines`; None is none.

    Raises:
        RuntimeUnavailableError: Nothing fits; the message gives the reasons.
    """
    if request.runtime is not None:
        find_runtime(request.runtime)
    _check_size(artifacts, request.size)
    question = _Question(host, request, engines or {}, runtime_status(host))
    rejected: list[Rejection] = []
    chosen: list[ArtifactEntry] = []
    chosen_runtime = ""
    against = {
        runtime: _reasons_against_all(artifacts, runtime, question)
        for runtime in _by_preference(artifacts, host, request)
    }
    for runtime in sorted(against, key=lambda name: _order(name, artifacts, against[name])):
        for artifact in sorted(artifacts, key=_rank):
            reason = against[runtime][artifact.name]
            if reason is None and chosen:
                reason = _reason_for_another(artifact, runtime, chosen, chosen_runtime)
            if reason is None:
                chosen.append(artifact)
                chosen_runtime = runtime
            else:
                rejected.append(Rejection(artifact.name, runtime, reason))
    if not chosen:
        raise RuntimeUnavailableError(_nothing_fits(rejected, request))
    return Resolution(chosen_runtime, _executed(chosen[0], request), tuple(chosen), tuple(rejected))


def preferred_runtimes(host: Host) -> tuple[str, ...]:
    """Runtimes that may be chosen unasked, best first: on x86 OpenVINO was the fastest CPU engine that we measured."""
    return ("openvino", "ort") if host.is_x86 else ("ort", "openvino")


def _check_size(artifacts: Sequence[ArtifactEntry], size: tuple[int, int] | None) -> None:
    sizes = dict.fromkeys(artifact.size for artifact in artifacts)
    if size is not None and size not in sizes:
        known = ", ".join(map(size_label, sizes)) or "none"
        raise RuntimeUnavailableError(
            f"size: got {size_label(size)}, expected one of {known} (height x width). Fix: choose one of these, "
            "or leave it out to take the nearest in shape"
        )


def _by_preference(artifacts: Sequence[ArtifactEntry], host: Host, request: RuntimeRequest) -> tuple[str, ...]:
    if request.runtime is not None:
        return (request.runtime,)
    has_engines = any(artifact.kind == ENGINE_KIND for artifact in artifacts)
    return (*(ENGINE_RUNTIMES if has_engines else ()), *preferred_runtimes(host))


def _order(runtime: str, artifacts: Sequence[ArtifactEntry], reasons: dict[str, str | None]) -> tuple[bool, bool]:
    """Sorts runtimes that are equally preferred: those with an engine, then those with an INT8 artifact that wins."""
    runnable = [artifact for artifact in artifacts if reasons[artifact.name] is None]
    has_int8 = any(artifact.computes_in == "int8" for artifact in runnable)
    return not (runtime in ENGINE_RUNTIMES and runnable), not has_int8


def _reasons_against_all(
    artifacts: Sequence[ArtifactEntry], runtime: str, question: _Question
) -> dict[str, str | None]:
    """By name, why an artifact is not taken in this runtime, if there were no other runtime."""
    request = question.request
    reasons = {a.name: _reason_against(a, runtime, question) for a in artifacts}
    runnable = [artifact for artifact in artifacts if reasons[artifact.name] is None]
    if runtime in ENGINE_RUNTIMES:
        typed = [a for a in artifacts if a.kind == ENGINE_KIND and request.size in (None, a.size)]
        gaps = reason_against_gaps(typed, runnable) if request.runtime is None else None
        return reasons | {artifact.name: gaps for artifact in runnable}
    if request.precision is None:
        reasons |= _reasons_against_default_int8(runnable, runtime, question)
    return reasons


def _reason_against(artifact: ArtifactEntry, runtime: str, question: _Question) -> str | None:
    """Why this pair cannot run or was not asked for; None if it can."""
    host, request, status = question.host, question.request, question.status[runtime]
    entry = RUNTIMES[runtime]
    precision = _executed(artifact, request)
    reasons = (
        # First, so that nobody is sent to install what would not run it.
        (artifact.kind not in entry.kinds, f"runs {', '.join(entry.kinds)}, not {artifact.kind}"),
        (not status.usable, status.reason),
        (runtime not in artifact.requires.runtimes, f"was built for {', '.join(artifact.requires.runtimes)}"),
        (
            precision not in entry.executes.get(artifact.computes_in, ()),
            f"does not execute {_kind_of_graph(artifact)} in {precision}",
        ),
        (precision == "bf16" and host.lacks_bf16, "this processor has no bf16 arithmetic"),
        ((on_provider := reason_against_provider(runtime, precision, request.provider)) is not None, on_provider or ""),
        (host.lacks(artifact.requires.isa), f"this processor has none of {', '.join(artifact.requires.isa)}"),
        (
            request.size is not None and request.size != artifact.size,
            f"size {size_label(artifact.size)}, asked for {size_label(request.size or artifact.size)}",
        ),
        (
            runtime not in ENGINE_RUNTIMES and not artifact.verified and not request.allow_unverified,
            "never verified on real hardware; allow_unverified is off",
        ),
    )
    found = next((reason for applies, reason in reasons if applies), None)
    if found is None and runtime in ENGINE_RUNTIMES:
        # What counts is the engine, which was checked on this GPU, and not the graph it was built from.
        asked = request.precision is not None
        return reason_against_engine(
            artifact, runtime, question.engines, provider=request.provider, is_precision_asked=asked
        )
    return found


def _reasons_against_default_int8(
    runnable: Sequence[ArtifactEntry], runtime: str, question: _Question
) -> dict[str, str | None]:
    """Why INT8 artifacts that could run are not taken unasked: not known to win here, or not for every size."""
    against = {a.name: _reason_not_to_win(a, runtime, question) for a in runnable if a.computes_in == "int8"}
    sizes = {artifact.size for artifact in runnable}
    winners = [artifact for artifact in runnable if against.get(artifact.name, "") is None]
    for artifact in winners:
        covered = {winner.size for winner in winners if winner.flavour == artifact.flavour}
        if covered != sizes:
            against[artifact.name] = f"INT8 for {len(covered)} of {len(sizes)} sizes only, so not unless asked for"
    return against


def _reason_not_to_win(artifact: ArtifactEntry, runtime: str, question: _Question) -> str | None:
    host, request = question.host, question.request
    speed, isa = artifact.speed_in(runtime), artifact.requires.isa
    if speed is None or speed.speedup <= 1.0:
        return f"INT8 that was not measured to be faster in {runtime}, so not unless asked for"
    if (request.provider or CPU_PROVIDER).lower() != CPU_PROVIDER:
        return f"INT8 that was measured on the CPU and not on {request.provider}, so not unless asked for"
    if not host.has(isa):
        wanted = ", ".join(isa) or "none stated"
        return f"INT8 that wins with instructions ({wanted}) not known to exist here, so not unless asked for"
    return None


def _rank(artifact: ArtifactEntry) -> int:
    """INT8 before float, as it is acceptable only where it wins or was asked for; small weights alone come last."""
    return 2 if artifact.flavour == WEIGHTS_FLAVOUR else int(artifact.precision != "int8")


def _executed(artifact: ArtifactEntry, request: RuntimeRequest) -> Precision:
    """Precision that an artifact would be executed in."""
    if artifact.kind in OWN_PRECISION_KINDS:
        return request.precision or artifact.computes_in
    return request.precision or ("int8" if artifact.computes_in == "int8" else DEFAULT_PRECISION)


def _kind_of_graph(artifact: ArtifactEntry) -> str:
    if artifact.computes_in != artifact.precision:
        return f"an {artifact.computes_in} graph with {artifact.precision} weights"
    return f"a {artifact.precision} artifact"


def _reason_for_another(
    artifact: ArtifactEntry, runtime: str, ladder: Sequence[ArtifactEntry], chosen_runtime: str
) -> str | None:
    chosen = ladder[0]
    if runtime != chosen_runtime:
        return f"{chosen_runtime} is preferred on this host"
    if runtime in ENGINE_RUNTIMES:
        # Which precision is the faster may differ from size to size.
        same = next((other.name for other in ladder if other.size == artifact.size), None)
        return None if same is None else f"'{same}' is run at this size"
    speed = chosen.speed_in(runtime)
    if speed is not None and artifact.precision != chosen.precision:
        return f"'{chosen.name}' was measured {speed.speedup:.2f} times as fast"
    if (artifact.kind, artifact.precision, artifact.flavour) != (chosen.kind, chosen.precision, chosen.flavour):
        return f"'{chosen.name}' comes first in the bundle"
    return None


def _nothing_fits(rejected: Sequence[Rejection], request: RuntimeRequest) -> str:
    size = "" if request.size is None else f", size {size_label(request.size)}"
    wanted = f"runtime {request.runtime or 'any'}, precision {request.precision or 'any'}{size}"
    # The sizes of a ladder mostly fail for one reason, said once; advice of a reason stands at the end, before ours.
    alike: dict[tuple[str, str], list[str]] = {}
    fixes: list[str] = []
    for item in rejected:
        reason, _, fix = item.reason.partition("Fix: ")
        alike.setdefault((item.runtime, reason.rstrip(". ")), []).append(item.artifact)
        fixes += {fix} - {"", *fixes}
    told = [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''} in {runtime}: {reason}"
        for (runtime, reason), names in alike.items()
    ]
    fixes.append("ask for another runtime, precision or size; 'pixio-edge doctor' lists what this host can run")
    reasons = "; ".join(told) or "the bundle has no artifacts"
    return f"no artifact of this bundle can run as asked ({wanted}): {reasons}. Fix: {'; or '.join(fixes)}"
