"""Table of `soak.py`."""

from __future__ import annotations

import numpy as np
from machine_load import load_note
from pages import plot_link
from soak_measures import GROWTH_LIMIT_MIB, growth_mib
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
        "RSS MiB: loaded, half time, end",
        "RSS growth in 30 min",
        "malloc growth in 30 min",
    )
    rows = [
        (
            PHASES[record["phase"]].format(callers=record["callers"]),
            f"{record['frames']:,}",
            tenth(record["fps"]),
            record["wrong"],
            tenth(record["p50_ms"]),
            tenth(record["p99_ms"]),
            ", ".join(map(tenth, resident(record))),
            _growth_cell(rss_growth(record)),
            _growth_cell(malloc_growth(record)),
        )
        for record in records
    ]
    first = records[0]
    minutes = first.get("phase_minutes", first.get("minutes", 0.0) / 2)
    caption = (
        f"{load_note(first)}{first['model']}, {first['runtime']} {first['precision']}, {first['threads']} threads for "
        f"one inference, {first['concurrency']} at once; {minutes:g} minutes each; p50 and p99 from call to result, "
        "waiting included; growth in 30 minutes at the rate of the second half (malloc: of the last four fifths)"
    )
    parts = [table(header, rows), _verdict(records), plot_link("soak", "growth of resident memory over time")]
    return "\n\n".join(part for part in parts if part) + footer(records[-1], caption)


def _growth_cell(growth: float | None) -> str:
    return "not judged" if growth is None else f"{growth:+.2f} MiB"


def _verdict(records: list[Record]) -> str:
    frames, wrong = sum(record["frames"] for record in records), sum(record["wrong"] for record in records)
    errors = [text for record in records for text in record["errors"]]
    same = "Every output had the bits" if not wrong else f"**{wrong:,} outputs did not have the bits**"
    said = "no error" if not errors else f"**errors: {'; '.join(errors)}**"
    grown = [_judge("resident memory", [rss_growth(record) for record in records])]
    grown.append(_judge("bytes given out by malloc", [malloc_growth(record) for record in records]))
    return f"{same} of the single-thread result, over {frames:,} frames; {said}. {' '.join(grown)}"


def _judge(what: str, growths: list[float | None]) -> str:
    """One sentence; what was not judged in one phase has not passed."""
    known = [growth for growth in growths if growth is not None]
    if len(known) < len(growths):
        return f"Growth of {what} was **not judged** in {len(growths) - len(known)} of {len(growths)} phases."
    side = "within" if max(known) <= GROWTH_LIMIT_MIB else "**above**"
    return (
        f"Growth of {what}: at most {max(known):+.2f} MiB in 30 minutes, {side} the limit of {GROWTH_LIMIT_MIB:g} MiB."
    )


def resident(record: Record) -> tuple[float | None, float | None, float]:
    """Resident MiB with everything loaded, at half time and at the end."""
    if is_judged_by_half(record):
        return record["rss_loaded_mib"], record["rss_half_mib"], record["rss_mib"]
    memory = record["memory"]
    return (memory[0][1], memory[len(memory) // 2][1], record["rss_mib"]) if memory else (None, None, record["rss_mib"])


def rss_growth(record: Record) -> float | None:
    """Growth of resident memory in 30 minutes at the rate of the second half."""
    return record["growth_mib"] if is_judged_by_half(record) else late_growth(record)


def malloc_growth(record: Record) -> float | None:
    """Growth of what malloc gave out, in 30 minutes; None where it was not measured."""
    return record.get("allocated_growth_mib") if is_judged_by_half(record) else None


def is_judged_by_half(record: Record) -> bool:
    """Older records judged another part of their time: of them, what the samples that they keep say."""
    return "phase_minutes" in record


def late_growth(record: Record) -> float | None:
    """Growth in 30 minutes at the rate of the second half of a phase, from the samples that the record keeps."""
    samples = np.array(record["memory"]).reshape(-1, 2)
    return growth_mib(samples[len(samples) // 2 :])
