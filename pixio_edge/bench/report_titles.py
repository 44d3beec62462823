"""What a mark of a figure says when it is pointed at."""

from __future__ import annotations

from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.report_data import is_noisy
from pixio_edge.bench.report_labels import milliseconds, number
from pixio_edge.sizes import size_label


def describe(record: BenchRecord, label: str, bundles: dict[str, str]) -> str:
    """Everything about a record that a person who points at it may want, one thing on each line."""
    where = "" if record.device is None else f" on {record.device}"
    threads = "" if record.threads is None else f", {record.threads} threads"
    batch = "" if record.batch == 1 else f", {record.batch} requests at once"
    lines = [
        label,
        f"{bundles[record.bundle]}, {record.artifact}, {record.runtime} {record.precision}{where}",
        f"{size_label(record.size)}{threads}{batch}",
        f"p50 {milliseconds(record.p50_ms)}, p90 {milliseconds(record.p90_ms)}, p99 {milliseconds(record.p99_ms)}",
    ]
    if record.accuracy is not None:
        lines.append(f"δ1 {number(record.accuracy.delta1)}, AbsRel {number(record.accuracy.abs_rel)}")
    if record.peak_rss_mib is not None:
        lines.append(f"peak memory {number(record.peak_rss_mib)} MiB")
    if record.status != "ok":
        lines.append(record.verdict)
    if is_noisy(record) and record.noise is not None:
        lines.append(f"noisy: {'; '.join(record.noise.reasons)}")
    return "\n".join(lines)
