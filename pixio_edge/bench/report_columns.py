"""Columns of the table of measurements, for HTML and Markdown alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.report_data import is_noisy, power_mode
from pixio_edge.bench.report_labels import NOTHING, accuracy, family, is_stated, number
from pixio_edge.sizes import size_label

STAR = "; * as the manifest states it for all sizes together, not measured at this one"


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Args:
        head: Its name, with the unit.
        hint: What it means.
        value: Content of a cell: a number, a text, or None.
        show: How a number is written.
        brief: Whether it is also in Markdown, which has less room.
        starred: Of which records it is not what was measured.
    """

    head: str
    hint: str
    value: Callable[[BenchRecord], float | str | None]
    show: Callable[[float], str] = number
    brief: bool = True
    starred: Callable[[BenchRecord], bool] = field(default=lambda _: False)

    def text(self, record: BenchRecord) -> str:
        """Content of a cell for a person."""
        value = self.value(record)
        if value is None:
            return NOTHING
        return (value if isinstance(value, str) else self.show(value)) + ("*" if self.starred(record) else "")


def choose_columns(records: Sequence[BenchRecord], bundles: dict[str, str]) -> list[Column]:
    """Columns that tell something about these records: some cell has a value, and what all share is left out."""
    always = {"runtime", "precision", "input", "p50 ms"}
    shared = {"bundle", "artifact", "batch", "provider", "pinned to", "frame", "power mode"}
    chosen = []
    for column in _columns(bundles):
        values = {column.value(record) for record in records}
        is_told = values != {None} and not (column.head in shared and len(values) == 1)
        if column.head in always or is_told:
            chosen.append(column)
    if any(column.head == "artifact" for column in chosen) and not _needs_artifact(records):
        chosen = [column for column in chosen if column.head != "artifact"]
    return chosen


def _needs_artifact(records: Sequence[BenchRecord]) -> bool:
    """Whether runtime and precision do not tell artifacts apart."""
    keys = {(record.bundle, record.runtime, record.precision) for record in records}
    return len({(*(record.bundle, record.runtime, record.precision), family(record)) for record in records}) > len(keys)


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _columns(bundles: dict[str, str]) -> tuple[Column, ...]:
    return (
        Column("bundle", "name of the bundle", lambda record: bundles[record.bundle]),
        Column("artifact", "name of the artifact, without its size", family),
        Column("runtime", "what executed it", lambda record: record.runtime),
        Column("provider", "device library that was asked for", lambda record: record.provider or "default"),
        Column("precision", "precision it was executed in", lambda record: record.precision),
        Column("input", "height × width in pixels", lambda record: size_label(record.size).replace("x", "×")),
        Column("threads", "threads of one inference", lambda record: record.threads, _whole),
        Column("pinned to", "hardware threads", _pinned, brief=False),
        Column("batch", "requests in flight at once", lambda record: record.batch, _whole),
        Column("power mode", "of the host", power_mode),
        Column("frame", "height × width of whole predictions", lambda record: size_label(record.frame)),
        Column("p50 ms", "median of one inference, on a prepared input", lambda record: record.p50_ms),
        Column("p90 ms", "90th percentile of the same", lambda record: record.p90_ms, brief=False),
        Column("p99 ms", "99th percentile of the same", lambda record: record.p99_ms),
        Column("frames/s", "whole predictions, one after the other", lambda record: record.fps),
        Column("δ1", f"share of pixels within 25 %{STAR}", _delta1, starred=is_stated),
        Column("AbsRel", f"mean relative error{STAR}", _abs_rel, starred=is_stated),
        Column("MiB", "largest resident memory of the process", lambda record: record.peak_rss_mib, _whole),
        Column("GPU MiB", "held on the GPU", _gpu_mib, _whole),
        Column("mJ", "energy of one inference, idle left out where it is known", lambda record: record.energy_mj),
        Column("noise", "whether the machine was quiet", _noise),
        Column("status", "ok, or why not", lambda record: record.status.replace("_", " ")),
        Column("prepare ms", "frame to input, median", lambda record: record.pre_ms, brief=False),
        Column("restore ms", "depth to the size of the frame, median", lambda record: record.post_ms, brief=False),
        Column("inferences/s", "with all requests in flight", lambda record: record.throughput_fps, brief=False),
        Column("load ms", "from nothing to ready", lambda record: record.load_ms, brief=False),
        Column("first ms", "the first inference after that", lambda record: record.first_ms, brief=False),
        Column("INT8/float", "matrix products and convolutions in each", _operators, brief=False),
    )


def _delta1(record: BenchRecord) -> float | None:
    return accuracy(record, "delta1")


def _abs_rel(record: BenchRecord) -> float | None:
    return accuracy(record, "abs_rel")


def _gpu_mib(record: BenchRecord) -> float | None:
    return None if record.memory is None else record.memory.gpu_mib


def _pinned(record: BenchRecord) -> str | None:
    return None if record.pin_cores is None else ",".join(map(str, record.pin_cores))


def _operators(record: BenchRecord) -> str | None:
    if record.int8_ops is None or record.float_ops is None:
        return None
    return f"{record.int8_ops}/{record.float_ops}"


def _noise(record: BenchRecord) -> str | None:
    if record.noise is None:
        return None
    return "noisy" if is_noisy(record) else "quiet"
