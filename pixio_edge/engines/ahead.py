"""Engines for GPUs that are not here, built ahead of time with TensorRT for RTX: it needs no GPU for that.

They are not checked: nothing on this host can run them. Each lies in the output folder beside its record, in which
`passed` is None, and a second file lists its layers. What such a build proves is that the library takes the graph, and
which layers multiply in which type.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pixio_edge.engine_cache import (
    EngineKey,
    EngineRecord,
    HostGpu,
    artifact_digest,
    engine_path,
    list_records,
    load_engine,
    store,
)
from pixio_edge.engines.build import build_engine, find_capability
from pixio_edge.engines.outcome import Outcome
from pixio_edge.engines.plan import plan_jobs
from pixio_edge.engines.record import make_record
from pixio_edge.errors import OutputError, RuntimeUnavailableError
from pixio_edge.files import write_text_atomic
from pixio_edge.runtimes.trt_layers import EngineLayer, count_precisions
from pixio_edge.runtimes.trt_library import library_version, load_library

if TYPE_CHECKING:
    from types import ModuleType

    from pixio_edge.bundle import Bundle
    from pixio_edge.engine_record import Library
    from pixio_edge.engines.build import Progress
    from pixio_edge.engines.device import Notify
    from pixio_edge.engines.outcome import Status
    from pixio_edge.engines.plan import Job
    from pixio_edge.manifest import Precision
    from pixio_edge.sizes import Size

LIBRARY: Library = "tensorrt-rtx"
LAYERS_SUFFIX = ".layers.json"
UNCHECKED = "built ahead of time, checked on no GPU"


@dataclass(frozen=True, slots=True)
class AheadRequest:
    """What to build.

    Args:
        capabilities: Compute capabilities, such as "8.6".
        output: Folder for engines, records and layers.
        precisions: Only these; all if empty.
        sizes: Only these; all if empty.
        force: Whether to build again what is there.
    """

    capabilities: tuple[str, ...]
    output: Path
    precisions: tuple[Precision, ...] = ()
    sizes: tuple[Size, ...] = ()
    force: bool = False


def build_ahead(bundle: Bundle, request: AheadRequest, *, progress: Progress, notify: Notify) -> tuple[Outcome, ...]:
    """Build every engine for every compute capability; what is in the folder and whole is not built again.

    Args:
        bundle: With typed graphs.
        request: What.
        progress: Told the share of everything that is done, 0..1, and what is under way.
        notify: Told what else happens.

    Raises:
        BundleError: A file of the bundle is damaged.
        InputError: It has no such graphs.
        KeyboardInterrupt: Every engine that was finished is in the folder.
        MissingDependencyError: TensorRT for RTX is not installed.
        OutputError: The folder cannot be created or written.
        RuntimeUnavailableError: A compute capability is not one that the library builds for.
    """
    library = load_library(LIBRARY)
    jobs = _jobs(library, bundle, request)
    _create_shared(request.output)
    outcomes = []
    for index, (capability, job) in enumerate(jobs):
        label = f"SM {capability} {job.artifact.name}"

        def part(share: float, phase: str, index: int = index, label: str = label) -> None:
            progress((index + share) / len(jobs), f"{label}: {phase}")

        outcomes.append(_one(library, bundle, job, request, progress=part, notify=notify))
        notify(f"{index + 1}/{len(jobs)} {label}: {_said(outcomes[-1])}")
    return tuple(outcomes)


def preview_ahead(bundle: Bundle, request: AheadRequest) -> tuple[Outcome, ...]:
    """What `build_ahead` would do, without building or writing.

    Raises:
        As for `build_ahead`.
    """
    library = load_library(LIBRARY)
    outcomes = []
    for capability, job in _jobs(library, bundle, request):
        cached = None if request.force else _whole(job, _key(library, job), request.output, lambda text: None)
        if cached is None:
            outcomes.append(Outcome(job.artifact, "planned", None, "would be built", target=capability))
        else:
            outcomes.append(_outcome(job, cached, "cached", request.output))
    return tuple(outcomes)


def _jobs(library: ModuleType, bundle: Bundle, request: AheadRequest) -> list[tuple[str, Job]]:
    for capability in request.capabilities:
        find_capability(library, capability)
    return [
        (capability, job)
        for capability in request.capabilities
        for group in plan_jobs(
            bundle, precisions=request.precisions, sizes=request.sizes, compute_capability=capability
        )
        for job in group
    ]


def layers_path(engine: Path) -> Path:
    """Where the layers of an engine are listed."""
    return engine.with_name(engine.stem + LAYERS_SUFFIX)


def _one(
    library: ModuleType, bundle: Bundle, job: Job, request: AheadRequest, *, progress: Progress, notify: Notify
) -> Outcome:
    key = _key(library, job)
    cached = None if request.force else _whole(job, key, request.output, notify)
    if cached is not None:
        return _outcome(job, cached, "cached", request.output)
    graph = bundle.read_artifact(job.artifact).path
    try:
        built = build_engine(library, graph, job.settings, progress=progress, lists=True)
    except RuntimeUnavailableError as error:
        return Outcome(job.artifact, "failed", None, str(error), target=_capability(job))
    layers = count_precisions(built.layers)
    record = make_record(job.artifact, key, built.data, build_s=built.build_s, layers=layers, reason=UNCHECKED)
    path = engine_path(record, folder=request.output)
    _create_shared(path.parent)
    # The record comes last: what has one is whole.
    write_text_atomic(layers_path(path), layers_text(built.layers))
    store(record, built.data, folder=request.output)
    return _outcome(job, record, "built", request.output)


def _create_shared(folder: Path) -> None:
    """Create a folder that is to be carried to another machine: with the mode that the user gives new folders.

    Raises:
        OutputError: It cannot be created or written, or is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_writable = os.access(folder, os.W_OK)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(
            f"--output: cannot create folder {folder}: {reason}. Fix: name another folder with --output"
        ) from error
    if not is_writable:
        raise OutputError(f"--output: {folder} is read-only, expected a folder to write to. Fix: name another one")


def layers_text(layers: Sequence[EngineLayer]) -> str:
    """Layers as JSON, one on each line: name, kind, types in and out, graph nodes."""
    lines = [
        json.dumps(
            {
                "name": layer.name,
                "kind": layer.kind,
                "inputs": layer.inputs,
                "outputs": layer.outputs,
                "nodes": layer.nodes,
            }
        )
        for layer in layers
    ]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _whole(job: Job, key: EngineKey, folder: Path, notify: Notify) -> EngineRecord | None:
    for record in list_records(job.artifact, folder=folder):
        if record.key == key:
            try:
                return load_engine(record, folder=folder).record
            except RuntimeUnavailableError as error:
                notify(f"{job.artifact.name}: built again, as {str(error).partition('. Fix:')[0]}")
                return None
    return None


def _outcome(job: Job, record: EngineRecord, status: Status, folder: Path) -> Outcome:
    path = str(engine_path(record, folder=folder))
    return Outcome(job.artifact, status, record, record.reason, path, target=_capability(job))


def _key(library: ModuleType, job: Job) -> EngineKey:
    return EngineKey(
        gpu=HostGpu(library=LIBRARY, version=library_version(library), sm=_capability(job), device=None),
        artifact=artifact_digest(job.artifact),
        profile=job.settings.describe(),
    )


def _capability(job: Job) -> str:
    return str(job.settings.compute_capability)


def _said(outcome: Outcome) -> str:
    if outcome.record is None:
        return f"failed, {outcome.reason}"
    return "there already" if outcome.status == "cached" else f"built in {outcome.record.build_s:.0f} s"
