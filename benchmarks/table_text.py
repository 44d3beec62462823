"""Markdown of generated tables: rows, footers, numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

NOT_MEASURED = "_Not measured yet: `make bench`._"

Record = dict[str, Any]


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def footer(record: Record, caption: str) -> str:
    """What the numbers above were measured on."""
    host = record["host"]
    names = ("onnxruntime", "openvino", "torch")
    versions = ", ".join(f"{name} {host['packages'][name]}" for name in names if name in host["packages"])
    cores = f"{host['usable_cores']} cores used of {host['logical_cores']}"
    commit = f"; commit {record['commit']}" if record.get("commit") else ""
    return f"\n\n<sub>{caption}; {host['cpu']}, {cores}, {host['os']}; {versions}; {record['run'][:10]}{commit}</sub>"


def size_of(record: Record) -> str:
    """Input size as HxW."""
    return "x".join(map(str, record["size"]))


def score(value: float | None) -> str:
    """Three decimals, or a dash."""
    return "–" if value is None else f"{value:.3f}"


def tenth(value: float | None) -> str:
    """One decimal, or a dash."""
    return "–" if value is None else f"{value:.1f}"


# A median this far above the fastest run says that the machine was not equally fast all the time: on a quiet one with
# clocks that hold, medians are 2 to 10 % above it.
UNSTEADY = 1.25
UNSTEADY_NOTE = (
    f"A tilde marks medians that are more than {UNSTEADY - 1:.0%} above the fastest run of the same process: the "
    "machine was not equally fast all the time, so compare these by no more than their order."
)


def is_unsteady(record: Record) -> bool:
    """Whether the runs of a record differ by more than a steady machine makes them."""
    times: list[float] = record.get("times_ms") or []
    return bool(times) and record["p50_ms"] > UNSTEADY * min(times)


def steady_ms(record: Record) -> str:
    """Median in ms, with a tilde where it is not steady."""
    return f"{'~' if is_unsteady(record) else ''}{tenth(record['p50_ms'])}"
