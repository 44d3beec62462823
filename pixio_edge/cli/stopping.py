"""Signals that end a verb: as a request to stop at the next good moment, or at once with everything cleared away."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """While it is entered, the first interruption is only noted; a second one interrupts as ever.

    Args:
        echo_s: Seconds in which a second one is an echo of the first: a launcher of several processes passes on the
            Ctrl-C that all of them got from the terminal anyway.
    """

    def __init__(self, *, echo_s: float = 0.0) -> None:
        self.is_made = False
        self._echo_s, self._made_at = echo_s, 0.0
        self._previous: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        self._previous = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.is_made and time.monotonic() - self._made_at >= self._echo_s:
            signal.default_int_handler(number, frame)
        if not self.is_made:
            self.is_made, self._made_at = True, time.monotonic()


@contextmanager
def term_interrupts() -> Iterator[None]:
    """Let SIGTERM interrupt the block like Ctrl-C, so that what is half written is cleared away."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
