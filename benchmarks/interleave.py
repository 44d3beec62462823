"""Times jobs in turns, round after round, so that a change of the machine's speed meets all of them; resumable."""

from __future__ import annotations

import hashlib
import json
import random
import statistics
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from engine_jobs import Job
from engine_worker import Worker, WorkerError

from pixio_edge.files import write_text_atomic
from pixio_edge.host import probe_host

# A turn of a fast job lasts about so long; of a slow one, one run.
TURN_MS = 100.0
MOST_RUNS = 20
# Faster ones first run once without counting: threads have gone to sleep and caches hold the data of others. For
# slower ones both are lost in the time of a run.
WARMED_BELOW_MS = 300.0

MakeWorker = Callable[[Job], Worker]


@dataclass
class Outcome:
    """What is known of one job: milliseconds of every run, of loading, peak memory, and why it failed if it did."""

    times_ms: list[float] = field(default_factory=list)
    load_ms: float | None = None
    peak_rss_mib: float | None = None
    error: str | None = None

    @property
    def p50_ms(self) -> float | None:
        """Median of the runs; None without any."""
        return statistics.median(self.times_ms) if self.times_ms else None


def interleave(
    jobs: Mapping[str, Job],
    rounds: int,
    *,
    progress: Path | None = None,
    at_once: int | None = None,
    make_worker: MakeWorker = Worker,
) -> dict[str, Outcome]:
    """Run every job in its own process, in random order in each round.

    Args:
        jobs: By name.
        rounds: Turns of every job.
        progress: Where finished rounds are kept; a later call with the same jobs goes on after them. None keeps none.
        at_once: Processes that are open at once; jobs beyond that take their rounds after the others. None is all.
        make_worker: Starts a process.
    """
    names = list(jobs)
    size = at_once or max(1, len(names))
    found: dict[str, Outcome] = {}
    for begin in range(0, len(names), size):
        group = {name: jobs[name] for name in names[begin : begin + size]}
        path = None if progress is None else progress.with_name(f"{progress.stem}_{_key(group, rounds)}.json")
        found |= _run_group(group, rounds, path, make_worker)
    return found


def forget(progress: Path) -> None:
    """Remove what was kept, once it is recorded: the next call measures anew."""
    for path in progress.parent.glob(f"{progress.stem}_*.json"):
        path.unlink()


def _run_group(
    jobs: Mapping[str, Job], rounds: int, progress: Path | None, make_worker: MakeWorker
) -> dict[str, Outcome]:
    done, outcomes = _read(progress, jobs)
    if done >= rounds:
        print(f"  taken from {progress}", flush=True)
        return outcomes
    with ExitStack() as stack:
        workers = _open(jobs, outcomes, stack, make_worker)
        for number in range(done, rounds):
            order = random.Random(number)
            for name in order.sample(list(workers), len(workers)):
                _turn(name, workers, outcomes[name])
            _write(progress, number + 1, outcomes)
            print(f"  round {number + 1} of {rounds}", flush=True)
        for name, worker in workers.items():
            outcomes[name].peak_rss_mib = worker.peak_rss_mib()
    _write(progress, rounds, outcomes)
    return outcomes


def _open(
    jobs: Mapping[str, Job], outcomes: dict[str, Outcome], stack: ExitStack, make_worker: MakeWorker
) -> dict[str, Worker]:
    workers: dict[str, Worker] = {}
    for name, job in jobs.items():
        outcomes[name].error = None
        try:
            workers[name] = stack.enter_context(make_worker(job))
            outcomes[name].load_ms = workers[name].load_ms
        except WorkerError as error:
            outcomes[name].error = str(error)
            print(f"  {name}: {error}", flush=True)
    return workers


def _turn(name: str, workers: dict[str, Worker], outcome: Outcome) -> None:
    known = outcome.p50_ms
    runs = 1 if known is None else max(1, min(MOST_RUNS, round(TURN_MS / known)))
    warm = int(known is None or known < WARMED_BELOW_MS)
    try:
        outcome.times_ms += workers[name].run(runs, warm=warm)
    except WorkerError as error:
        outcome.error = str(error)
        print(f"  {name}: {error}", flush=True)
        del workers[name]


def _key(jobs: Mapping[str, Job], rounds: int) -> str:
    """Of exactly these jobs, the files they read as they are now, and the versions of the engines."""
    facts = [[name, job.to_json(), _stamp(job.path)] for name, job in jobs.items()]
    content = json.dumps([rounds, facts, probe_host().packages], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _stamp(path: str) -> list[int]:
    file = Path(path)
    if not path or not file.is_file():
        return []
    state = file.stat()
    return [state.st_size, state.st_mtime_ns]


def _read(progress: Path | None, jobs: Mapping[str, Job]) -> tuple[int, dict[str, Outcome]]:
    if progress is None or not progress.is_file():
        return 0, {name: Outcome() for name in jobs}
    content = json.loads(progress.read_text(encoding="utf-8"))
    return content["rounds"], {name: Outcome(**fields) for name, fields in content["outcomes"].items()}


def _write(progress: Path | None, rounds: int, outcomes: Mapping[str, Outcome]) -> None:
    if progress is None:
        return
    progress.parent.mkdir(parents=True, exist_ok=True)
    content = {"rounds": rounds, "outcomes": {name: asdict(outcome) for name, outcome in outcomes.items()}}
    write_text_atomic(progress, json.dumps(content))
