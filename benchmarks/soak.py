"""Runs one estimator for many minutes: frames through `stream`, then the same through threads that share it.

Every output is compared, bit by bit, with what a fresh estimator made of the same frame in one thread. Resident memory
is sampled all the time, and its growth is the slope of a straight line through the samples of the second half. A phase
that has ended is kept in `build/soak`, so that a run that was interrupted goes on with the other one.

    python benchmarks/soak.py                      # nano, OpenVINO INT8, 2 threads, 30 minutes for each phase
    python benchmarks/soak.py --quick              # some seconds, no record
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import math
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine_load import LoadReading, load_since
from numpy.typing import NDArray
from recording import append_records, bundle_hashes
from soak_measures import GROWTH_LIMIT_MIB, WARM_UP_FRAMES, LatencyCounts, MemorySamples, allocated_mib, growth_mib

from pixio_edge import Bundle, DepthEstimator
from pixio_edge.files import write_text_atomic

PROGRESS = Path("build/soak")
# Camera frames, upright ones and small ones: three input sizes of the ladder take turns in one process.
FRAME_SIZES = ((720, 1280), (640, 480), (480, 640), (256, 256))
# Different frames, so that a result of another frame is seen; few, so that their expected depth stays in memory.
DISTINCT_FRAMES = 12
QUICK_MINUTES = 0.05
# Maps that callers hold for a moment move the memory by some MiB; many samples average that out.
SAMPLE_S, QUICK_SAMPLE_S = 0.25, 0.05
PROGRESS_S = 15.0


@dataclass(frozen=True)
class SoakPlan:
    """What to run. `phase_minutes` are those of each phase, `callers` the threads of the second."""

    bundle: str
    runtime: str
    precision: str
    threads: int
    callers: int
    concurrency: int
    phase_minutes: float
    sample_s: float

    def open(self) -> DepthEstimator:
        """A new estimator."""
        return DepthEstimator.open(
            self.bundle,
            runtime=self.runtime,
            precision=self.precision,  # type: ignore[arg-type] # checked by the estimator
            threads=self.threads,
            concurrency=self.concurrency,
        )


class Soak:
    """One phase: counts, times and compares what callers get, until its time is over."""

    def __init__(self, plan: SoakPlan, frames: list[NDArray[np.uint8]], expected: list[NDArray[np.float32]]) -> None:
        self.plan = plan
        self.frames = frames
        self.expected = expected
        self.seconds = plan.phase_minutes * 60
        self.memory = MemorySamples(self.seconds, plan.sample_s)
        self.errors: list[str] = []
        self._end = 0.0

    def run(self, phase: str, callers: int) -> dict[str, Any]:
        """Fields of the record of a phase."""
        counts = [LatencyCounts() for _ in range(callers)]
        wrong = [WrongFrames() for _ in range(callers)]
        before = LoadReading.now()
        with self.plan.open() as estimator:
            for frame in self.frames:
                estimator.predict(frame)
            gc.collect()
            self._end = time.monotonic() + self.seconds
            source = estimator.predict(self.frames[0]).source
            work = self._stream if phase == "stream" else self._predict
            threads = [
                threading.Thread(target=self._guard, args=(work, estimator, at, counts[at], wrong[at]))
                for at in range(callers)
            ]
            for thread in threads:
                thread.start()
            self._watch(threads, phase, counts, wrong)
        total = LatencyCounts.summed(counts)
        samples = self.memory.after_warm_up()
        return {
            "phase": phase,
            "callers": callers,
            "source": source,
            "frames": total.count,
            "fps": total.count / self.seconds,
            "wrong": sum(item.count for item in wrong),
            "largest_difference": max(item.largest for item in wrong),
            "errors": self.errors,
            "growth_mib": growth_mib(samples),
            "allocated_growth_mib": growth_mib(self.memory.allocated()),
            **self.memory.stages(),
            "rss_mib": self.memory.last_mib,
            "memory": [[round(float(a), 1), round(float(b), 2)] for a, b in self.memory.thinned()],
            **total.percentiles(),
            **load_since(before),
        }

    def _frames_until_the_end(self, first: int, order: list[int]) -> Any:
        """Frames in turn from `first`, noting in `order` which one is on its way."""
        index = first
        while time.monotonic() < self._end and not self.errors:
            order[0] = index % len(self.frames)
            yield self.frames[order[0]]
            index += 1

    def _stream(self, estimator: DepthEstimator, first: int, counts: LatencyCounts, wrong: WrongFrames) -> None:
        order = [0]
        start = time.perf_counter()
        for depth in estimator.stream(self._frames_until_the_end(first, order)):
            counts.add(time.perf_counter() - start)
            wrong.check(depth.values, self.expected[order[0]])
            start = time.perf_counter()

    def _predict(self, estimator: DepthEstimator, first: int, counts: LatencyCounts, wrong: WrongFrames) -> None:
        order = [0]
        for frame in self._frames_until_the_end(first, order):
            start = time.perf_counter()
            values = estimator.predict(frame).values
            counts.add(time.perf_counter() - start)
            wrong.check(values, self.expected[order[0]])

    def _guard(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except Exception as error:  # a thread that ends by itself would look like one that had nothing to do
            self.errors.append(f"{type(error).__name__}: {error}")

    def _watch(
        self, threads: list[threading.Thread], phase: str, counts: list[LatencyCounts], wrong: list[WrongFrames]
    ) -> None:
        """Sample memory and say how far it is, until all threads have ended."""
        start = told = time.monotonic()
        while any(thread.is_alive() for thread in threads):
            time.sleep(self.plan.sample_s)
            now = time.monotonic()
            frames = sum(item.count for item in counts)
            if now < self._end:
                self.memory.sample(now - start, frames)
            if now - told >= PROGRESS_S:
                told = now
                bad = sum(item.count for item in wrong)
                rate = frames / (now - start)
                memory = self.memory.last_mib
                print(f"  {phase} {now - start:5.0f} s: {frames} frames, {rate:.1f}/s, {bad} wrong, {memory:.1f} MiB")
                sys.stdout.flush()


class WrongFrames:
    """Counts outputs that differ from what was expected, and keeps the largest difference."""

    def __init__(self) -> None:
        self.count = 0
        self.largest = 0.0

    def check(self, values: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
        """Compare every bit of one output."""
        if np.array_equal(values, expected):
            return
        self.count += 1
        difference = np.abs(values - expected).max() if values.shape == expected.shape else np.inf
        self.largest = max(self.largest, float(difference))


def make_frames() -> list[NDArray[np.uint8]]:
    """uint8 (H, W, 3) noise, the same each time."""
    random = np.random.default_rng(0)
    sizes = [FRAME_SIZES[index % len(FRAME_SIZES)] for index in range(DISTINCT_FRAMES)]
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def soak(plan: SoakPlan, folder: Path, *, restart: bool = False) -> list[dict[str, Any]]:
    """Both phases; those that an earlier call with the same plan has ended are taken from `folder`."""
    with plan.open() as estimator:
        hashes = bundle_hashes(estimator.bundle)
        frames = make_frames()
        expected = [estimator.predict(frame).values for frame in frames]
    progress = kept_path(plan, hashes, folder)
    done: dict[str, Any] = {}
    if progress.is_file() and not restart:
        done = json.loads(progress.read_text(encoding="utf-8"))
    for phase, callers in (("stream", 1), ("threads", plan.callers)):
        if phase in done and not done[phase]["errors"]:
            print(f"  {phase}: taken from {progress}", flush=True)
            continue
        done[phase] = asdict(plan) | {"model": plan.bundle, **hashes} | Soak(plan, frames, expected).run(phase, callers)
        folder.mkdir(parents=True, exist_ok=True)
        write_text_atomic(progress, json.dumps(done))
    return [done["stream"], done["threads"]]


def kept_path(plan: SoakPlan, hashes: dict[str, str], folder: Path) -> Path:
    """Where phases of this plan with these weights are kept once they have ended."""
    text = json.dumps([asdict(plan), hashes], sort_keys=True)
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def failures(record: dict[str, Any], *, is_quick: bool = False) -> list[str]:
    """What of a phase is not as it should be, growth that could not be judged too; a quick run is too short for it."""
    growth, allocated = record["growth_mib"], record["allocated_growth_mib"]
    limit = f"in 30 minutes, at most {GROWTH_LIMIT_MIB:g}"
    checks = {
        f"{record['wrong']} of {record['frames']} outputs differ": record["wrong"] > 0,
        f"errors: {record['errors']}": bool(record["errors"]),
    }
    if not is_quick:
        checks |= {
            f"growth cannot be judged: fewer than {WARM_UP_FRAMES} frames in the first half": growth is None,
            f"memory grows by {growth} MiB {limit}": growth is not None and growth > GROWTH_LIMIT_MIB,
            "growth of malloc cannot be judged: too few samples": allocated is None and math.isfinite(allocated_mib()),
            f"malloc gives out {allocated} MiB more {limit}": allocated is not None and allocated > GROWTH_LIMIT_MIB,
        }
    return [text for text, failed in checks.items() if failed]


def main() -> int:
    """Run, print, append to `records/soak.jsonl`; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="nano", help="name or folder")
    parser.add_argument("--runtime", default="openvino")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--threads", type=int, default=2, help="of one inference")
    parser.add_argument("--callers", type=int, default=8, help="threads that share the estimator in the second phase")
    parser.add_argument("--concurrency", type=int, default=1, help="inferences that may run at once")
    parser.add_argument("--minutes", type=float, default=30.0, help="of each phase")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_MINUTES} minutes each, no record, nothing resumed"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would run")
    parser.add_argument("--restart", action="store_true", help="do not resume phases that have ended")
    arguments = parser.parse_args()
    plan = SoakPlan(
        **{name: getattr(arguments, name) for name in ("bundle", "runtime", "precision", "threads", "callers")},
        concurrency=arguments.concurrency,
        phase_minutes=QUICK_MINUTES if arguments.quick else arguments.minutes,
        sample_s=QUICK_SAMPLE_S if arguments.quick else SAMPLE_S,
    )
    print(json.dumps(asdict(plan)))
    if arguments.dry_run:
        return 0
    records = soak(plan, PROGRESS, restart=arguments.restart or arguments.quick)
    for record in records:
        print({key: value for key, value in record.items() if key != "memory"})
    if not arguments.quick:
        append_records("soak", records)
        kept_path(plan, bundle_hashes(Bundle.open(plan.bundle)), PROGRESS).unlink(missing_ok=True)
    found = [f"{record['phase']}: {text}" for record in records for text in failures(record, is_quick=arguments.quick)]
    print("\n".join(found) or "no wrong output" + ("" if arguments.quick else ", no growth beyond the limit"))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
