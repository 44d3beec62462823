"""Each measurement in a fresh process: load time, memory and thread pools are its own, and a crash harms no other."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import IO, TYPE_CHECKING, Any

from pydantic import ValidationError

from pixio_edge import env
from pixio_edge.bench.energy import IDLE_S, LOOP_S
from pixio_edge.bench.measure import bench, failed_record
from pixio_edge.bench.plan import BenchPlan
from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.record_parts import AccuracyRecord
from pixio_edge.bench.sustained import BUCKETS
from pixio_edge.bundle import Bundle
from pixio_edge.errors import CheckFailedError, InputError, PixioEdgeError

if TYPE_CHECKING:
    from collections.abc import Callable

    Notify = Callable[[str], None]

# On top of the timed loops: loading and profiling on a slow device.
EXTRA_TIMEOUT_S = 300.0

ACCURACY_TIMEOUT_S = 600.0
"""An image on a slow device, or loading."""

# `-m` and `-c` put the current folder first on the path of modules: a robot's workspace may have a `queue.py`, or
# another checkout of this package. The command `pixio-edge` does not, nor may the process. Entries of PYTHONPATH and of
# virtual environments are absolute when this runs.
PROGRAM = "import sys; sys.path[:] = filter(None, sys.path); from pixio_edge.bench.isolated import serve; serve()"

# What other code prints before the process has its standard output to itself must not be taken for a message.
MARK = "pixio-edge-bench: "
STDIN, STDOUT = 0, 1
PROGRESS, RESULT, PROBLEM = "progress", "result", "problem"


class ChildError(Exception):
    """The process ended without a result; the text says how."""


def bench_isolated(plan: BenchPlan, *, notify: Notify | None = None) -> BenchRecord:
    """Measure in a process of its own, after the files were found to be what the manifest says.

    Args:
        plan: What to measure.
        notify: Called with a short phrase when the next step begins.

    Returns:
        A record; when the process died or did not end, its `status` says so.

    Raises:
        BundleError: The bundle or the artifact of the plan does not exist or is damaged.
    """
    _check_files(plan)
    try:
        return BenchRecord.from_json(_run_child({"plan": plan.to_json()}, time_limit_s(plan), notify))
    except (ChildError, InputError) as error:
        return failed_record(plan, str(error))


def accuracy_isolated(plan: BenchPlan, data: Path, *, notify: Notify | None = None) -> AccuracyRecord:
    """Evaluate the artifact of a plan in a process of its own; see `evaluated.measure_accuracy`.

    Raises:
        CheckFailedError: It cannot run, the data cannot be used, or the process died; the message says which.
    """
    try:
        content = _run_child({"plan": plan.to_json(), "data": str(data)}, ACCURACY_TIMEOUT_S, notify)
        return AccuracyRecord.model_validate_json(json.dumps(content))
    except (ChildError, ValidationError) as error:
        raise CheckFailedError(f"accuracy of {plan}: {error}") from error


def time_limit_s(plan: BenchPlan) -> float:
    """Seconds without a word after which a measurement is taken to hang: half as much again as its longest silence."""
    return 1.5 * max(plan.budget_s, LOOP_S + IDLE_S, plan.sustained_s / BUCKETS) + EXTRA_TIMEOUT_S


def _check_files(plan: BenchPlan) -> None:
    """Here and not in the process, whose exception would come back as text: damage is no property of a runtime."""
    bundle = Bundle.open(plan.bundle)
    artifact = bundle.artifact(plan.artifact)
    bundle.read_artifact(artifact)
    if artifact.golden is not None:
        bundle.read_golden(artifact)


def _run_child(job: dict[str, Any], limit_s: float, notify: Notify | None) -> dict[str, Any]:
    """Start the process, hand it the job, pass its progress on, and return its result.

    Raises:
        ChildError: There was none.
    """
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise ChildError(f"no process could be started ({error.strerror})") from error
        try:
            result = _converse(process, json.dumps(job), limit_s, notify)
        finally:
            # Also on Ctrl-C: nothing of this measurement may disturb what is measured next.
            process.kill()
            process.wait()
        if result is None:
            raise ChildError(_explain(process.returncode, errors))
        return result


def _converse(process: subprocess.Popen[str], job: str, limit_s: float, notify: Notify | None) -> dict[str, Any] | None:
    """Read what the process says until its result or its end; None if it ended without one."""
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_feed, args=(process, job, lines), daemon=True).start()
    end = monotonic() + limit_s
    while True:
        try:
            line = lines.get(timeout=max(0.0, end - monotonic()))
        except queue.Empty:
            raise ChildError(f"the process said nothing for {limit_s:.0f} s") from None
        if line is None:
            process.wait()
            return None
        if not line.startswith(MARK):
            continue
        message = _read_message(line)
        if PROBLEM in message:
            raise ChildError(message[PROBLEM])
        if RESULT in message:
            result: dict[str, Any] = message[RESULT]
            return result
        end = monotonic() + limit_s
        if notify is not None:
            notify(message[PROGRESS])


def _read_message(line: str) -> dict[str, Any]:
    try:
        message = json.loads(line.removeprefix(MARK))
    except ValueError as error:
        raise ChildError(f"the process said what cannot be read ({error})") from error
    if not isinstance(message, dict) or not {PROGRESS, RESULT, PROBLEM} & set(message):
        raise ChildError(f"the process said {str(message)[:80]!r}, which is no message")
    return message


def _feed(process: subprocess.Popen[str], job: str, lines: queue.Queue[str | None]) -> None:
    if process.stdin is None or process.stdout is None:
        raise TypeError("a process without pipes")
    try:
        with suppress(OSError):  # it died before it read the job, which its last words or its status tell
            process.stdin.write(job + "\n")
            # It stays open: by its end the process learns that this one is gone.
            process.stdin.flush()
        for line in process.stdout:
            lines.put(line)
    except OSError:
        pass
    finally:
        lines.put(None)


def _explain(status: int, errors: IO[bytes]) -> str:
    errors.seek(0)
    said = errors.read().decode("utf-8", "replace").strip().splitlines()
    reason = said[-1].strip() if said else "it said nothing"
    if status >= 0:
        return f"the process ended with {status}: {reason}"
    name = signal.Signals(-status).name if -status in {*signal.Signals} else f"signal {-status}"
    hint = ", as when memory runs out" if name == "SIGKILL" else ""
    return f"the process was ended by {name}{hint}: {reason}"


class _Channel:
    """The way to the parent: the standard output, which nothing else in this process has any more after this."""

    def __init__(self) -> None:
        self._file = os.fdopen(os.dup(STDOUT), "w", encoding="utf-8")
        # Engines and their threads print what they like there, between two writes of a long message as well.
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), STDOUT)

    def say(self, kind: str, content: object) -> None:
        """Send a message."""
        self._file.write(f"\n{MARK}{json.dumps({kind: content})}\n")
        self._file.flush()


def serve() -> None:
    """The process: a job on standard input; progress, and a result or a problem, as marked lines on standard output."""
    channel = _Channel()
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    plan = BenchPlan.from_json(job["plan"])
    if "data" not in job:
        env.compile_anew()
        channel.say(RESULT, bench(plan, notify=lambda step: channel.say(PROGRESS, step)).to_json())
        return
    # Only here: what it loads would count as memory of a timed process.
    from pixio_edge.bench.evaluated import measure_accuracy  # noqa: PLC0415

    try:
        found = measure_accuracy(
            plan, Path(job["data"]), notify=lambda done, total, name: channel.say(PROGRESS, f"{name} {done} of {total}")
        )
    except PixioEdgeError as error:
        channel.say(PROBLEM, str(error))
        return
    channel.say(RESULT, found.model_dump(mode="json"))


def _end_with_parent() -> None:
    """Wait for the end of standard input, which a parent has that was killed, and stop at once: nobody would read more.

    On the descriptor: a thread that waits in a buffered file holds its lock, and with it the end of the process.
    """
    while os.read(STDIN, 1):
        pass
    os._exit(1)
