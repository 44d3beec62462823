"""Measures INT8 beside float and beside NNCF, in one run: nano and a model of ViT-S width, at two sizes.

Every engine is started several times, in another order each time, because where a model lies in memory changes its
speed by some percent. The engines take turns, so that a change of the machine's speed meets all of them. A time is the
median over the starts of the medians of the turns.

The limit is the time that the multiply-adds of the model take at the rate of large INT8 products, measured in the same
turns; nothing else of the model is in it.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from int8_rows import Feed, Row, Subject, limit_rate, list_rows, prepared
from int8_table import int8_rows
from recording import append_records

import pixio_edge
from pixio_edge import Bundle
from pixio_edge.calibration.agreement import compare_depth, mean_agreement
from pixio_edge.calibration.dataset import CalibrationSet
from pixio_edge.cli.options import parse_size
from pixio_edge.export.bundle_details import BundleDetails, count_gflop
from pixio_edge.export.pipeline import export_bundle
from pixio_edge.export.source import open_source
from pixio_edge.manifest import LicenceEntry
from pixio_edge.models.presets import build_model
from pixio_edge.sizes import Size, size_label

SAMPLES = Path(pixio_edge.__file__).parent / "assets" / "samples"
TIMED_RUNS = 3
# Rows of NNCF begin so; ours are compared with the fastest of them.
NNCF = "nncf"


def main() -> None:
    """Measure and append to `records/int8.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["nano", "small"], help="bundles, or presets for random weights")
    parser.add_argument("--sizes", nargs="+", default=["256x256", "384x384"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--images", default=str(SAMPLES), help="folder of photos; a quarter of them is only compared on"
    )
    parser.add_argument("--count", type=int, default=40, help="of the images, both kinds together")
    parser.add_argument("--starts", type=int, default=4, help="times that every engine is started")
    parser.add_argument("--rounds", type=int, default=6, help="turns of every engine after each start")
    parser.add_argument("--no-record", action="store_true", help="print only")
    arguments = parser.parse_args()
    sizes = [size for text in arguments.sizes if (size := parse_size(text)) is not None]
    images = CalibrationSet.open(arguments.images, images=arguments.count)
    records: list[dict[str, Any]] = []
    for name in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            bundle, gflop = make_bundle(name, sizes, Path(folder) / name)
            known, held = images.split(max(1, images.count // 4))
            subject = Subject.calibrated(bundle, known, held, Path(folder), arguments.threads)
            for size in sizes:
                print(f"{name} {size_label(size)}", flush=True)
                records += measure(subject, size, gflop[size], arguments)
    header, lines = int8_rows(records)
    print("\n".join(" | ".join(line) for line in (header, *lines)))
    if not arguments.no_record:
        append_records("int8", records)


def make_bundle(name: str, sizes: Sequence[Size], folder: Path) -> tuple[Bundle, dict[Size, float]]:
    """The model at the wanted sizes, and its cost at each in GFLOP."""
    if name == "nano":
        model = open_source(name).model
    else:
        torch.manual_seed(0)
        model = build_model(name).eval()
    licence = LicenceEntry(weights="Apache-2.0", commercial=True, notice="for measuring")
    details = BundleDetails(name=name, preset=name, licence=licence)
    bundle = export_bundle(model, folder, details=details, sizes=sizes, on_stage=lambda text: print(f"  {text}"))
    return bundle, {size: count_gflop(model, size) for size in sizes}


def measure(subject: Subject, size: Size, gflop: float, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Records of all engines for one model and size."""
    bundle, known, held = subject.bundle, subject.images, subject.held_back
    rows = list(list_rows(subject, size, arguments.threads))
    feeds = prepared(bundle, size, held)
    times: dict[str, list[float]] = {row.name: [] for row in rows}
    for start in range(arguments.starts):
        for name, found in time_rows(rows, feeds[0], arguments.rounds, seed=start).items():
            times[name].append(statistics.median(found))
        print(f"  start {start + 1} of {arguments.starts}", flush=True)
    p50 = {name: statistics.median(found) for name, found in times.items()}
    limit_ms = gflop / 2 * 1e9 / limit_rate(p50.pop("limit")) * 1e3
    accuracy = compare(rows, feeds, bundle)
    best_nncf = min((value for name, value in p50.items() if name.startswith(NNCF)), default=None)
    records = []
    for row in rows:
        if row.kind == "limit":
            continue
        info = row.info() if row.info is not None else None
        records.append(
            {
                "model": bundle.manifest.model.name,
                "size": list(size),
                "threads": arguments.threads,
                "gflop": gflop,
                "row": row.name,
                "p50_ms": p50[row.name],
                "starts_ms": times[row.name],
                "limit_ms": limit_ms,
                "nncf_ms": best_nncf,
                "int8_ops": None if info is None else info.int8_ops,
                "float_ops": None if info is None else info.float_ops,
                "calibration_images": known.count,
                "compared_images": held.count,
                "agreement": accuracy.get(row.name),
            }
        )
        show(records[-1])
    return records


def time_rows(rows: Sequence[Row], feed: Feed, rounds: int, seed: int) -> dict[str, list[float]]:
    """Milliseconds of every row, started once and run in turns; both in random order."""
    order = random.Random(seed)
    shuffled = order.sample(list(rows), len(rows))
    opened: dict[str, Callable[[Feed], Any]] = {row.name: row.open() for row in shuffled}
    times: dict[str, list[float]] = {name: [] for name in opened}
    for _ in range(rounds):
        for name in order.sample(list(opened), len(opened)):
            opened[name](feed)  # Also waits until the threads of the engine before have gone to sleep.
            for _ in range(TIMED_RUNS):
                begin = time.perf_counter()
                opened[name](feed)
                times[name].append((time.perf_counter() - begin) * 1e3)
    return times


def compare(rows: Sequence[Row], feeds: Sequence[Feed], bundle: Bundle) -> dict[str, dict[str, Any]]:
    """Agreement of every INT8 row with fp32 in OpenVINO, on images that were not calibrated on."""
    (reference,) = (row for row in rows if row.name == "openvino fp32")
    run = reference.open()
    expected = [np.array(run(feed)) for feed in feeds]
    kind = bundle.manifest.output.kind
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row.kind != "int8":
            continue
        candidate = row.open()
        pairs = [
            compare_depth(depth, np.array(candidate(feed)), kind) for depth, feed in zip(expected, feeds, strict=True)
        ]
        found[row.name] = dict(mean_agreement(pairs).to_json())
    return found


def show(record: dict[str, Any]) -> None:
    """One line on the terminal."""
    agreement = record["agreement"]
    accuracy = f"SQNR {agreement['sqnr_db']:5.1f} dB, AbsRel {agreement['abs_rel']:.4f}" if agreement else ""
    nncf = f"{record['p50_ms'] / record['nncf_ms']:5.2f} of NNCF" if record["nncf_ms"] else ""
    limit = f"{record['p50_ms'] / record['limit_ms']:5.2f} of limit"
    print(f"  {record['row']:28} {record['p50_ms']:8.2f} ms  {limit}  {nncf}  {accuracy}", flush=True)


if __name__ == "__main__":
    main()
