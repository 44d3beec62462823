"""Each measurement in a fresh process: load time, memory and thread pools are its own, and a crash harms no other."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from time import monotonic
from typing import IO, TYPE_CHECKING, Any

from pixio_edge import env
from pixio_edge.bench.energy import IDLE_S, LOOP_S
from pixio_edge.bench.measure import bench, failed_record
from pixio_edge.bench.plan import BenchPlan
from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.record_parts import AccuracyRecord
from pixio_edge.bundle import Bundle
from pixio_edge.errors import CheckFailedError, PixioEdgeError

if TYPE_CHECKING:
    from collections.abc import Callable

    Notify = Callable[[str], None]

# On top of the timed loops: loading, warm-up and profiling on a slow device.
EXTRA_TIMEOUT_S = 300.0

ACCURACY_TIMEOUT_S = 6 * 3600.0
"""A large set on a slow device takes hours."""

# Engines print what they like on standard output, so lines that are meant for the parent are marked.
MARK = "pixio-edge-bench: "
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
        content = _run_child({"plan": plan.to_json()}, time_limit_s(plan), notify)
    except ChildError as error:
        return failed_record(plan, str(error))
    return BenchRecord.from_json(content)


def accuracy_isolated(plan: BenchPlan, data: Path, *, notify: Notify | None = None) -> AccuracyRecord:
    """Evaluate the artifact of a plan in a process of its own; see `evaluated.measure_accuracy`.

    Raises:
        CheckFailedError: It cannot run, the data cannot be used, or the process died; the message says which.
    """
    try:
        content = _run_child({"plan": plan.to_json(), "data": str(data)}, ACCURACY_TIMEOUT_S, notify)
    except ChildError as error:
        raise CheckFailedError(f"accuracy of {plan}: {error}") from error
    return AccuracyRecord.model_validate_json(json.dumps(content))


def time_limit_s(plan: BenchPlan) -> float:
    """Seconds after which a measurement is taken to hang: half as much again for what is timed by the clock."""
    return 1.5 * (2 * plan.budget_s + LOOP_S + IDLE_S + plan.sustained_s) + EXTRA_TIMEOUT_S


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
    command = [sys.executable, "-m", "pixio_edge.bench.isolated"]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, encoding="utf-8", errors="replace"
        )
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
            raise ChildError(f"the process did not end within {limit_s:.0f} s") from None
        if line is None:
            process.wait()
            return None
        if not line.startswith(MARK):
            continue
        message = json.loads(line.removeprefix(MARK))
        if PROBLEM in message:
            raise ChildError(message[PROBLEM])
        if RESULT in message:
            result: dict[str, Any] = message[RESULT]
            return result
        if notify is not None:
            notify(message[PROGRESS])


def _feed(process: subprocess.Popen[str], job: str, lines: queue.Queue[str | None]) -> None:
    if process.stdin is None or process.stdout is None:
        raise TypeError("a process without pipes")
    try:
        process.stdin.write(job)
        process.stdin.close()
        for line in process.stdout:
            lines.put(line)
    except OSError:  # it died before it read the job, which its status tells
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


def _say(kind: str, content: object) -> None:
    sys.stdout.write(f"\n{MARK}{json.dumps({kind: content})}\n")
    sys.stdout.flush()


def _main() -> None:
    """The process: a job on standard input; progress, and a result or a problem, as marked lines on standard output."""
    job = json.loads(sys.stdin.read())
    plan = BenchPlan.from_json(job["plan"])
    if "data" not in job:
        env.compile_anew()
        _say(RESULT, bench(plan, notify=lambda step: _say(PROGRESS, step)).to_json())
        return
    # Only here: what it loads would count as memory of a timed process.
    from pixio_edge.bench.evaluated import measure_accuracy  # noqa: PLC0415

    try:
        found = measure_accuracy(
            plan, Path(job["data"]), notify=lambda done, total, name: _say(PROGRESS, f"{name} {done} of {total}")
        )
    except PixioEdgeError as error:
        _say(PROBLEM, str(error))
        return
    _say(RESULT, found.model_dump(mode="json"))


if __name__ == "__main__":
    _main()
