"""Writes the generated tables of the pages from the newest records; with --check, only says whether they are current.

A table lies between `<!-- generated:NAME -->` and `<!-- /generated:NAME -->`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from attention_int8_table import render_attention_int8
from coreml_table import render_coreml
from int8_table import int8_rows
from kernel_resources import render as render_kernel_resources
from kernels_table import render_kernel_speed
from peers_table import render_peers
from recording import RECORDS, latest_run
from scaling_table import render_limits, render_scaling
from soak_table import render_soak
from table_text import NOT_MEASURED, Record, footer, score, size_of, table, tenth
from tensorrt_table import render_tensorrt
from training_tables import render_pretraining, render_rendering, render_training_ablation, render_transfer

from pixio_edge.files import write_text_atomic

ROOT = Path(__file__).parents[1]

Renderers = dict[str, Callable[[list[Record]], str]]


def main() -> int:
    """Rewrite or check the pages; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 when a page is out of date")
    check = parser.parse_args().check
    stale = 0
    for page, renderers in PAGES.items():
        path = ROOT / page
        text = path.read_text(encoding="utf-8")
        updated = fill(text, render_all(RECORDS, renderers), page)
        if updated == text:
            continue
        stale += 1
        if check:
            print(f"{page} is out of date. Fix: make tables", file=sys.stderr)
        else:
            write_text_atomic(path, updated)
            print(f"{page} updated")
    return int(check and stale > 0)


def fill(text: str, blocks: dict[str, str], page: str = "page") -> str:
    """Replace the content of every marked block.

    Raises:
        ValueError: The text lacks a block, or has one that nobody renders.
    """
    marked = re.findall(r"<!-- generated:(\w+) -->", text)
    if sorted(marked) != sorted(blocks):
        raise ValueError(f"{page} has the blocks {sorted(marked)}, expected {sorted(blocks)}")
    for name, block in blocks.items():
        begin, end = f"<!-- generated:{name} -->", f"<!-- /generated:{name} -->"
        before, rest = text.split(begin)
        text = before + begin + "\n" + block + "\n" + end + rest.split(end)[1]
    return text


def render_all(folder: Path, renderers: Renderers | None = None) -> dict[str, str]:
    """Markdown of every block of a page by name; None takes README.md."""
    chosen = PAGES["README.md"] if renderers is None else renderers
    return {name: render(latest_run(name, folder)) for name, render in chosen.items()}


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
    rows = [
        (record["what"], f"{record['median_s']:.3f}", f"{record['min_s']:.3f}", tenth(record.get("peak_rss_mib")))
        for record in records
    ]
    return table(("what", "median s", "best s", "peak RSS MiB"), rows) + footer(
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


PAGES: dict[str, Renderers] = {
    "README.md": {
        "accuracy": render_accuracy,
        "latency": render_latency,
        "int8": render_int8,
        "hard_case": render_hard_case,
        "architectures": render_architectures,
        "frames": render_frames,
        "startup": render_startup,
    },
    "docs/benchmarks.md": {
        "peers": render_peers,
        "limits": render_limits,
        "scaling": render_scaling,
        "soak": render_soak,
    },
    "docs/coreml.md": {"coreml": render_coreml},
    "docs/kernels.md": {
        "attention_int8": render_attention_int8,
        "kernel_resources": render_kernel_resources,
        "kernel_speed": render_kernel_speed,
    },
    "docs/tensorrt.md": {"tensorrt": render_tensorrt},
    "docs/training.md": {
        "rendering": render_rendering,
        "training_ablation": render_training_ablation,
        "pretraining_ablation": render_pretraining,
        "transfer": render_transfer,
    },
}


def scores_of(result: Record) -> tuple[float | None, float | None, float | None]:
    """What the accuracy table shows of one result."""
    return result["delta1"], result["floor_delta1"], result["abs_rel"]


if __name__ == "__main__":
    sys.exit(main())
