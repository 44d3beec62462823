"""What building on a device needs of the device, as one value that tests replace."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from pixio_edge.engines.build import BuiltEngine, build_engine
from pixio_edge.errors import MissingDependencyError, RuntimeUnavailableError
from pixio_edge.runtimes.cudart import load_cudart
from pixio_edge.runtimes.trt import host_gpu
from pixio_edge.runtimes.trt_layers import EngineLayer, layers_of_json
from pixio_edge.runtimes.trt_library import LIBRARIES, load_library
from pixio_edge.runtimes.trt_session import EngineSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

    import numpy as np
    from numpy.typing import NDArray

    from pixio_edge.engine_record import HostGpu, Library
    from pixio_edge.engines.build import BuildSettings, Progress
    from pixio_edge.manifest import ArtifactEntry

FIRST_GPU = 0
# Clocks of a GPU rise within tens of milliseconds of work; then medians of some dozens of runs repeat to a percent.
WARMUP_S = 0.5
ROUNDS = 5
RUNS_PER_ROUND = 20
# A large model on a small device still has to end.
ROUND_S = 3.0


class Workbench(Protocol):
    """A GPU with a library: builds, runs and times engines."""

    @property
    def gpu(self) -> HostGpu:
        """What engines are built for."""

    def build(self, graph: Path, settings: BuildSettings, progress: Progress) -> BuiltEngine:
        """See `build_engine`."""

    def run(self, trial: Trial, image: NDArray[np.uint8]) -> Ran:
        """Open an engine and execute it once on one image, uint8 (1, H, W, 3)."""

    def time(self, trials: Sequence[Trial], image: NDArray[np.uint8]) -> dict[str, float]:
        """Median milliseconds of one inference by name of the artifact, measured in turns."""


@dataclass(frozen=True, slots=True)
class Trial:
    """An engine to be run.

    Args:
        artifact: What it was built from.
        data: Serialised.
    """

    artifact: ArtifactEntry
    data: bytes


@dataclass(frozen=True, slots=True)
class Ran:
    """What an engine gave.

    Args:
        depth: Its output, (1, h, w).
        layers: What it is made of.
    """

    depth: NDArray[np.float32]
    layers: tuple[EngineLayer, ...]


def find_library_here(notify: Callable[[str], None]) -> Library:
    """The library that is installed: TensorRT, or else TensorRT for RTX.

    Args:
        notify: Told why one that is installed is not taken.

    Raises:
        RuntimeUnavailableError: Neither is.
    """
    reasons: list[str] = []
    is_installed = False
    names: tuple[Library, ...] = ("tensorrt", "tensorrt-rtx")
    for name in names:
        try:
            load_library(name)
        except (RuntimeUnavailableError, MissingDependencyError) as error:
            reasons.append(str(error))
            is_installed |= not _is_absent(name, error)
        else:
            if is_installed:
                notify(f"{' '.join(reasons)} Until then '{name}' is taken")
            return name
    raise RuntimeUnavailableError(" Or: ".join(reasons))


def _is_absent(name: Library, error: Exception) -> bool:
    cause = error.__cause__
    is_absent = isinstance(cause, ModuleNotFoundError) and cause.name == LIBRARIES[name].module
    return is_absent or isinstance(error, MissingDependencyError)


class DeviceWorkbench:
    """The GPU of this host.

    Args:
        name: Which library.

    Raises:
        MissingDependencyError: It is not installed.
        RuntimeUnavailableError: It is not installed or does not work, or there is no GPU.
    """

    def __init__(self, name: Library) -> None:
        self._library: ModuleType = load_library(name)
        self._cudart = load_cudart()
        self._gpu = host_gpu(name, FIRST_GPU)

    @property
    def gpu(self) -> HostGpu:
        """What engines are built for: the first GPU that CUDA shows; CUDA_VISIBLE_DEVICES chooses another."""
        return self._gpu

    def build(self, graph: Path, settings: BuildSettings, progress: Progress) -> BuiltEngine:
        """See `build_engine`."""
        return build_engine(self._library, graph, settings, progress=progress)

    def run(self, trial: Trial, image: NDArray[np.uint8]) -> Ran:
        """Open an engine and execute it once on one image, uint8 (1, H, W, 3).

        Raises:
            RuntimeUnavailableError: It does not open or execute.
        """
        with self._session(trial) as session:
            depth = session.run(_feeds(trial, image))[trial.artifact.outputs[0].name]
            return Ran(depth, layers_of_json(session.describe()))

    def time(self, trials: Sequence[Trial], image: NDArray[np.uint8]) -> dict[str, float]:
        """Median milliseconds of one inference by name, from image in host memory to depth in host memory.

        Raises:
            RuntimeUnavailableError: One does not open or execute.
        """
        with ExitStack() as stack:
            sessions = {trial.artifact.name: stack.enter_context(self._session(trial)) for trial in trials}
            feeds = {trial.artifact.name: _feeds(trial, image) for trial in trials}
            return time_in_turns({name: partial(item.run, feeds[name]) for name, item in sessions.items()})

    @contextmanager
    def _session(self, trial: Trial) -> Iterator[EngineSession]:
        name = f"artifact '{trial.artifact.name}'"
        session = EngineSession(self._library, self._cudart, trial.data, device=FIRST_GPU, name=name)
        try:
            session.prepare()
            yield session
        finally:
            session.close()


def _feeds(trial: Trial, image: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
    return {trial.artifact.inputs[0].name: image}


def time_in_turns(
    steps: Mapping[str, Callable[[], object]],
    *,
    clock: Callable[[], float] = perf_counter,
    rounds: int = ROUNDS,
    runs: int = RUNS_PER_ROUND,
) -> dict[str, float]:
    """Median milliseconds of each step.

    They take turns, and the order alternates, so that a GPU that gets warm and slow meanwhile is so for all of them.

    Args:
        steps: What to time, by name; each waits until it is done.
        clock: Seconds.
        rounds: How many turns each has.
        runs: Timed calls in a turn, fewer if they take longer than `ROUND_S`.
    """
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        end = clock() + WARMUP_S
        step()
        while clock() < end:
            step()
    names = list(steps)
    for index in range(rounds):
        for name in names if index % 2 == 0 else reversed(names):
            end = clock() + ROUND_S
            for _ in range(runs):
                start = clock()
                steps[name]()
                times[name].append((clock() - start) * 1e3)
                if clock() > end:
                    break
    return {name: statistics.median(values) for name, values in times.items()}
