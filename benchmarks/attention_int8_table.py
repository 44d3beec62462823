"""Table of `attention_int8_error.py`."""

from __future__ import annotations

from table_text import NOT_MEASURED, Record, footer, table


def render_attention_int8(records: list[Record]) -> str:
    """One row for each model and way of computing its attention."""
    if not records:
        return NOT_MEASURED
    header = ("model", "attention in", "attention error", "depth error", "worst image", "δ1 ↑", "AbsRel ↓")
    rows = [
        (
            record["model"],
            record["way"],
            f"{max(record['attention_rel_l2']):.4f}",
            f"{record['rel_l2']:.5f}",
            f"{record['rel_l2_worst']:.5f}",
            f"{record['delta1']:.4f}",
            f"{record['abs_rel']:.5f}",
        )
        for record in records
    ]
    first = records[0]
    caption = (
        f"{first['images']} sample pictures at {'x'.join(map(str, first['size']))}; errors are relative L2: of the "
        "attention in the worst block against float64 on what it is given, of depth against the float32 model, with "
        "which δ1 and AbsRel agree too; computed on the CPU, in numpy"
    )
    return table(header, rows) + footer(first, caption)
