"""Ctrl-C as a request to stop at the next good moment, for verbs that have something to save."""

from __future__ import annotations

import signal
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """While it is entered, the first interruption is only noted; a second one interrupts as ever."""

    def __init__(self) -> None:
        self.is_made = False
        self._previous: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        self._previous = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.is_made = True
        signal.signal(number, signal.default_int_handler)
