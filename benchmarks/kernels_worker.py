"""A process that measures one step after the other, with a time limit for each, and that can be lost and replaced.

An illegal access of a kernel takes the whole process with it, a compiler may take minutes, a kernel may never end:
whoever asks keeps what was measured before.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

Serve = Callable[[Connection, dict[str, Any]], None]


class WorkerLostError(Exception):
    """The process ended, or was ended, before it answered."""


class Worker:
    """Starts when it is first asked.

    Args:
        serve: Runs in the process: reads requests from the connection and answers each, as JSON, until there are none.
        options: Given to it.
    """

    def __init__(self, serve: Serve, options: dict[str, Any]) -> None:
        self._serve = serve
        self._options = options
        self._process: Any = None
        self._connection: Connection | None = None

    def ask(self, request: dict[str, Any], *, limit_s: float) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            WorkerLostError: There was none in time, or the process ended; the next request starts another one.
        """
        connection = self._connection or self._start()
        try:
            connection.send_bytes(json.dumps(request).encode())
            if not connection.poll(limit_s):
                raise WorkerLostError(f"stopped after {limit_s:.0f} s without an answer")
            answer: dict[str, Any] = json.loads(connection.recv_bytes())
        except (EOFError, OSError) as lost:
            self._process.join(timeout=5)
            code = self._process.exitcode
            self.stop()
            raise WorkerLostError(f"its process ended with status {code}") from lost
        except BaseException:
            self.stop()
            raise
        return answer

    def stop(self) -> None:
        """End the process and everything that it started, such as compilers."""
        if self._connection is None:
            return
        self._connection.close()
        self._connection = None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")  # a forked process cannot use CUDA
        ours, its = context.Pipe()
        self._process = context.Process(target=_run, args=(self._serve, its, self._options), daemon=False)
        self._process.start()
        its.close()
        self._connection = ours
        return ours


def _run(serve: Serve, connection: Connection, options: dict[str, Any]) -> None:
    os.setpgid(0, 0)  # a group of its own, which `stop` can end
    with suppress(EOFError):
        serve(connection, options)
