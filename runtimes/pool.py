"""Open runtimes that threads share: each is lent to one caller at a time."""

from __future__ import annotations

from collections import deque
from threading import Condition, get_ident
from typing import TYPE_CHECKING

from pixio_edge.errors import RuntimeUnavailableError, SpecError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pixio_edge.runtimes.base import Runtime
    from pixio_edge.sizes import Size


class RuntimePool:
    """Runtimes by input size. At most `concurrency` are lent at once, so at most that many exist for each size.

    Callers beyond that wait. A runtime is opened only when no idle one of its size is left, so a program of one thread
    has one for each size it uses.

    Args:
        concurrency: Runtimes that may be lent at once.

    Raises:
        SpecError: `concurrency` is not at least 1.
    """

    def __init__(self, concurrency: int = 1) -> None:
        if concurrency < 1:
            raise SpecError(f"concurrency: got {concurrency}, expected at least 1. Fix: give 1 or more")
        self._concurrency = concurrency
        self._changed = Condition()
        self._idle: dict[Size, list[Runtime]] = {}
        self._holders: deque[int] = deque()  # identifiers of the threads that hold a runtime, or are opening one
        self._is_closed = False

    @property
    def first_size(self) -> Size | None:
        """The input size that was lent first; None before that."""
        return next(iter(self._idle), None)

    def take(self, size: Size, open_runtime: Callable[[Size], Runtime]) -> Runtime:
        """Borrow an open runtime; it has to be returned with `give_back`.

        Args:
            size: Input (height, width).
            open_runtime: Makes one when no idle one is left. Not kept: a pool that held a method of its owner would
                keep both alive until a garbage collection.

        Raises:
            RuntimeUnavailableError: The pool is closed, or was closed during the wait.
        """
        with self._changed:
            while len(self._holders) >= self._concurrency and not self._is_closed:
                self._changed.wait()
            self._require_open()
            self._holders.append(get_ident())
            idle = self._idle.get(size)
            if idle:
                return idle.pop()
        try:
            runtime = open_runtime(size)
        except BaseException:
            self._release()
            raise
        with self._changed:
            self._idle.setdefault(size, [])
        return runtime

    def give_back(self, size: Size, runtime: Runtime) -> None:
        """Return what `take` lent to this thread; closes it when the pool was closed meanwhile."""
        with self._changed:
            if not self._is_closed:
                self._idle[size].append(runtime)
                self._holders.remove(get_ident())
                self._changed.notify()
                return
        runtime.close()
        self._release()

    def close(self) -> None:
        """Lend no more, wait until other threads have given back what they hold, and close all; may be called again.

        What the calling thread itself holds, as in a signal handler, is closed when it is given back.
        """
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            while any(holder != get_ident() for holder in self._holders):
                self._changed.wait()
            idle = [runtime for runtimes in self._idle.values() for runtime in runtimes]
            self._idle = {}
        for runtime in idle:
            runtime.close()

    def _release(self) -> None:
        with self._changed:
            self._holders.remove(get_ident())
            # All: close() waits for the last holder, beside threads that wait for a runtime.
            self._changed.notify_all()

    def _require_open(self) -> None:
        if self._is_closed:
            raise RuntimeUnavailableError(
                "estimator: got a call after close(), expected open. Fix: open a new one with DepthEstimator.open()"
            )
