"""Measures what starting costs, each time in a fresh process: import, --help, and predict on one photo."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from recording import append_records

REPEATS = 10
PHOTO_SIZE = (720, 1280)
COMMAND = str(Path(sysconfig.get_path("scripts")) / "pixio-edge")
KEEP = "PIXIO_EDGE_KEEP_COMPILED"
# What `predict` did before it kept OpenVINO's graphs and left its converter out: whoever imported the library has both.
WHOLE_LIBRARY = "import sys, openvino; from pixio_edge.cli.main import main; sys.exit(main())"


@dataclass(frozen=True, slots=True)
class Start:
    """One way to start.

    Attributes:
        what: What it is called in the table.
        command: The process; None measures the import of the package alone.
        keeps: Whether graphs that were compiled before may be read.
    """

    what: str
    command: tuple[str, ...] | None
    keeps: bool = True


def list_starts(photo: Path, folder: Path) -> tuple[Start, ...]:
    """What is measured."""
    predict = ("predict", str(photo), "-o", str(folder))
    return (
        Start("`python -c 'import pixio_edge'`, without the interpreter's own start", None),
        Start("`pixio-edge --help`", (COMMAND, "--help")),
        Start("`pixio-edge predict` of one 1280x720 photo, three files written", (COMMAND, *predict)),
        Start("the same the first time: OpenVINO compiles the graph", (COMMAND, *predict), keeps=False),
        Start(
            "the same with OpenVINO's converter imported too, as until November 2026",
            (sys.executable, "-c", WHOLE_LIBRARY, *predict),
            keeps=False,
        ),
        Start("the same with `--runtime ort`", (COMMAND, *predict, "--runtime", "ort")),
    )


def main() -> None:
    """Measure and append to `records/startup.jsonl`."""
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.jpg"
        cv2.imwrite(str(photo), np.random.default_rng(0).integers(0, 256, (*PHOTO_SIZE, 3), dtype=np.uint8))
        starts = list_starts(photo, Path(folder))
        # In turns, so that a busy moment of the machine meets all of them; the first turn warms the disk cache.
        turns = [[measure(start, Path(folder)) for start in starts] for _ in range(REPEATS + 1)][1:]
    records = [summarise(start, list(column)) for start, column in zip(starts, zip(*turns, strict=True), strict=True)]
    for record in records:
        print(f"{record['median_s']:.3f} s  {record['peak_rss_mib'] or 0:.0f} MiB  {record['what']}")
    append_records("startup", records)


def measure(start: Start, cache: Path) -> tuple[float, float | None]:
    """Seconds of one fresh process, and its peak memory in MiB."""
    if start.command is None:
        return time_import(), None
    environment = os.environ | {KEEP: str(int(start.keeps)), "PIXIO_EDGE_CACHE": str(cache / "cache")}
    began = time.perf_counter()
    process = subprocess.Popen(start.command, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status:
        raise SystemExit(f"{start.what}: ended with status {status}")
    return seconds, usage.ru_maxrss / 1024


def summarise(start: Start, results: list[tuple[float, float | None]]) -> dict[str, Any]:
    """One record."""
    seconds = [result[0] for result in results]
    memory = [result[1] for result in results if result[1] is not None]
    return {
        "what": start.what,
        "median_s": statistics.median(seconds),
        "min_s": min(seconds),
        "peak_rss_mib": statistics.median(memory) if memory else None,
        "repeats": len(results),
    }


def time_import() -> float:
    """Seconds that importing the package takes."""
    code = "import time; t = time.perf_counter(); import pixio_edge; print(time.perf_counter() - t)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    main()
