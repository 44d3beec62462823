"""Open runtimes that threads share: each is lent to one caller at a time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from threading import Condition, Event, get_ident
from typing import TYPE_CHECKING

from pixio_edge.errors import RuntimeUnavailableError, SpecError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pixio_edge.runtimes.base import Runtime
    from pixio_edge.sizes import Size


@dataclass(eq=False, slots=True)
class _Waiter:
    """A thread that waits for its turn; `is_next` is set before `called` when it has got one."""

    thread: int
    called: Event = field(default_factory=Event)
    is_next: bool = False


class RuntimePool:
    """Runtimes by input size. At most `concurrency` are lent at once, so at most that many exist for each size.

    Callers beyond that wait and are served in the order they came. A runtime is opened only when no idle one of its
    size is left, so a program of one thread has one for each size it uses.

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
        self._waiting: deque[_Waiter] = deque()
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
        self._enter()
        with self._changed:
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
            is_closed = self._is_closed
            if not is_closed:
                self._idle[size].append(runtime)
        if is_closed:
            runtime.close()
        self._release()

    def close(self) -> None:
        """Lend no more, wait until other threads have given back what they hold, and close all; may be called again.

        What the calling thread itself holds, as in a signal handler, is closed when it is given back.
        """
        with self._changed:
            self._is_closed = True
            while self._waiting:
                self._waiting.popleft().called.set()
            while any(holder != get_ident() for holder in self._holders):
                self._changed.wait()
            idle = [runtime for runtimes in self._idle.values() for runtime in runtimes]
            self._idle = {}
        for runtime in idle:
            runtime.close()

    def _enter(self) -> None:
        """Become a holder, after all who came before."""
        with self._changed:
            self._require_open()
            # A place that becomes free is handed to who waits, so nobody waits while there is one.
            if len(self._holders) < self._concurrency:
                self._holders.append(get_ident())
                return
            waiter = _Waiter(get_ident())
            self._waiting.append(waiter)
        try:
            waiter.called.wait()
        except BaseException:
            self._give_up(waiter)
            raise
        if not waiter.is_next:
            self._require_open()

    def _give_up(self, waiter: _Waiter) -> None:
        with self._changed:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
        if waiter.is_next:
            self._release()

    def _release(self) -> None:
        """Hand the place of this thread to the first who waits."""
        with self._changed:
            self._holders.remove(get_ident())
            if self._waiting:
                waiter = self._waiting.popleft()
                self._holders.append(waiter.thread)
                waiter.is_next = True
                waiter.called.set()
            self._changed.notify_all()  # close() waits for the last holder

    def _require_open(self) -> None:
        if self._is_closed:
            raise RuntimeUnavailableError(
                "estimator: got a call after close(), expected open. Fix: open a new one with DepthEstimator.open()"
            )
