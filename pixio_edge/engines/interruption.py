"""Ctrl-C while TensorRT is building: noted at once, and acted on between two steps of the build."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While it is entered, Ctrl-C and SIGTERM only set `is_made`; on leaving they interrupt as ever.

    An exception may not pass through the C++ code of the builder, which calls back into Python: the library prints it
    and goes on with what it has. So the callback asks `is_made` and has the build cancelled. Outside of the main
    thread, where Python delivers no signals, nothing is changed.
    """

    def __init__(self) -> None:
        self.is_made = False
        self._previous: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            if handler is not None:  # None is a handler of C code, which Python cannot give back
                signal.signal(number, handler)
        if self.is_made:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.is_made = True
