"""Writes the tables of README.md from the newest records; with --check, only says whether they are up to date.

A table lies between `<!-- generated:NAME -->` and `<!-- /generated:NAME -->`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from int8_table import int8_rows
from recording import RECORDS, latest_run

from pixio_edge.files import write_text_atomic

README = Path(__file__).parents[1] / "README.md"
NOT_MEASURED = "_Not measured yet: `make bench`._"

Record = dict[str, Any]


def main() -> int:
    """Rewrite or check README.md; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit with 1 when README.md is out of date"
    )
    check = parser.parse_args().check
    text = README.read_text(encoding="utf-8")
    updated = fill(text, render_all(RECORDS))
    if updated == text:
        return 0
    if check:
        print("README.md is out of date. Fix: make tables", file=sys.stderr)
        return 1
    write_text_atomic(README, updated)
    print("README.md updated")
    return 0


def fill(text: str, blocks: dict[str, str]) -> str:
    """Replace the content of every marked block.

    Raises:
        ValueError: The text lacks a block, or has one that nobody renders.
    """
    marked = re.findall(r"<!-- generated:(\w+) -->", text)
    if sorted(marked) != sorted(blocks):
        raise ValueError(f"README.md has the blocks {sorted(marked)}, expected {sorted(blocks)}")
    for name, block in blocks.items():
        begin, end = f"<!-- generated:{name} -->", f"<!-- /generated:{name} -->"
        before, rest = text.split(begin)
        text = before + begin + "\n" + block + "\n" + end + rest.split(end)[1]
    return text


def render_all(folder: Path) -> dict[str, str]:
    """Markdown of every block by name."""
    return {name: render(latest_run(name, folder)) for name, render in RENDERERS.items()}


def render_accuracy(records: list[Record]) -> str:
    """One row for each set, with the floor beside it; first in fp32, then what INT8 makes of it."""
    if not records:
        return NOT_MEASURED
    first, *others = records
    header = ["set", "images", "δ1 ↑", "floor δ1", "AbsRel ↓"]
    for other in others:
        header += [f"δ1 {other['runtime']} {other['precision']}", "AbsRel"]
    rows = [accuracy_row(name, result, [o["sets"][name] for o in others]) for name, result in first["sets"].items()]
    macro = accuracy_row("macro", first["macro"] | {"images": first["images"]}, [other["macro"] for other in others])
    caption = f"`{first['bundle']}`, fp32 and INT8, {first['source']}" if others else f"`{first['bundle']}`"
    return table(header, [*rows, [f"**{cell}**" for cell in macro]]) + footer(first, caption)


def accuracy_row(name: str, result: Record, others: Sequence[Record]) -> list[object]:
    """One line of the accuracy table."""
    cells = [name, result["images"], *map(score, scores_of(result))]
    for other in others:
        cells += [score(other["delta1"]), score(other["abs_rel"])]
    return cells


def render_latency(records: list[Record]) -> str:
    """One row for each runtime and precision; what could not run says why."""
    if not records:
        return NOT_MEASURED
    header = ("runtime", "precision", "size", "threads", "p50 ms", "p90 ms", "p99 ms", "fps", "load ms", "peak RSS MiB")
    rows = []
    for record in records:
        labels = (record["runtime"], record["precision"], size_of(record), record["threads"])
        if record["status"] != "ok":
            rows.append((*labels, record["status"], *[""] * 5))
            continue
        times = (record["p50_ms"], record["p90_ms"], record["p99_ms"], record["fps"], record["load_ms"])
        rows.append((*labels, *map(tenth, times), tenth(record["peak_rss_mib"])))
    return table(header, rows) + footer(records[-1], "batch of one image")


def render_frames(records: list[Record]) -> str:
    """Where the time of a whole frame goes, and whether memory grows."""
    if not records:
        return NOT_MEASURED
    header = ("runtime", "precision", "frame", "pre ms", "infer ms", "post ms", "pre + post", "fps", "memory growth")
    rows = [
        (
            record["runtime"],
            record["precision"],
            "x".join(map(str, record["frame_size"])),
            *(f"{record[f'{step}_ms']:.2f}" for step in ("pre", "infer", "post")),
            f"{(record['pre_ms'] + record['post_ms']) / record['infer_ms']:.0%} of inference",
            tenth(record["fps"]),
            f"{record['growth_mib']:+.1f} MiB over {record['frames']} frames",
        )
        for record in records
    ]
    return table(header, rows) + footer(records[-1], f"medians, {records[-1]['threads']} threads")


def render_startup(records: list[Record]) -> str:
    """One row for each thing that was started."""
    if not records:
        return NOT_MEASURED
    rows = [(record["what"], f"{record['median_s']:.3f}", f"{record['min_s']:.3f}") for record in records]
    return table(("what", "median s", "best s"), rows) + footer(
        records[-1], f"of {records[-1]['repeats']} fresh processes"
    )


def render_int8(records: list[Record]) -> str:
    """One row for each engine and precision, one column for each model and size."""
    if not records:
        return NOT_MEASURED
    first = records[0]
    caption = (
        f"p50 in ms, in brackets over the time of the bare INT8 products; {first['threads']} threads; calibrated on "
        f"{first['calibration_images']} photos; SQNR and AbsRel to fp32 depth of the first column, on "
        f"{first['compared_images']} other photos"
    )
    return table(*int8_rows(records)) + footer(first, caption)


def render_hard_case(records: list[Record]) -> str:
    """One row for each way to quantise the encoder with planted outliers."""
    if not records:
        return NOT_MEASURED
    rows = [
        (record["way"], tenth(record["sqnr_db"]), score(record["delta1"]), score(record["abs_rel"]))
        for record in records
    ]
    first = records[0]
    caption = (
        f"agreement with fp32 of a random encoder of width {first['width']} and {first['blocks']} blocks, "
        f"{first['images']} images to calibrate on"
    )
    return table(("quantised by", "SQNR dB", "δ1 to fp32", "AbsRel to fp32"), rows) + footer(first, caption)


def render_architectures(records: list[Record]) -> str:
    """One row for each architecture and input size."""
    if not records:
        return NOT_MEASURED
    engines = ("ort fp32", "openvino fp32")
    rows = [
        (
            record["architecture"],
            size_of(record),
            tenth(record["parameters"] / 1e6),
            tenth(record["gflop"]),
            *(tenth(record[f"{engine} p50_ms"]) for engine in engines),
        )
        for record in records
    ]
    header = ("architecture", "size", "M parameters", "GFLOP", *(f"{engine} ms" for engine in engines))
    return table(header, rows) + footer(records[0], "random weights, p50, 2 threads")


RENDERERS: dict[str, Callable[[list[Record]], str]] = {
    "accuracy": render_accuracy,
    "latency": render_latency,
    "int8": render_int8,
    "hard_case": render_hard_case,
    "architectures": render_architectures,
    "frames": render_frames,
    "startup": render_startup,
}


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def footer(record: Record, caption: str) -> str:
    """What the numbers above were measured on."""
    host = record["host"]
    names = ("onnxruntime", "openvino", "torch")
    versions = ", ".join(f"{name} {host['packages'][name]}" for name in names if name in host["packages"])
    cores = f"{host['usable_cores']} cores used of {host['logical_cores']}"
    commit = f"; commit {record['commit']}" if record.get("commit") else ""
    return f"\n\n<sub>{caption}; {host['cpu']}, {cores}, {host['os']}; {versions}; {record['run'][:10]}{commit}</sub>"


def scores_of(result: Record) -> tuple[float | None, float | None, float | None]:
    """What the accuracy table shows of one result."""
    return result["delta1"], result["floor_delta1"], result["abs_rel"]


def size_of(record: Record) -> str:
    """Input size as HxW."""
    return "x".join(map(str, record["size"]))


def score(value: float | None) -> str:
    """Three decimals, or a dash."""
    return "–" if value is None else f"{value:.3f}"


def tenth(value: float | None) -> str:
    """One decimal, or a dash."""
    return "–" if value is None else f"{value:.1f}"


if __name__ == "__main__":
    sys.exit(main())
