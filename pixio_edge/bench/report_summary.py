"""The report as JSON: what a program wants to know of it."""

from __future__ import annotations

from typing import Any

from pixio_edge.bench.compare import Comparison, Pair
from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.report_data import Device, Report, is_noisy, median_ms
from pixio_edge.bench.report_facts import list_facts, list_highlights
from pixio_edge.bench.report_labels import choose_metric, family
from pixio_edge.bench.report_pareto import list_trades, pareto_front

SUMMARY_VERSION = 1

PLAN_FIELDS = ("bundle", "artifact", "runtime", "provider", "precision", "size", "threads", "batch", "pin_cores")
TIME_FIELDS = ("min_ms", "p50_ms", "p90_ms", "p99_ms", "load_ms", "first_ms", "pre_ms", "infer_ms", "post_ms", "fps")
OTHER_FIELDS = ("throughput_fps", "peak_rss_mib", "energy_mj", "status", "reason", "key", "created")


def summarise(report: Report, comparison: Comparison | None = None) -> dict[str, Any]:
    """Devices with their measurements, the front of latency and accuracy, and the comparison; as JSON values."""
    return {
        "summary_version": SUMMARY_VERSION,
        "tool": report.tool,
        "created": report.created,
        "files": list(report.files),
        "devices": [_device(device, report.bundles) for device in report.devices],
        "comparison": None if comparison is None else _comparison(comparison),
    }


def _device(device: Device, bundles: dict[str, str]) -> dict[str, Any]:
    metric = choose_metric(device.timed)
    front = [] if metric is None else pareto_front(list_trades(device.timed, metric), metric)
    index = {id(record): number for number, record in enumerate(device.records)}
    return {
        "name": device.name,
        "facts": dict(list_facts(device)),
        "measurements": [_measurement(record) for record in device.records],
        "older_measurements": device.replaced,
        "highlights": {
            highlight.name.lower().replace(" ", "_"): index[id(highlight.record)]
            for highlight in list_highlights(device, bundles)
        },
        "front": {"metric": metric, "measurements": [index[id(trade.record)] for trade in front]},
        "noisy": [index[id(record)] for record in device.timed if is_noisy(record)],
        "not_timed": [index[id(record)] for record in device.records if median_ms(record) is None],
    }


def _measurement(record: BenchRecord) -> dict[str, Any]:
    content = record.to_json()
    chosen = {name: content[name] for name in (*PLAN_FIELDS, *TIME_FIELDS, *OTHER_FIELDS)}
    accuracy = None if record.accuracy is None else content["accuracy"]
    return chosen | {"family": family(record), "accuracy": accuracy, "noisy": is_noisy(record)}


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "confidence": comparison.confidence,
        "hosts": comparison.hosts,
        "pairs": [_pair(pair) for pair in comparison.pairs],
        "lost": [{"combination": each.combination.describe(), "status": each.verdict} for each in comparison.lost],
        "only_in_baseline": [combination.describe() for combination in comparison.only_old],
        "not_in_baseline": [combination.describe() for combination in comparison.only_new],
    }


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "combination": pair.combination.describe(),
        "old_ms": pair.old_ms,
        "new_ms": pair.new_ms,
        "ratio": pair.ratio,
        "interval": None if pair.interval is None else [pair.interval.low, pair.interval.high],
        "verdict": pair.verdict,
        "reason": pair.reason,
        "processes": list(pair.processes),
        "changed": {fact: [old, new] for fact, old, new in pair.changed},
    }
