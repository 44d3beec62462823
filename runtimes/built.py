"""Which engines of a bundle this host has: looked up once, as plain values for the choice of a runtime."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixio_edge.engine_cache import explain_absence, find_engines, list_records
from pixio_edge.errors import PixioEdgeError
from pixio_edge.runtimes.registry import runtime_status
from pixio_edge.runtimes.trt import PROVIDER, find_gpu

if TYPE_CHECKING:
    from pixio_edge.engine_record import Library
    from pixio_edge.host import Host
    from pixio_edge.manifest import ArtifactEntry

ENGINE_KIND = "tensorrt"
"""`ArtifactEntry.kind` of graphs that run only as engines built on the device."""

ENGINE_RUNTIMES: tuple[Library, ...] = ("tensorrt", "tensorrt-rtx")
"""Runtimes of such engines, preferred first."""

BUILD_FIX = "Fix: pixio-edge build BUNDLE"


@dataclass(frozen=True, slots=True)
class EngineState:
    """What there is of an artifact for one runtime on this host.

    Args:
        absence: Why no engine of it can run here, with the fix; None if one can.
        passed_over: Why it is not the one to run at its size unless asked for; None if it is.
    """

    absence: str | None = None
    passed_over: str | None = None


Engines = Mapping[tuple[str, str], EngineState]
"""By name of the runtime and of the artifact; a pair that is not there has no engine."""


def probe_engines(
    artifacts: Sequence[ArtifactEntry], host: Host, *, runtime: str | None = None, provider: str | None = None
) -> Engines:
    """Look for engines of a bundle that were built and checked on this host.

    Starts CUDA only when there is an engine that might fit. Never raises: what prevents an engine is its state.

    Args:
        artifacts: Of one bundle.
        host: This machine.
        runtime: The only runtime of interest; None is all.
        provider: GPU, as for `RuntimeOptions`.
    """
    typed = [artifact for artifact in artifacts if artifact.kind == ENGINE_KIND]
    status = runtime_status(host)
    states: dict[tuple[str, str], EngineState] = {}
    for library in ENGINE_RUNTIMES:
        if typed and status[library].usable and runtime in (None, library):
            found = _states(typed, library, provider)
            states |= {(library, artifact.name): state for artifact, state in zip(typed, found, strict=True)}
    return states


def reason_against_engine(
    artifact: ArtifactEntry, runtime: str, engines: Engines, *, provider: str | None, is_precision_asked: bool
) -> str | None:
    """Why an engine runtime does not run an artifact; None if it does.

    Args:
        artifact: Of kind `ENGINE_KIND`.
        runtime: One of `ENGINE_RUNTIMES`.
        engines: From `probe_engines`.
        provider: What was asked for.
        is_precision_asked: Whether the precision was asked for: then the slower of two engines may run.
    """
    if provider is not None and provider.lower().partition(":")[0] != PROVIDER:
        return f"runs on {PROVIDER}, not on {provider}"
    state = engines.get((runtime, artifact.name))
    if state is None:
        return f"no engine was built on this host. {BUILD_FIX}"
    return state.absence if state.absence or is_precision_asked else state.passed_over


def reason_against_gaps(typed: Iterable[ArtifactEntry], runnable: Iterable[ArtifactEntry]) -> str | None:
    """Why engines are not taken unasked although some could run: images of other shapes would be squeezed.

    Args:
        typed: All artifacts of kind `ENGINE_KIND`, of the sizes that may be chosen.
        runnable: Those of them with an engine.
    """
    sizes, built = {artifact.size for artifact in typed}, {artifact.size for artifact in runnable}
    if built == sizes or not built:
        return None
    return f"engines for {len(built)} of {len(sizes)} sizes only, so not unless asked for. {BUILD_FIX}"


def _states(typed: Sequence[ArtifactEntry], library: Library, provider: str | None) -> list[EngineState]:
    try:
        if not any(record.key.gpu.library == library for item in typed for record in list_records(item)):
            return [EngineState(f"no engine was built on this host. {BUILD_FIX}")] * len(typed)
        _, gpu = find_gpu(library, provider)
    except PixioEdgeError as error:
        return [EngineState(str(error))] * len(typed)
    states = []
    for artifact in typed:
        found = find_engines(artifact, gpu)
        if not found:
            states.append(EngineState(explain_absence(artifact, gpu).removeprefix(f"artifact '{artifact.name}': ")))
        elif found[0].chosen:
            states.append(EngineState())
        else:
            states.append(EngineState(passed_over=found[0].reason or "another precision was chosen when it was built"))
    return states
