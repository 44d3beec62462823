"""Tables of docs/training.md."""

from __future__ import annotations

from machine_load import load_note
from table_text import NOT_MEASURED, Record, footer, score, size_of, table, tenth


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


def render_transfer(records: list[Record]) -> str:
    """One row for each student, one column for each kind of images."""
    if not records:
        return "_Not measured yet: `benchmarks/transfer.py`._"
    domains = list(dict.fromkeys(record["domain"] for record in records))
    found = {(record["student"], record["domain"]): record for record in records}
    students = list(dict.fromkeys(record["student"] for record in records))
    rows = [[student, *(score(found[student, domain]["delta1"]) for domain in domains)] for student in students]
    rows.append(["row index", *(score(found[students[0], domain]["delta1_floor"]) for domain in domains)])
    first = records[0]
    caption = f"δ1 after alignment of scale and shift, inputs of about {first['pixels']:,} pixels"
    return table(("student", *domains), rows) + footer(first, caption)


def render_rendering(records: list[Record]) -> str:
    """One row for each layout, then all as they are drawn, in one process and in several."""
    if not records:
        return NOT_MEASURED.replace("make bench", "benchmarks/rendering.py")
    sizes = list(dict.fromkeys(size_of(record) for record in records))
    found = {(record["layout"], record["processes"], size_of(record)): record for record in records}
    several = max(record["processes"] for record in records)
    kinds = [(record["layout"], 1) for record in records if record["layout"] and size_of(record) == sizes[0]]
    kinds += [(None, processes) for processes in sorted({1, several})]
    steps = list(next(record["step_ms"] for record in records if "step_ms" in record))
    rows: list[list[object]] = []
    for layout, processes in kinds:
        of_sizes = [found[layout, processes, size] for size in sizes]
        name = layout.replace("_", " ") if layout else f"**all, {processes} process{'es' if processes > 1 else ''}**"
        largest = of_sizes[-1]
        rates = [tenth(record["images_per_s"]) for record in of_sizes]
        step_ms = largest.get("step_ms", {})
        triangles = f"{largest['triangles'] / 1000:.0f}" if "triangles" in largest else ""
        rows.append([name, *rates, triangles, *(tenth(step_ms[step]) if step_ms else "" for step in steps)])
    rate_columns = [f"images/s at {size}" for size in sizes]
    header = ("layout", *rate_columns, "thousand triangles", *(f"{step} ms" for step in steps))
    first = records[0]
    caption = (
        f"{load_note(first)}median of {first['rounds']} rounds; steps per image at {sizes[-1]}; textures: "
        f"{first['textures']}; numba {first['numba']}"
    )
    return table(header, rows) + footer(first, caption)
