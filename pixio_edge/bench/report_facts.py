"""What the numbers were measured on and with, and what stands out among them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.report_data import Device, is_noisy, median_ms, usable
from pixio_edge.bench.report_labels import (
    METRIC_NAMES,
    accuracy,
    choose_metric,
    is_stated,
    label_records,
    milliseconds,
    number,
)
from pixio_edge.bench.report_pareto import list_trades, pareto_front

# On a machine that is busy all are noisy, for the same reasons; the table marks each.
MOST_LISTED = 5
# Of many different values, such as the dates of a file that grew for years, the first and the last.
MOST_VALUES = 4


@dataclass(frozen=True, slots=True)
class Highlight:
    """One thing that stands out.

    Args:
        name: Which, such as "Fastest".
        value: The number with its unit.
        record: The measurement.
        label: Its name.
    """

    name: str
    value: str
    record: BenchRecord
    label: str


def list_facts(device: Device) -> list[tuple[str, str]]:
    """Facts about a machine and its software, as (name, value); of what changed between records, all values."""
    records = device.records
    absent = {name: reason for record in records for name, reason in (record.absent or {}).items()}
    powers = [record.power for record in records if record.power is not None]
    facts = {
        "Processor": _values(_host(records, "cpu")),
        "Cores": _values(_cores(record.host) for record in records),
        "Instructions": _values(_listed(value) for value in _host(records, "isa")),
        "GPU": _values(_listed(value) for value in _host(records, "gpus")),
        "NVIDIA": _values(_pairs(value) for value in _host(records, "nvidia")),
        "Memory": _values(f"{value / 1024:.1f} GiB" for value in _host(records, "ram_mib") if isinstance(value, int)),
        "System": _values(_host(records, "os")),
        "macOS": _values(_host(records, "macos")),
        "Power mode": _values(power.power_mode for power in powers),
        "Clock governor": _values(power.governor for power in powers),
        "Clocks locked": _values(_yes_no(power.clocks_locked) for power in powers),
        "Python": _values(_host(records, "python")),
        "Packages": _values(_pairs(value) for value in _host(records, "packages")),
        "Engines": _values(_engine(record) for record in records),
        "Measured with": _values(record.tool for record in records),
        "Commit": _values(record.git_commit for record in records),
        "Measured": _values(sorted({record.created[:10] for record in records})),
        "Not measurable here": "; ".join(f"{name} ({reason})" for name, reason in absent.items()),
    }
    return [(name, value) for name, value in facts.items() if value]


def list_highlights(device: Device, bundles: dict[str, str]) -> list[Highlight]:
    """The fastest, the most accurate and the smallest of what was timed, noisy or not: a tilde says so."""
    timed = [record for record in device.timed if record.batch == 1] or list(device.timed)
    if not timed:
        return []
    labels = label_records(device.records, bundles)
    fastest = timed[0]
    found = [Highlight("Fastest", milliseconds(median_ms(fastest)), fastest, labels.of(fastest))]
    metric = choose_metric(timed)
    front = [] if metric is None else pareto_front(list_trades(timed, metric), metric)
    if metric is not None and front:
        best = front[-1].record
        star = "*" if is_stated(best) else ""
        value = f"{METRIC_NAMES[metric]} {number(accuracy(best, metric))}{star} at {milliseconds(median_ms(best))}"
        found.append(Highlight("Most accurate", value, best, labels.of(best)))
    sized = [(size, record) for record in timed if (size := usable(record.peak_rss_mib)) is not None]
    if sized:
        size, smallest = min(sized, key=lambda item: item[0])
        found.append(Highlight("Least memory", f"{number(size)} MiB", smallest, labels.of(smallest)))
    return found


def list_noisy(device: Device, bundles: dict[str, str]) -> list[tuple[str, str]]:
    """Measurements whose times are not to be trusted, as (label, reasons)."""
    labels = label_records(device.records, bundles)
    return [
        (labels.of(record).removeprefix("~ "), "; ".join(record.noise.reasons))
        for record in device.timed
        if is_noisy(record) and record.noise is not None
    ]


def list_slower(device: Device, bundles: dict[str, str]) -> list[tuple[str, str]]:
    """Timed measurements whose status is not "ok", as (label, status with reason)."""
    labels = label_records(device.records, bundles)
    return [(labels.of(record), record.verdict) for record in device.timed if not record.is_ok]


def list_first(items: Sequence[tuple[str, str]]) -> list[str]:
    """Lines of (label, text), and how many more there are."""
    lines = [f"{label}: {text}" for label, text in items[:MOST_LISTED]]
    return lines + ([f"and {len(items) - MOST_LISTED} more"] if len(items) > MOST_LISTED else [])


def _host(records: Sequence[BenchRecord], name: str) -> list[Any]:
    return [record.host.get(name) for record in records]


def _cores(host: dict[str, Any]) -> str | None:
    logical, physical, usable_ = (host.get(f"{name}_cores") for name in ("logical", "physical", "usable"))
    if logical is None:
        return None
    parts = [f"{logical} hardware threads"]
    parts += [f"{physical} cores"] if physical is not None else []
    parts += [f"{usable_} used by default"] if usable_ is not None else []
    return ", ".join(parts)


def _engine(record: BenchRecord) -> str | None:
    if record.runtime_version is None:
        return None
    return f"{record.runtime} {record.runtime_version}" + (f" on {record.device}" if record.device else "")


def _listed(value: object) -> str | None:
    return ", ".join(map(str, value)) if isinstance(value, list) else None


def _pairs(value: object) -> str | None:
    if not isinstance(value, dict):
        return None
    return ", ".join(f"{name} {version}" for name, version in value.items() if version is not None)


def _yes_no(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"


def _values(found: Iterable[object]) -> str:
    """Different values in their order; of many, the ends."""
    values = list(dict.fromkeys(str(value) for value in found if value not in (None, "")))
    if len(values) > MOST_VALUES:
        values = [*values[:2], f"… ({len(values) - 3} more)", values[-1]]
    return "; ".join(values)
