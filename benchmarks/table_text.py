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
