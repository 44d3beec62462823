"""The table of INT8 in README.md: one row for each engine and precision, one column for each model and size."""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]


def int8_rows(records: list[Record]) -> tuple[list[str], list[list[str]]]:
    """Header and rows; times in ms, in brackets as a multiple of the limit."""
    columns = list(dict.fromkeys((record["model"], tuple(record["size"])) for record in records))
    names = list(dict.fromkeys(record["row"] for record in records))
    cells = {(record["row"], record["model"], tuple(record["size"])): record for record in records}
    header = ["engine", *(f"{model} {size[0]}x{size[1]}" for model, size in columns), "SQNR dB", "AbsRel to fp32"]
    rows = []
    for name in names:
        found = [cells.get((name, *column)) for column in columns]
        rows.append([name, *map(_time, found), *_accuracy(found)])
    limits = [next(r["limit_ms"] for r in records if (r["model"], tuple(r["size"])) == column) for column in columns]
    rows.append(["limit of INT8 products", *(f"{value:.1f}" for value in limits), "", ""])
    return header, rows


def _time(record: Record | None) -> str:
    return "" if record is None else f"{record['p50_ms']:.1f} ({record['p50_ms'] / record['limit_ms']:.2f}x)"


def _accuracy(found: list[Record | None]) -> tuple[str, str]:
    """Of the first column, which is a trained model."""
    agreement = found[0]["agreement"] if found and found[0] else None
    return (f"{agreement['sqnr_db']:.1f}", f"{agreement['abs_rel']:.4f}") if agreement else ("", "")
