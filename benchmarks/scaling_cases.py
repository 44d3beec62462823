"""What `scaling.py` times: sizes from 128x128 to 1024x1024, threads, and several inferences at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from engine_jobs import Job
from made_graphs import graph_file

from pixio_edge.host import probe_host, usable_cores
from pixio_edge.sizes import Size, size_label

PRESETS = ("nano", "small")
SIDES = (128, 192, 256, 384, 512, 768, 1024)
QUICK_SIDES = (128, 256)
PATCH_SIDE = 16
RUNS = (("openvino", "int8"), ("openvino", "bf16"), ("openvino", "fp32"), ("ort", "int8"), ("ort", "fp32"))
# With fewer threads than all: only these sides, in the engine that is taken by default.
THREAD_SIDES, THREAD_ENGINE = (256, 512, 1024), "openvino"
# At this side, so many inferences at once; and its stages and those of the largest side are looked at.
FLIGHT_SIDE, FLIGHTS = 256, (1, 2, 4, 8)
STAGE_SIDES = (256, 1024)
STAGE_RUNS = (("openvino", "int8"), ("openvino", "fp32"))


@dataclass(frozen=True)
class ScalingCase:
    """One row: a preset with random weights at a size, in an engine and precision, with threads and runs in flight."""

    preset: str
    size: Size
    engine: str
    precision: str
    threads: int
    in_flight: int
    graph: Path
    job: Job

    @property
    def name(self) -> str:
        """Unique among the cases."""
        parts = (self.preset, size_label(self.size), self.engine, self.precision, self.threads, self.in_flight)
        return " | ".join(map(str, parts))

    @property
    def tokens(self) -> int:
        """Patches of the encoder."""
        return self.size[0] // PATCH_SIDE * (self.size[1] // PATCH_SIDE)

    @property
    def has_stages(self) -> bool:
        """Whether its time is also looked at by stage."""
        is_plain = self.in_flight == 1 and self.threads == max(thread_counts())
        return is_plain and self.size[0] in STAGE_SIDES and (self.engine, self.precision) in STAGE_RUNS

    def to_json(self) -> dict[str, Any]:
        """What a record says of it."""
        return {
            "preset": self.preset,
            "size": list(self.size),
            "tokens": self.tokens,
            "engine": self.engine,
            "precision": self.precision,
            "threads": self.threads,
            "in_flight": self.in_flight,
            "weights": "random",
        }


@cache
def thread_counts() -> tuple[int, ...]:
    """1, then doubled up to all cores that may be used."""
    cores = usable_cores()
    counts = {1, cores} | {count for count in (2, 4, 8, 16, 32) if count < cores}
    return tuple(sorted(counts))


@cache
def _has_bf16() -> bool:
    return not probe_host().lacks_bf16


def list_cases(folder: Path, *, sides: tuple[int, ...] = SIDES) -> list[ScalingCase]:
    """All cases that this processor can execute."""
    return list({case.name: case for case in _cases(folder, sides)}.values())


def _cases(folder: Path, sides: tuple[int, ...]) -> Iterator[ScalingCase]:
    everything = max(thread_counts())
    for preset in PRESETS:
        for engine, precision in RUNS:
            if precision == "bf16" and not _has_bf16():
                continue
            for side in sides:
                yield _case(folder, preset, side, engine, precision, threads=everything)
                if engine == THREAD_ENGINE and precision != "bf16" and side in THREAD_SIDES:
                    for threads in thread_counts():
                        yield _case(folder, preset, side, engine, precision, threads=threads)
            if precision == "int8" and FLIGHT_SIDE in sides:
                for count in FLIGHTS:
                    yield _case(folder, preset, FLIGHT_SIDE, engine, precision, threads=everything, in_flight=count)


def _case(
    folder: Path, preset: str, side: int, engine: str, precision: str, *, threads: int, in_flight: int = 1
) -> ScalingCase:
    size = (side, side)
    path = graph_file(folder, preset, size, engine, precision)
    # As in `OpenVinoRuntime`: what INT8 leaves in float is bf16 where the processor has it.
    is_bf16 = engine == "openvino" and precision != "fp32" and _has_bf16()
    job = Job(engine, str(path), threads=threads, hint="bf16" if is_bf16 else "f32", in_flight=in_flight)
    graph = graph_file(folder, preset, size, "ort", "fp32")
    return ScalingCase(preset, size, engine, precision, threads, in_flight, graph, job)
