"""Tables of `limits.py` and `scaling.py`, and what bounds each stage, in words made from the numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from machine_load import load_note
from pages import plot_link
from table_text import NOT_MEASURED, UNSTEADY_NOTE, Record, footer, is_unsteady, size_of, steady_ms, table, tenth

# A stage that reaches this share of a rate is said to be bound by it. Products of the shapes that occur in the models
# reach 50 to 90 % of the rate of large ones.
BOUND_SHARE = 0.5
# What INT8 graphs leave in float: products of two activations.
FLOAT_STAGES = ("attention",)
# A stage with less of the time than this is not worth a sentence.
SPOKEN_SHARE = 0.03


def render_limits(records: list[Record]) -> str:
    """One row for each engine and precision of large products, and for memory."""
    if not records:
        return NOT_MEASURED
    rows = []
    for record in records:
        unit = "GB/s" if record["precision"] == "memory" else "GMAC/s"
        rows.append(
            (record["what"], record["precision"], f"{record['per_s'] / 1e9:.0f} {unit}", tenth(record["p50_ms"]))
        )
    caption = (
        f"{load_note(records[0])}medians, {records[0]['threads']} threads; a MAC is one multiply-add, two operations"
    )
    return table(("what", "precision", "rate", "p50 ms"), rows) + footer(records[-1], caption)


def render_scaling(records: list[Record]) -> str:
    """Latency, memory, threads, load and stages."""
    if not records:
        return NOT_MEASURED
    rows = [record for record in records if "stage" not in record and record["status"] == "ok"]
    stages = [record for record in records if "stage" in record]
    parts: list[str] = []
    for preset in dict.fromkeys(record["preset"] for record in rows):
        of_preset = [record for record in rows if record["preset"] == preset]
        parts += [f"### {preset}: input size", table(*_size_rows(of_preset)), _growth(of_preset)]
        parts += [f"### {preset}: threads and load", table(*_thread_rows(of_preset)), table(*_flight_rows(of_preset))]
        parts += [_stage_part(preset, [record for record in stages if record["preset"] == preset])]
    parts += [plot_link("scaling", "latency and memory against tokens")]
    if any(map(is_unsteady, rows)):
        parts.append(UNSTEADY_NOTE)
    caption = f"{load_note(records[0])}random weights, p50; in brackets the share of the machine's best arithmetic rate"
    return "\n\n".join(part for part in parts if part) + footer(records[-1], caption)


def _plain(records: Sequence[Record]) -> list[Record]:
    """One inference at a time with all threads."""
    most = max(record["threads"] for record in records)
    return [record for record in records if record["threads"] == most and record["in_flight"] == 1]


def _runs(records: Iterable[Record]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((record["engine"], record["precision"]) for record in records))


def _size_rows(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """Tokens by row; latency of each engine and precision, then the memory of two processes."""
    plain = _plain(records)
    runs = _runs(plain)
    cells = {(record["engine"], record["precision"], record["tokens"]): record for record in plain}
    memory = [run for run in runs if run in (("openvino", "int8"), ("ort", "fp32"))]
    header = ["input", "tokens", "GMAC", *(f"{engine} {precision} ms" for engine, precision in runs)]
    header += [f"{engine} {precision} peak MiB" for engine, precision in memory]
    rows = []
    for tokens in sorted({record["tokens"] for record in plain}):
        found = [cells.get((*run, tokens)) for run in runs]
        known = next(record for record in found if record is not None)
        line = [size_of(known), str(tokens), f"{known['gmac']:.2f}", *map(_latency, found)]
        for run in memory:
            record = cells.get((*run, tokens))
            line.append("–" if record is None else f"{record['peak_rss_mib']:.0f}")
        rows.append(line)
    return header, rows


def _latency(record: Record | None) -> str:
    return "–" if record is None else f"{steady_ms(record)} ({record['compute_ms'] / record['p50_ms']:.0%})"


def _growth(records: Sequence[Record]) -> str:
    """How latency grows with tokens, at both ends, as an exponent."""
    sentences = []
    for engine, precision in _runs(_plain(records)):
        run = [item for item in _plain(records) if (item["engine"], item["precision"]) == (engine, precision)]
        run.sort(key=lambda record: record["tokens"])
        if len(run) < 3 or any(map(is_unsteady, (*run[:2], *run[-2:]))):
            continue
        low, high = _exponent(run[0], run[1]), _exponent(run[-2], run[-1])
        sentences.append(
            f"- {engine} {precision}: latency grows with the {low:.2f}th power of the number of tokens from "
            f"{run[0]['tokens']} to {run[1]['tokens']}, and with the {high:.2f}th from {run[-2]['tokens']} to "
            f"{run[-1]['tokens']}; {_kind_of_growth(low, high)}."
        )
    return "\n".join(sentences)


def _exponent(small: Record, large: Record) -> float:
    return math.log(large["p50_ms"] / small["p50_ms"]) / math.log(large["tokens"] / small["tokens"])


def _kind_of_growth(low: float, high: float) -> str:
    begins = "fixed costs weigh at the small end" if low < 0.9 else "no fixed cost is seen at the small end"
    ends = (
        "attention, which is quadratic, shows at the large one" if high > 1.1 else "it is still linear at the large one"
    )
    return f"{begins}, {ends}"


def _thread_rows(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """One row for each engine, precision and size that was also measured with fewer threads."""
    alone = [record for record in records if record["in_flight"] == 1]
    counts = sorted({record["threads"] for record in alone})
    cells = {(r["engine"], r["precision"], r["tokens"], r["threads"]): r for r in alone}
    rows = []
    for engine, precision, tokens, threads in cells:
        found = [cells.get((engine, precision, tokens, count)) for count in counts]
        if threads != counts[0] or None in found:
            continue
        known = [record for record in found if record is not None]
        gain = known[0]["p50_ms"] / known[-1]["p50_ms"]
        rows.append([f"{engine} {precision}", str(tokens), *map(steady_ms, known), f"{gain:.2f}x"])
    header = ["engine", "tokens", *(f"{count} thread{'s' * (count > 1)} ms" for count in counts), "gain"]
    return header, rows


def _flight_rows(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """Frames in a second with several inferences at once; graphs have a batch of one, so this is what a batch gives."""
    busy = {(record["engine"], record["precision"]) for record in records if record["in_flight"] > 1}
    chosen = [record for record in records if (record["engine"], record["precision"]) in busy]
    tokens = {record["tokens"] for record in chosen if record["in_flight"] > 1}
    most = max((record["threads"] for record in chosen), default=1)
    cells = {
        (record["engine"], record["precision"], record["in_flight"]): record
        for record in chosen
        if record["tokens"] in tokens and record["threads"] == most
    }
    counts = sorted({count for _, _, count in cells})
    rows = []
    for engine, precision in sorted(busy):
        found = [cells.get((engine, precision, count)) for count in counts]
        rates = ["–" if record is None else f"{record['throughput_fps']:.1f}" for record in found]
        rows.append([f"{engine} {precision}", str(next(iter(tokens))), *rates])
    return ["engine", "tokens", *(f"{count} at once, frames/s" for count in counts)], rows


def _stage_part(preset: str, stages: Sequence[Record]) -> str:
    if not stages:
        return ""
    stages = [in_its_precision(record) for record in stages]
    header = ("engine", "tokens", "stage", "ms", "share", "arithmetic", "memory")
    rows = [
        (
            f"{record['engine']} {record['precision']}",
            record["tokens"],
            record["stage"],
            f"{record['profiled_ms']:.2f}",
            f"{record['share']:.0%}",
            _share(record, "compute_ms"),
            _share(record, "memory_ms"),
        )
        for record in stages
    ]
    sentences = [f"- {explain_stage(record)}" for record in stages if record["share"] >= SPOKEN_SHARE]
    return f"### {preset}: what bounds each stage\n\n" + table(header, rows) + "\n\n" + "\n".join(sentences)


def in_its_precision(record: Record) -> Record:
    """A stage of an INT8 graph that is executed in float, with the limits of that: "bf16" or "fp32" as `executed`."""
    rates = record.get("limits_per_s", {})
    if record["precision"] != "int8" or record["stage"] not in FLOAT_STAGES or "int8" not in rates:
        return record
    executed = "bf16" if record["engine"] == "openvino" and "bf16" in rates else "fp32"
    width = {"bf16": 2.0, "fp32": 4.0}[executed]
    return record | {
        "executed": executed,
        "compute_ms": record["compute_ms"] * rates["int8"] / rates[executed],
        "memory_ms": record["memory_ms"] * width,
    }


def _share(record: Record, limit: str) -> str:
    return f"{record[limit] / record['profiled_ms']:.0%}" if record["profiled_ms"] > 0 else "–"


def explain_stage(record: Record) -> str:
    """What bounds a stage, by how near it comes to the rates of the machine in the type that it is executed in."""
    time = max(record["profiled_ms"], 1e-9)
    compute, memory = record["compute_ms"] / time, record["memory_ms"] / time
    subject = (
        f"{record['engine']} {record['precision']}, {record['tokens']} tokens: {record['stage']} "
        f"({record['share']:.0%} of the time{', in ' + record['executed'] if 'executed' in record else ''})"
    )
    if compute == 0 and memory == 0:
        return f"{subject} has no products: it only reads, changes and writes values."
    if max(compute, memory) < BOUND_SHARE:
        return (
            f"{subject} is bound by neither rate ({compute:.0%} of the arithmetic, {memory:.0%} of the memory): by "
            "small products, and by what lies between them."
        )
    if compute >= memory:
        return f"{subject} is bound by arithmetic: {compute:.0%} of the best rate."
    return f"{subject} is bound by memory: {memory:.0%} of the bandwidth, {compute:.0%} of the best arithmetic rate."
