"""Table of docs/coreml.md."""

from __future__ import annotations

from table_text import NOT_MEASURED, Record, footer, size_of, table


def render_coreml(records: list[Record]) -> str:
    """One row for each model and variant."""
    if not records:
        return NOT_MEASURED
    rows = [
        (
            f"{record['model']}, {record['weights']} weights, {size_of(record)}",
            record["variant"],
            f"{record['bytes'] / 1e6:.1f}",
            _error(record["fp32"], "rel_l2"),
            _error(record["fp16"], "rel_l2"),
            _error(record["fp16"], "max_rel"),
            f"{100 * record['delta1']:.2f}",
            f"{record['largest_fp16']:.0f}",
            " / ".join(str(sum(record["engine"][where].values())) for where in ("on", "some_chips", "off")),
        )
        for record in records
    ]
    header = (
        "model",
        "variant",
        "MB",
        "error, float32",
        "error, half precision",
        "largest",
        "δ1 agreement %",
        "largest half",
        "operations on / on some / off the engine",
    )
    caption = (
        "errors of the depth on one image, norm over norm, largest over largest; MIL interpreter, no Apple hardware"
    )
    return table(header, rows) + footer(records[0], caption)


def _error(report: dict[str, float | None], name: str) -> str:
    value = report[name]
    return "overflows" if value is None else f"{value:.1e}"
