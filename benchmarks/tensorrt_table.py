"""Table of docs/tensorrt.md."""

from __future__ import annotations

from table_text import NOT_MEASURED, Record, footer, size_of, table


def render_tensorrt(records: list[Record]) -> str:
    """One row for each model and precision."""
    if not records:
        return NOT_MEASURED
    header = (
        "model",
        "precision",
        "graph MB",
        "error",
        "largest",
        "mean",
        "δ1 agreement %",
        "engine MB",
        "build s",
        "products by type",
    )
    rows = [
        (
            f"{record['model']}, {record['weights']} weights, {size_of(record)}",
            record["precision"],
            f"{record['bytes'] / 1e6:.1f}",
            f"{record['parity']['rel_l2']:.1e}",
            f"{record['parity']['max_rel']:.1e}",
            f"{record['mean_rel']:.1e}",
            f"{100 * record['delta1']:.2f}",
            _spread(record, "bytes", 1e6),
            _spread(record, "build_s", 1),
            ", ".join(f"{count} {name}" for name, count in next(iter(record["engines"].values()))["products"].items()),
        )
        for record in records
    ]
    capabilities = ", ".join(sorted(records[0]["engines"], key=float))
    caption = (
        "depth on one image against the float model, norm over norm, largest over largest, mean over mean; a CPU that "
        f"rounds every half value; engines built ahead of time for {capabilities} on a busy host, run on no GPU"
    )
    return table(header, rows) + footer(records[0], caption)


def _spread(record: Record, name: str, unit: float) -> str:
    """Smallest and largest over the GPUs built for."""
    values = [engine[name] / unit for engine in record["engines"].values()]
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low}–{high}"
