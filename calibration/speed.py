"""What INT8 gains: latency beside the float artifact of the same size, in turns, each in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixio_edge.bench.isolated import bench_isolated
from pixio_edge.bench.plan import BenchPlan
from pixio_edge.errors import CheckFailedError
from pixio_edge.quantization import SpeedEntry

if TYPE_CHECKING:
    from pathlib import Path

    from pixio_edge.bench.record import BenchRecord
    from pixio_edge.manifest import ArtifactEntry, Precision
    from pixio_edge.sizes import Size

MIN_SPEEDUP = 1.05
"""Medians of short runs repeat to some percent on a host that does other things too: less is no gain."""

DEFAULT_ROUNDS = 3
DEFAULT_RUNS = 30
WARMUP = 5
BUDGET_S = 10.0
"""Of one timed loop; a very slow device still gets `bench.plan.MIN_RUNS`."""

SAME_COST = 1.15
"""Sizes whose areas differ by less than this factor are taken to gain the same, so one of them is timed. The sizes of a
default ladder differ by up to 6 %."""


@dataclass(frozen=True, slots=True)
class SpeedPlan:
    """How to time.

    Args:
        rounds: How often float and INT8 take turns.
        runs: Timed inferences of each in a round.
        threads: Of one inference; None takes one for each usable core.
    """

    rounds: int = DEFAULT_ROUNDS
    runs: int = DEFAULT_RUNS
    threads: int | None = None


def time_pair(
    folder: Path, runtime: str, float_artifact: ArtifactEntry, int8_artifact: ArtifactEntry, plan: SpeedPlan
) -> SpeedEntry:
    """Time an INT8 artifact against the float one of its size.

    Both are checked against their stored output before they are timed. The order within a round alternates, and the
    round with the median ratio counts, so that a host that gets slower meanwhile does not decide.

    Args:
        folder: Bundle with both.
        runtime: Name in `registry.RUNTIMES`.
        float_artifact: Executed in fp32.
        int8_artifact: Executed in INT8.
        plan: How often.

    Raises:
        CheckFailedError: One of them could not be timed; the message says why.
    """
    pairs = []
    for index in range(plan.rounds):
        jobs: list[tuple[ArtifactEntry, Precision]] = [(float_artifact, "fp32"), (int8_artifact, "int8")]
        records = {}
        for artifact, precision in jobs if index % 2 == 0 else reversed(jobs):
            records[precision] = _time(folder, runtime, artifact, precision, plan)
        pairs.append((records["fp32"], records["int8"]))
    last = pairs[-1][1]
    rounds = sorted((_ms(before) / _ms(after), _ms(before), _ms(after)) for before, after in pairs)
    speedup, float_ms, int8_ms = rounds[(len(rounds) - 1) // 2]
    return SpeedEntry(
        runtime=runtime,
        size=int8_artifact.size,
        threads=last.threads or 0,
        float_ms=round(float_ms, 3),
        int8_ms=round(int8_ms, 3),
        speedup=round(speedup, 4),
        rounds=plan.rounds,
        int8_ops=last.int8_ops,
        float_ops=last.float_ops,
        cpu=str(last.host["cpu"]),
    )


def against_speed(speed: SpeedEntry) -> str | None:
    """Why a speed is no reason for INT8; None if it is one.

    A gain counts only together with INT8 kernels that were seen to run. A runtime that cannot tell which kernels it
    ran is refused too: its gain may be that of another graph in float.
    """
    if speed.int8_ops is None:
        return f"{speed.runtime} does not tell which kernels ran, so that it is not known whether any was in INT8"
    if speed.int8_ops == 0:
        return f"{speed.runtime} ran no matrix product or convolution in INT8: its fusions do not match the graph"
    if speed.speedup < MIN_SPEEDUP:
        word = "slower than" if speed.speedup < 1.0 else "not faster than"
        return (
            f"INT8 is {word} float in {speed.runtime} on this host: {speed.int8_ms:.1f} ms against "
            f"{speed.float_ms:.1f} ms, {speed.speedup:.2f} times as fast, expected {MIN_SPEEDUP:g}"
        )
    return None


def sizes_to_time(sizes: Sequence[Size]) -> dict[Size, Size]:
    """For each size the one whose time stands for it: the first of about its area."""
    timed: list[Size] = []
    stands_for = {}
    for size in sizes:
        area = size[0] * size[1]
        known = next((t for t in timed if 1 / SAME_COST < t[0] * t[1] / area < SAME_COST), None)
        if known is None:
            timed.append(size)
        stands_for[size] = known or size
    return stands_for


def time_once(folder: Path, runtime: str, artifact: str, precision: Precision, plan: SpeedPlan) -> BenchRecord:
    """One round of one artifact, by its name, in a process of its own; the record says whether it went well."""
    return bench_isolated(
        BenchPlan(
            str(folder),
            runtime,
            artifact,
            precision,
            plan.threads,
            warmup=WARMUP,
            runs=plan.runs,
            # Rounds that take turns make up for short ones.
            warmup_s=0.0,
            timed_s=0.0,
            budget_s=BUDGET_S,
        )
    )


def _time(folder: Path, runtime: str, artifact: ArtifactEntry, precision: Precision, plan: SpeedPlan) -> BenchRecord:
    record = time_once(folder, runtime, artifact.name, precision, plan)
    if not record.is_ok:
        raise CheckFailedError(
            f"artifact {artifact.name} could not be timed in {runtime}: {record.verdict}. "
            "Fix: see 'pixio-edge doctor', or leave this runtime out"
        )
    return record


def _ms(record: BenchRecord) -> float:
    return float(record.p50_ms or 0.0)
