"""Tables of docs/training.md."""

from __future__ import annotations

from table_text import Record, footer, score, table


def render_training_ablation(records: list[Record]) -> str:
    """One row for each recipe."""
    if not records:
        return "_Not measured yet: `benchmarks/training_ablation.py`._"
    first = records[0]
    rows = [(record["arm"], score(record["held_back"]), score(record.get("delta1"))) for record in records]
    rows.append(("row prior and floor", score(first["row_prior"]), score(first.get("delta1_floor"))))
    caption = (
        f"`{first['preset']}` from scratch, {first['images']:,} images of {first['pixels']:,} pixels, "
        f"seed {first['seed']}, one run each"
    )
    return table(("recipe", "loss on held-back scenes ↓", "macro δ1 ↑"), rows) + footer(first, caption)


def render_pretraining(records: list[Record]) -> str:
    """One row for each way to spend the budget."""
    if not records:
        return "_Not measured yet: `benchmarks/pretraining_ablation.py`._"
    first = records[0]
    rows = [
        (record["arm"], record["crops"], record["images"], score(record["held_back"]), score(record.get("delta1")))
        for record in records
    ]
    caption = (
        f"`{first['preset']}`, seed {first['seed']}; a trained image costs {first['gflop_per_image']:.1f} GFLOP, a "
        f"pretrained crop {first['gflop_per_crop']:.1f}"
    )
    header = ("run", "crops pretrained on", "images trained on", "loss on held-back scenes ↓", "macro δ1 ↑")
    return table(header, rows) + footer(first, caption)
