"""A process for each job, told line by line what to do: memory, threads and crashes are its own.

While another one runs, a process waits for its next line, and its threads sleep.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from engine_jobs import Job, open_job
from typing_extensions import Self

# Begins a line that is an answer; libraries print what they like to the same stream.
ANSWER_MARK = "@"


class WorkerError(Exception):
    """A job could not be opened or died; the message is its last words."""


class Worker:
    """The other end of `main`: one open job.

    Args:
        job: What it opens.
        python: Interpreter to start; None is this one.

    Raises:
        WorkerError: The job did not open.
    """

    def __init__(self, job: Job, python: str | None = None) -> None:
        self.job = job
        # A file: a pipe that nobody reads would stop a process that says much.
        self._said = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  (closed by `close`)
        self._process = subprocess.Popen(
            [python or sys.executable, str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        self.load_ms: float = self._ask(job.to_json())["load_ms"]

    def run(self, runs: int, *, warm: int = 0) -> list[float]:
        """Milliseconds of some runs in a row, after others that do not count."""
        times: list[float] = self._ask(json.dumps({"runs": runs, "warm": warm}))["times_ms"]
        return times

    def profile(self, runs: int) -> dict[str, float]:
        """Milliseconds of every node that the engine executes, median of some runs."""
        nodes: dict[str, float] = self._ask(json.dumps({"profile": runs}))["nodes_ms"]
        return nodes

    def peak_rss_mib(self) -> float | None:
        """Largest resident memory so far."""
        peak: float | None = self._ask(json.dumps({"peak": True}))["peak_rss_mib"]
        return peak

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.terminate()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._said.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, line: str) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise WorkerError("the process has no pipes")
        try:
            stdin.write(line + "\n")
            stdin.flush()
        except BrokenPipeError as error:
            raise WorkerError(self._last_words()) from error
        for said in stdout:
            if said.startswith(ANSWER_MARK):
                content: dict[str, Any] = json.loads(said[len(ANSWER_MARK) :])
                return content
        raise WorkerError(self._last_words())

    def _last_words(self) -> str:
        status = self._process.wait()
        self._said.seek(0)
        lines = [line.strip() for line in self._said if line.strip()]
        return f"{lines[-1] if lines else 'it said nothing'} (exit status {status})"


def answer(content: dict[str, Any]) -> None:
    """Write one line to the other end."""
    sys.stdout.write(f"\n{ANSWER_MARK}{json.dumps(content)}\n")
    sys.stdout.flush()


def timed(run: Any, runs: int) -> list[float]:
    """Milliseconds of some runs in a row."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def main() -> None:
    """The process: a job on the first line of standard input, then what to do with it."""
    job = Job.from_json(sys.stdin.readline())
    start = time.perf_counter()
    run = open_job(job)
    answer({"load_ms": (time.perf_counter() - start) * 1e3})
    for line in sys.stdin:
        wanted = json.loads(line)
        if "profile" in wanted:
            from engine_profile import profile_job  # noqa: PLC0415

            answer({"nodes_ms": profile_job(job, wanted["profile"])})
        elif "peak" in wanted:
            from pixio_edge.host import peak_rss_mib  # noqa: PLC0415

            answer({"peak_rss_mib": peak_rss_mib()})
        else:
            timed(run, wanted["warm"])
            answer({"times_ms": timed(run, wanted["runs"])})


if __name__ == "__main__":
    main()
