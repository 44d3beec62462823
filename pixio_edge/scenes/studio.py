"""Scenes rendered by several processes: building a scene holds Python's lock, so threads would not use all cores."""

from __future__ import annotations

import functools
import multiprocessing
import os
import pickle
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from pixio_edge.array_file import write_array
from pixio_edge.errors import CheckFailedError, InputError, OutputError
from pixio_edge.scenes.library import Library, build_library
from pixio_edge.scenes.render import MIN_SIDE, Rendered, render
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


# Of a stage: its images, which processes have in memory once between them, and the rest of it.
_IMAGES, _REST = ("texels.npy", "backdrops.npy"), "stage.pickle"
_folder: Path | None = None


class Studio:
    """Renders images of a seed in order.

    A context manager. With several workers, a script that uses it needs `if __name__ == "__main__":`, as processes are
    started afresh and import it.

    Args:
        textures: Texture folder; None: procedural noise.
        workers: Processes; 1 renders in this one. Also an attribute.
    """

    def __init__(self, textures: Path | None = None, *, workers: int = 1) -> None:
        self.workers = workers
        self._textures = textures
        self._executor: ProcessPoolExecutor | None = None
        self._opened = ExitStack()

    def __enter__(self) -> Studio:
        """Start the processes.

        Raises:
            InputError: The texture folder is missing or holds an image that cannot be read.
            OutputError: There is no room for the textures in the folder of temporary files.
        """
        if self.workers == 1:
            _ = self._own
            return self
        with ExitStack() as opened:
            folder = Path(opened.enter_context(_temporary_folder()))
            stage = _open_stage(self._textures)
            # What is compiled here, once, the processes find in the cache.
            render(0, range(1), (MIN_SIDE, MIN_SIDE), stage.atlas, stage.library)
            _save_stage(stage, folder)
            context = multiprocessing.get_context("spawn")  # a fork of a process with threads of torch may hang
            held, leash = context.Pipe(duplex=False)
            opened.enter_context(held)
            self._executor = ProcessPoolExecutor(self.workers, context, _start_worker, (folder, held))
            opened.push(partial(_end_processes, self._executor, leash))
            with _interruptions_held():
                for _ in range(self.workers):  # each one starts a process, which inherits what is held
                    self._executor.submit(_get_ready)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._executor = None
        self._opened.__exit__(kind, error, at)

    def render(
        self,
        seed: int,
        indices: Sequence[int],
        size: tuple[int, int],
        *,
        layouts: Mapping[str, float] | None = None,
        effects: bool = True,
    ) -> Iterator[Rendered]:
        """Images of a seed, `TASK_IMAGES` at a time, in order.

        Args:
            seed: Seed of the scenes.
            indices: Numbers of the images.
            size: (height, width) in pixels.
            layouts: As for `render.render`.
            effects: Add camera effects.

        Raises:
            CheckFailedError: A process died.
            InputError: The texture folder cannot be used, or there is no such layout.
            SpecError: A side is shorter than 16 pixels.
        """
        if seed < 0:
            raise InputError(f"rendering: got seed {seed}, expected 0 or more. Fix: choose such a seed")
        tasks = [indices[first : first + TASK_IMAGES] for first in range(0, len(indices), TASK_IMAGES)]
        if self.workers == 1:
            for task in tasks:
                yield render(seed, task, size, self._own.atlas, self._own.library, layouts=layouts, effects=effects)
            return
        if self._executor is None:
            raise RuntimeError("a studio with several workers renders inside `with`")
        ahead: deque[Future[Rendered]] = deque()
        try:
            for task in tasks:
                ahead.append(self._executor.submit(_render_task, seed, task, size, layouts, effects))
                if len(ahead) >= TASKS_AHEAD * self.workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        except BrokenProcessPool as error:
            raise CheckFailedError(
                "rendering: a process died, usually for want of memory. Fix: render with fewer processes "
                "(--renderers); the same command goes on where it stopped"
            ) from error

    @functools.cached_property
    def _own(self) -> _Stage:
        return _open_stage(self._textures)


def _end_processes(
    executor: ProcessPoolExecutor,
    leash: Connection,
    kind: type[BaseException] | None,
    error: BaseException | None,
    at: TracebackType | None,
) -> None:
    if kind is not None:  # nobody wants what the processes are at: they end at once
        leash.close()
    executor.shutdown(wait=True, cancel_futures=True)
    leash.close()


@contextmanager
def _temporary_folder() -> Iterator[str]:
    """As `tempfile.TemporaryDirectory`, whose clean-up must not hide why the processes ended."""
    with tempfile.TemporaryDirectory(prefix="pixio-edge-", ignore_cleanup_errors=True) as folder:
        yield folder


@contextmanager
def _interruptions_held() -> Iterator[None]:
    """Hold Ctrl-C back from this thread, and for good from the processes it starts: the parent ends these."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _open_stage(textures: Path | None) -> _Stage:
    return _Stage(load_atlas(textures), build_library())


def _save_stage(stage: _Stage, folder: Path) -> None:
    atlas = stage.atlas
    rest = _Stage(replace(atlas, texels=atlas.texels[:0], backdrops=atlas.backdrops[:0]), stage.library)
    try:
        for name, images in zip(_IMAGES, (atlas.texels, atlas.backdrops), strict=True):
            write_array(folder / name, images)
        (folder / _REST).write_bytes(pickle.dumps(rest, protocol=pickle.HIGHEST_PROTOCOL))
    except OSError as error:
        raise OutputError(
            f"rendering: cannot keep textures in '{folder}' ({error.strerror}). Fix: name a folder with more "
            "room in TMPDIR, or render in one process (--renderers 1)"
        ) from error


def _load_stage(folder: Path) -> _Stage:
    rest: _Stage = pickle.loads((folder / _REST).read_bytes())  # noqa: S301 - the parent wrote it, where only it may
    # Copy on write: writable arrays, as compiled functions expect, of pages that nobody writes to.
    texels, backdrops = (np.asarray(np.load(folder / name, mmap_mode="c")) for name in _IMAGES)
    return _Stage(replace(rest.atlas, texels=texels, backdrops=backdrops), rest.library)


def _start_worker(folder: Path, leash: Connection) -> None:
    """Begin a process; what may fail is left to its tasks, whose errors reach the parent."""
    global _folder  # noqa: PLW0603 - a process of the pool has no other place to keep what all its tasks need
    _folder = folder
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)  # there is a process for every core
    threading.Thread(target=_end_with_parent, args=(leash,), daemon=True).start()


def _end_with_parent(leash: Connection) -> None:
    """End this process when the parent lets go of the other end of the leash, which it also does by being killed."""
    try:
        leash.recv()
    except (EOFError, OSError):
        os._exit(1)


@functools.cache
def _stage() -> _Stage:
    if _folder is None:
        raise RuntimeError("got a task before the process was started")
    return _load_stage(_folder)


def _get_ready() -> None:
    _stage()


def _render_task(
    seed: int, indices: Sequence[int], size: tuple[int, int], layouts: Mapping[str, float] | None, effects: bool
) -> Rendered:
    stage = _stage()
    return render(seed, indices, size, stage.atlas, stage.library, layouts=layouts, effects=effects)
