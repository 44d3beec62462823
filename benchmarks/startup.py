"""Measures what starting costs, each time in a fresh process: import, --help, and predict on one photo."""

from __future__ import annotations

import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from recording import append_records

REPEATS = 10
PHOTO_SIZE = (720, 1280)
COMMAND = str(Path(sysconfig.get_path("scripts")) / "pixio-edge")


def main() -> None:
    """Measure and append to `records/startup.jsonl`."""
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.jpg"
        cv2.imwrite(str(photo), np.random.default_rng(0).integers(0, 256, (*PHOTO_SIZE, 3), dtype=np.uint8))
        commands = {
            "`python -c 'import pixio_edge'`, without the interpreter's own start": None,
            "`pixio-edge --help`": [COMMAND, "--help"],
            "`pixio-edge predict` of one 1280x720 photo, three files written": [
                COMMAND,
                "predict",
                str(photo),
                "-o",
                folder,
            ],
            "the same with `--runtime ort`": [COMMAND, "predict", str(photo), "-o", folder, "--runtime", "ort"],
        }
        records = [measure(what, command) for what, command in commands.items()]
    for record in records:
        print(f"{record['median_s']:.3f} s  {record['what']}")
    append_records("startup", records)


def measure(what: str, command: list[str] | None) -> dict[str, Any]:
    """Time one thing in several fresh processes; the first, which warms the disk cache, does not count."""
    seconds = [time_import() if command is None else time_command(command) for _ in range(REPEATS + 1)][1:]
    return {"what": what, "median_s": statistics.median(seconds), "min_s": min(seconds), "repeats": REPEATS}


def time_import() -> float:
    """Seconds that importing the package takes."""
    code = "import time; t = time.perf_counter(); import pixio_edge; print(time.perf_counter() - t)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def time_command(command: list[str]) -> float:
    """Seconds that a whole process takes."""
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
