"""Scenes rendered by several processes: building a scene holds Python's lock, so threads would not use all cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from pixio_edge.errors import CheckFailedError
from pixio_edge.scenes.library import Library, build_library
from pixio_edge.scenes.render import Rendered, render
from pixio_edge.scenes.textures import TextureAtlas, load_atlas

# Images of one task: some scenes with all their views, and a second or less of work, so that progress is seen.
TASK_IMAGES = 16
# Tasks that are under way or done and not yet taken, per process: enough that none waits, little in memory.
TASKS_AHEAD = 3


@dataclass(frozen=True, slots=True)
class _Stage:
    """What every process needs once."""

    atlas: TextureAtlas
    library: Library


_stage: _Stage | None = None


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Studio:
    """Renders images of a seed in order; a context manager.

    Args:
        textures: Texture folder; None: procedural noise.
        workers: Processes; 1 renders in this one. Also an attribute.

    Raises:
        InputError: The texture folder is missing or holds an image that cannot be read.
    """

    def __init__(self, textures: Path | None = None, *, workers: int = 1) -> None:
        self.workers = workers
        self._textures = textures
        self._own: _Stage | None = _open_stage(textures) if workers == 1 else None
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> Studio:
        if self.workers > 1:
            # Not forked: a copy of a process with threads of torch or OpenMP may hang.
            self._executor = ProcessPoolExecutor(
                self.workers, multiprocessing.get_context("spawn"), _start_worker, (self._textures,)
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)

    def render(self, seed: int, indices: range, size: tuple[int, int]) -> Iterator[Rendered]:
        """Images of a seed, `TASK_IMAGES` at a time, in order.

        Args:
            seed: Seed of the scenes.
            indices: Numbers of the images.
            size: (height, width) in pixels.

        Raises:
            CheckFailedError: A process died.
            SpecError: A side is shorter than 16 pixels.
        """
        tasks = [indices[first : first + TASK_IMAGES] for first in range(0, len(indices), TASK_IMAGES)]
        if self._executor is None:
            for task in tasks:
                stage = self._own or _open_stage(self._textures)
                yield render(seed, task, size, stage.atlas, stage.library)
            return
        ahead: deque[Future[Rendered]] = deque()
        remaining = iter(tasks)
        try:
            for task in remaining:
                ahead.append(self._executor.submit(_render_task, seed, task, size))
                if len(ahead) >= TASKS_AHEAD * self.workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        except BrokenProcessPool as error:
            raise CheckFailedError(
                "rendering: a process died, usually for want of memory. Fix: render with fewer workers; the same "
                "command goes on where it stopped"
            ) from error


def _open_stage(textures: Path | None) -> _Stage:
    return _Stage(load_atlas(textures), build_library())


def _start_worker(textures: Path | None) -> None:
    global _stage  # noqa: PLW0603 - a process of the pool has no other place to keep what all its tasks need
    # Ctrl-C reaches every process of the terminal; the parent ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _stage = _open_stage(textures)


def _render_task(seed: int, indices: range, size: tuple[int, int]) -> Rendered:
    if _stage is None:
        raise RuntimeError("got a task before the worker was started")
    return render(seed, indices, size, _stage.atlas, _stage.library)
