"""Words and numbers of a report: short where all records agree, exact where somebody looks closer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.report_data import is_noisy, power_mode
from pixio_edge.sizes import size_label

NOTHING = "–"

Metric: TypeAlias = Literal["delta1", "abs_rel"]
METRIC_NAMES: dict[Metric, str] = {"delta1": "δ1", "abs_rel": "AbsRel"}


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits and no exponent, a dash for None and what is not finite."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 6)}f}"


def tick(value: float) -> str:
    """A round number, as short as it gets."""
    if value != 0 and abs(value) < 1e-4:
        return f"{value:.0e}"
    return f"{value:,.6f}".rstrip("0").rstrip(".")


def percent(ratio: float) -> str:
    """A ratio as a change with its sign."""
    return f"{(ratio - 1) * 100:+.1f} %".replace("-", "−")


def plural(count: int, noun: str) -> str:
    """A count with its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def milliseconds(value: float | None) -> str:
    """A time with its unit."""
    return NOTHING if value is None else f"{number(value)} ms"


def accuracy(record: BenchRecord, metric: Metric) -> float | None:
    """Accuracy of a record, where it has a finite one."""
    value = None if record.accuracy is None else getattr(record.accuracy, metric)
    return value if value is not None and math.isfinite(value) else None


def is_stated(record: BenchRecord) -> bool:
    """Whether its accuracy is what a manifest states for all sizes together, not measured at this one."""
    return record.accuracy is not None and record.accuracy.source != "measured"


def choose_metric(records: Sequence[BenchRecord]) -> Metric | None:
    """The metric that records have: delta1 before AbsRel; None when they have none."""
    metrics: tuple[Metric, ...] = ("delta1", "abs_rel")
    counts = {metric: sum(accuracy(record, metric) is not None for record in records) for metric in metrics}
    best = max(metrics, key=lambda metric: counts[metric])
    return best if counts[best] else None


def family(record: BenchRecord) -> str:
    """Name of the artifact without its size: what is one model at several sizes."""
    return record.artifact.removesuffix(f"-{size_label(record.size)}")


@dataclass(frozen=True, slots=True)
class Labels:
    """Names of measurements within a set, which say only what is not the same for all of it.

    Args:
        parts: How to say each thing that differs.
    """

    parts: tuple[Callable[[BenchRecord], str], ...]

    def of(self, record: BenchRecord) -> str:
        """Name of one record, with a tilde when its times are not to be trusted."""
        words = [part(record) for part in self.parts]
        return ("~ " if is_noisy(record) else "") + " ".join(word for word in words if word)


def label_records(records: Sequence[BenchRecord], bundles: dict[str, str], without: Sequence[str] = ()) -> Labels:
    """Names for these records.

    Args:
        records: The set.
        bundles: Names by what records call their bundle.
        without: What is not said, because an axis does: "size", "threads", "batch".
    """
    parts: dict[str, Callable[[BenchRecord], str]] = {
        "bundle": lambda record: bundles[record.bundle],
        "runtime": lambda record: record.runtime,
        "provider": lambda record: record.provider or "",
        "precision": lambda record: record.precision,
        "size": lambda record: size_label(record.size).replace("x", "×"),
        "threads": lambda record: "" if record.threads is None else f"{record.threads}t",
        "batch": lambda record: "" if record.batch == 1 else f"batch {record.batch}",
        "frame": lambda record: f"of {size_label(record.frame).replace('x', '×')}",
        "power mode": lambda record: power_mode(record) or "",
    }
    always = {"runtime", "precision"}
    said = {
        name: say
        for name, say in parts.items()
        if name not in without and (name in always or len({say(record) for record in records}) > 1)
    }
    names = {tuple(say(record) for say in said.values()) for record in records}
    # Two artifacts of one precision and size, as weight-only ones beside float ones.
    if len(names) < len({(family(record), *(say(record) for say in said.values())) for record in records}):
        said["artifact"] = family
    return Labels(tuple(said.values()))
