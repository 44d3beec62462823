"""Latency against accuracy along the walk from all layers in INT8 to all in float."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from pixio_edge.bundle_writer import write_bundle
from pixio_edge.calibration.artifact import Recipe, write_int8
from pixio_edge.calibration.speed import time_once
from pixio_edge.errors import CheckFailedError
from pixio_edge.files import write_text_atomic

if TYPE_CHECKING:
    from pydantic import JsonValue

    from pixio_edge.bundle import Bundle
    from pixio_edge.calibration.agreement import Agreement
    from pixio_edge.calibration.artifact import Int8Source
    from pixio_edge.calibration.budget import Budget
    from pixio_edge.calibration.calibrate import Progress
    from pixio_edge.calibration.search import LayerSensitivity
    from pixio_edge.calibration.speed import SpeedPlan
    from pixio_edge.calibration.targets import Target
    from pixio_edge.calibration.trial import TrialImages
    from pixio_edge.manifest import Precision
    from pixio_edge.sizes import Size


@dataclass(frozen=True, slots=True)
class ParetoPoint:
    """One choice of layers.

    Attributes:
        keep_float: Layers in float.
        agreement: With the float depth, on the images of the search.
        ms: Median latency, milliseconds.
        is_best: Whether no other point is both faster and nearer to the float depth.
    """

    keep_float: tuple[str, ...]
    agreement: Agreement
    ms: float
    is_best: bool

    def to_json(self) -> dict[str, JsonValue]:
        """All fields as JSON values."""
        return {
            "keep_float": list(self.keep_float),
            "ms": self.ms,
            "is_best": self.is_best,
            **self.agreement.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Pareto:
    """Points from all layers in INT8 to most of them in float, and the float artifact.

    Attributes:
        runtime: What they were timed in.
        flavour: Form of the graphs.
        size: Height and width of the input.
        layers: Number of layers that can run in INT8.
        float_ms: Median latency of the float artifact, milliseconds.
        points: By number of layers in float.
        ranking: Layers by what they cost alone, worst first.
    """

    runtime: str
    flavour: str
    size: Size
    layers: int
    float_ms: float
    points: tuple[ParetoPoint, ...]
    ranking: tuple[LayerSensitivity, ...]

    def save(self, path: Path) -> None:
        """Write as JSON.

        Raises:
            OutputError: The file cannot be written.
        """
        content = {
            "runtime": self.runtime,
            "flavour": self.flavour,
            "size": list(self.size),
            "layers": self.layers,
            "float_ms": self.float_ms,
            "points": [point.to_json() for point in self.points],
            "ranking": [item.to_json() for item in self.ranking],
        }
        write_text_atomic(path, json.dumps(content, indent=1, sort_keys=True) + "\n")


def counts_to_try(layers: int) -> tuple[int, ...]:
    """Numbers of layers in float: 0, and then doubling, as the first few change most."""
    counts = [0]
    while (following := max(1, 2 * counts[-1])) < layers:
        counts.append(following)
    return tuple(counts)


def trace_pareto(
    bundle: Bundle,
    source: Int8Source,
    target: Target,
    ranking: Sequence[LayerSensitivity],
    *,
    images: TrialImages,
    speed: SpeedPlan,
    progress: Progress,
) -> Pareto:
    """Measure accuracy and latency at some numbers of layers in float, worst first, at the first size.

    Candidates take turns, each time in a process of its own, and medians over the turns are compared.

    Args:
        bundle: Has the float artifacts.
        source: What graphs are made from.
        target: Has a runtime here.
        ranking: From `search.rank_layers`.
        images: What agreement is measured on.
        speed: How to time.
        progress: Told each measurement.

    Raises:
        CheckFailedError: A candidate could not be timed.
    """
    size = next(iter(source.ladder))
    base = source.ladder.artifacts[size]
    order = tuple(item.layer for item in ranking)
    kept = [order[:count] for count in counts_to_try(len(order))]
    recipes = [Recipe(target, layers, suffix=f"-float{len(layers)}") for layers in kept]
    with tempfile.TemporaryDirectory(prefix="pixio-edge-") as name:
        folder = Path(name) / "pareto"
        with write_bundle(folder, bundle.manifest) as writer:
            writer.take_over(bundle, drop=[artifact.name for artifact in bundle.artifacts if artifact != base])
            artifacts = write_int8(writer, source, recipes, sizes=[size], threads=speed.threads)
        jobs: list[tuple[str, Precision]] = [(base.name, "fp32"), *((artifact.name, "int8") for artifact in artifacts)]
        times = _time_in_turns(folder, target.runtime, jobs, speed, progress)
    found = [images.measure(source.emit(size, target, layers)) for layers in kept]
    pairs = list(zip(times[1:], found, strict=True))
    points = tuple(
        ParetoPoint(layers, agreement, ms, _is_best(ms, agreement, pairs))
        for layers, (ms, agreement) in zip(kept, pairs, strict=True)
    )
    return Pareto(target.runtime, target.flavour, size, len(order), times[0], points, tuple(ranking))


def save_pareto(pareto: Pareto, budget: Budget, folder: Path) -> tuple[Path, ...]:
    """Write JSON and picture into a folder that exists.

    Raises:
        OutputError: A file cannot be written.
        MissingDependencyError: matplotlib is not installed.
    """
    from pixio_edge.calibration.pareto_plot import plot_pareto  # noqa: PLC0415  (drawing is optional)

    record, picture = folder / f"pareto_{pareto.flavour}.json", folder / f"pareto_{pareto.flavour}.png"
    pareto.save(record)
    plot_pareto(pareto, budget, picture)
    return record, picture


def _is_best(ms: float, agreement: Agreement, pairs: Sequence[tuple[float, Agreement]]) -> bool:
    return not any(
        other_ms <= ms and other.abs_rel <= agreement.abs_rel and (other_ms, other.abs_rel) != (ms, agreement.abs_rel)
        for other_ms, other in pairs
    )


def _time_in_turns(
    folder: Path, runtime: str, jobs: Sequence[tuple[str, Precision]], speed: SpeedPlan, progress: Progress
) -> list[float]:
    times: list[list[float]] = [[] for _ in jobs]
    for turn in range(speed.rounds):
        for index, (artifact, precision) in enumerate(jobs):
            progress(f"pareto {runtime}", turn * len(jobs) + index, speed.rounds * len(jobs))
            record = time_once(folder, runtime, artifact, precision, speed)
            if record.p50_ms is None:
                raise CheckFailedError(f"artifact {artifact} was not timed: {record.verdict}. Fix: leave --report out")
            times[index].append(record.p50_ms)
    return [round(median(values), 3) for values in times]
