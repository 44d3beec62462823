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
    known = [record["growth_mib"] for record in records if record["growth_mib"] is not None]
    same = "Every output had the bits" if not wrong else f"**{wrong:,} outputs did not have the bits**"
    late = max((found for record in records if (found := late_growth(record)) is not None), default=None)
    judged = "too few frames to judge growth after warm-up"
    if known:
        side = "below" if max(known) <= GROWTH_LIMIT_MIB else "**above**"
        judged = f"growth after warm-up of at most {max(known):+.2f} MiB, {side} the limit of {GROWTH_LIMIT_MIB:g} MiB"
    ended = "" if late is None else f"; in the second half of a phase at most {late:+.2f} MiB"
    allocated = [found for record in records if (found := record.get("allocated_growth_mib")) is not None]
    ended += f"; of bytes given out by malloc at most {max(allocated):+.2f} MiB" if allocated else ""
    said = "no error" if not errors else f"**errors: {'; '.join(errors)}**"
    return f"{same} of the single-thread result, over {frames:,} frames; {said}; {judged}{ended}."


def late_growth(record: Record) -> float | None:
    """Growth over the second half of a phase, in MiB, from the samples that the record keeps."""
    samples = np.array(record["memory"]).reshape(-1, 2)
    return growth_mib(samples[len(samples) // 2 :])
