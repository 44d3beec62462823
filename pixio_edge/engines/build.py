"""From a typed ONNX graph to a serialised engine, with the same code for TensorRT 10.3 to 11 and TensorRT for RTX.

The network is always strongly typed: precision is in the graph. Classes are those of the "TensorRT Python API"
(Builder, OnnxParser, BuilderConfig, IProgressMonitor).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pixio_edge.engines.interruption import Interruption
from pixio_edge.engines.progress import make_monitor
from pixio_edge.errors import OutputError, RuntimeUnavailableError
from pixio_edge.files import write_bytes_atomic
from pixio_edge.runtimes.trt_layers import EngineLayer, layers_of_log
from pixio_edge.runtimes.trt_library import LogLines, collected_log, library_version, logger_of

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from pixio_edge.export.trt.recipe import InputProfile

Progress = Callable[[float, str], None]
"""Told the share of the build that is done, 0..1, and what the library is doing."""

# TensorRT for RTX times its kernels when an engine is first opened; its timing cache does nothing since 1.2.
HAS_TIMING_CACHE = "tensorrt"


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """How to build.

    Args:
        profile: Shapes of each input.
        level: Optimisation level of the builder, 0..5.
        workspace: Memory for kernels, bytes.
        network_flags: Members of NetworkDefinitionCreationFlag, besides STRONGLY_TYPED.
        builder_flags: Members of BuilderFlag.
        timing_cache: File that remembers the times of kernels between builds; None does without.
        compute_capability: Build ahead of time for such GPUs, "8.6"; None builds for the GPU of this host.
    """

    profile: tuple[InputProfile, ...]
    level: int
    workspace: int
    network_flags: tuple[str, ...] = ()
    builder_flags: tuple[str, ...] = ()
    timing_cache: Path | None = None
    compute_capability: str | None = None

    def describe(self) -> str:
        """All that changes the engine, as text for its key."""
        shapes = "; ".join(
            f"{item.input} {_shape(item.minimum)} {_shape(item.optimum)} {_shape(item.maximum)}"
            for item in self.profile
        )
        flags = ",".join(sorted({*self.network_flags, *self.builder_flags}))
        return f"{shapes}; level {self.level}; workspace {self.workspace}; flags {flags or 'none'}"


@dataclass(frozen=True, slots=True)
class BuiltEngine:
    """A fresh engine.

    Args:
        data: Serialised.
        build_s: Seconds from reading the graph to the end.
        layers: From the builder's log, if that was read.
        warnings: Of the library, each once.
    """

    data: bytes
    build_s: float
    layers: tuple[EngineLayer, ...] = ()
    warnings: tuple[str, ...] = ()


def build_engine(
    library: ModuleType, graph: Path, settings: BuildSettings, *, progress: Progress | None = None, lists: bool = False
) -> BuiltEngine:
    """Build an engine. Ctrl-C ends it between two steps.

    Args:
        library: From `load_library`.
        graph: Typed ONNX graph; its weight files lie beside it.
        settings: How.
        progress: Called during the build.
        lists: Whether to read the list of layers from the log, for which the builder says more.

    Raises:
        KeyboardInterrupt: It was interrupted; nothing is written.
        RuntimeUnavailableError: There is no GPU to build for, or the library refuses the graph; the message has its
            reason.
    """
    start = perf_counter()
    with Interruption() as interruption:
        with collected_log(library) as parsed:
            builder = _make_builder(library, parsed)
            # Both are kept: the network refers to weights that the parser owns.
            network, parser = _parse(library, builder, graph, settings, parsed)
        config = _configure(library, builder, settings, lists=lists)
        # Kept in a variable: the library does not hold its own reference to it.
        monitor = make_monitor(library, interruption, progress)
        config.progress_monitor = monitor
        # Kept like the monitor, and for what was timed. In neither log: a cache that the library refuses is an error to
        # it, which is not the reason why a build fails.
        cache = _load_timing_cache(library, config, settings)
        with collected_log(library, wants_details=lists) as log:
            plan = builder.build_serialized_network(network, config)
        if plan is None and not interruption.is_made:
            raise RuntimeUnavailableError(
                f"{_title(library)} cannot build {graph.name}: {log.cause()}. Fix: close what else uses the GPU's "
                "memory, or run 'pixio-edge doctor' to compare versions"
            )
        # Also when interrupted: kernels that were timed need not be timed again.
        _save_timing_cache(cache, settings)
        data = b"" if plan is None else bytes(plan)
        del network, parser
    layers = layers_of_log(log.details) if lists else ()
    return BuiltEngine(data, perf_counter() - start, layers, tuple(dict.fromkeys([*parsed.warnings, *log.warnings])))


def _make_builder(library: ModuleType, log: LogLines) -> Any:
    try:
        builder = library.Builder(logger_of(library))
    except (TypeError, RuntimeError) as error:  # pybind11: factory function returned nullptr
        reason = log.cause() if log.errors else " ".join(str(error).split())
        raise RuntimeUnavailableError(
            f"{_title(library)} cannot build here: {reason}. Fix: it needs an NVIDIA GPU and its driver; without one, "
            "'pixio-edge build --compute-capability 8.6 --output DIR' builds ahead of time"
        ) from error
    return builder


def _parse(library: ModuleType, builder: Any, graph: Path, settings: BuildSettings, log: LogLines) -> tuple[Any, Any]:
    flags = {"STRONGLY_TYPED", *settings.network_flags}
    network = builder.create_network(sum(1 << int(_member(library.NetworkDefinitionCreationFlag, f)) for f in flags))
    parser = library.OnnxParser(network, logger_of(library))
    if not parser.parse_from_file(str(graph)):
        problems = [_problem(parser.get_error(index)) for index in range(parser.num_errors)] or [log.cause()]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise RuntimeUnavailableError(
            f"{_title(library)} cannot read {graph.name}: {problems[0]}{more}. "
            "Fix: export the bundle again with this release, or use a TensorRT that its recipe names"
        )
    return network, parser


def _problem(error: Any) -> str:
    """One line of a parser's error: where, and what."""
    node, operator = str(error.node_name()), str(error.node_operator())
    place = f"node '{node}' ({operator}): " if node else ""
    return place + " ".join(str(error.desc()).split())


def _configure(library: ModuleType, builder: Any, settings: BuildSettings, *, lists: bool) -> Any:
    config = builder.create_builder_config()
    config.builder_optimization_level = settings.level
    config.set_memory_pool_limit(library.MemoryPoolType.WORKSPACE, settings.workspace)
    # Names of layers in the engine, for `bench` and for people who look for a slow one; costs nothing at run time.
    config.profiling_verbosity = library.ProfilingVerbosity.DETAILED
    for name in settings.builder_flags:
        config.set_flag(_member(library.BuilderFlag, name))
    profile = builder.create_optimization_profile()
    for item in settings.profile:
        profile.set_shape(item.input, item.minimum, item.optimum, item.maximum)
    config.add_optimization_profile(profile)
    if settings.compute_capability is not None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(find_capability(library, settings.compute_capability), 0)
    return config


def find_capability(library: ModuleType, wanted: str) -> Any:
    """Member of `ComputeCapability` for a compute capability such as "8.6".

    Raises:
        RuntimeUnavailableError: The library cannot build for it, or never ahead of time.
    """
    members = getattr(getattr(library, "ComputeCapability", None), "__members__", {})
    known = {f"{name[2:-1]}.{name[-1]}": member for name, member in members.items() if name.startswith("SM")}
    if wanted not in known:
        expected = f"expected one of: {', '.join(known)}" if known else "it only builds for the GPU of this host"
        raise RuntimeUnavailableError(
            f"{_title(library)} cannot build ahead of time for compute capability {wanted}; {expected}. "
            "Fix: choose one of these, or run 'pixio-edge build BUNDLE' on the device"
        )
    return known[wanted]


def _load_timing_cache(library: ModuleType, config: Any, settings: BuildSettings) -> Any:
    """The cache in use, None without. One that the library refuses, of another version or GPU, is begun anew."""
    if settings.timing_cache is None or library.__name__ != HAS_TIMING_CACHE:
        return None
    stored = b""
    with suppress(OSError):
        stored = settings.timing_cache.read_bytes()
    for content in (stored, b""):
        cache = config.create_timing_cache(content)
        if cache is not None and config.set_timing_cache(cache, False):
            return cache
    return None


def _save_timing_cache(cache: Any, settings: BuildSettings) -> None:
    if cache is None or settings.timing_cache is None:
        return
    # What could not be kept costs time at the next build, and nothing else.
    with suppress(OutputError):
        write_bytes_atomic(settings.timing_cache, bytes(cache.serialize()))


def _member(enumeration: Any, name: str) -> Any:
    member = getattr(enumeration, name, None)
    if member is None:
        raise RuntimeUnavailableError(
            f"recipe of the bundle: got flag '{name}', which this version of TensorRT does not know. "
            "Fix: export the bundle again with this release"
        )
    return member


def _title(library: ModuleType) -> str:
    return f"{library.__name__} {library_version(library)}"


def _shape(dimensions: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in dimensions)
