"""Table of `soak.py`."""

from __future__ import annotations

from machine_load import load_note
from pages import plot_link
from soak_measures import GROWTH_LIMIT_MIB
from table_text import NOT_MEASURED, Record, footer, table, tenth

PHASES = {"stream": "`stream`, one thread", "threads": "{callers} threads share one estimator"}


def render_soak(records: list[Record]) -> str:
    """One row for each phase, and a sentence that says whether all was right."""
    if not records:
        return NOT_MEASURED
    header = (
        "callers",
        "frames",
        "frames/s",
        "wrong outputs",
        "p50 ms",
        "p99 ms",
        "memory growth",
        "RSS at the end MiB",
    )
    rows = [
        (
            PHASES[record["phase"]].format(callers=record["callers"]),
            f"{record['frames']:,}",
            tenth(record["fps"]),
            record["wrong"],
            tenth(record["p50_ms"]),
            tenth(record["p99_ms"]),
            "–" if record["growth_mib"] is None else f"{record['growth_mib']:+.2f} MiB",
            tenth(record["rss_mib"]),
        )
        for record in records
    ]
    first = records[0]
    caption = (
        f"{load_note(first)}{first['model']}, {first['runtime']} {first['precision']}, {first['threads']} threads for "
        f"one inference, {first['concurrency']} at once; {first['minutes'] / 2:g} minutes each; p50 and p99 from call "
        "to result, waiting included; growth by the straight line through memory after warm-up"
    )
    parts = [table(header, rows), _verdict(records), plot_link("soak", "resident memory over time")]
    return "\n\n".join(part for part in parts if part) + footer(records[-1], caption)


def _verdict(records: list[Record]) -> str:
    frames, wrong = sum(record["frames"] for record in records), sum(record["wrong"] for record in records)
    errors = [text for record in records for text in record["errors"]]
    growth = max(record["growth_mib"] or 0.0 for record in records)
    same = "Every output had the bits" if not wrong else f"**{wrong:,} outputs did not have the bits**"
    grown = "below" if growth <= GROWTH_LIMIT_MIB else "**above**"
    said = "no error" if not errors else f"**errors: {'; '.join(errors)}**"
    return (
        f"{same} of the single-thread result, over {frames:,} frames; {said}; growth of at most {growth:+.2f} MiB, "
        f"{grown} the limit of {GROWTH_LIMIT_MIB:g} MiB."
    )
